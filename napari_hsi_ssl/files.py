"""Atomic writing and content hashes: a killed process leaves the old file or the new one, never half of one."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import mmap
import os
import re
import secrets
import shutil
import socket
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
import tifffile
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from napari_hsi_ssl.errors import DAMAGE, ProjectError

_SAMPLES = 16
_SPOOL_BYTES = 256 * 2**20
_SAMPLE_BYTES = 64 * 1024
_STORE_METADATA = frozenset({"zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata"})
_TEMPORARY: Final = re.compile(r"\.(?P<name>.+)\.(?P<token>(?P<host>[0-9a-f]{8})-(?P<pid>\d{1,10})\.[0-9a-f]{8})(\.[^.]*)?")
"""The name of a temporary file or folder: what it will be called, and which process of which computer writes it."""
_READY: Final = ".ready"
_LEFT_SECONDS: Final = 86400.0
_FORMULA: Final = re.compile(r"[=@\t\r]|[+-](?!(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|inf$|nan$)")
"""How a text begins that spreadsheets compute; a number with its sign is none."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` and move it there once the block has ended well."""
    with atomic_paths(path) as (temporary,):
        yield temporary


@contextmanager
def atomic_paths(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Give temporary paths beside files of one folder that belong together, and move all of them there once the block has ended well.

    The last one is what makes the others count: a header, a card. Its old version goes before the first new file comes, so that nobody ever reads
    the header of one version beside the data of another. By then all new files are whole on disk and marked as ``.ready``: where the process is
    killed in that moment, `sweep` moves the rest.
    """
    for path in paths:
        if path.exists() and not path.is_file():
            raise ProjectError(f"{path} is no ordinary file but a folder or a device, so it is not replaced; choose another name.")
    token = _token()
    temporaries = [path.with_name(f".{path.name}.{token}{path.suffix}") for path in paths]
    try:
        for path, temporary in zip(paths, temporaries, strict=True):
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                sweep(path.parent)
                temporary.touch(0o600, exist_ok=False)
        with writing(paths[0]):
            yield tuple(temporaries)
        for path, temporary in zip(paths, temporaries, strict=True):
            with writing(path):
                with temporary.open("rb+") as stream:
                    os.fsync(stream.fileno())
                temporary.chmod(0o644)
        if len(paths) > 1:
            with writing(paths[-1]):
                temporaries[-1] = temporaries[-1].replace(paths[-1].with_name(f".{paths[-1].name}.{token}{_READY}"))
                paths[-1].unlink(missing_ok=True)
        for path, temporary in zip(paths, temporaries, strict=True):
            with writing(path):
                temporary.replace(path)
    finally:
        for temporary in temporaries:
            with suppress(OSError):  # its folder may be gone, or be none
                temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside ``path`` and put it there once the block has ended well, in place of an older store.

    Only a Zarr store is replaced; a folder of anything else is left alone.
    """
    if path.exists() and not (path.is_dir() and (not any(path.iterdir()) or any((path / name).exists() for name in _STORE_METADATA))):
        raise ProjectError(f"{path} exists and is no Zarr store, so it is not replaced; choose another name.")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        outer = path.with_name(f".{path.name}.{_token()}")
        outer.mkdir()
    made, old = outer / path.name, outer / "old"
    try:
        with writing(path):
            made.mkdir()
            yield made
            if path.exists():
                path.replace(old)
            made.replace(path)
    finally:
        if old.exists() and not path.exists():
            old.replace(path)
        shutil.rmtree(outer, ignore_errors=True)


def _token() -> str:
    """Return what tells who writes a temporary file, and its files from others."""
    return f"{writer()}.{secrets.token_hex(4)}"


def writer() -> str:
    """Return what tells this process from all others, of other computers too."""
    return f"{_here()}-{os.getpid()}"


def has_ended(who: str) -> bool:
    """Whether a `writer` is a process of this computer that is no more."""
    host, _, number = who.partition("-")
    return host == _here() and number.isdecimal() and not psutil.pid_exists(int(number))


def _here() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def sweep(folder: Path) -> None:
    """Clear a folder of what processes that were killed while they wrote have left: of this computer at once, of others after a day.

    What was written whole and only had to be moved to its place is moved there; the rest is deleted.
    """
    with suppress(OSError, ValueError):  # a share that is slow or gone is no reason not to write, nor a name that no file can have
        hidden = ((folder / name, _TEMPORARY.fullmatch(name)) for name in os.listdir(folder) if name[0] == ".")
        torn = {path: found for path, found in hidden if found is not None and _abandoned(path, found)}
        for path, found in torn.items():
            if path.suffix == _READY:
                (folder / found["name"]).unlink(missing_ok=True)
                for other, its in torn.items():
                    if its["token"] == found["token"] and other != path:
                        other.replace(folder / its["name"])
                path.replace(folder / found["name"])
        for path, found in torn.items():
            place = folder / found["name"]
            if not path.is_symlink() and (path / "old").exists() and not place.exists():  # a store that was taken away to make room
                (path / "old").replace(place)
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def there(path: Path) -> bool:
    """Tell whether a file or a folder is there, moving it there first where a killed process has left it whole."""
    if not os.path.exists(path):
        sweep(path.parent)
    return os.path.exists(path)


def _abandoned(path: Path, found: re.Match[str]) -> bool:
    if found["host"] == _here():
        return not psutil.pid_exists(int(found["pid"]))
    return time.time() - path.lstat().st_mtime > _LEFT_SECONDS


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the operating system says of writing ``path`` into a sentence for the user."""
    try:
        yield
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> ProjectError:
    reason = error.strerror or str(error)
    return ProjectError(f"{path} cannot be written ({reason}); free space or permit writing there, then try again: the old file is untouched.")


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: object) -> None:
    """Write a JSON-able value atomically, indented for human readers; NaN becomes null."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: object) -> bytes:
    """Return what `write_json` writes."""
    return (json.dumps(plain(value), indent=2, allow_nan=False) + "\n").encode()


def plain(value: object) -> object:
    """Return a value made of JSON's own types: arrays become lists, paths text, NaN and infinities null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    return value


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Return rows as CSV; a text that a spreadsheet would take for a formula, such as a class called ``=cmd()``, gets an apostrophe before it."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([_cell(value) for value in row] for row in rows)
    return stream.getvalue()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def write_npz(path: Path, **arrays: NDArray[np.generic]) -> None:
    """Write arrays into one .npz file atomically."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # the stub takes allow_pickle for one of the arrays
    write_bytes(path, buffer.getvalue())


def write_npy(path: Path, array: NDArray[np.generic]) -> None:
    """Write one array atomically."""
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)


