"""Classes that have few labels: weighed, or drawn as often as the others."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_BALANCED: Final = 7
"""Name of a random stream (`learning.data` and `learning.augment` have the others)."""


def class_weights(labels: NDArray[np.integer], classes: int) -> NDArray[np.float64]:
    """Return the weight (classes,) of each class, n / (m · n_c), with m the classes that have labels: every class counts the same, the mean over labels is 1.

    The weights of King and Zeng (2001), Logistic regression in rare events data, as scikit-learn's ``balanced`` has them. A class without labels has 0.

    Parameters
    ----------
    labels : int array (n,)
        0 … classes − 1.
    classes : int
    """
    counts = np.bincount(labels, minlength=classes)
    present = counts > 0
    return np.where(present, labels.size / (present.sum() * np.maximum(counts, 1)), 0.0)


def balanced_order(seed: int, epoch: int, labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return rows (n,) of an epoch in which every class comes as often as another, give or take one: a pure function of its arguments.

    A class with fewer labels than its share comes round again once all of it has been seen; of one with more, another part is seen each epoch.

    Parameters
    ----------
    seed, epoch : int
    labels : int array (n,)
        0 … classes − 1.
    """
    draws = np.random.default_rng((seed, _BALANCED, epoch))
    present = draws.permutation(np.unique(labels))  # who comes once more is not always the same
    share, more = divmod(labels.size, present.size)
    rows = []
    for place, number in enumerate(present):
        own, wanted = np.flatnonzero(labels == number), share + (place < more)
        rounds = [draws.permutation(own) for _ in range(-(-wanted // own.size))]
        rows.append(np.concatenate(rounds)[:wanted] if rounds else own[:0])
    return draws.permutation(np.concatenate(rows))
