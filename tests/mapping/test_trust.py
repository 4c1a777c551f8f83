"""Confidence is made honest by pixels that taught nobody, and what is unlike all labels is told apart."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_cdt

from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.mapping.maps import decide_map, decider, labelled_features
from napari_hsi_ssl.mapping.trust import Calibration, calibrate, calibrate_head, judged_parts, labelled_sample
from napari_hsi_ssl.mapping.unknown import Clouds, fit_clouds, typicality_map
from napari_hsi_ssl.metrics.calibration import reliability
from napari_hsi_ssl.progress import run

CENTRES = {1: (2.0, 0.0, 0.0, 0.0), 4: (0.0, 2.0, 0.0, 0.0), 7: (0.0, 0.0, 2.0, 0.0)}


def scene(noise=1.0, seed=0, side=72, field=6, centres=CENTRES):
    """Return features (y, x, d) of fields of a few classes, NaN in one corner, and the truth."""
    generator = np.random.default_rng(seed)
    numbers = generator.choice(list(centres), size=(side // field, side // field))
    truth = np.kron(numbers, np.ones((field, field), dtype=int)).astype(np.int32)
    features = np.array([centres[number] for number in truth.ravel().tolist()]).reshape(side, side, -1)
    features = (features + noise * generator.normal(size=features.shape)).astype(np.float32)
    features[0, 0] = np.nan
    return features, truth


def halves(truth):
    """Return the labels of the left and of the right half."""
    left = np.arange(truth.shape[1]) < truth.shape[1] // 2
    return np.where(left, truth, 0), np.where(left, 0, truth)


@pytest.mark.parametrize("method", ["knn", "linear"])
def test_confidence_is_borne_out_on_pixels_never_seen(method):
    """Else 90 % would mean anything; three neighbours alone can only say thirds."""
    features, truth = scene()
    train, test = halves(truth)
    k = 3 if method == "knn" else 20
    found = calibrate_head({"one": features}, {"one": train}, method, k, guard=3)
    decide = decider(method, *labelled_features({"one": features}, {"one": train}, 20000), k)
    area = (test > 0) & np.isfinite(features[..., 0])

    def error(temperature):
        decided = run(decide_map(features, area, decide, temperature))
        return reliability(decided.confidence[area], decided.labels[area] == truth[area]).ece, decided.labels

    (plain, before), (honest, after) = error(None), error(found.temperature)
    np.testing.assert_array_equal(before, after)  # a temperature changes no class
    assert honest < 0.03
    assert honest <= plain + 0.005
    if method == "knn":
        assert plain > 0.05
    assert found.n > 1000
    assert "at least 3 pixels apart" in found.source
    assert Calibration.from_json(found.to_json()) == found


def test_too_few_pixels_give_no_temperature():
    features, truth = scene(side=12, field=4)
    few = np.zeros_like(truth)
    few[5, 5:8] = truth[5, 5:8]
    assert calibrate_head({"one": features}, {"one": few}, "knn", 1) is None
    assert calibrate(np.zeros((19, 2)), np.zeros(19, int), "few") is None
    assert calibrate(np.zeros((20, 2)), np.zeros(20, int), "enough").n == 20


def test_parts_keep_the_distance_they_can_and_say_so():
    _, truth = scene()
    for guard in (5, 72):
        parts, words = judged_parts({"one": truth}, guard)
        distance = int(words.split("at least ")[1].split()[0])
        assert distance in {guard, guard // 2, guard // 4}
        assert len(parts) > 1
        for taught, judged in parts:
            assert distance_transform_cdt(judged["one"] == 0, "chessboard")[taught["one"] > 0].min() > distance
    small = np.array([[1, 1, 1, 4, 4, 4]])
    parts, words = judged_parts({"one": small}, 3)
    assert "at random" in words
    assert all(((taught["one"] > 0) & (judged["one"] > 0)).sum() == 0 for taught, judged in parts)
    assert judged_parts({"one": np.array([[1, 0]])}, 3) == ([], "")


def test_a_sample_of_labels_keeps_the_shares_of_classes():
    features, truth = scene()
    x, y = labelled_sample({"one": features}, {"one": truth}, 1000, seed=1)
    assert 850 < len(x) < 1150
    assert np.isfinite(x).all()
    for number in CENTRES:
        assert (y == number).mean() == pytest.approx((truth == number).mean(), abs=0.05)
    assert len(labelled_sample({"one": features}, {"one": truth}, 10**6)[0]) == truth.size - 1


def test_false_alarms_are_as_many_as_was_asked_for_and_a_new_class_is_seen():
    """Else nobody could say what "unlike training" means."""
    features, truth = scene(noise=0.5, centres={**CENTRES, 9: (0.0, 0.0, 0.0, 4.0)})
    known = np.where(truth == 9, 0, truth)
    train, test = halves(known)
    clouds = fit_clouds({"one": features}, {"one": train}, guard=2)
    typical = run(typicality_map(clouds, features, np.ones(truth.shape, dtype=bool)))
    for share in (0.05, 0.2):
        assert (typical[test > 0] <= share).mean() == pytest.approx(share, abs=0.035)
    new = (truth == 9) & np.isfinite(features[..., 0])
    assert (typical[new] <= 0.05).mean() > 0.99
    assert typical[0, 0] == 0  # not measured
    assert "apart" in clouds.source


def test_held_out_pixels_of_ones_own_are_used_instead_of_parts():
    features, truth = scene()
    train, held = halves(truth)
    clouds = fit_clouds({"one": features}, {"one": train}, held_out=({"one": features}, {"one": held}, "kept back"))
    assert clouds.source == "kept back"
    assert clouds.held_out.size == (held > 0).sum()
    x, _ = labelled_sample({"one": features}, {"one": held}, 10**6)
    np.testing.assert_allclose(np.sort(clouds.distance(x)), clouds.held_out)
    assert clouds.typicality(x).min() == pytest.approx(2 / (1 + len(x)))  # itself, and the one that counts for the pixel asked


def test_distances_are_mahalanobis_with_many_pixels():
    """Else features of large spread would decide alone."""
    generator = np.random.default_rng(4)
    mix = np.array([[1.0, 0.8, 0.0], [0.0, 0.6, 0.5], [0.0, 0.0, 1.0]])
    y = np.repeat([1, 2], 4000)
    x = generator.normal(size=(8000, 3)) @ mix + np.where(y == 1, 0, 40)[:, None]
    clouds = fit_clouds({"a": x.reshape(80, 100, 3)}, {"a": y.reshape(80, 100).astype(np.int32)})
    asked = np.array([[0.0, 3.0, 0.0], [3.0, 0.0, 2.0]]) @ mix + [[0], [40]]
    np.testing.assert_allclose(clouds.distance(asked), [9, 9 + 4], rtol=0.06)


def test_clouds_survive_saving(tmp_path):
    features, truth = scene()
    clouds = fit_clouds({"one": features}, {"one": truth})
    clouds.write(tmp_path / "clouds.npz")
    again = Clouds.read(tmp_path / "clouds.npz")
    assert again.source == clouds.source
    np.testing.assert_array_equal(again.typicality(features[5]), clouds.typicality(features[5]))


def test_a_class_of_one_pixel_and_dead_bands_do_not_break_it():
    features, truth = scene()
    features = np.concatenate((features, np.full((*truth.shape, 2), 3.0, np.float32)), axis=2)
    truth[:] = np.where(truth == 7, 4, truth)
    truth[40, 40] = 7
    assert np.isfinite(fit_clouds({"one": features}, {"one": truth}).distance(features[1])).all()


def test_too_few_pixels_to_hold_out_are_refused():
    features, _ = scene()
    few = np.zeros(features.shape[:2], dtype=np.int32)
    few[10, 10:14] = (1, 1, 4, 4)
    with pytest.raises(LabelError, match="expected 20 or more to tell how unlike training"):
        fit_clouds({"one": features}, {"one": few})
