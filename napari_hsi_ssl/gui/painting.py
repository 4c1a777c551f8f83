"""Follows the brush: strokes on the canvas become a map in a worker, the latest strokes win, and strokes are saved as they are painted."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Any, Final

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from napari_hsi_ssl.config import PaintConfig
from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.gui import painted_layers
from napari_hsi_ssl.gui.desk import Desk
from napari_hsi_ssl.gui.farewell import when_destroyed
from napari_hsi_ssl.gui.jobs import Jobs, Update
from napari_hsi_ssl.gui.layers import find
from napari_hsi_ssl.gui.mask_layers import paint_with
from napari_hsi_ssl.mapping.suggest import Suggestion
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps.painting import Followed, Ground, follow

FOLLOW_MS: Final = 100
"""From one map that is asked for to the next: changes of the strokes in between are one."""
_FIRST_MS: Final = 10
"""From the first change after a rest to the map that is asked for."""
_CLOSE: Final = 60
"""Pixels around a suggestion that are seen at least when it is gone to."""


class StrokeKeeper:
    """Saves strokes in the order they were painted, whichever thread comes first."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[Project, str], NDArray[np.integer]] = {}
        self._lock = threading.Lock()

    def put(self, project: Project, cube: str, strokes: NDArray[np.integer]) -> None:
        """Hand in strokes (y, x) that are not changed afterwards; older ones of the cube that wait need no saving any more."""
        self._waiting[project, cube] = strokes

    def write(self) -> None:
        """Save what waits."""
        with self._lock:
            for key, strokes in list(self._waiting.items()):
                project, cube = key
                project.save_strokes(cube, strokes)
                if self._waiting.get(key) is strokes:
                    del self._waiting[key]


