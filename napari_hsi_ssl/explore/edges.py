"""Which neighbours are of one material: the noise of a scene is told by them alone, not by its edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl.explore.chunks import Chunk, Spectra, map_chunks

_ROWS: Final = 64
_QUIET_SHARE: Final = 0.2
_TIMES: Final = 8.0
"""A pair counts when its squared difference is at most this many times that below which the quietest fifth lies."""


def alike_neighbours(
    cube: xr.DataArray, area: NDArray[np.bool_], used: NDArray[np.bool_], transform: Callable[[Spectra], Spectra] | None = None
) -> Callable[[Spectra], NDArray[np.bool_]]:
    """Return a rule for differences of neighbouring spectra, learned from some rows of a cube.

    Differences are compared in units of each band's own spread, so that bright bands do not decide alone.

    Parameters
    ----------
    cube : DataArray (y, x, band)
    area : bool array (y, x)
    used : bool array (band,)
    transform : callable, optional
        Applied to spectra (n, B) first.

    Returns
    -------
    callable
        Takes differences (n, B), returns which of them (n,) count.
    """
    rows = np.flatnonzero(area.any(axis=1))
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(_ROWS, len(rows))).astype(int))]
    width = area.shape[1]

    def pairs(chunk: Chunk) -> tuple[Spectra, Spectra]:
        spectra = chunk.spectra if transform is None else transform(chunk.spectra)
        following = chunk.pixels[1:]
        at = np.flatnonzero((np.diff(chunk.pixels) == 1) & (following % width != 0))
        return spectra, spectra[at + 1] - spectra[at]

    found = []
    for row in rows.tolist():
        here = np.zeros_like(area)
        here[row] = area[row]
        found += list(map_chunks(cube, here, pairs, used))
    spectra, differences = (np.concatenate(parts) for parts in zip(*found, strict=True))
    spread = spectra.std(axis=0)
    weight = np.divide(1.0, spread**2, out=np.zeros_like(spread), where=spread > 0)
    limit = _TIMES * float(np.quantile(differences**2 @ weight, _QUIET_SHARE)) if len(differences) else np.inf

    def alike(some: Spectra) -> NDArray[np.bool_]:
        return np.asarray(some**2 @ weight <= limit)

    return alike
