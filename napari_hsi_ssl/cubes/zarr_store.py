"""Zarr stores of version 2 and 3 on disk: a folder of small files, each one chunk of an array."""

from __future__ import annotations

import base64
import itertools
import os
import struct
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic_core import from_json

from napari_hsi_ssl import limits
from napari_hsi_ssl.cubes import axes, hdf
from napari_hsi_ssl.cubes.axes import Stored
from napari_hsi_ssl.cubes.lazy import StoredArray
from napari_hsi_ssl.errors import DAMAGE, ChoiceError, CubeError, HsiWarning

# What turns bytes into numbers and nothing else: a codec that unpickles would run a stranger's program, and a few bytes of bz2 and lzma fill a memory.
_CODECS: Final = {
    "bytes", "transpose", "sharding_indexed", "blosc", "zlib", "gzip", "zstd", "lz4", "shuffle", "bitshuffle", "delta",
    "fixedscaleoffset", "quantize", "bitround", "astype", "packbits", "crc32", "crc32c", "adler32", "fletcher32", "jenkins_lookup3", "zfpy", "pcodec",
}  # fmt: skip
_METADATA: Final = ("zarr.json", ".zarray", ".zgroup")
_METADATA_BYTES = 64 * 2**20
_LONGEST_VECTOR = 65536
_BLOSC_HEAD = 16
_HEAD_BYTES = 18
_ENOUGH_BYTES = 2**20
_DEFLATE_MOST = 1032
_HARMLESS_BYTES = 256 * 2**20
_COUNTED_CHUNKS = 50_000


def is_store(path: Path) -> bool:
    """Tell whether a folder is a Zarr group or array, or is named like one."""
    return path.is_dir() and (path.suffix.lower() == ".zarr" or any((path / name).is_file() for name in _METADATA))


class ZarrArray(StoredArray):
    """One array of a store, opened once and read chunk by chunk."""

    def read(self, spans: tuple[slice, ...]) -> NDArray[Any]:
        """Read forward ranges of the array's axes."""
        return _read(self.path, self.key, spans)


def _read(path: Path, key: str, part: tuple[slice, ...]) -> NDArray[Any]:
    folder = path / key
    try:
        stamp = max((folder / name).stat().st_mtime_ns for name in ("zarr.json", ".zarray") if (folder / name).exists())
        array, codec = _opened(str(folder), stamp)
        if array.shards is None:
            _check_wanted(array, codec, folder, part)
        return np.asarray(array[part])
    except CubeError:
        raise
    except Exception as error:  # every codec raises errors of its own on damaged chunks
        raise _damaged(path, f"array '{key}': " if key else "", error) from error


@lru_cache(maxsize=32)
def _opened(folder: str, _stamp: int) -> tuple[Any, str]:
    """Return an array of a store, and the name of the codec that packs its chunks last."""
    import zarr

    path = Path(folder)
    old = (path / ".zarray").is_file()
    told = _json(path, path / (".zarray" if old else "zarr.json"))
    last = told.get("compressor") if old else (told.get("codecs") or [None])[-1]
    return zarr.open_array(folder, mode="r"), next(_codec_names([last]), "")


