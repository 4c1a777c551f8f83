"""Kinds of pixels that a cube falls into by itself (k-means), proposed so that the background can be clicked away."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl.errors import ConfigError, CubeError
from napari_hsi_ssl.explore.chunks import Chunk, gather, map_chunks
from napari_hsi_ssl.explore.sources import band_use
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.threads import one_blas_thread

SAMPLE = 20_000
"""Pixels that the centres are found on."""
COMPONENTS = 10
_STARTS = 4
NOWHERE = -1
"""Number of a pixel that was not measured or lies outside the area."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """What kinds of pixels there are.

    Attributes
    ----------
    used : bool array (band,)
        Bands that are looked at.
    mean : float64 array (B,)
        Of the used bands, taken from every spectrum.
    components : float64 array (B, c)
        What spectra are projected on before they are compared; at most ten directions.
    centres : float64 array (k, c)
        The darkest cluster first.
    shape_only : bool
        Whether spectra are brought to mean 0 and deviation 1 first (SNV, Barnes et al. 1989).
    border : float array (k,)
        Share of the frame's border that each cluster had in the sample.
    """

    used: NDArray[np.bool_]
    mean: NDArray[np.float64]
    components: NDArray[np.float64]
    centres: NDArray[np.float64]
    shape_only: bool
    border: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    @property
    def count(self) -> int:
        """Number of clusters."""
        return len(self.centres)

    def nearest(self, spectra: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the nearest centre (n,) of spectra (n, B)."""
        projected = (_shape(spectra) if self.shape_only else spectra) @ self.components - self.mean @ self.components
        # |x - c|² without |x|², which is the same for every centre.
        return np.asarray((np.square(self.centres).sum(axis=1) - 2 * projected @ self.centres.T).argmin(axis=1))

    def background(self) -> tuple[int, ...]:
        """Propose the background: the cluster that most of the frame's border belongs to."""
        return (int(np.argmax(self.border)),) if len(self.border) and self.border.any() else (0,)


def _shape(spectra: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = spectra - spectra.mean(axis=1, keepdims=True)
    deviation = centred.std(axis=1, keepdims=True)
    return np.asarray(np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 0))


def fit_clusters(
    cube: xr.DataArray, count: int, *, features: Literal["spectra", "shape"] = "spectra", area: NDArray[np.bool_] | None = None, seed: int = 0
) -> Steps[Clusters]:
    """Find kinds of pixels by k-means on the first principal components of a random sample of spectra.

    Parameters
    ----------
    cube : DataArray (y, x, band)
        Bad bands and pixels that were not measured are left out.
    count : int
        Number of clusters, 2 to 12.
    features : {"spectra", "shape"}
        Compare whole spectra, or their shape alone.
    area : bool array (y, x), optional
        Where to look; the whole frame by default.
    seed : int
        The same seed gives the same clusters.

    Returns
    -------
    Clusters
        Ordered by the brightness of their pixels, so that their numbers mean something: 0 is the darkest.

    Raises
    ------
    ConfigError
        When there are fewer different pixels than clusters.
    CubeError
        When no pixel was measured.
    """
    if not 2 <= count <= 12:
        raise ConfigError(f"mask of {cube.name}: --clusters is {count}, expected 2 to 12; give another number.")
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    used, message = band_use(cube), f"clusters of {cube.name}"
    whole = np.ones(cube.shape[:2], dtype=bool) if area is None else area
    chosen = _some_rows(whole, seed)
    pixels, parts = [], []
    rows = np.flatnonzero(chosen.any(axis=1))
    nodata, width = cube.attrs.get("nodata"), cube.shape[1]
    for done, row in enumerate(rows.tolist()):
        spectra, measured = gather(np.asarray(cube.data[row : row + 1]), chosen[row : row + 1], nodata, used)
        columns = np.flatnonzero(chosen[row])
        pixels.append(row * width + (columns if measured is None else columns[measured]))
        parts.append(spectra)
        if not done % 16:
            yield Progress(done, 2 * len(rows), message)
    values = np.concatenate(parts) if parts else np.zeros((0, int(used.sum())))
    if not len(values):
        raise CubeError(f"mask of {cube.name}: no pixel was measured, so there is nothing to cluster; check the ignore value and the crop.")
    bright = values.mean(axis=1)
    if features == "shape":
        values = _shape(values)
    mean = values.mean(axis=0)
    centred = values - mean
    if len(np.unique(centred.round(12), axis=0)) < count:
        raise ConfigError(f"mask of {cube.name}: there are fewer different spectra than the {count} clusters asked for; give a smaller --clusters.")
    _, vectors = np.linalg.eigh(centred.T @ centred)
    components = vectors[:, ::-1][:, :COMPONENTS]
    # One thread: the sample is small, and threads of one call would wait for one another beside a window that draws.
    with one_blas_thread(), threadpool_limits(1, user_api="openmp"):
        model = KMeans(count, n_init=_STARTS, random_state=seed).fit(centred @ components)
    level = np.bincount(model.labels_, bright, minlength=count) / np.maximum(np.bincount(model.labels_, minlength=count), 1)
    order = np.argsort(level, kind="stable")
    centres = np.asarray(model.cluster_centers_, dtype=np.float64)[order]
    border = _on_border(whole).reshape(-1)[np.concatenate(pixels)]
    numbers = np.argsort(order)[model.labels_]
    share = np.bincount(numbers[border], minlength=count) / max(1, int(border.sum()))
    return Clusters(used, mean, components, centres, features == "shape", share)


