"""A work tree that lacks a fix, and what may be in the way of picking it."""

from pathlib import Path

from testing.support import Checkout, new_repository

FIX = "Mend the café"


def without_the_fix(tmp_path: Path, base: str = "", change: str = "") -> Checkout:
    """A work tree in which bob has something staged; the main one has a fix that it lacks. Its check waits for the
    gate, if there is one. `base` and `change` are what else a shell is to do before the last commit that both have
    and before the fix."""
    main = new_repository(tmp_path / "repository", tmp_path / "home", "test ! -p ../gate || cat ../gate")
    main.write("app.txt", "".join(f"line {number}\n" for number in range(20)))
    main.write("new and [odd] näme.txt", "old\n")
    main.write("odd.txt", "old\n")
    assert main.run("sh", "-ec", base).status == 0
    main.ok("add", "-A")
    main.ok("commit", "-qm", "base")
    other = main.work_tree("other")
    assert main.run("sh", "-ec", change).status == 0
    fixed(main, "app.txt", main.path.joinpath("app.txt").read_text().replace("line 9\n", "line nine\n"))
    other.write("bob.txt", "bob's\n")
    other.ok("add", "bob.txt")
    return other


def fixed(checkout: Checkout, name: str, text: str) -> None:
    checkout.path.joinpath(name).write_bytes(text.encode())
    checkout.ok("add", "-A")
    checkout.ok("commit", "-qm", FIX, "--author", "Ann <ann@example.org>")


def untouched(here: Checkout) -> tuple[str, ...]:
    asked = (("rev-parse", "HEAD"), ("ls-files", "-s"), ("status", "--porcelain"), ("diff",))
    return tuple(here.ok(*words) for words in asked)


def hook(here: Checkout, name: str, script: str) -> None:
    path = here.path.parent / "repository" / ".git" / "hooks" / name
    path.write_text(f"#!/bin/sh\n{script}")
    path.chmod(0o755)


def slow(here: Checkout, way: str) -> None:
    here.ok("config", "filter.slow.smudge", way)
    (here.path.parent / "repository" / ".git" / "info" / "attributes").write_text("app.txt filter=slow\n")


def conflicting(here: Checkout, *way: str) -> None:
    """Bring git into the middle of something, with conf.txt unmerged and nothing of bob's staged."""
    main = Checkout(here.path.parent / "repository", here.home)
    here.ok("commit", "-q", "--no-verify", "-m", "bob")
    main.ok("checkout", "-qb", "side", "main^")
    for checkout in (main, here):
        checkout.write("conf.txt", f"{checkout.path.name}\n")
        checkout.ok("add", "conf.txt")
        checkout.ok("commit", "-q", "--no-verify", "-m", "conf")
    if way[0] == "revert":
        here.write("conf.txt", "again\n")
        here.ok("commit", "-qam", "again", "--no-verify")
    assert here.git(*way).status == 1
    assert "conf.txt" in here.ok("diff", "--name-only", "--diff-filter=U")
