"""Which axis of an array is y, x and band, and which vector beside it holds its wavelengths: for formats that name things."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.cubes.matlab import is_wavelength_name
from napari_hsi_ssl.cubes.spectral_units import is_length_unit, to_nm
from napari_hsi_ssl.errors import CubeError, HsiWarning

Axes = tuple[int, int, int]

_BAND: Final = re.compile(
    r"^(n_?)?(bands?|wave_?lengths?(_?nm)?|wl|wvl?|lambdas?|λ|spectral(_?(bands?|channels?|axis|dim(ension)?))?|channels?|c|wave_?numbers?|energy|num_?bands)$",
    re.IGNORECASE,
)
_Y: Final = re.compile(
    r"^(n_?)?(y|yc|lat(itude)?|rows?|lines?|northings?|y_?coord(inate)?s?|down_?track|along_?track|height|scan_?lines?|fov_?y)$", re.IGNORECASE
)
_X: Final = re.compile(
    r"^(n_?)?(x|xc|lon(gitude)?|cols?|columns?|samples?|eastings?|x_?coord(inate)?s?|cross_?track|across_?track|width|pixels?|fov_?x)$", re.IGNORECASE
)
_WIDTHS: Final = re.compile(r"^(fwhm|band_?widths?)(_?nm)?$", re.IGNORECASE)
LAZY_KINDS: Final = "iuf"


@dataclass(frozen=True)
class Stored:
    """One array of a file, as its directory tells.

    Attributes
    ----------
    name : str
        With the groups it lies in, parted by ``/``.
    shape : tuple of int
    dtype : numpy dtype
    dims : tuple of str or None
        Names of the axes where the file gives them.
    attrs : dict
    read : callable
        Returns the values of a short vector.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    dims: tuple[str | None, ...] = ()
    attrs: dict[str, Any] = field(default_factory=dict)
    read: Callable[[], NDArray[Any]] | None = None

    def __str__(self) -> str:
        """Name, shape and type, for messages."""
        return f"{self.name} {self.shape}" + ("" if self.dtype.kind in LAZY_KINDS else f" {self.dtype}")

    @property
    def last(self) -> str:
        """The name without its groups."""
        return self.name.rpartition("/")[2]

    @property
    def group(self) -> str:
        """The groups without the name."""
        return self.name.rpartition("/")[0]


def is_cube(array: Stored) -> bool:
    """Tell whether an array has three axes of real numbers and is not empty."""
    return len(array.shape) == 3 and 0 not in array.shape and array.dtype.kind in LAZY_KINDS


def cube_names(arrays: Sequence[Stored]) -> tuple[str, ...]:
    """Return the names of the arrays that could be cubes: those with a named axis of bands where there are such, largest first."""
    found = sorted((array for array in arrays if is_cube(array)), key=lambda array: (-math.prod(array.shape), array.name))
    spectral = [array for array in found if any(dim is not None and _BAND.match(dim) for dim in array.dims)]
    return tuple(array.name for array in spectral or found)


def listed(arrays: Sequence[Stored]) -> str:
    """Return names and shapes of arrays, for messages."""
    shown = ", ".join(map(str, arrays[:8]))
    return shown + (f" and {len(arrays) - 8} more" if len(arrays) > 8 else "") if arrays else "no array"


def no_cube(path: Path, arrays: Sequence[Stored]) -> CubeError:
    """Return the error of a file without a cube."""
    return CubeError(f"{path} holds no array of three axes of real numbers ({listed(arrays)}), expected a cube (y, x, band); choose another file.")


def chosen(path: Path, arrays: Sequence[Stored], key: str) -> Stored:
    """Return the array of a name.

    Raises
    ------
    CubeError
        When there is none, or it is no cube.
    """
    array = next((array for array in arrays if array.name == key.strip("/")), None)
    if array is None:
        raise CubeError(f"{path} holds no array '{key}', only {listed(arrays)}; choose one of them.")
    if array.dtype.kind not in LAZY_KINDS:
        raise CubeError(f"{path}: array '{key}' holds {array.dtype} values, expected real numbers; convert it first.")
    if len(array.shape) != 3:
        raise CubeError(f"{path}: array '{key}' has shape {array.shape}, expected three axes (y, x, band); choose another.")
    if 0 in array.shape:
        raise CubeError(f"{path}: array '{key}' is empty (shape {array.shape}), expected at least one pixel and one band; check the file.")
    return array


def find_axes(path: Path, array: Stored, arrays: Sequence[Stored], shape: tuple[int, int, int] | None = None) -> Axes:
    """Return which axes of an array are y, x and band.

    In this order: the lengths the user gives; the names of the axes; a vector of wavelengths that fits one axis alone; the two
    axes that are equally long are y and x; else the last axis is the band, and a warning says so where another is longer apart.
    """
    sides = array.shape
    if shape is not None:
        for axes in ((0, 1, 2), (1, 2, 0), (0, 2, 1), (1, 0, 2), (2, 1, 0), (2, 0, 1)):
            if tuple(sides[axis] for axis in axes) == tuple(shape):
                return axes
        raise CubeError(f"{path}: array '{array.name}' has shape {sides}, but the given shape is {tuple(shape)} (y, x, band); correct --shape.")
    named = _named_axes(array.dims) if len(array.dims) == 3 else None
    if named is not None:
        return named
    fitting = {index for index, side in enumerate(sides) if sides.count(side) == 1 and any(side == one.shape[0] for one in _wavelengths(array, arrays))}
    if len(fitting) == 1:
        return _with_band(fitting.pop())
    equal = {2: sides[0] == sides[1], 0: sides[1] == sides[2], 1: sides[0] == sides[2]}
    for band in (2, 0, 1):
        if equal[band]:
            return _with_band(band)
    if sides[0] < min(sides[1:]) or sides[1] < min(sides[0], sides[2]):
        message = (
            f"{path}: array '{array.name}' does not say which of its axes {sides} holds the bands; the last is taken, with {sides[2]} bands: "
            "give --shape Y,X,B if that is wrong."
        )
        warnings.warn(message, HsiWarning, stacklevel=5)
    return 0, 1, 2


