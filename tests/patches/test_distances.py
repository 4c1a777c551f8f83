"""Accuracy by distance against a loop, and the distance of a fall that is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hsi_ssl.patches.distances import by_distance, falls

EDGES = ((1, 1), (2, 2), (3, 4), (5, 8), (9, 16), (17, 32), (33, 64))


@settings(max_examples=50, deadline=None)
@given(places=st.lists(st.integers(1, 64), min_size=1, max_size=200), elsewhere=st.integers(0, 5), seed=st.integers(0, 99))
def test_stretches_equal_a_loop(places, elsewhere, seed):
    distance = np.array([*places, *[np.inf] * elsewhere], dtype=float)
    right = np.random.default_rng(seed).random(distance.size) < 0.5
    expected = []
    for low, high in EDGES:
        inside = [bool(hit) for place, hit in zip(distance, right, strict=True) if low <= place <= high]
        if inside:
            expected.append((low, high, len(inside), sum(inside) / len(inside)))
    if elsewhere:
        expected.append((None, None, elsewhere, float(right[-elsewhere:].mean())))
    found = [(row["from"], row["to"], row["n"], row["one"]) for row in by_distance(distance, {"one": right})]
    assert found == expected


def test_a_known_fall_is_found():
    """All right up to 10 pixels, a third beyond 20, a straight line between: half way lies at 15."""
    generator = np.random.default_rng(0)
    distance = np.repeat(np.arange(1, 41), 2000).astype(float)
    chance = np.interp(distance, [10, 20], [1, 1 / 3])
    found = falls(distance, generator.random(distance.size) < chance)
    assert found["near"] == pytest.approx(1, abs=0.01)
    assert found["far"] == pytest.approx(1 / 3, abs=0.03)
    assert found["distance"] == pytest.approx(15, abs=0.7)


def test_no_distance_is_told_where_accuracy_holds_or_distances_are_all_alike():
    distance = np.repeat(np.arange(1, 21), 500).astype(float)
    even = np.random.default_rng(1).random(distance.size) < 0.7
    assert falls(distance, even)["distance"] is None
    assert falls(distance, even)["far"] == pytest.approx(0.7, abs=0.03)
    assert falls(np.full(500, 3.0), even[:500]) == {"near": None, "far": None, "distance": None}
    assert falls(np.full(500, np.inf), even[:500]) == {"near": None, "far": None, "distance": None}
    assert falls(np.arange(1.0, 11.0), np.arange(10) < 5) == {"near": None, "far": None, "distance": None}, "ten pixels tell nothing"


def test_accuracy_that_rises_with_distance_does_not_fall():
    distance = np.repeat(np.arange(1, 21), 500).astype(float)
    rising = np.random.default_rng(2).random(distance.size) < distance / 20
    assert falls(distance, rising)["distance"] is None


def test_thirty_pixels_make_a_stretch_and_what_is_left_joins_the_last():
    right = np.repeat([True, False], [30, 30])
    assert falls(np.repeat([1.0, 2.0], 30), right) == {"near": 1.0, "far": 0.0, "distance": 1.5}
    assert falls(np.repeat([1.0, 2.0], [30, 29]), right[:59])["distance"] is None
    found = falls(np.repeat([1.0, 4.0, 7.0], [30, 30, 10]), np.repeat([True, False, True], [30, 30, 10]))
    assert (found["near"], found["far"]) == (1.0, 0.25)
    assert found["distance"] == pytest.approx(1 + 0.5 * (4.75 - 1))
