"""The tables of coding agents and CI systems have a shape that the code can rely on."""

import re

import pytest

from buildguard.agents.known import CI_MARKERS, CI_SYSTEMS, CODING_AGENTS, CISystem, CodingAgent

VARIABLE = r"[A-Z][A-Z0-9_]*"


@pytest.mark.parametrize("row", CODING_AGENTS, ids=lambda row: row.name)
def test_a_coding_agent_is_told_by_variables_and_its_limit_is_in_seconds(row: CodingAgent) -> None:
    assert row.markers
    assert all(re.fullmatch(f"{VARIABLE}(=[a-z0-9]+)?", marker) for marker in row.markers)
    variable = row.limit.milliseconds_variable if row.limit else ""
    assert all(re.fullmatch(VARIABLE, name) for name in (row.session, variable) if name)
    assert row.limit is None or 1 <= row.limit.seconds <= 3600


@pytest.mark.parametrize("row", CODING_AGENTS, ids=lambda row: row.name)
def test_a_coding_agent_has_a_source_that_names_a_place_or_a_version(row: CodingAgent) -> None:
    assert re.search(r"(npm|PyPI) \S+ \d+\.\d+|github\.com/|not verified", row.source)


def test_an_agent_that_sets_the_mark_of_another_comes_before_it() -> None:
    names = [row.name for row in CODING_AGENTS]
    assert names.index("Kilo") < names.index("OpenCode")


@pytest.mark.parametrize("row", CI_SYSTEMS, ids=lambda row: row.name)
def test_a_ci_system_is_told_by_variables(row: CISystem) -> None:
    assert all(re.fullmatch(VARIABLE, name) for name in row.variables)
    assert len(set(row.variables)) == len(row.variables) > 0


def test_no_two_rows_share_a_name_or_an_id() -> None:
    for column in (
        [row.name for row in CODING_AGENTS],
        [row.session for row in CODING_AGENTS if row.session],
        [row.name for row in CI_SYSTEMS],
        [row.variables[0] for row in CI_SYSTEMS],
        list(CI_MARKERS),
    ):
        assert len(set(column)) == len(column)
