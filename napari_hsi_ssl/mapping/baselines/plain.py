"""The rivals of scikit-learn, and position alone.

What is learned without labels (standardisation, principal components) is learned from the training pixels alone. Local means look at all
pixels around, as every window does; `napari_hsi_ssl.patches.audit` says what that is worth on a split. Penalty and width of the SVMs are
chosen on parts of the training labels (`Task.inner`), nothing else is tuned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from napari_hsi_ssl.mapping.baselines.task import Image, Labels, Task
from napari_hsi_ssl.mapping.classifiers import standardise
from napari_hsi_ssl.metrics.neighbours import knn_vote
from napari_hsi_ssl.patches.audit import predict_by_position

# The first is where SVMs on these scenes are at their plateau, and stands where nothing can be chosen by.
_GRID: Final = [(100.0, 1.0), *((c, width) for c in (10.0, 100.0, 1000.0) for width in (0.25, 1.0, 4.0) if (c, width) != (100.0, 1.0))]
_TUNED_ON: Final = 1000
_JUDGED_ON: Final = 2000
"""Pixels that a choice of the grid is fitted and judged on at most."""

Said = dict[str, Any]
"""What a rival tells of itself beside its predictions: what it chose."""
Features = Mapping[str, NDArray[Any]]


def local_mean(image: Image, window: int) -> Image:
    """Return the mean over a square window of odd side around each pixel of (y, x, d), the image mirrored at its edges."""
    mean: Image = uniform_filter(image, (window, window, 0))
    return mean


def _position(task: Task) -> tuple[Labels, Said]:
    """1-NN within a cube; where a cube has no training pixel, the largest training class."""
    numbers, counts = np.unique(task.known, return_counts=True)
    parts = []
    for name, test in task.test.items():
        train = task.train[name]
        if test.any():
            parts.append(predict_by_position(train, test) if train.any() else np.full(int((test != 0).sum()), numbers[counts.argmax()], dtype=np.int64))
    return np.concatenate(parts), {}


def _neighbours(task: Task) -> tuple[Labels, Said]:
    learned, asked = standardise(*task.pick(task.images))
    return knn_vote(learned, task.known, asked, min(5, len(learned)), "euclidean")[0], {}


def _svm(task: Task) -> tuple[Labels, Said]:
    return _tuned_svm(task, lambda part: part.images)


def _svm_means(task: Task) -> tuple[Labels, Said]:
    return _tuned_svm(task, lambda part: _beside_means(part, (15,)))


def _tuned_svm(task: Task, features: Callable[[Task], Features]) -> tuple[Labels, Said]:
    choice, shares = _GRID[0], {}
    if task.tune and task.inner:
        tried = [(_thinned(part, features(part)), part) for part in task.inner]
        for c, width in _GRID:
            shares[c, width] = np.average([_right(c, width, *sides) for sides, _ in tried], weights=[part.truth.size for _, part in tried])
        choice = max(_GRID, key=lambda pair: shares[pair])
    found = features(task)
    told = {"C": choice[0], "gamma": choice[1], **({"validation": float(shares[choice])} if shares else {})}
    return task.fit_predict(_support_vectors(*choice, next(iter(found.values())).shape[-1]), found), told


def _support_vectors(c: float, width: float, dimensions: int) -> Pipeline:
    """``width`` is in units of 1 / dimensions, which is scikit-learn's 'scale' on standardised features."""
    return make_pipeline(StandardScaler(), SVC(C=c, gamma="scale" if width == 1 else width / dimensions))


def _thinned(part: Task, features: Features) -> tuple[NDArray[Any], Labels, NDArray[Any], Labels]:
    """Return features and classes of some training and some test pixels, in the classes' shares and at least one a class."""
    (learned, asked), known, truth = part.pick(features), part.known, part.truth
    some, others = _draw(known, _TUNED_ON, part.seed), _draw(truth, _JUDGED_ON, part.seed)
    return learned[some], known[some], asked[others], truth[others]


def _draw(labels: Labels, count: int, seed: int) -> NDArray[np.intp]:
    if labels.size <= count:
        return np.arange(labels.size)
    generator = np.random.default_rng(seed)
    shares = [(np.flatnonzero(labels == number), max(1, round(count * float((labels == number).mean())))) for number in np.unique(labels)]
    return np.concatenate([generator.permutation(places)[:share] for places, share in shares])


def _right(c: float, width: float, x: NDArray[Any], y: Labels, asked: NDArray[Any], truth: Labels) -> float:
    return float((_support_vectors(c, width, x.shape[1]).fit(x, y).predict(asked) == truth).mean())


def _forest(task: Task) -> tuple[Labels, Said]:
    return task.fit_predict(RandomForestClassifier(500, random_state=task.seed), task.images), {}


def _discriminant(task: Task) -> tuple[Labels, Said]:
    learned, asked = task.pick({name: local_mean(image, 5) for name, image in task.images.items()})
    # A class of one pixel counts twice: its covariance stays 0, and scikit-learn does not warn of a single sample.
    known = task.known
    _, code, counts = np.unique(known, return_inverse=True, return_counts=True)
    rows = np.repeat(np.arange(code.size), np.where(counts[code] == 1, 2, 1))
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(learned[rows], known[rows])
    predicted: Labels = model.predict(asked).astype(np.int64)
    return predicted, {}


def _trees(task: Task) -> tuple[Labels, Said]:
    return task.fit_predict(ExtraTreesClassifier(500, random_state=task.seed), _beside_means(task, (5, 9, 15))), {}


def _beside_means(task: Task, windows: tuple[int, ...]) -> Features:
    """Return the components and their means over windows, (y, x, k · (1 + windows)) by cube."""
    return {name: np.concatenate([scores, *(local_mean(scores, window) for window in windows)], axis=2) for name, scores in task.components.scores.items()}


PLAIN: Final[dict[str, Callable[[Task], tuple[Labels, Said]]]] = {
    "position": _position,
    "knn": _neighbours,
    "svm": _svm,
    "forest": _forest,
    "lda": _discriminant,
    "trees": _trees,
    "svm-means": _svm_means,
}
"""By key, what predicts the classes of the test pixels."""
