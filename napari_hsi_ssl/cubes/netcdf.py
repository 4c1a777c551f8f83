"""NetCDF: version 4 is HDF5 (`hdf`), version 3 is read through SciPy, whose directory tells where the numbers lie."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.io import netcdf_file

from napari_hsi_ssl import files
from napari_hsi_ssl.cubes import axes, hdf
from napari_hsi_ssl.cubes.axes import Stored
from napari_hsi_ssl.cubes.lazy import MappedFile, Source
from napari_hsi_ssl.errors import DAMAGE, ChoiceError, CubeError

ENDINGS: Final = {".nc", ".nc4", ".cdf"}


def cube_names(path: Path) -> tuple[str, ...]:
    """Return the names of the variables that could be cubes, best guess first.

    Raises
    ------
    CubeError
        When the file is damaged or holds none.
    """
    if _is_hdf(path):
        return hdf.cube_names(path)
    arrays, _ = _directory(path)
    names = axes.cube_names(arrays)
    if not names:
        raise axes.no_cube(path, arrays)
    return names


def read_netcdf(path: Path, key: str | None = None, shape: tuple[int, int, int] | None = None, name: str | None = None) -> xr.DataArray:
    """Open a cube (y, x, band) of a NetCDF file lazily; the axes are those its dimensions name.

    Raises
    ------
    ChoiceError
        When several variables could be the cube and no key says which.
    CubeError
        When none could, or the file is damaged.
    """
    if _is_hdf(path):
        return hdf.read_hdf(path, key, shape, name)
    arrays, places = _directory(path)
    names = axes.cube_names(arrays)
    if key is None:
        if not names:
            raise axes.no_cube(path, arrays)
        if len(names) > 1:
            raise ChoiceError(path, names)
        key = names[0]
    array = axes.chosen(path, arrays, key)
    order = axes.find_axes(path, array, arrays, shape)
    offset, strides = places[array.name]
    source: Source
    if strides == _plain_strides(array):
        first, second, third = array.shape
        source = MappedFile(path, array.dtype, offset, (first, second, third), order)
    else:  # records of several variables lie between each other
        whole = np.memmap(path, dtype=np.uint8, mode="r")
        source = np.ndarray(array.shape, array.dtype, buffer=whole, offset=offset, strides=strides).transpose(order)
    return hdf.described_cube(path, array, arrays, order, source, layout="NetCDF 3", name=name)


def _plain_strides(array: Stored) -> tuple[int, ...]:
    _, second, third = array.shape
    size = array.dtype.itemsize
    return second * third * size, third * size, size


def _is_hdf(path: Path) -> bool:
    try:
        return bool(h5py.is_hdf5(path))
    except OSError as error:
        raise CubeError(f"{path} cannot be read ({error.strerror or error}); check the path and its permissions.") from error


def _directory(path: Path) -> tuple[list[Stored], dict[str, tuple[int, tuple[int, ...]]]]:
    """Return the variables of a version 3 file, and for each where its numbers begin and their strides in bytes."""
    try:
        with path.open("rb") as begin:
            magic = begin.read(4)
        if magic[:3] != b"CDF" or magic[3:] not in {b"\x01", b"\x02"}:
            raise CubeError(f"{path} is no NetCDF file of version 3 or 4 (it begins with {magic!r}), expected one of these; convert it.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SciPy warns that its own arrays must go before the file does, and they do
            with files.Bounded(path) as stream, netcdf_file(stream, "r", mmap=True, maskandscale=False) as file:
                return _variables(path, file)
    except DAMAGE as error:
        reason = str(error).split("\n")[0].rstrip(".") or type(error).__name__
        raise CubeError(f"{path} cannot be read as NetCDF ({reason}), expected a whole NetCDF file; save it again or restore it from a copy.") from error


def _variables(path: Path, file: Any) -> tuple[list[Stored], dict[str, tuple[int, tuple[int, ...]]]]:  # noqa: ANN401 - SciPy's own
    arrays, places = [], {}
    size = path.stat().st_size
    for name, variable in file.variables.items():
        data = variable.data
        dtype = np.dtype(data.dtype.str)
        begin = _address(data) - _address(_root(data)) if data.size else 0
        if data.size and begin + sum((side - 1) * stride for side, stride in zip(data.shape, data.strides, strict=True)) + dtype.itemsize > size:
            raise CubeError(f"{path} is cut off: {size} bytes found, more expected for variable '{name}' {data.shape}; copy it again.")
        attrs = dict(variable._attributes)
        short = np.array(data) if data.ndim == 1 and data.dtype.kind in axes.LAZY_KINDS else None
        read = None if short is None else _returns(short)
        arrays.append(Stored(name, tuple(data.shape), dtype, tuple(variable.dimensions), attrs, read))
        places[name] = (begin, tuple(data.strides))
    return arrays, places


def _returns(values: NDArray[Any]) -> Any:  # noqa: ANN401 - a function of no arguments
    return lambda: values


def _address(data: NDArray[Any]) -> int:
    return int(data.__array_interface__["data"][0])


def _root(data: NDArray[Any]) -> NDArray[Any]:
    while isinstance(data.base, np.ndarray):
        data = data.base
    return data
