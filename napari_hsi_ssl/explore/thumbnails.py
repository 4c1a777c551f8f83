"""Small pictures of cubes with the outlines of their masks, and which of many masks look wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from napari_hsi_ssl.cubes.cube import wavelengths

SIDE = 160
"""Longest side of a thumbnail in pixels."""
OUTLINE = (255, 214, 0)
_VISIBLE_NM = (640.0, 550.0, 460.0)
_GROUND, _INK, _QUIET, _WRONG = (32, 36, 42), (240, 242, 244), (170, 178, 188), (255, 150, 130)
_GAP, _LINE = 12, 16
_FAR = 0.15
_SPREADS = 4.0


@dataclass(frozen=True, eq=False)
class CheckedMask:
    """A cube's mask as it is put before the eye.

    Attributes
    ----------
    cube : str
    picture : uint8 array (h, w, 3)
        The cube with its mask's outline; the background is dimmed.
    share : float
        Of the used frame that is foreground.
    packed : bytes
        The mask, one bit a pixel; see `mask`.
    shape : (int, int)
    doubt : str
        What looks wrong, in a few words; "" when nothing does.
    """

    cube: str
    picture: NDArray[np.uint8]
    share: float
    packed: bytes
    shape: tuple[int, int]
    doubt: str = ""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The mask (y, x)."""
        height, width = self.shape
        return np.unpackbits(np.frombuffer(self.packed, dtype=np.uint8), count=height * width).reshape(self.shape).astype(bool)


def thumbnail(cube: xr.DataArray, side: int = SIDE) -> NDArray[np.uint8]:
    """Return a colour picture (h, w, 3) of every n-th pixel of a cube: three bands are read, and of them only those rows."""
    step = max(1, math.ceil(max(cube.shape[:2]) / side))
    nodata = cube.attrs.get("nodata")
    return np.stack([_stretched(np.asarray(cube.data[::step, ::step, band], dtype=np.float32), nodata) for band in three_bands(cube)], axis=-1)


def three_bands(cube: xr.DataArray) -> tuple[int, ...]:
    """Return three bands as red, green and blue: the file's own, those the eye would see, or some spread over all."""
    count, centres = cube.sizes["band"], wavelengths(cube)
    given: Any = cube.attrs.get("default_bands")
    if given is not None and len(given) == 3 and all(0 <= int(band) < count for band in given):
        return tuple(int(band) for band in given)
    if centres is not None and centres.min() < 520 and centres.max() > 600:
        return tuple(int(np.abs(centres - target).argmin()) for target in _VISIBLE_NM)
    return tuple(round(share * (count - 1)) for share in (0.75, 0.5, 0.25))


def _stretched(image: NDArray[np.float32], nodata: float | None) -> NDArray[np.uint8]:
    measured = np.isfinite(image) if nodata is None else np.isfinite(image) & (image != nodata)
    if not measured.any():
        return np.zeros(image.shape, dtype=np.uint8)
    low, high = np.percentile(image[measured], (2, 98))
    scaled = (np.where(measured, image, low) - low) / max(float(high - low), 1e-12)
    return np.asarray(np.clip(scaled, 0, 1) * 255, dtype=np.uint8)


def with_mask(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return a thumbnail (h, w, 3) with the background of a whole mask (y, x) dimmed and the foreground outlined."""
    height, width = picture.shape[:2]
    rows = (np.arange(height) * mask.shape[0]) // height
    columns = (np.arange(width) * mask.shape[1]) // width
    small = mask[np.ix_(rows, columns)]
    shown = picture.copy()
    shown[~small] = shown[~small] // 3
    shown[small & ~ndimage.binary_erosion(small, border_value=1)] = OUTLINE
    return shown


def packed(mask: NDArray[np.bool_]) -> bytes:
    """Return a mask (y, x) at one bit a pixel."""
    return np.packbits(mask).tobytes()


def doubts(shares: Sequence[float]) -> list[str]:
    """Say which masks look wrong: empty, everything, or a share far from the median of the others.

    Far is more than 15 points and more than four times the median deviation of the others from their own median; it needs at
    least two others.
    """
    values, found = np.asarray(shares, dtype=np.float64), []
    for place, share in enumerate(values):
        others = np.delete(values, place)
        middle = float(np.median(others)) if len(others) else share
        spread = float(np.median(np.abs(others - middle))) if len(others) else 0.0
        if share == 0:
            found.append("empty")
        elif share == 1:
            found.append("everything")
        elif len(others) >= 2 and abs(share - middle) > max(_FAR, _SPREADS * spread):
            found.append(f"the others have {middle:.0%}")
        else:
            found.append("")
    return found


def sheet_picture(checked: Sequence[CheckedMask], columns: int | None = None) -> NDArray[np.uint8]:
    """Return all thumbnails on one sheet (h, w, 3), with names and shares; doubtful ones are framed and say why."""
    font = ImageFont.load_default(13)
    across = columns or max(1, min(8, math.ceil(math.sqrt(len(checked)))))
    down = max(1, math.ceil(len(checked) / across))
    cell_width, cell_height = SIDE + 2 * _GAP, SIDE + 3 * _LINE + 2 * _GAP
    sheet = Image.new("RGB", (across * cell_width, down * cell_height), _GROUND)
    draw = ImageDraw.Draw(sheet)
    for place, one in enumerate(checked):
        left, top = (place % across) * cell_width + _GAP, (place // across) * cell_height + _GAP
        height, width = one.picture.shape[:2]
        scale = SIDE / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        x, y = left + (SIDE - size[0]) // 2, top + (SIDE - size[1]) // 2
        sheet.paste(Image.fromarray(one.picture).resize(size, Image.Resampling.NEAREST), (x, y))
        if one.doubt:
            draw.rectangle((x - 3, y - 3, x + size[0] + 2, y + size[1] + 2), outline=_WRONG, width=2)
        draw.text((left, top + SIDE + 4), _fitting(one.cube, font), _INK, font=font)
        draw.text((left, top + SIDE + 4 + _LINE), f"{one.share:.1%} foreground", _QUIET, font=font)
        if one.doubt:
            draw.text((left, top + SIDE + 4 + 2 * _LINE), _fitting(one.doubt, font), _WRONG, font=font)
    return np.asarray(sheet, dtype=np.uint8)


def _fitting(text: str, font: Any) -> str:  # noqa: ANN401 - one of Pillow's kinds of fonts
    """Shorten a text in its middle until it is no wider than a thumbnail."""
    short, kept = text, len(text)
    while font.getlength(short) > SIDE and kept > 4:
        kept -= 1
        short = f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
    return short
