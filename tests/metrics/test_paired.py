"""The corrected resampled t-test against what it must reduce to, and against chance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.metrics.paired import corrected_t_test


def test_without_a_test_set_it_is_the_paired_t_test():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 12))
    found, known = corrected_t_test(first, second, 0.0), stats.ttest_rel(first, second)
    assert found.p == pytest.approx(known.pvalue)
    interval = known.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_the_correction_widens_the_interval_by_the_known_factor():
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, 10))
    plain, corrected = corrected_t_test(first, second, 0.0), corrected_t_test(first, second, 1.0)
    assert (corrected.high - corrected.low) / (plain.high - plain.low) == pytest.approx(np.sqrt((0.1 + 1.0) / 0.1))
    assert corrected.p > plain.p


def test_equal_results_are_no_difference():
    found = corrected_t_test([0.5, 0.6], [0.5, 0.6], 1.0)
    assert (found.difference, found.p) == (0.0, 1.0)


def test_a_difference_that_never_varies_is_certain():
    found = corrected_t_test([0.75, 0.5, 1.0], [0.5, 0.25, 0.75], 1.0)
    assert (found.difference, found.low, found.high, found.p, found.folds) == (0.25, 0.25, 0.25, 0.0, 3)


@pytest.mark.parametrize(("first", "second"), [([0.5], [0.4]), ([0.5, 0.6], [0.4]), ([], []), ([[0.5, 0.6]], [[0.5, 0.6]])])
def test_too_few_folds_are_told(first, second):
    with pytest.raises(LabelError, match="two folds or more"):
        corrected_t_test(first, second, 1.0)
