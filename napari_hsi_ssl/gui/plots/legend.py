"""A list of what a plot shows: coloured, to be switched on and off, and read where a legend inside the plot would cover the data."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QKeyEvent, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QListView, QListWidget, QListWidgetItem, QWidget

_SWATCH = 12
_LEAST_WIDTH = 124


def swatch(colour: str) -> QIcon:
    """Return a small square of one colour."""
    pixmap = QPixmap(_SWATCH, _SWATCH)
    pixmap.fill(QColor(colour))
    return QIcon(pixmap)


class LegendList(QListWidget):
    """Coloured entries beside a plot.

    Parameters
    ----------
    checkable : bool
        Whether every entry has a box that shows or hides what it stands for.
    removable : bool
        Whether the Delete key takes the selected entries away.
    """

    toggled = Signal(str, bool)
    """key, shown"""
    removed = Signal(str)
    """key"""

    def __init__(self, *, checkable: bool = False, removable: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._checkable = checkable
        self._removable = removable
        self._entries: list[tuple[str, str, str, bool]] = []
        self.setMinimumWidth(_LEAST_WIDTH)
        self.setWordWrap(True)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setIconSize(QSize(_SWATCH, _SWATCH))
        mode = QAbstractItemView.SelectionMode.ExtendedSelection if removable else QAbstractItemView.SelectionMode.NoSelection
        self.setSelectionMode(mode)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        if removable:
            self.setToolTip("Untick to hide; select and press Delete to remove")
        self.itemChanged.connect(self._item_changed)

    def set_entries(self, entries: Iterable[tuple[str, str, str, bool]]) -> None:
        """Show entries of (key, text, colour, shown), replacing those before."""
        entries = list(entries)
        if entries == self._entries:  # a list that is rebuilt while it is clicked loses the click, and its place
            return
        self._entries = entries
        self.blockSignals(True)
        self.clear()
        for key, text, colour, shown in entries:
            item = QListWidgetItem(swatch(colour), text, self)
            item.setData(Qt.ItemDataRole.UserRole, key)
            item.setToolTip(text.replace("\n", " · "))
            if self._checkable:
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
                item.setCheckState(Qt.CheckState.Checked if shown else Qt.CheckState.Unchecked)
        self.blockSignals(False)

    def texts(self) -> list[str]:
        """Return the entries' texts from top to bottom."""
        return [self.item(row).text() for row in range(self.count())]

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Remove the selected entries on Delete or Backspace."""
        if self._removable and event.key() in {Qt.Key.Key_Delete, Qt.Key.Key_Backspace}:
            for key in [item.data(Qt.ItemDataRole.UserRole) for item in self.selectedItems()]:
                self.removed.emit(key)
            return
        super().keyPressEvent(event)

    def _item_changed(self, item: QListWidgetItem) -> None:
        shown = item.checkState() == Qt.CheckState.Checked
        row = self.row(item)
        self._entries[row] = (*self._entries[row][:3], shown)
        self.toggled.emit(item.data(Qt.ItemDataRole.UserRole), shown)
