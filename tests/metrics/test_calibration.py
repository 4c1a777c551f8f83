"""Calibration figures equal their plain definitions, and the temperature is the one that was put in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.special import log_softmax, softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.metrics.calibration import brier, calibration_report, disagreement, entropy, fit_temperature, reliability, tempered


def said(n=4000, classes=5, spread=2.0, seed=0):
    """Return logits, and true classes drawn by their probabilities: what an honest classifier says."""
    generator = np.random.default_rng(seed)
    logits = spread * generator.normal(size=(n, classes))
    proba = softmax(logits, axis=1)
    return logits, (proba.cumsum(axis=1) > generator.random((n, 1))).argmax(axis=1)


@given(st.integers(1, 400), st.integers(0, 2**32 - 1), st.sampled_from(["mass", "width"]))
def test_the_error_is_the_weighted_gap_of_bins(n, seed, by):
    """Else an ill-calibrated map could look honest."""
    generator = np.random.default_rng(seed)
    confidence = generator.choice([generator.random(n), np.round(generator.random(n), 1)])
    right = generator.random(n) < 0.5
    found = reliability(confidence, right, 10, by)
    assert found.n.sum() == n
    assert np.isclose(found.n @ found.confidence, confidence.sum())
    assert np.isclose(found.n @ found.accuracy, right.sum())
    assert (np.diff(found.confidence) > 0).all()
    assert np.isclose(found.ece, sum(row["n"] / n * abs(row["confidence"] - row["accuracy"]) for row in found.rows()))
    assert found.ece >= abs(confidence.mean() - right.mean()) - 1e-12


def test_bins_of_equal_width_are_scikit_learns():
    generator = np.random.default_rng(1)
    confidence = generator.random(500)
    right = generator.random(500) < confidence
    accuracy, mean = calibration_curve(right, confidence, n_bins=15)
    found = reliability(confidence, right, 15, "width")
    np.testing.assert_allclose(found.accuracy, accuracy)
    np.testing.assert_allclose(found.confidence, mean)


def test_bins_of_equal_mass_hold_as_many_pixels_and_keep_equal_confidences_together():
    confidence = np.linspace(0.2, 1, 150)
    assert reliability(confidence, confidence > 0.5, 15).n.tolist() == [10] * 15
    assert reliability(np.full(50, 0.9), np.arange(50) < 45).rows() == [{"n": 50, "confidence": pytest.approx(0.9), "accuracy": pytest.approx(0.9)}]


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_was_put_in_is_found(temperature):
    """Else confidence would stay as wrong as the classifier says it."""
    logits, true = said()
    found = fit_temperature(logits * temperature, true)
    assert found == pytest.approx(temperature, rel=0.08)
    before = reliability(softmax(logits * temperature, axis=1).max(axis=1), logits.argmax(axis=1) == true).ece
    after = reliability(tempered(log_softmax(logits * temperature, axis=1), found).max(axis=1), logits.argmax(axis=1) == true).ece
    assert after < 0.03
    assert after <= before + 0.01


def test_the_order_of_classes_does_not_change_and_impossible_ones_stay_so():
    logits, _ = said(50)
    logits[:, 2] = -np.inf
    softened = tempered(logits, 3.0)
    np.testing.assert_array_equal(softened.argsort(axis=1), logits.argsort(axis=1))
    np.testing.assert_allclose(softened.sum(axis=1), 1)
    assert not softened[:, 2].any()


def test_a_few_pixels_that_are_all_right_do_not_make_everything_certain():
    """Else 20 validation pixels would turn every confidence into 1."""
    logits = np.tile([1.0, 0.0], (20, 1))
    assert 0.15 < fit_temperature(logits, np.zeros(20, int)) < 1


def test_brier_and_entropy_follow_their_definitions():
    logits, true = said(300, 2)
    proba = softmax(logits, axis=1)
    assert brier(proba, true) == pytest.approx(2 * brier_score_loss(true, proba[:, 1]))
    np.testing.assert_allclose(entropy([[0.25] * 4, [1, 0, 0, 0], [0.5, 0.5, 0, 0]]), [1, 0, 0.5], atol=1e-7)
    np.testing.assert_allclose(entropy([[0.5, 0.5], [1, 0]]), [1, 0], atol=1e-7)
    assert entropy([[1.0]]) == 0


def test_disagreement_is_the_divergence_of_jensen_and_shannon():
    """Else exits that are merely unsure would look as if they contradicted each other."""
    generator = np.random.default_rng(2)
    one, other = softmax(generator.normal(size=(2, 40, 3)), axis=-1)
    np.testing.assert_allclose(disagreement([one, other]), jensenshannon(one, other, axis=1) ** 2 / np.log(2), atol=1e-6)
    np.testing.assert_allclose(disagreement([one, one, one]), 0, atol=1e-9)
    assert (disagreement([one, one, one]) >= 0).all(), "rounding must not make it negative"
    np.testing.assert_allclose(disagreement([[[1, 0, 0]], [[0, 1, 0]], [[0, 0, 1]]]), 1, atol=1e-6)
    assert np.isnan(disagreement([[[np.nan] * 3], [[np.nan] * 3]])).all()


def test_the_report_holds_all_of_it():
    confidence, right = np.array([0.5, 0.9, 0.9, 1.0]), np.array([True, True, False, True])
    report = calibration_report(confidence, right)
    assert report["n"] == sum(row["n"] for row in report["reliability"]) == 4
    assert report["mean_confidence"] == pytest.approx(0.825)
    assert report["confidence_brier"] == pytest.approx((0.25 + 0.01 + 0.81) / 4)
    assert report["ece"] == pytest.approx((0.5 + 0.8 + 0) / 4)
    assert report["ece_width"] == reliability(confidence, right, by="width").ece
    assert reliability([0.0, 1.0], [False, True]).ece == 0, "both ends are fractions"


@pytest.mark.parametrize(
    ("confidence", "right", "words"),
    [
        ([], [], "at least one"),
        ([0.5], [True, False], "one each"),
        *((values, [True, True], "^a confidence is not a number between 0 and 1") for values in ([0.5, 1.5], [-0.1, 0.5], [0.5, np.nan])),
    ],
)
def test_bad_input_is_one_sentence(confidence, right, words):
    with pytest.raises(LabelError, match=words):
        calibration_report(confidence, right)


def test_the_temperature_is_the_most_likely_one_under_its_prior():
    """Against every temperature of a fine grid."""
    logits, true = said(30, 3, 3.0, 4)
    logs = np.linspace(np.log(0.05), np.log(20), 20_001)
    likely = [log_softmax(logits / np.exp(log), axis=1)[np.arange(30), true].sum() - log**2 / 2 for log in logs]
    assert fit_temperature(logits, true) == pytest.approx(np.exp(logs[np.argmax(likely)]), rel=1e-3)
    assert fit_temperature(logits + 7, true) == pytest.approx(fit_temperature(logits, true), rel=1e-3), "a constant a row changes nothing"


@pytest.mark.parametrize(("logits", "codes"), [(np.zeros((3, 2)), [0, 1]), (np.zeros((0, 2)), np.zeros(0, int)), (np.zeros((2, 2, 2)), [0, 1])])
def test_a_temperature_needs_held_out_pixels(logits, codes):
    with pytest.raises(LabelError, match=r"expected \(n, c\) and \(n,\); hold some out"):
        fit_temperature(logits, codes)
