"""Spectra of the current cube: under the pointer, pinned, and as mean and spread of regions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_hsi_ssl.cubes.cube import palette
from napari_hsi_ssl.files import write_bytes
from napari_hsi_ssl.gui.plots.legend import LegendList
from napari_hsi_ssl.gui.plots.spectrum import BandAxis, Spectrum, runs_of, spectra_csv
from napari_hsi_ssl.gui.plots.theme import Theme, prepare, style

_QUANTITIES = {"dn": "Digital number", "radiance": "Radiance", "reflectance": "Reflectance", "unknown": "Value"}
_SIDE_WIDTH = 112
_NEW_COLOURS = 30


class SpectraPlot(QWidget):
    """Curves over wavelength (nm) or band number, with a cursor at the band that the viewer shows."""

    band_moved = Signal(int)
    """The user moved the cursor to this band."""
    mask_asked = Signal()
    """The user wants the mean and spread of the mask."""
    classes_asked = Signal()
    """The user wants the mean and spread of every class."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._axis: BandAxis | None = None
        self._band = 0
        self._pinned: dict[str, Spectrum] = {}
        self._hidden: set[str] = set()
        self._drawn: list[pg.GraphicsObject] = []
        self._shades: list[pg.LinearRegionItem] = []
        self._taken = 0

        self.plot = pg.PlotWidget()
        self.plot.setMinimumSize(240, 120)
        prepare(self.plot.getPlotItem())
        self._pointer = self.plot.plot(connect="finite")
        self._pointer.setZValue(10)
        self._cursor = pg.InfiniteLine(angle=90, movable=True, label="", labelOpts={"position": 0.93})
        self._cursor.setVisible(False)
        self._cursor.sigDragged.connect(self._dragged)
        self.plot.addItem(self._cursor, ignoreBounds=True)

        self.pin_button = QPushButton("Pin on click", checkable=True)
        self.pin_button.setToolTip("While this is down, a click on the image keeps the pixel's spectrum (Shift-click does so at any time)")
        self.mask_button = QPushButton("Mask mean")
        self.mask_button.clicked.connect(self.mask_asked)
        self.mask_button.setToolTip("Mean ± standard deviation of the pixels in the mask")
        self.classes_button = QPushButton("Class means")
        self.classes_button.clicked.connect(self.classes_asked)
        self.classes_button.setToolTip("Mean ± standard deviation of every labelled class of this cube")
        self.clear_button = QPushButton("Clear", clicked=self.clear)
        self.clear_button.setToolTip("Remove all pinned spectra and means")
        self.export_button = QPushButton("Export CSV…", clicked=self._export)
        self.export_button.setToolTip("Save the pinned spectra and means, one column each")
        self.note = QLabel(wordWrap=True)
        self.legend = LegendList(checkable=True, removable=True)
        self.legend.toggled.connect(self._toggle)
        self.legend.removed.connect(self.unpin)

        side = QVBoxLayout()
        side.setSpacing(3)
        for widget in (self.pin_button, self.mask_button, self.classes_button, self.clear_button, self.export_button, self.note):
            widget.setFixedWidth(_SIDE_WIDTH)
            side.addWidget(widget)
        side.addStretch()
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 6, 6, 4)
        row.addLayout(side)
        row.addWidget(self.plot, 4)
        row.addWidget(self.legend, 1)
        self.set_theme(theme)
        self._redraw()

    # -- what is shown --------------------------------------------------------------------------------------------------

    @property
    def pinned(self) -> tuple[Spectrum, ...]:
        """The pinned curves, in the order they were added."""
        return tuple(self._pinned.values())

    def set_theme(self, theme: Theme) -> None:
        """Redraw in other colours."""
        self._theme = theme
        self.plot.setBackground(theme.background)
        self._cursor.setPen(pg.mkPen(theme.accent, width=1.5))
        self._cursor.setHoverPen(pg.mkPen(theme.accent, width=3))
        self._cursor.label.setColor(theme.accent)
        self._pointer.setPen(pg.mkPen(theme.text, width=1.5))
        self._redraw()

    def set_axis(self, axis: BandAxis | None) -> None:
        """Follow another cube: its axis, its bad bands; pinned curves that do not fit it are hidden, not lost."""
        self._axis = axis
        self._pointer.setData([], [])
        self._band = min(self._band, axis.bands - 1) if axis else 0
        self._cursor.setVisible(axis is not None)
        self._redraw()
        if axis is not None:
            low, high = float(axis.x.min()), float(axis.x.max())
            margin = 0.01 * (high - low) or 1.0
            self.plot.setXRange(low - margin, high + margin, padding=0)
            self._cursor.setBounds((low, high))
            self.set_band(self._band)

    def show_pointer(self, values: NDArray[np.floating] | None) -> None:
        """Draw the spectrum (band,) under the pointer, or none."""
        if values is None or self._axis is None or len(values) != self._axis.bands:
            self._pointer.setData([], [])
        else:
            self._pointer.setData(self._axis.x, np.asarray(values, dtype=np.float64))

    def set_band(self, band: int) -> None:
        """Put the cursor on a band without telling anyone."""
        if self._axis is None:
            return
        self._band = int(np.clip(band, 0, self._axis.bands - 1))
        self._cursor.setValue(float(self._axis.x[self._band]))
        self._cursor.label.setFormat(self._axis.name(self._band))

    def pin(self, *spectra: Spectrum) -> None:
        """Keep curves; one of a name that is there already is replaced and keeps its colour."""
        for spectrum in spectra:
            before = self._pinned.get(spectrum.name)
            colour = spectrum.colour or (before.colour if before else None)
            if colour is None:
                colour = palette(_NEW_COLOURS)[self._taken % _NEW_COLOURS]
                self._taken += 1
            self._pinned[spectrum.name] = replace(spectrum, colour=colour)
            self._hidden.discard(spectrum.name)
        self._redraw()

    def unpin(self, name: str) -> None:
        """Remove one pinned curve."""
        self._pinned.pop(name, None)
        self._hidden.discard(name)
        self._redraw()

    def clear(self) -> None:
        """Remove all pinned curves."""
        self._pinned.clear()
        self._hidden.clear()
        self._taken = 0
        self._redraw()

    # -- export -----------------------------------------------------------------------------------------------------------

    def csv(self) -> str:
        """Return the pinned curves as CSV: a row a band, a column a curve and another for its spread."""
        return spectra_csv(self.pinned)

    def _export(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Export spectra", "spectra.csv", "CSV (*.csv)")
        if path:
            write_bytes(Path(path), self.csv().encode())

    # -- drawing ----------------------------------------------------------------------------------------------------------

    def _fits(self, spectrum: Spectrum) -> bool:
        ours, theirs = self._axis, spectrum.axis
        return ours is not None and (ours.wavelengths is None) == (theirs.wavelengths is None) and ours.quantity == theirs.quantity

    def _redraw(self) -> None:
        for item in (*self._drawn, *self._shades):
            self.plot.removeItem(item)
        self._drawn.clear()
        self._shades.clear()
        self._shade_bad_bands()
        shown = [spectrum for spectrum in self.pinned if self._fits(spectrum)]
        for spectrum in shown:
            if spectrum.name not in self._hidden:
                self._draw(spectrum)
        bottom = "Wavelength (nm)" if self._axis is not None and self._axis.wavelengths is not None else "Band (counted from 0)"
        self.plot.setLabel("bottom", bottom)
        self.plot.setLabel("left", _QUANTITIES.get(self._axis.quantity, "Value") if self._axis else "Value")
        style(self.plot.getPlotItem(), self._theme)
        for side in ("bottom", "left"):  # an empty plot has no numbers to believe
            self.plot.getAxis(side).setStyle(showValues=self._axis is not None)
        colour = self._theme.legible
        self.legend.set_entries((s.name, s.name, colour(s.colour or self._theme.text), s.name not in self._hidden) for s in shown)
        self.legend.setVisible(bool(shown))
        for button in (self.clear_button, self.export_button):
            button.setEnabled(bool(self._pinned))
        for button in (self.pin_button, self.mask_button, self.classes_button):
            button.setEnabled(self._axis is not None)
        away = len(self._pinned) - len(shown)
        self.note.setText(f"{away} pinned of other units hidden" if away else self._hint())

    def _hint(self) -> str:
        if self._axis is None:
            return "Open a cube to see spectra."
        return "" if self._pinned else "Move over the image to see spectra."

    def _draw(self, spectrum: Spectrum) -> None:
        colour = self._theme.legible(spectrum.colour or self._theme.text)
        x, values = spectrum.axis.x, np.asarray(spectrum.values, dtype=np.float64)
        if spectrum.spread is not None:
            spread = np.nan_to_num(np.asarray(spectrum.spread, dtype=np.float64))
            middle = np.nan_to_num(values)
            edges = [pg.PlotCurveItem(x, middle + sign * spread, pen=pg.mkPen(None)) for sign in (-1, 1)]
            fill = pg.FillBetweenItem(*edges, brush=pg.mkBrush(colour + "40"))
            fill.setZValue(-10)
            for item in (*edges, fill):
                self.plot.addItem(item)
                self._drawn.append(item)
        curve = pg.PlotDataItem(x, values, pen=pg.mkPen(colour, width=2), connect="finite", name=spectrum.name)
        self.plot.addItem(curve)
        self._drawn.append(curve)

    def _shade_bad_bands(self) -> None:
        if self._axis is None or self._axis.bad is None:
            return
        x = self._axis.x
        edges = np.concatenate([x[:1], (x[1:] + x[:-1]) / 2, x[-1:]])
        for start, stop in runs_of(self._axis.bad):
            brush = pg.mkBrush(self._theme.muted + "50")
            shade = pg.LinearRegionItem((edges[start], edges[stop]), movable=False, brush=brush, pen=pg.mkPen(None))
            shade.setZValue(-20)
            shade.setToolTip("bad bands")
            self.plot.addItem(shade, ignoreBounds=True)
            self._shades.append(shade)

    def _dragged(self) -> None:
        if self._axis is None:
            return
        band = int(np.abs(self._axis.x - self._cursor.value()).argmin())
        moved = band != self._band
        self.set_band(band)
        if moved:
            self.band_moved.emit(band)

    def _toggle(self, name: str, shown: bool) -> None:
        (self._hidden.discard if shown else self._hidden.add)(name)
        self._redraw()
