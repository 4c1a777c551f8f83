"""A sheet of example patches as one picture: a row a domain, training patches framed in orange, held-out ones in blue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from napari_hsi_ssl.patches.index import TEST, TRAIN

FRAMES = {TRAIN: "#e69f00", TEST: "#56b4e9"}
"""Colours of training and test patches, those of the outlines on the image."""
_SIDE, _GAP, _FRAME, _LINE, _WORDS = 112, 12, 4, 20, 4
_PAPER, _INK = "#ffffff", "#1e1e21"


@dataclass(frozen=True, eq=False)
class Example:
    """One patch as the network will see it, in three colours.

    Attributes
    ----------
    cube, domain : str
    y, x : int
        Its top left corner.
    split : int
        0 = train, 1 = test.
    coverage : float
        Share of foreground in it.
    picture : uint8 array (y, x, 3)
    """

    cube: str
    domain: str
    y: int
    x: int
    split: int
    coverage: float
    picture: NDArray[np.uint8]

    @property
    def words(self) -> str:
        """Where it comes from."""
        part = "test" if self.split == TEST else "train"
        return f"{part} · {self.cube} · row {self.y}, column {self.x} · {self.coverage:.0%} foreground"


def sheet(examples: Sequence[Example], title: str = "") -> NDArray[np.uint8]:
    """Return the sheet as a picture (y, x, 3) with a row a domain."""
    rows: dict[str, list[Example]] = {}
    for example in examples:
        rows.setdefault(example.domain, []).append(example)
    most = max((len(row) for row in rows.values()), default=1)
    cell = _SIDE + 2 * _FRAME
    width = max(_GAP + most * (cell + _GAP), 560)
    height = _LINE + _GAP + len(rows) * (_LINE + cell + _LINE + _GAP)
    image = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(image)
    plain, small = (ImageFont.load_default(size) for size in (14, 11))
    _legend(pen, title, plain)
    top = _LINE + _GAP
    for domain, row in rows.items():
        pen.text((_GAP, top), domain, fill=_INK, font=plain)
        for number, example in enumerate(row):
            left = _GAP + number * (cell + _GAP)
            pen.rectangle((left, top + _LINE, left + cell - 1, top + _LINE + cell - 1), fill=FRAMES[example.split])
            image.paste(Image.fromarray(example.picture).resize((_SIDE, _SIDE), Image.Resampling.NEAREST), (left + _FRAME, top + _LINE + _FRAME))
            below = f"{example.cube[:11]} {example.y},{example.x}"
            pen.text((left, top + _LINE + cell + _WORDS), below, fill=_INK, font=small)
        top += _LINE + cell + _LINE + _GAP
    return np.asarray(image)


def _legend(pen: ImageDraw.ImageDraw, title: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> None:
    left = _GAP
    for split, words in ((TRAIN, "train"), (TEST, "test (held out)")):
        pen.rectangle((left, 8, left + 12, 20), fill=FRAMES[split])
        pen.text((left + 18, 5), words, fill=_INK, font=font)
        left += 30 + int(pen.textlength(words, font=font))
    pen.text((left + 6, 5), title, fill=_INK, font=font)
