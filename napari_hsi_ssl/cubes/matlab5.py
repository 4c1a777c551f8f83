"""Arrays of numbers in MATLAB version 5 files, read with every length checked.

SciPy's compiled reader crashes the whole process on some damaged files, which would take the window with it; it also copies
what could be mapped. The format is that of MathWorks, *MAT-File Format*, version 5; cells, structures and objects are passed over.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

_HEADER = 128
_MATRIX, _COMPRESSED, _UTF8 = 14, 15, 16
_KINDS: Final = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMERIC_CLASSES: Final = range(6, 16)
_COMPLEX_FLAG, _LOGICAL_FLAG = 0x0800, 0x0200
# Flags, dimensions, name and the tag of the values; names of MATLAB have at most 63 characters.
_HEAD_BYTES = 4096


@dataclass(frozen=True)
class Stored:
    """Where an array lies in a version 5 file.

    Attributes
    ----------
    name : str
    shape : tuple of int
        In MATLAB's order of axes; values lie with the first axis fastest.
    dtype : numpy dtype
        As stored, with the file's byte order.
    logical : bool
    is_complex : bool
    start, length : int
        The compressed block in the file, or, where ``compressed`` is False, its values.
    compressed : bool
    skip : int
        Bytes before the values in the decompressed block.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    logical: bool
    is_complex: bool
    start: int
    length: int
    compressed: bool
    skip: int = 0

    @property
    def size(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


def scan(path: Path) -> list[Stored]:
    """Return the arrays of numbers and truth values of a file without reading their values.

    Raises
    ------
    ValueError
        When the file is damaged or of another version.
    """
    with path.open("rb") as stream:
        header = stream.read(_HEADER)
        if len(header) < _HEADER or header[126:128] not in {b"IM", b"MI"}:
            msg = "no header of version 5"
            raise ValueError(msg)
        order = "<" if header[126:128] == b"IM" else ">"
        size = path.stat().st_size
        return [found for start, kind, length in _elements(stream, order, size) if (found := _describe(stream, order, start, kind, length)) is not None]


def _elements(stream: BinaryIO, order: str, size: int) -> Iterator[tuple[int, int, int]]:
    """Yield start, type and length of the elements on the top level."""
    place = _HEADER
    while place + 8 <= size:
        stream.seek(place)
        kind, length = struct.unpack(order + "II", stream.read(8))
        if place + 8 + length > size:
            msg = f"it is cut off: an array ends at byte {place + 8 + length}, the file at {size}"
            raise ValueError(msg)
        yield place + 8, kind, length
        # Compressed blocks are not padded.
        place += 8 + length if kind == _COMPRESSED else 8 + length + (-length % 8)


def _describe(stream: BinaryIO, order: str, start: int, kind: int, length: int) -> Stored | None:
    stream.seek(start)
    if kind == _COMPRESSED:
        head = zlib.decompressobj().decompress(stream.read(min(length, _HEAD_BYTES)), _HEAD_BYTES)
        if len(head) < 8:
            msg = "a compressed array is empty"
            raise ValueError(msg)
        inner, _ = struct.unpack_from(order + "II", head)
        place = 8
    elif kind == _MATRIX:
        head, inner, place = stream.read(min(length, _HEAD_BYTES)), _MATRIX, 0
    else:
        return None
    if inner != _MATRIX or not head:
        return None
    fields = []
    for _ in range(3):
        field_kind, begin, count, place = _tag(head, order, place)
        if begin + count > len(head):
            return None  # a name or a list of dimensions longer than any array's
        fields.append((field_kind, head[begin : begin + count]))
    (_, flags), (_, sides), (_, label) = fields
    if len(flags) < 8 or len(sides) < 8 or len(sides) % 4:
        msg = "an array has no valid flags or dimensions"
        raise ValueError(msg)
    flag = struct.unpack_from(order + "I", flags)[0]
    if flag & 0xFF not in _NUMERIC_CLASSES or not label:
        return None
    shape = struct.unpack(f"{order}{len(sides) // 4}i", sides)
    values_kind, begin, count, _ = _tag(head, order, place)
    if min(shape) < 0 or values_kind not in _KINDS:
        msg = f"array '{label.decode('latin-1')}' has dimensions {shape} and values of type {values_kind}"
        raise ValueError(msg)
    dtype = np.dtype(order + _KINDS[values_kind])
    if math.prod(shape) * dtype.itemsize != count:
        msg = f"array '{label.decode('latin-1')}' has {count} bytes, but its dimensions are {shape} of {dtype}"
        raise ValueError(msg)
    common = (label.decode("latin-1"), shape, dtype, bool(flag & _LOGICAL_FLAG), bool(flag & _COMPLEX_FLAG))
    if kind == _COMPRESSED:
        return Stored(*common, start, length, compressed=True, skip=begin)
    if begin + count > length:
        msg = f"array '{label.decode('latin-1')}' is longer than the block that holds it"
        raise ValueError(msg)
    return Stored(*common, start + begin, count, compressed=False)


def _tag(head: bytes, order: str, place: int) -> tuple[int, int, int, int]:
    """Return type, start and length of an element's data, and where the next element begins."""
    if place + 8 > len(head):
        msg = "an array ends within its description"
        raise ValueError(msg)
    kind, length = struct.unpack_from(order + "II", head, place)
    if kind >> 16:  # a small element: both in one word, up to four bytes of data behind it
        length, kind = kind >> 16, kind & 0xFFFF
        if length > 4:
            msg = "a small element holds more than four bytes"
            raise ValueError(msg)
        return kind, place + 4, length, place + 8
    return kind, place + 8, length, place + 8 + length + (-length % 8)


def read(path: Path, stored: Stored) -> NDArray[Any]:
    """Read the real part of an array in MATLAB's order of axes.

    Raises
    ------
    ValueError, zlib.error
        When the file is damaged.
    """
    with path.open("rb") as stream:
        stream.seek(stored.start)
        content = stream.read(stored.length)
    if stored.compressed:
        # Never more than the array needs, whatever a damaged or malicious block would unfold to.
        content = zlib.decompressobj().decompress(content, stored.skip + stored.size)[stored.skip :]
    if len(content) < stored.size:
        msg = f"array '{stored.name}' is cut off: {len(content)} of {stored.size} bytes"
        raise ValueError(msg)
    return np.frombuffer(content, dtype=stored.dtype, count=math.prod(stored.shape)).reshape(stored.shape, order="F")
