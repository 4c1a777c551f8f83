"""The labels of the current cube: a class for all of it, a file, a table, the folders' names, or strokes of a brush."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QComboBox, QFileDialog, QLabel, QListWidget, QListWidgetItem, QSpinBox, QVBoxLayout, QWidget

from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.gui import layers, mask_layers
from napari_hsi_ssl.gui.forms.pieces import QUIET, heading, listen, plain_button, primary, row, words_label
from napari_hsi_ssl.steps import labels as steps
from napari_hsi_ssl.steps import recipe

if TYPE_CHECKING:
    from napari_hsi_ssl.gui.forms.base import Form

_FILTER = "Labels (*.tif *.tiff *.npy *.mat *.png *.hdr *.geojson *.json *.roi *.xml);;All files (*)"


class LabelsPanel(QWidget):
    """Class labels, made or loaded; it works through the form it stands in.

    Parameters
    ----------
    form : Form
        Runs the steps and shows words and progress.
    """

    def __init__(self, form: Form) -> None:
        super().__init__()
        self._form = form
        self._names: dict[int, str] = {}
        """Classes named here and not saved yet."""
        self._made: recipe.Recipe | None = None
        """How the labels were made that were saved last, where it was not by hand."""
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 6, 0, 0)

        self.whole = QComboBox()
        self.whole.setEditable(True)
        self.whole.setToolTip("Name of the class of every used pixel of this cube")
        self.whole.lineEdit().setPlaceholderText("class name")
        self.set_whole = form.needs_project(plain_button("Set", "Give every used pixel of this cube that class"))
        layout.addLayout(row(QLabel("Whole cube is"), self.whole, self.set_whole))
        layout.itemAt(0).layout().setStretch(1, 1)
        self.file = form.needs_project(plain_button("From file…", "A raster of class numbers or polygons for this cube: TIFF, NPY, MAT, PNG, ENVI, GeoJSON"))
        self.table = form.needs_project(plain_button("From table…", "A CSV table with the columns cube and class"))
        self.folders = form.needs_project(plain_button("From folders", "Each cube's class is the name of its folder"))
        layout.addLayout(row(self.file, self.table, self.folders))

        layout.addWidget(heading("Paint"))
        self.list = QListWidget()
        self.list.setToolTip("Choose the class to paint with; double-click to rename it")
        self.list.setMaximumHeight(150)
        layout.addWidget(self.list)
        self.add = form.needs_project(plain_button("New class", "Add a class to paint with"))
        self.size = QSpinBox()
        self.size.setRange(1, 500)
        self.size.setValue(5)
        self.size.setSuffix(" px")
        self.size.setToolTip("Width of the brush in pixels")
        tools = []
        for text, mode, tooltip in (("Brush", "paint", "Paint the chosen class"), ("Eraser", "erase", "Take labels away"), ("Fill", "fill", "Fill an area")):
            button = form.needs_project(plain_button(text, f"{tooltip}; Ctrl+Z takes it back"))
            button.clicked.connect(lambda _=False, mode=mode: self.paint(mode))
            tools.append(button)
        layout.addLayout(row(self.add, *tools, self.size))
        self.told = words_label(QUIET)
        layout.addWidget(self.told)
        self.save = form.needs_project(primary("Save labels", "Save what is painted as the labels of this cube"))
        layout.addWidget(self.save)
        layout.addStretch(1)

        self.set_whole.clicked.connect(lambda: self.label_whole(self.whole.currentText()))
        self.file.clicked.connect(self._ask_file)
        self.table.clicked.connect(self._ask_table)
        self.folders.clicked.connect(self._from_folders)
        self.add.clicked.connect(self._new_class)
        self.list.currentRowChanged.connect(self._class_chosen)
        self.list.itemChanged.connect(self._renamed)
        self.size.valueChanged.connect(self._class_chosen)
        self.save.clicked.connect(self.save_labels)
        listen(form.desk.viewer.layers.events.inserted, self, "tell")  # labels that were read come some time after their cube

    # -- classes ----------------------------------------------------------------------------------------------------------

    def classes(self) -> Classes:
        """Return the project's classes and those named here."""
        project = self._form.project
        saved = project.classes if project else Classes((), (), ())
        names = {**saved.named, **self._names}
        return Classes.of(list(names), names, saved.coloured)

    def _new_class(self) -> None:
        self.add_class()

    def add_class(self, name: str | None = None) -> int:
        """Add a class and choose it; returns its number."""
        number = max(self.classes().numbers, default=0) + 1
        self._names[number] = name or f"class {number}"
        self.refresh()
        self.list.setCurrentRow(self.list.count() - 1)
        self._dress()
        return number

    def chosen(self) -> int | None:
        """Return the number of the class to paint with."""
        item = self.list.currentItem()
        return None if item is None else int(item.data(Qt.ItemDataRole.UserRole))

    def refresh(self) -> None:
        """Show the classes and what is labelled."""
        classes, chosen = self.classes(), self.chosen()
        blocked = self.list.blockSignals(True)
        self.list.clear()
        for number, name, colour in zip(classes.numbers, classes.names, classes.colours, strict=True):
            item = QListWidgetItem(swatch(colour), name)
            item.setData(Qt.ItemDataRole.UserRole, number)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
            item.setToolTip(f"class number {number}")
            self.list.addItem(item)
            if number == chosen:
                self.list.setCurrentItem(item)
        self.list.blockSignals(blocked)
        text = self.whole.currentText()
        self.whole.clear()
        self.whole.addItems(list(classes.names))
        self.whole.setEditText(text)
        self.tell()

    def tell(self, *_: object) -> None:
        """Say how much of the cube is labelled."""
        layer = self._layer()
        if layer is None:
            self.told.setText("This cube has no labels yet.")
            return
        count = int(np.count_nonzero(layer.data))
        self.told.setText(f"{count:,} pixels labelled · " + ("not saved yet" if layers.unsaved(layer) else "saved"))

    def _renamed(self, item: QListWidgetItem) -> None:
        if item.text().strip():
            self._names[int(item.data(Qt.ItemDataRole.UserRole))] = item.text().strip()
            self._dress()
        self.refresh()

    def _dress(self) -> None:
        layer = self._layer()
        if layer is not None:
            mask_layers.dress(layer, self.classes())

    def _layer(self) -> Any:  # noqa: ANN401 - a Labels layer or None
        return layers.find(self._form.desk.viewer, "labels", self._form.desk.cube)

    # -- painting ---------------------------------------------------------------------------------------------------------

    def paint(self, mode: str) -> None:
        """Put a brush into the user's hand; makes a class and a layer where there is none."""
        project, cube = self._form.project, self._form.desk.cube
        if project is None or not cube:
            return
        if self.chosen() is None:
            if self.list.count() == 0:
                self.add_class()
            self.list.setCurrentRow(0)
        layer = self._layer()
        if layer is None:
            layer = mask_layers.show_labels(self._form.desk.viewer, cube, np.zeros(project.entry(cube).shape[:2], dtype=np.int32), self.classes(), saved=True)
        layer.events.paint.connect(self.tell)
        self._form.canvas.look_at("labels")
        mask_layers.paint_with(self._form.desk.viewer, layer, self.chosen() or 1, mode, self.size.value())

    def _class_chosen(self, *_: object) -> None:
        layer = self._layer()
        if layer is not None and self.chosen() is not None:
            layer.selected_label = self.chosen()
            layer.brush_size = self.size.value()

    def save_labels(self) -> None:
        """Save the labels on the canvas."""
        project, cube, layer = self._form.project, self._form.desk.cube, self._layer()
        if project is None or layer is None:
            self._form.say("There are no labels on the canvas yet: choose a class and paint.", "warning")
            return
        painted = np.array(layer.data, dtype=np.int32)
        self._made = None
        self._form.run(steps.save_painted(project, cube, painted, dict(self._names)), self._saved, "saving the labels")

    # -- from elsewhere ---------------------------------------------------------------------------------------------------

    def label_whole(self, name: str) -> None:
        """Give the whole current cube one class."""
        project, cube = self._form.project, self._form.desk.cube
        if project is None or not cube or not name.strip():
            self._form.say("Type the name of the class first.", "warning")
            return
        self._made = recipe.labels(project.folder, cube, class_name=name.strip())
        self._form.run(steps.label_whole_cube(project, cube, name.strip()), self._saved, f"labelling {cube}")

    def from_file(self, path: Path) -> None:
        """Read the labels of the current cube from a file."""
        project, cube = self._form.project, self._form.desk.cube
        if project is not None and cube:
            self._made = recipe.labels(project.folder, cube, source=path)
            self._form.run(steps.labels_from_file(project, cube, path), self._saved, f"reading {path.name}")

    def _ask_file(self) -> None:
        memory = self._form.memory
        path, _ = QFileDialog.getOpenFileName(self, "Labels of this cube", memory.folder("labels") or memory.folder("cubes"), _FILTER)
        if path:
            memory.used("labels", Path(path))
            self.from_file(Path(path))

    def _ask_table(self) -> None:
        memory = self._form.memory
        path, _ = QFileDialog.getOpenFileName(self, "Table of classes", memory.folder("labels"), "CSV tables (*.csv *.txt);;All files (*)")
        if path and self._form.project is not None:
            memory.used("labels", Path(path))
            self._made = recipe.labels_of_all(self._form.project.folder, Path(path))
            self._form.run(steps.labels_from_table(self._form.project, Path(path)), self._saved, "reading the table")

    def _from_folders(self) -> None:
        if self._form.project is not None:
            self._made = recipe.labels_of_all(self._form.project.folder)
            self._form.run(steps.labels_from_folders(self._form.project), self._saved, "labelling by folder")

    def recipe(self) -> recipe.Recipe | None:
        """Return how the labels were made last; painted ones are read from their file in the project."""
        project, cube = self._form.project, self._form.desk.cube
        if project is None or not cube:
            return None
        if self._made is not None and self._made.arguments == (str(project.folder.absolute()),):
            return self._made
        path = project.labels_path(cube)
        return recipe.labels(project.folder, cube, source=path) if path.exists() else None

    def _saved(self, report: dict[str, Any]) -> None:
        self._names.clear()
        self.whole.clearEditText()
        desk = self._form.desk
        for cube in report["cubes"]:
            layer = layers.find(desk.viewer, "labels", cube)
            if layer is not None:
                layers.mark_unsaved(layer, False)
        desk.labels_changed.emit("")
        pixels = sum(row["labelled"] for row in report["cubes"].values())
        classes = {number for row in report["cubes"].values() for number in row["pixels"]}
        cubes = len(report["cubes"])
        self._form.say(f"{pixels:,} pixels in {len(classes)} class{'es' * (len(classes) != 1)} of {cubes} cube{'s' * (cubes != 1)} are labelled.")


def swatch(colour: str, side: int = 14) -> QIcon:
    """Return a square of a colour."""
    pixmap = QPixmap(side, side)
    pixmap.fill(QColor(colour))
    return QIcon(pixmap)
