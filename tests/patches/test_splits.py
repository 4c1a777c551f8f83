"""Splits of label images: complete, balanced, guarded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_hsi_ssl.errors import ConfigError, LabelError
from napari_hsi_ssl.patches.audit import audit
from napari_hsi_ssl.patches.splits import group_numbers, split_labels


def field_image(seed=0, side=80, classes=4):
    """Labels like a land-cover map: patches of classes in gaps-ridden numbers, with unlabelled pixels between."""
    generator = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(generator.normal(size=(classes + 1, side, side)), (0, 4, 4))
    return (noise.argmax(axis=0) * 3).astype(np.uint8)


def chebyshev_gap(train, test):
    """The smallest Chebyshev distance between a train and a test pixel, by looking at every pair."""
    a, b = np.argwhere(train), np.argwhere(test)
    return min(int(np.abs(a - pixel).max(axis=1).min()) for pixel in b)


@settings(max_examples=30, deadline=None)
@given(
    kind=st.sampled_from(["random", "blocks", "fields"]), folds=st.integers(2, 5), guard=st.integers(0, 4), block=st.integers(4, 20), seed=st.integers(0, 99)
)
def test_each_pixel_is_tested_once_and_never_learned_in_the_same_fold(kind, folds, guard, block, seed):
    labels = field_image(seed, side=48)
    try:
        splits = split_labels(labels, kind, block=block, guard=guard, folds=folds, seed=seed)
    except LabelError as error:  # small blocks under a wide guard; that sentence has a test of its own
        assume("leaves no training pixel" not in str(error))
        raise
    assert len(splits) == folds
    np.testing.assert_array_equal(sum(test for _, test in splits), labels)
    for train, test in splits:
        assert train.any()
        assert test.any()
        assert not ((train != 0) & (test != 0)).any()
        assert np.isin(train[train != 0], labels).all()
        np.testing.assert_array_equal(train[train != 0], labels[train != 0])
        if kind == "random":
            np.testing.assert_array_equal(train + test, labels)
        else:
            assert chebyshev_gap(train, test) > guard
            # Nothing is dropped that need not be.
            reach = ndimage.maximum_filter(test != 0, size=2 * guard + 1, mode="constant")
            np.testing.assert_array_equal(train != 0, (labels != 0) & ~reach)


def test_random_folds_are_stratified():
    labels = field_image()
    for _, test in split_labels(labels, "random", folds=4):
        for number in (3, 6, 9, 12):
            assert (test == number).sum() == pytest.approx((labels == number).sum() / 4, abs=1)
    for train, _ in split_labels(labels, "random", folds=3, share=0.9):
        for number in (3, 6, 9, 12):
            assert (train == number).sum() == pytest.approx(0.1 * (labels == number).sum(), abs=1)


def test_blocks_and_fields_stay_whole():
    labels = field_image(1)
    for _, test in split_labels(labels, "blocks", block=16, folds=4, guard=0):
        for y in range(0, 80, 16):
            for x in range(0, 80, 16):
                here = labels[y : y + 16, x : x + 16] != 0
                assert (test[y : y + 16, x : x + 16][here] != 0).all() or not test[y : y + 16, x : x + 16].any()
    for _, test in split_labels(labels, "fields", folds=3, guard=0):
        for number in (3, 6, 9, 12):
            fields, count = ndimage.label(labels == number, structure=np.ones((3, 3)))
            for field in range(1, count + 1):
                assert np.unique(test[fields == field] != 0).size == 1


def test_blocks_keep_the_classes_balanced():
    """Random dealing alone often leaves a fold without a class that lies in many blocks."""
    labels = field_image(2, side=160)
    for seed in range(5):
        for train, test in split_labels(labels, "blocks", block=16, guard=2, folds=4, seed=seed):
            assert np.unique(train).tolist() == np.unique(test).tolist()
            assert (test != 0).sum() == pytest.approx((labels != 0).sum() / 4, rel=0.35)


def test_seed_decides():
    labels = field_image()
    for kind in ("random", "blocks", "fields"):
        first, again, other = (split_labels(labels, kind, block=10, guard=0, seed=seed)[0][1] for seed in (0, 0, 1))
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()


def test_a_guard_of_a_window_less_one_leaves_no_overlap():
    """The sentence in the documentation, checked with the audit."""
    labels = field_image(3)
    for train, test in split_labels(labels, "blocks", block=40, guard=8, folds=2):
        assert audit(train, test, 9)["overlap_share"] == 0
        assert audit(train, test, 11)["overlap_share"] > 0


def test_few_labels_a_class():
    for train, _ in split_labels(field_image(), "blocks", block=20, guard=2, per_class=10):
        numbers, counts = np.unique(train[train != 0], return_counts=True)
        assert numbers.tolist() == [3, 6, 9, 12]
        assert (counts == 10).all()


@pytest.mark.parametrize(
    ("labels", "options", "error", "words"),
    [
        ([[0, 5]], {}, LabelError, r"1 labelled pixel\(s\)"),
        ([[5, 5, 5]], {}, LabelError, r"one class \(5\)"),
        ([1, 2], {}, LabelError, r"shape \(2,\)"),
        ([[1, np.nan]], {}, LabelError, "NaN"),
        ([[1, 2]], {"folds": 2}, LabelError, "lie in 1 blocks"),
        ([[1, 2]], {"block": 1, "folds": 2}, LabelError, "guard of 16 pixels leaves no training pixel in fold 1 of 2"),
        ([[1, 2]], {"kind": "random", "folds": 3}, LabelError, "2 labelled pixels do not fill 3 folds"),
        ([[1, 2]], {"folds": 1}, ConfigError, "folds is 1, expected at least 2"),
        ([[1, 2]], {"block": 0}, ConfigError, "block is 0"),
        ([[1, 2]], {"guard": -1}, ConfigError, "guard is -1"),
        ([[1, 2]], {"per_class": 0}, ConfigError, "per_class is 0, expected at least 1"),
        ([[1, 2]], {"kind": "random", "share": 1.0}, ConfigError, "between 0 and 1"),
        ([[1, 2]], {"kind": "random", "share": 0.0}, ConfigError, "between 0 and 1"),
        ([[1, 2]], {"kind": "blocks", "share": 0.5}, ConfigError, "for random alone"),
        ([[1, 2]], {"kind": "circles"}, ConfigError, "kind of split is 'circles'"),
    ],
)
def test_bad_input_is_named(labels, options, error, words):
    with pytest.raises(error, match=words):
        split_labels(np.array(labels), **options)


def test_what_is_not_said_is_as_documented():
    labels = field_image(4, side=160)
    plain = split_labels(labels)
    for one, other in zip(plain, split_labels(labels, "blocks", block=36, guard=16, folds=4, seed=0), strict=True):
        for side, expected in zip(one, other, strict=True):
            np.testing.assert_array_equal(side, expected)
            assert side.dtype == np.int32
    assert len(plain) == 4


@pytest.mark.parametrize(("share", "tested"), [(0.1, {2: 1, 3: 1, 10: 1}), (0.5, {2: 1, 3: 2, 10: 5}), (0.9, {2: 1, 3: 2, 10: 9})])
def test_a_share_leaves_a_pixel_on_each_side(share, tested):
    labels = np.repeat([1, 2, 3], [2, 3, 10])[None]
    ((train, test),) = split_labels(labels, "random", share=share, folds=1)
    for number, size in ((1, 2), (2, 3), (3, 10)):
        assert (test == number).sum() == tested[size]
        assert (train == number).sum() == size - tested[size]


def test_no_two_blocks_or_fields_have_one_number():
    assert np.unique(group_numbers(np.ones((10, 25), dtype=int), "blocks", 4)).size == 3 * 7
    labels = np.array([[1, 0, 2, 2], [0, 1, 0, 0], [1, 0, 0, 2]])
    numbers = group_numbers(labels, "fields", 4)
    assert sorted(np.unique(numbers[labels != 0], return_counts=True)[1]) == [1, 2, 3], "corners touch"
    assert not numbers[labels == 0].any()
