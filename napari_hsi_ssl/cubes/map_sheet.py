"""The maps of many cubes side by side on one picture, and in one table."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from napari_hsi_ssl import files
from napari_hsi_ssl.cubes.cube import Classes

SIDE: Final = 180
"""Longer side of a map on the sheet."""
_GAP, _LINE = 12, 18
_GROUND, _INK, _QUIET = "#1c1f24", "#e6e8eb", "#9aa3ad"


def thumbnail(labels: NDArray[np.integer], classes: Classes) -> NDArray[np.uint8]:
    """Return every n-th pixel of a map (y, x) in its class colours (h, w, 3); black where it says nothing, grey for a class without a colour."""
    step = max(1, math.ceil(max(labels.shape) / SIDE))
    small = labels[::step, ::step]
    numbers = np.asarray([0, *classes.numbers])
    colours = np.asarray([(0, 0, 0), *(ImageColor.getrgb(colour)[:3] for colour in classes.colours)], dtype=np.uint8)
    order = np.argsort(numbers)
    place = order[np.searchsorted(numbers, small, sorter=order).clip(max=len(numbers) - 1)]
    picture: NDArray[np.uint8] = np.where((numbers[place] == small)[..., None], colours[place], np.uint8(128))
    return picture


def sheet(maps: Iterable[tuple[str, NDArray[np.integer], Classes]], columns: int | None = None) -> NDArray[np.uint8]:
    """Return maps as thumbnails with their cubes' names, and below them the classes that any of them holds (h, w, 3).

    Parameters
    ----------
    maps : iterable of (name, labels (y, x), classes)
        Read one after another.
    columns : int, optional
        As many as make the sheet about square, at most 8, by default.
    """
    tiles: list[tuple[str, NDArray[np.uint8]]] = []
    shown: dict[str, str] = {}
    for name, labels, classes in maps:
        tiles.append((name, thumbnail(labels, classes)))
        held = set(np.unique(labels).tolist())
        shown |= {words: colour for number, words, colour in zip(classes.numbers, classes.names, classes.colours, strict=True) if number in held}
    font: Any = ImageFont.load_default(13)
    across = columns or max(1, min(8, math.ceil(math.sqrt(len(tiles)))))
    down = math.ceil(len(tiles) / across)
    cell_width, cell_height = SIDE + 2 * _GAP, SIDE + _LINE + 2 * _GAP
    width = max(across * cell_width, 2 * cell_width)
    places, bottom = _legend(list(shown), font, width)
    picture = Image.new("RGB", (width, down * cell_height + bottom), _GROUND)
    draw = ImageDraw.Draw(picture)
    for number, (name, tile) in enumerate(tiles):
        left, top = (number % across) * cell_width + _GAP, (number // across) * cell_height + _GAP
        height, wide = tile.shape[:2]
        scale = SIDE / max(height, wide)
        size = (max(1, round(wide * scale)), max(1, round(height * scale)))
        picture.paste(Image.fromarray(tile).resize(size, Image.Resampling.NEAREST), (left + (SIDE - size[0]) // 2, top + (SIDE - size[1]) // 2))
        draw.text((left, top + SIDE + 3), _fitting(name, font, SIDE), fill=_INK, font=font)
    for (words, colour), (left, top) in zip(shown.items(), places, strict=True):
        y = down * cell_height + top
        draw.rectangle((left, y + 2, left + 12, y + 14), fill=colour, outline=_QUIET)
        draw.text((left + 18, y), _fitting(words, font, width - left - 30), fill=_INK, font=font)
    return np.asarray(picture)


def _legend(names: Sequence[str], font: Any, width: int) -> tuple[list[tuple[int, int]], int]:  # noqa: ANN401 - one of Pillow's fonts
    """Return where each class stands below the maps, in lines no wider than the sheet, and the height of all."""
    places, left, top = [], _GAP, _GAP // 2
    for name in names:
        needed = 18 + math.ceil(font.getlength(name)) + 2 * _GAP
        if left > _GAP and left + needed > width:
            left, top = _GAP, top + _LINE
        places.append((left, top))
        left += needed
    return places, top + _LINE + _GAP if names else 0


def _fitting(text: str, font: Any, width: float) -> str:  # noqa: ANN401
    kept = len(text)
    short = text
    while font.getlength(short) > width and kept > 4:
        kept -= 1
        short = f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
    return short


def write_sheet(path: Path, maps: Iterable[tuple[str, NDArray[np.integer], Classes]]) -> None:
    """Write `sheet` as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(sheet(maps)).save(buffer, format="PNG")
    files.write_bytes(path, buffer.getvalue())


def write_areas(path: Path, areas: Mapping[str, Mapping[str, int]]) -> None:
    """Write how many pixels each class covers in each cube, a row each, as CSV; ``share`` is of the cube's classified pixels."""
    rows: list[list[object]] = [["cube", "class", "pixels", "share"]]
    for cube, counts in areas.items():
        total = sum(counts.values())
        rows += [[cube, name, pixels, f"{pixels / total:.6f}" if total else "0.000000"] for name, pixels in counts.items()]
    files.write_bytes(path, files.csv_text(rows).encode())
