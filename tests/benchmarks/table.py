"""What the benchmarks share: measuring in turn, and a table that says which targets were reached."""

import math
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure, and beside it its ratio to the table's baseline. `most` and `most_ratio` are what may not be
    exceeded; None where nothing was promised."""

    what: str
    value: float
    unit: str
    ratio: float
    most: float | None = None
    most_ratio: float | None = None

    @property
    def target(self) -> str:
        """What was to be reached, in words; empty where nothing was."""
        if self.most is not None:
            return f"at most {self.most:g} {self.unit}"
        return f"at most {self.most_ratio:g} x" if self.most_ratio is not None else ""

    @property
    def too_slow(self) -> bool:
        """Whether the figure itself exceeds what was to be reached: on a busy machine it may."""
        return self.most is not None and self.value > self.most

    @property
    def too_dear(self) -> bool:
        """Whether the ratio does, which no other load excuses."""
        return self.most_ratio is not None and self.ratio > self.most_ratio


@dataclass(frozen=True, slots=True)
class Table:
    """All figures of one benchmark."""

    title: str
    rows: tuple[Row, ...]

    def missed(self, busy: bool) -> bool:
        """Whether any target was not reached; on a `busy` machine only the ratios count."""
        return any(row.too_dear or (row.too_slow and not busy) for row in self.rows)

    def __str__(self) -> str:
        """The table in Markdown."""
        lines = [f"{self.title}\n", "| what | figure | ratio | target | |", "| --- | ---: | ---: | --- | --- |"]
        for row in self.rows:
            end = "MISSED" if row.too_slow or row.too_dear else "reached" if row.target else ""
            lines.append(f"| {row.what} | {row.value:.2f} {row.unit} | {row.ratio:.2f} | {row.target} | {end} |")
        return "\n".join(lines)


def in_turn(measured: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Measure A B C, B C A, …: whatever else the machine does then falls on all of them alike, and so does what
    each leaves behind for the next. The first round only fills the caches."""
    found: dict[str, list[T]] = {name: [] for name in measured}
    names = list(measured)
    chance = random.Random(1)
    for number in range(rounds + 1):
        chance.shuffle(names)
        for name in names:
            took = measured[name]()
            if number:
                found[name].append(took)
    return found


def milliseconds(work: Callable[[], object]) -> float:
    """How long that took."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` of all do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]