class Painter(QObject):
    """What is painted on the current cube, and its map.

    Parameters
    ----------
    desk : Desk
    parent : QObject

    Attributes
    ----------
    followed : Signal(object)
        A `Followed` that is on the canvas now.
    told : Signal(str)
        Why there is no map, in a sentence; "" when there is one.
    touched : Signal()
        The strokes have changed.
    ground : Ground or None
        What is painted on; None while nobody paints.
    """

    followed = Signal(object)
    told = Signal(str)
    touched = Signal()

    def __init__(self, desk: Desk, parent: QObject) -> None:
        super().__init__(parent)
        self.desk = desk
        self.jobs = Jobs(self)
        self.config = PaintConfig()
        self.classes = Classes((), (), ())
        self.ground: Ground | None = None
        self.latest: Followed | None = None
        self.suggestions: list[Suggestion] = []
        self.sureness = False
        self._layer: Labels | None = None
        self._asked: NDArray[np.unsignedinteger] | None = None
        self._stale = threading.Event()
        self._running = self._delivered = self._again = False
        self._stroking = False
        self._next = -1
        self._followed = 0.0  # when a map was asked for last
        self._keeper = StrokeKeeper()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._follow)
        when_destroyed(self, self._keeper.write)

    # -- beginning and end --------------------------------------------------------------------------------------------------

    def begin(self, ground: Ground, strokes: NDArray[np.integer] | None, classes: Classes) -> None:
        """Let the user paint on a cube."""
        self.stop()
        viewer, shape = self.desk.viewer, ground.space.shape
        drawn = np.zeros(shape, dtype=np.int32) if strokes is None else strokes
        kind = np.uint8 if max([int(drawn.max(initial=0)), *classes.numbers]) < 256 else np.uint16
        self.ground, self.classes = ground, classes
        # Its place in memory belongs to the layer from now on.
        layer = painted_layers.show_strokes(viewer, ground.cube, drawn.astype(kind), classes)
        self._layer = layer
        layer.events.labels_update.connect(self._brushed)
        layer.events.paint.connect(self._released)
        layer.events.set_data.connect(self._changed)
        if layer.data.any() or ground.elsewhere[1].size:
            self._follow()

    def stop(self) -> None:
        """End painting; what was painted is saved and goes out of sight."""
        self._timer.stop()
        self._cancel()
        layer, self._layer = self._layer, None
        if layer is not None:
            for event, slot in ((layer.events.labels_update, self._brushed), (layer.events.paint, self._released), (layer.events.set_data, self._changed)):
                event.disconnect(slot)
            if layer in self.desk.viewer.layers:
                layer.mode = "pan_zoom"
        if self.ground is not None:
            painted_layers.hide_painting(self.desk.viewer, self.ground.cube)
        self.ground = self.latest = self._asked = None
        self.suggestions, self._next = [], -1
        self._stroking = self._again = False

    @property
    def layer(self) -> Labels | None:
        """The layer that is painted on."""
        return self._layer

    @property
    def strokes(self) -> NDArray[np.unsignedinteger] | None:
        """A copy of what is painted (y, x); None while nobody paints."""
        return None if self._layer is None else self._layer.data.copy()

    def hold(self, number: int, mode: str, size: int) -> None:
        """Put a brush of a class into the user's hand: mode ``paint``, ``erase`` or ``fill``."""
        if self._layer is not None:
            paint_with(self.desk.viewer, self._layer, number, mode, size)

    def step(self, forward: bool) -> None:
        """Take the last stroke back, or paint it again."""
        if self._layer is not None:
            (self._layer.redo if forward else self._layer.undo)()

    def dress(self, classes: Classes) -> None:
        """Take other names and colours of classes."""
        self.classes = classes
        if self.ground is not None:
            painted_layers.redress(self.desk.viewer, self.ground.cube, classes)

    def put(self, strokes: NDArray[np.integer]) -> None:
        """Replace all strokes (y, x), as after two classes were merged; that cannot be taken back by napari's undo."""
        if self._layer is not None:
            np.copyto(self._layer.data, strokes.astype(self._layer.data.dtype))
            self._layer._reset_history()
            self._layer.refresh()

    def choose(self, config: PaintConfig) -> None:
        """Follow by another head."""
        if config != self.config:
            self.config = config
            if self.ground is not None:
                self._follow()

    # -- the brush ------------------------------------------------------------------------------------------------------------

    def _brushed(self, _event: object = None) -> None:
        """Take note of a move of the brush, of which napari tells at once, though undocumented."""
        if not self._stroking:
            self._stroking = True
            self._cancel()  # a new stroke: what is on its way is history
        self._soon()

    def _released(self, _event: object = None) -> None:
        self._stroking = False
        self._soon()
        self._save()

    def _changed(self, _event: object = None) -> None:
        """Something drew the layer anew: an undo, or nothing of interest such as another band of the cube."""
        layer = self._layer
        if layer is not None and not self._stroking and (self._asked is None or not np.array_equal(self._asked, layer.data)):
            self._soon()
            self._save()

    def _soon(self) -> None:
        self.touched.emit()
        if not self._timer.isActive():  # restarted at every move it would wait for the brush to rest
            since = 1000 * (time.monotonic() - self._followed)
            self._timer.start(max(_FIRST_MS, round(FOLLOW_MS - since)))

    def _save(self) -> None:
        project, ground, layer = self.desk.project, self.ground, self._layer
        if project is not None and ground is not None and layer is not None and ground.cube in project.entries:
            self._keeper.put(project, ground.cube, layer.data.copy())
            self.jobs.call(self._keeper.write, label="saving the strokes", quiet=True, on_error=self._unsaved)

    def save_now(self) -> None:
        """Have the strokes as they are on disk before anything reads them there."""
        project, ground, strokes = self.desk.project, self.ground, self.strokes
        if project is not None and ground is not None and strokes is not None:
            self._keeper.put(project, ground.cube, strokes)

    def saving(self, steps: Steps[Any]) -> Steps[Any]:
        """Return a step that saves the strokes first."""
        yield Progress(message="saving the strokes")
        self._keeper.write()
        return (yield from steps)

    def _unsaved(self, _error: BaseException, sentence: str, _details: str) -> None:
        self.desk.message.emit(f"The strokes are not saved: {sentence}", "error")

    # -- the map --------------------------------------------------------------------------------------------------------------

    def _cancel(self) -> None:
        self._stale.set()
        self._running = self._delivered = False

    def _follow(self) -> None:
        ground, layer = self.ground, self._layer
        if ground is None or layer is None or not self.desk.alive:
            return
        if self._running and not self._delivered and self._stroking:
            self._again = True  # else a map that takes longer than the brush pauses would never be seen
            return
        self._cancel()
        stale = self._stale = threading.Event()
        self._running, self._again = True, False
        self._followed = time.monotonic()
        self._asked = layer.data.copy()
        config = self.config.model_copy(update={"suggestions": 0}) if self._stroking else self.config
        before = None if self.latest is None else self.latest.map
        view = painted_layers.looked_at(layer)
        steps = follow(ground, self._asked, config, before=before, view=view, stale=stale.is_set, classes=self.classes)
        self.jobs.start(
            steps, partial(self._made, stale), slot="map", label="map of the strokes", quiet=True, on_update=partial(self._partly, stale),
            on_error=partial(self._failed, stale),
        )  # fmt: skip

    def _partly(self, stale: threading.Event, update: Update) -> None:
        parts = [event["painted"] for event in update.events if "painted" in event]
        if parts and not stale.is_set():
            self._delivered = True
            self._show(parts[-1])
            if self._again:
                self._follow()

    def _made(self, stale: threading.Event, found: Followed) -> None:
        if stale.is_set():
            return
        self._running = False
        self._show(found)
        if self._again:
            self._follow()

    def _failed(self, stale: threading.Event, error: BaseException, sentence: str, _details: str) -> None:
        if stale.is_set():
            return
        self._running = self._again = False
        if isinstance(error, LabelError) and self.ground is not None and self.desk.alive:
            self._nothing()
        self.told.emit(sentence)

    def _nothing(self) -> None:
        """Take a map away that its strokes no longer make."""
        for role in ("painted", "sureness", "next"):
            layer = find(self.desk.viewer, role, self.ground.cube if self.ground else None)
            if layer is not None:
                layer.visible = False
        self.latest, self.suggestions = None, []

    def _show(self, found: Followed) -> None:
        if self.ground is None or not self.desk.alive:
            return
        before, self.latest = self.latest, found
        if before is None or not before.complete or before.map is not found.map:  # what came with the places to paint next is drawn already
            self._draw(before is None)
        if found.suggestions is not None:
            self.suggestions, self._next = found.suggestions, -1
            painted_layers.show_next(self.desk.viewer, self.ground.cube, found.suggestions)
        self.told.emit("")
        self.followed.emit(found)

    def _draw(self, anew: bool) -> None:
        """Bring the map or its confidence to the canvas, the one that is looked at: each of them costs the window a redraw."""
        ground, found = self.ground, self.latest
        if ground is None or found is None:
            return
        viewer = self.desk.viewer
        active = viewer.layers.selection.active
        if self.sureness:
            layer: Any = painted_layers.show_sureness(viewer, ground.cube, found.map.confidence)
        else:
            layer = painted_layers.show_painted(viewer, ground.cube, found.map.labels, self.classes)
        if anew:
            for role, on in (("painted", not self.sureness), ("sureness", self.sureness), ("next", True)):
                other = find(viewer, role, ground.cube)
                if other is not None:
                    other.visible = on
            layer.visible = True
            viewer.layers.selection.active = active

    def show_sureness(self, on: bool) -> None:
        """Show how sure the map is of every pixel instead of the classes."""
        self.sureness = on
        self._draw(True)

    # -- where to paint next --------------------------------------------------------------------------------------------------

    def go_next(self) -> Suggestion | None:
        """Bring the next suggestion into the middle of the canvas, and return it; None where there is none."""
        if not self.suggestions:
            return None
        self._next = (self._next + 1) % len(self.suggestions)
        one = self.suggestions[self._next]
        camera = self.desk.viewer.scene.camera
        camera.center = (*camera.center[:-2], one.y, one.x)
        shown = painted_layers.looked_at(self._layer)
        extent = max(_CLOSE, 3 * float(np.ptp(one.outline, axis=0).max()))
        across = min(part.stop - part.start for part in shown)
        if across > 4 * extent:
            camera.zoom *= across / (4 * extent)
        return one


def read_ground(project: Project, cube: str, preparing: Steps[Ground]) -> Steps[tuple[Ground, NDArray[np.int32] | None, Classes]]:
    """Return a cube made ready to be painted on, the strokes that it has, and the classes."""
    ground = yield from preparing
    yield Progress(message="reading the strokes")
    return ground, project.strokes(cube), project.classes
