"""Training runs side by side, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QApplication, QHBoxLayout, QHeaderView, QLabel, QPushButton, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from napari_hsi_ssl.gui.plots.run_curves import duration
from napari_hsi_ssl.gui.plots.tables import Table, written
from napari_hsi_ssl.runs.story import memory_words

_NOTHING = "Tick two runs or more in the list to the right."
_WORDS = {
    "knn_accuracy": "kNN in training", "validation_accuracy": "Validation", "accuracy": "On training labels", "multiply_adds": "Multiply-adds",
    "throughput": "Patches/s", "memory": "Most memory", "seconds": "Time", "domain knn_accuracy": "kNN, domains", "domain linear_probe": "Probe, domains",
    "class knn_accuracy": "kNN, classes", "class linear_probe": "Probe, classes",
}  # fmt: skip


def comparison_table(report: Mapping[str, Any]) -> Table:
    """Return the report of `steps.comparison.compare_runs` as a table: a row a setting that differs, then a row a figure."""
    rows = [(name.replace("_", " ").capitalize(), *map(_setting, values)) for name, values in report["settings"].items()]
    rows = rows or [("All settings are the same", *[""] * len(report["runs"]))]
    rows += [(_WORDS.get(name, name.replace("_", " ").capitalize()), *(_figure(name, value) for value in values)) for name, values in report["figures"].items()]
    return Table(("", *report["runs"]), tuple(rows), ("text",) * (1 + len(report["runs"])), note="\n".join(report["notes"]))


def _setting(value: object) -> str:
    return "–" if value is None else "yes" if value is True else "no" if value is False else f"{value:.6g}" if isinstance(value, float) else str(value)


def _figure(name: str, value: Any) -> str:  # noqa: ANN401 - a number, words, or nothing
    if value is None or isinstance(value, str):
        return "–" if value is None else value
    if name == "seconds":
        return duration(value)
    if name == "memory":
        return memory_words(value)
    return written(value, "percent" if name.endswith(("accuracy", "linear_probe")) else "count" if isinstance(value, int) or name == "throughput" else "number")


class ComparisonView(QWidget):
    """The table, and what must be known to read it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._table: Table | None = None
        self.grid = QTableWidget(0, 0)
        self.grid.verticalHeader().hide()
        self.grid.verticalHeader().setDefaultSectionSize(22)
        self.grid.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.grid.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.grid.setToolTip("Settings in which the ticked runs differ, then their figures")
        self.grid.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.note = QLabel(_NOTHING, wordWrap=True)
        self.copy_button = QPushButton("Copy", clicked=self.copy)
        self.copy_button.setToolTip("Copy the table, to be pasted into a spreadsheet")
        self.copy_button.setStyleSheet("padding: 2px 6px;")
        below = QHBoxLayout()
        below.addWidget(self.note, 1)
        below.addWidget(self.copy_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.grid, 1)
        column.addLayout(below)
        self.show_report(None)

    def show_report(self, report: Mapping[str, Any] | None) -> None:
        """Show a comparison, or what to do for one."""
        self._table = comparison_table(report) if report is not None else None
        table = self._table or Table((), (), ())
        self.grid.setVisible(bool(table.rows))
        self.copy_button.setVisible(bool(table.rows))
        self.note.setText(table.note if report is not None else _NOTHING)
        self.grid.setRowCount(len(table.rows))
        self.grid.setColumnCount(len(table.columns))
        self.grid.setHorizontalHeaderLabels(list(table.columns))
        settings = len(report["settings"]) if report is not None else 0
        for row in range(len(table.rows)):
            for column in range(len(table.columns)):
                item = QTableWidgetItem(table.text(row, column))
                if column:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                elif row < settings:
                    item.setToolTip("A setting in which the runs differ")
                self.grid.setItem(row, column, item)

    def copy(self) -> None:
        """Put the table on the clipboard, columns parted by tabs as spreadsheets take them."""
        if self._table is not None:
            lines = [self._table.columns, *self._table.rows]
            QApplication.clipboard().setText("\n".join("\t".join(map(str, line)) for line in lines) + "\n")
