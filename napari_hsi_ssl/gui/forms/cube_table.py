"""The table of a project's cubes: what is in view is asked for, so ten thousand rows cost what ten do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from napari_hsi_ssl.project import CubeEntry

_COLUMNS: Final = ("Cube", "Domain", "Size", "Bands", "Quantity")
_DOMAIN: Final = 1
_MEASURED_ROWS: Final = 50
"""Rows that say how wide the columns are."""


class CubeRows(QAbstractTableModel):
    """The cubes of a project, one a row.

    Attributes
    ----------
    domain_given : Signal(str, str)
        The user typed another domain for a cube: names of both. The row shows what the project notes.
    """

    domain_given = Signal(str, str)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._entries: list[CubeEntry] = []
        self._rows: dict[str, int] = {}

    def show_entries(self, entries: Sequence[CubeEntry]) -> None:
        """Show these cubes; the rows stay as they are where nothing changed."""
        entries = list(entries)
        if entries == self._entries:
            return
        self.beginResetModel()
        self._entries, self._rows = entries, {entry.name: row for row, entry in enumerate(entries)}
        self.endResetModel()

    def name(self, row: int) -> str:
        """Return the name of the cube of a row."""
        return self._entries[row].name

    def row(self, name: str) -> int | None:
        """Return the row of a cube; None when it is not shown."""
        return self._rows.get(name)

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Qt's."""
        return 0 if parent is not None and parent.isValid() else len(self._entries)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Qt's."""
        return 0 if parent is not None and parent.isValid() else len(_COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:  # noqa: ANN401
        """Qt's."""
        return _COLUMNS[section] if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole else None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:  # noqa: ANN401
        """Qt's."""
        if role not in {Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole, Qt.ItemDataRole.ToolTipRole}:
            return None
        entry, column = self._entries[index.row()], index.column()
        if column == 0 and role == Qt.ItemDataRole.ToolTipRole:
            return str(entry.path)
        return (entry.name, entry.domain, _size(entry), str(entry.shape[2]), entry.quantity)[column]

    def flags(self, index: QModelIndex) -> Any:  # noqa: ANN401
        """Qt's."""
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsEditable if index.column() == _DOMAIN else flags

    def setData(self, index: QModelIndex, value: object, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Tell which domain was typed."""
        if role == Qt.ItemDataRole.EditRole and index.column() == _DOMAIN:
            self.domain_given.emit(self.name(index.row()), str(value).strip())
        return False


class CubeTable(QTableView):
    """The cubes of a project to choose one of.

    Attributes
    ----------
    chosen : Signal(str)
        The user chose a cube.
    """

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.rows = CubeRows(self)
        self.setModel(self.rows)
        self.verticalHeader().hide()
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        header = self.horizontalHeader()
        header.setResizeContentsPrecision(_MEASURED_ROWS)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.selectionModel().selectionChanged.connect(self._selected)

    def show_entries(self, entries: Sequence[CubeEntry], current: str) -> None:
        """Show these cubes and mark the current one."""
        self.rows.show_entries(entries)
        row = self.rows.row(current)
        if row is None:
            self.clearSelection()
        elif not self.selectionModel().isRowSelected(row, QModelIndex()):
            self.selectRow(row)

    def _selected(self, *_: object) -> None:
        rows = self.selectionModel().selectedRows()
        if rows:
            self.chosen.emit(self.rows.name(rows[0].row()))


def _size(entry: CubeEntry) -> str:
    size = f"{entry.shape[0]}×{entry.shape[1]}"
    if entry.crop is None:
        return size
    y0, x0, y1, x1 = entry.crop
    return f"{y1 - y0}×{x1 - x0} of {size}"
