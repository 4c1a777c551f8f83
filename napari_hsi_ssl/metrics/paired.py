"""Whether one method is better than another over repeated folds, whose training sets overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from napari_hsi_ssl.errors import LabelError


@dataclass(frozen=True)
class PairedTest:
    """What the differences over folds say.

    Attributes
    ----------
    difference : float
        Mean of first minus second.
    low, high : float
        95 % confidence interval of it.
    p : float
        Of the two-sided test that it is zero.
    folds : int
    """

    difference: float
    low: float
    high: float
    p: float
    folds: int


def corrected_t_test(first: ArrayLike, second: ArrayLike, share: float) -> PairedTest:
    """Compare two methods on the same folds by the corrected resampled t-test.

    Training sets of repeated folds overlap, so their results vary less than those of independent data; the variance of the mean
    difference is taken as ``(1 / J + n_test / n_train)`` times that of the J differences.

    Parameters
    ----------
    first, second : float array (J,)
        A figure of each method by fold.
    share : float
        Test samples by training samples of a fold.

    Raises
    ------
    LabelError
        When there are fewer than two folds, or as many of one as of the other are not given.

    References
    ----------
    Nadeau and Bengio (2003), Inference for the generalization error, doi:10.1023/A:1024068626366.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape or a.size < 2:
        raise LabelError(f"a paired test was given results of shapes {a.shape} and {b.shape}, expected one a fold of each, of two folds or more.")
    differences = a - b
    mean = float(differences.mean())
    error = float(np.sqrt((1 / a.size + share) * differences.var(ddof=1)))
    if error == 0:
        return PairedTest(mean, mean, mean, 1.0 if mean == 0 else 0.0, a.size)
    reach = float(stats.t.ppf(0.975, a.size - 1)) * error
    return PairedTest(mean, mean - reach, mean + reach, float(2 * stats.t.sf(abs(mean) / error, a.size - 1)), a.size)
