"""`buildguard doctor` on locks of git's that stand: since when, how to look, and never a word of deleting."""

import os
import time
from pathlib import Path

import pytest
from testing.doctor import findings
from testing.support import Checkout

ALL = "ps -A -o pid,user,etime,args"


def old_lock(checkout: Checkout, name: str = "index.lock") -> Path:
    """A lock that was left behind an hour ago."""
    lock = Path(checkout.ok("rev-parse", "--path-format=absolute", "--git-path", name))
    lock.write_bytes(b"")
    an_hour_ago = time.time() - 3600
    os.utime(lock, (an_hour_ago, an_hour_ago))
    return lock


@pytest.mark.parametrize(
    "name", ["index.lock", "HEAD.lock", "refs/heads/main.lock", "packed-refs.lock", "config.lock"]
)
def test_a_lock_that_stands_is_told_with_its_age_and_a_way_to_look(checkout: Checkout, name: str) -> None:
    lock = old_lock(checkout, name)
    finding = findings(checkout)[name]
    assert finding["what"].startswith(f"{lock} stands since 60 min; ")
    assert finding["next"] == ALL
    assert checkout.run("sh", "-c", ALL).status == 0
    assert lock.exists()


def test_the_lock_of_another_work_tree_is_its_own_affair(checkout: Checkout) -> None:
    linked = checkout.work_tree("linked")
    old_lock(linked)
    assert findings(checkout) == {}
    assert findings(linked).keys() == {"index.lock"}


def test_a_lock_from_the_future_is_told_too(checkout: Checkout) -> None:
    lock = old_lock(checkout)
    os.utime(lock, (time.time() + 3600, time.time() + 3600))
    assert "stands since 0.0 s" in findings(checkout)["index.lock"]["what"]
