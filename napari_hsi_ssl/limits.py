"""How much of a file is ever read or unpacked: what a header claims is compared with what the file and this computer hold before it is believed."""

from __future__ import annotations

import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil

from napari_hsi_ssl.errors import CubeError, HsiError

MOST_PIXELS: Final = 2**31
MOST_BANDS: Final = 2**20
_TEXT_BYTES: Final = 64 * 2**20
_TEXT_VALUES: Final = 4_000_000
"""Of a JSON text: a project of 8,000 cubes of 300 bands has as many. Every value takes some hundred bytes of memory at most."""
_UNPACKED_BYTES: Final = 2**30
_STEP_BYTES: Final = 2**20


def json_bytes(path: Path, error: type[HsiError]) -> bytes:
    """Return the content of a JSON file of this program; what is no ordinary file is not waited for.

    Raises
    ------
    HsiError
        Of the given kind, when it is a device or a pipe, or larger than any that this program writes.
    FileNotFoundError
    """
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise error(f"{path} is a folder, a device or a pipe, expected a JSON file; put an ordinary file there.")
    if state.st_size > _TEXT_BYTES:
        raise error(f"{path} has {state.st_size:,} bytes, expected a JSON text of at most {_TEXT_BYTES:,}; restore it from a copy.")
    content = path.read_bytes()
    if content.count(b",") > _TEXT_VALUES:
        raise error(f"{path} holds more than {_TEXT_VALUES:,} values, expected a JSON text as this program writes; restore it from a copy.")
    return content


@contextmanager
def opened_npz(path: Path) -> Iterator[Any]:
    """Open a ``.npz`` file that this program wrote.

    Raises
    ------
    ValueError
        When it is something else, or unpacks to more than any that this program writes.
    """
    # Opened here, as NumPy leaves a damaged file open.
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
        directory = getattr(content, "zip", None)
        if directory is None:
            msg = "it is no .npz file"
            raise ValueError(msg)
        unpacked = sum(part.file_size for part in directory.infolist())  # zipfile gives no part more than that
        if unpacked > _UNPACKED_BYTES:
            msg = f"it unpacks to {unpacked:,} bytes"
            raise ValueError(msg)
        yield content


def require_memory(path: Path, size: int, what: str) -> None:
    """Raise `CubeError` when something of a file, which is unpacked as a whole, would take more than half of the memory that is free.

    Parameters
    ----------
    size : int
        In bytes.
    what : str
        What of the file that is.
    """
    free = psutil.virtual_memory().available
    if size > free // 2:
        raise CubeError(
            f"{path}: {what} takes {size / 2**30:,.1f} GiB once it is unpacked, and {free / 2**30:.1f} GiB of memory are free, of which half is used at most; "
            "write the cube unpacked or in smaller pieces, or use a computer with more memory."
        )


def require_frame(label: object, shape: tuple[int, ...]) -> None:
    """Raise `CubeError` when a cube (y, x, band) claims a frame so large that not even its mask would fit into the memory."""
    height, width, bands = (int(side) for side in shape)
    most = min(MOST_PIXELS, psutil.virtual_memory().total // 8)
    if height * width > most or bands > MOST_BANDS:
        raise CubeError(
            f"{label} claims {height} × {width} pixels in {bands} bands, expected at most {most:,} pixels and {MOST_BANDS:,} bands; "
            "cut the scene into parts, or correct the header."
        )


def require_deflated(path: Path, packed: bytes, size: int, what: str) -> None:
    """Raise `CubeError` when a deflated block (zlib or gzip) unfolds to more than it should; it is unfolded piece by piece, and nothing is kept."""
    inflating, left, pending = zlib.decompressobj(wbits=47), size, packed
    while pending and not inflating.eof:
        left -= len(inflating.decompress(pending, _STEP_BYTES))
        pending = inflating.unconsumed_tail
        if left < 0:
            raise CubeError(f"{path}: {what} unfolds to more than the {size:,} bytes that it should have; do not trust this file.")
