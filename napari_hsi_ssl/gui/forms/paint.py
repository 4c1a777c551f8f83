"""Paint and see: a few strokes, and the map follows the brush; then training labels, or the maps of all cubes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QHideEvent, QKeyEvent, QKeySequence
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QShortcut,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_hsi_ssl.config import PaintConfig
from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.gui.forms.fields import tidy
from napari_hsi_ssl.gui.forms.paint_classes import ClassTable
from napari_hsi_ssl.gui.forms.pieces import QUIET, boxed, plain_button, primary, row, words_label
from napari_hsi_ssl.gui.painting import Painter, read_ground
from napari_hsi_ssl.gui.wording import in_window
from napari_hsi_ssl.mapping.raw import NAME as SPECTRA
from napari_hsi_ssl.mapping.training_free import NAME as TRAINING_FREE
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
        self.start = form.needs_project(primary(_START, "Make this cube ready to be painted on; its map follows the brush (Ctrl+Return)"))
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
        self.table = ClassTable(self._form, self.painter)
        layout.addWidget(self.table)
        self.brush = plain_button("Brush", "Paint with the chosen class (Shift+J)")
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
        self.sure.setToolTip("Show how sure the map is of every pixel, from 0 (dark) to 1 (bright), instead of the classes (Shift+H)")
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
        self.table.picked.connect(lambda: self._hold("paint"))
        self.size.valueChanged.connect(lambda _: self._hold())
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
            "Shift+M": self.table.add.click,
            "Shift+X": partial(self.table.step, 1),
            "Shift+Z": partial(self.table.step, -1),
            "Shift+J": self.brush.click,
            "Shift+E": self.eraser.click,
            "Shift+U": self.next.click,
            "Shift+H": self.sure.toggle,
        }
        self.shortcuts = {}
        for keys, act in done.items():
            # A child of the panel: Qt lets a shortcut rest while its parent cannot be seen.
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
            shortcut.activated.connect(act)
            self.shortcuts[keys] = shortcut

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Take strokes back also while the keyboard is here; on the image napari does it itself."""
        if event.matches(QKeySequence.StandardKey.Undo):
            self.painter.step(False)
        elif event.matches(QKeySequence.StandardKey.Redo):
            self.painter.step(True)
        else:
            super().keyPressEvent(event)

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
        self.table.show_classes(classes)
        self.refresh()
        if classes.numbers:
            self.table.choose_row(0)
        else:
            self.table.add_class("class 1")
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

    def _hold(self, mode: str | None = None) -> None:
        if not self.painting:
            return
        layer = self.painter.layer
        mode = mode or (layer.mode if layer is not None else "paint")
        if mode == "pan_zoom" and layer is not None:
            layer.mode = mode
        elif self.table.chosen() is not None:
            self.painter.hold(self.table.chosen() or 1, mode, self.size.value())

    def _classes_changed(self, _cube: str) -> None:
        project = self._form.project
        if self.painting and project is not None and project.classes != self.painter.classes:
            self.painter.dress(project.classes)
            self.table.show_classes(project.classes)

    # -- the map --------------------------------------------------------------------------------------------------------------

    def _tell(self, found: Followed) -> None:
        """Show what the map says of every class, how much is painted, and how long it took."""
        self.table.tell(found)
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
            self.table.tell_nothing()
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
        words = f"{report['painted']:,} painted pixels are training labels of {report['cube']}{replaced}."
        self._form.say(f"{words} Form 5 trains on them, kNN in the tab Map learns from them.")

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