def _with_band(band: int) -> Axes:
    first, second = (index for index in range(3) if index != band)
    return first, second, band


def _named_axes(dims: Sequence[str | None]) -> Axes | None:
    names = [dim or "" for dim in dims]
    bands = [index for index, name in enumerate(names) if _BAND.match(name)]
    ys = [index for index, name in enumerate(names) if _Y.match(name)]
    xs = [index for index, name in enumerate(names) if _X.match(name)]
    if len(ys) == len(xs) == 1 and ys != xs:
        return ys[0], xs[0], 3 - ys[0] - xs[0]
    if len(bands) != 1:
        return None
    first, second = (index for index in range(3) if index != bands[0])
    if ys == [second] or xs == [first]:
        first, second = second, first
    return first, second, bands[0]


def _wavelengths(array: Stored, arrays: Sequence[Stored]) -> list[Stored]:
    """Return vectors that are called wavelengths, those nearest to the array first."""
    vectors = [one for one in arrays if len(one.shape) == 1 and one.dtype.kind in LAZY_KINDS and one.read is not None and _is_wavelength(one)]
    return sorted(vectors, key=lambda one: (one.group != array.group, not array.name.startswith(one.group + "/") and one.group != "", one.name))


def _is_wavelength(vector: Stored) -> bool:
    return is_wavelength_name(vector.last) or "wavelength" in text_of(vector.attrs.get("standard_name")).lower()


def find_wavelengths(path: Path, array: Stored, arrays: Sequence[Stored], band: int) -> NDArray[np.float64] | None:
    """Return the band centres (band,) in nm of an array, from a vector beside it, its own attributes or its axis; None where there are none.

    Raises
    ------
    CubeError
        When the only vector of wavelengths beside the only cube has another length.
    """
    bands = array.shape[band]
    dim = array.dims[band] if len(array.dims) == 3 else None
    called = _wavelengths(array, arrays)
    axis = [
        one for one in arrays if dim is not None and one.last == dim and one.shape == (bands,) and one.read is not None and is_length_unit(unit_of(one.attrs))
    ]
    for vector in [one for one in called if one.shape == (bands,)] + axis:
        return _in_nm(vector)
    for label, value in array.attrs.items():
        values = np.asarray(value) if is_wavelength_name(label) else np.empty(0)
        if values.shape == (bands,) and values.dtype.kind in LAZY_KINDS:
            units = next((text_of(array.attrs[other]) for other in array.attrs if re.fullmatch(rf"{re.escape(label)}_?units?", other, re.IGNORECASE)), None)
            return to_nm(values.astype(np.float64), units)
    if len(called) == 1 and called[0].group == array.group and sum(map(is_cube, arrays)) == 1:
        count = called[0].shape[0]
        raise CubeError(
            f"{path}: '{called[0].name}' has {count} wavelengths, but array '{array.name}' has {bands} bands, expected one a band; correct the file."
        )
    return None


def _in_nm(vector: Stored) -> NDArray[np.float64] | None:
    values = np.asarray(vector.read() if vector.read is not None else (), dtype=np.float64)
    units = unit_of(vector.attrs)
    if units in {None, "", "1"} and re.search(r"_?nm$", vector.last, re.IGNORECASE):
        units = "nm"
    return to_nm(values, units)


def find_widths(array: Stored, arrays: Sequence[Stored], bands: int, unit_factor: float) -> NDArray[np.float64] | None:
    """Return the band widths (band,) in nm from a vector called ``fwhm``, or None."""
    for one in arrays:
        if one.shape == (bands,) and one.read is not None and _WIDTHS.match(one.last) and one.dtype.kind in LAZY_KINDS:
            values = np.asarray(one.read(), dtype=np.float64)
            return to_nm(values, unit_of(one.attrs)) if is_length_unit(unit_of(one.attrs)) else values * unit_factor
    value = np.asarray(array.attrs.get("fwhm", ()))
    return value.astype(np.float64) if value.shape == (bands,) and value.dtype.kind in LAZY_KINDS else None


def unit_of(attrs: dict[str, Any]) -> str | None:
    """Return the unit that attributes state, or None."""
    for label in ("units", "unit", "Units", "Unit", "UNITS"):
        if label in attrs:
            return text_of(attrs[label])
    return None


def text_of(value: Any) -> str:  # noqa: ANN401 - attributes are whatever a file says
    """Return an attribute as text."""
    if isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size else ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value).encode("utf-8", "replace").decode()  # h5py hands undecodable bytes on as lone surrogates


def number_of(attrs: dict[str, Any], *labels: str) -> float | None:
    """Return the first of some attributes that is one finite number or NaN, or None."""
    for label in labels:
        if label not in attrs:
            continue
        value = np.asarray(attrs[label])
        if value.size == 1 and value.dtype.kind in LAZY_KINDS:
            return float(value.ravel()[0])
    return None
