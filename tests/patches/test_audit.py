"""The leak audit against a loop over windows, and against the figures known for a published split."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hsi_ssl.errors import ConfigError, LabelError
from napari_hsi_ssl.patches.audit import audit, audit_cubes


def window_pixels(y, x, window, shape):
    top, left = y - window // 2, x - window // 2
    return {(r, c) for r in range(top, top + window) for c in range(left, left + window) if 0 <= r < shape[0] and 0 <= c < shape[1]}


@settings(max_examples=60, deadline=None)
@given(height=st.integers(5, 18), width=st.integers(5, 18), window=st.integers(1, 5), density=st.floats(0.02, 0.2), seed=st.integers(0, 2**16))
def test_shares_equal_a_loop_over_windows(height, width, window, density, seed):
    generator = np.random.default_rng(seed)
    role = generator.choice(3, (height, width), p=[1 - density, density / 2, density / 2])
    role[0, 0], role[-1, -1] = 1, 2
    classes = generator.integers(1, 4, role.shape)
    train, test = np.where(role == 1, classes, 0), np.where(role == 2, classes, 0)
    learned, asked = np.argwhere(train).tolist(), np.argwhere(test).tolist()
    union = set().union(*(window_pixels(y, x, window, role.shape) for y, x in learned))
    centres = {(y, x) for y, x in learned}
    result = audit(train, test, window)
    assert result["centre_share"] == pytest.approx(np.mean([bool(window_pixels(y, x, window, role.shape) & centres) for y, x in asked]))
    assert result["overlap_share"] == pytest.approx(np.mean([bool(window_pixels(y, x, window, role.shape) & union) for y, x in asked]))
    nearest = [min(max(abs(y - r), abs(x - c)) for r, c in learned) for y, x in asked]
    assert result["nearest_distance"] == pytest.approx(np.median(nearest))
    assert (result["n_train"], result["n_test"]) == (len(learned), len(asked))


def test_the_published_indian_pines_split_leaks_throughout(shared_data):
    """1-NN on row and column reaches OA 91.83 and AA 95.89 (README of the data), beating the published networks."""
    train, test = (tifffile.imread(shared_data / "splits" / f"Indian{side}123_temp123.tif") for side in ("TR", "TE"))
    result = audit(train, test, 32)
    assert (result["n_train"], result["n_test"]) == (695, 9671)
    assert round(result["position_oa"], 4) == 0.9183
    assert round(result["position_aa"], 4) == 0.9589
    assert result["centre_share"] == 1
    assert "leak throughout" in result["verdict"]
    assert "OA 91.8%" in result["verdict"]


def halves(gap):
    labels = np.zeros((20, 40), dtype=int)
    labels[:10], labels[10:] = 1, 2
    train, test = labels.copy(), labels.copy()
    train[:, 20:] = 0
    test[:, : 20 + gap] = 0
    return train, test


def test_verdict_follows_the_gap():
    assert audit(*halves(4), 5)["verdict"].startswith("No leak")
    assert audit(*halves(3), 5)["verdict"].startswith("A slight leak")
    assert audit(*halves(0), 5)["verdict"].startswith("A leak: part of")
    assert audit(*halves(0), 20)["verdict"].startswith("A leak throughout")
    assert audit(*halves(0), 20)["majority"] == 0.5


def test_position_is_judged_by_the_nearest_training_pixel():
    train, test = np.zeros((1, 9), dtype=int), np.zeros((1, 9), dtype=int)
    train[0, [0, 8]] = [1, 2]
    test[0, [1, 2, 3, 7]] = [1, 1, 2, 2]
    result = audit(train, test, 1)
    assert result["position_oa"] == 0.75
    assert result["position_aa"] == 0.75


def test_classes_without_training_pixels_are_listed():
    train, test = halves(4)
    test[0, -1] = 9
    result = audit(train, test, 5)
    assert result["absent"] == [9]
    assert "classes 9 have no training pixel" in result["verdict"]


def test_bad_splits_are_named():
    train, test = halves(4)
    overlap = test.copy()
    overlap[0, 0] = 1
    with pytest.raises(LabelError, match=r"1 pixel\(s\) are labelled in both train and test"):
        audit(train, overlap, 5)
    with pytest.raises(LabelError, match=r"\(20, 40\) and test labels \(40, 20\)"):
        audit(train, test.T, 5)
    with pytest.raises(LabelError, match="test labels hold no labelled pixel"):
        audit(train, np.zeros_like(test), 5)
    with pytest.raises(ConfigError, match="larger than the image of 20×40"):
        audit(train, test, 21)
    with pytest.raises(ConfigError, match="window is 0"):
        audit(train, test, 0)


def test_accuracy_by_distance_is_told_of_position_and_of_a_map():
    """Position is right next to the training half and wrong beyond; the map is right everywhere."""
    train, truth = np.zeros((40, 60), dtype=int), np.zeros((40, 60), dtype=int)
    train[:, :20] = np.where(np.arange(40) < 20, 1, 2)[:, None]
    truth[:, 20:] = np.where(np.arange(40) < 20, 1, 2)[:, None]
    truth[:, 36:] = 3 - truth[:, 36:]
    result = audit(train, truth, 9, {"map": truth})
    assert sum(row["n"] for row in result["by_distance"]) == result["n_test"]
    assert [row["position"] for row in result["by_distance"]] == [1, 1, 1, 1, 1, 0, 0]
    assert {row["map"] for row in result["by_distance"]} == {1}
    assert result["falls"]["position"] == {"near": 1, "far": 0, "distance": pytest.approx(16.5)}
    assert result["falls"]["map"] == {"near": 1, "far": 1, "distance": None}
    assert "is lost by position alone within 16 pixels" in result["verdict"]
    assert "the map" not in result["verdict"]


def test_the_published_split_loses_position_within_four_pixels(shared_data):
    train, test = (tifffile.imread(shared_data / "splits" / f"Indian{side}123_temp123.tif") for side in ("TR", "TE"))
    assert audit(train, test, 15)["falls"]["position"]["distance"] == pytest.approx(3.72, abs=0.01)


def test_whole_cubes_share_nothing():
    left, right = halves(0)
    one = audit_cubes({"a": left, "b": left + right}, {"c": left, "d": right}, 9)
    assert (one["centre_share"], one["overlap_share"], one["nearest_distance"]) == (0, 0, None)
    assert one["verdict"].startswith("No leak")
    assert one["by_distance"] == [{"from": None, "to": None, "n": 800, "position": 0.5}]
    assert one["position_oa"] == 0.5, "a scene without training pixels takes the largest training class"
    assert one["n_train"] == 400 + 800


def test_images_are_joined_as_if_they_lay_far_apart():
    """The figures of two images equal those of one frame that holds both, with a gap no window bridges."""
    (left, right), gap = halves(2), np.zeros((20, 60), dtype=int)
    two = audit_cubes({"a": left, "b": right}, {"a": right, "b": left}, 7)
    one = audit(np.hstack((left, gap, right)), np.hstack((right, gap, left)), 7)
    for key in ("centre_share", "overlap_share", "position_oa", "position_aa", "nearest_distance", "by_distance", "n_test"):
        assert two[key] == one[key]


def test_bad_splits_of_several_images_name_the_image():
    left, right = halves(0)
    with pytest.raises(LabelError, match="20 pixel\\(s\\) of 'b' are labelled in both"):
        audit_cubes({"a": left, "b": left}, {"a": right, "b": np.where(np.arange(40) == 3, left, 0)}, 3)
    with pytest.raises(LabelError, match="train labels of 'a' have shape"):
        audit_cubes({"a": left.T}, {"a": right}, 3)
    with pytest.raises(LabelError, match="test labels hold no labelled pixel"):
        audit_cubes({"a": left}, {"b": np.zeros((4, 4))}, 3)
