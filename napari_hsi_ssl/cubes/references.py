"""White and dark references as cameras and users give them: found by name, of any shape, with a panel's reflectance and exposures."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl.cubes import envi, library
from napari_hsi_ssl.cubes.calibrate import calibrate
from napari_hsi_ssl.cubes.cube import as_cube, wavelengths
from napari_hsi_ssl.cubes.readers import read_cube
from napari_hsi_ssl.errors import CubeError, HsiError

KINDS: Final = ("white", "dark")
_EXPOSURES: Final = ("exposure", "exposure time", "integration time", "integration_time", "tint", "tint1", "shutter", "shutter time")
_NUMBER: Final = re.compile(r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?")
_HEADERS: Final = {".hdr"}
_LONGEST: Final = 1e30
"""An exposure in any unit, or a reflectance."""


def calibrated(cube: xr.DataArray, calibration: Mapping[str, Any] | None, folder: Path) -> xr.DataArray:
    """Calibrate a cube as a project notes it.

    Parameters
    ----------
    cube : DataArray (y, x, band)
    calibration : mapping, optional
        ``white`` and ``dark`` are files; ``panel`` is the white panel's own reflectance, a number or a file; ``exposure`` holds the
        exposure times of cube, white and dark, each None where unknown.
    folder : Path
        What relative paths are relative to.

    Raises
    ------
    CubeError
        When a reference or a panel does not fit the cube.
    """
    if not calibration:
        return cube
    _check_note(calibration, str(cube.name))
    references = {kind: read_reference(_plain(folder / calibration[kind]), cube, kind) for kind in KINDS if calibration.get(kind)}
    panel = calibration.get("panel")
    times = calibration.get("exposure")
    return calibrate(
        cube,
        **references,
        panel=None if panel is None else panel_reflectance(panel if isinstance(panel, int | float) else _plain(folder / panel), cube),
        exposure=None if times is None else (times[0], times[1], times[2]),
    )


def _plain(path: Path) -> Path:
    return Path(os.path.normpath(path))  # a sentence with PROJECT/../FILE is hard to read


def _check_note(calibration: Mapping[str, Any], name: str) -> None:
    panel, times = calibration.get("panel"), calibration.get("exposure")
    whole = all(isinstance(calibration.get(kind), str | None) for kind in KINDS) and (isinstance(panel, str) or _is_figure(panel))
    timed = times is None or (isinstance(times, list | tuple) and len(times) == 3 and all(map(_is_figure, times)))
    if not (whole and timed):
        raise CubeError(
            f"calibration of {name} is noted as {dict(calibration)}, expected names of files as 'white' and 'dark', a name or a number as 'panel', "
            "and three numbers as 'exposure'; add the references again."
        )


def _is_figure(value: object) -> bool:
    return value is None or (isinstance(value, float | int) and -_LONGEST < value < _LONGEST)


def read_reference(path: Path, cube: xr.DataArray, kind: str) -> xr.DataArray:
    """Open a reference: a frame or a line (y, x, band), or a spectrum, which every column shares, as (1, 1, band).

    Raises
    ------
    CubeError
        When the file is none of these, or a spectrum has other bands than the cube.
    """
    if path.suffix.lower() == ".csv" or (path.suffix.lower() in {".sli", ".hdr"} and library.is_library(path)):
        values = _on_bands(path, cube, f"{kind} reference")
        return as_cube(values[None, None, :], wavelengths(cube), name=path.stem)
    return read_cube(path)


def panel_reflectance(panel: float | Path, cube: xr.DataArray) -> NDArray[np.float64]:
    """Return a panel's reflectance (band,): a number for all bands, or a table of wavelength and reflectance brought to the cube's bands.

    Raises
    ------
    CubeError
        When it is not above 0 and at most 1.5 everywhere (numbers in percent), or does not cover the cube's wavelengths.
    """
    if isinstance(panel, Path):
        values, where = _on_bands(panel, cube, "panel reflectance"), str(panel)
    else:
        values, where = np.full(int(cube.shape[2]), float(panel)), "--panel"
    wrong = ~(np.isfinite(values) & (values > 0) & (values <= 1.5))
    if wrong.any():
        raise CubeError(
            f"panel reflectance of {cube.name} ({where}) is {values[wrong][0]:g} in band {int(np.argmax(wrong))}, expected a fraction "
            "above 0 and at most 1.5; divide percent by 100."
        )
    return values


def _on_bands(path: Path, cube: xr.DataArray, what: str) -> NDArray[np.float64]:
    """Return the mean spectrum of a table or library on the cube's bands."""
    table = library.read_library(path)
    values = table.spectra.mean(axis=0)
    bands, own = int(cube.shape[2]), wavelengths(cube)
    if table.wavelengths is None or own is None:
        if values.size != bands:
            raise CubeError(f"{what} of {cube.name} ({path}) has {values.size} bands without common wavelengths, expected {bands}; give one value a band.")
        return np.asarray(values)
    low, high = float(table.wavelengths[0]), float(table.wavelengths[-1])
    slack = float(np.median(np.diff(own))) if bands > 1 else 1.0
    if own.min() < low - slack or own.max() > high + slack:
        raise CubeError(
            f"{what} of {cube.name} ({path}) spans {low:g}–{high:g} nm, expected all of the cube's {own.min():g}–{own.max():g} nm; use a table that covers it."
        )
    return np.asarray(np.interp(own, table.wavelengths, values))


