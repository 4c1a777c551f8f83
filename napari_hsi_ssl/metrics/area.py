"""How much of a scene each class really covers: the map's areas, corrected by its errors on labels that it did not learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_hsi_ssl.errors import LabelError

_NORMAL: Final = 1.959963984540054
"""Standard errors to either side that hold 95 %."""


@dataclass(frozen=True, eq=False)
class Areas:
    """Shares of the judged part of a map, with half the width of their 95 % intervals.

    Attributes
    ----------
    share, share_error : float array (c,)
        Of each class, error-adjusted.
    user, user_error : float array (c,)
        User's accuracy: right among what is mapped as the class; NaN where the class has no labels in the map.
    producer, producer_error : float array (c,)
        Producer's accuracy, of the adjusted areas: found among what is the class; NaN where its adjusted area is 0.
    overall, overall_error : float
        Accuracy over the area, not over the labels.
    judged : bool array (c,)
        Whether labels tell what is mapped as the class; only those parts of the map count.
    """

    share: NDArray[np.float64]
    share_error: NDArray[np.float64]
    user: NDArray[np.float64]
    user_error: NDArray[np.float64]
    producer: NDArray[np.float64]
    producer_error: NDArray[np.float64]
    overall: float
    overall_error: float
    judged: NDArray[np.bool_]


def adjusted_areas(confusion: ArrayLike, mapped: Sequence[int]) -> Areas:
    """Estimate the area of each class by stratified sampling, the classes of the map being the strata.

    Parameters
    ----------
    confusion : int array (c, c)
        Labelled pixels by class in the map (row) and class in the labels (column). The labels must not have taught the map, and those in a class
        of the map should be a random sample of it.
    mapped : sequence of int (c,)
        Pixels of each class in the whole map.

    Raises
    ------
    LabelError
        When no class of the map has two labelled pixels, of which an error could be told.

    References
    ----------
    Olofsson et al. (2014), Good practices for estimating area and assessing accuracy of land change, doi:10.1016/j.rse.2014.02.015,
    equations 4 to 11.
    """
    counts, area = np.asarray(confusion, dtype=np.float64), np.asarray(mapped, dtype=np.float64)
    n = counts.sum(axis=1)
    judged = (n >= 2) & (area > 0)
    if not judged.any():
        raise LabelError("no class of the map holds two of the labelled pixels, expected at least one that does; give labels that lie on the map.")
    weight = np.where(judged, area, 0) / area[judged].sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        rows = np.where(judged[:, None], counts / n[:, None], 0)  # of what is mapped as i, the share that is j
        scatter = np.where(judged[:, None], rows * (1 - rows) / (n - 1)[:, None], 0)
        share = weight @ rows
        right, right_scatter = np.diagonal(rows), np.diagonal(scatter)
        producer = np.where(share > 0, weight * right / share, np.nan)
        # Equation 7: what the class loses by its own row, and what others hold of it.
        others = (weight**2) @ scatter - weight**2 * right_scatter
        producer_variance = ((weight * (1 - producer)) ** 2 * right_scatter + producer**2 * others) / share**2
    return Areas(
        share,
        _NORMAL * np.sqrt((weight**2) @ scatter),
        np.where(judged, right, np.nan),
        np.where(judged, _NORMAL * np.sqrt(right_scatter), np.nan),
        producer,
        _NORMAL * np.sqrt(producer_variance),
        float(weight @ right),
        float(_NORMAL * np.sqrt((weight**2) @ right_scatter)),
        judged,
    )
