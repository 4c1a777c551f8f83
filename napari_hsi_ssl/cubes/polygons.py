"""Labels drawn as polygons (GeoJSON) or picked as points (ENVI ROI), turned into class numbers a pixel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json
from skimage.draw import polygon as fill_polygon

from napari_hsi_ssl.errors import LabelError

_MOST_BYTES: Final = 512 * 2**20
Labels = tuple[NDArray[np.int32], dict[int, str]]

_CLASS_KEYS: Final = ("class", "label", "class_id", "classification", "class_name", "name")
_ROI_FIELD = re.compile(r"^;\s*(roi name|roi npts|file dimension)s?\s*:\s*(.*)$", re.IGNORECASE)


def _text(path: Path) -> str:
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            raise LabelError(f"{path} is no ordinary file of at most {_MOST_BYTES:,} bytes, expected polygons or pixels as text; choose another file.")
        content = path.read_bytes()
    except OSError as error:
        raise LabelError(f"{path} cannot be read ({error.strerror or error}); check the path.") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def from_geojson(path: Path, shape: tuple[int, int]) -> Labels:
    """Rasterise the polygons of a GeoJSON file (RFC 7946) whose coordinates are pixels.

    Coordinates are (x, y); pixel (y, x) covers x … x + 1 and y … y + 1 and belongs to a polygon when its centre lies inside.
    Later polygons cover earlier ones; holes stay as they were. The class is the property ``class``, ``label`` or ``name``: a
    number is kept, names are numbered in the order they come, past the numbers that are used.

    Returns
    -------
    labels : int32 array (y, x)
    names : dict of int to str

    Raises
    ------
    LabelError
        When the file is no GeoJSON, a polygon has no class or lies outside the image.
    """
    try:
        content = from_json(_text(path))
    except ValueError as error:
        raise LabelError(f"{path} is not valid JSON ({error}), expected GeoJSON polygons; export them again.") from error
    features = content.get("features") if isinstance(content, dict) and "features" in content else [content] if isinstance(content, dict) else content
    if not isinstance(features, list) or not features:
        raise LabelError(f"{path} holds no feature, expected GeoJSON polygons with a class; export them again.")
    classes = [_class(path, number, feature) for number, feature in enumerate(features)]
    numbers, names = _numbered(classes)
    labels = np.zeros(shape, dtype=np.int32)
    for index, (feature, number) in enumerate(zip(features, numbers, strict=True)):
        covered = 0
        for rings in _polygons(path, index, feature):
            rows, columns = _filled(rings[0], shape)
            if len(rings) > 1:
                inside = np.zeros(shape, dtype=bool)
                inside[rows, columns] = True
                for hole in rings[1:]:
                    inside[_filled(hole, shape)] = False
                rows, columns = np.nonzero(inside)
            labels[rows, columns] = number
            covered += rows.size
        if not covered:
            raise LabelError(f"{path}: feature {index + 1} covers no pixel of the {shape[0]}×{shape[1]} image, expected pixel coordinates (x, y); correct it.")
    return labels, names


def _class(path: Path, index: int, feature: Any) -> tuple[int | None, str | None]:  # noqa: ANN401 - JSON
    given = feature.get("properties") if isinstance(feature, dict) else None
    properties = given if isinstance(given, dict) else {}
    number, name = None, None
    for key in _CLASS_KEYS:
        value = properties.get(key)
        if isinstance(value, dict):  # QuPath: {"classification": {"name": …}}
            value = value.get("name")
        if isinstance(value, str) and re.fullmatch(r"\s*\d+\s*", value):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            number = value if number is None else number
        elif isinstance(value, str) and value.strip():
            name = value.strip() if name is None else name
    if number is None and name is None:
        raise LabelError(f"{path}: feature {index + 1} has no class, expected a property 'class', 'label' or 'name'; give it one.")
    if number is not None and not 0 < number <= np.iinfo(np.int32).max:
        raise LabelError(f"{path}: feature {index + 1} has the class number {number}, expected a whole number of at least 1; correct it.")
    return number, name


def _numbered(classes: list[tuple[int | None, str | None]]) -> tuple[list[int], dict[int, str]]:
    names = {number: name for number, name in classes if number is not None and name is not None}
    by_name = {name: number for number, name in names.items()}
    following = max((number for number, _ in classes if number is not None), default=0) + 1
    numbers = []
    for given, name in classes:
        number = given
        if number is None:
            assert name is not None  # `_class` has seen to it
            if name not in by_name:
                by_name[name], names[following] = following, name
                following += 1
            number = by_name[name]
        numbers.append(number)
    return numbers, names


def _polygons(path: Path, index: int, feature: dict[str, Any]) -> Iterator[list[NDArray[np.float64]]]:
    found = feature.get("geometry")
    geometry: dict[str, Any] = found if isinstance(found, dict) else feature
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind not in ("Polygon", "MultiPolygon"):
        raise LabelError(f"{path}: feature {index + 1} is a {kind}, expected a Polygon or MultiPolygon; draw it as a polygon.")
    parts: list[Any] = [coordinates] if kind == "Polygon" else coordinates if isinstance(coordinates, list) else []
    for rings in parts:
        try:
            outlines = [np.asarray([point[:2] for point in ring], dtype=np.float64) for ring in rings or ()]
        except (TypeError, ValueError, IndexError, KeyError, OverflowError) as error:
            raise LabelError(f"{path}: feature {index + 1} has coordinates that are no numbers, expected pairs (x, y); correct it.") from error
        if not outlines or any(outline.ndim != 2 or len(outline) < 3 or not np.isfinite(outline).all() for outline in outlines):
            raise LabelError(f"{path}: feature {index + 1} has fewer than three corners, expected a polygon; correct it.")
        yield outlines


def _filled(outline: NDArray[np.float64], shape: tuple[int, int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of the pixels whose centres lie inside."""
    # A pixel's centre lies half a pixel from its corner.
    rows, columns = fill_polygon(outline[:, 1] - 0.5, outline[:, 0] - 0.5, shape)
    return rows, columns


