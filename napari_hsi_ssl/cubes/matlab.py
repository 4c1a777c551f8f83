"""MATLAB files: version 5 (`matlab5`) and version 7.3, which is HDF5; both stay in their file where it is not compressed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl import limits
from napari_hsi_ssl.cubes import matlab5
from napari_hsi_ssl.cubes.hdf_dataset import HdfDataset, attribute, check_heaps, check_inside
from napari_hsi_ssl.cubes.lazy import MappedFile, Source, build_cube
from napari_hsi_ssl.cubes.spectral_units import guessed_factor
from napari_hsi_ssl.errors import DAMAGE, ChoiceError, CubeError

_NUMERIC_CLASSES: Final = {"double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"}
_WAVELENGTH_NAMES: Final = re.compile(r"^(wave_?lengths?(_?nm)?|wl|wvl?|lambdas?|bands?_?cent(er|re)s?|cent(er|re)_?wavelengths?)$", re.IGNORECASE)


@dataclass(frozen=True)
class MatArray:
    """One array of numbers or truth values in a .mat file, as its directory tells: name and shape in MATLAB's order of axes."""

    name: str
    shape: tuple[int, ...]
    logical: bool = False
    stored: matlab5.Stored | None = None
    """Where it lies in a file of version 5."""

    def __str__(self) -> str:
        """Name and shape, for messages."""
        words = [self.name, str(self.shape), "logical" if self.logical else "", "complex" if self.is_complex else ""]
        return " ".join(word for word in words if word)

    @property
    def is_complex(self) -> bool:
        """Whether its values are complex numbers."""
        return self.stored is not None and self.stored.is_complex


def list_arrays(path: Path) -> tuple[list[MatArray], bool]:
    """Return the arrays of numbers in a .mat file without reading them, and whether the file is HDF5 (version 7.3).

    Raises
    ------
    CubeError
        When the file is no .mat file or is damaged.
    """
    try:
        if h5py.is_hdf5(path):
            check_heaps(path)
            return _list_hdf(path), True
        return [MatArray(found.name, found.shape, found.logical, found) for found in matlab5.scan(path)], False
    except DAMAGE as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> CubeError:
    reason = str(error).split("\n")[0] or type(error).__name__
    return CubeError(f"{path} cannot be read as a MATLAB file ({reason}), expected version 5 or 7.3; save it again or restore it from a copy.")


def _list_hdf(path: Path) -> list[MatArray]:
    found: list[MatArray] = []

    def visit(name: str, item: Any) -> None:  # noqa: ANN401 - h5py has no types
        if not isinstance(name, str) or not isinstance(item, h5py.Dataset) or name.startswith("#") or item.dtype.kind not in "iuf":
            return
        label = attribute(item, "MATLAB_class")
        label = b"double" if label is None else label
        kind = label.decode() if isinstance(label, bytes) else str(label)
        if kind in {*_NUMERIC_CLASSES, "logical"} and "MATLAB_empty" not in item.attrs:
            found.append(MatArray(name, tuple(reversed(item.shape)), kind == "logical"))

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return found


def read_array(path: Path, name: str) -> NDArray[Any]:
    """Read one array in MATLAB's order of axes."""
    try:
        if h5py.is_hdf5(path):
            with h5py.File(path, "r") as file:
                check_inside(path, file[name])
                limits.require_memory(path, file[name].nbytes, f"array '{name}'")
                values: NDArray[Any] = file[name][()]
            return np.asarray(values).T
        stored = next(found for found in matlab5.scan(path) if found.name == name)
        if stored.is_complex:
            raise CubeError(f"{path}: array '{name}' holds complex numbers, expected real ones; save its amplitude instead.")
        limits.require_memory(path, stored.size, f"array '{name}'")
        return matlab5.read(path, stored)
    except DAMAGE as error:
        raise _damaged(path, error) from error


def cube_names(path: Path) -> tuple[str, ...]:
    """Return the names of the arrays that could be cubes: three axes, or a ``Y`` of two with nRow and nCol; largest first."""
    arrays, _ = list_arrays(path)
    found = [array for array in arrays if len(array.shape) == 3 and 0 not in array.shape and not (array.logical or array.is_complex)]
    flat = next((array for array in arrays if array.name == "Y" and len(array.shape) == 2), None)
    if flat is not None and {"nRow", "nCol"} <= {array.name for array in arrays}:
        found.append(flat)
    return tuple(array.name for array in sorted(found, key=lambda array: -np.prod(array.shape)))


