"""Plots as pictures, without a window: a density with its axes and legend, and curves over an axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_INK, _FAINT = "#202020", "#c8c8c8"
_LEFT, _TOP, _BOTTOM, _LEGEND = 84, 20, 60, 240
_WIDTH, _HEIGHT = 720, 560


class Figure:
    """A white picture with one pair of axes.

    Parameters
    ----------
    x, y : (low, high)
        Ends of the axes.
    names : (str, str)
        Texts of the axes.
    log : bool
        Whether both axes are logarithmic.
    """

    def __init__(self, x: tuple[float, float], y: tuple[float, float], names: tuple[str, str], *, log: bool = False) -> None:
        self._x, self._y, self._log = x, y, log
        self.image = Image.new("RGB", (_LEFT + _WIDTH + _LEGEND, _TOP + _HEIGHT + _BOTTOM), "white")
        self._pen = ImageDraw.Draw(self.image)
        self._font = ImageFont.load_default(15)
        self._entries = 0
        self._axes(names)

    def _axes(self, names: tuple[str, str]) -> None:
        pen, font, places = self._pen, self._font, decades if self._log else ticks
        for value in places(*self._x):
            x = self._at(value, self._y[0])[0]
            pen.line([(x, _TOP), (x, _TOP + _HEIGHT)], fill=_FAINT)
            pen.text((x, _TOP + _HEIGHT + 6), f"{value:g}", fill=_INK, font=font, anchor="mt")
        for value in places(*self._y):
            y = self._at(self._x[0], value)[1]
            pen.line([(_LEFT, y), (_LEFT + _WIDTH, y)], fill=_FAINT)
            pen.text((_LEFT - 6, y), f"{value:g}", fill=_INK, font=font, anchor="rm")
        pen.rectangle([_LEFT, _TOP, _LEFT + _WIDTH, _TOP + _HEIGHT], outline=_INK)
        pen.text((_LEFT + _WIDTH / 2, _TOP + _HEIGHT + 32), names[0], fill=_INK, font=font, anchor="mt")
        side = Image.new("L", (_HEIGHT, 24), 0)
        ImageDraw.Draw(side).text((_HEIGHT / 2, 12), names[1], fill=255, font=font, anchor="mm")
        upright = side.rotate(90, expand=True)
        self.image.paste(_INK, (4, _TOP), upright)

    def _at(self, x: float, y: float) -> tuple[float, float]:
        (x0, x1), (y0, y1) = self._x, self._y
        if self._log:
            x, x0, x1, y, y0, y1 = (math.log10(value) for value in (x, x0, x1, y, y0, y1))
        return _LEFT + (x - x0) / (x1 - x0) * _WIDTH, _TOP + (y1 - y) / (y1 - y0) * _HEIGHT

    def picture(self, rgba: NDArray[np.uint8]) -> None:
        """Lay a picture RGBA (x bins, y bins, 4) over the whole plane."""
        upright = np.ascontiguousarray(rgba.transpose(1, 0, 2)[::-1])
        scaled = Image.fromarray(upright).resize((_WIDTH - 1, _HEIGHT - 1), Image.Resampling.BILINEAR)
        self.image.paste(scaled, (_LEFT + 1, _TOP + 1), scaled)

    def curve(self, x: NDArray[np.floating], y: NDArray[np.floating], colour: str, *, marks: bool = False) -> None:
        """Draw a line through points, which are marked where that is asked for."""
        points = [self._at(*point) for point in zip(x.tolist(), y.tolist(), strict=True)]
        self._pen.line(points, fill=colour, width=2)
        for across, down in points if marks else []:
            self._pen.ellipse([across - 4, down - 4, across + 4, down + 4], fill=colour)

    def legend(self, entries: Sequence[tuple[str, str]]) -> None:
        """Write texts beside squares of their colours."""
        for text, colour in entries:
            x, y = _LEFT + _WIDTH + 16, _TOP + 4 + 24 * self._entries
            self._pen.rectangle([x, y, x + 14, y + 14], fill=colour, outline=_INK)
            self._pen.text((x + 22, y + 7), text if len(text) < 28 else f"{text[:26]}…", fill=_INK, font=self._font, anchor="lm")
            self._entries += 1


def ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Return round numbers between two ends, about as many as asked for."""
    rough = (high - low) / count
    power = 10 ** np.floor(np.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first = int(np.ceil(low / step))
    return [float(f"{number * step:.6g}") for number in range(first, int(np.floor(high / step)) + 1)]


def decades(low: float, high: float) -> list[float]:
    """Return round numbers of a logarithmic axis: powers of ten, and their double and fivefold where that is not too many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    inside = [value for value in found if low <= value <= high]
    return inside if len(inside) <= 9 else [value for value in (10.0**power for power in powers) if low <= value <= high]


def density_figure(
    rgba: NDArray[np.uint8], limits: tuple[tuple[float, float], tuple[float, float]], names: tuple[str, str], entries: Sequence[tuple[str, str]]
) -> NDArray[np.uint8]:
    """Return a picture (y, x, 3) of a density RGBA (x bins, y bins, 4) with its axes and a legend of (text, colour)."""
    figure = Figure(*limits, names)
    figure.picture(rgba)
    figure.legend(entries)
    return np.asarray(figure.image)


def curves_figure(x: NDArray[np.floating], curves: Mapping[str, NDArray[np.floating]], colours: Sequence[str], names: tuple[str, str]) -> NDArray[np.uint8]:
    """Return a picture (y, x, 3) of curves over an axis, by name."""
    values = np.array(list(curves.values()))
    room = 0.05 * (values.max() - values.min() or 1.0)
    figure = Figure((float(x.min()), float(x.max())), (float(values.min() - room), float(values.max() + room)), names)
    for curve, colour in zip(curves.values(), colours, strict=True):
        figure.curve(x, curve, colour)
    figure.legend(list(zip(curves, colours, strict=True)))
    return np.asarray(figure.image)
