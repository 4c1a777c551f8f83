"""The classes that are painted in: chosen, named, coloured, merged, with what the map says of each."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QColorDialog, QHeaderView, QMenu, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.gui.forms.copying import MENU_STYLE
from napari_hsi_ssl.gui.forms.labels import swatch
from napari_hsi_ssl.gui.forms.pieces import plain_button, row
from napari_hsi_ssl.gui.painting import Painter
from napari_hsi_ssl.steps import classes as class_steps
from napari_hsi_ssl.steps.painting import Followed

if TYPE_CHECKING:
    from napari_hsi_ssl.gui.forms.base import Form

_MOST_ROWS = 9


class ClassTable(QWidget):
    """The project's classes while somebody paints; it works through the form it stands in.

    Parameters
    ----------
    form : Form
        Runs the steps and shows words and progress.
    painter : Painter
        Its strokes and its map are dressed in the classes.

    Attributes
    ----------
    picked : Signal()
        Another class is the chosen one.
    """

    picked = Signal()

    def __init__(self, form: Form, painter: Painter) -> None:
        super().__init__()
        self._form, self._painter = form, painter
        self._listing = False
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(5)
        self.list = QTreeWidget()
        self.list.setRootIsDecorated(False)
        self.list.setToolTip("The classes of the project, and what the map says of them; choose the one to paint with")
        self.list.setHeaderLabels(["Class", "Area", "Sure", "Painted"])
        for column, hint in enumerate(
            (
                "The class to paint with (Shift+X the next, Shift+Z the one before); double-click to rename it",
                "Share of the map",
                "Mean confidence",
                "Pixels",
            )
        ):
            self.list.headerItem().setToolTip(column, hint)
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        header = self.list.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column, width in ((1, 58), (2, 52), (3, 64)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            header.resizeSection(column, width)
        layout.addWidget(self.list)
        self.add = plain_button("New class", "Add a class and paint with it (Shift+M)")
        self.colour = plain_button("Colour…", "Another colour for the chosen class")
        self.merge = plain_button("Merge into ▾", "Make the chosen class part of another one, in the strokes and labels of all cubes")
        self.merge.setStyleSheet(MENU_STYLE)
        self.merge.setMenu(QMenu(self.merge))
        layout.addLayout(row(self.add, self.colour, self.merge, None))
        self.list.currentItemChanged.connect(self._picked)
        self.list.itemDoubleClicked.connect(lambda item, _column: self.list.editItem(item, 0))
        self.list.itemChanged.connect(self._renamed)
        self.add.clicked.connect(lambda _=False: self.add_class())
        self.colour.clicked.connect(self._ask_colour)
        self.merge.menu().aboutToShow.connect(self._fill_merge)

    def _picked(self, *_: object) -> None:
        if not self._listing:
            self.picked.emit()

    def show_classes(self, classes: Classes) -> None:
        """List classes; the chosen one stays chosen."""
        chosen = self.chosen()
        self._listing = True
        self.list.clear()
        for number, name, colour in zip(classes.numbers, classes.names, classes.colours, strict=True):
            item = QTreeWidgetItem([name, "", "", ""])
            item.setIcon(0, swatch(colour))
            item.setData(0, Qt.ItemDataRole.UserRole, number)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
            for column in (1, 2, 3):
                item.setTextAlignment(column, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter))
            self.list.addTopLevelItem(item)
            if number == chosen:
                self.list.setCurrentItem(item)
        self._listing = False
        self._fit()
        if self._painter.latest is not None:
            self.tell(self._painter.latest)

    def chosen(self) -> int | None:
        """Return the number of the class to paint with."""
        item = self.list.currentItem()
        return None if item is None else int(item.data(0, Qt.ItemDataRole.UserRole))

    def choose_row(self, index: int) -> None:
        """Choose a class by its place in the table."""
        if index < self.list.topLevelItemCount():
            self.list.setCurrentItem(self.list.topLevelItem(index))

    def step(self, by: int) -> None:
        """Choose another class, so many places on; after the last one the first."""
        count = self.list.topLevelItemCount()
        if count:
            self.choose_row((self.list.indexOfTopLevelItem(self.list.currentItem()) + by) % count)

    def _fit(self) -> None:
        """Take as much room as the classes need, up to nine of them."""
        rows = max(2, min(_MOST_ROWS, self.list.topLevelItemCount()))
        height = self.list.sizeHintForRow(0) if self.list.topLevelItemCount() else self.list.fontMetrics().height() + 4
        self.list.setFixedHeight(self.list.header().sizeHint().height() + rows * height + 6)

    def tell(self, found: Followed) -> None:
        """Show areas, confidence and painted pixels of every class."""
        total = max(1, int(found.pixels[1:].sum()))
        self._listing = True
        for item in self._items():
            number = int(item.data(0, Qt.ItemDataRole.UserRole))
            pixels, painted = (int(counts[number]) if number < counts.size else 0 for counts in (found.pixels, found.painted))
            texts = f"{pixels / total:.1%}" if pixels else "–", f"{found.confidence[number]:.2f}" if pixels else "–", f"{painted:,}" if painted else "–"
            for column, text in enumerate(texts, start=1):
                if item.text(column) != text:
                    item.setText(column, text)
        self._listing = False

    def tell_nothing(self) -> None:
        """Take areas and confidence away: there is no map."""
        self._listing = True
        for item in self._items():
            item.setText(1, "–")
            item.setText(2, "–")
        self._listing = False

    def _items(self) -> list[QTreeWidgetItem]:
        return [self.list.topLevelItem(index) for index in range(self.list.topLevelItemCount())]

    def add_class(self, name: str | None = None) -> None:
        """Add a class to the project and paint with it."""
        if self._form.project is not None and self._painter.ground is not None:
            self._form.run(class_steps.add_class(self._form.project, name), self._added, "a new class")

    def _added(self, report: dict[str, Any]) -> None:
        self._take(report)
        for item in self._items():
            if item.data(0, Qt.ItemDataRole.UserRole) == report["number"]:
                self.list.setCurrentItem(item)

    def _renamed(self, item: QTreeWidgetItem, column: int) -> None:
        name, number = item.text(0).strip(), int(item.data(0, Qt.ItemDataRole.UserRole))
        if self._listing or column or name == self._painter.classes.named.get(number):
            return
        self.change_class(number, name=name or None)

    def change_class(self, number: int, name: str | None = None, colour: str | None = None) -> None:
        """Rename or recolour a class of the project."""
        if self._form.project is None:
            return
        steps = class_steps.change_class(self._form.project, number, name, colour)
        self._form.run(steps, self._take, "changing the class", on_error=self._unchanged)

    def _unchanged(self, _error: BaseException, sentence: str) -> bool:
        self.show_classes(self._painter.classes)
        self._form.say(sentence, "warning")
        return True

    def _ask_colour(self) -> None:
        number = self.chosen()
        if number is not None:
            colour = QColorDialog.getColor(QColor(self._painter.classes.coloured[number]), self, "Colour of the class")
            if colour.isValid():
                self.change_class(number, colour=colour.name())

    def _fill_merge(self) -> None:
        menu, chosen = self.merge.menu(), self.chosen()
        menu.clear()
        for number, name in self._painter.classes.named.items():
            if number != chosen:
                menu.addAction(swatch(self._painter.classes.coloured[number]), name).triggered.connect(partial(self.merge_into, number))

    def merge_into(self, number: int, _checked: bool = False) -> None:
        """Make the chosen class part of another one."""
        project, chosen = self._form.project, self.chosen()
        if project is not None and chosen is not None:
            self._form.run(class_steps.merge_classes(project, chosen, number), partial(self._merged, chosen, number), "merging two classes")

    def _merged(self, number: int, into: int, report: dict[str, Any]) -> None:
        strokes = self._painter.strokes
        if strokes is not None:
            self._painter.put(np.where(strokes == number, into, strokes))
        self._take(report)
        self._form.say(f"{report['pixels']:,} labelled and painted pixels changed their class.")

    def _take(self, report: dict[str, Any]) -> None:
        classes = Classes.from_json(report["classes"])
        self._painter.dress(classes)
        self.show_classes(classes)
        self._form.desk.labels_changed.emit("")
