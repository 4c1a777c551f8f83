"""An embedding without any training: denoised MNF components beside the shape of the spectrum.

The components are those of an inlet made with `PcaConfig.training_free`: MNF of standardised bands, its noise told by neighbours of
one material alone, then averaged by a bilateral filter that the components guide themselves. The shape is the spectrum after the
standard normal variate, on the inlet's grid. Each block is brought to a fixed share of the variance, so that the cosine between two
embeddings weighs both; of trials on held-out blocks of two scenes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.cubes.calibrate import resampling_matrix
from napari_hsi_ssl.cubes.cube import row_blocks, valid_pixels, wavelengths
from napari_hsi_ssl.explore.pca import Projection, Source
from napari_hsi_ssl.explore.sources import band_use
from napari_hsi_ssl.progress import Progress, Steps

NAME: Final = "training-free"
"""Stands where the name of a run is asked for."""
VERSION: Final = 1
SHAPE: Final = 0.5
"""Spread of the shape's block beside that of the components, which is 1."""
_SAMPLE_ROWS: Final = 64


@dataclass(frozen=True, eq=False)
class Shape:
    """What SNV spectra are compared with.

    Attributes
    ----------
    mean : float64 array (G,)
        Of the SNV spectra on the grid.
    spread : float
        Root of their total variance.
    """

    mean: NDArray[np.float64]
    spread: float


def snv(spectra: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return spectra (n, G), each with mean 0 and spread 1; a flat one becomes zero."""
    values = np.asarray(spectra, dtype=np.float64)
    values = values - values.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.mean(values**2, axis=1, keepdims=True))
    shapes: NDArray[np.float64] = np.divide(values, spread, out=np.zeros_like(values), where=spread > 0)
    return shapes


def fit_shape(projection: Projection, sources: Sequence[Source]) -> Steps[Shape]:
    """Learn what the usual SNV spectrum is, from some rows of every cube's area."""
    total, squares, count = np.zeros(projection.grid.size), 0.0, 0
    for number, source in enumerate(sources):
        yield Progress(number, len(sources), f"shape of the spectra of {source.name}")
        use, matrix = band_use(source.cube), _matrix(projection, source)
        rows = np.flatnonzero(source.area.any(axis=1))
        for row in rows[np.unique(np.linspace(0, len(rows) - 1, min(_SAMPLE_ROWS, len(rows))).astype(int))].tolist():
            line = np.asarray(source.cube.data[row : row + 1])[0][:, use]
            shapes = snv(line[source.area[row] & valid_pixels(line, source.cube.attrs.get("nodata"))] @ matrix.T)
            total += shapes.sum(axis=0)
            squares += float((shapes**2).sum())
            count += len(shapes)
    mean = total / max(count, 1)
    return Shape(mean, max(squares / max(count, 1) - float(mean @ mean), 1e-12) ** 0.5)


def embed(scores: NDArray[np.floating], projection: Projection, source: Source, shape: Shape, out: NDArray[np.float16]) -> Steps[NDArray[np.float16]]:
    """Write the embedding (y, x, k + G) of every used and measured pixel; NaN elsewhere.

    Parameters
    ----------
    scores : array (y, x, k)
        As the inlet stores them.
    projection : Projection
    source : Source
        The prepared cube and the pixels to embed.
    shape : Shape
    out : float16 array (y, x, k + G)
    """
    k = len(projection.components)
    use, matrix = band_use(source.cube), _matrix(projection, source)
    factors = projection.scale / np.sqrt(projection.variance.sum())
    nodata = source.cube.attrs.get("nodata")
    for rows, block in row_blocks(source.cube):
        part = np.full((*block.shape[:2], k + projection.grid.size), np.nan, dtype=np.float16)
        stored = np.asarray(scores[rows], dtype=np.float32)
        spectra = np.asarray(block[..., use], dtype=np.float64)
        inside = source.area[rows] & np.isfinite(stored).all(axis=-1) & valid_pixels(spectra, nodata)
        if inside.any():
            part[inside, :k] = stored[inside] * factors
            part[inside, k:] = (snv(spectra[inside] @ matrix.T) - shape.mean) * (SHAPE / shape.spread)
        out[rows] = part
        yield Progress(rows.stop, len(out), f"embedding {source.name}")
    return out


def _matrix(projection: Projection, source: Source) -> NDArray[np.float64]:
    """Return what brings the used bands of a cube to the grid, (G, B)."""
    use, centres = band_use(source.cube), wavelengths(source.cube)
    bands = centres if projection.grid_kind == "wavelength" and centres is not None else int(source.cube.shape[2])
    return resampling_matrix(bands, projection.grid, projection.grid_kind, bad=~use)[:, use]
