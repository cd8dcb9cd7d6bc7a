"""An index lock that stands: whether its owner may still live, and what may be done about it.

Deleting the lock of a live commit makes git commit a tree without files. So deleting is advised only when nobody
can be using it any more, and waiting in any doubt.
"""

import time
from collections.abc import Iterator

from buildguard.git.repository import Repository
from buildguard.setup import bystanders
from buildguard.setup import hookspath as hooksplace
from buildguard.setup.bystanders import Sight
from buildguard.setup.findings import Finding
from buildguard.ui import phrases as words

SURELY_OVER = 300.0
"""Seconds after which a lock that no living process can be seen to hold was left behind."""
_WAIT = "sleep 10 && buildguard doctor"


def findings(repository: Repository) -> Iterator[Finding]:
    """The lock of this work tree's index, if it stands. Raises `GitFault`."""
    lock = repository.git_dir / "index.lock"
    try:
        age = time.time() - lock.stat().st_mtime
    except OSError:
        return
    places = [repository.common_dir, repository.git_dir, *hooksplace.work_trees(repository)]
    there = bystanders.at_work(lock, places)
    what = f"{lock} stands since {words.span(max(0.0, age))}"
    if there.sight is Sight.SOMEBODY:
        yield Finding("index lock", f"{what} and is in use: {there.who}; wait for it", _WAIT)
    elif there.sight is Sight.UNKNOWN:
        yield Finding("index lock", f"{what} and may be in use ({there.who}); wait for it", _WAIT)
    elif age < SURELY_OVER:
        yield Finding("index lock", f"{what}; its owner cannot be seen, wait some minutes to be sure", _WAIT)
    else:
        mend = words.command(["rm", str(lock)])
        yield Finding("index lock", f"{what}, no git runs here and nobody has it open: its owner is dead", mend)
