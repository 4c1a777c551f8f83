"""Clicks on a map ask why: the step runs in a worker, its answer fills the Why tab, and a click on a picture there goes to its pixel."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject

from napari_hsi_ssl.gui import result_layers
from napari_hsi_ssl.gui.canvas import canvas_for
from napari_hsi_ssl.gui.desk import Desk
from napari_hsi_ssl.gui.farewell import when_destroyed
from napari_hsi_ssl.gui.jobs import Jobs, Update
from napari_hsi_ssl.gui.picking import picks
from napari_hsi_ssl.gui.plots.pointer import PixelPointer
from napari_hsi_ssl.gui.plots.why import WhyView
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.project import Project

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_hsi_ssl.steps.explain import Case

REACH = 7
"""Pixels that a small picture shows on each side of its own."""
_A_CLICK = 3.0
_Answer = tuple["Case", dict[str, Any], list[NDArray[np.uint8]]]


class WhyControl(QObject):
    """Keeps the Why tab in step with clicks on the maps of a desk.

    Attributes
    ----------
    active : bool
        Whether plain clicks on a map ask; while the tab is in front.
    """

    def __init__(self, desk: Desk, view: WhyView, pointer: PixelPointer, parent: QObject) -> None:
        super().__init__(parent)
        self.desk, self.view, self._pointer = desk, view, pointer
        self.active = False
        self.jobs = Jobs(self)
        self._case: tuple[tuple[Path, int], Case] | None = None
        self._going: tuple[str, int, int] | None = None
        view.wanted.connect(self.go)
        for signal in (desk.project_changed, desk.labels_changed, desk.masks_changed, desk.map_made):
            signal.connect(self._forget)
        desk.cube_changed.connect(self._cube_changed)
        canvas_for(desk).looked.connect(self._arrived)
        callback = partial(_on_press, ref(self))
        desk.viewer.mouse_drag_callbacks.append(callback)
        when_destroyed(self, partial(_leave, ref(desk.viewer), callback))

    def set_active(self, active: bool) -> None:
        """Take clicks, or leave them to others; what was marked on the image goes with it."""
        self.active = active
        if not active and self.desk.alive:
            result_layers.hide_why(self.desk.viewer)

    def ask(self, position: tuple[float, ...]) -> None:
        """Explain the pixel of the map at a place of the world."""
        place = self._pointer.pixel(position)
        if place is not None:
            self.ask_pixel(*place)

    def ask_pixel(self, y: int, x: int) -> None:
        """Explain a pixel of the map that is shown; the latest question wins."""
        project, path = self.desk.project, self._path()
        if project is None:
            return
        if path is None:
            self.view.clear("No map lies over the image: make or show one in form 6, Classify, then click one of its pixels.")
            return
        key = (path, path.with_suffix(".json").stat().st_mtime_ns)
        case = self._case[1] if self._case is not None and self._case[0] == key else None
        self.view.wait(f"Row {y}, column {x} …")
        self.jobs.start(
            _answer(project, case, path, y, x), partial(self._answered, key), label="why this class", slot="why",
            on_update=partial(self._told, y, x), on_error=self._failed,
        )  # fmt: skip

    def _path(self) -> Path | None:
        """Return the file of the map over the image, or of the first of two that are compared."""
        project, viewer, cube = self.desk.project, self.desk.viewer, self.desk.cube
        shown = result_layers.shown_map(viewer, cube) or next(iter(result_layers.compared_maps(viewer, cube)), None)
        if project is None or shown is None:
            return None
        return next((path for path in project.maps() if result_layers.map_title(path) == shown.name), None)

    def _told(self, y: int, x: int, update: Update) -> None:
        self.view.wait(f"Row {y}, column {x}: {update.progress.message} …")

    def _answered(self, key: tuple[Path, int], found: _Answer) -> None:
        case, report, pictures = found
        if not self.desk.alive:
            return
        self._case = (key, case)
        self.view.show_report(report, pictures)
        if self.active and report["cube"] == self.desk.cube:
            near = [row for row in report["neighbours"] if row["cube"] == report["cube"]]
            places = [(row["y"], row["x"]) for row in near]
            result_layers.show_why(self.desk.viewer, (report["y"], report["x"]), places, [row["colour"] for row in near])

    def _failed(self, _error: BaseException, sentence: str, _details: str) -> None:
        self.view.clear(sentence)

    def _forget(self, *_: object) -> None:
        self._case = None

    def _cube_changed(self, _name: str) -> None:
        self.view.clear()
        if self.desk.alive:
            result_layers.hide_why(self.desk.viewer)

    # -- to a pixel -------------------------------------------------------------------------------------------------------

    def go(self, cube: str, y: int, x: int) -> None:
        """Bring a pixel to the middle of the canvas, of another cube too."""
        self._going = (cube, y, x)
        if cube == self.desk.cube:
            self._arrived()
        else:
            self.desk.set_cube(cube)

    def _arrived(self, *_: object) -> None:
        if self._going is not None and self._going[0] == self.desk.cube and canvas_for(self.desk).picture is not None:
            y, x = self._going[1:]
            self._going = None
            camera = self.desk.viewer.scene.camera
            camera.center = (*camera.center[:-2], float(y), float(x))


def _answer(project: Project, case: Case | None, path: Path, y: int, x: int) -> Steps[_Answer]:
    from napari_hsi_ssl.explore.crops import crops
    from napari_hsi_ssl.steps.explain import explain_pixel, open_case

    if case is None:
        case = yield from open_case(project, path)
    report = yield from explain_pixel(project, case, y, x)
    places: list[tuple[str, int, int]] = [(case.cube, y, x), *((row["cube"], row["y"], row["x"]) for row in report["neighbours"])]
    pictures: dict[tuple[str, int, int], NDArray[np.uint8]] = {}
    for cube in dict.fromkeys(str(place[0]) for place in places):
        here = [place for place in places if place[0] == cube]
        pictures |= dict(zip(here, crops(project.cube(cube), [place[1:] for place in here], REACH), strict=True))
    return case, report, [pictures[place] for place in places]


def _on_press(control: ref[WhyControl], viewer: Viewer, event: Any) -> Iterator[None]:  # noqa: ANN401 - napari's mouse event
    this = control()
    active = viewer.layers.selection.active
    drawing = active is not None and str(getattr(active, "mode", "pan_zoom")) not in {"pan_zoom", "transform"}
    wanted = this is not None and this.active and event.button == 1 and not event.modifiers and not picks(viewer) and not drawing
    start = tuple(event.pos)
    yield
    while event.type == "mouse_move":
        yield
    if wanted and this is not None and max(abs(event.pos[0] - start[0]), abs(event.pos[1] - start[1])) <= _A_CLICK:
        this.ask(tuple(event.position))


def _leave(viewer: ref[Viewer], callback: Any, *_: object) -> None:  # noqa: ANN401 - a partial
    alive = viewer()
    if alive is not None and callback in alive.mouse_drag_callbacks:
        alive.mouse_drag_callbacks.remove(callback)
