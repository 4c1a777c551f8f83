"""What a curve and the bad bands of a cube look like in a plot over wavelength."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg

from napari_hsi_ssl.gui.plots.spectrum import BandAxis, Spectrum, runs_of
from napari_hsi_ssl.gui.plots.theme import Theme
from napari_hsi_ssl.gui.plots.views import RAW, in_view


def curve_items(spectrum: Spectrum, theme: Theme, view: str, *, spread: bool) -> list[pg.GraphicsObject]:
    """Return a curve as it is seen in a view (a key of `views.VIEWS`), with the band of its spread below it where wanted."""
    colour = theme.legible(spectrum.colour or theme.text)
    x, values = spectrum.axis.x, in_view(spectrum.shown, spectrum.axis.wavelengths, view)
    items: list[pg.GraphicsObject] = []
    if spread and spectrum.spread is not None and view == RAW:  # a deviation has no counterpart where each spectrum is scaled by itself
        sides = np.nan_to_num(np.asarray(spectrum.spread, dtype=np.float64))
        for start, stop in runs_of(np.isfinite(values)):
            part = slice(start, stop)
            edges = [pg.PlotCurveItem(x[part], values[part] + sign * sides[part], pen=pg.mkPen(None)) for sign in (-1, 1)]
            fill = pg.FillBetweenItem(*edges, brush=pg.mkBrush(colour + "40"))
            fill.setZValue(-10)
            items += [*edges, fill]
    return [*items, pg.PlotCurveItem(x, values, pen=pg.mkPen(colour, width=2), connect="finite", name=spectrum.name)]


def bad_band_shades(axis: BandAxis, theme: Theme) -> list[pg.LinearRegionItem]:
    """Return grey stripes over the bad bands of an axis."""
    if axis.bad is None:
        return []
    edges = np.concatenate([axis.x[:1], (axis.x[1:] + axis.x[:-1]) / 2, axis.x[-1:]])
    shades = []
    for start, stop in runs_of(axis.bad):
        shade = pg.LinearRegionItem((edges[start], edges[stop]), movable=False, brush=pg.mkBrush(theme.muted + "50"), pen=pg.mkPen(None))
        shade.setZValue(-20)
        shade.setToolTip("bad bands")
        shades.append(shade)
    return shades
