"""Spectra of the current cube: under the pointer, pinned, and as mean and spread of regions, beside a library's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QProgressBar, QPushButton, QSplitter, QTabWidget, QToolButton, QVBoxLayout, QWidget

from napari_hsi_ssl.cubes.cube import palette
from napari_hsi_ssl.errors import ConfigError, HsiError
from napari_hsi_ssl.explore.spectra_files import write_spectra
from napari_hsi_ssl.gui.forms.copying import KINDS
from napari_hsi_ssl.gui.plots.curves import bad_band_shades, curve_items
from napari_hsi_ssl.gui.plots.legend import LegendList
from napari_hsi_ssl.gui.plots.library import LibraryPanel
from napari_hsi_ssl.gui.plots.menus import MapMenu, MeansMenu, ViewMenu, action, menu_button
from napari_hsi_ssl.gui.plots.spectrum import BandAxis, Spectrum, gapped, measured
from napari_hsi_ssl.gui.plots.theme import Theme, prepare, style
from napari_hsi_ssl.gui.plots.views import RAW, VIEWS, in_view

_QUANTITIES = {"dn": "Digital number", "radiance": "Radiance", "reflectance": "Reflectance", "unknown": "Value"}
_SIDE_WIDTH = 116
_NEW_COLOURS = 30
_DASHED_CONTRAST = 4.5  # half of a dashed line is background
_LIBRARY_WIDTH = 164
_ASIDE_WIDTH, _ASIDE_WISH, _ASIDE_SHARE = 136, 200, 0.38
"""Of the list of curves or the library: pixels at least and, at first, at most, and its share; the splitter makes it wider."""
_MOST_SPREADS = 24
"""Beyond so many curves their spreads cover each other, and cost a second to draw."""


class SpectraPlot(QWidget):
    """Curves over wavelength (nm) or band number, with a cursor at the band that the viewer shows."""

    band_moved = Signal(int)
    """The user moved the cursor to this band."""
    means_asked = Signal(str)
    """The user wants the mean and spread of the "mask", the "classes" or the "region" that is drawn."""
    selection_followed = Signal(bool)
    """Whether the mean of the selection shall be shown."""
    map_asked = Signal(float)
    """The user wants a map by spectral angle to the curves shown; the largest angle in radians."""
    library_asked = Signal(str)
    """The user chose this file of a spectral library."""
    cancelled = Signal()
    """The user wants what is on its way to end."""
    said = Signal(str, str)
    """Words for the user and their level."""
    copy_asked = Signal(str)
    """The user wants the last step as a "command" or as "python"."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._axis: BandAxis | None = None
        self._band = 0
        self._pinned: dict[str, Spectrum] = {}
        self._hidden: set[str] = set()
        self._drawn: list[pg.GraphicsObject] = []
        self._compared: list[pg.GraphicsObject] = []
        self._entries: list[Spectrum] = []
        self._shades: list[pg.LinearRegionItem] = []
        self._words = ""
        self.cube = ""
        """Name of the cube that is shown."""
        self._under: NDArray[np.floating] | None = None

        self.plot = pg.PlotWidget()
        self.plot.setMinimumSize(170, 110)
        prepare(self.plot.getPlotItem())
        # An axis that gives back room as its numbers grow shorter has the whole plot laid out and painted twice at every move.
        self.plot.getAxis("left").setStyle(autoReduceTextSpace=False)
        self._pointer = pg.PlotCurveItem(connect="finite")
        self._pointer.setZValue(-5)  # what was pinned of the same pixel stays to be seen
        self.plot.addItem(self._pointer)
        self._cursor = pg.InfiniteLine(angle=90, movable=True, label="", labelOpts={"position": 0.93, "fill": (0, 0, 0, 0)})
        self._cursor.setVisible(False)
        self._cursor.sigDragged.connect(self._dragged)
        self.plot.addItem(self._cursor, ignoreBounds=True)

        self.pin_button = QPushButton("Pin on click", checkable=True)
        self.pin_button.setToolTip("While this is down, a click on the image keeps the pixel's spectrum (Shift-click does so at any time)")
        self.pin_button.toggled.connect(self._pinning)
        self.means = MeansMenu(self)
        self.means.asked.connect(self.means_asked)
        self.means.selection_followed.connect(self.selection_followed)
        self.means_button = menu_button("Means", "Mean ± standard deviation of the mask, the classes, a drawn region or the selection", self.means)
        self.library_button = QPushButton("Library…", clicked=self._open_library)
        self.library_button.setToolTip("Compare pinned spectra with a spectral library (.sli, .hdr, .csv)")
        self.views = ViewMenu(self)
        self.views.changed.connect(self._view_changed)
        self.view_button = menu_button("View", "As measured, SNV, or with the continuum removed; the library is compared in the same view", self.views)
        self.map_menu = MapMenu(self)
        self.map_menu.asked.connect(self.map_asked)
        tip = "Map the cube: each pixel to the ticked curve with the smallest spectral angle (spectral angle mapper)"
        self.map_button = menu_button("Map by angle", tip, self.map_menu)
        self.save_button = menu_button("Save ▾", "Write the pinned curves as a table or a library, the plot as a picture; copy the last step")
        for words, ending, tip in (
            ("Table (.csv)…", "csv", "One column a curve and one for its deviation"),
            ("Library (.sli)…", "sli", "An ENVI spectral library, to compare other cubes with"),
            ("Picture (.png)…", "png", "The plot as it is seen"),
        ):
            action(self.save_button.menu(), words, tip).triggered.connect(lambda _=False, ending=ending: self._export(ending))
        self.save_button.menu().addSeparator()
        for kind, words in KINDS.items():
            entry = action(self.save_button.menu(), words, "What was done last: a pinned pixel, a mean, its comparison with a library, a map by angle")
            entry.triggered.connect(lambda _=False, kind=kind: self.copy_asked.emit(kind))
        self.clear_button = QPushButton("Clear", clicked=self.clear)
        self.clear_button.setToolTip("Remove all pinned spectra and means")
        self.note = QLabel(wordWrap=True)
        self.bar = QProgressBar(textVisible=False, maximum=0)
        self.bar.setFixedHeight(10)
        self.stop_button = QToolButton(text="×")
        self.stop_button.clicked.connect(self.cancelled)
        self.stop_button.setToolTip("Cancel")
        self.legend = LegendList(checkable=True, removable=True)
        self.legend.toggled.connect(self._toggle)
        self.legend.removed.connect(self.unpin)
        self.legend.itemSelectionChanged.connect(self._target_changed)
        self._wanted = ""
        self.library = LibraryPanel()
        self.library.pinned.connect(self._pin_entries)
        self.library.shown.connect(self._draw_entries)
        self.library.target_chosen.connect(self._target_wanted)
        self.library.opened.connect(self._library_opened)
        self.aside = QTabWidget(documentMode=True)
        for page, words, tip in (
            (self.legend, "Pinned", "The pinned curves: tick to show, select and press Delete to remove"),
            (self.library, "Library", "Entries of the library"),
        ):
            self.aside.setTabToolTip(self.aside.addTab(page, words), tip)
        self.aside.tabBar().setDrawBase(False)
        self.aside.setMinimumWidth(_ASIDE_WIDTH)
        self.aside.hide()

        side = QVBoxLayout()
        side.setSpacing(2)
        self._buttons = (self.pin_button, self.means_button, self.library_button, self.view_button, self.map_button, self.save_button, self.clear_button)
        for widget in self._buttons[:-2]:
            widget.setFixedWidth(_SIDE_WIDTH)
            side.addWidget(widget)
        last = QHBoxLayout()
        last.setSpacing(2)
        for widget in self._buttons[-2:]:
            widget.setFixedWidth((_SIDE_WIDTH - 2) // 2)
            widget.setStyleSheet("QPushButton { padding: 3px 2px; } QPushButton::menu-indicator { image: none; width: 0; }")
            last.addWidget(widget)
        side.addLayout(last)
        side.addStretch()
        progress = QHBoxLayout()
        progress.setSpacing(2)
        progress.addWidget(self.bar, 1)
        progress.addWidget(self.stop_button)
        side.addLayout(progress)
        self.split = QSplitter(Qt.Orientation.Horizontal, childrenCollapsible=False)
        for place, widget in enumerate((self.plot, self.aside)):
            self.split.addWidget(widget)
            self.split.setStretchFactor(place, 1 - place)
        column = QVBoxLayout()
        column.setSpacing(0)
        column.addWidget(self.split, 1)
        column.addWidget(self.note)
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 6, 6, 4)
        row.addLayout(side)
        row.addLayout(column, 1)
        keys = QShortcut(QKeySequence("P"), self, self.pin_button.toggle)
        keys.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self.library.hide()
        self.set_progress(None)
        self.set_theme(theme)
        self._redraw()

    # -- what is shown --------------------------------------------------------------------------------------------------

    @property
    def pinned(self) -> tuple[Spectrum, ...]:
        """The pinned curves, in the order they were added."""
        return tuple(self._pinned.values())

    @property
    def shown(self) -> tuple[Spectrum, ...]:
        """The pinned curves that are ticked and fit the axes."""
        return tuple(spectrum for spectrum in self.pinned if self._fits(spectrum) and spectrum.name not in self._hidden)

    @property
    def target(self) -> Spectrum | None:
        """The curve that is compared with a library: the one selected in the legend, else the last one that is no library entry."""
        chosen = [item.data(Qt.ItemDataRole.UserRole) for item in self.legend.selectedItems()]
        found = [spectrum for spectrum in self.shown if spectrum.name in (chosen or [self._wanted])]
        usual = found or ([spectrum for spectrum in self.shown if spectrum.pixels])
        return usual[-1] if usual else None

    @property
    def view(self) -> str:
        """How spectra are shown: a key of `views.VIEWS`."""
        return self.views.value

    def set_theme(self, theme: Theme) -> None:
        """Redraw in other colours."""
        self._theme = theme
        self.plot.setBackground(theme.background)
        self._cursor.setPen(pg.mkPen(theme.accent, width=1.5))
        self._cursor.setHoverPen(pg.mkPen(theme.accent, width=3))
        self._cursor.label.setColor(theme.accent)
        self._cursor.label.fill = pg.mkBrush(f"{theme.background}d0")  # curves pass behind it
        self._pointer.setPen(pg.mkPen(theme.text, width=1))
        self._redraw()
        self._draw_entries(self._entries)

    def set_axis(self, axis: BandAxis | None) -> None:
        """Follow another cube: its axis, its bad bands; pinned curves that do not fit it are hidden, not lost."""
        if axis is not None and self._axis is not None and axis.same(self._axis):
            return
        self._axis = axis
        self._under = None
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
        self._under = values
        if values is None or self._axis is None or len(values) != self._axis.bands:
            self._pointer.setData([], [])
        else:
            self._pointer.setData(self._axis.x, in_view(gapped(values, self._axis.bad), self._axis.wavelengths, self.view))
        self.plot.scene().prepareForPaint()  # left to the painting itself, a change of the range has all painted again

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
                colour = self._free_colours(1)[0]
            self._pinned[spectrum.name] = replace(spectrum, colour=colour)
            self._hidden.discard(spectrum.name)
        self._redraw()
        self.library.set_target(self.target)

    def _free_colours(self, count: int) -> list[str]:
        """Return colours that no pinned curve has, as far as there are any."""
        used = {spectrum.colour for spectrum in self.pinned}
        known = palette(_NEW_COLOURS)
        return ([colour for colour in known if colour not in used] + list(known) * count)[:count]

    def unpin(self, name: str) -> None:
        """Remove one pinned curve."""
        if self._pinned.pop(name, None) is not None:
            self._hidden.discard(name)
            self._redraw()
            self.library.set_target(self.target)

    def clear(self) -> None:
        """Remove all pinned curves."""
        self._pinned.clear()
        self._hidden.clear()
        self._redraw()
        self.library.set_target(None)

    def set_progress(self, share: float | None) -> None:
        """Show how far the work is, in [0, 1], -1 where nobody knows, or None when there is none."""
        for widget in (self.bar, self.stop_button):
            widget.setVisible(share is not None)
        if share is not None:
            self.bar.setMaximum(0 if share < 0 else 100)
            self.bar.setValue(round(100 * max(share, 0)))

    def say(self, words: str) -> None:
        """Show a few words under the buttons until something else is done."""
        self._words = words
        self._write_note()

    def _library_opened(self) -> None:
        self.aside.setCurrentWidget(self.legend if self.library.library is None else self.library)
        self._make_room()
        width = self.split.width()
        if self.library.library is not None and self.aside.width() < _LIBRARY_WIDTH:
            self.split.setSizes([width - _LIBRARY_WIDTH, _LIBRARY_WIDTH])

    def _make_room(self) -> None:
        """Show beside the plot what there is: the pinned curves, a library, or both as tabs."""
        opened = self.library.library is not None
        there = opened or self.legend.count() > 0
        self.aside.tabBar().setVisible(opened)
        if there and self.aside.isHidden():
            share = min(round(self.split.width() * _ASIDE_SHARE), _ASIDE_WISH)
            self.split.setSizes([self.split.width() - share, share])
        self.aside.setVisible(there)

    def _pinning(self, on: bool) -> None:
        self.pin_button.setText("Pin on click ✓" if on else "Pin on click")
        self._write_note()

    # -- files ------------------------------------------------------------------------------------------------------------

    def _export(self, ending: str) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save spectra", f"spectra.{ending}", f"{ending.upper()} (*.{ending})")
        if path:
            self.save(Path(path))

    def save(self, path: Path) -> None:
        """Write the pinned curves (.csv, .sli) or the plot as it is seen (.png)."""
        try:
            if path.suffix.lower() == ".png":
                self.grab_plot(path)
            else:
                write_spectra(path, [measured(spectrum) for spectrum in self.pinned])
        except HsiError as error:
            self.said.emit(str(error), "error")
        else:
            self.said.emit(f"{path} written.", "info")

    def grab_plot(self, path: Path) -> None:
        """Write the plot as a picture, twice as fine as on the screen."""
        if not self.plot.grab().toImage().scaledToWidth(2 * self.plot.width(), Qt.TransformationMode.SmoothTransformation).save(str(path)):
            raise ConfigError(f"{path} cannot be written as a picture; choose another folder or a name that ends in .png.")

    def _open_library(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a spectral library", "", "Spectral libraries (*.sli *.hdr *.csv);;All files (*)")
        if path:
            self.library_asked.emit(path)

    # -- the library ------------------------------------------------------------------------------------------------------

    def _target_wanted(self, name: str) -> None:
        self.legend.clearSelection()
        self._wanted = name
        self.library.set_target(self.target)

    def _target_changed(self) -> None:
        self.library.set_target(self.target)

    def _pin_entries(self, entries: list[Spectrum]) -> None:
        self.pin(*entries)

    def _draw_entries(self, entries: list[Spectrum]) -> None:
        for item in self._compared:
            self.plot.removeItem(item)
        self._compared.clear()
        self._entries = entries
        colours = self._free_colours(len(entries))
        for entry, colour in zip(entries, colours, strict=True):
            pen = pg.mkPen(self._theme.legible(colour, _DASHED_CONTRAST), width=2, style=Qt.PenStyle.DashLine)
            shown = in_view(entry.shown, entry.axis.wavelengths, self.view)
            line = pg.PlotCurveItem(entry.axis.x, shown, pen=pen, connect="finite", name=entry.name)
            line.setZValue(5)
            self.plot.addItem(line)
            self._compared.append(line)
        self.library.colour({entry.name: self._theme.legible(colour, _DASHED_CONTRAST) for entry, colour in zip(entries, colours, strict=True)})

    def _view_changed(self) -> None:
        self._redraw()
        self.show_pointer(self._under)
        self.library.set_view(self.view)

    # -- drawing ----------------------------------------------------------------------------------------------------------

    def _fits(self, spectrum: Spectrum) -> bool:
        ours, theirs = self._axis, spectrum.axis
        if ours is None or (ours.wavelengths is None) != (theirs.wavelengths is None):
            return False
        return self.view != RAW or ours.quantity == theirs.quantity  # without brightness any units go together

    def _redraw(self) -> None:
        for item in (*self._drawn, *self._shades):
            self.plot.removeItem(item)
        self._drawn.clear()
        self._shades.clear()
        if self._axis is not None:
            self._shades += bad_band_shades(self._axis, self._theme)
            for shade in self._shades:
                self.plot.addItem(shade, ignoreBounds=True)
        shown = [spectrum for spectrum in self.pinned if self._fits(spectrum)]
        curves = [spectrum for spectrum in shown if spectrum.name not in self._hidden]
        for spectrum in curves:
            for item in curve_items(spectrum, self._theme, self.view, spread=len(curves) <= _MOST_SPREADS):
                self.plot.addItem(item)
                self._drawn.append(item)
        bottom = "Wavelength (nm)" if self._axis is not None and self._axis.wavelengths is not None else "Band (counted from 0)"
        self.plot.setLabel("bottom", bottom)
        quantity = _QUANTITIES.get(self._axis.quantity, "Value") if self._axis else "Value"
        self.plot.setLabel("left", quantity if self.view == RAW else VIEWS[self.view])
        style(self.plot.getPlotItem(), self._theme)
        for side in ("bottom", "left"):  # an empty plot has no numbers to believe
            self.plot.getAxis(side).setStyle(showValues=self._axis is not None)
        colour = self._theme.legible
        own = all(s.cubes in {(), (self.cube,)} for s in shown)  # where all are of one cube its name says nothing
        suffix = f" ({self.cube})" if own else ""
        self.legend.set_entries((s.name, s.name.removesuffix(suffix), colour(s.colour or self._theme.text), s.name not in self._hidden) for s in shown)
        self.library.set_names([s.name for s in curves])
        self._make_room()
        for button in (self.clear_button, self.save_button):
            button.setEnabled(bool(self._pinned))
        for button in (self.pin_button, self.means_button, self.view_button):
            button.setEnabled(self._axis is not None)
        self.map_button.setEnabled(bool(curves))
        self._write_note()

    def _write_note(self) -> None:
        away = sum(not self._fits(spectrum) for spectrum in self.pinned)
        others = "1 pinned curve" if away == 1 else f"{away} pinned curves"
        self.note.setText(self._words or (f"{others} of other units hidden." if away else self._hint()))
        self.note.setVisible(bool(self.note.text()))

    def _hint(self) -> str:
        if self._axis is None:
            return "Open a cube to see spectra."
        if self.pin_button.isChecked():
            return "A click on the image keeps the spectrum of its pixel."
        return "" if self._pinned else "Move over the image to see spectra."

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
        self.library.set_target(self.target)
