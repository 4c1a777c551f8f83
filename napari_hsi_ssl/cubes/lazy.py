"""Cubes that stay in their file: memory maps, and bands reordered or scaled only when they are read."""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from numpy.typing import NDArray

from napari_hsi_ssl import limits
from napari_hsi_ssl.cubes.cube import DIMS, Quantity, as_cube
from napari_hsi_ssl.errors import CubeError, HsiWarning

Shape = tuple[int, int, int]
Index = int | slice | NDArray[np.intp]

_CHUNK_BYTES = 32 * 2**20
DATA_ENDINGS: Final = ("", ".dat", ".img", ".raw", ".bil", ".bip", ".bsq", ".bin", ".hyspex", ".cube")
"""Usual endings of the data file beside an ENVI header, most usual first."""


class Source(Protocol):
    """Anything that gives parts of a cube (y, x, band): an array, or a file that is opened when it is read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of y, x and band."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored values."""

    def __getitem__(self, key: Any, /) -> Any:  # noqa: ANN401 - what NumPy takes and gives
        """Return a part (y, x, band)."""


@dataclass(frozen=True)
class MappedFile:
    """A plain block of numbers in a file.

    Attributes
    ----------
    path : Path
    dtype : numpy dtype
        With the byte order of the file.
    offset : int
        Bytes before the first value.
    file_shape : tuple of int
        Lengths in the order of the file, slowest axis first.
    axes : tuple of int
        Which file axis is y, x and band.
    """

    path: Path
    dtype: np.dtype[Any]
    offset: int
    file_shape: Shape
    axes: tuple[int, int, int]

    @property
    def shape(self) -> Shape:
        """Lengths of y, x and band."""
        y, x, band = (self.file_shape[axis] for axis in self.axes)
        return y, x, band

    def open(self) -> NDArray[Any]:
        """Map the file (y, x, band), read-only.

        Raises
        ------
        CubeError
            When it is gone, may not be read, or has become shorter.
        """
        try:
            return np.memmap(self.path, dtype=self.dtype, mode="r", offset=self.offset, shape=self.file_shape).transpose(self.axes)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise CubeError(f"{self.path} cannot be read ({reason}), expected it as it was when it was opened; put it back, or permit reading it.") from error

    def __getitem__(self, key: tuple[Index, Index, Index]) -> NDArray[Any]:
        """Return a part (y, x, band), still mapped."""
        # Mapping anew costs microseconds, needs no open file and survives pickling to another process.
        return self.open()[key]


@dataclass(frozen=True)
class StoredArray:
    """One array of a file, read only where it is wanted: what formats have in common that give plain forward ranges.

    Attributes
    ----------
    path, key : Path, str
        The file and the array in it.
    file_shape : tuple of int
        Lengths in the order of the file.
    dtype : numpy dtype
    axes : tuple of int
        Which file axis is y, x and band.
    """

    path: Path
    key: str
    file_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    axes: tuple[int, int, int]

    @property
    def shape(self) -> Shape:
        """Lengths of y, x and band."""
        y, x, band = (self.file_shape[axis] for axis in self.axes)
        return y, x, band

    def __getitem__(self, key: tuple[Index, Index, Index]) -> NDArray[Any]:
        """Read a part (y, x, band)."""
        hulls, inner = zip(*(hull(part, length) for part, length in zip(key, self.shape, strict=True)), strict=True)
        spans: list[slice] = [slice(None)] * 3
        for span, axis in zip(hulls, self.axes, strict=True):
            spans[axis] = span
        return self.read(tuple(spans)).transpose(self.axes)[inner]

    def read(self, spans: tuple[slice, ...]) -> NDArray[Any]:
        """Read forward ranges of the file's axes."""
        raise NotImplementedError


@dataclass(frozen=True)
class LinearSource:
    """A source whose values are scaled and shifted when they are read: value = stored × scale + shift."""

    source: Source
    scale: float
    shift: float

    @property
    def path(self) -> Path | None:
        """The file."""
        return getattr(self.source, "path", None)

    @property
    def key(self) -> str | None:
        """The array in the file."""
        return getattr(self.source, "key", None)

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of y, x and band."""
        return self.source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values given."""
        return scaled_type(self.source.dtype)

    def __getitem__(self, key: Any, /) -> NDArray[Any]:  # noqa: ANN401 - what NumPy takes
        """Return a part (y, x, band) in memory."""
        return self.apply(self.source[key])

    def apply(self, values: NDArray[Any]) -> NDArray[Any]:
        """Scale and shift stored values; the ignore value goes the same way, so that comparing with it stays exact."""
        kind = self.dtype
        with np.errstate(invalid="ignore", over="ignore"):
            return np.asarray(np.asarray(values, dtype=kind) * kind.type(self.scale) + kind.type(self.shift))


