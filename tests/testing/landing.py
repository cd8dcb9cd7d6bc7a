"""A fix that has been made and not committed, and the ways in which it comes into a branch."""

from testing.breakage import RUN, broken_base, history
from testing.support import BUILDGUARD, Checkout, Following

MENDED = "fine again\n"


def mended(shared: Checkout, **more: str) -> Checkout:
    """A base that arrived broken and one more commit of alice's; she has claimed the fix, made it, and it passes.
    Bob has the breakage, too. His work tree."""
    broken_base(shared)
    other = shared.work_tree("other")
    shared.write("alice.txt", "alice\n")
    shared.ok("add", "-A")
    shared.ok("commit", "-q", "--no-verify", "-m", "alice")
    assert shared.buildguard(*RUN, agent="alice").status == 1
    assert other.buildguard(*RUN, agent="bob").status == 75
    for name, text in {"app.txt": MENDED, **more}.items():
        shared.write(name, text)
    passed = shared.buildguard(*RUN, agent="alice")
    line = f"what changed since it failed is not committed: {', '.join(('app.txt', *more))}; claim 1 is still yours"
    assert (passed.status, line in passed.out) == (0, True), passed
    return other


def last_fix(checkout: Checkout) -> dict[str, object]:
    return next(event for event in reversed(history(checkout)) if event["kind"] == "fixed")


def waits(other: Checkout, agent: str = "bob") -> Following:
    """An agent that waits for alice."""
    waiter = Following(other.start(BUILDGUARD, "wait", agent=agent))
    waiter.says("waiting: alice is fixing")
    return waiter


# Ways in which a fix comes into a branch; git runs no hook for most of them


def topic(shared: Checkout, start: str) -> str:
    """A commit with the fix, which is nobody's HEAD; the fixer's own edit is put away."""
    name = "topic"
    place = Checkout(shared.path.parent / name, shared.home)
    shared.ok("worktree", "add", "-q", "-b", name, str(place.path), start)
    place.write("app.txt", MENDED)
    place.ok("commit", "-q", "--no-verify", "-am", "fix")
    shared.ok("checkout", "-q", "--", "app.txt")
    return name


def by_a_commit(shared: Checkout) -> None:
    shared.ok("commit", "-qam", "fix", agent="alice")


def past_the_hook(shared: Checkout) -> None:
    shared.ok("commit", "-q", "--no-verify", "-am", "fix")


def by_an_amend(shared: Checkout) -> None:
    shared.ok("commit", "-q", "--no-verify", "-a", "--amend", "-m", "alice, and the fix")


def by_a_merge(shared: Checkout) -> None:
    shared.ok("merge", "-q", "--ff-only", topic(shared, "main"))


def by_a_merge_commit(shared: Checkout) -> None:
    shared.ok("merge", "-q", "--no-ff", "-m", "merge", topic(shared, "main"))


def by_a_pull(shared: Checkout) -> None:
    name = topic(shared, "main")
    shared.ok("clone", "-q", "--bare", ".", "../origin.git")
    shared.ok("pull", "-q", "../origin.git", name)


def by_mail(shared: Checkout) -> None:
    patch = shared.ok("format-patch", "-1", "--stdout", topic(shared, "main"))
    shared.write("../fix.patch", patch + "\n")
    shared.ok("am", "-q", "../fix.patch")


def by_a_rebase(shared: Checkout) -> None:
    shared.ok("rebase", "-q", topic(shared, "main~1"))


def by_a_pick(shared: Checkout) -> None:
    shared.ok("cherry-pick", topic(shared, "main"))


def by_a_reset(shared: Checkout) -> None:
    shared.ok("reset", "-q", "--hard", topic(shared, "main"))


WAYS = [
    by_a_commit,
    past_the_hook,
    by_an_amend,
    by_a_merge,
    by_a_merge_commit,
    by_a_pull,
    by_mail,
    by_a_rebase,
    by_a_pick,
    by_a_reset,
]