def from_roi(path: Path, shape: tuple[int, int]) -> Labels:
    """Read the text that ENVI exports of regions of interest: names and numbers of points, then ``ID X Y …`` a line.

    ENVI counts pixels from 1; a file in which a coordinate is 0 counts from 0. Regions get the numbers 1, 2, … in their order.

    Raises
    ------
    LabelError
        When the file is no such text, was made for another image, or a point lies outside.
    """
    names: list[str] = []
    counts: list[int] = []
    points: list[tuple[int, int]] = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        field = _ROI_FIELD.match(line.strip())
        if field is not None:
            key, value = field[1].lower(), field[2].strip()
            if key == "roi name":
                names.append(value)
            elif key == "roi npts":
                counts.append(int(value) if value.isdecimal() else -1)
            else:
                _check_dimension(path, value, shape)
        elif line.strip() and not line.lstrip().startswith(";"):
            parts = line.split()
            try:
                points.append((int(float(parts[1])), int(float(parts[2]))))
            except (IndexError, ValueError, OverflowError) as error:
                raise LabelError(f"{path}, line {number}: found '{line.strip()[:40]}', expected ID, X and Y of a point; export it again.") from error
    if not names or len(names) != len(counts) or sum(counts) != len(points) or min(counts) < 0:
        raise LabelError(
            f"{path} names {len(names)} regions with {sum(max(count, 0) for count in counts)} points and lists {len(points)}, "
            "expected the text export of ENVI regions of interest; export it again."
        )
    places = np.asarray(points, dtype=np.float64).reshape(-1, 2)  # of numbers of any size
    places -= 0 if (places == 0).any() else 1
    height, width = shape
    outside = (places < 0).any(axis=1) | (places[:, 0] >= width) | (places[:, 1] >= height)
    if outside.any():
        x, y = points[int(np.flatnonzero(outside)[0])]
        raise LabelError(f"{path}: point X = {x}, Y = {y} lies outside the {height}×{width} (y, x) image; use regions drawn on this cube.")
    labels = np.zeros(shape, dtype=np.int32)
    for number, part in enumerate(np.split(places.astype(np.intp), np.cumsum(counts)[:-1]), start=1):
        labels[part[:, 1], part[:, 0]] = number
    return labels, dict(enumerate(names, start=1))


def _check_dimension(path: Path, text: str, shape: tuple[int, int]) -> None:
    sides = [int(side) for side in re.findall(r"\d+", text)]
    if len(sides) == 2 and (sides[1], sides[0]) != shape:
        raise LabelError(f"{path} was drawn on an image of shape {(sides[1], sides[0])}, expected {shape} (y, x) as the cube; use regions drawn on this cube.")
