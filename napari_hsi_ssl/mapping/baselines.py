"""Simple rivals on the same split: what an elaborate model must beat."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import uniform_filter
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from napari_hsi_ssl.errors import ConfigError, LabelError
from napari_hsi_ssl.mapping.classifiers import standardise
from napari_hsi_ssl.metrics.neighbours import knn_vote
from napari_hsi_ssl.metrics.scores import average_accuracy, kappa, overall_accuracy
from napari_hsi_ssl.patches.audit import check_split, predict_by_position
from napari_hsi_ssl.progress import Progress, Steps

COMPONENTS: Final = 30
# The penalty with which SVMs on these scenes are at their plateau: below 10 they underfit, above 50 nothing changes.
SVM_C: Final = 100.0


@dataclass(frozen=True)
class _Task:
    """What a baseline gets: a filled float32 cube (y, x, band) and disjoint labels (y, x)."""

    cube: NDArray[np.float32]
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    seed: int

    @property
    def known(self) -> NDArray[np.int64]:
        known: NDArray[np.int64] = self.train[self.train != 0]
        return known

    def pick(self, features: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the features (…, d) at training and at test pixels."""
        return features[self.train != 0], features[self.test != 0]

    def fit_predict(self, model: Any, features: NDArray[np.float32]) -> NDArray[np.int64]:  # noqa: ANN401 - any scikit-learn classifier
        learned, asked = self.pick(features)
        predicted: NDArray[np.int64] = model.fit(learned, self.known).predict(asked).astype(np.int64)
        return predicted

    def components(self) -> NDArray[np.float32]:
        """Return 30 principal components (y, x, k) of the standardised spectra."""
        learned, _ = self.pick(self.cube)
        count = min(COMPONENTS, *learned.shape)
        model = make_pipeline(StandardScaler(), PCA(count, random_state=self.seed)).fit(learned)
        scores: NDArray[np.float32] = model.transform(self.cube.reshape(-1, self.cube.shape[2])).astype(np.float32)
        return scores.reshape(*self.cube.shape[:2], count)


def local_mean(image: NDArray[np.float32], window: int) -> NDArray[np.float32]:
    """Return the mean over a square window of odd side around each pixel of (y, x, d), the image mirrored at its edges."""
    mean: NDArray[np.float32] = uniform_filter(image, (window, window, 0))
    return mean


def _position(task: _Task) -> NDArray[np.int64]:
    return predict_by_position(task.train, task.test)


def _neighbours(task: _Task) -> NDArray[np.int64]:
    learned, asked = standardise(*task.pick(task.cube))
    return knn_vote(learned, task.known, asked, min(5, len(learned)), "euclidean")[0]


def _svm(task: _Task) -> NDArray[np.int64]:
    return task.fit_predict(make_pipeline(StandardScaler(), SVC(C=SVM_C)), task.cube)


def _forest(task: _Task) -> NDArray[np.int64]:
    return task.fit_predict(RandomForestClassifier(500, random_state=task.seed), task.cube)


def _discriminant(task: _Task) -> NDArray[np.int64]:
    learned, asked = task.pick(local_mean(task.cube, 5))
    # A class of one pixel counts twice: its covariance stays 0, and scikit-learn does not warn of a single sample.
    _, code, counts = np.unique(task.known, return_inverse=True, return_counts=True)
    rows = np.repeat(np.arange(code.size), np.where(counts[code] == 1, 2, 1))
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(learned[rows], task.known[rows])
    predicted: NDArray[np.int64] = model.predict(asked).astype(np.int64)
    return predicted


def _trees(task: _Task) -> NDArray[np.int64]:
    scores = task.components()
    features = np.concatenate([local_mean(scores, window) for window in (1, 5, 9, 15)], axis=2)
    return task.fit_predict(ExtraTreesClassifier(500, random_state=task.seed), features)


