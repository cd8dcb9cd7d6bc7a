"""What `buildguard doctor` finds: one line each, how much it matters, and the command that mends it."""

from dataclasses import dataclass
from enum import Enum
from typing import Any


class Weight(Enum):
    """Whether a finding keeps buildguard from doing its work, or is only good to know."""

    IN_THE_WAY = "in the way"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `mend` is a command that can be run as it stands, or None where there is none."""

    name: str
    what: str
    mend: str | None
    weight: Weight = Weight.IN_THE_WAY

    @property
    def line(self) -> str:
        """It in one line."""
        mend = f"; mend it with: {self.mend}" if self.mend else ""
        if self.weight is Weight.NOTE:
            better = f"; better: {self.mend}" if self.mend else ""
            return f"note: {self.name}: {self.what}{better}"
        return f"{self.name}: {self.what}{mend}"

    @property
    def facts(self) -> dict[str, Any]:
        """It as `--json` shows it."""
        return {"name": self.name, "weight": self.weight.value, "what": self.what, "next": self.mend}
