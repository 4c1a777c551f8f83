"""The figures of one training run, as its events tell them; plain numbers without a widget."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.runs.story import memory_words

_STATES = {
    "submitted": "queued",
    "requeued": "queued",
    "started": "running",
    "resumed": "running",
    "cancelling": "cancelling",
    "cancelled": "cancelled",
    "failed": "failed",
    "finished": "finished",
}
FIGURES = ("throughput", "learning_rate", "memory", "alignment", "uniformity")
"""Figures of steps and epochs that have a curve of their own, as their events name them."""


class Curve:
    """Values over steps, in the order they came; 16 bytes a point."""

    def __init__(self) -> None:
        self._steps = array("d")
        self._values = array("d")

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, step: float, value: float) -> None:
        """Append one point."""
        self._steps.append(step)
        self._values.append(value)

    def forget_after(self, step: float) -> None:
        """Drop the points of later steps: a resumed run makes them anew."""
        keep = self.steps <= step
        steps, values = self.steps[keep], self.values[keep]
        self._steps, self._values = array("d", steps.tobytes()), array("d", values.tobytes())

    @property
    def steps(self) -> NDArray[np.float64]:
        """Steps (n,), a copy."""
        return np.array(self._steps, dtype=np.float64)

    @property
    def values(self) -> NDArray[np.float64]:
        """Values (n,), a copy; NaN where the trainer had none."""
        return np.array(self._values, dtype=np.float64)


class RunCurves:
    """What one run has told of itself.

    Attributes
    ----------
    loss : Curve
        A point a reported step; NaN where the trainer had none.
    figures : dict of str to Curve
        A point wherever one was told: ``throughput`` (patches/s), ``learning_rate``, ``memory`` (bytes), ``alignment``, ``uniformity``.
    accuracies : dict of str to Curve
        A point an epoch, fractions in [0, 1]: ``kNN``, ``validation``, ``exit 1``, ``exit 2``, …
    epochs_at : dict of int to float
        Last step of every epoch seen.
    state, message : str
        Where it stands, and the last warning or error.
    heard : bool
        Whether any event has come.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.loss = Curve()
        self.figures: dict[str, Curve] = {name: Curve() for name in FIGURES}
        self.accuracies: dict[str, Curve] = {}
        self.epochs_at: dict[int, float] = {}
        self.state = "waiting"
        self.heard = False
        self.message = ""
        self._facts: dict[str, Any] = {}
        self._now: Mapping[str, Any] = {}

    def add(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Take new events of the run's log, in order; unknown ones are passed over."""
        for event in events:
            if event.get("type") == "step":
                self._add_step(event)
            else:
                self._add(event)

    def _add_step(self, event: Mapping[str, Any]) -> None:
        # A long log is nearly all steps, so this is all that is done for one.
        self.heard = True
        if self.state != "cancelling":  # the step that was on its way when the trainer was asked to leave
            self.state = "running"
        step = _number(event.get("step"))
        self.loss.add(step, _number(event.get("loss")))
        self._add_figures(step, event)
        self._now = event

    def _add(self, event: Mapping[str, Any]) -> None:
        kind = event.get("type")
        self.heard = True
        self.state = _STATES.get(str(kind), self.state)
        if kind == "started":
            self.message = ""
        self._facts |= {key: event[key] for key in ("epochs", "total_steps", "seconds") if event.get(key) is not None}
        self._now = {**self._now, **{key: event[key] for key in ("epoch", "step", "loss") if event.get(key) is not None}}
        step = _number(event.get("step"))
        if kind == "epoch":
            self.epochs_at[int(event.get("epoch") or 0)] = step
            self._add_accuracies(step, event)
            self._add_figures(step, event)
        elif kind == "resumed":
            self._forget_after(step)
        elif kind in {"warning", "failed"}:
            self.message = str(event.get("message") or "")

    def _add_figures(self, step: float, event: Mapping[str, Any]) -> None:
        for name, curve in self.figures.items():
            value = event.get(name)
            if value is not None:
                curve.add(step, _number(value))

    def _add_accuracies(self, step: float, event: Mapping[str, Any]) -> None:
        found: dict[str, Any] = {f"exit {number}": value for number, value in enumerate(event.get("exits") or (), start=1)}
        names = {"knn_accuracy": "kNN", "validation_accuracy": "validation", "accuracy": "training"}
        found |= {name: event[key] for key, name in names.items() if event.get(key) is not None}
        for name, value in found.items():
            self.accuracies.setdefault(name, Curve()).add(step, _number(value))

    def _forget_after(self, step: float) -> None:
        if math.isnan(step):
            return
        for curve in (self.loss, *self.figures.values(), *self.accuracies.values()):
            curve.forget_after(step)
        self.epochs_at = {epoch: last for epoch, last in self.epochs_at.items() if last <= step}

    def status(self) -> str:
        """Return one line for a reader: state, epoch, step, loss, speed, time left, memory."""
        last = {**self._facts, **{key: value for key, value in self._now.items() if value is not None}}
        parts = [self.name, self.state]
        if "epoch" in last:
            parts.append(f"epoch {last['epoch']}" + (f" of {last['epochs']}" if "epochs" in last else ""))
        if "step" in last:
            parts.append(f"step {last['step']:,}" + (f" of {last['total_steps']:,}" if "total_steps" in last else ""))
        if "loss" in last:
            parts.append(f"loss {last['loss']:.3f}")
        for name, curve in self.accuracies.items():
            if name in {"kNN", "validation"} and len(curve):
                parts.append(f"{name} {100 * curve.values[-1]:.1f} %")
        if self.state == "running":
            if "throughput" in last:
                parts.append(f"{last['throughput']:,.0f} patches/s")
            if "seconds_left" in last:
                parts.append(f"{duration(last['seconds_left'])} left")
            if "memory" in last:
                parts.append(memory_words(last["memory"]))
        elif self.state == "cancelling":
            parts.append("saving")
        elif self.state == "finished" and "seconds" in last:
            parts.append(f"took {duration(last['seconds'])}")
        return " · ".join(parts)


def smooth(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return the mean of each value (n,) and up to ``window - 1`` before it; NaN are left out of the means."""
    finite = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(finite, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(finite)])
    stop = np.arange(1, len(values) + 1)
    start = np.maximum(0, stop - window)
    inside = counts[stop] - counts[start]
    return np.divide(sums[stop] - sums[start], inside, out=np.full(len(values), np.nan), where=inside > 0)


def thin(steps: NDArray[np.float64], values: NDArray[np.float64], points: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a curve (n,) of about ``points`` points that looks the same: the lowest and the highest of every stretch stay.

    A curve that is short enough is returned as it is; NaN are left out of a long one.
    """
    if len(values) <= points:
        return steps, values
    finite = np.isfinite(values)
    steps, values = steps[finite], values[finite]
    if len(values) <= points:
        return steps, values
    length = -(-len(values) // max(1, points // 2))
    stretches = np.pad(values, (0, -len(values) % length), mode="edge").reshape(-1, length)
    first = np.arange(len(stretches)) * length
    kept = np.unique(np.concatenate([first + stretches.argmin(axis=1), first + stretches.argmax(axis=1)]).clip(max=len(values) - 1))
    return steps[kept], values[kept]


def duration(seconds: float) -> str:
    """Return a time span in the two units that matter: ``45 s``, ``4 min 10 s``, ``2 h 5 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
