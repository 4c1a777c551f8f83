"""Accuracy by the distance of a test pixel from the nearest training pixel, and where it falls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import isotonic_regression

FEWEST: Final = 30
"""Test pixels of a stretch of distances whose accuracy counts; smaller ones are joined with the next."""
CLEAR: Final = 0.05
"""How far accuracy must drop for a distance to be told at which it does."""


def by_distance(distance: NDArray[np.floating], right: Mapping[str, NDArray[np.bool_]]) -> list[dict[str, Any]]:
    """Return accuracies by distance, in stretches that double: 1, 2, 3–4, 5–8, 9–16, … pixels.

    Parameters
    ----------
    distance : float array (n,)
        Chebyshev distance in pixels of every test pixel to the nearest training pixel; infinite where its image has none.
    right : mapping of str to bool array (n,)
        By name of the prediction: whether it is right.

    Returns
    -------
    list of dict
        ``from``, ``to`` (pixels, both included; None for images without a training pixel), ``n``, and an accuracy by name.
    """
    rows = []
    finite = np.isfinite(distance)
    stretch = np.ceil(np.log2(np.maximum(distance, 1), where=finite, out=np.full(distance.shape, -1.0))).astype(np.int64)
    for step in np.unique(stretch[finite]).tolist():
        rows.append(_row(1 if step == 0 else 2 ** (step - 1) + 1, 2**step, finite & (stretch == step), right))
    if not finite.all():
        rows.append(_row(None, None, ~finite, right))
    return rows


def falls(distance: NDArray[np.floating], right: NDArray[np.bool_]) -> dict[str, float | None]:
    """Say where accuracy falls with distance.

    Accuracy a stretch of distances is fitted by a curve that never rises, each stretch weighing as many pixels as it has (isotonic
    regression: Barlow and others 1972); near and far are its ends, and in between it is read off linearly.

    Returns
    -------
    dict
        ``near``, ``far`` (accuracies) and ``distance`` (pixels at which the curve is half way between them); all None where test
        pixels lie at hardly more than one distance, ``distance`` alone where accuracy does not fall by 5 points.
    """
    nothing: dict[str, float | None] = {"near": None, "far": None, "distance": None}
    finite = np.isfinite(distance)
    places, accuracies, sizes = _joined(distance[finite], right[finite])
    if places.size < 2:
        return nothing
    curve = isotonic_regression(accuracies, sample_weight=sizes, increasing=False)
    near, far = float(curve[0]), float(curve[-1])
    if near - far < CLEAR:
        return {"near": near, "far": far, "distance": None}
    half = (near + far) / 2
    after = int(np.argmax(curve <= half))
    share = (curve[after - 1] - half) / (curve[after - 1] - curve[after])
    return {"near": near, "far": far, "distance": float(places[after - 1] + share * (places[after] - places[after - 1]))}


def _row(low: int | None, high: int | None, where: NDArray[np.bool_], right: Mapping[str, NDArray[np.bool_]]) -> dict[str, Any]:
    return {"from": low, "to": high, "n": int(where.sum()), **{name: float(hits[where].mean()) for name, hits in right.items()}}


def _joined(distance: NDArray[np.floating], right: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return mean distance, accuracy and size of stretches of `FEWEST` pixels or more; single distances where there are enough pixels."""
    values, code, counts = np.unique(distance, return_inverse=True, return_counts=True)
    ends = _ends(counts)
    if not len(ends):
        return np.zeros(0), np.zeros(0), np.zeros(0)
    starts = [0, *ends[:-1]]
    hits = np.bincount(code, weights=right, minlength=values.size)
    sizes = np.add.reduceat(counts.astype(np.float64), starts)
    return np.add.reduceat(values * counts, starts) / sizes, np.add.reduceat(hits, starts) / sizes, sizes


def _ends(counts: NDArray[np.integer]) -> list[int]:
    """Return where stretches end (excluded); what is left over at the end goes to the last one."""
    ends, total = [], 0
    for place, count in enumerate(counts.tolist(), start=1):
        total += count
        if total >= FEWEST:
            ends.append(place)
            total = 0
    if ends:
        ends[-1] = len(counts)
    return ends
