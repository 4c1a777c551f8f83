"""A patch and pairs of its views, as pictures and as the spectra of the middle pixel, and all of it as one sheet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from napari_hsi_ssl.cubes.cube import palette
from napari_hsi_ssl.explore.figure import curves_figure

ORIGINAL = "#1e1e21"
_SIDE, _GAP, _FRAME, _LINE = 132, 12, 4, 22
_PAPER, _INK = "#ffffff", "#1e1e21"
_MARGIN = 0.15


@dataclass(frozen=True, eq=False)
class ViewPairs:
    """What contrastive training would see of one patch: the patch, then both views of each pair.

    Attributes
    ----------
    cube : str
    y, x : int
        The patch's top left corner.
    pictures : uint8 array (1 + 2 pairs, w, w, 3)
        Three bands as red, green and blue, all with the stretch of the patch itself.
    spectra : float64 array (1 + 2 pairs, G)
        Of the middle pixel, as far as the projection holds them.
    positions : float64 array (G,)
    in_nm : bool
        Whether positions are wavelengths in nm; band numbers from 0 otherwise.
    inlet : str
        What the projection is, in words.
    """

    cube: str
    y: int
    x: int
    pictures: NDArray[np.uint8]
    spectra: NDArray[np.float64]
    positions: NDArray[np.float64]
    in_nm: bool
    inlet: str

    @property
    def names(self) -> tuple[str, ...]:
        """What each picture and spectrum is called."""
        return "patch", *(f"pair {pair}, view {view}" for pair in range(1, len(self.pictures) // 2 + 1) for view in (1, 2))

    @property
    def colours(self) -> tuple[str, ...]:
        """The colour of each curve, as ``#rrggbb``."""
        return ORIGINAL, *palette(len(self.pictures) - 1)

    @property
    def size(self) -> int:
        """Side of the patch in pixels."""
        return int(self.pictures.shape[1])

    @property
    def words(self) -> str:
        """Where the patch is and what it was made from."""
        return f"{self.cube} · row {self.y}, column {self.x} · patch of {self.size} pixels · {self.inlet}"


def as_pictures(colours: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Stretch bands (n, y, x, 3) to 8 bits by the range of the first picture, with some room for brighter and darker views."""
    low, high = np.percentile(colours[0], (1, 99), axis=(0, 1))
    room = _MARGIN * np.maximum(high - low, 1e-12)
    shown = (colours - (low - room)) / (high - low + 2 * room)
    return np.asarray(np.clip(shown, 0, 1) * 255).astype(np.uint8)


def view_sheet(pairs: ViewPairs, title: str) -> NDArray[np.uint8]:
    """Return the sheet (y, x, 3): pictures above, spectra below, each picture framed in the colour of its curve."""
    axis = "Wavelength (nm)" if pairs.in_nm else "Band number"
    plot = curves_figure(pairs.positions, dict(zip(pairs.names, pairs.spectra, strict=True)), pairs.colours, (axis, "Middle pixel"))
    cell = _SIDE + 2 * _FRAME
    width = max(plot.shape[1], _GAP + len(pairs.pictures) * (cell + _GAP))
    top = 2 * _LINE + _GAP
    image = Image.new("RGB", (width, top + cell + _LINE + _GAP + plot.shape[0]), _PAPER)
    pen, font, small = ImageDraw.Draw(image), ImageFont.load_default(14), ImageFont.load_default(12)
    pen.text((_GAP, 6), pairs.words, fill=_INK, font=font)
    pen.text((_GAP, 6 + _LINE), title, fill=_INK, font=font)
    for number, (picture, name, colour) in enumerate(zip(pairs.pictures, pairs.names, pairs.colours, strict=True)):
        left = _GAP + number * (cell + _GAP)
        pen.rectangle((left, top, left + cell - 1, top + cell - 1), fill=colour)
        image.paste(Image.fromarray(picture).resize((_SIDE, _SIDE), Image.Resampling.NEAREST), (left + _FRAME, top + _FRAME))
        pen.text((left, top + cell + 4), name, fill=_INK, font=small)
    image.paste(Image.fromarray(plot), (0, top + cell + _LINE + _GAP))
    return np.asarray(image)
