"""Colours and fonts of the plots, taken from napari's theme so that text stays legible in dark and light."""

from __future__ import annotations

from dataclasses import dataclass

import pyqtgraph as pg
from napari.utils.theme import get_theme
from qtpy.QtGui import QFont

_AXES = ("left", "bottom", "right", "top")
_TICK_POINTS = 8
_CONTRAST = 3.0


@dataclass(frozen=True)
class Theme:
    """The colours a plot is drawn with, as ``#rrggbb``.

    Attributes
    ----------
    dark : bool
        Whether the background is darker than the text.
    background, text, muted, accent : str
        Of the plotting area, of words, of axis lines and shading, and of what moves (the band cursor).
    """

    dark: bool
    background: str
    text: str
    muted: str
    accent: str

    @classmethod
    def named(cls, name: str) -> Theme:
        """Return the plot colours of the napari theme called ``name``."""
        theme = get_theme(name)
        background, text = theme.background.as_hex("long")[:7], theme.text.as_hex("long")[:7]
        dark = luminance(background) < luminance(text)
        return cls(dark, background, text, mix(text, background, 0.45), "#ffb000" if dark else "#b34700")

    def legible(self, colour: str, least: float = _CONTRAST) -> str:
        """Return ``colour``, moved towards the text's colour until its contrast to the background is ``least`` (1–21): that of a line by default."""
        share = 0.0
        while contrast(mixed := mix(colour, self.text, share), self.background) < least and share < 1:
            share += 0.1
        return mixed


def luminance(colour: str) -> float:
    """Return the relative luminance in [0, 1] of ``#rrggbb`` (WCAG 2.1)."""
    channels = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio in [1, 21] of two colours (WCAG 2.1)."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def mix(first: str, second: str, share: float) -> str:
    """Return ``first`` with ``share`` of ``second`` in it."""
    pairs = ((int(first[start : start + 2], 16), int(second[start : start + 2], 16)) for start in (1, 3, 5))
    return "#" + "".join(f"{round(a + (b - a) * min(share, 1.0)):02x}" for a, b in pairs)


def prepare(plot: pg.PlotItem) -> None:
    """Keep a new plot's axes in the units that their labels name: no "(x1e+03)", no "k"."""
    plot.layout.setContentsMargins(1, 1, 1, 5)  # pyqtgraph lets the label below hang over its axis by as much
    for name in _AXES:
        axis = plot.getAxis(name)
        axis.enableAutoSIPrefix(False)
        axis.autoSIPrefixScale = 1.0  # pyqtgraph resets it only where the label is seen, and a plot behind a tab is not


def style(plot: pg.PlotItem, theme: Theme) -> None:
    """Give axes, ticks and labels of a plot the theme's colours; the view's own background is left to its widget."""
    font = QFont()
    font.setPointSize(_TICK_POINTS)
    for name in _AXES:
        axis = plot.getAxis(name)
        axis.setPen(pg.mkPen(theme.muted))
        axis.setTextPen(pg.mkPen(theme.text))
        axis.setTickFont(font)
        if axis.labelText:
            axis.setLabel(axis.labelText, color=theme.text, **{"font-size": "9pt"})
    plot.showGrid(x=True, y=True, alpha=0.15)
    plot.setTitle(None)
