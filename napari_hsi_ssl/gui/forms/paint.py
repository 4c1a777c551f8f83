"""Paint and see: a few strokes, and the map follows the brush; then training labels, or the maps of all cubes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QHideEvent, QKeySequence
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QColorDialog,
    QComboBox,
    QFormLayout,
    QHeaderView,
    QMenu,
    QShortcut,
    QSpinBox,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_hsi_ssl.config import PaintConfig
from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.gui.forms.copying import MENU_STYLE
from napari_hsi_ssl.gui.forms.fields import tidy
from napari_hsi_ssl.gui.forms.labels import swatch
from napari_hsi_ssl.gui.forms.pieces import QUIET, boxed, plain_button, primary, row, words_label
from napari_hsi_ssl.gui.painting import Painter, read_ground
from napari_hsi_ssl.gui.wording import in_window
from napari_hsi_ssl.mapping.raw import NAME as SPECTRA
from napari_hsi_ssl.mapping.training_free import NAME as TRAINING_FREE
from napari_hsi_ssl.steps import classes as class_steps
from napari_hsi_ssl.steps import recipe
from napari_hsi_ssl.steps.features import beside
from napari_hsi_ssl.steps.paint import paint, strokes_as_labels
from napari_hsi_ssl.steps.painting import Followed, Ground, prepare_ground

if TYPE_CHECKING:
    from napari_hsi_ssl.gui.forms.base import Form

_HEADS = {
    "logistic": ("Logistic", "Logistic regression of the painted pixels: the best of the three in our trials"),
    "prototype": ("Nearest prototype", "The class whose mean is nearest"),
    "knn": ("kNN", "The class of the nearest painted pixel"),
}
_START, _END = "✎ Paint", "End painting"
_FIRST = "Choose a class, paint a little of it on the image, then of another one."


class PaintPanel(QWidget):
    """Painting with a map that follows; it works through the form it stands in.

    Keys work in the whole window while the panel can be seen.

    Parameters
    ----------
    form : Form
        Runs the steps and shows words and progress.
    """

    def __init__(self, form: Form) -> None:
        super().__init__()
        self._form = form
        self._wanted = False
        """Whether another cube is to be painted on once it is the current one."""
        self._listing = False
        self.painter = Painter(form.desk, self)
        self.painter.followed.connect(self._tell)
        self.painter.told.connect(self._say_why)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 6, 0, 0)
        layout.setSpacing(5)
        self.features = QComboBox()
        self.features.setToolTip(
            "What pixels are told apart by: training-free features need no training; those of a trained run see more of their surroundings"
        )
        self.head = QComboBox()
        self.head.setToolTip("What learns from the painted pixels")
        for name, (words, hint) in _HEADS.items():
            self.head.addItem(words, name)
            self.head.setItemData(self.head.count() - 1, hint, Qt.ItemDataRole.ToolTipRole)
        lines = tidy(QFormLayout())
        for words, box in (("Features", self.features), ("Learn by", self.head)):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(12)
            lines.addRow(words, box)
        layout.addLayout(lines)
        self.start = form.needs_project(primary(_START, "Make this cube ready to be painted on; its map follows the brush (Shift+P)"))
        layout.addWidget(self.start)
        self.told = words_label(QUIET)
        layout.addWidget(self.told)
        self.tools = self._tools()
        layout.addWidget(self.tools)
        layout.addStretch(1)
        self._connect()
        self._keys()
        self.refresh()

    def _tools(self) -> QWidget:
        layout = QVBoxLayout()
        layout.setSpacing(5)
        self.list = QTreeWidget()
        self.list.setRootIsDecorated(False)
        self.list.setHeaderLabels(["Class", "Area", "Sure", "Painted"])
        for column, hint in enumerate(
            ("Choose the class to paint with (Shift+1 … 9); double-click to rename it", "Share of the map", "Mean confidence", "Pixels")
        ):
            self.list.headerItem().setToolTip(column, hint)
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.list.setMaximumHeight(190)
        header = self.list.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column, width in ((1, 58), (2, 52), (3, 64)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            header.resizeSection(column, width)
        layout.addWidget(self.list)
        self.add = plain_button("New class", "Add a class and paint with it (Shift+A)")
        self.colour = plain_button("Colour…", "Another colour for the chosen class")
        self.merge = plain_button("Merge into ▾", "Make the chosen class part of another one, in the strokes and labels of all cubes")
        self.merge.setStyleSheet(MENU_STYLE)
        self.merge.setMenu(QMenu(self.merge))
        layout.addLayout(row(self.add, self.colour, self.merge, None))
        self.brush = plain_button("Brush", "Paint with the chosen class (Shift+B)")
        self.eraser = plain_button("Eraser", "Take strokes away (Shift+E)")
        self.undo = plain_button("↶", "Take the last stroke back (Ctrl+Z)")
        self.redo = plain_button("↷", "Paint it again (Ctrl+Shift+Z)")
        for button in (self.undo, self.redo):
            button.setFixedWidth(32)
        self.size = QSpinBox()
        self.size.setRange(1, 200)
        self.size.setValue(5)
        self.size.setSuffix(" px")
        self.size.setToolTip("Width of the brush ([ and ] on the image)")
        layout.addLayout(row(self.brush, self.eraser, self.size, self.undo, self.redo, None))
        self.next = plain_button("Next place", "Go to the next of the numbered regions: there the map is least sure, so a stroke teaches most (Shift+U)")
        self.sure = QCheckBox("Confidence")
        self.sure.setToolTip("Show how sure the map is of every pixel, from 0 (dark) to 1 (bright), instead of the classes (Shift+C)")
        layout.addLayout(row(self.next, self.sure, None))
        self.labels = plain_button("Use as training labels", "Make the strokes labels of this cube, for self-distillation and kNN; labels beside them stay")
        self.keep = plain_button("Save map", "Keep this map in the project, with its confidence")
        self.every = plain_button("Apply to all cubes", "Map every cube of the project by these strokes, in the background")
        layout.addLayout(row(self.labels, self.keep, self.every))
        return boxed(layout)

    def _connect(self) -> None:
        form = self._form
        self.start.clicked.connect(self.toggle)
        self.head.currentIndexChanged.connect(self._head_chosen)
        self.features.activated.connect(self._features_chosen)
        self.list.currentItemChanged.connect(lambda *_: self._hold("paint"))
        self.list.itemDoubleClicked.connect(lambda item, _column: self.list.editItem(item, 0))
        self.list.itemChanged.connect(self._renamed)
        self.size.valueChanged.connect(lambda _: self._hold())
        self.add.clicked.connect(lambda _=False: self.add_class())
        self.colour.clicked.connect(self._ask_colour)
        self.merge.menu().aboutToShow.connect(self._fill_merge)
        self.brush.clicked.connect(lambda: self._hold("paint"))
        self.eraser.clicked.connect(lambda: self._hold("erase"))
        self.undo.clicked.connect(lambda: self.painter.step(False))
        self.redo.clicked.connect(lambda: self.painter.step(True))
        self.next.clicked.connect(self.go_next)
        self.sure.toggled.connect(self.painter.show_sureness)
        self.labels.clicked.connect(self.use_as_labels)
        self.keep.clicked.connect(lambda: self.save_maps(every=False))
        self.every.clicked.connect(lambda: self.save_maps(every=True))
        form.desk.cube_changed.connect(self._cube_changed)
        form.desk.project_changed.connect(self._project_changed)
        form.desk.masks_changed.connect(self._mask_changed)
        form.desk.labels_changed.connect(self._classes_changed)
        form.canvas.map_shown.connect(self._other_map)

    def _keys(self) -> None:
        done: dict[str, Callable[[], object]] = {
            "Shift+P": self.start.click,
            "Shift+A": self.add.click,
            "Shift+B": self.brush.click,
            "Shift+E": self.eraser.click,
            "Shift+U": self.next.click,
            "Shift+C": self.sure.toggle,
            "Ctrl+Z": self.undo.click,
            "Ctrl+Shift+Z": self.redo.click,
        }
        for number in range(1, 10):
            done[f"Shift+{number}"] = partial(self._choose_row, number - 1)
        self.shortcuts = {}
        for keys, act in done.items():
            # A child of the panel: Qt lets a shortcut rest while its parent cannot be seen.
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
            shortcut.activated.connect(act)
            self.shortcuts[keys] = shortcut

    # -- state --------------------------------------------------------------------------------------------------------------

    @property
    def painting(self) -> bool:
        """Whether the user paints now."""
        return self.painter.ground is not None

    def config(self) -> PaintConfig:
        """Return the settings as they stand."""
        return PaintConfig(head=self.head.currentData())

    def run_name(self) -> str:
        """Return whose features pixels are told apart by."""
        return self.features.currentText() or TRAINING_FREE

    def recipe(self) -> recipe.Recipe | None:
        """Return the map of the strokes as a text that makes it elsewhere."""
        project, cube = self._form.project, self._form.desk.cube
        return recipe.paint(project.folder, cube, self.config(), self.run_name()) if project is not None and cube and self.painting else None

    def refresh(self) -> None:
        """Offer what there is to paint by, and show the tools while somebody paints."""
        names = [run["run"] for run in reversed(self._form.desk.runs) if run["kind"] == "pretrain" and run["state"] == "finished"]
        offered = [TRAINING_FREE, *(name for run in names for name in (beside(run), run)), SPECTRA]
        if offered != [self.features.itemText(index) for index in range(self.features.count())]:
            kept = self.features.currentText()
            self.features.clear()
            self.features.addItems(offered)
            self.features.setCurrentIndex(max(0, self.features.findText(kept)))
        self.tools.setVisible(self.painting)
        self.start.setText(_END if self.painting else _START)
        project = self._form.project
        self.every.setVisible(project is not None and len(project.entries) > 1)
        if not self.painting:
            self.told.setText(
                "A map at once from a few strokes, without labels and without training." if project is not None and project.entries else "Needs cubes: form 1."
            )

    # -- beginning and end --------------------------------------------------------------------------------------------------

    def toggle(self) -> None:
        """Begin painting on the current cube, or end it."""
        self._wanted = not self.painting
        if self.painting:
            self.end()
        else:
            self.begin()

    def begin(self) -> None:
        """Make the current cube ready to be painted on."""
        project, cube = self._form.project, self._form.desk.cube
        if project is None or not cube:
            return
        self._wanted = True
        preparing = read_ground(project, cube, prepare_ground(project, cube, self.run_name()))
        self._form.run(preparing, self._begun, f"making {cube} ready to be painted on", on_error=self._not_begun)

    def _begun(self, found: tuple[Ground, Any, Classes]) -> None:
        ground, strokes, classes = found
        desk = self._form.desk
        if not desk.alive or ground.cube != desk.cube or not self._wanted:
            return
        self.painter.config = self.config()
        self.painter.begin(ground, strokes, classes)
        self.told.setText(_FIRST)
        self._list(classes)
        self.refresh()
        if self.list.topLevelItemCount():
            self.list.setCurrentItem(self.list.topLevelItem(0))
        elif self.isVisible():
            self.add_class("class 1")
        self._hold("paint")

    def _not_begun(self, _error: BaseException, sentence: str) -> bool:
        self._wanted = False
        self.told.setText(sentence)
        return True

    def end(self) -> None:
        """Put the brush down; strokes are saved already."""
        self.painter.stop()
        self.refresh()

    def hideEvent(self, event: QHideEvent) -> None:
        """Let clicks on the image be clicks again."""
        super().hideEvent(event)
        if not event.spontaneous() and self._form.desk.alive:
            self._hold("pan_zoom")

    def _cube_changed(self, _cube: str) -> None:
        wanted = self._wanted and self.isVisible()
        self.end()
        if wanted and self._form.desk.cube:
            self.begin()

    def _project_changed(self) -> None:
        ground, project = self.painter.ground, self._form.project
        if ground is not None and (project is None or ground.cube not in project.entries or ground.cube != self._form.desk.cube):
            self._wanted = False
            self.end()

    def _mask_changed(self, cube: str) -> None:
        ground = self.painter.ground
        if ground is not None and cube in {"", ground.cube}:
            self._features_chosen()

    def _other_map(self, _path: str) -> None:
        """Make way for a map that was asked for elsewhere."""
        if self.painting and not self.isVisible():
            self._wanted = False
            self.end()

    def _features_chosen(self, *_: object) -> None:
        if self.painting:
            self.end()
            self.begin()

    def _head_chosen(self, *_: object) -> None:
        self.painter.choose(self.config())

    # -- classes ------------------------------------------------------------------------------------------------------------

    def _list(self, classes: Classes) -> None:
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
        if self.painter.latest is not None:
            self._tell(self.painter.latest)

    def chosen(self) -> int | None:
        """Return the number of the class to paint with."""
        item = self.list.currentItem()
        return None if item is None else int(item.data(0, Qt.ItemDataRole.UserRole))

    def _choose_row(self, index: int) -> None:
        if self.painting and index < self.list.topLevelItemCount():
            self.list.setCurrentItem(self.list.topLevelItem(index))

    def _hold(self, mode: str | None = None) -> None:
        if self._listing or not self.painting:
            return
        layer = self.painter.layer
        mode = mode or (layer.mode if layer is not None else "paint")
        if mode == "pan_zoom" and layer is not None:
            layer.mode = mode
        elif self.chosen() is not None:
            self.painter.hold(self.chosen() or 1, mode, self.size.value())

    def add_class(self, name: str | None = None) -> None:
        """Add a class to the project and paint with it."""
        if self._form.project is not None and self.painting:
            self._form.run(class_steps.add_class(self._form.project, name), self._added, "a new class")

    def _added(self, report: dict[str, Any]) -> None:
        self._take(report)
        for index in range(self.list.topLevelItemCount()):
            item = self.list.topLevelItem(index)
            if item.data(0, Qt.ItemDataRole.UserRole) == report["number"]:
                self.list.setCurrentItem(item)

    def _renamed(self, item: QTreeWidgetItem, column: int) -> None:
        name, number = item.text(0).strip(), int(item.data(0, Qt.ItemDataRole.UserRole))
        if self._listing or column or name == self.painter.classes.named.get(number):
            return
        self.change_class(number, name=name or None)

    def change_class(self, number: int, name: str | None = None, colour: str | None = None) -> None:
        """Rename or recolour a class of the project."""
        if self._form.project is None:
            return
        steps = class_steps.change_class(self._form.project, number, name, colour)
        self._form.run(steps, self._take, "changing the class", on_error=self._unchanged)

    def _unchanged(self, _error: BaseException, sentence: str) -> bool:
        self._list(self.painter.classes)
        self._form.say(sentence, "warning")
        return True

    def _ask_colour(self) -> None:
        number = self.chosen()
        if number is not None:
            colour = QColorDialog.getColor(QColor(self.painter.classes.coloured[number]), self, "Colour of the class")
            if colour.isValid():
                self.change_class(number, colour=colour.name())

    def _fill_merge(self) -> None:
        menu, chosen = self.merge.menu(), self.chosen()
        menu.clear()
        for number, name in self.painter.classes.named.items():
            if number != chosen:
                menu.addAction(swatch(self.painter.classes.coloured[number]), name).triggered.connect(partial(self.merge_into, number))

    def merge_into(self, number: int, _checked: bool = False) -> None:
        """Make the chosen class part of another one."""
        project, chosen = self._form.project, self.chosen()
        if project is not None and chosen is not None:
            self._form.run(class_steps.merge_classes(project, chosen, number), partial(self._merged, chosen, number), "merging two classes")

    def _merged(self, number: int, into: int, report: dict[str, Any]) -> None:
        strokes = self.painter.strokes
        if strokes is not None:
            self.painter.put(np.where(strokes == number, into, strokes))
        self._take(report)
        self._form.say(f"{report['pixels']:,} labelled and painted pixels changed their class.")

    def _take(self, report: dict[str, Any]) -> None:
        classes = Classes.from_json(report["classes"])
        self.painter.dress(classes)
        self._list(classes)
        self._form.desk.labels_changed.emit("")

    def _classes_changed(self, _cube: str) -> None:
        project = self._form.project
        if self.painting and project is not None and project.classes != self.painter.classes:
            self.painter.dress(project.classes)
            self._list(project.classes)

    # -- the map --------------------------------------------------------------------------------------------------------------

    def _tell(self, found: Followed) -> None:
        """Show areas, confidence and painted pixels of every class, and how long it took."""
        total = max(1, int(found.pixels[1:].sum()))
        self._listing = True
        for index in range(self.list.topLevelItemCount()):
            item = self.list.topLevelItem(index)
            number = int(item.data(0, Qt.ItemDataRole.UserRole))
            pixels, painted = (int(counts[number]) if number < counts.size else 0 for counts in (found.pixels, found.painted))
            texts = f"{pixels / total:.1%}" if pixels else "–", f"{found.confidence[number]:.2f}" if pixels else "–", f"{painted:,}" if painted else "–"
            for column, text in enumerate(texts, start=1):
                if item.text(column) != text:
                    item.setText(column, text)
        self._listing = False
        ground = self.painter.ground
        beside_it = sum(ground.painted.values()) if ground is not None else 0
        words = f"{int(found.painted.sum()):,} pixels painted"
        words += f" and {beside_it:,} on other cubes" if beside_it else ""
        words += f" · {found.outside:,} outside of the mask do not count" if found.outside else ""
        words += f" · {1000 * found.seconds:.0f} ms" if found.complete else " · …"
        if words != self.told.text():
            self.told.setText(words)
        self.next.setEnabled(bool(self.painter.suggestions))

    def _say_why(self, sentence: str) -> None:
        if sentence:
            self.told.setText(in_window(sentence[:1].upper() + sentence[1:]))
            self._listing = True
            for index in range(self.list.topLevelItemCount()):
                for column in (1, 2):
                    self.list.topLevelItem(index).setText(column, "–")
            self._listing = False
            self.next.setEnabled(False)

    def go_next(self) -> None:
        """Go to the next place where a stroke teaches most."""
        one = self.painter.go_next()
        if one is None:
            self._form.say("There is no place to suggest: the map is sure everywhere, or not made yet.", "warning")
        else:
            self._form.say(f"Place {one.number} of {len(self.painter.suggestions)}: {one.pixels:,} pixels, {one.doubt:.0%} doubt.")

    # -- what becomes of it -----------------------------------------------------------------------------------------------------

    def use_as_labels(self) -> None:
        """Make the strokes training labels of the cube."""
        project, ground, strokes = self._form.project, self.painter.ground, self.painter.strokes
        if project is not None and ground is not None:
            self._form.done = recipe.paint(project.folder, ground.cube, self.config(), ground.run, as_labels=True)
            self._form.run(strokes_as_labels(project, ground.cube, strokes), self._labelled, "making labels")

    def _labelled(self, report: dict[str, Any]) -> None:
        self._form.desk.labels_changed.emit(report["cube"])
        layer = self.painter.layer
        if layer is not None:
            self._form.desk.viewer.layers.selection.active = layer
        replaced = f", {report['replaced']:,} of which had another class" if report["replaced"] else ""
        self._form.say(
            f"{report['painted']:,} painted pixels are training labels of {report['cube']}{replaced}. Form 5 trains on them, kNN above learns from them."
        )

    def save_maps(self, *, every: bool) -> None:
        """Save the map of this cube, or those of all cubes, in the background."""
        project, ground = self._form.project, self.painter.ground
        if project is not None and ground is not None:
            self.painter.save_now()
            self._form.done = recipe.paint(project.folder, ground.cube, self.config(), ground.run, every=every)
            steps = paint(project, ground.cube, self.config(), run=ground.run, every=every)
            self._form.run(self.painter.saving(steps), self._saved, "mapping all cubes" if every else "saving the map")

    def _saved(self, report: dict[str, Any]) -> None:
        count = len(report["maps"])
        self._form.refresh()
        self._form.say(f"{count} map{'s' * (count != 1)} saved in {max(1.0, report['seconds']):.0f} s: under Maps of this cube.")
