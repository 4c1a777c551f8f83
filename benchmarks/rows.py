"""What every measurement of the suite gives: this project and one rival at the same task, with spread, memory and the answers' agreement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from peers.common import peak_mb, timed


@dataclass(frozen=True)
class Row:
    """One task, done by this project and by one rival.

    Attributes
    ----------
    task : str
        To which task of the suite it belongs.
    what, rival : str
        What was done, and who did it besides; "" where nobody else can be asked.
    ours, theirs : dict or None
        ``median``, ``q1``, ``q3``, ``lowest``, ``highest``, ``count``; None where it was not measured.
    unit : str
        Of both.
    memory_mb : dict of str to float
        Private memory added at the peak, of "ours" and "theirs".
    agreement : dict of str to float
        How far the answers agree, and how good they are.
    reason : str
        Why a figure is missing.
    """

    task: str
    what: str
    rival: str
    ours: dict[str, float] | None
    theirs: dict[str, float] | None
    unit: str = "s"
    memory_mb: dict[str, float] = field(default_factory=dict)
    agreement: dict[str, float] = field(default_factory=dict)
    reason: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times theirs is ours; above 1 this project is better."""
        return self.theirs["median"] / self.ours["median"] if self.ours and self.theirs and self.ours["median"] > 0 else None

    @property
    def band(self) -> tuple[float, float] | None:
        """The ratio at the quartiles: theirs at their best against ours at its worst, and the other way round."""
        if self.ratio is None:
            return None
        return self.theirs["q1"] / max(self.ours["q3"], 1e-12), self.theirs["q3"] / max(self.ours["q1"], 1e-12)  # type: ignore[index]

    def as_json(self) -> dict[str, Any]:
        """Return it with its ratio, as it is recorded."""
        return {**asdict(self), "ratio": self.ratio, "ratio_band": self.band}

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> Row:
        """Return what `as_json` gave."""
        return cls(**{name: kept[name] for name in cls.__dataclass_fields__})


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """Return median, quartiles and ends of some figures; None of none."""
    if not len(values):
        return None
    names = ("lowest", "q1", "median", "q3", "highest")
    return {**dict(zip(names, np.percentile(values, (0, 25, 50, 75, 100)).tolist(), strict=True)), "count": len(values)}


@dataclass(frozen=True, eq=False)
class Taken:
    """What one way gave: its last result, the seconds of every turn, and the private memory it added at its peak."""

    found: Any
    seconds: list[float]
    mb: float | None = None


LONG = 2.0
"""Seconds from which a first turn counts: it needs no warming up."""


def in_turn(ways: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, Taken]:
    """Let several ways of doing the same take turns, so that a busy moment hits all alike; a first turn of each watches memory, and warms up."""
    taken: dict[str, Taken] = {}
    for name, way in ways.items():
        (found, seconds), mb = peak_mb(lambda way=way: timed(way))
        taken[name] = Taken(found, [seconds] if seconds > LONG else [], mb)
    for _ in range(repeats):
        for name, way in ways.items():
            if len(taken[name].seconds) < repeats:
                taken[name].seconds.append(timed(way)[1])
    return taken


def compared(task: str, what: str, ours: Taken, theirs: Mapping[str, Taken], agreement: Callable[[Any, Any], dict[str, float]], unit: str = "s") -> list[Row]:
    """Return a row for each rival, its answer compared with ours."""
    rows = []
    for name, taken in theirs.items():
        memory_mb = {who: one.mb for who, one in (("ours", ours), ("theirs", taken)) if one.mb is not None}
        rows.append(Row(task, what, name, spread(ours.seconds), spread(taken.seconds), unit, memory_mb, agreement(ours.found, taken.found)))
    return rows
