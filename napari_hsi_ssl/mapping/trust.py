"""How far the answer for a pixel can be believed: confidence after calibration, entropy, and how far several answers disagree.

The temperature comes from labelled pixels that the answers were not learned from: those that a run held out, or parts of the training
labels (`judged_parts`), each answered by what the others teach. It makes a classifier neither more nor less accurate, only honest about
it, for pixels like the held-out ones; of a scene where all labels lie close together it says nothing about far places.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.mapping.maps import Decider, Embedding, Method, Vote, decider, labelled_features
from napari_hsi_ssl.mapping.recommend import Fold, Labels, split_parts
from napari_hsi_ssl.metrics.calibration import brier, fit_temperature, reliability, tempered
from napari_hsi_ssl.patches.splits import split_labels

_REFERENCES: Final = 5000
_JUDGED: Final = 3000
"""Labelled pixels of a part that teach and that judge, at most."""
_FEWEST: Final = 20
_PARTS: Final = 3
_BLOCKS: Final = (36, 30, 24, 18, 12, 8, 5)


@dataclass(frozen=True)
class Calibration:
    """A temperature, and what it did on the pixels it was fitted on.

    Attributes
    ----------
    temperature : float
        By which logarithms of probabilities are divided; above 1 the classifier was too sure of itself.
    n : int
        Held-out pixels.
    source : str
        Which they were, in words.
    ece_before, ece_after : float
        Expected calibration error on them; the second one is optimistic, for the temperature was chosen there.
    brier_before, brier_after : float
    """

    temperature: float
    n: int
    source: str
    ece_before: float
    ece_after: float
    brier_before: float
    brier_after: float

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Calibration:
        """Read what `to_json` wrote."""
        return cls(**{name: value[name] for name in cls.__dataclass_fields__})


def calibrate(log_probabilities: ArrayLike, codes: ArrayLike, source: str) -> Calibration | None:
    """Fit the temperature on held-out pixels; None with fewer than 20 of them, which say too little.

    Parameters
    ----------
    log_probabilities : float array (n, c)
        What was said of them.
    codes : int array (n,)
        Positions of their classes.
    source : str
        Which pixels they are, in words.
    """
    said, true = np.asarray(log_probabilities, dtype=np.float64), np.asarray(codes)
    if true.size < _FEWEST:
        return None
    temperature = fit_temperature(said, true)
    before, after = tempered(said, 1.0), tempered(said, temperature)
    right = said.argmax(axis=1) == true
    first, second = (reliability(proba.max(axis=1), right).ece for proba in (before, after))
    return Calibration(temperature, int(true.size), source, first, second, brier(before, true), brier(after, true))


def judged_parts(labels: Labels, guard: int, seed: int = 0, *, near: bool = False, draws: int = 1) -> tuple[list[Fold], str]:
    """Split labels into parts of which each judges what the others teach, spatially apart where they reach far enough.

    Parameters
    ----------
    labels : mapping of str to int array (y, x)
        By cube; 0 = unlabelled.
    guard : int
        Pixels wanted between those that teach and those that judge; a half or a quarter of them where the labels do not allow more.
    near : bool
        Draw the parts at random instead, so that pixels judge beside those that teach.
    draws : int
        Splits into parts that are far apart, each of them anew.

    Returns
    -------
    list of Fold
        Empty when there are too few labels for anything.
    str
        How they lie to each other, in words.
    """
    for distance in dict.fromkeys(() if near else (guard, guard // 2, guard // 4)):
        if parts := [part for draw in range(draws) for part in split_parts(labels, distance, seed + draw, blocks=_BLOCKS, shared=1)]:
            return parts, f"parts of the training labels, whole cubes or blocks at least {distance} pixels apart"
    try:
        split = {name: split_labels(image, "random", folds=_PARTS, seed=seed) for name, image in labels.items() if np.any(image)}
    except LabelError:
        return [], ""
    sides: list[list[Labels]] = [[{name: both[number][side] for name, both in split.items()} for side in (0, 1)] for number in range(_PARTS)]
    return [(taught, judged) for taught, judged in sides], "parts of the training labels drawn at random, beside those that teach: true of near pixels alone"


def calibrate_head(
    images: Mapping[str, Embedding],
    labels: Labels,
    method: Method,
    k: int = 20,
    *,
    standardised: bool = True,
    vote: Vote | None = None,
    guard: int = 0,
    near: bool = False,
    seed: int = 0,
) -> Calibration | None:
    """Fit the temperature of kNN or of the logistic head on parts of its own training labels.

    Parameters
    ----------
    images : mapping of str to Embedding
        Features (y, x, d) of the labelled cubes.
    labels : mapping of str to int array (y, x)
    method, k, standardised, vote
        As `mapping.maps.decider` has them.
    guard : int
        How far features of one pixel see, so that no judged pixel was seen in training.
    near : bool
        Judge by pixels beside those that teach; confidence then holds near labelled pixels only.

    Returns
    -------
    Calibration or None
        None when the labels are too few to hold any out.
    """
    parts, source = judged_parts(labels, guard, seed, near=near)
    numbers = classes_of(labels)
    said, true = [], []
    for taught, judged in parts:
        if classes_of(taught).size < 2 or classes_of(judged).size == 0:
            continue
        x, y = labelled_features(images, taught, _REFERENCES, seed)
        decide = decider(method, x, y, min(k, len(y)), standardised=standardised, vote=vote)
        asked, truth = labelled_sample(images, judged, _JUDGED, seed)
        to_be_had = np.isin(truth, decide.classes)
        columns = np.full((int(to_be_had.sum()), numbers.size), -np.inf)
        columns[:, np.searchsorted(numbers, decide.classes)] = log_answers(decide, asked[to_be_had])
        said.append(columns)
        true.append(np.searchsorted(numbers, truth[to_be_had]))
    if not said:
        return None
    return calibrate(np.concatenate(said), np.concatenate(true), source)


def log_answers(decide: Decider, features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the logarithms (n, c) of what a classifier says of features (n, d)."""
    found = np.empty((len(features), decide.classes.size))
    for rows, shares in decide.answers(features):
        found[rows] = decide.log(shares)
    return found


def classes_of(labels: Labels) -> NDArray[np.integer]:
    """Return the class numbers that label images (y, x) hold."""
    return np.unique(np.concatenate([image[image > 0] for image in labels.values()] or [np.zeros(0, dtype=np.int64)]))


def labelled_sample(images: Mapping[str, Embedding], labels: Labels, count: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return features (n, d) and class numbers (n,) of at most about ``count`` labelled pixels, each as likely as any other; unmeasured ones are left out."""
    share = count / max(1, sum(int((image > 0).sum()) for image in labels.values()))
    draws = np.random.default_rng(seed)
    chosen = {name: (image > 0) & ((draws.random(image.shape) < share) | (share >= 1)) for name, image in labels.items()}
    features = np.concatenate([np.asarray(images[name][which], dtype=np.float32) for name, which in chosen.items()])
    numbers = np.concatenate([labels[name][which] for name, which in chosen.items()]).astype(np.int64)
    measured = np.isfinite(features).all(axis=1)
    return features[measured], numbers[measured]
