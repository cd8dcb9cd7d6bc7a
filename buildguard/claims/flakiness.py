"""Which checks are flaky: in one checkout the same files failed and passed. Pure."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from buildguard.claims.model import Proof

MOST_IDS = 400
"""How many failure ids are counted of one proof, the most frequent ones."""


class Flake(NamedTuple):
    """A failure id, empty where the check names none, that failed so many of so many `runs` on unchanged files."""

    check: str
    failure: str
    failed: int
    runs: int


def counted(proof: Proof, proofs: Sequence[Proof]) -> Proof:
    """The proof with the runs of before in it that showed the same: it takes the place of theirs."""
    before = next((one for one in reversed(proofs) if one.shows == proof.shows), None)
    times = Counter(before.times if before else {})
    if not proof.passed:
        times.update(dict.fromkeys(proof.failures or ("",), proof.runs))
    runs, avoided = (before.runs, before.avoided) if before else (0, 0)
    return proof._replace(
        runs=proof.runs + runs, avoided=proof.avoided + avoided, times=dict(times.most_common(MOST_IDS))
    )


def flakes(proofs: Sequence[Proof]) -> list[Flake]:
    """What failed and passed on the same files by these proofs, the most frequent first."""
    groups: dict[tuple[str, str, str], list[Proof]] = defaultdict(list)
    for one in proofs:
        # A pass that differs from what had failed by nothing but the check's own writing was on those files.
        same = one.failed if one.failed and not one.changed else one.files
        groups[one.check, one.checkout, same].append(one)
    failed: Counter[tuple[str, str]] = Counter()
    runs: Counter[tuple[str, str]] = Counter()
    for (check, _, _), shown in groups.items():
        if any(one.passed for one in shown):
            times = sum((Counter(one.times) for one in shown), Counter[str]())
            for failure, often in times.items():
                failed[check, failure] += often
                runs[check, failure] += sum(one.runs for one in shown)
    return [Flake(*what, often, runs[what]) for what, often in failed.most_common()]