def exposure_of(path: Path) -> float | None:
    """Return the exposure time that an ENVI header states, in the unit it uses, or None.

    Fields that cameras write: ``exposure``, ``tint``, ``integration time``, ``shutter`` and their like; the first number counts.
    """
    header_path = path if path.suffix.lower() in _HEADERS else envi.find_header(path)
    if header_path is None or not header_path.is_file():
        return None
    try:
        header = envi.parse_header(header_path)
    except CubeError:
        return None
    for key in _EXPOSURES:
        found = _NUMBER.search(header.get(key, ""))
        if found and float(found.group()) > 0:
            return float(found.group())
    return None


def exposures(cube: Path, white: Path | None, dark: Path | None) -> tuple[float | None, float | None, float | None] | None:
    """Return the exposure times of cube, white and dark as their headers state them, or None when no ratio follows from them."""
    times = tuple(exposure_of(path) if path is not None else None for path in (cube, white, dark))
    return (times[0], times[1], times[2]) if times[0] is not None and any(time is not None for time in times[1:]) else None


def find_references(path: Path) -> dict[str, Path]:
    """Return the white and dark reference that a camera wrote beside a cube.

    In this order: ``WHITEREF_NAME`` and ``DARKREF_NAME`` as Specim's cameras write them, ``white_NAME``, ``NAME_white`` and the like;
    then a file of the folder whose name says that it is a reference of no other cube and whose width and bands are the cube's.
    Only names and headers are read.
    """
    try:
        beside = sorted(entry for entry in path.parent.iterdir() if entry.is_file() and entry != path)
    except OSError:
        return {}
    readable = [entry for entry in beside if entry.suffix.lower() in {".hdr", ".npy", ".tif", ".tiff", ".mat"}]
    stem = path.name.split(".")[0].lower()
    found: dict[str, Path] = {}
    for kind in KINDS:
        own = re.compile(rf"({kind}[_\-. ]?(ref|reference|frame)?[_\-. ]+{re.escape(stem)}|{re.escape(stem)}[_\-. ]+{kind}[_\-. ]?(ref|reference|frame)?)$")
        general = re.compile(rf"{kind}[_\-. ]?(ref|reference|frame|panel|current)?[_\-. ]?\d*$")
        named = [entry for entry in readable if own.match(entry.stem.lower())]
        for entry in named or [entry for entry in readable if general.match(entry.stem.lower())]:
            if named or _same_sensor(path, entry):
                found[kind] = entry
                break
    return found


def _same_sensor(path: Path, reference: Path) -> bool:
    try:
        return tuple(read_cube(path).shape[1:]) == tuple(read_cube(reference).shape[1:])
    except HsiError:
        return False
