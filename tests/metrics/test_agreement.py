"""What is said of two maps: counted by hand, and intervals that know of neighbours."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.metrics.agreement import accuracy_difference, class_agreement, differences, pair_classes

A = np.array([[1, 1, 2], [2, 5, 0]])
B = np.array([[1, 2, 2], [5, 5, 5]])
CLASSES = Classes.of([1, 2, 5, 7], {1: "clay", 2: "chalk", 5: "coal", 7: "sand"})


def test_classes_are_counted_where_both_maps_say_something():
    rows = {row["name"]: row for row in class_agreement(A, B, CLASSES)}
    assert rows["clay"] == {"number": 1, "name": "clay", "first": 2, "second": 1, "both": 1, "overlap": 0.5}
    assert rows["chalk"] == {"number": 2, "name": "chalk", "first": 2, "second": 2, "both": 1, "overlap": pytest.approx(1 / 3)}
    assert rows["coal"] == {"number": 5, "name": "coal", "first": 1, "second": 2, "both": 1, "overlap": 0.5}
    assert "sand" not in rows


@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_every_pixel_that_differs_is_in_one_pair(seed, most):
    """Else a difference would be seen on the canvas and missing in the table, or the other way round."""
    a, b = np.random.default_rng(seed).integers(0, 6, size=(2, 9, 11))
    image, pairs = differences(a, b, most)
    differ = (a != 0) & (b != 0) & (a != b)
    np.testing.assert_array_equal(image > 0, differ)
    assert len(pairs) <= most
    assert [pixels for _, _, pixels in pairs] == np.bincount(image.ravel(), minlength=len(pairs) + 1)[1:].tolist()
    for number, (first, second, _) in enumerate(pairs, start=1):
        if first:
            assert (a[image == number] == first).all()
            assert (b[image == number] == second).all()
    named = [pixels for first, _, pixels in pairs if first]
    assert named == sorted(named, reverse=True), "the most frequent first"


def test_the_legend_says_who_says_what():
    image, pairs = differences(A, B, 2)
    assert pairs == [(1, 2, 1), (2, 5, 1)]
    assert image.tolist() == [[0, 1, 0], [2, 0, 0]]
    assert pair_classes(pairs, CLASSES).names == ("clay → chalk", "chalk → coal")
    legend = pair_classes([(1, 2, 3), (8, 1, 2), (0, 0, 9)], CLASSES)
    assert legend.names == ("clay → chalk", "class 8 → clay", "other pairs")
    assert legend.numbers == (1, 2, 3)


def test_blocks_make_the_interval_as_wide_as_dependence_makes_it():
    """Else thousands of neighbours that share one error would pass for thousands of witnesses."""
    generator = np.random.default_rng(3)
    truth = np.ones((96, 96), dtype=int)
    right = np.kron(generator.random((2, 12, 12)) < 0.7, np.ones((1, 8, 8), dtype=bool))
    a, b = np.where(right, 1, 2)
    blocks = accuracy_difference(a, b, truth, block=8)
    pixels = accuracy_difference(a, b, truth, block=1)
    assert blocks["difference"] == pixels["difference"] == (a == truth).mean() - (b == truth).mean()
    assert blocks["low"] < blocks["difference"] < blocks["high"]
    assert (blocks["blocks"], pixels["blocks"], blocks["n"]) == (144, 96 * 96, 96 * 96)
    assert blocks["high"] - blocks["low"] > 5 * (pixels["high"] - pixels["low"])
    # Of 144 independent blocks the difference of two shares has this standard error.
    gain = (right[0, ::8, ::8].astype(float) - right[1, ::8, ::8]).ravel()
    assert blocks["high"] - blocks["low"] == pytest.approx(2 * 1.96 * gain.std() / 12, rel=0.1)


def test_few_blocks_give_no_interval_and_strange_shapes_are_refused():
    found = accuracy_difference(A, B, np.ones_like(A), block=24)
    assert found["low"] is None
    assert found["high"] is None
    assert found["blocks"] == 1
    with pytest.raises(LabelError, match="expected the same"):
        accuracy_difference(A, B[:, :2], np.ones_like(A))


def test_five_blocks_are_enough_for_an_interval_and_the_seed_decides_it():
    truth = np.ones((4, 20), dtype=int)
    a, b = np.random.default_rng(5).integers(1, 3, (2, 4, 20))
    found = accuracy_difference(a, b, truth, block=4)
    assert found["blocks"] == 5
    assert found["block"] == 4
    assert found["low"] <= found["difference"] <= found["high"]
    assert (found["first"], found["second"]) == ((a == 1).mean(), (b == 1).mean())
    assert found == accuracy_difference(a, b, truth, block=4, seed=0)
    assert found != accuracy_difference(a, b, truth, block=4, seed=1)
    assert accuracy_difference(a[:, :16], b[:, :16], truth[:, :16], block=4)["low"] is None
