"""(a) What a passing hook adds to a commit, beside an import and beside the pre-commit framework.

As git runs it: real commits, `hooks/pre-commit`, the check `true` from the settings file. The work tree is clean,
which is the dearer case: the pass is then recorded as evidence. What a hook *adds* is its commit less one whose
hook is nothing but the check.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.table import Row, Table, in_turn, median
from testing.support import BUILDGUARD, PROJECT, SCRIPTS, Checkout, new_repository

CHECK = "true"
FRAMEWORK_CONFIG = f"""\
repos:
- repo: local
  hooks:
  - {{id: check, name: check, language: system, entry: "{CHECK}", always_run: true, pass_filenames: false}}
"""
IMPORTS = "python -c 'import click, sqlite3'"
ONLY_THE_CHECK = "commit, the hook is only the check"
GUARDED = "commit, buildguard's hook"
IN_FRAMEWORK = "commit, pre-commit runs the check"
BARE = CHECK
BARE_HOOK = f"buildguard hook -- {CHECK}"


@dataclass(frozen=True, slots=True)
class Spent:
    """Milliseconds of one run: by the clock, and of processors by it and all that it started."""

    elapsed: float
    worked: float


def measure(folder: Path, smallest: bool) -> Table:
    """Real commits, in turn with a different hook each; medians."""
    checkout = _repository(folder)
    found = in_turn(_measured(checkout), 1 if smallest else 15)
    took = {name: median([one.elapsed for one in spent]) for name, spent in found.items()}
    worked = {name: median([one.worked for one in spent]) for name, spent in found.items()}
    base = took[IMPORTS]
    ours, theirs = (took[name] - took[ONLY_THE_CHECK] for name in (GUARDED, IN_FRAMEWORK))
    bare = took[BARE_HOOK] - took[BARE]
    work = worked[GUARDED] - worked[ONLY_THE_CHECK]
    return Table(
        "(a) a passing hook; medians, ratio to the import",
        (
            *(Row(name, value, "ms", value / base) for name, value in took.items()),
            Row("what buildguard's hook adds", ours, "ms", ours / base, most_ratio=1.5),
            Row("the same as processor time, to the import's", work, "ms", work / worked[IMPORTS]),
            Row("what the framework adds", theirs, "ms", theirs / base),
            Row("buildguard's hook to the framework", ours, "ms", ours / theirs, most_ratio=0.5),
            Row("what the bare command adds to its check", bare, "ms", bare / base),
        ),
    )


def _repository(folder: Path) -> Checkout:
    # With bytecode, as an installed package has it, but none of it into the source tree.
    variables = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
    variables["PRE_COMMIT_HOME"] = str(folder / "pre-commit")
    # The very same files each time: it must run the check all the same.
    variables |= {"BUILDGUARD_AGENT": "ann", "BUILDGUARD_REUSE": "0"}
    checkout = new_repository(folder / "repository", folder / "home", CHECK, **variables)
    _hook(folder / "only-the-check", f"#!/bin/sh\nexec /bin/sh -c {CHECK}\n")
    _hook(folder / "guarded", (PROJECT / "hooks" / "pre-commit").read_text())
    checkout.write(".pre-commit-config.yaml", FRAMEWORK_CONFIG)
    checkout.ok("add", "-A")
    checkout.ok("commit", "-q", "--no-verify", "-m", "second")
    (checkout.path / ".git" / "hooks" / "pre-commit").unlink()
    # Git tidies up in the background after a commit: whatever is measured next would pay for it.
    checkout.ok("config", "maintenance.auto", "false")
    done = checkout.run(str(SCRIPTS / "pre-commit"), "install")
    assert done.status == 0, f"the pre-commit framework is needed to compare with: {done}"
    return checkout


def _hook(folder: Path, text: str) -> None:
    folder.mkdir()
    hook = folder / "pre-commit"
    hook.write_text(text)
    hook.chmod(0o755)


def _measured(checkout: Checkout) -> Mapping[str, Callable[[], Spent]]:
    folder = checkout.path.parent
    commit = ("git", "commit", "-q", "--allow-empty", "-m", "x")

    def hooks(name: str) -> tuple[str, ...]:
        return ("git", "-c", f"core.hooksPath={folder / name}", *commit[1:])

    return {
        IMPORTS: timed(checkout, sys.executable, "-c", "import click, sqlite3"),
        ONLY_THE_CHECK: timed(checkout, *hooks("only-the-check")),
        GUARDED: timed(checkout, *hooks("guarded")),
        IN_FRAMEWORK: timed(checkout, *commit),
        BARE: timed(checkout, CHECK),
        BARE_HOOK: timed(checkout, BUILDGUARD, "hook", "--", CHECK),
    }


def timed(checkout: Checkout, *argv: str) -> Callable[[], Spent]:
    environment = checkout.env()

    def run() -> Spent:
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            argv, cwd=checkout.path, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        elapsed, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0, (argv, done)
        worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Spent(elapsed * 1000, worked * 1000)

    return run