def read_mat(path: Path, key: str | None = None, shape: tuple[int, int, int] | None = None, order: str = "C", name: str | None = None) -> xr.DataArray:
    """Open a cube (y, x, band) of a .mat file; it stays in its file but for compressed arrays of version 5, which are read.

    A two-dimensional ``Y`` with nRow and nCol beside it holds the pixels column by column.

    Raises
    ------
    ChoiceError
        When several arrays could be the cube and no key says which.
    CubeError
        When none could, or the file is damaged.
    """
    arrays, is_hdf = list_arrays(path)
    shapes = {array.name: array.shape for array in arrays if not array.logical}
    listed = ", ".join(map(str, arrays)) or "no numeric array"
    if key is None:
        names = cube_names(path) or (tuple(shapes) if shape is not None else ())
        if not names:
            raise CubeError(f"{path} holds no array of three axes ({listed}), expected a cube (y, x, band); choose another file.")
        if len(names) > 1:
            raise ChoiceError(path, names)
        key = names[0]
    if key not in shapes:
        raise CubeError(f"{path} holds no numeric array '{key}', only {listed}; choose one of them.")
    source: Source
    dimensions = shapes[key]
    if len(dimensions) == 3 and shape is None:
        source = _hdf_source(path, key) if is_hdf else _v5_source(path, key, arrays)
    else:
        source = _unfold(path, key, shapes, shape, order)
    bands = int(source.shape[2])
    return build_cube(source, path=path, name=name, wavelength=_wavelength(path, shapes, bands), layout="MATLAB 7.3" if is_hdf else "MATLAB 5", key=key)


def _hdf_source(path: Path, key: str) -> Source:
    with h5py.File(path, "r") as file:
        data = file[key]
        check_inside(path, data)
        offset = data.id.get_offset()
        plain = data.chunks is None and offset is not None
        # HDF5 holds MATLAB's arrays with their axes reversed: band, x, y.
        if plain:
            return MappedFile(path, data.dtype, int(offset), data.shape, (2, 1, 0))
        return HdfDataset(path, key, data.shape, data.dtype, (2, 1, 0))


def _v5_source(path: Path, key: str, arrays: list[MatArray]) -> Source:
    stored = next(array.stored for array in arrays if array.name == key)
    if stored is None or stored.compressed or stored.is_complex:
        return read_array(path, key)
    height, width, bands = stored.shape
    return MappedFile(path, stored.dtype, stored.start, (bands, width, height), (2, 1, 0))


def _unfold(path: Path, key: str, shapes: dict[str, tuple[int, ...]], shape: tuple[int, int, int] | None, order: str) -> NDArray[Any]:
    array = read_array(path, key)
    if shape is None:
        if key != "Y" or array.ndim != 2 or not {"nRow", "nCol"} <= set(shapes):
            raise CubeError(f"{path}: array '{key}' has shape {shapes[key]}, expected three axes (y, x, band); choose another, or give its --shape Y,X,B.")
        rows, columns = (int(read_array(path, side).ravel()[0]) for side in ("nRow", "nCol"))
        pixels = rows * columns
        if rows < 1 or columns < 1 or pixels not in array.shape:
            raise CubeError(f"{path}: 'Y' has shape {array.shape}, but nRow × nCol is {rows} × {columns}; correct nRow and nCol, or give --shape.")
        bands = array.size // pixels
        shape, order = (rows, columns, bands), "F"
    return reshape(array, shape, order, f"{path}: array '{key}'")


def reshape(array: NDArray[Any], shape: tuple[int, int, int], order: str, what: str) -> NDArray[Any]:
    """Bring an array into the shape (y, x, band) the user names.

    A two-dimensional array is (band, pixel) or (pixel, band), its pixels in C order (x fastest) or F order (y fastest); a
    three-dimensional one may have its axes in another order where only one fits; anything else is reshaped as it lies.

    Raises
    ------
    CubeError
        When the number of values does not fit.
    """
    height, width, bands = shape
    if order not in ("C", "F"):
        raise CubeError(f"{what}: order is '{order}', expected C or F; choose one of them.")
    if min(shape) < 1 or array.size != height * width * bands:
        raise CubeError(f"{what} has shape {array.shape} ({array.size} values), but the given shape {shape} needs {height * width * bands}; correct --shape.")
    order_: Any = order
    if array.shape == shape:
        return array
    if array.ndim == 2 and array.shape == (height * width, bands):
        return array.reshape(shape, order=order_)
    if array.ndim == 2 and array.shape == (bands, height * width):
        return array.T.reshape(shape, order=order_)
    for axes in ((1, 2, 0), (0, 2, 1), (1, 0, 2), (2, 1, 0), (2, 0, 1)):
        if array.ndim == 3 and tuple(array.shape[axis] for axis in axes) == shape:
            return array.transpose(axes)
    return array.reshape(shape, order=order_)


def _wavelength(path: Path, shapes: dict[str, tuple[int, ...]], bands: int) -> NDArray[np.float64] | None:
    fitting = [name for name, sides in shapes.items() if is_wavelength_name(name) and np.prod(sides) == bands and max(sides) == bands]
    return wavelength_of(read_array(path, fitting[0])) if len(fitting) == 1 else None


def is_wavelength_name(name: str) -> bool:
    """Tell whether an array's name says that it holds band centres."""
    return _WAVELENGTH_NAMES.match(name.rpartition("/")[2]) is not None


def wavelength_of(values: NDArray[Any]) -> NDArray[np.float64] | None:
    """Return band centres (band,) in nm from a vector of nm or µm, or None where it cannot be one."""
    centres = np.asarray(values, dtype=np.float64).ravel()
    if not np.isfinite(centres).all() or (centres <= 0).any():
        return None
    return centres * guessed_factor(centres)
