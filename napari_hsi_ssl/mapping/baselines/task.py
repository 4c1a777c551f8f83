"""One split that rivals are scored on: cubes, labels that teach, labels that judge, and parts of the former to choose by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import distance_transform_cdt
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.mapping.recommend import held_out_parts
from napari_hsi_ssl.metrics.scores import class_numbers
from napari_hsi_ssl.patches.audit import check_split
from napari_hsi_ssl.patches.splits import split_labels

COMPONENTS: Final = 30
WIDEST: Final = 15
"""Side in pixels of the widest window of a plain rival."""
PARTS: Final = 3
"""Into which the training labels are divided to choose by."""
_TOUCHING: Final = 2
"""Up to this distance in pixels training and test pixels lie among each other."""

Image = NDArray[np.float32]
Labels = NDArray[np.int64]


class Components(NamedTuple):
    """Principal components: scores (y, x, k) by cube, and their variance (k,) over the training pixels."""

    scores: dict[str, Image]
    variance: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Task:
    """What a rival gets.

    Attributes
    ----------
    images : dict of str to float32 array (y, x, band)
        By cube; finite everywhere.
    train, test : dict of str to int64 array (y, x)
        Class numbers by cube, 0 = unlabelled, no pixel in both. Every class of the test labels is among those of training.
    absent : dict of int to int
        Test pixels of classes without a training pixel, by class: they are not scored.
    seed : int
    tune : bool
        Whether hyperparameters are chosen on parts of the training labels, else they are the defaults.
    max_steps : int, optional
        Of the training of a network.
    """

    images: dict[str, Image]
    train: dict[str, Labels]
    test: dict[str, Labels]
    absent: dict[int, int]
    seed: int = 0
    tune: bool = True
    max_steps: int | None = None

    @property
    def known(self) -> Labels:
        """Classes (n,) of the training pixels."""
        return _labelled(self.train.values())

    @property
    def truth(self) -> Labels:
        """Classes (m,) of the test pixels, in the order of predictions: cube by cube, row by row."""
        return _labelled(self.test.values())

    def pick(self, features: Mapping[str, NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the features (…, d) at training and at test pixels."""
        learned, asked = (np.concatenate([features[name][image != 0] for name, image in side.items()]) for side in (self.train, self.test))
        return learned, asked

    def fit_predict(self, model: Any, features: Mapping[str, NDArray[Any]]) -> Labels:  # noqa: ANN401 - any scikit-learn classifier
        """Fit a classifier on the training pixels and return the classes (m,) it gives the test pixels."""
        learned, asked = self.pick(features)
        predicted: Labels = model.fit(learned, self.known).predict(asked).astype(np.int64)
        return predicted

    @cached_property
    def components(self) -> Components:
        """30 principal components of the standardised spectra, both learned from the training pixels alone."""
        learned, _ = self.pick(self.images)
        count = min(COMPONENTS, *learned.shape)
        model = make_pipeline(StandardScaler(), PCA(count, random_state=self.seed)).fit(learned)
        scores = {
            name: model.transform(image.reshape(-1, image.shape[2])).astype(np.float32).reshape(*image.shape[:2], count) for name, image in self.images.items()
        }
        return Components(scores, np.maximum(model[-1].explained_variance_, 0))

    @cached_property
    def gap(self) -> int | None:
        """The smallest Chebyshev distance in pixels between a training and a test pixel of one cube; None where no cube has both."""
        found = [
            int(distance_transform_cdt(train == 0, metric="chessboard")[self.test[name] != 0].min())
            for name, train in self.train.items()
            if train.any() and self.test[name].any()
        ]
        return min(found, default=None)

    @cached_property
    def inner(self) -> tuple[Task, ...]:
        """Up to three tasks within the training labels, to choose by: each holds out a part of them as the test labels are held out.

        Where test pixels lie among training pixels, so do those held out; else blocks as far from what remains, or whole cubes. Empty where the
        labels are too few.
        """
        labels = {name: image for name, image in self.train.items() if image.any()}
        guard = WIDEST - 1 if self.gap is None else self.gap - 1
        parts = []
        if self.gap is None or self.gap > _TOUCHING:
            try:
                parts = held_out_parts(labels, guard)[:PARTS]
            except LabelError:  # too few places to divide by
                parts = []
        if not parts:
            try:
                split = {name: split_labels(image, "random", folds=PARTS, seed=0) for name, image in labels.items()}
            except LabelError:
                return ()
            parts = [tuple({name: folds[number][side] for name, folds in split.items()} for side in (0, 1)) for number in range(PARTS)]  # type: ignore[misc]
        found = []
        for learned, judged in parts:
            sides = [{name: np.asarray(side.get(name, np.zeros_like(self.train[name])), dtype=np.int64) for name in self.train} for side in (learned, judged)]
            scored, absent = _scored(*sides)
            if np.unique(_labelled(sides[0].values())).size > 1 and any(image.any() for image in scored.values()):
                found.append(replace(self, train=sides[0], test=scored, absent=absent))
        return tuple(found)


