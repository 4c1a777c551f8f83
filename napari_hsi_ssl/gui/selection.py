"""The selected pixels: lit up in the image, taken from what is drawn there, and turned into masks and classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QApplication

from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.errors import HsiError
from napari_hsi_ssl.gui import layers, mask_layers, result_layers
from napari_hsi_ssl.gui.canvas import canvas_for
from napari_hsi_ssl.gui.desk import Desk
from napari_hsi_ssl.gui.forms.pieces import listen
from napari_hsi_ssl.gui.jobs import Jobs
from napari_hsi_ssl.gui.masking import region_of, save_drawn
from napari_hsi_ssl.gui.pictures import closed
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.steps import recipe
from napari_hsi_ssl.steps.coordinates import CellCache
from napari_hsi_ssl.steps.labels import save_painted
from napari_hsi_ssl.steps.lasso import How, combined, lasso_class, lasso_masks
from napari_hsi_ssl.steps.recipe import Recipe
from napari_hsi_ssl.steps.scatter import Stroke

_PAUSE_MS = 120
_MOST_UNDONE = 500_000  # pixels: napari's undo stack takes a second for millions
_DONE = {"set": "are the mask", "add": "are in the mask now", "remove": "are no longer in the mask"}
DRAW = {
    "add_polygon_lasso": ("Lasso", "Draw around pixels in the image"),
    "add_polygon": ("Polygon", "Click corners in the image; a double click ends"),
    "add_rectangle": ("Rectangle", "Drag a rectangle in the image"),
    "brush": ("Brush", "Paint pixels in the image; the eraser of the layer takes them away"),
}


class Selection(QObject):
    """What selected pixels do in one viewer: use `selection_for`.

    Attributes
    ----------
    strokes : tuple of Stroke
        The lassos in the scatter that made the selection; none when it was made in another way.
    outside : bool
        Whether the lassos hold pixels outside the masks too.
    cells : CellCache
        Shared by the scatter and what follows from its lassos.
    told : Signal(str, str)
        Words for the user and their level: "info", "warning" or "error".
    mask_made : Signal(str)
        The mask of this cube was made of the selection, or changed by it.
    """

    told = Signal(str, str)
    mask_made = Signal(str)

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.desk = desk
        self.jobs = Jobs(self)
        self.cells = CellCache()
        self.strokes: tuple[Stroke, ...] = ()
        self.outside = False
        self._became: dict[str, Any] = {}
        self._timer = QTimer(self, singleShot=True, interval=_PAUSE_MS)
        self._timer.timeout.connect(self._read_drawing)
        desk.selection_changed.connect(self._changed)
        desk.project_left.connect(self.cells.clear)
        listen(desk.viewer.layers.events.inserted, self, "watch_layers")
        self.watch_layers()

    # -- on the image -----------------------------------------------------------------------------------------------------

    def _changed(self, source: str) -> None:
        desk = self.desk
        if not desk.alive or not desk.cube:
            return
        self._became = {}
        if source in {"image", "form"}:
            self.strokes = ()
        layer = layers.find(desk.viewer, "selection", desk.cube)
        if source == "image" and layer is not None and layer.visible and layer.mode != "pan_zoom":
            return  # it is being painted on, so it shows the selection already
        mask_layers.show_selection(desk.viewer, desk.cube, desk.selection)

    def watch_layers(self) -> None:
        """Hear of what is drawn and painted."""
        for layer in self.desk.viewer.layers:
            role = layers.role_of(layer)
            hsi = layer.metadata.get("hsi", {})
            if role in {"draw", "selection"} and hsi.get("watched") is not self:
                hsi["watched"] = self
                listen(layer.events.data if role == "draw" else layer.events.paint, self, "drawing_changed" if role == "draw" else "painted")

    def drawing_changed(self) -> None:
        """Take up what is drawn, once the hand rests."""
        self._timer.start()

    def _read_drawing(self) -> None:
        desk = self.desk
        if not desk.alive or desk.project is None or not desk.cube:
            return
        layer = layers.find(desk.viewer, "draw")
        if layer is None or layer._is_creating:  # napari has no public word for a shape that is not closed yet
            return
        outlines = [closed(vertices, kind) for kind, vertices in layers.drawn(desk.viewer)]
        if not outlines:
            if desk.selection is not None and not self.strokes:
                desk.set_selection(None, "image")
            return
        shape = desk.project.entry(desk.cube).shape[:2]
        self.jobs.call(region_of, shape, outlines, on_result=self._drawn, slot="drawing", on_error=self._failed)

    def _drawn(self, region: NDArray[np.bool_]) -> None:
        project = self.desk.project
        if project is not None and self.desk.cube and project.entry(self.desk.cube).shape[:2] == region.shape:
            self.desk.set_selection(region, "image")

    def painted(self) -> None:
        """Take up what was painted on the selection."""
        layer = layers.find(self.desk.viewer, "selection", self.desk.cube)
        if layer is not None:
            self.desk.set_selection(np.asarray(layer.data) != 0, "image")

    def draw(self, how: str) -> None:
        """Let the user draw or paint a selection: a key of `DRAW`."""
        desk = self.desk
        if desk.project is None or not desk.cube:
            self.told.emit("There is no cube to draw on yet: add one in step 1, Cubes.", "warning")
            return
        if how != "brush":
            layers.draw(desk.viewer, how)
            return
        before = desk.selection
        shown = before if before is not None else np.zeros(desk.project.entry(desk.cube).shape[:2], dtype=bool)
        layer = mask_layers.show_selection(desk.viewer, desk.cube, shown)
        if layer is not None:
            mask_layers.paint_with(desk.viewer, layer, 1)

    # -- from what is there -------------------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Select nothing."""
        layer = layers.find(self.desk.viewer, "selection", self.desk.cube)
        if layer is not None:
            layer.mode = "pan_zoom"
        self.desk.set_selection(None, "form")

    def invert(self) -> None:
        """Select the other pixels."""
        if self.desk.selection is not None:
            self.desk.set_selection(~self.desk.selection, "form")

    def take_mask(self) -> None:
        """Select the mask on the canvas."""
        mask = mask_layers.mask_on_canvas(self.desk.viewer, self.desk.cube)
        if mask is None or not mask.any():
            self.told.emit("This cube has no mask on the canvas yet.", "warning")
            return
        self.desk.set_selection(mask, "form")

    def take_class(self, number: int, role: str = "labels") -> None:
        """Select the pixels of a class, as they are labelled or (with the role "map") mapped."""
        viewer, cube = self.desk.viewer, self.desk.cube
        layer = layers.find(viewer, "labels", cube) if role == "labels" else result_layers.shown_map(viewer, cube)
        if layer is not None:
            self.desk.set_selection(np.asarray(layer.data) == number, "form")

    def classes(self) -> Classes:
        """Return the classes of the project and those named on the canvas."""
        project, layer = self.desk.project, layers.find(self.desk.viewer, "labels", self.desk.cube)
        saved = project.classes if project is not None else Classes((), (), ())
        names = saved.named
        if layer is not None:
            names |= layer.metadata["hsi"]["classes"].named
        return Classes.of(list(names), names, saved.coloured)

    # -- copying --------------------------------------------------------------------------------------------------------------

    def recipe(self) -> Recipe | None:
        """Return what the lassos hold, or what was made of it last; None where the selection is no lasso's."""
        project = self.desk.project
        return recipe.lasso(project.folder, self.strokes, outside=self.outside, **self._became) if project is not None and self.strokes else None

    def copy(self, kind: str) -> bool:
        """Put `recipe` on the clipboard, as a "command" or as "python"; says why where it cannot."""
        made = self.recipe()
        text = "" if made is None else made.python if kind == "python" else made.command if made.verb else ""
        if made is None:
            self.told.emit("There is nothing to copy: draw a lasso in the scatter; a drawn region is copied as the mask that it becomes.", "warning")
        elif not text:
            self.told.emit("A command holds one lasso, and these are several: copy them as Python.", "warning")
        else:
            QApplication.clipboard().setText(text)
            self.told.emit("Copied.", "info")
        return bool(text)

    # -- into masks and classes -----------------------------------------------------------------------------------------------

    def to_mask(self, how: How = "set") -> None:
        """Set the mask of the cube to the selection, add it or remove it; the step can be taken back, and is saved."""
        desk, selected = self.desk, self.desk.selection
        project, cube = desk.project, desk.cube
        if not self._ready() or project is None or selected is None:
            return
        try:
            made = combined(mask_layers.mask_on_canvas(desk.viewer, cube), selected, how)
        except HsiError as error:
            self.told.emit(str(error), "warning")
            return
        mask_layers.show_mask(desk.viewer, cube, made, saved=False)
        self.mask_made.emit(cube)
        self._uncover()
        canvas_for(desk).look_at("mask")
        words = f"{np.count_nonzero(selected):,} pixels of {cube} {_DONE[how]}."
        self._write(save_drawn(project, cube, made), lambda _: self._mask_saved(cube, words, {"mask": how, "cubes": [cube]}), f"saving the mask of {cube}")

    def _mask_saved(self, cube: str, words: str, became: dict[str, Any]) -> None:
        layer = layers.find(self.desk.viewer, "mask", cube)
        if layer is not None:
            layers.mark_unsaved(layer, False)
        self._became = became
        self.desk.masks_changed.emit(cube)
        self.told.emit(words, "info")

    def to_masks_of_all(self) -> None:
        """Make what the lassos hold in each cube its mask."""
        project = self.desk.project
        if project is None or not self.strokes:
            self.told.emit("Draw a lasso in the scatter first: only that tells of the other cubes.", "warning")
            return
        steps = lasso_masks(project, self.strokes, outside=self.outside, cache=self.cells)
        self._write(steps, self._masks_saved, "masks from the lasso")

    def _masks_saved(self, report: dict[str, Any]) -> None:
        for cube in report["cubes"]:
            self.mask_made.emit(cube)
            layer = layers.find(self.desk.viewer, "mask", cube)
            if layer is not None:
                layers.mark_unsaved(layer, False)
        self._uncover()
        self._became = {"mask": "set"}
        self.desk.masks_changed.emit("")
        done = f"The lasso is the mask of {len(report['cubes'])} cube{'s' * (len(report['cubes']) != 1)}."
        kept = f" {len(report['warnings'])} without a pixel in it kept theirs." if report["warnings"] else ""
        self.told.emit(done + kept, "info")

    def to_class(self, number: int | None = None) -> None:
        """Give the selected pixels a class, a new one by default; napari's undo on the labels takes it back, and it is saved."""
        desk, selected = self.desk, self.desk.selection
        project, cube = desk.project, desk.cube
        if not self._ready() or project is None or selected is None:
            return
        classes = self.classes()
        names = classes.named
        if number is None:
            number = max(names, default=0) + 1
            names[number] = f"class {number}"
        classes = Classes.of(list(names), names, classes.coloured)
        layer = layers.find(desk.viewer, "labels", cube)
        if layer is None:
            layer = mask_layers.show_labels(desk.viewer, cube, np.zeros(selected.shape, dtype=np.int32), classes, saved=True)
        _give_class(layer, selected, number)
        mask_layers.dress(layer, classes)
        layers.mark_unsaved(layer)
        self._uncover()
        canvas_for(desk).look_at("labels")
        words = f"{np.count_nonzero(selected):,} px are “{names[number]}” now; double-click the name in step 2, Labels, to change it."
        became = {"class_name": names[number], "cubes": [cube]}
        self._write(save_painted(project, cube, np.array(layer.data), names), lambda _: self._labels_saved(cube, words, became), f"saving the labels of {cube}")

    def to_class_in_all(self, name: str) -> None:
        """Give what the lassos hold in each cube a class."""
        project = self.desk.project
        if project is not None and self.strokes:
            steps = lasso_class(project, self.strokes, name, outside=self.outside, cache=self.cells)
            done = "“{}” is set in {} cubes."
            self._write(steps, lambda found: self._labels_saved("", done.format(name, len(found["cubes"])), {"class_name": name}), "labels from the lasso")

    def _labels_saved(self, cube: str, words: str, became: dict[str, Any]) -> None:
        layer = layers.find(self.desk.viewer, "labels", cube or self.desk.cube)
        if layer is not None:
            layers.mark_unsaved(layer, False)
        self._uncover()
        self._became = became
        self.desk.labels_changed.emit(cube)
        self.told.emit(words, "info")

    def _uncover(self) -> None:
        """Let the mask or class be seen that was made of the selection; the pixels stay selected."""
        layer = layers.find(self.desk.viewer, "selection", self.desk.cube)
        if layer is not None:
            layer.mode = "pan_zoom"
            layer.visible = False

    def _ready(self) -> bool:
        if self.desk.selection is None:
            self.told.emit("No pixel is selected: draw a lasso in the scatter, or a region in the image.", "warning")
        return self.desk.selection is not None

    def _write(self, steps: Steps[Any], on_result: Callable[[Any], None], label: str) -> None:
        if self.desk.busy:
            steps.close()
            self.told.emit(f"Wait a moment: {self.desk.busy}.", "warning")
            return
        self.desk.set_busy(label)

        def done(result: Any) -> None:  # noqa: ANN401
            self.desk.set_busy("")
            self.desk.step_done.emit()
            on_result(result)

        def failed(error: BaseException, sentence: str, details: str) -> None:
            self.desk.set_busy("")
            self._failed(error, sentence, details)

        self.jobs.start(steps, done, label=label, on_error=failed, on_cancelled=lambda _: self.desk.set_busy(""))

    def _failed(self, _error: BaseException, sentence: str, _details: str) -> None:
        self.told.emit(sentence, "error")


def _give_class(layer: Labels, selected: NDArray[np.bool_], number: int) -> None:
    """Paint selected pixels (y, x) so that napari's undo can take it back, unless they are too many for that."""
    where = np.nonzero(selected & (np.asarray(layer.data) != number))
    if 0 < len(where[0]) <= _MOST_UNDONE:
        layer.data_setitem(where, number)
    elif len(where[0]):
        layer.data[where] = number
        layer.refresh(thumbnail=False, extent=False, highlight=False)


def selection_for(desk: Desk) -> Selection:
    """Return what handles the selection of a desk, the same at every call."""
    return desk.findChild(Selection) or Selection(desk)
