"""One data set of an HDF5 file: read where it is wanted, and looked at first for what would end or fill the process."""

from __future__ import annotations

import itertools
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl import limits
from napari_hsi_ssl.cubes.lazy import StoredArray
from napari_hsi_ssl.errors import CubeError

_HEAP_BYTES, _HEAP_SIGN = 32 * 2**20, b"GCOL\x01\0\0\0"
_DEFLATE_MOST = 1032
"""How many times its length a deflated block can unfold to."""
_HARMLESS_BYTES = 512 * 2**20


@dataclass(frozen=True)
class HdfDataset(StoredArray):
    """One data set of an HDF5 file, opened for each read."""

    def read(self, spans: tuple[slice, ...]) -> NDArray[Any]:
        """Read forward ranges of the file's axes."""
        try:
            with h5py.File(self.path, "r") as file:
                _check_deflated(self.path, file[self.key], spans)
                block: NDArray[Any] = file[self.key][spans]
        except (OSError, KeyError, RuntimeError, ValueError) as error:
            raise CubeError(f"{self.path}: array '{self.key}' cannot be read ({error}), expected a whole file; restore the file from a copy.") from error
        return block


def _check_deflated(path: Path, data: Any, spans: tuple[slice, ...]) -> None:  # noqa: ANN401 - h5py has no types
    """Raise `CubeError` when a large chunk that is wanted unfolds to more than it should: HDF5 itself makes room for whatever comes."""
    if data.chunks is None or data.is_virtual:
        return
    made = data.id.get_create_plist()
    filters = [made.get_filter(number)[0] for number in range(made.get_nfilters())]
    if h5py.h5z.FILTER_DEFLATE not in filters:
        return
    if any(kind != h5py.h5z.FILTER_FLETCHER32 for kind in filters[filters.index(h5py.h5z.FILTER_DEFLATE) + 1 :]):
        raise CubeError(f"{path}: the chunks of '{data.name}' are packed twice, expected once; repack the file (h5repack -f GZIP=4).")
    size = int(np.prod(data.chunks, dtype=object)) * data.dtype.itemsize
    grid = [
        range((span.start or 0) // step, -(-(side if span.stop is None else span.stop) // step))
        for span, step, side in zip(spans, data.chunks, data.shape, strict=True)
    ]
    for place in itertools.product(*grid):
        corner = tuple(number * step for number, step in zip(place, data.chunks, strict=True))
        if data.id.get_chunk_info_by_coord(corner).size * _DEFLATE_MOST > max(size, _HARMLESS_BYTES):
            limits.require_deflated(path, data.id.read_direct_chunk(corner)[1], size, f"a chunk of '{data.name}'")


def attribute(item: Any, label: str) -> Any:  # noqa: ANN401 - h5py has no types
    """Return an attribute of an HDF5 object; None where there is none, or a list of any length but of references: reading a damaged one ends the process."""
    if label not in item.attrs:
        return None
    kind = item.attrs.get_id(label).get_type()
    if kind.get_class() == h5py.h5t.VLEN and kind.get_super().get_class() != h5py.h5t.REFERENCE:
        return None  # no cube needs it (texts are another type)
    return item.attrs[label]


def check_inside(path: Path, data: Any) -> None:  # noqa: ANN401 - h5py has no types
    """Raise `CubeError` when the values of an HDF5 data set lie in other files: a file from elsewhere must not choose what is read here."""
    outside = [name for name, *_ in data.external or ()] + ([part.file_name for part in data.virtual_sources()] if data.is_virtual else [])
    if any(name != "." for name in outside):
        raise CubeError(f"{path}: the values of '{data.name}' lie in other files ({outside[0]}), expected them within this one; repack it (h5repack).")


def check_heaps(path: Path) -> None:
    """Raise `CubeError` when a global heap of an HDF5 file, which holds texts of any length, is damaged so that HDF5 would search it without end.

    Of a file of gigabytes its beginning and its end are looked through, where such heaps lie.
    """
    with path.open("rb") as stream:
        last = max(0, stream.seek(0, os.SEEK_END) - _HEAP_BYTES)
        for begin in sorted({0, last}):
            stream.seek(begin)
            content = stream.read(_HEAP_BYTES)
            place = content.find(_HEAP_SIGN)
            while place >= 0:
                if _endless(content, place):
                    raise CubeError(f"{path} holds a damaged heap of texts at byte {begin + place}, expected a whole HDF5 file; save it again, or restore it.")
                place = content.find(_HEAP_SIGN, place + 1)


def _endless(content: bytes, heap: int) -> bool:
    """Whether the objects of a heap (number, references, size) end in free space of no size: the step to the next object would lead nowhere."""
    if heap + 16 > len(content):
        return False
    place, end = heap + 16, min(heap + struct.unpack_from("<Q", content, heap + 8)[0], len(content))
    while place + 16 <= end:
        number, _, _, size = struct.unpack_from("<HHIQ", content, place)
        if number == 0 and size == 0:
            return True
        place += size if number == 0 else 16 + size + (-size % 8)
    return False
