"""The spectra themselves, read like an embedding: the plainest features there are."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl.cubes.cube import row_blocks, valid_pixels
from napari_hsi_ssl.explore.sources import band_use

NAME: Final = "spectra"
"""Stands where the name of a run is asked for."""


class Spectra:
    """The good bands of a cube, (y, x, B) float32, NaN where a pixel is not measured; read from the cube when asked for.

    Parameters
    ----------
    cube : DataArray (y, x, band)
    """

    def __init__(self, cube: xr.DataArray) -> None:
        self._cube, self._use = cube, band_use(cube)

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width, good bands."""
        return (*self._cube.shape[:2], int(self._use.sum()))

    def __getitem__(self, which: Any) -> NDArray[np.float32]:  # noqa: ANN401 - rows or a mask (y, x)
        """Return the spectra of some rows (rows, x, B), or of the pixels of a mask (n, B)."""
        if isinstance(which, slice):
            return self._measured(np.asarray(self._cube.data[which]))
        return np.concatenate([self._measured(block[which[rows]]) for rows, block in row_blocks(self._cube)])

    def _measured(self, block: NDArray[np.generic]) -> NDArray[np.float32]:
        values = np.asarray(block[..., self._use], dtype=np.float32)
        values[~valid_pixels(block[..., self._use], self._cube.attrs.get("nodata"))] = np.nan
        return values
