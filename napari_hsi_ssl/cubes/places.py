"""Where a cube lies on the earth: the tags of GeoTIFF and ENVI's ``map info``, each from the other where both can say it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

GeoTags = dict[int, tuple[int, int, Any]]

_SCALE, _TIE, _KEYS = 33550, 33922, 34735
_SHORT, _DOUBLE = 3, 12
_PROJECTED, _GEOGRAPHIC, _MODEL, _RASTER = 3072, 2048, 1024, 1025
_UNIT, _METRE = 3076, 9001
_WGS84: Final = 4326
_UTM_NORTH, _UTM_SOUTH = 32600, 32700
_METRES, _DEGREES = {"", "meters", "metres", "m"}, {"", "degrees"}


def geotags(map_info: str | None) -> GeoTags | None:
    """Return the tags of a GeoTIFF for ENVI's ``map info``, for WGS 84 in UTM or in degrees and without rotation; None for others."""
    parts = [part.strip() for part in (map_info or "").split(",")]
    if len(parts) < 7:
        return None
    try:
        column, row, east, north, width, height = (float(part) for part in parts[1:7])
        words = dict(part.lower().split("=", 1) for part in parts[7:] if "=" in part)
        if float(words.get("rotation", 0)) != 0 or not np.isfinite([column, row, east, north, width, height]).all():
            return None
        plain = [part.lower() for part in parts[7:] if "=" not in part]
        if not any("wgs" in part and "84" in part for part in plain):
            return None
        if parts[0].lower() == "utm" and plain[0].isdecimal() and words.get("units", "") in _METRES:
            code, model = (_UTM_SOUTH if plain[1] == "south" else _UTM_NORTH) + int(plain[0]), 1
        elif parts[0].lower().startswith("geographic") and words.get("units", "") in _DEGREES:
            code, model = _WGS84, 2
        else:
            return None
    except (ValueError, IndexError):
        return None
    keys = (1, 1, 0, 3, _MODEL, 0, 1, model, _RASTER, 0, 1, 1, _PROJECTED if model == 1 else _GEOGRAPHIC, 0, 1, code)
    # ENVI counts pixels from 1 at the outer corner of the first, GeoTIFF from 0.
    tie = (column - 1.0, row - 1.0, 0.0, east, north, 0.0)
    return {_SCALE: (_DOUBLE, 3, (width, height, 0.0)), _TIE: (_DOUBLE, 6, tie), _KEYS: (_SHORT, len(keys), keys)}


def map_info(tags: GeoTags | None) -> str | None:
    """Return ENVI's ``map info`` for the tags of a GeoTIFF, for WGS 84 in UTM or in degrees; None for others."""
    if not tags or not {_SCALE, _TIE, _KEYS} <= set(tags):
        return None
    try:
        width, height = (float(value) for value in tags[_SCALE][2][:2])
        column, row, _, east, north, _ = (float(value) for value in tags[_TIE][2][:6])
        keys = list(tags[_KEYS][2])
        told = {keys[place]: keys[place + 3] for place in range(4, len(keys) - 3, 4) if keys[place + 1] == 0}
    except (TypeError, ValueError, IndexError):
        return None
    if told.get(_RASTER) == 2:  # tie points lie at the middle of pixels
        column, row = column + 0.5, row + 0.5
    where = f"{column + 1:.10g}, {row + 1:.10g}, {east:.12g}, {north:.12g}, {width:.12g}, {height:.12g}"
    code = int(told.get(_PROJECTED) or 0)
    for base, half in ((_UTM_NORTH, "North"), (_UTM_SOUTH, "South")):
        if told.get(_MODEL) == 1 and base < code <= base + 60:
            return f"UTM, {where}, {code - base}, {half}, WGS-84, units=Meters"
    if told.get(_MODEL) == 2 and told.get(_GEOGRAPHIC) == _WGS84:
        return f"Geographic Lat/Lon, {where}, WGS-84, units=Degrees"
    return None


def pixel_metres(tags: GeoTags | None, map_info: str | None) -> tuple[float, float] | None:
    """Return width and height of a pixel in metres, where the place on the earth is given in metres; None where it is not, as in degrees."""
    if tags and _SCALE in tags and _KEYS in tags:
        keys = list(tags[_KEYS][2])
        told = {keys[place]: keys[place + 3] for place in range(4, len(keys) - 3, 4) if keys[place + 1] == 0}
        width, height = (abs(float(value)) for value in tags[_SCALE][2][:2])
        return (width, height) if told.get(_MODEL) == 1 and told.get(_UNIT, _METRE) == _METRE and width and height else None
    parts = [part.strip() for part in (map_info or "").split(",")]
    words = dict(part.lower().split("=", 1) for part in parts[7:] if "=" in part)
    if len(parts) < 7 or parts[0].lower().startswith(("geographic", "arbitrary")) or words.get("units", "") not in _METRES:
        return None
    try:
        width, height = abs(float(parts[5])), abs(float(parts[6]))
    except ValueError:
        return None
    return (width, height) if width and height else None
