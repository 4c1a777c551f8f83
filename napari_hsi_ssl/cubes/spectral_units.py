"""Wavelengths as files give them, turned into nm, and what a file says its values are."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.cubes.cube import Quantity

_NM_PER_UNIT = {
    "nm": 1.0, "nanometer": 1.0, "nanometers": 1.0, "nanometre": 1.0, "nanometres": 1.0,
    "um": 1e3, "µm": 1e3, "μm": 1e3, "micron": 1e3, "microns": 1e3,
    "micrometer": 1e3, "micrometers": 1e3, "micrometre": 1e3, "micrometres": 1e3,
    "angstrom": 0.1, "angstroms": 0.1, "å": 0.1,
    "mm": 1e6, "millimeters": 1e6, "cm": 1e7, "centimeters": 1e7, "m": 1e9, "meters": 1e9,
}  # fmt: skip
_NUMBER_IN_NAME = re.compile(r"([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*([^\d\s()\[\]]*)\s*[)\]]?\s*$")
_LARGEST_MICROMETRES = 100.0
_NM_EV = 1239.8419843320026
"""h c of CODATA 2018, in nm eV: a photon's energy becomes its wavelength in vacuum."""


def to_nm(values: NDArray[np.float64], units: str | None, band_names: tuple[str, ...] = ()) -> NDArray[np.float64] | None:
    """Return wavelengths (band,) in nm, or None where they are no wavelengths (an index, a frequency).

    Units that are not known are taken from band names that carry the same numbers with a unit; otherwise values that are all
    below 100 are taken as µm, others as nm.
    """
    unit = (units or "").strip().strip("$").lower()  # some programs keep the signs of a formula around units
    if unit in _NM_PER_UNIT:
        return values * _NM_PER_UNIT[unit]
    if unit in {"wavenumber", "cm-1", "cm^-1", "1/cm"}:
        with np.errstate(divide="ignore"):
            return np.asarray(1e7 / values)
    if unit == "ev":
        with np.errstate(divide="ignore"):
            return np.asarray(_NM_EV / values)
    if unit in {"index", "ghz", "mhz"}:
        return None
    named = from_band_names(band_names)
    if named is not None and named.shape == values.shape:
        for factor in (1.0, 1e3):
            if np.allclose(values * factor, named, rtol=1e-4):
                return values * factor
    return values * guessed_factor(values)


def is_length_unit(units: str | None) -> bool:
    """Tell whether a unit is one of wavelengths."""
    return (units or "").strip().strip("$").lower() in _NM_PER_UNIT


def guessed_factor(values: NDArray[np.float64]) -> float:
    """Return 1000 where values can only be µm, 1 where they are nm."""
    finite = values[np.isfinite(values)]
    return 1e3 if finite.size and finite.max() < _LARGEST_MICROMETRES else 1.0


def from_band_names(names: tuple[str, ...]) -> NDArray[np.float64] | None:
    """Return the wavelengths (band,) in nm that end all band names, as in ``Band 7 (487.87)``, or None.

    Names without a unit or brackets (``Band 1``) carry none.
    """
    values = []
    for name in names:
        found = _NUMBER_IN_NAME.search(name)
        if found is None:
            return None
        number, unit = float(found[1]), found[2].lower()
        if unit in _NM_PER_UNIT:
            number *= _NM_PER_UNIT[unit]
        elif "(" not in name and "[" not in name:
            return None
        values.append(number)
    result = np.asarray(values, dtype=np.float64)
    return result if result.size and (result > 0).all() and np.unique(result).size > 1 else None


def stated_quantity(*texts: str | None) -> Quantity:
    """Return what a file's own words say its values are; ``unknown`` where they say nothing or both."""
    text = " ".join(part for part in texts if part).lower()
    found: set[Quantity] = set()
    if re.search(r"\breflectances?\b", text):
        found.add("reflectance")
    if re.search(r"\bradiances?\b", text):
        found.add("radiance")
    if re.search(r"\b(digital numbers?|raw counts?|dn)\b", text):
        found.add("dn")
    return found.pop() if len(found) == 1 else "unknown"