def _check_wanted(array: Any, codec: str, folder: Path, part: tuple[slice, ...]) -> None:  # noqa: ANN401 - zarr has no types here
    """Raise `CubeError` when a chunk that is wanted is no file, shorter than it says, or unfolds to more than it should.

    Blosc would read on behind its end, and every codec makes room for whatever a chunk says.
    """
    size = int(np.prod(array.chunks, dtype=object)) * array.dtype.itemsize
    limits.require_memory(folder, size, "a chunk")
    most = 8 * size + _ENOUGH_BYTES  # filters may store wider numbers than they give
    grid = [range(one.start or 0, side if one.stop is None else one.stop) for one, side in zip(part, array.shape, strict=True)]
    spans = [range(one.start // step, (one.stop - 1) // step + 1) if len(one) else range(0) for one, step in zip(grid, array.chunks, strict=True)]
    for place in itertools.product(*spans):
        chunk = folder / array.metadata.encode_chunk_key(place)
        name = chunk.relative_to(folder).as_posix()
        if not chunk.is_file():
            if chunk.exists():
                raise CubeError(f"{folder}: chunk {name} is a device or a pipe, expected a file; do not trust this store.")
            continue  # counted when the store was opened
        if codec in {"gzip", "zlib"}:
            _check_deflated(chunk, chunk.stat().st_mtime_ns, most)
            continue
        with chunk.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
        if codec == "blosc":
            found, stated = chunk.stat().st_size, int.from_bytes(head[12:16], "little")
            if len(head) < _BLOSC_HEAD or found < stated:
                raise CubeError(f"{folder} is cut off: chunk {name} has {found} bytes, {stated} expected; copy the store again.")
        unfolds = _stated_size(codec, head)
        if unfolds is not None and unfolds > most:
            raise CubeError(f"{folder}: chunk {name} unfolds to {unfolds:,} bytes, expected {size:,}; do not trust this store.")


@lru_cache(maxsize=4096)
def _check_deflated(chunk: Path, _stamp: int, most: int) -> None:
    if chunk.stat().st_size * _DEFLATE_MOST > max(most, _HARMLESS_BYTES):
        limits.require_deflated(chunk.parent, chunk.read_bytes(), most, f"chunk {chunk.name}")


def _stated_size(codec: str, head: bytes) -> int | None:
    """Return how many bytes a chunk says that it unfolds to, None where it does not say."""
    if codec == "blosc":
        return int.from_bytes(head[4:8], "little")
    if codec == "lz4":
        return int.from_bytes(head[:4], "little")
    if codec != "zstd" or head[:4] != b"\x28\xb5\x2f\xfd":
        return None
    # RFC 8878, 3.1.1.1: a descriptor says how long the fields before the size and the size itself are.
    kind, single, dictionary = head[4] >> 6, bool(head[4] & 0x20), (0, 1, 2, 4)[head[4] & 3]
    length = (1 if single else 0, 2, 4, 8)[kind]
    begin = 5 + (not single) + dictionary
    return int.from_bytes(head[begin : begin + length], "little") + (256 if kind == 1 else 0) if length else None


def _damaged(path: Path, what: str, error: Exception) -> CubeError:
    reason = str(error).split("\n")[0].rstrip(".") or type(error).__name__
    return CubeError(f"{path} cannot be read as Zarr ({what}{reason}), expected a whole store; copy it again.")


def list_arrays(path: Path) -> list[Stored]:
    """Return the arrays of a store from their metadata alone.

    Raises
    ------
    CubeError
        When metadata are missing, damaged or cut off, or an array is packed by a codec that is not safe.
    """
    if not any((path / name).is_file() for name in _METADATA):
        raise CubeError(f"{path} holds no {' or '.join(_METADATA)}, expected one at the top of a Zarr store; copy the store again, also its hidden files.")
    found = []
    for folder in _array_folders(path):
        key = folder.relative_to(path).as_posix()
        try:
            found.append(_describe(path, folder, "" if key == "." else key))
        except DAMAGE as error:  # metadata that are JSON of another build than Zarr's
            raise _damaged(path, f"array '{key}': ", error) from error
    missing = sorted(_promised(path) - {array.name for array in found})
    if missing:
        raise CubeError(f"{path} is cut off: its metadata name the array '{missing[0]}', which is not there; copy the store again.")
    return found


def _array_folders(path: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(path):
        folder = Path(parent)
        if ".zarray" in names or ("zarr.json" in names and _json(path, folder / "zarr.json").get("node_type") == "array"):
            folders.clear()  # below are chunks, often very many
            yield folder
        folders.sort()


def _json(path: Path, file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > _METADATA_BYTES:
            raise CubeError(f"{file} has {file.stat().st_size} bytes, expected the metadata of a Zarr store, which are a short text; write the store again.")
        content = from_json(file.read_bytes())
    except (OSError, ValueError) as error:
        raise CubeError(f"{file} cannot be read ({str(error).rstrip('.')}), expected the JSON metadata of a Zarr store; copy {path.name} again.") from error
    if not isinstance(content, dict):
        raise CubeError(f"{file} holds {type(content).__name__}, expected the JSON metadata of a Zarr store; copy {path.name} again.")
    return content


def _promised(path: Path) -> set[str]:
    """Return the names of the arrays that consolidated metadata list."""
    if (path / ".zmetadata").is_file():
        listed = _json(path, path / ".zmetadata").get("metadata")
        return {name[: -len("/.zarray")] for name in listed if name.endswith("/.zarray")} if isinstance(listed, dict) else set()
    if not (path / "zarr.json").is_file():
        return set()
    consolidated = _json(path, path / "zarr.json").get("consolidated_metadata")
    listed = consolidated.get("metadata") if isinstance(consolidated, dict) else None
    return {name for name, node in listed.items() if isinstance(node, dict) and node.get("node_type") == "array"} if isinstance(listed, dict) else set()


def _describe(path: Path, folder: Path, key: str) -> Stored:
    """Return what the metadata of one array tell, in either version."""
    old = (folder / ".zarray").is_file()
    told = _json(path, folder / (".zarray" if old else "zarr.json"))
    if old:
        attrs = _json(path, folder / ".zattrs") if (folder / ".zattrs").is_file() else {}
        kind, codecs = told.get("dtype"), [told.get("compressor"), *(told.get("filters") or [])]
        dims = attrs.get("_ARRAY_DIMENSIONS")
    else:
        attrs, kind, codecs = told.get("attributes") or {}, told.get("data_type"), told.get("codecs") or []
        dims = told.get("dimension_names") or attrs.get("_ARRAY_DIMENSIONS")
    where = f"{path}: array '{key or path.name}'"
    for name in _codec_names(codecs):
        if name not in _CODECS:
            raise CubeError(f"{where} is packed by '{name}', expected a codec that only turns bytes into numbers; write it with zstd, blosc or gzip.")
    sides = told.get("shape")
    if not isinstance(sides, list) or not all(isinstance(side, int) and side >= 0 for side in sides) or not isinstance(attrs, dict):
        raise CubeError(f"{where} has the shape {str(sides)[:40]} in its metadata, expected whole numbers; copy the store again.")
    try:
        dtype = np.dtype(kind if isinstance(kind, str) else "O")
    except TypeError:
        dtype = np.dtype("O")  # text and times: no cube
    named = tuple(name if isinstance(name, str) else None for name in dims) if isinstance(dims, list) and len(dims) == len(sides) == 3 else ()
    attrs = {label: _decoded(label, value, dtype) for label, value in attrs.items()}
    if old and dims is not None and "_FillValue" not in attrs and told.get("fill_value") is not None:
        attrs["_FillValue"] = _decoded("_FillValue", told["fill_value"], dtype)  # as xarray means it
    short = len(sides) == 1 and sides[0] <= _LONGEST_VECTOR
    return Stored(key, tuple(sides), dtype, named, attrs, partial(_read, path, key, (slice(None),)) if short else None)


def _codec_names(codecs: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
    for codec in codecs if isinstance(codecs, list) else [codecs]:
        if codec is None:
            continue
        if not isinstance(codec, dict):
            yield str(codec)[:40]
            continue
        yield str(codec.get("id") or codec.get("name") or codec)[:60].removeprefix("numcodecs.")
        inner = codec.get("configuration")
        if isinstance(inner, dict):
            for label in ("codecs", "index_codecs"):
                yield from _codec_names(inner.get(label) or [])


def _decoded(label: str, value: Any, dtype: np.dtype[Any]) -> Any:  # noqa: ANN401 - JSON
    """Return an attribute; xarray writes the fill value of floats as base64 of its bytes."""
    if label not in {"_FillValue", "missing_value"} or not isinstance(value, str):
        return value
    try:
        return float(value)  # "NaN", "Infinity"
    except ValueError:
        pass
    try:
        content = base64.b64decode(value, validate=True)
        return struct.unpack("<d" if len(content) == 8 else "<f", content)[0] if dtype.kind == "f" else value
    except (ValueError, struct.error):
        return value


def cube_names(path: Path) -> tuple[str, ...]:
    """Return the names of the arrays that could be cubes, best guess first.

    Raises
    ------
    CubeError
        When the store is damaged or holds none.
    """
    arrays = list_arrays(path)
    names = axes.cube_names(arrays)
    if not names:
        raise axes.no_cube(path, arrays)
    return names


def read_zarr(path: Path, key: str | None = None, shape: tuple[int, int, int] | None = None, name: str | None = None) -> xr.DataArray:
    """Open a cube (y, x, band) of a Zarr store lazily.

    Zarr leaves out chunks that hold nothing but the fill value, so a missing file may be meant or lost. It is taken as meant where
    the array declares a value for "not measured" (``_FillValue``, as xarray writes it) or fills with NaN: a warning says how many
    are missing. Else the values would turn up as ordinary numbers, so the store is refused.

    Raises
    ------
    ChoiceError
        When several arrays could be the cube and no key says which.
    CubeError
        When none could, or the store is damaged or cut off.
    """
    arrays = list_arrays(path)
    if key is None:
        names = axes.cube_names(arrays)
        if not names:
            raise axes.no_cube(path, arrays)
        if len(names) > 1:
            raise ChoiceError(path, names)
        key = names[0]
    array = axes.chosen(path, arrays, key)
    fill = _check_chunks(path, array)
    order = axes.find_axes(path, array, arrays, shape)
    source = ZarrArray(path, array.name, array.shape, array.dtype, order)
    described = replace(array, name=array.name or path.stem)
    return hdf.described_cube(path, described, arrays, order, source, layout="Zarr", name=name, fill=fill)


def _check_chunks(path: Path, array: Stored) -> float | None:
    """Count the chunks that are there; return the fill value where it stands for "not measured"."""
    import zarr

    label = array.name or path.name
    try:
        opened = zarr.open_array(str(path / array.name), mode="r")
        chunks = int(opened.nchunks)
        present = int(opened.nchunks_initialized) if chunks <= _COUNTED_CHUNKS else chunks
        fill = opened.fill_value
    except Exception as error:  # zarr raises errors of many kinds on damaged metadata
        raise _damaged(path, f"array '{label}': ", error) from error
    if present >= chunks:
        return None
    declared = axes.number_of(array.attrs, "_FillValue", "missing_value")
    is_nan = fill is not None and np.asarray(fill).dtype.kind == "f" and bool(np.isnan(fill))
    if present == 0 or (declared is None and not is_nan):
        raise CubeError(
            f"{path}: {chunks - present} of {chunks} chunks of array '{label}' are missing and the store declares no value for \"not measured\", "
            "expected every chunk; copy the store again, or state _FillValue among the array's attributes where they are meant to be empty."
        )
    message = (
        f"{path}: {chunks - present} of {chunks} chunks of array '{label}' are missing and count as not measured; copy the store again if that is not meant."
    )
    warnings.warn(message, HsiWarning, stacklevel=4)
    return None if is_nan else declared
