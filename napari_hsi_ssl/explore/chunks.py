"""The measured spectra of a cube, some thousand at a time, worked on by several threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl.cubes.cube import row_blocks
from napari_hsi_ssl.threads import side_by_side

Spectra = NDArray[Any]
Result = TypeVar("Result")

# Spectra that are worked on at a time: enough for GEMM to run at full speed, few enough to stay near the cache.
CHUNK = 8192


@dataclass(frozen=True, eq=False)
class Chunk:
    """Measured spectra of some whole rows.

    Attributes
    ----------
    first, last : int
        The rows of the cube, the end excluded.
    pixels : int array (n,)
        Flat pixel numbers in the cube's frame, ascending.
    spectra : float64 array (n, B), or of the type asked for
        Fresh, so that the receiver may overwrite it.
    """

    first: int
    last: int
    pixels: NDArray[np.intp]
    spectra: Spectra


def map_chunks(
    cube: xr.DataArray,
    area: NDArray[np.bool_],
    work: Callable[[Chunk], Result],
    used: NDArray[np.bool_] | None = None,
    kind: type[np.floating] | None = np.float64,
    *,
    passing: bool = False,
) -> Iterator[Result]:
    """Yield ``work(chunk)`` for the measured spectra of an area, from top to bottom.

    The chunks are gathered and worked on in as many threads as BLAS would take, each with a BLAS of one thread: where the
    processor is shared with a training run, threads of one BLAS call wait for one another and take twenty times as long.
    Results come in order, so sums do not depend on the threads; only a few chunks are in memory at a time.

    Parameters
    ----------
    cube : DataArray (y, x, band)
    area : bool array (y, x)
        Only the box around it is read: a crop of a large cube costs what the crop costs.
    work : callable
        Takes a `Chunk`; runs in a thread.
    used : bool array (band,), optional
        Only these bands decide whether a pixel is measured, and only they are given.
    kind : type, optional
        Of the spectra given: float32 halves the work where seven digits suffice. None gives them as they are stored, often the cube's own memory:
        ``work`` must neither write nor keep them, and finds out by itself which are not `finite`.
    passing : bool
        Whether ``work`` keeps nothing of the spectra: every thread then reuses its memory, and the pages of a new block, which cost
        more than the conversion, are paid for once.
    """
    nodata = cube.attrs.get("nodata")
    width = cube.shape[1]
    own = threading.local()

    def room(count: int, bands: int) -> Spectra:
        kept: Spectra | None = getattr(own, "room", None)
        if kept is None or kept.size < count * bands:
            own.room = kept = np.empty(count * bands, dtype=kind)
        return kept[: count * bands].reshape(count, bands)

    def piece(first: int, left: int, block: NDArray[np.generic], chosen: NDArray[np.bool_]) -> Result:
        y, x = np.nonzero(chosen)
        spectra, measured = gather(block, chosen, nodata, used, kind, room if passing else None)
        pixels = (y + first) * width + (x + left)
        return work(Chunk(first, first + len(block), pixels if measured is None else pixels[measured], spectra))

    yield from side_by_side(lambda arguments: piece(*arguments), _pieces(cube, area))


def first_spectra(cube: xr.DataArray, area: NDArray[np.bool_], used: NDArray[np.bool_] | None = None, every: int = 1) -> Spectra:
    """Return every so manieth of the measured spectra (n, B) of the first part of an area that has any; none when there is none."""
    for _, _, block, chosen in _pieces(cube, area):
        spectra, _ = gather(block, chosen, cube.attrs.get("nodata"), used)
        if len(spectra):
            return spectra[::every]
    return np.zeros((0, int(cube.shape[2]) if used is None else int(used.sum())))


def _pieces(cube: xr.DataArray, area: NDArray[np.bool_]) -> Iterator[tuple[int, int, NDArray[np.generic], NDArray[np.bool_]]]:
    """Yield first row, first column, block (rows, x, band) and the wanted pixels (rows, x) in it."""
    rows, columns = np.flatnonzero(area.any(axis=1)), np.flatnonzero(area.any(axis=0))
    if not len(rows):
        return
    top, left = int(rows[0]), int(columns[0])
    box = cube[top : int(rows[-1]) + 1, left : int(columns[-1]) + 1]
    for part, block in row_blocks(box):
        step = max(1, CHUNK // block.shape[1])
        for start in range(0, len(block), step):
            first = top + part.start + start
            here = block[start : start + step]
            chosen = area[first : first + len(here), left : left + block.shape[1]]
            if chosen.any():
                yield first, left, here, chosen


def gather(
    block: NDArray[np.generic],
    chosen: NDArray[np.bool_],
    nodata: float | None,
    used: NDArray[np.bool_] | None = None,
    kind: type[np.floating] | None = np.float64,
    room: Callable[[int, int], Spectra] | None = None,
) -> tuple[Spectra, NDArray[np.bool_] | None]:
    """Return the measured ones of the chosen spectra of a block (rows, x, band) as floats (n, B), and which they are (None: all).

    With ``room`` they are written into the array (n, B) that it returns; without a ``kind`` they stay as they are stored.
    """
    if block.strides[2] > min(block.strides[:2]):
        # Bands far apart in memory (BSQ, BIL): pick along the pixels, which lie close together.
        upright = np.moveaxis(block, 2, 0)
        raw = (upright.reshape(len(upright), -1) if chosen.all() else upright[:, chosen]).T
    else:
        raw = block.reshape(-1, block.shape[2]) if chosen.all() else block[chosen]
    if used is not None and not used.all():
        raw = raw[:, used]
    if kind is None:
        spectra: Spectra = raw
    elif room is None:
        spectra = raw.astype(kind)
    else:
        spectra = room(*raw.shape)
        np.copyto(spectra, raw, casting="unsafe")
    measured = np.ones(len(spectra), dtype=bool)
    if kind is not None and not np.issubdtype(raw.dtype, np.integer):
        measured &= finite(spectra)
    if nodata is not None and (suspects := np.flatnonzero(raw[:, 0] == nodata)).size:
        measured[suspects[(raw[suspects] == nodata).all(axis=1)]] = False
    return (spectra, None) if measured.all() else (spectra[measured], measured)


def finite(spectra: Spectra) -> NDArray[np.bool_]:
    """Return which spectra (n, B) hold numbers alone."""
    # One sum a pixel shows a NaN or an infinity at a fraction of the cost of looking at every value, and BLAS sums fastest.
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(np.isfinite(spectra @ np.ones(spectra.shape[1], dtype=np.result_type(spectra.dtype, np.float32))))