def is_whole_npy(path: Path, shape: tuple[int, ...] | None = None) -> bool:
    """Tell whether an .npy file is there, as long as its header says, and of a shape where one is given."""
    with suppress(*DAMAGE):
        return shape in {None, np.load(path, mmap_mode="r", allow_pickle=False).shape}
    return False


class Bounded(io.FileIO):
    """A file that gives no more than it has: asked for the four gigabytes of a damaged length, Python would make room for them first."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as many bytes, or those that are left."""
        left = max(0, os.fstat(self.fileno()).st_size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left)) or b""


def empty_npy(path: Path, shape: tuple[int, ...], dtype: type[np.generic] = np.float16) -> np.memmap[Any, Any]:
    """Return a memory map of a new .npy file whose room on disk is taken already.

    A memory map alone makes a file with holes, and writing into a hole of a full disk ends the process (SIGBUS) where ordinary
    writing raises an error.
    """
    array: np.memmap[Any, Any] = open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    zeros = bytes(1 << 20)
    with path.open("rb+") as stream:
        stream.seek(-array.nbytes, os.SEEK_END)
        for start in range(0, array.nbytes, len(zeros)):
            stream.write(zeros[: array.nbytes - start])
    return array


def let_go(array: object) -> None:
    """Write what has changed of a memory map to disk and give its pages back, so that a file read or written in parts never fills the memory."""
    mapped = getattr(array, "_mmap", None)
    if mapped is None:
        return
    if isinstance(array, np.memmap) and array.mode != "r":
        array.flush()
    if hasattr(mmap, "MADV_DONTNEED"):  # Windows trims by itself
        mapped.madvise(mmap.MADV_DONTNEED)


def spool(shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
    """Return an array of zeros: in memory, or where it is large a memory map of a temporary file that goes with it."""
    if math.prod(shape) * np.dtype(dtype).itemsize <= _SPOOL_BYTES:
        return np.zeros(shape, dtype=dtype)
    with tempfile.TemporaryFile() as stream:  # the map keeps the file
        return np.memmap(stream, dtype=dtype, mode="w+", shape=shape)


def write_tiff(path: Path, array: NDArray[np.generic], description: str | None = None) -> None:
    """Write a 2-D array as a TIFF file atomically, with an ASCII text that describes it where given."""
    with atomic_path(path) as temporary:
        dump_tiff(temporary, array, description)


def dump_tiff(path: Path, array: NDArray[np.generic], description: str | None = None) -> None:
    """Write an array as `write_tiff` does, into a file that is temporary already."""
    tifffile.imwrite(path, array, photometric="minisblack", compression="zlib", description=description)


def digest_bytes(content: bytes) -> str:
    """Return 12 hexadecimal digits that name a piece of data."""
    return hashlib.sha256(content).hexdigest()[:12]


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a whole file."""
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            hasher.update(block)
    return hasher.hexdigest()


def fingerprint(path: Path) -> str:
    """Return a hash of size and sampled blocks, cheap for files of any size."""
    size = path.stat().st_size
    hasher = hashlib.sha256(str(size).encode())
    with path.open("rb") as stream:
        for start in np.linspace(0, max(0, size - _SAMPLE_BYTES), _SAMPLES, dtype=np.int64):
            stream.seek(int(start))
            hasher.update(stream.read(_SAMPLE_BYTES))
    return hasher.hexdigest()[:16]


def folder_fingerprint(folder: Path) -> dict[str, Any]:
    """Return size, newest time and a hash of a folder that is one cube: of its names and sizes, and of sampled files' content."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    states = [path.stat() for path in found]
    hasher = hashlib.sha256()
    for path, state in zip(found, states, strict=True):
        hasher.update(f"{path.relative_to(folder).as_posix()} {state.st_size}\n".encode())
    described = [path for path in found if path.name in _STORE_METADATA]
    sampled = [found[int(place)] for place in np.linspace(0, len(found) - 1, min(len(found), _SAMPLES), dtype=np.int64)] if found else []
    for path in dict.fromkeys([*described[:_SAMPLES], *sampled]):
        hasher.update(fingerprint(path).encode())
    size, newest = sum(state.st_size for state in states), max((state.st_mtime for state in states), default=0.0)
    return {"size": size, "time": newest, "hash": hasher.hexdigest()[:16]}
