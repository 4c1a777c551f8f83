"""What is unlike everything the labels teach: such a pixel gets a class too, but should not be believed.

Each class is a cloud of labelled pixels in feature space. How far a pixel is from the nearest cloud (Mahalanobis distance, a class's
covariance drawn towards the common one the fewer its pixels are) is set beside the same distance of labelled pixels that the clouds were
not made of: typicality 0.03 says that 3 % of these lie as far out. So a threshold *is* the share of false alarms among pixels like them.

Chosen by trial on EnMAP Potsdam and Samson with each class left out in turn, among distances to the nearest 1 or 5 labelled pixels (plain,
standardised, whitened), one common covariance, relative Mahalanobis, likelihoods, the probability and the energy of a logistic head, and a
classifier of labelled against all pixels: `benchmarks/calibration.py` has its figures, and why a class that lies amid the others cannot be seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from napari_hsi_ssl import files, limits
from napari_hsi_ssl.errors import DAMAGE, LabelError
from napari_hsi_ssl.mapping.maps import Embedding, labelled_features, measured_rows
from napari_hsi_ssl.mapping.recommend import Labels
from napari_hsi_ssl.mapping.trust import classes_of, judged_parts, labelled_sample
from napari_hsi_ssl.progress import Progress, Steps

_COUNT: Final = 5000
_FEWEST: Final = 20
_DRAWS: Final = 3
"""Splits into parts: one alone may leave a stretch of the scene to nobody, and then nothing is strange."""
_LEAST: Final = 1e-6
"""Added to a covariance of features of unit scale, so that it can be inverted whatever the pixels."""
_CHUNK_BYTES: Final = 64 * 2**20


@dataclass(frozen=True, eq=False)
class Clouds:
    """The classes in feature space, and how far from them labelled pixels lie that they were not made of.

    Attributes
    ----------
    numbers : int64 array (c,)
        Their class numbers.
    scale : float
        What features are divided by.
    centres : float64 array (c, d)
    whitening : float64 array (c, d, d)
        Makes a class's covariance the unit matrix.
    held_out : float64 array (n,)
        Distances of held-out pixels, ascending; empty when there were none.
    source : str
        Which these were, in words.
    """

    numbers: NDArray[np.int64]
    scale: float
    centres: NDArray[np.float64]
    whitening: NDArray[np.float64]
    held_out: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    source: str = ""

    def write(self, path: Path) -> None:
        """Keep it as .npz."""
        files.write_npz(path, **{name: np.asarray(getattr(self, name)) for name in self.__dataclass_fields__})

    @classmethod
    def read(cls, path: Path) -> Clouds:
        """Read what `write` wrote.

        Raises
        ------
        LabelError
            When the file is damaged or something else.
        """
        try:
            with limits.opened_npz(path) as content:
                arrays: dict[str, Any] = {name: content[name] for name in cls.__dataclass_fields__}
            found = cls(**{**arrays, "scale": float(arrays["scale"]), "source": str(arrays["source"])})
            classes, width = found.centres.shape
            fits = found.whitening.shape == (classes, width, width) and found.numbers.shape == (classes,) and found.held_out.ndim == 1 and found.scale > 0
        except DAMAGE as error:
            raise LabelError(f"{path} holds no clouds of classes ({type(error).__name__}: {error}); delete it and make the map again.") from error
        if not fits:
            raise LabelError(f"{path} holds clouds of classes that do not fit one another; delete it and make the map again.")
        return found

    def distance(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the squared distance (n,) of features (n, d) to the nearest class."""
        values = np.asarray(features, dtype=np.float64) / self.scale
        nearest = np.full(len(values), np.inf)
        step = max(1, _CHUNK_BYTES // (8 * values.shape[1]))
        for start in range(0, len(values), step):
            part = slice(start, start + step)
            for centre, whitening in zip(self.centres, self.whitening, strict=True):
                np.minimum(nearest[part], (((values[part] - centre) @ whitening) ** 2).sum(axis=1), out=nearest[part])
        return nearest

    def typicality(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the share of held-out pixels that lie as far out as features (n, d), in (0, 1]; the pixel itself counts as one."""
        beyond = self.held_out.size - np.searchsorted(self.held_out, self.distance(features), side="left")
        share: NDArray[np.float32] = ((1 + beyond) / (1 + self.held_out.size)).astype(np.float32)
        return share


@dataclass(frozen=True, eq=False)
class Scaled:
    """An image (y, x, d) whose values are moved and multiplied when they are asked for.

    Attributes
    ----------
    image : Embedding (y, x, d)
    offset, gain : float32 array (d,)
        Value = (stored − offset) · gain.
    """

    image: Embedding
    offset: NDArray[np.float32]
    gain: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width, dimensions."""
        return self.image.shape

    def __getitem__(self, which: Any) -> NDArray[np.float32]:  # noqa: ANN401 - rows or a mask
        """Return some rows or pixels."""
        values: NDArray[np.float32] = (np.asarray(self.image[which], dtype=np.float32) - self.offset) * self.gain
        return values


def fit_clouds(
    images: Mapping[str, Embedding],
    labels: Labels,
    *,
    held_out: tuple[Mapping[str, Embedding], Labels, str] | None = None,
    guard: int = 0,
    seed: int = 0,
) -> Clouds:
    """Fit the classes, and measure held-out pixels against them.

    Parameters
    ----------
    images : mapping of str to Embedding
        Features (y, x, d) of the labelled cubes.
    labels : mapping of str to int array (y, x)
    held_out : images, labels and words, optional
        Pixels that taught nobody; by default parts of the labels, each measured against what the others make.
    guard : int
        Pixels between such parts.

    Raises
    ------
    LabelError
        When too few pixels can be held out for a threshold to mean anything.
    """
    clouds = _clouds(images, labels, seed)
    if held_out is not None:
        images_of, judged, source = held_out
        distances = [_distances(clouds, images_of, judged, seed)]
    else:
        parts, source = judged_parts(labels, guard, seed, draws=_DRAWS)
        distances = [_distances(_clouds(images, taught, seed), images, judged, seed) for taught, judged in parts if classes_of(taught).size > 1]
    found = np.sort(np.concatenate(distances)) if distances else np.zeros(0)
    if found.size < _FEWEST:
        raise LabelError(
            f"only {found.size} labelled pixels can be held out, expected {_FEWEST} or more to tell how unlike training a pixel may be; label more pixels."
        )
    return replace(clouds, held_out=found, source=source)


def typicality_map(clouds: Clouds, image: Embedding, area: NDArray[np.bool_]) -> Steps[NDArray[np.float32]]:
    """Return the typicality (y, x) of every pixel of an area, some rows at a time; 0 outside and where a pixel is not measured."""
    found = np.zeros(image.shape[:2], dtype=np.float32)
    for rows, inside, features in measured_rows(image, area):
        if inside.any():
            found[rows][inside] = clouds.typicality(features)
        yield Progress(rows.stop, len(found), "what is unlike training")
    return found


def _distances(clouds: Clouds, images: Mapping[str, Embedding], labels: Labels, seed: int) -> NDArray[np.float64]:
    """Return how far labelled pixels are, those of classes that the clouds have."""
    features, numbers = labelled_sample(images, labels, _COUNT, seed)
    return clouds.distance(features[np.isin(numbers, clouds.numbers)])


def _clouds(images: Mapping[str, Embedding], labels: Labels, seed: int) -> Clouds:
    features, codes = labelled_features(images, labels, _COUNT, seed)
    numbers, place = np.unique(codes, return_inverse=True)
    means = np.stack([features[codes == number].mean(axis=0, dtype=np.float64) for number in numbers])
    # One scale for all: shrinking then quietens the dimensions in which next to nothing varies, such as the last components.
    scale = max(float(np.sqrt(((features - means[place]) ** 2).mean())), float(np.finfo(np.float32).tiny))
    values, centres = features / scale, means / scale
    dimensions = values.shape[1]
    common = ledoit_wolf(values - centres[place], assume_centered=True)[0] + _LEAST * np.eye(dimensions)
    whitening = np.empty((numbers.size, dimensions, dimensions))
    for row, number in enumerate(numbers):
        own = values[codes == number]
        weight = len(own) / (len(own) + dimensions) if len(own) > 1 else 0.0
        covariance = (1 - weight) * common + (weight * ledoit_wolf(own)[0] if weight else 0.0)
        whitening[row] = np.linalg.cholesky(np.linalg.inv(covariance))
    return Clouds(numbers, scale, centres, whitening)
