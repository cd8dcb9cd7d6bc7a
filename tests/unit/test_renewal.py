"""What is said of a renewal: another process of the same session may be another sub-agent."""

import pytest
from testing.heart import BROKEN, ME, MINE, RUN, fixing, held, only, view_of

from buildguard.claims import rules

SAID = "renewed by this session SPAN ago; if that was another sub-agent, use --agent"
CASES = (
    ("its process", "its process", ""),
    ("its process", "another", SAID.replace("SPAN", "100 s")),
    ("its process", None, ""),
    (None, "its process", ""),
    (None, None, ""),
)


@pytest.mark.parametrize(("claimed_by", "renewed_by", "why"), CASES)
def test_only_another_process_is_told_of(claimed_by: str | None, renewed_by: str | None, why: str) -> None:
    mine = fixing(MINE._replace(process=claimed_by), BROKEN)
    for run in (RUN, None):
        step = rules.failed(view_of(mine), ME._replace(process=renewed_by), run)
        assert step.why == why
    after = held(only(rules.failed(view_of(mine), ME._replace(process=renewed_by), RUN)))
    assert after.process == renewed_by


def test_a_claim_that_lies_ahead_was_renewed_just_now() -> None:
    mine = fixing(MINE._replace(process="its process", seen_at=10_500.0), BROKEN)
    step = rules.failed(view_of(mine), ME._replace(process="another"), RUN)
    assert step.why == SAID.replace("SPAN", "0 s")
