"""Which representation suits these labels: each is tried on parts of the labelled pixels that the others were not learned from.

The labels are split again, into parts that share nothing (whole cubes where there are enough, blocks with a guard otherwise), and every
representation classifies each part by the labels of the others. No label outside those given plays a role, so whoever keeps test
labels to themselves may let the program choose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.mapping.maps import Embedding, Method, decider, labelled_features
from napari_hsi_ssl.patches.splits import split_labels

Labels = Mapping[str, NDArray[np.integer]]
Fold = tuple[Labels, Labels]

METHODS: Final[tuple[Method, ...]] = ("knn", "linear")
_PARTS: Final = 3
_REPEATS: Final = 3
"""Splits, each of them anew: one alone says little."""
_CUBES: Final = 4
"""From so many labelled cubes on, whole cubes are held out."""
_BLOCKS: Final = (36, 30, 24, 18, 12)
_FEWEST: Final = 10
"""Training and test pixels of a part that can be used."""
_CLEAR: Final = 0.01
"""A gain below this is no evidence."""


@dataclass(frozen=True)
class Trial:
    """How a representation did.

    Attributes
    ----------
    name : str
    method : {"knn", "linear"}
    accuracies : tuple of float
        Overall accuracy of each part.
    """

    name: str
    method: Method
    accuracies: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the parts."""
        return float(np.mean(self.accuracies))


def held_out_parts(labels: Labels, guard: int) -> list[Fold]:
    """Split labels into parts several times over, each with the labels (y, x) by cube that train and those that judge.

    Parameters
    ----------
    labels : mapping of str to int array (y, x)
        By cube; 0 = unlabelled.
    guard : int
        Pixels between training and judged pixels of one cube.

    Raises
    ------
    LabelError
        When no split leaves two classes on both sides.
    """
    found = [part for seed in range(_REPEATS) for part in split_parts(labels, guard, seed)]
    if not found:
        raise LabelError(f"the labels cannot be split into parts {guard} pixels apart that share two classes; label each class in several places of the scene.")
    return found


def split_parts(labels: Labels, guard: int, seed: int, *, blocks: Sequence[int] = _BLOCKS, shared: int = 2) -> list[Fold]:
    """Split labels once, as `held_out_parts` does several times over.

    Parameters
    ----------
    labels, guard, seed
        As `held_out_parts` has them.
    blocks : sequence of int
        Sides of the blocks that are tried, in pixels, one after another.
    shared : int
        Classes that both sides must have.

    Returns
    -------
    list of Fold
        Empty when no split leaves two parts or more that can be used.
    """
    if len(labels) >= _CUBES:
        order = np.random.default_rng(seed).permutation(list(labels))
        parts = [order[start::_PARTS] for start in range(_PARTS)]
        folds: list[Fold] = [({name: labels[name] for name in labels if name not in part}, {name: labels[name] for name in part}) for part in parts]
        if usable := [fold for fold in folds if _shared(*fold).size >= shared]:
            return usable
    for block in blocks:
        try:
            split = {name: split_labels(image, "blocks", block=block, guard=guard, folds=_PARTS, seed=seed) for name, image in labels.items() if image.any()}
        except LabelError:
            continue
        sides = [[{name: parts[number][side] for name, parts in split.items()} for side in (0, 1)] for number in range(_PARTS)]
        folds = [(train, judged) for train, judged in sides]
        if len(usable := [fold for fold in folds if _shared(*fold).size >= shared and min(map(_count, fold)) >= _FEWEST]) > 1:
            return usable
    return []


def trials(candidates: Mapping[str, Mapping[str, Embedding]], plain: set[str], parts: list[Fold], *, k: int = 20, references: int = 5000) -> list[Trial]:
    """Try representations on held-out parts.

    Parameters
    ----------
    candidates : mapping of str to mapping of str to Embedding
        Name of the representation → cube → features; first those to take without evidence.
    plain : set of str
        Those whose features kNN compares as they are, not standardised.
    parts : list of Fold
        From `held_out_parts`.
    k, references : int
        Neighbours; labelled pixels that decide at most.
    """
    found = []
    for name, images in candidates.items():
        shares: dict[Method, list[float]] = {method: [] for method in METHODS}
        for train, judged in parts:
            x, y = labelled_features(images, train, references)
            asked, truth = labelled_features(images, judged, references)
            keep = np.isin(truth, np.unique(y))
            for method in METHODS:
                decide = decider(method, x, y, min(k, len(y)), standardised=name not in plain)
                answers = np.concatenate([numbers for _, numbers, _ in decide(asked[keep])])
                shares[method].append(float((answers == truth[keep]).mean()))
        found += [Trial(name, method, tuple(shares[method])) for method in METHODS]
    return found


def best(found: list[Trial]) -> Trial:
    """Return the trial to recommend: of those that are hardly worse than the best one, the first, which is the one to take without evidence."""
    top = max(trial.mean for trial in found)
    return next(trial for trial in found if trial.mean >= top - _CLEAR)


def _shared(train: Labels, judged: Labels) -> NDArray[np.integer]:
    known, asked = (np.unique(np.concatenate([image[image > 0] for image in side.values()] or [np.zeros(0, int)])) for side in (train, judged))
    return np.intersect1d(known, asked)


def _count(side: Labels) -> int:
    return sum(int((image > 0).sum()) for image in side.values())
