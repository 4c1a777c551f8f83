"""Choosing by labels that a trial has not learned from: parts that do not touch, and a choice that is right where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.mapping.recommend import Trial, best, held_out_parts, trials


def scene(side=72):
    """Two classes in squares of 12 pixels, like a chessboard."""
    y, x = np.mgrid[:side, :side]
    return (1 + (y // 12 + x // 12) % 2).astype(np.int32)


@pytest.mark.parametrize("guard", [0, 5, 9])
def test_parts_of_one_cube_keep_their_distance(guard):
    for train, judged in held_out_parts({"one": scene()}, guard):
        known, asked = np.argwhere(train["one"] > 0), np.argwhere(judged["one"] > 0)
        nearest = np.abs(known[:, None, :] - asked[None, ::7, :]).max(axis=-1).min()
        assert nearest > guard


def test_many_cubes_are_held_out_whole():
    labels = {f"c{number}": scene(24) for number in range(6)}
    parts = held_out_parts(labels, 9)
    assert len(parts) == 9
    for train, judged in parts:
        assert not set(train) & set(judged)
    assert sorted(name for _, judged in parts[:3] for name in judged) == sorted(labels)


def test_labels_in_one_corner_cannot_be_split():
    labels = np.zeros((60, 60), np.int32)
    labels[:6, :6], labels[:6, 6:12] = 1, 2
    with pytest.raises(LabelError, match="in several places of the scene"):
        held_out_parts({"one": labels}, 9)


def test_the_features_that_hold_the_classes_win():
    truth, rng = scene(), np.random.default_rng(0)
    good = rng.normal(0, 0.3, (72, 72, 3)) + truth[..., None] * [1.0, -1.0, 0.5]
    noise = rng.normal(size=(72, 72, 3))
    found = trials({"noise": {"one": noise}, "good": {"one": good}}, set(), held_out_parts({"one": truth}, 5))
    assert len(found) == 4
    assert best(found).name == "good"
    assert best(found).mean > 0.9
    assert all(trial.mean < 0.65 for trial in found if trial.name == "noise")


def test_unmeasured_pixels_play_no_part():
    truth = scene()
    good = np.repeat(truth[..., None].astype(float), 2, axis=-1) * [1.0, -1.0]
    good[::3] = np.nan
    found = trials({"good": {"one": good}}, set(), held_out_parts({"one": truth}, 5))
    assert best(found).mean == 1.0


def test_the_first_of_equals_is_recommended():
    same = [Trial("first", "knn", (0.800,)), Trial("learned", "knn", (0.805,)), Trial("worse", "knn", (0.5,))]
    assert best(same).name == "first"
    assert best([*same, Trial("better", "linear", (0.9,))]).name == "better"
