"""The runs of a project in a table, and a button that has to be pressed twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QPushButton, QTableWidget, QTableWidgetItem

_COLUMNS = ("Run", "Kind", "State", "Epoch", "Loss")
_EPOCH, _LOSS = 3, 4
_ARMED_MS = 5000
_FEWEST, _MOST = 3, 8
"""Rows that the table has room for."""


class RunsTable(QTableWidget):
    """One row a run, the newest on top; one of them is chosen."""

    def __init__(self) -> None:
        super().__init__(0, len(_COLUMNS))
        self.setHorizontalHeaderLabels(_COLUMNS)
        self.verticalHeader().hide()
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.setToolTip("Choose a run to resume, branch or delete it, and to see its curves")
        self._fit()

    def show_runs(self, runs: Sequence[Mapping[str, Any]], chosen: str) -> None:
        """Show rows of `steps.runs.list_runs` and choose one of them, the newest where the name is not among them."""
        blocked = self.blockSignals(True)
        names = [run["run"] for run in runs]
        chosen = chosen if chosen in names else (names[-1] if names else "")
        self.setRowCount(len(runs))
        for index, run in enumerate(reversed(runs)):
            epoch = f"{run['epoch']}/{run['epochs']}" if run["epoch"] is not None else f"–/{run['epochs']}"
            loss = "" if run["loss"] is None else f"{run['loss']:.3g}"
            for column, text in enumerate((run["run"], run["kind"], run["state"], epoch, loss)):
                item = QTableWidgetItem(text)
                item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
                self.setItem(index, column, item)
            if run["run"] == chosen:
                self.selectRow(index)
        self.blockSignals(blocked)
        self._fit()

    def _fit(self) -> None:
        """Take no more height than the rows need, so that the buttons below stay near."""
        rows = min(max(self.rowCount(), _FEWEST), _MOST)
        self.setFixedHeight(rows * self.verticalHeader().defaultSectionSize() + self.horizontalHeader().sizeHint().height() + 4)

    def chosen(self) -> str:
        """Return the name of the chosen run; "" when none is."""
        rows = self.selectionModel().selectedRows()
        item = self.item(rows[0].row(), 0) if rows else None
        return item.text() if item is not None else ""

    def tell(self, run: str, event: Mapping[str, Any]) -> None:
        """Show epoch and loss of an event of a live run."""
        for row in range(self.rowCount()):
            if self.item(row, 0).text() == run:
                epochs = self.item(row, _EPOCH).text().split("/")[-1]
                self.item(row, _EPOCH).setText(f"{event.get('epoch', '–')}/{epochs}")
                self.item(row, _LOSS).setText(f"{event['loss']:.3g}")


class TwiceButton(QPushButton):
    """A button for what cannot be taken back: the first press asks, the second within five seconds does it.

    Parameters
    ----------
    text, tooltip : str
    """

    confirmed = Signal()

    def __init__(self, text: str, tooltip: str) -> None:
        super().__init__(text)
        self._text = text
        self.setToolTip(f"{tooltip}; press twice")
        self.setStyleSheet("padding: 3px 5px;")
        self._timer = QTimer(self, singleShot=True, interval=_ARMED_MS)
        self._timer.timeout.connect(self.disarm)
        self.clicked.connect(self._pressed)

    @property
    def armed(self) -> bool:
        """Whether the next press does it."""
        return self._timer.isActive()

    def disarm(self) -> None:
        """Forget the first press."""
        self._timer.stop()
        self.setText(self._text)

    def _pressed(self) -> None:
        if self.armed:
            self.disarm()
            self.confirmed.emit()
        else:
            self.setText("Really?")
            self._timer.start()