def _svm_means(task: _Task) -> NDArray[np.int64]:
    scores = task.components()
    return task.fit_predict(make_pipeline(StandardScaler(), SVC(C=SVM_C)), np.concatenate((scores, local_mean(scores, 15)), axis=2))


BASELINES: Final[dict[str, tuple[str, Callable[[_Task], NDArray[np.int64]]]]] = {
    "position": ("position alone (1-NN on row and column)", _position),
    "knn": ("kNN (k = 5) on standardised spectra", _neighbours),
    "svm": ("RBF SVM on standardised spectra", _svm),
    "forest": ("random forest on spectra", _forest),
    "lda": ("shrinkage LDA on the 5×5 mean", _discriminant),
    "trees": ("extremely randomised trees on 30 PCs and their 5×5, 9×9 and 15×15 means", _trees),
    "svm-means": ("RBF SVM on 30 PCs and their 15×15 mean", _svm_means),
}
"""Key → words for the table, and the function that predicts the test pixels."""


def baselines(cube: ArrayLike, train: ArrayLike, test: ArrayLike, seed: int = 0, which: Sequence[str] | None = None) -> Steps[list[dict[str, Any]]]:
    """Score simple classifiers on one split of one image.

    What is learned without labels (standardisation, principal components) is learned from the training pixels alone. Local means
    look at all pixels around, as every window does; `napari_hsi_ssl.patches.audit` says what that is worth on this split.

    Parameters
    ----------
    cube : array (y, x, band)
        Pixels that are not finite in every band take the mean training spectrum.
    train, test : integer array (y, x)
        Class numbers, 0 = unlabelled, no pixel in both.
    seed : int
        For the two forests.
    which : sequence of str, optional
        Keys of `BASELINES`; all by default.

    Returns
    -------
    list of dict
        ``key``, ``name`` (words), ``oa``, ``aa``, ``kappa`` (fractions) and ``seconds``, in the order asked for.

    Raises
    ------
    LabelError
        When the labels are no split of this cube, or hold one class only.
    ConfigError
        When a baseline is unknown.
    """
    keys = list(BASELINES) if which is None else list(which)
    unknown = [key for key in keys if key not in BASELINES]
    if unknown:
        raise ConfigError(f"there is no baseline '{unknown[0]}', expected some of {', '.join(BASELINES)}.")
    task = _task(cube, train, test, seed)
    truth = task.test[task.test != 0]
    rows = []
    for number, key in enumerate(keys):
        name, predict = BASELINES[key]
        yield Progress(number, len(keys), name)
        start = time.perf_counter()
        predicted = predict(task)
        seconds = time.perf_counter() - start
        scores = {"oa": overall_accuracy(truth, predicted), "aa": average_accuracy(truth, predicted), "kappa": kappa(truth, predicted)}
        rows.append({"key": key, "name": name, **scores, "seconds": seconds})
    yield Progress(len(keys), len(keys), "baselines done")
    return rows


def _task(cube: ArrayLike, train: ArrayLike, test: ArrayLike, seed: int) -> _Task:
    learned, asked = check_split(train, test)
    spectra = np.array(cube, dtype=np.float32)
    if spectra.ndim != 3 or spectra.shape[:2] != learned.shape:
        raise LabelError(f"the labels have shape {learned.shape} and the cube {spectra.shape}, expected labels of (y, x) for a cube of (y, x, band).")
    measured = np.isfinite(spectra).all(axis=2)
    if not (measured & (learned != 0)).any():
        raise LabelError("no training pixel was measured (all are NaN in some band), expected at least one a class; drop the dead bands or label elsewhere.")
    if not measured.all():
        spectra[~measured] = spectra[measured & (learned != 0)].mean(axis=0)
        learned = np.where(measured, learned, 0)
    classes = np.unique(learned[learned != 0])
    if classes.size < 2:
        raise LabelError(f"the training labels hold one class ({classes[0]}), expected at least two to tell apart; label another class.")
    return _Task(spectra, learned, asked, seed)
