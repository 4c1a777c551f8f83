"""Folds of one or several label images: apart by the guard, counted, repeatable, and honest about what they cannot score."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_hsi_ssl.config import SplitConfig
from napari_hsi_ssl.errors import ConfigError, LabelError
from napari_hsi_ssl.patches.audit import audit
from napari_hsi_ssl.patches.folds import in_one_place, make_folds
from napari_hsi_ssl.patches.splits import split_labels
from tests.patches.test_splits import chebyshev_gap, field_image

TILES = {f"tile{number}": field_image(number, side=24) for number in range(7)}


def parts(fold, image="a"):
    shape = next(iter(fold.test.values())).shape
    return fold.parts(image, shape)


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(["blocks", "fields"]), folds=st.integers(2, 4), guard=st.integers(0, 3), per_class=st.sampled_from([None, 7]), seed=st.integers(0, 99)
)
def test_the_three_parts_are_apart_by_the_guard(kind, folds, guard, per_class, seed):
    labels = field_image(seed, side=56)
    config = SplitConfig(kind=kind, block=12, guard=guard, folds=folds, validation=True, per_class=per_class, seed=seed)
    try:
        found = make_folds({"a": labels}, config)
    except LabelError as error:
        assume("leaves no" not in str(error) and "leaves nothing" not in str(error))
        assume("has a training pixel" not in str(error))
        raise
    for fold in found:
        train, test, held = parts(fold)
        for part in (train, test, held):
            assert part.any()
            np.testing.assert_array_equal(part[part != 0], labels[part != 0])
        assert chebyshev_gap(train, test) > guard
        assert chebyshev_gap(train, held) > guard
        assert not ((test != 0) & (held != 0)).any()
        assert set(np.unique(test)) <= set(np.unique(train))
        assert set(np.unique(held)) <= set(np.unique(train))
        if per_class is not None:
            assert max(np.unique(train[train != 0], return_counts=True)[1]) <= per_class


def test_without_options_the_folds_are_those_of_the_plain_split():
    labels = field_image(3)
    plain = split_labels(labels, "blocks", block=16, guard=4, folds=4, seed=2)
    for fold, (train, test) in zip(make_folds({"a": labels}, SplitConfig(block=16, guard=4, seed=2)), plain, strict=True):
        np.testing.assert_array_equal(fold.train["a"], train)
        np.testing.assert_array_equal(fold.test["a"], test)
        assert fold.not_scored == {}


def test_a_repeat_is_the_same_with_the_next_seed():
    labels = {"a": field_image(4)}
    several = make_folds(labels, SplitConfig(block=16, guard=2, folds=2, repeats=3, validation=True, per_class=9, seed=5))
    assert [(fold.repeat, fold.number) for fold in several] == [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2)]
    again = make_folds(labels, SplitConfig(block=16, guard=2, folds=2, validation=True, per_class=9, seed=7))
    for one, other in zip(several[4:], again, strict=True):
        for side, expected in zip(parts(one), parts(other), strict=True):
            np.testing.assert_array_equal(side, expected)
    assert (several[0].test["a"] != several[2].test["a"]).any()


def test_counts_a_class_leave_the_rest_to_the_test():
    labels = field_image(5)
    (fold,) = make_folds({"a": labels}, SplitConfig(kind="random", per_class=10))
    train, test, _ = parts(fold)
    np.testing.assert_array_equal(train + test, labels)
    assert (np.unique(train[train != 0], return_counts=True)[1] == 10).all()
    (fold,) = make_folds({"a": labels}, SplitConfig(kind="random", per_class=10, validation=True, test_per_class=20))
    train, test, held = parts(fold)
    for part, count in ((train, 10), (held, 10), (test, 20)):
        assert (np.unique(part[part != 0], return_counts=True)[1] == count).all()
    assert not ((train != 0) & (held != 0)).any()


def test_counts_a_class_go_over_all_images_together():
    (fold,) = make_folds(TILES, SplitConfig(kind="random", per_class=10))
    flat = np.concatenate([image[image != 0] for image in fold.train.values()])
    assert (np.unique(flat, return_counts=True)[1] == 10).all()


def test_a_rare_class_keeps_a_pixel_for_the_test():
    labels = np.ones((6, 6), dtype=int)
    labels[0, :2], labels[5, 5] = 2, 3
    (fold,) = make_folds({"a": labels}, SplitConfig(kind="random", per_class=10))
    train, test, _ = parts(fold)
    assert [(train == 2).sum(), (test == 2).sum()] == [1, 1]
    assert [(train == 3).sum(), (test == 3).sum()] == [1, 0], "one pixel can only be learned"


def test_whole_cubes_are_tested_once_and_stay_whole():
    config = SplitConfig(kind="cubes", folds=3, validation=True, repeats=2)
    found = make_folds(TILES, config)
    assert len(found) == 6
    for repeat in (1, 2):
        tested = [name for fold in found if fold.repeat == repeat for name in fold.test]
        assert sorted(tested) == sorted(TILES)
    for fold in found:
        assert set(fold.train) | set(fold.test) | set(fold.validation) == set(TILES)
        assert fold.validation
        assert len(fold.train) + len(fold.test) + len(fold.validation) == len(TILES), "no cube is on two sides"
        for name, image in fold.train.items():
            np.testing.assert_array_equal(image, TILES[name])
    first, second = ({frozenset(fold.test) for fold in found if fold.repeat == repeat} for repeat in (1, 2))
    assert first != second


def test_classes_of_one_place_are_listed_and_not_scored():
    """A class in one block is either learned or asked for; asked for without being learned it would only lower the score."""
    labels = field_image(6)
    labels[2:5, 2:5] = 99
    config = SplitConfig(block=20, guard=2)
    assert in_one_place({"a": labels}, config) == [99]
    found = make_folds({"a": labels}, config)
    held = [fold for fold in found if 99 in fold.not_scored]
    assert len(held) == 1
    assert held[0].not_scored == {99: 9}
    assert sum((fold.test["a"] == 99).sum() for fold in found) == 0
    tiles = {**TILES, "only": np.where(TILES["tile0"] != 0, 50, 0)}
    assert 50 in in_one_place(tiles, SplitConfig(kind="cubes"))
    assert sum(50 in fold.not_scored for fold in make_folds(tiles, SplitConfig(kind="cubes", folds=3))) == 1


def test_validation_does_not_see_the_training_windows():
    for fold in make_folds({"a": field_image(7, side=160)}, SplitConfig(block=36, guard=8, validation=True)):
        train, test, held = parts(fold)
        assert audit(train, test, 9)["overlap_share"] == 0
        assert audit(train, held, 9)["overlap_share"] == 0


@pytest.mark.parametrize(
    ("labels", "options", "words"),
    [
        ({"a": np.array([[0, 5]])}, {}, r"1 labelled pixel\(s\)"),
        ({"a": np.array([[5, 5]])}, {}, r"one class \(5\)"),
        ({"a": np.zeros(4)}, {}, r"of 'a' have shape \(4,\)"),
        ({"a": field_image()}, {"guard": 200}, "guard of 200 pixels leaves no training pixel in fold 1"),
        ({"a": field_image(side=30)}, {"guard": 12, "block": 10, "folds": 3, "validation": True, "seed": 1}, "leaves no"),
        (TILES, {"kind": "cubes", "folds": 8}, "expected at least one cube for each of 8 folds"),
        ({"a": TILES["tile0"], "b": TILES["tile1"]}, {"kind": "cubes", "folds": 2, "validation": True}, "one cube to train on"),
        ({"a": np.array([[1, 1, 0, 0, 0, 0, 2, 2]])}, {"block": 4, "guard": 0, "folds": 2}, "nothing can be scored"),
        ({"a": np.array([[1, 1, 0, 0, 0, 0, 2, 2]])}, {"block": 4, "guard": 0, "folds": 2}, "test part of fold 1 has"),
        ({"a": np.array([[1, 1, 0, 0, 0, 0, 2, 2]])}, {"block": 4, "guard": 0, "folds": 2, "repeats": 2}, "test part of fold 1 of repeat 1 has"),
        ({**TILES, "b": np.array([[1, 2]])}, {"block": 12, "guard": 0}, "'b': the labels lie in 1 blocks"),
        ({"b": np.array([[1, 2]])}, {"block": 12, "guard": 0}, "^the labels lie in 1 blocks"),
    ],
)
def test_what_cannot_be_divided_is_said_in_a_sentence(labels, options, words):
    with pytest.raises(LabelError, match=words):
        make_folds(labels, SplitConfig(**options))


@pytest.mark.parametrize(
    ("options", "words"),
    [({"share": 0.5}, "kind 'random' alone"), ({"folds": 1}, "one fold has nothing to train on"), ({"guard": -1}, "guard"), ({"kind": "circles"}, "kind")],
)
def test_settings_that_contradict_each_other(options, words):
    with pytest.raises(ConfigError, match=words):
        SplitConfig.parse(options)


def test_fields_stay_whole_between_the_parts():
    labels = field_image(8)
    fields, count = ndimage.label(labels == 3, structure=np.ones((3, 3)))
    for fold in make_folds({"a": labels}, SplitConfig(kind="fields", guard=0, folds=3, validation=True)):
        where = [part != 0 for part in parts(fold)]
        for number in range(1, count + 1):
            assert sum(bool((part & (fields == number)).any()) for part in where) <= 1


@pytest.mark.parametrize(("size", "sides"), [(1, (1, 0, 0)), (2, (1, 0, 1)), (3, (1, 1, 1)), (4, (2, 1, 1)), (5, (2, 2, 1)), (9, (2, 2, 5))])
def test_small_classes_are_shared_out_to_train_then_validation_with_one_left_for_the_test(size, sides):
    labels = np.repeat([1, 2], [20, size])[None]
    (fold,) = make_folds({"a": labels}, SplitConfig(kind="random", per_class=2, validation=True))
    train, test, held = parts(fold)
    assert ((train == 2).sum(), (held == 2).sum(), (test == 2).sum()) == sides


def test_random_validation_is_a_quarter_of_each_class_and_at_least_a_pixel_of_two():
    labels = np.repeat([1, 2, 3], [80, 4, 2])[None]
    for fold in make_folds({"a": labels}, SplitConfig(kind="random", folds=2, validation=True)):
        train, test, held = parts(fold)
        assert [[int((part == number).sum()) for part in (train, held, test)] for number in (1, 2, 3)] == [[30, 10, 40], [1, 1, 2], [1, 0, 1]]


def test_random_pixels_are_never_in_one_place_and_an_image_without_labels_has_empty_parts():
    labels = np.ones((8, 8), dtype=int)
    labels[0, 0] = 5
    assert in_one_place({"a": labels}, SplitConfig(kind="random")) == []
    fold = make_folds({"a": field_image(1)}, SplitConfig(kind="random"))[0]
    for part in fold.parts("elsewhere", (3, 4)):
        assert part.shape == (3, 4)
        assert part.dtype == np.int32
        assert not part.any()
