"""What has been judged: accuracies of a backbone, areas of a map, the score of a map; to read, copy and save."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QBoxLayout,
    QFileDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QListView,
    QListWidget,
    QPushButton,
    QScrollArea,
    QSplitter,
    QStackedWidget,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.files import write_bytes
from napari_hsi_ssl.gui.plots.confusion import ConfusionPlot
from napari_hsi_ssl.gui.plots.legend import swatch
from napari_hsi_ssl.gui.plots.reliability import ReliabilityPlot
from napari_hsi_ssl.gui.plots.tables import Table, accuracy_table, area_table, baselines_table, class_table, confusion_csv, plain_table, score_words
from napari_hsi_ssl.gui.plots.theme import Theme
from napari_hsi_ssl.gui.plots.trust_tables import agreement_table, areas_table

_SIDE_WIDTH = 166
_WORDS_WIDTH = 128
_WORDS_BESIDE = 480
_ANY_WIDTH = 2**24 - 1
_COLUMN = 64
_KEPT = 50
_NOTHING = "No result yet: judge a run or make a map in step 6, Classify."


@dataclass(frozen=True)
class Result:
    """One report and how it is shown.

    Attributes
    ----------
    title : str
        Unique: a new result of the same title replaces the older one.
    table : Table
    score : dict, optional
        Report of `metrics.scores.report`: shown as a confusion matrix instead of the table.
    """

    title: str
    table: Table
    score: Mapping[str, Any] | None = None

    def csv(self) -> str:
        """Return everything that is shown as CSV."""
        return self.table.csv() if self.score is None else f"{self.table.csv()}\n{confusion_csv(self.score)}"


def evaluation(run: str, report: Mapping[str, Any]) -> Result:
    """Return the report of `steps.evaluate.evaluate` as a result."""
    return Result(f"{run} · {report.get('labels', 'domain')} labels", accuracy_table(report))


def map_areas(name: str, areas: Mapping[str, int], classes: Classes, confidence: float | None = None) -> Result:
    """Return the areas (pixels by class name) of a map as a result."""
    return Result(name, area_table(areas, classes, confidence))


def report_of(kind: str, report: Mapping[str, Any]) -> Result:
    """Return a report of `steps.judge` as a result: a score with its confusion matrix, any other as a plain table."""
    # A report that does not say of what it is must not replace the one before it.
    title = f"{kind} · {report.get('map') or time.strftime('%H:%M:%S')}".replace("--", " · ")
    if "rows" in report and "reference" in report:
        return Result(title, baselines_table(report))
    if "confusion" in report and "names" in report:
        return Result(title, class_table(report), report)
    if "differences" in report:
        return Result(title, agreement_table(report))
    if "judged_share" in report:
        return Result(title, areas_table(report))
    return Result(title, plain_table(report))


class ResultsView(QWidget):
    """A list of results and the one that is chosen.

    Attributes
    ----------
    page_wanted : Signal(str, str, str)
        Map, labels and page: a report of the map, scored with the labels, is to be written there.
    """

    page_wanted = Signal(str, str, str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._results: dict[str, Result] = {}
        self.list = QListWidget()
        self.list.setToolTip("Results of this project, the latest last; choose one to see it")
        self.list.setWordWrap(True)
        self.list.setResizeMode(QListView.ResizeMode.Adjust)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.currentRowChanged.connect(self._show_current)
        self.copy_button = QPushButton("Copy", clicked=self.copy)
        self.copy_button.setToolTip("Copy the numbers, to be pasted into a spreadsheet")
        self.csv_button = QPushButton("CSV…", clicked=self._save_csv)
        self.csv_button.setToolTip("Save the numbers as CSV")
        self.png_button = QPushButton("PNG…", clicked=self._save_png)
        self.png_button.setToolTip("Save what is shown as a picture")
        self.html_button = QPushButton("HTML…", clicked=self._save_page)
        self.html_button.setToolTip("Save one page about the map: pictures, accuracies and what they are worth, areas, how it was made")
        self.content: QWidget = QLabel(_NOTHING, wordWrap=True)

        buttons = QGridLayout()
        buttons.setSpacing(2)
        for place, button in enumerate((self.copy_button, self.csv_button, self.png_button, self.html_button)):
            buttons.addWidget(button, *divmod(place, 2))
        left, right = QWidget(), QWidget()
        side = QVBoxLayout(left)
        side.setContentsMargins(0, 0, 0, 0)
        side.addWidget(self.list, 1)
        side.addLayout(buttons)
        self.place = QVBoxLayout(right)
        self.place.setContentsMargins(0, 0, 0, 0)
        left.setMinimumWidth(_SIDE_WIDTH)
        split = QSplitter(Qt.Orientation.Horizontal, childrenCollapsible=False)
        split.addWidget(left)
        split.addWidget(right)
        split.setStretchFactor(0, 0)
        split.setStretchFactor(1, 1)
        split.setSizes([_SIDE_WIDTH, 600])
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 6, 6, 4)
        row.addWidget(split)
        self.place.addWidget(self.content)
        self._enable()

    # -- what is shown --------------------------------------------------------------------------------------------------

    @property
    def titles(self) -> list[str]:
        """The results, the newest first."""
        return [self.list.item(row).text() for row in range(self.list.count())]

    @property
    def current(self) -> Result | None:
        """The result that is shown."""
        item = self.list.currentItem()
        return self._results.get(item.text()) if item is not None else None

    def set_theme(self, theme: Theme) -> None:
        """Redraw in other colours."""
        self._theme = theme
        self._show_current()

    def add(self, result: Result) -> None:
        """Put a result on top of the list and show it."""
        self.list.blockSignals(True)
        if result.title in self._results:
            self.list.takeItem(self.titles.index(result.title))
        self._results[result.title] = result
        self.list.insertItem(0, result.title)
        self.list.item(0).setToolTip(result.title)
        while self.list.count() > _KEPT:
            self._results.pop(self.list.takeItem(self.list.count() - 1).text())
        self.list.setCurrentRow(0)
        self.list.blockSignals(False)
        self._show_current()

    def clear(self) -> None:
        """Forget all results."""
        self._results.clear()
        self.list.clear()
        self._show_current()

    def _show_current(self, _row: int = 0) -> None:
        result = self.current
        if result is None:
            content: QWidget = QLabel(_NOTHING, wordWrap=True)
        elif result.score is not None:
            content = _ScoreView(result.score, self._theme)
        else:
            content = _table_view(result.table)
        self.place.replaceWidget(self.content, content)
        self.content.hide()
        self.content.deleteLater()
        self.content = content
        self._enable()

    def _enable(self) -> None:
        for button in (self.copy_button, self.csv_button, self.png_button):
            button.setEnabled(self.current is not None)
        self.html_button.setEnabled(self.current is not None and "path" in (self.current.score or {}))

    # -- export -----------------------------------------------------------------------------------------------------------

    def copy(self) -> None:
        """Put the numbers on the clipboard, columns parted by tabs as spreadsheets take them."""
        if self.current is not None:
            QApplication.clipboard().setText(tabs(self.current.csv()))

    def _save_csv(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save numbers", "result.csv", "CSV (*.csv)")
        if path and self.current is not None:
            write_bytes(Path(path), self.current.csv().encode())

    def _save_png(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save picture", "result.png", "PNG (*.png)")
        if path:
            self.content.grab().save(path, "PNG")

    def _save_page(self) -> None:
        score = self.current.score if self.current is not None else None
        if score is not None and "path" in score:
            path, _ = QFileDialog.getSaveFileName(self, "Save report", f"{Path(score['path']).stem}.html", "Page (*.html)")
            if path:
                self.page_wanted.emit(score["path"], score["labels"], path)


def tabs(text: str) -> str:
    """Return CSV with tabs between its columns."""
    stream = io.StringIO()
    csv.writer(stream, delimiter="\t", lineterminator="\n").writerows(csv.reader(io.StringIO(text)))
    return stream.getvalue()


def _table_view(table: Table) -> QWidget:
    grid = QTableWidget(len(table.rows), len(table.columns))
    grid.setHorizontalHeaderLabels(list(table.columns))
    grid.verticalHeader().hide()
    grid.verticalHeader().setDefaultSectionSize(24)
    grid.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    grid.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    for row in range(len(table.rows)):
        for column, how in enumerate(table.formats):
            item = QTableWidgetItem(table.text(row, column))
            if how != "text":
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            if column == 0 and table.colours and table.colours[row]:
                item.setIcon(swatch(table.colours[row]))
            grid.setItem(row, column, item)
    header = grid.horizontalHeader()
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    header.setMinimumSectionSize(_COLUMN)
    note = QLabel(table.note, wordWrap=True)
    note.setVisible(bool(table.note))
    view = QWidget()
    column = QVBoxLayout(view)
    column.setContentsMargins(0, 0, 0, 0)
    column.addWidget(grid, 1)
    column.addWidget(note)
    return view


class _ScoreView(QWidget):
    """A confusion matrix and its figures: in a column beside it, or above it where that would push it out of sight."""

    def __init__(self, report: Mapping[str, Any], theme: Theme) -> None:
        super().__init__()
        plot = ConfusionPlot(report, theme)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidget(plot)
        self._figures = score_words(report)
        self.words = QLabel(self._figures, wordWrap=True)
        self.words.setToolTip(self._figures)
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.cell = QLabel("", wordWrap=True)
        plot.pointed.connect(self.cell.setText)
        self._side = QVBoxLayout()
        self._side.addWidget(self.words)
        self._side.addWidget(self.cell)
        if len(report["names"]) <= plot.numbered:
            self.percent = QPushButton("Percent", checkable=True)
            self.percent.setToolTip("Percent of each class's labelled pixels in the cells, instead of how many")
            self.percent.toggled.connect(lambda on: plot.write(shares=on))
            self._side.addWidget(self.percent)
        shown: QWidget = scroll
        if report.get("reliability"):
            shown = QStackedWidget()
            self.reliability = ReliabilityPlot(report, theme)
            for page in (scroll, self.reliability):
                shown.addWidget(page)
            self.believed = QPushButton("Reliability", checkable=True)
            self.believed.setToolTip("Confidence of the map against its accuracy, instead of the confusion matrix")
            self.believed.toggled.connect(lambda on: shown.setCurrentIndex(int(on)))
            self._side.addWidget(self.believed)
        self._side.addStretch()
        self._both = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._both.setContentsMargins(0, 0, 0, 0)
        self._both.addLayout(self._side)
        self._both.addWidget(shown, 1)
        self._arrange(wide=True)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Put the figures where they leave room for the matrix."""
        super().resizeEvent(event)
        wide = self.width() >= _WORDS_BESIDE
        if wide != (self._both.direction() == QBoxLayout.Direction.LeftToRight):
            self._arrange(wide=wide)

    def _arrange(self, *, wide: bool) -> None:
        self._both.setDirection(QBoxLayout.Direction.LeftToRight if wide else QBoxLayout.Direction.TopToBottom)
        self.words.setText(self._figures if wide else self._figures.replace("\n", " · "))
        for label in (self.words, self.cell):
            label.setMinimumWidth(_WORDS_WIDTH if wide else 0)
            label.setMaximumWidth(_WORDS_WIDTH if wide else _ANY_WIDTH)
