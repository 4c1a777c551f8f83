"""HDF5 in its dialects: plain files (.h5, .hdf5, .he5), NetCDF 4 (.nc) and HyperSpy signals (.hspy), read without leaving the file."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl import limits
from napari_hsi_ssl.cubes import axes
from napari_hsi_ssl.cubes.axes import Axes, Stored
from napari_hsi_ssl.cubes.hdf_dataset import HdfDataset, attribute, check_heaps, check_inside
from napari_hsi_ssl.cubes.lazy import LinearSource, MappedFile, Source, build_cube
from napari_hsi_ssl.cubes.spectral_units import is_length_unit, stated_quantity, to_nm
from napari_hsi_ssl.errors import DAMAGE, ChoiceError, CubeError

ENDINGS: Final = {".h5", ".hdf5", ".hdf", ".he5", ".h5f"}
_ENERGY: Final = re.compile(r"^(ev|\$?ev\$?|electron ?volts?)$", re.IGNORECASE)
_LONGEST_VECTOR = 65536


def list_arrays(path: Path) -> list[Stored]:
    """Return the arrays of a file with their axes and attributes, without reading values; links to other files are not followed.

    Raises
    ------
    CubeError
        When the file is no HDF5 or is damaged.
    """
    found: list[Stored] = []

    def visit(name: str, item: Any) -> None:  # noqa: ANN401 - h5py has no types
        if not isinstance(name, str):  # undecodable
            return
        if isinstance(item, h5py.Dataset) and item.shape is not None and item.dtype.kind in "iufcbSOUV":
            short = item.ndim == 1 and item.shape[0] <= _LONGEST_VECTOR
            found.append(Stored(name, item.shape, item.dtype, _dims(item), _attributes(item), partial(read_vector, path, name) if short else None))

    try:
        check_heaps(path)
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except DAMAGE as error:
        raise _damaged(path, error) from error
    return found


def _damaged(path: Path, error: Exception) -> CubeError:
    reason = str(error).split("\n")[0].rstrip(".") or type(error).__name__
    return CubeError(f"{path} cannot be read as HDF5 ({reason}), expected a whole HDF5 file; save it again or restore it from a copy.")


def _dims(item: Any) -> tuple[str | None, ...]:  # noqa: ANN401 - h5py has no types
    """Return the names of the axes: their labels, else the names of their scales (NetCDF's dimensions).

    The attributes are read that hold them: of damaged ones HDF5's own functions for labels and scales end the whole process.
    """
    if item.ndim != 3:
        return ()
    found: list[str | None] = [None] * 3
    try:
        labels, scales = (attribute(item, name) for name in ("DIMENSION_LABELS", "DIMENSION_LIST"))
        for axis in range(3):
            name = "" if labels is None else axes.text_of(labels[axis])
            if not name and scales is not None and len(scales[axis]):
                name = str(item.file[scales[axis][0]].name).rpartition("/")[2]
            found[axis] = name or None
    except DAMAGE:
        pass  # axes without a name are found otherwise
    return tuple(found)


def _attributes(item: Any) -> dict[str, Any]:  # noqa: ANN401 - h5py has no types
    found = {}
    for label in item.attrs:
        if label in {"DIMENSION_LIST", "REFERENCE_LIST"}:
            continue
        try:
            value = attribute(item, label)
        except (OSError, TypeError, KeyError, ValueError):
            continue  # a type that h5py does not know, which no cube needs
        if value is not None and not isinstance(value, h5py.Empty):
            found[label] = value
    return found


def read_vector(path: Path, name: str) -> NDArray[Any]:
    """Read one short array."""
    try:
        with h5py.File(path, "r") as file:
            check_inside(path, file[name])
            return np.asarray(file[name][()])
    except DAMAGE as error:
        raise _damaged(path, error) from error


def cube_names(path: Path) -> tuple[str, ...]:
    """Return the names of the arrays that could be cubes, best guess first; of HyperSpy files the names of the signals.

    Raises
    ------
    CubeError
        When the file is damaged or holds none.
    """
    arrays = list_arrays(path)
    names = tuple(_signal(name) for name in axes.cube_names(_signals(arrays))) if path.suffix.lower() == ".hspy" else axes.cube_names(arrays)
    if not names:
        raise axes.no_cube(path, _signals(arrays) if path.suffix.lower() == ".hspy" else arrays)
    return names


def _signals(arrays: list[Stored]) -> list[Stored]:
    return [array for array in arrays if re.fullmatch(r"Experiments/[^/]+/data", array.name)]


def _signal(name: str) -> str:
    return name.split("/")[1] if name.startswith("Experiments/") else name


def read_hdf(path: Path, key: str | None = None, shape: tuple[int, int, int] | None = None, name: str | None = None) -> xr.DataArray:
    """Open a cube (y, x, band) of an HDF5 file; it stays in the file, mapped where its numbers lie plain.

    Axes and wavelengths are those that names, NetCDF's dimensions or HyperSpy's axes tell (`axes.find_axes`). ``_FillValue``
    becomes ``nodata``; ``scale_factor`` and ``add_offset`` are applied when values are read.

    Raises
    ------
    ChoiceError
        When several arrays could be the cube and no key says which.
    CubeError
        When none could, or the file is damaged.
    """
    arrays = list_arrays(path)
    if path.suffix.lower() == ".hspy":
        return _read_signal(path, _signals(arrays), key, shape, name)
    array = _choose(path, arrays, key)
    order = axes.find_axes(path, array, arrays, shape)
    layout = "NetCDF 4" if path.suffix.lower() in {".nc", ".nc4"} else "HDF5"
    return described_cube(path, array, arrays, order, _open(path, array.name, order), layout=layout, name=name)


def _choose(path: Path, arrays: list[Stored], key: str | None) -> Stored:
    if key is None:
        names = axes.cube_names(arrays)
        if not names:
            raise axes.no_cube(path, arrays)
        if len(names) > 1:
            raise ChoiceError(path, names)
        key = names[0]
    return axes.chosen(path, arrays, key)


def described_cube(
    path: Path, array: Stored, arrays: list[Stored], order: Axes, source: Source, *, layout: str, name: str | None, fill: float | None = None
) -> xr.DataArray:
    """Return the cube of an array with what its attributes and the vectors beside it tell, by the CF conventions.

    Parameters
    ----------
    source : Source (y, x, band)
        The stored values.
    fill : float, optional
        What the format itself says means "not measured".
    """
    bands = array.shape[order[2]]
    scale, shift = axes.number_of(array.attrs, "scale_factor"), axes.number_of(array.attrs, "add_offset")
    nodata = axes.number_of(array.attrs, "_FillValue", "missing_value", "nodata")
    nodata = fill if nodata is None else nodata
    if scale is not None or shift is not None:
        if scale == 0 or not np.isfinite([scale or 1.0, shift or 0.0]).all():
            raise CubeError(f"{path}: array '{array.name}' has scale_factor {scale} and add_offset {shift}, expected finite numbers and no 0; correct them.")
        linear = LinearSource(source, 1.0 if scale is None else scale, shift or 0.0)
        if nodata is not None:
            nodata = float(linear.apply(np.asarray(nodata)))
        source = linear
    wavelength = axes.find_wavelengths(path, array, arrays, order[2])
    words = [axes.text_of(array.attrs.get(label)) for label in ("quantity", "standard_name", "long_name", "description", "units")]
    bad = np.asarray(array.attrs.get("bad_bands", ()))
    return build_cube(
        source,
        path=path,
        name=name,
        wavelength=wavelength,
        nodata=nodata,
        quantity=stated_quantity(*words, array.last.replace("_", " ")),
        layout=layout,
        per_band={
            "fwhm": axes.find_widths(array, arrays, bands, 1.0 if wavelength is None or wavelength[0] > 100 else 1e3),
            "bad_bands": bad.astype(bool) if bad.shape == (bands,) else None,
        },
        description=axes.text_of(array.attrs.get("description")) or axes.text_of(array.attrs.get("long_name")) or None,
        key=array.name,
        **_kept(array.attrs, bands),
    )


def _kept(attrs: dict[str, Any], bands: int) -> dict[str, Any]:
    """Return what this program's own Zarr export keeps beside the usual attributes."""
    found: dict[str, Any] = {label: attrs[label] for label in ("sensor", "map_info", "coordinate_system") if isinstance(attrs.get(label), str)}
    tags = attrs.get("geotags")
    if isinstance(tags, dict):
        try:
            found["geotags"] = {
                int(code): (int(kind), int(count), tuple(value) if isinstance(value, list) else value) for code, (kind, count, value) in tags.items()
            }
        except (TypeError, ValueError):
            found.pop("geotags", None)
    default = attrs.get("default_bands")
    if isinstance(default, list) and all(isinstance(band, int) and 0 <= band < bands for band in default):
        found["default_bands"] = tuple(default)
    return found


def _open(path: Path, name: str, order: Axes) -> Source:
    try:
        with h5py.File(path, "r") as file:
            data = file[name]
            check_inside(path, data)
            if data.chunks is not None:
                limits.require_memory(path, int(np.prod(data.chunks, dtype=object)) * data.dtype.itemsize, f"a chunk of '{name}'")
            offset = data.id.get_offset() if data.chunks is None and not data.is_virtual else None
            if offset is not None and data.dtype.isbuiltin != 0:
                return MappedFile(path, data.dtype, int(offset), data.shape, order)
            if offset is not None:  # a byte order that is not the machine's
                return MappedFile(path, np.dtype(data.dtype.str), int(offset), data.shape, order)
            return HdfDataset(path, name, data.shape, data.dtype, order)
    except DAMAGE as error:
        raise _damaged(path, error) from error


# -- HyperSpy --------------------------------------------------------------------------------------------------------------


def _read_signal(path: Path, signals: list[Stored], key: str | None, shape: tuple[int, int, int] | None, name: str | None) -> xr.DataArray:
    if key is not None and not key.startswith("Experiments/"):
        key = f"Experiments/{key}/data"
    try:
        array = _choose(path, signals, key)
    except ChoiceError as error:
        raise ChoiceError(path, tuple(map(_signal, error.candidates))) from error
    described = _signal_axes(path, array)
    navigate = [bool(axis.get("navigate", True)) for axis in described]
    if shape is not None:
        order = axes.find_axes(path, array, [], shape)
    elif navigate.count(False) in {1, 2}:
        # One signal axis is a spectrum at every place, two are an image in every band.
        band = navigate.index(False) if navigate.count(False) == 1 else navigate.index(True)
        first, second = (index for index in range(3) if index != band)
        order = (first, second, band)
    else:
        order = axes.find_axes(path, array, signals, None)
    axis = described[order[2]]
    wavelength = _signal_wavelength(axis, array.shape[order[2]], path)
    quantity = stated_quantity(str(axis.get("quantity", "")))
    return build_cube(
        _open(path, array.name, order), path=path, name=name, wavelength=wavelength, quantity=quantity, layout="HyperSpy", key=_signal(array.name)
    )


def _signal_axes(path: Path, array: Stored) -> list[dict[str, Any]]:
    """Return what a signal says of its three axes.

    Raises
    ------
    CubeError
        When an axis is missing or has another length than the data.
    """
    found = []
    try:
        with h5py.File(path, "r") as file:
            group = file[array.group]
            for number, side in enumerate(array.shape):
                axis = group.get(f"axis-{number}")
                if axis is None or axis.file.filename != file.filename:
                    raise CubeError(f"{path}: signal '{_signal(array.name)}' has no 'axis-{number}', expected one an axis of its data; save it again.")
                told = {label: value.decode() if isinstance(value, bytes) else value for label, value in _attributes(axis).items()}
                if "axis" in axis:
                    told["axis"] = np.asarray(axis["axis"][()])
                size = int(np.asarray(told.get("size", side)).ravel()[0])
                if size != side:
                    raise CubeError(f"{path}: 'axis-{number}' has {size} places but the data {side}, expected as many; save the signal again.")
                found.append(told)
    except DAMAGE as error:
        raise _damaged(path, error) from error
    return found


def _signal_wavelength(axis: dict[str, Any], bands: int, path: Path) -> NDArray[np.float64] | None:
    units, label = str(axis.get("units", "")).strip().strip("$"), str(axis.get("name", ""))
    if "raman" in label.lower() or "shift" in label.lower():
        return None
    if not (is_length_unit(units) or _ENERGY.match(units) or "wavelength" in label.lower() or "wavenumber" in label.lower()):
        return None
    values = axis.get("axis")
    if values is None:
        scale, offset = (_scalar(axis.get(word), default) for word, default in (("scale", 1.0), ("offset", 0.0)))
        values = offset + scale * np.arange(bands, dtype=np.float64)
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (bands,):
        raise CubeError(f"{path}: the signal axis has {values.size} places and the data {bands} bands, expected as many; save the signal again.")
    return to_nm(values, "wavenumber" if "wavenumber" in label.lower() else units)


def _scalar(value: Any, default: float) -> float:  # noqa: ANN401 - attributes are whatever a file says
    found = np.asarray(default if value is None else value)
    return float(found.ravel()[0]) if found.size == 1 and found.dtype.kind in "iuf" else default
