"""What components are made of: their loadings on the bands of a cube, and the share of the variance that each explains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.explore.projection import Projection


@dataclass(frozen=True, eq=False)
class Components:
    """Scree and loadings of a projection.

    Attributes
    ----------
    word : str
        "PC" or "MNF".
    explained, cumulative : float64 arrays (k,)
        Shares of the total variance; with MNF, of the variance in units of the noise.
    positions : float64 array (b,)
        Wavelengths in nm, or band numbers from 0.
    in_nm : bool
    loadings : float64 array (k, b)
    """

    word: str
    explained: NDArray[np.float64]
    cumulative: NDArray[np.float64]
    positions: NDArray[np.float64]
    in_nm: bool
    loadings: NDArray[np.float64]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the components."""
        return tuple(f"{self.word} {number}" for number in range(1, len(self.explained) + 1))


def components_of(projection: Projection, bands: int, centres: NDArray[np.float64] | None = None) -> Components:
    """Return the scree and the loadings of a projection as they belong to the bands of a cube.

    Parameters
    ----------
    projection : Projection
    bands : int
        Of the cube.
    centres : array (band,), optional
        Its wavelengths in nm. With a grid by band number the first and the last band of every cube lie at its ends, so the grid's
        positions 0 … 1 are read as places along the cube's own bands; with a grid in nm the positions are the grid's.

    Returns
    -------
    Components
    """
    grid = np.asarray(projection.grid, dtype=np.float64)
    if projection.grid_kind == "wavelength":
        positions, in_nm = grid, True
    else:
        own = np.arange(bands, dtype=np.float64) if centres is None else np.asarray(centres, dtype=np.float64)
        positions, in_nm = np.interp(grid, np.linspace(0, 1, bands), own), centres is not None
    explained = np.asarray(projection.explained, dtype=np.float64)
    return Components(projection.word, explained, np.cumsum(explained), positions, in_nm, np.asarray(projection.components, dtype=np.float64))
