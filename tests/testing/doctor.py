"""What `buildguard doctor` finds, and that it changes nothing."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from testing.support import Checkout

AGENT = "tester"


def state(folder: Path) -> dict[str, tuple[str, bytes, int]]:
    """Every file below a folder but coordination's own: its name, bytes and mode."""
    return {
        str(path.relative_to(folder)): (str(path.readlink()), b"", 0)
        if path.is_symlink()
        else ("", path.read_bytes(), path.stat().st_mode)
        for path in folder.rglob("*")
        if (path.is_symlink() or path.is_file()) and not path.is_relative_to(folder / ".git/buildguard")
    }


def findings(checkout: Checkout, **variables: str) -> Mapping[str, Mapping[str, str]]:
    """What doctor finds, by name; its status and its next command agree with that, and nothing has changed but for
    coordination's own files."""
    before = state(checkout.path)
    done = checkout.buildguard("doctor", "--json", agent=AGENT, **variables)
    assert state(checkout.path) == before
    told = json.loads(done.out)
    serious = [finding for finding in told["findings"] if finding["weight"] == "in the way"]
    assert (done.status, told["next"]) == ((1, serious[0]["next"]) if serious else (0, None)), done
    found = {finding["name"]: finding for finding in told["findings"]}
    assert len(found) == len(told["findings"])
    assert not [finding for finding in found.values() if re.search(r"\brm\b", str(finding))]
    return found
