"""Where two maps differ, who says what there, and whether one is better when neighbouring pixels are no independent witnesses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.metrics.scores import class_numbers, labelled

BLOCK: Final = 24
"""Side in pixels of the blocks that are drawn again: wider than the windows by which maps are usually made."""
_PAIRS: Final = 30
_DRAWS: Final = 2000
_FEWEST: Final = 5
DEPENDENCE: Final = (
    "McNemar's test takes pixels as independent; neighbours are not, so its p is too small. The interval of the difference comes from whole blocks drawn again."
)


def class_agreement(a: ArrayLike, b: ArrayLike, classes: Classes) -> list[dict[str, Any]]:
    """Return how far two maps agree on each class, over the pixels that both classify.

    Returns
    -------
    list of dict
        ``number``, ``name``, ``first``, ``second`` (pixels of the class in each map), ``both``, and ``overlap``: both over those that either
        map gives the class (Jaccard), None where neither does.
    """
    first, second = class_numbers(a), class_numbers(b)
    compared = (first != 0) & (second != 0)
    first, second = first[compared], second[compared]
    rows = []
    for number, name in zip(classes.numbers, classes.names, strict=True):
        here, there = first == number, second == number
        both, either = int((here & there).sum()), int((here | there).sum())
        if either:
            rows.append({"number": number, "name": name, "first": int(here.sum()), "second": int(there.sum()), "both": both, "overlap": both / either})
    return rows


def differences(a: ArrayLike, b: ArrayLike, most: int = _PAIRS) -> tuple[NDArray[np.int32], list[tuple[int, int, int]]]:
    """Return where two maps differ and who says what.

    Parameters
    ----------
    a, b : int array (y, x)
        Class numbers, 0 = not classified.
    most : int
        Pairs that get a number of their own.

    Returns
    -------
    image : int32 array (y, x)
        0 where both say the same or one says nothing, else the number of the pair, from 1; rarer pairs share the last number.
    pairs : list of (first, second, pixels)
        What each map says there, the most frequent first; the rarer ones as (0, 0, pixels).
    """
    first, second = class_numbers(a), class_numbers(b)
    differ = (first != 0) & (second != 0) & (first != second)
    said = np.stack((first[differ], second[differ]), axis=1)
    kinds, kind_of, counts = np.unique(said, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    rank = np.empty(order.size, dtype=np.int32)
    rank[order] = np.arange(1, order.size + 1)
    image = np.zeros(first.shape, dtype=np.int32)
    image[differ] = np.minimum(rank[kind_of.ravel()], most)
    pairs = [(int(kinds[place, 0]), int(kinds[place, 1]), int(counts[place])) for place in order.tolist()]
    if len(pairs) > most:
        pairs = [*pairs[: most - 1], (0, 0, sum(pixels for _, _, pixels in pairs[most - 1 :]))]
    return image, pairs


def accuracy_difference(a: ArrayLike, b: ArrayLike, truth: ArrayLike, block: int = BLOCK, seed: int = 0) -> dict[str, Any]:
    """Return how much more accurate the first map is, with an interval from whole blocks of labelled pixels drawn again.

    Parameters
    ----------
    a, b, truth : int array (y, x)
        Truth 0 = unlabelled, left out.
    block : int
        Side of a block in pixels. Errors of neighbours come together, so blocks, not pixels, are what is drawn (Künsch 1989,
        doi:10.1214/aos/1176347265).
    seed : int

    Returns
    -------
    dict
        ``first``, ``second`` (overall accuracies), ``difference``, ``low``, ``high`` (95 %; None with fewer than 5 blocks, which say
        nothing of how others would be), ``blocks``, ``block``, ``n``.
    """
    true = class_numbers(truth)
    labelled(true, a, b)  # says what is wrong with them
    y, x = np.nonzero(true)
    right = [(class_numbers(found)[y, x] == true[y, x]).astype(np.float64) for found in (a, b)]
    _, of_block = np.unique(np.stack((y // block, x // block), axis=1), axis=0, return_inverse=True)
    of_block = of_block.ravel()
    sums = np.stack([np.bincount(of_block, weights=values) for values in (right[0] - right[1], np.ones(y.size))])
    blocks = sums.shape[1]
    low = high = None
    if blocks >= _FEWEST:
        draws = np.random.default_rng(seed).multinomial(blocks, np.full(blocks, 1 / blocks), size=_DRAWS)
        gained, counted = draws @ sums[0], draws @ sums[1]
        low, high = (float(value) for value in np.quantile(gained / counted, (0.025, 0.975)))
    first, second = float(right[0].mean()), float(right[1].mean())
    return {"first": first, "second": second, "difference": first - second, "low": low, "high": high, "blocks": blocks, "block": block, "n": int(y.size)}


def pair_classes(pairs: Sequence[tuple[int, int, int]], classes: Classes) -> Classes:
    """Return the legend of the image of `differences`: "FIRST → SECOND" for each pair."""
    names = dict(zip(classes.numbers, classes.names, strict=True))

    def words(first: int, second: int) -> str:
        return "other pairs" if not first else f"{names.get(first, f'class {first}')} → {names.get(second, f'class {second}')}"

    return Classes.of(range(1, len(pairs) + 1), {number: words(first, second) for number, (first, second, _) in enumerate(pairs, start=1)})
