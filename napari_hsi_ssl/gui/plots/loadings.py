"""Scree and loadings: how much each component explains, and which wavelengths it is made of."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSplitter, QStackedLayout, QWidget

from napari_hsi_ssl.cubes.cube import palette
from napari_hsi_ssl.explore.loadings import Components
from napari_hsi_ssl.gui.plots.legend import LegendList
from napari_hsi_ssl.gui.plots.theme import Theme, prepare, style

_SHOWN = 3
_NO_PCA = "No PCA yet: fit one in step 3, Explore."


class LoadingsView(QWidget):
    """Bars of the explained variance with its sum, and loadings against wavelength beside them."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._found: Components | None = None
        self._hidden: set[str] = set()
        self.scree, self.plot = pg.PlotWidget(), pg.PlotWidget()
        for widget in (self.scree, self.plot):
            widget.setMinimumSize(160, 120)
            prepare(widget.getPlotItem())
            widget.setMenuEnabled(False)
        self.scree.setToolTip("Share of the variance that each component explains (bars), and all up to it (line)")
        self.plot.setToolTip("Loadings: the weight of each band in the components that are ticked")
        self.legend = LegendList(checkable=True)
        self.legend.setToolTip("Tick the components to show")
        self.legend.toggled.connect(self._toggled)
        self.note = QLabel(_NO_PCA, wordWrap=True)
        self.note.setContentsMargins(8, 8, 8, 8)
        both = QWidget()
        row = QHBoxLayout(both)
        row.setContentsMargins(6, 6, 6, 4)
        self.split = QSplitter(Qt.Orientation.Horizontal, childrenCollapsible=False)
        for place, (widget, least, stretch) in enumerate(((self.scree, 110, 2), (self.plot, 140, 4), (self.legend, 152, 0))):
            widget.setMinimumWidth(least)  # the window must fit a small laptop
            self.split.addWidget(widget)
            self.split.setStretchFactor(place, stretch)
        self.split.setSizes([240, 480, 176])
        row.addWidget(self.split)
        self._pages = QStackedLayout(self)
        self._pages.addWidget(self.note)
        self._pages.addWidget(both)
        self.set_theme(theme)

    def set_theme(self, theme: Theme) -> None:
        """Redraw in other colours."""
        self._theme = theme
        for widget in (self.scree, self.plot):
            widget.setBackground(theme.background)
        self._redraw()

    def set_components(self, found: Components | None) -> None:
        """Show the components of a projection, or that there are none."""
        if found is not None and (self._found is None or found.names != self._found.names):
            self._hidden = set(found.names[_SHOWN:])
        self._found = found
        self.say(_NO_PCA if found is None else "")
        self._redraw()

    def say(self, text: str) -> None:
        """Write a word for the user instead of the plots; "" shows them."""
        self.note.setText(text)
        self._pages.setCurrentIndex(0 if text else 1)

    def _toggled(self, name: str, shown: bool) -> None:
        (self._hidden.discard if shown else self._hidden.add)(name)
        self._redraw_loadings()

    def _redraw(self) -> None:
        found = self._found
        self.scree.clear()
        if found is not None:
            numbers = np.arange(1, len(found.explained) + 1)
            bar, line = self._theme.legible("#0072b2"), self._theme.legible("#e69f00")
            self.scree.addItem(pg.BarGraphItem(x=numbers, height=100 * found.explained, width=0.7, brush=bar, pen=None))
            self.scree.plot(numbers, 100 * found.cumulative, pen=pg.mkPen(line, width=2), symbol="o", symbolSize=4, symbolBrush=line, symbolPen=None)
            self.scree.setLabel("bottom", found.word)
            self.scree.setLabel("left", "Explained (%)" if found.word == "PC" else "Share of signal (%)")
            self.scree.setRange(xRange=(0.4, len(numbers) + 0.6), yRange=(0, 108), padding=0)
            whole = 100 * found.cumulative[-1]
            self.scree.setToolTip(f"{found.word} 1 explains {100 * found.explained[0]:.2f} %, all {len(numbers)} together {whole:.2f} %")
        style(self.scree.getPlotItem(), self._theme)
        self._redraw_loadings()

    def _redraw_loadings(self) -> None:
        found = self._found
        self.plot.clear()
        if found is not None:
            colours = dict(zip(found.names, map(self._theme.legible, palette(len(found.names))), strict=True))
            for name, loading in zip(found.names, found.loadings, strict=True):
                if name not in self._hidden:
                    self.plot.plot(found.positions, loading, pen=pg.mkPen(colours[name], width=1.5))
            self.plot.addItem(pg.InfiniteLine(0, angle=0, pen=pg.mkPen(self._theme.muted)))
            self.plot.setLabel("bottom", "Wavelength (nm)" if found.in_nm else "Band number")
            self.plot.setLabel("left", "Loading")
            shares = found.explained
            self.legend.set_entries(
                (name, f"{name} · {_percent(share)}", colours[name], name not in self._hidden) for name, share in zip(found.names, shares, strict=True)
            )
        style(self.plot.getPlotItem(), self._theme)


def _percent(share: float) -> str:
    """Return a share in few letters, a small one not as nothing."""
    return f"{100 * share:.1f} %" if share >= 0.0005 or share <= 0 else "<0.1 %"