def make_task(
    images: Mapping[str, ArrayLike],
    train: Mapping[str, ArrayLike],
    test: Mapping[str, ArrayLike],
    seed: int = 0,
    *,
    tune: bool = True,
    max_steps: int | None = None,
) -> Task:
    """Return a split of one or several cubes, checked.

    Parameters
    ----------
    images : mapping of str to array (y, x, band)
        Pixels that are not finite in every band take the mean training spectrum.
    train, test : mapping of str to integer array (y, x)
        Class numbers, 0 = unlabelled; a cube may lack either.
    seed, tune, max_steps
        As `Task` has them.

    Raises
    ------
    LabelError
        When the labels are no split of these cubes, hold one class only, or no test class can be learned.
    """
    spectra = {name: np.array(image, dtype=np.float32) for name, image in images.items()}
    sides = [
        {name: class_numbers(side[name]) if name in side else np.zeros(image.shape[:2], np.int64) for name, image in spectra.items()} for side in (train, test)
    ]
    for name, image in spectra.items():
        for side in sides:
            if image.ndim != 3 or image.shape[:2] != side[name].shape:
                frame = side[name].shape
                raise LabelError(f"the labels have shape {frame} and the cube {image.shape}, expected labels of (y, x) for a cube of (y, x, band).")
    # Side by side the cubes are one image, so that one check serves them all.
    learned, asked = (np.concatenate([image.ravel() for image in side.values()])[None] for side in sides)
    check_split(learned, asked)
    measured = {name: np.isfinite(image).all(axis=2) for name, image in spectra.items()}
    known = [spectra[name][measured[name] & (sides[0][name] != 0)] for name in spectra]
    if not any(len(part) for part in known):
        raise LabelError("no training pixel was measured (all are NaN in some band), expected at least one a class; drop the dead bands or label elsewhere.")
    level = np.concatenate(known).mean(axis=0, dtype=np.float64).astype(np.float32)
    for name, image in spectra.items():
        image[~measured[name]] = level
    trained = {name: np.where(measured[name], image, 0) for name, image in sides[0].items()}
    classes = np.unique(_labelled(trained.values()))
    if classes.size < 2:
        raise LabelError(f"the training labels hold one class ({classes[0]}), expected at least two to tell apart; label another class.")
    scored, absent = _scored(trained, sides[1])
    if not any(image.any() for image in scored.values()):
        raise LabelError(f"none of the test classes {', '.join(map(str, absent))} has a training pixel, so nothing can be scored; label them in training too.")
    return Task(spectra, trained, scored, absent, seed, tune, max_steps)


def _labelled(images: Iterable[Labels]) -> Labels:
    return np.concatenate([image[image != 0] for image in images])


def _scored(train: Mapping[str, Labels], test: Mapping[str, Labels]) -> tuple[dict[str, Labels], dict[int, int]]:
    """Return the test labels of classes that can be learned, and how many pixels the others have."""
    known = np.unique(_labelled(train.values()))
    numbers, counts = np.unique(_labelled(test.values()), return_counts=True)
    absent = {int(number): int(count) for number, count in zip(numbers, counts, strict=True) if number not in known}
    return {name: np.where(np.isin(image, known), image, 0) for name, image in test.items()}, absent