def _some_rows(area: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
    """Return a random sample (y, x) of an area, from at most some hundred rows of a large cube: whole rows are what is cheap to read."""
    inside = np.flatnonzero(area)
    if len(inside) <= SAMPLE:
        return area
    generator = np.random.default_rng(seed)
    per_row = max(1, min(area.shape[1], 200))
    rows = np.flatnonzero(area.any(axis=1))
    wanted = max(1, SAMPLE // per_row)
    kept = np.zeros_like(area)
    if len(rows) > wanted:  # the first and the last row belong to the border, by which the background is known
        inner = generator.choice(rows[1:-1], wanted, replace=False)
        kept[np.concatenate([[rows[0], rows[-1]], inner])] = True
    else:
        kept[rows] = True
    candidates = np.flatnonzero(area & kept)
    sample = np.zeros(area.size, dtype=bool)
    sample[generator.choice(candidates, min(SAMPLE, len(candidates)), replace=False)] = True
    return sample.reshape(area.shape)


def _on_border(area: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the outermost pixels (y, x) of the box around an area."""
    rows, columns = np.flatnonzero(area.any(axis=1)), np.flatnonzero(area.any(axis=0))
    border = np.zeros_like(area)
    border[[rows[0], rows[-1]], :] = True
    border[:, [columns[0], columns[-1]]] = True
    return border & area


def assign(cube: xr.DataArray, clusters: Clusters, area: NDArray[np.bool_] | None = None) -> Steps[NDArray[np.int8]]:
    """Return every pixel's cluster (y, x), -1 where nothing was measured or outside the area, read a few rows at a time.

    Raises
    ------
    ConfigError
        When the clusters are of a cube with other bands.
    """
    bands = int(cube.shape[2])
    if clusters.used.shape != (bands,):
        raise ConfigError(
            f"mask of {cube.name}: it has {bands} bands, the clusters were found on {clusters.used.size}; find them on a cube with the same bands."
        )
    numbers = np.full(cube.shape[0] * cube.shape[1], NOWHERE, dtype=np.int8)

    def fill(chunk: Chunk) -> int:
        numbers[chunk.pixels] = clusters.nearest(chunk.spectra)
        return chunk.last

    whole = np.ones(cube.shape[:2], dtype=bool) if area is None else area
    message = f"clusters of {cube.name}"
    for row in map_chunks(cube, whole, fill, clusters.used):
        yield Progress(cube.shape[0] + row, 2 * cube.shape[0], message)
    return numbers.reshape(cube.shape[:2])


def foreground_clusters(
    count: int, background: tuple[int, ...] | None, foreground: tuple[int, ...] | None, proposal: tuple[int, ...], name: str = "the cube"
) -> tuple[int, ...]:
    """Return which clusters are foreground: those named so, or all but those named background, or all but the proposal.

    Raises
    ------
    ConfigError
        When a cluster is named that is not there, or both sides are named.
    """
    if background is not None and foreground is not None:
        raise ConfigError(f"mask of {name}: both --background and --foreground are given, expected one of them; leave one out.")
    for option, numbers in (("--background", background), ("--foreground", foreground)):
        wrong = [number for number in numbers or () if not 0 <= number < count]
        if wrong:
            raise ConfigError(f"mask of {name}: {option} names cluster {wrong[0]}, expected 0 to {count - 1}; there are {count} clusters.")
    if foreground is not None:
        return tuple(sorted(set(foreground)))
    return tuple(sorted(set(range(count)) - set(proposal if background is None else background)))
