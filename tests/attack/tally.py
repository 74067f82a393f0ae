"""Counts what the attacks did and what came of them, for the lines at the end of the suite."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

# Each must stay at 0: damage that nobody told, a traceback on the screen, a folder that its own advice did not heal.
FAULTS = ("silent", "tracebacks", "unhealed", "other")


@dataclass
class Tally:
    """Attacks by piece, and faults by kind."""

    attacks: Counter[str] = field(default_factory=Counter)
    faults: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in FAULTS})

    def add(self, piece: str, count: int = 1) -> None:
        """Count attacks of a piece."""
        self.attacks[piece] += count

    def check(self, kind: str, found: Collection[str]) -> None:
        """Count faults of a kind, and fail where there are some."""
        self.faults[kind] += found
        assert not found, f"{kind}: {list(found)}"

    def lines(self) -> list[str]:
        """Write the counts, and each fault."""
        pieces = ", ".join(f"{name} {count:,}" for name, count in sorted(self.attacks.items()))
        faults = ", ".join(f"{kind} {len(found)}" for kind, found in self.faults.items())
        total = sum(self.attacks.values())
        listed = [f"{kind}: {one}" for kind, found in self.faults.items() for one in found]
        return [f"attacks: {total:,} ({pieces})", faults, *listed]


TALLY = Tally()
