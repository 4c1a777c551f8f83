"""Adjusted areas are those of the published example, and of a simulated survey."""

import numpy as np
import pytest

from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.metrics.area import adjusted_areas

# Olofsson et al. 2014, table 8: rows are map classes (deforestation, forest gain, stable forest, stable non-forest), pixels of 30 m.
COUNTS = [[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]]
MAPPED = [200_000, 150_000, 3_200_000, 6_450_000]


def test_the_published_example_comes_out():
    """Else users would report areas with another estimator than the one that is named."""
    found = adjusted_areas(COUNTS, MAPPED)
    hectares = 10_000_000 * 0.09
    np.testing.assert_allclose(found.share * hectares, [21_158, 11_686, 285_770, 581_386], atol=1)
    np.testing.assert_allclose(found.share_error * hectares, [6_158, 3_756, 15_510, 16_282], atol=1)
    np.testing.assert_allclose(found.user, [0.88, 0.73, 0.93, 0.96], atol=0.005)
    np.testing.assert_allclose(found.user_error, [0.07, 0.10, 0.04, 0.02], atol=0.005)
    np.testing.assert_allclose(found.producer, [0.75, 0.85, 0.93, 0.96], atol=0.005)
    np.testing.assert_allclose(found.producer_error, [0.21, 0.25, 0.03, 0.02], atol=0.006)
    assert found.overall == pytest.approx(0.947, abs=0.001)
    assert found.overall_error == pytest.approx(0.02, abs=0.002)


def test_intervals_hold_the_true_area_as_often_as_they_say():
    """Else ±95 % would be an ornament."""
    generator = np.random.default_rng(0)
    rows = np.array([[0.9, 0.1, 0.0], [0.05, 0.9, 0.05], [0.0, 0.2, 0.8]])
    mapped = np.array([50_000, 30_000, 20_000])
    truth = mapped @ rows / mapped.sum()
    hits, draws = 0, 400
    for _ in range(draws):
        counts = np.stack([generator.multinomial(100, share) for share in rows])
        found = adjusted_areas(counts, mapped)
        hits += int((np.abs(found.share - truth) <= found.share_error).sum())
    assert 0.92 < hits / (3 * draws) < 0.98


def test_a_perfect_map_keeps_its_areas():
    found = adjusted_areas(np.diag([10, 20]), [300, 700])
    np.testing.assert_allclose(found.share, [0.3, 0.7])
    assert not found.share_error.any()
    assert found.overall == 1


def test_a_class_without_labels_is_left_out_and_said_so():
    """Else its unknown errors would count as none."""
    found = adjusted_areas([[9, 1, 0], [1, 9, 0], [0, 0, 1]], [100, 100, 800])
    assert found.judged.tolist() == [True, True, False]
    np.testing.assert_allclose(found.share, [0.5, 0.5, 0.0])
    assert np.isnan(found.user[2])
    assert np.isnan(found.producer[2])
    with pytest.raises(LabelError, match="no class of the map holds two"):
        adjusted_areas(np.eye(2), [5, 5])


def test_a_class_that_the_map_lacks_has_an_area():
    found = adjusted_areas([[8, 2], [0, 0]], [100, 0])
    np.testing.assert_allclose(found.share, [0.8, 0.2])
    assert found.producer[1] == 0


def test_two_labels_of_a_class_are_enough_and_a_class_that_covers_nothing_is_not_judged():
    found = adjusted_areas([[1, 1, 0], [0, 4, 0], [0, 0, 5]], [100, 100, 0])
    assert found.judged.tolist() == [True, True, False]
    np.testing.assert_allclose(found.share, [0.25, 0.75, 0])
    np.testing.assert_allclose(found.user[:2], [0.5, 1])
    assert np.isnan([found.user[2], found.user_error[2]]).all()
