"""One pixel's spectrum, again and again, for whoever follows a mouse: nothing is unwrapped twice, and a cold disk stops nobody else."""

from __future__ import annotations

import mmap
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl.cubes.lazy import BandView, MappedFile

_LETS_GO = 512
"""Values copied at once: NumPy holds Python's lock while it copies 500 or fewer, and every thread would wait for the disk with it."""


class PixelReader:
    """Reads single spectra of a cube.

    A memory map is mapped once more for this, so that the system can be told that pages are wanted singly: it would otherwise
    read up to a hundred neighbours of each of a spectrum's pages from the disk. Of a dask array that stands for one file the
    file itself is asked, which spares the milliseconds of a task graph.

    Parameters
    ----------
    cube : DataArray (y, x, band)
    """

    def __init__(self, cube: xr.DataArray) -> None:
        self._source = _source(cube.data)
        self._width, bands = int(cube.shape[1]), int(cube.shape[2])
        self._run = -(-_LETS_GO // bands)

    def __call__(self, y: int, x: int) -> NDArray[np.float32]:
        """Return the spectrum (band,) of one pixel as float32."""
        # Neighbours in the row lie on the same pages of the file, whatever its layout.
        first = max(0, min(x, self._width - self._run))
        run = np.array(self._source[y, first : first + self._run, :], subok=False)
        return np.asarray(run[x - first], dtype=np.float32)


def _source(data: Any) -> Any:  # noqa: ANN401 - NumPy, a memory map or dask
    """Return what is asked for ``[y, x0:x1, :]``: the file behind the data where there is one."""
    if isinstance(data, np.ndarray):
        return _mapped_anew(data)
    behind = _behind(data)
    if isinstance(behind, BandView) and isinstance(behind.source, MappedFile):
        return replace(behind, source=_mapped_anew(behind.source.open()))
    return data if behind is None else behind


def _behind(data: Any) -> Any:  # noqa: ANN401 - dask has no types
    """Return the one source that a dask array cuts its chunks from, or None where anything is done to them."""
    graph = getattr(data, "dask", None)
    layers = getattr(graph, "layers", {})
    originals = [name for name in layers if str(name).startswith("original-")]
    if len(layers) != 2 or len(originals) != 1 or f"original-{data.name}" != originals[0]:
        return None
    found = dict(layers[originals[0]]).get(originals[0])
    return found if getattr(found, "shape", None) == data.shape and getattr(found, "dtype", None) == data.dtype else None


def _mapped_anew(array: NDArray[Any]) -> NDArray[Any]:
    """Return the same view of a mapped file in a mapping of its own; other arrays as they are."""
    base: Any = array
    while isinstance(getattr(base, "base", None), np.ndarray):
        base = base.base
    name = getattr(base, "filename", None)
    if not isinstance(base, np.memmap) or name is None or not array.size:
        return array
    begin = int(base.offset) + int(array.__array_interface__["data"][0]) - int(base.__array_interface__["data"][0])
    try:
        with open(name, "rb") as file:
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        own: NDArray[Any] = np.ndarray(array.shape, array.dtype, mapping, begin, array.strides)
    except (OSError, ValueError, TypeError):
        return array
    y, x, band = (abs(step) for step in array.strides)
    # A line of BIL holds the spectra of all its pixels close together: there the neighbours are what the next move wants.
    line_interleaved = x < band < y
    if hasattr(mapping, "madvise") and not line_interleaved:
        mapping.madvise(mmap.MADV_RANDOM)
    return own
