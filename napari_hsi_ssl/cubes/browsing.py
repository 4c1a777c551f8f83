"""A copy of a cube with its bands one after another, so that a slider moves through them.

In BIL and BIP files one band is spread over the whole file: the disk reads a gigabyte for five megabytes of it. The copy lies in the
user's cache folder, named by what it was made from. It may be thrown away at any time, and is not made where the disk is short.
"""

from __future__ import annotations

import hashlib
import math
import os
import shutil
from pathlib import Path
from typing import Any, Final

import numpy as np
import platformdirs
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl import files
from napari_hsi_ssl.cubes.cube import row_blocks
from napari_hsi_ssl.errors import ProjectError
from napari_hsi_ssl.progress import Progress, Steps

FOLDER_VARIABLE: Final = "HSI_BROWSING_CACHE"
"""Names another folder for the copies, or says ``off``."""
SIZE_VARIABLE: Final = "HSI_BROWSING_GB"
_LEAST_BYTES = 64 * 2**20
_LIMIT_GB = 16.0
_SPARE_BYTES = 4 * 2**30
_BLOCK_BYTES = 32 * 2**20


def folder() -> Path | None:
    """Return the folder of the copies, or None when the user wants none."""
    named = os.environ.get(FOLDER_VARIABLE, "")
    if named.lower() in {"off", "0", "none"}:
        return None
    return Path(named) if named else Path(platformdirs.user_cache_dir("napari-hsi-ssl")) / "browsing"


def worthwhile(cube: xr.DataArray) -> bool:
    """Whether one band of a cube is slow to read: its file is large and not stored band by band."""
    large = math.prod(cube.shape) * cube.dtype.itemsize > _LEAST_BYTES
    return large and type(cube.data) is not np.ndarray and cube.attrs.get("layout") in {"bil", "bip"}


def copy_path(cube: xr.DataArray, dtype: np.dtype[Any], step: int = 1) -> Path | None:
    """Return where the copy of a cube is or would be, or None without a folder or a file behind the cube.

    The name follows from the file's path, size and time, and from eight spectra, which another calibration changes.
    """
    place = folder()
    source = Path(str(cube.attrs.get("data_file") or cube.attrs.get("source") or ""))
    if place is None or not source.is_file():
        return None
    state = source.stat()
    height, width, _ = cube.shape
    spots = [np.asarray(cube.data[(2 * n + 1) * height // 16, (2 * n + 1) * width // 16]).tobytes() for n in range(8)]
    described = repr((str(source.resolve()), state.st_size, state.st_mtime_ns, cube.shape, dtype.str, step)).encode()
    return place / f"{hashlib.sha256(described + b''.join(spots)).hexdigest()[:24]}.bands"


def open_copy(cube: xr.DataArray, dtype: np.dtype[Any], step: int = 1) -> NDArray[Any] | None:
    """Return the copy (band, y / step, x / step) as a memory map, or None when there is none."""
    path = copy_path(cube, dtype, step)
    shape = _shape(cube, step)
    if path is None or not path.is_file() or path.stat().st_size != math.prod(shape) * dtype.itemsize:
        return None
    os.utime(path)  # the copy that was not used for longest goes first
    return np.memmap(path, dtype=dtype, mode="r", shape=shape)


def make_copy(cube: xr.DataArray, dtype: np.dtype[Any], step: int = 1) -> Steps[NDArray[Any] | None]:
    """Copy a cube band by band in one pass over its file; older copies make room.

    Returns
    -------
    memory map (band, y / step, x / step) or None
        None when no copy is wanted or the disk is short.
    """
    path, shape = copy_path(cube, dtype, step), _shape(cube, step)
    size = math.prod(shape) * dtype.itemsize
    if path is None or not _make_room(path.parent, size):
        return None
    bands, down, across = shape
    try:
        with files.atomic_path(path) as temporary, temporary.open("rb+") as stream:
            stream.truncate(size)
            for rows, block in row_blocks(cube[::step, ::step] if step > 1 else cube, _BLOCK_BYTES):
                yield Progress(rows.start, down, f"ordering {cube.name} by bands")
                upright = np.moveaxis(block, 2, 0)
                for band in range(bands):
                    stream.seek((band * down + rows.start) * across * dtype.itemsize)
                    stream.write(np.ascontiguousarray(upright[band], dtype=dtype).data)
    except ProjectError:  # the cache cannot be written: browsing stays slow, and nothing else suffers
        return None
    return np.memmap(path, dtype=dtype, mode="r", shape=shape)


def kept() -> tuple[int, int]:
    """Return how many copies there are and their bytes."""
    sizes = [size for _, size, _ in _copies()]
    return len(sizes), sum(sizes)


def clear() -> int:
    """Throw all copies away; returns the bytes that are free again."""
    freed = 0
    for path, size, _ in _copies():
        path.unlink(missing_ok=True)
        freed += size
    return freed


def _shape(cube: xr.DataArray, step: int) -> tuple[int, int, int]:
    height, width, bands = cube.shape
    return bands, math.ceil(height / step), math.ceil(width / step)


def _copies() -> list[tuple[Path, int, float]]:
    place = folder()
    if place is None or not place.is_dir():
        return []
    found = [(path, path.stat()) for path in place.glob("*.bands")]
    return sorted(((path, state.st_size, state.st_mtime) for path, state in found), key=lambda one: one[2])


def _make_room(place: Path, size: int) -> bool:
    limit = float(os.environ.get(SIZE_VARIABLE, _LIMIT_GB)) * 2**30
    if size > limit:
        return False
    try:
        place.mkdir(parents=True, exist_ok=True)
        copies = _copies()
        total = sum(bytes_ for _, bytes_, _ in copies)
        while copies and total + size > limit:
            path, bytes_, _ = copies.pop(0)
            path.unlink(missing_ok=True)
            total -= bytes_
        return shutil.disk_usage(place).free - size > _SPARE_BYTES
    except OSError:
        return False
