"""A spectral library beside the spectra: searched, ordered by likeness to one of them, and drawn over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListView,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_hsi_ssl.explore.match import Matches
from napari_hsi_ssl.gui.plots.legend import swatch
from napari_hsi_ssl.gui.plots.spectrum import BandAxis, Spectrum
from napari_hsi_ssl.gui.plots.views import RAW

if TYPE_CHECKING:
    from napari_hsi_ssl.cubes.library import SpectralLibrary

BEST = 3


class LibraryPanel(QWidget):
    """The entries of a library; the nearest to the curve in hand stand first, and the best or the chosen ones are drawn."""

    match_asked = Signal(object, object, str)
    """SpectralLibrary, Spectrum, view."""
    shown = Signal(list)
    """Entries as `Spectrum`, scaled to the curve in hand, to be drawn over it."""
    target_chosen = Signal(str)
    """Name of the curve that the user wants to compare."""
    opened = Signal()
    """The panel came or went."""
    pinned = Signal(list)
    """Entries as `Spectrum` to be pinned by themselves."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._library: SpectralLibrary | None = None
        self._target: Spectrum | None = None
        self._view = RAW
        self._matches: Matches | None = None
        self._references: NDArray[np.float64] | None = None
        self.title = QLabel()
        self.close_button = QToolButton(text="×", clicked=self.dismiss)
        self.close_button.setToolTip("Close the library")
        self.search = QLineEdit(placeholderText="search", clearButtonEnabled=True)
        self.search.setToolTip("Show only entries whose names hold these letters")
        self.search.textChanged.connect(self._filter)
        self.list = QListWidget()
        self.list.setWordWrap(True)
        self.list.setResizeMode(QListView.ResizeMode.Adjust)
        self.list.setIconSize(QSize(12, 12))
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setToolTip(f"The {BEST} nearest are drawn dashed; select others to see those instead. Double-click pins.")
        self.list.itemSelectionChanged.connect(self._show)
        self.list.itemDoubleClicked.connect(lambda _item: self._pin())
        self.pin_button = QPushButton("Pin", clicked=self._pin)
        self.pin_button.setToolTip("Pin the selected entries by themselves, scaled to the curve they were compared with; the nearest when none is selected")
        self.target_box = QComboBox()
        self.target_box.setToolTip("The curve that the entries are compared with; they are ordered by the spectral angle to it, in radians")
        self.target_box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.target_box.activated.connect(lambda _row: self.target_chosen.emit(self.target_box.currentText()))
        self.note = QLabel(wordWrap=True)
        top = QHBoxLayout()
        top.addWidget(self.title, 1)
        top.addWidget(self.close_button)
        bottom = QHBoxLayout()
        bottom.addWidget(self.search, 1)
        bottom.addWidget(self.pin_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(top)
        column.addLayout(bottom)
        column.addWidget(self.target_box)
        column.addWidget(self.note)
        column.addWidget(self.list, 1)

    @property
    def library(self) -> SpectralLibrary | None:
        """The library that is open."""
        return self._library

    def open(self, library: SpectralLibrary, target: Spectrum | None) -> None:
        """Show a library's entries, and ask for the order if there is a curve in hand."""
        self._library, self._target = library, target
        self.search.clear()
        self.show()
        self.opened.emit()
        self._ask()

    def dismiss(self) -> None:
        """Close the library."""
        self._library = self._matches = None
        self.hide()
        self.shown.emit([])
        self.opened.emit()

    def set_target(self, target: Spectrum | None) -> None:
        """Take another curve in hand."""
        if target is not self._target:
            self._target = target
            self._name_target()
            self._ask()

    def set_names(self, names: list[str]) -> None:
        """Offer these curves to be compared."""
        if names != [self.target_box.itemText(row) for row in range(self.target_box.count())]:
            self.target_box.clear()
            self.target_box.addItems(names)
        self._name_target()

    def _name_target(self) -> None:
        self.target_box.setCurrentText("" if self._target is None else self._target.name)
        self.target_box.setVisible(self.target_box.count() > 0)

    def set_view(self, view: str) -> None:
        """Compare in another view."""
        self._view = view
        self._ask()

    def _ask(self) -> None:
        if self._library is None:
            return
        if self._target is None:
            self.show_matches(None, None, "Pin a spectrum to find the nearest entries.")
        else:
            self.match_asked.emit(self._library, self._target, self._view)

    def show_matches(self, matches: Matches | None, references: NDArray[np.float64] | None, words: str = "") -> None:
        """Order the entries by likeness; without matches they stand in the library's order."""
        library = self._library
        if library is None:
            return
        self._matches, self._references = matches, references
        self.title.setText(f"{library.name} · {len(library.names)}")
        self.title.setToolTip(library.name)
        self._name_target()
        self.note.setText(words)
        self.note.setVisible(bool(words))
        self.list.blockSignals(True)
        self.list.clear()
        rows = [(place, None) for place in range(len(library.names))]
        if matches is not None:
            rows = list(zip(matches.order.tolist(), matches.angles.tolist(), strict=True))
        for place, angle in rows:
            name = library.names[place]
            item = QListWidgetItem(name if angle is None else f"{angle:.3f}  {name}", self.list)
            item.setData(Qt.ItemDataRole.UserRole, place)
            item.setToolTip(name)
        self.list.blockSignals(False)
        self._filter(self.search.text())
        self._show()

    def colour(self, colours: dict[str, str]) -> None:
        """Give the entries that are drawn the colours of their lines."""
        names = self._library.names if self._library is not None else ()
        for row in range(self.list.count()):
            item = self.list.item(row)
            colour = colours.get(names[item.data(Qt.ItemDataRole.UserRole)]) if names else None
            if colour is not None:
                item.setIcon(swatch(colour))
            elif not item.icon().isNull():
                item.setIcon(QIcon())

    def texts(self) -> list[str]:
        """Return the entries that are seen, from top to bottom."""
        return [self.list.item(row).text() for row in range(self.list.count()) if not self.list.item(row).isHidden()]

    def _filter(self, text: str) -> None:
        words = text.lower().split()
        for row in range(self.list.count()):
            item = self.list.item(row)
            item.setHidden(not all(word in item.text().lower() for word in words))

    def _chosen(self, otherwise: int) -> list[int]:
        rows = sorted(self.list.row(item) for item in self.list.selectedItems())
        return rows or list(range(min(otherwise, self.list.count())))

    def _show(self) -> None:
        chosen = self._chosen(BEST if self._matches is not None else 0)
        self.shown.emit([self._entry(row) for row in chosen])

    def _pin(self) -> None:
        entries = [self._entry(row) for row in self._chosen(1)]
        if entries:
            self.pinned.emit(entries)

    def _entry(self, row: int) -> Spectrum:
        """Return an entry on the bands it was compared on and scaled, else as the library has it."""
        library, target, matches = self._library, self._target, self._matches
        assert library is not None  # there are rows only of a library
        place = int(self.list.item(row).data(Qt.ItemDataRole.UserRole))
        name = library.names[place]
        if matches is None or target is None or self._references is None:
            return Spectrum(name, library.spectra[place], BandAxis(library.spectra.shape[1], library.wavelengths, library.quantity), pixels=0)
        return Spectrum(name, self._references[place] * matches.scales[row], target.axis, pixels=0)
