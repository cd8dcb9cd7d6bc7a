"""The lines of the live screen, from the state as it is."""

from testing.heart import HERE

from buildguard.claims.model import Breakage, Claim, Snapshot, State
from buildguard.ui.phrases import status
from buildguard.ui.watch import Scene, lines

NOW = 1_800_000_000.0


def styles(silent: float) -> dict[str, str]:
    """The style of each line whose fixer has been silent for so many of its 900 seconds."""
    claim = Claim("ann", HERE, NOW - 1000, NOW - silent, 900.0, 3600.0)
    state = State(HERE, 1, 1, breakage=Breakage("pytest", NOW - 1000, failures=tuple("abcdef"), claim=claim))
    views = Snapshot({HERE: state}, now=NOW).views()
    return dict(lines(Scene(status(views[0], NOW, HERE, "default"), views, NOW, [], [], HERE)))


def of_the_fixer(silent: float) -> tuple[str, str]:
    ((line, style),) = [(line, style) for line, style in styles(silent).items() if "is fixing" in line]
    return line, style


def test_the_fixer_is_yellow_when_half_of_its_time_is_over_and_then_red() -> None:
    assert of_the_fixer(449.0)[1] == "bold"
    assert of_the_fixer(451.0)[1] == "black on yellow"
    line, style = of_the_fixer(900.0)
    assert ("stale: no sign of life" in line, style) == (True, "white on red")


def test_three_ids_are_shown_and_the_rest_is_counted() -> None:
    shown = [line for line, style in styles(1.0).items() if style == "red"]
    assert shown == ["failing: a", "failing: b", "failing: c", "failing: 3 more"]