class RecentlyDecoded:
    """Unpacked arrays that were used last, up to a budget of bytes; one thread unpacks, others that want the same wait for it."""

    def __init__(self, budget: int) -> None:
        self._budget, self._bytes = budget, 0
        self._kept: OrderedDict[Hashable, NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()
        self._busy: dict[Hashable, threading.Lock] = {}

    def peek(self, key: Hashable) -> NDArray[Any] | None:
        """Return an array that is kept, or None."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def get(self, key: Hashable, read: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Return an array that is kept, else read and keep it."""
        with self._lock:
            busy = self._busy.setdefault(key, threading.Lock())
        with busy:
            found = self.peek(key)
            if found is not None:
                return found
            made = read()
        with self._lock:
            self._busy.pop(key, None)
            if made.nbytes <= self._budget and key not in self._kept:
                self._kept[key] = made
                self._bytes += made.nbytes
            while self._bytes > self._budget:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return made


DECODED: Final = RecentlyDecoded(256 * 2**20)
"""What packed images keep in memory."""


def hull(part: Index, length: int) -> tuple[slice, Index]:
    """Split an index into a plain forward range to read and what to take of it (HDF5 knows no steps backwards)."""
    if isinstance(part, list | np.ndarray):
        places = np.arange(length)[part]
        low = int(places.min(initial=length))
        return slice(low, int(places.max(initial=low - 1)) + 1), places - low
    if not isinstance(part, slice):
        return slice(int(part), int(part) + 1), 0
    wanted = range(*part.indices(length))
    if not wanted:
        return slice(0, 0), slice(None)
    low, high = min(wanted[0], wanted[-1]), max(wanted[0], wanted[-1])
    return slice(low, high + 1), slice(None, None, wanted.step)


@dataclass(frozen=True)
class BandView:
    """A source whose bands are reordered and whose values are divided when they are read.

    Attributes
    ----------
    source : Source
    order : int array (band,) or None
        Number in the file of each band.
    factor : float or None
        What stored values are divided by.
    """

    source: Source
    order: NDArray[np.intp] | None = None
    factor: float | None = None
    ndim: int = field(default=3, init=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of y, x and band."""
        return self.source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values given."""
        if self.factor is None:
            return np.dtype(self.source.dtype).newbyteorder("=")
        return scaled_type(self.source.dtype)

    def __getitem__(self, key: tuple[Index, Index, Index]) -> NDArray[Any]:
        """Return a part (y, x, band) in memory."""
        ys, xs, bands = key
        if self.order is None:
            block = self.source[ys, xs, bands]
        else:
            wanted = self.order[bands]
            if wanted.size == 0:
                return np.empty_like(self.source[ys, xs, slice(0, 0)], dtype=self.dtype)
            low, high = int(wanted.min()), int(wanted.max())
            block = self.source[ys, xs, slice(low, high + 1)]
            if np.ndim(wanted) == 0 or np.any(np.diff(wanted) != 1):
                block = block[..., wanted - low]
        if self.factor is None:
            return np.asarray(block, dtype=self.dtype)
        return scaled(block, self.factor)


def scaled_type(stored: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of divided values: float32 where it holds the stored values exactly, float64 otherwise."""
    return np.dtype(np.result_type(stored, np.float32)).newbyteorder("=")


def scaled(values: NDArray[Any], factor: float) -> NDArray[Any]:
    """Divide stored values by the scale factor."""
    kind = scaled_type(np.asarray(values).dtype)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(np.asarray(values, dtype=kind) / kind.type(factor))


def chunks(shape: tuple[int, ...], itemsize: int) -> Shape:
    """Return chunk lengths (y, x, band) of at most 32 MiB, whole rows where they fit.

    Indices are handed down to the file, so the layout of the file does not matter here: one band or one spectrum reads itself alone.
    """
    height, width, bands = shape
    wide = min(width, max(1, _CHUNK_BYTES // (bands * itemsize)))
    return min(height, max(1, _CHUNK_BYTES // (wide * bands * itemsize))), wide, bands


def build_cube(
    source: Source,
    *,
    path: Path,
    name: str | None = None,
    wavelength: NDArray[np.float64] | None = None,
    factor: float | None = None,
    nodata: float | None = None,
    quantity: Quantity = "unknown",
    layout: str | None = None,
    per_band: dict[str, NDArray[Any] | None] | None = None,
    default_bands: tuple[int, ...] | None = None,
    **attrs: Any,  # noqa: ANN401 - attributes are whatever a file says
) -> xr.DataArray:
    """Turn an opened file into a checked cube with bands in order of wavelength.

    A source that needs neither scaling nor sorting is given as it is: a memory map stays one. Others become dask arrays.

    Parameters
    ----------
    source : Source (y, x, band)
    path : Path
        The file the user named.
    wavelength : float array (band,), optional
        nm, in the order of the file. Where it falls, bands are sorted stably and ``source_band`` keeps the file's order.
    factor : float, optional
        What stored values are divided by. ``nodata`` is divided in the same arithmetic, so that comparing with it stays exact.
    nodata : float, optional
        The stored value that means "not measured".
    per_band : dict of arrays (band,), optional
        Attributes with one value a band (``fwhm``, ``bad_bands``), in the order of the file.
    default_bands : tuple of int, optional
        Band numbers in the file, from 0.
    """
    limits.require_frame(path, source.shape)  # before the pieces of it are counted
    bands = int(source.shape[2])
    name = name or cube_name(path)
    if 0 in source.shape:
        raise CubeError(f"{path} is empty (shape {tuple(source.shape)}), expected at least one pixel and one band; check the file.")
    for field_name, values in {"wavelength": wavelength, **(per_band or {})}.items():
        if values is not None and values.shape != (bands,):
            raise CubeError(f"{path} has {bands} bands but {values.size} values of '{field_name}', expected one a band; correct the file's metadata.")
    if wavelength is not None and not np.isfinite(wavelength).all():
        raise CubeError(f"{path} has wavelengths that are not numbers, expected nm for every band; correct or remove them.")
    if wavelength is not None and (wavelength <= 0).any():
        message = f"{path} has wavelengths of 0 nm or less (the first is {wavelength[wavelength <= 0][0]:g}), so all of them are left out; correct them."
        warnings.warn(message, HsiWarning, stacklevel=4)
        wavelength = None
    order: NDArray[np.intp] | None = None
    if wavelength is not None:
        if np.unique(wavelength).size < bands:
            ordered = np.sort(wavelength)
            twice = ordered[:-1][np.diff(ordered) == 0][0]
            message = f"{path} has several bands at the same wavelength (the first at {twice:g} nm); all are kept, in the order of the file."
            warnings.warn(message, HsiWarning, stacklevel=4)
        if np.any(np.diff(wavelength) < 0):
            order = np.argsort(wavelength, kind="stable")
    attrs = {key: value for key, value in attrs.items() if value is not None}
    nodata = _representable(nodata, source.dtype)
    if nodata is not None and factor is not None:
        nodata = float(scaled(np.asarray(nodata, dtype=source.dtype), factor)) if _fits(nodata, source.dtype) else None
    data: Any = source.open() if isinstance(source, MappedFile) else source
    if isinstance(source, np.ndarray):
        data = source if order is None else source[:, :, order]
    elif factor is not None or order is not None or not isinstance(source, MappedFile):
        data = _lazily(BandView(source, order, factor))
    kept = {"nodata": nodata, "scale_factor": factor, "layout": layout, "source": str(path)}
    attrs |= {key: value for key, value in kept.items() if value is not None}
    arrange = np.arange(bands) if order is None else order
    attrs |= {key: values[arrange] for key, values in (per_band or {}).items() if values is not None}
    if default_bands is not None:
        position = np.argsort(arrange)
        attrs["default_bands"] = tuple(int(position[band]) for band in default_bands)
    coords = {} if order is None else {"source_band": ("band", order)}
    array = xr.DataArray(data, dims=DIMS, coords=coords, name=name)
    return as_cube(array, None if wavelength is None else wavelength[arrange], quantity, name, **attrs)


def cube_name(path: Path) -> str:
    """Return the name of a cube in a file: the file's name without its endings ``.hdr`` and that of the data."""
    if path.suffix.lower() != ".hdr":
        return path.stem
    inner = Path(path.stem)
    return inner.stem if inner.suffix.lower() in DATA_ENDINGS else inner.name


def _representable(nodata: float | None, stored: np.dtype[Any]) -> float | None:
    """Return the ignore value as the stored type holds it, or None where no stored value can equal it."""
    if nodata is None or not np.isfinite(nodata):
        return None  # pixels that are not finite are invalid anyway
    if np.issubdtype(stored, np.floating):
        with np.errstate(over="ignore"):
            held = float(np.asarray(nodata).astype(stored))
        return held if np.isfinite(held) else None
    return nodata


def _fits(nodata: float, stored: np.dtype[Any]) -> bool:
    if np.issubdtype(stored, np.floating):
        return True
    limits = np.iinfo(stored)
    return limits.min <= nodata <= limits.max and float(nodata).is_integer()


def _lazily(view: BandView) -> Any:  # noqa: ANN401 - dask has no types
    source = view.source
    path = getattr(source, "path", None)
    state = path.stat() if path is not None else None
    stamp = (str(path), state.st_mtime_ns, state.st_size) if state is not None else id(source)
    place = [getattr(source, label, None) for label in ("key", "offset", "scale", "shift")]
    name = "cube-" + tokenize(stamp, *place, view.order, view.factor, view.shape)
    lengths = chunks(view.shape, view.dtype.itemsize)
    # fancy=True lets dask hand indices down to the view, so that one spectrum does not read whole chunks.
    return da.from_array(view, chunks=lengths, name=name, asarray=True, fancy=True, meta=np.empty((0, 0, 0), dtype=view.dtype))
