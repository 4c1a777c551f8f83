"""A class map that refreshes while a run trains: one layer, remade by the compute process at checkpoints, seldom enough to cost the training little."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import tifffile
from napari.layers import Labels
from numpy.typing import NDArray
from qtpy.QtCore import QObject

from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.gui.jobs import Jobs
from napari_hsi_ssl.gui.layers import add_layer, find, swap, title_of
from napari_hsi_ssl.gui.mask_layers import class_colours, class_names, dress
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps.live_map import live_map

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_hsi_ssl.gui.forms.base import Form
    from napari_hsi_ssl.gui.forms.runs_panel import RunsPanel

_REST: Final = 30.0
"""A map is made again after so many times the seconds that the last one took: on two cores it takes one of them from the training meanwhile."""

Found = tuple[dict[str, Any], NDArray[np.int32], Classes]


class LiveMap(QObject):
    """Looks at the current cube by the newest checkpoint of the live run, while the tick of the panel is set.

    Parameters
    ----------
    form : Form
    panel : RunsPanel
    """

    def __init__(self, form: Form, panel: RunsPanel) -> None:
        super().__init__(panel)
        self._form, self._panel = form, panel
        self._jobs = Jobs(self)
        self._begun = self._due = 0.0
        self._looking = False
        form.desk.run_events.connect(self._heard)

    def look(self, *_: object) -> None:
        """Make the map anew, if it is wanted and time for it."""
        project, cube, run = self._form.project, self._form.desk.cube, self._panel.shown_live()
        if project is None or not cube or not run or not self._panel.mapping.isChecked() or self._looking or time.monotonic() < self._due:
            return
        self._looking, self._begun = True, time.monotonic()
        self._jobs.start(_with_picture(project, run, cube), self._made, label="live map", quiet=True, on_error=self._failed, on_cancelled=self._over)

    def _heard(self, run: str, events: list[dict[str, Any]]) -> None:
        if run == self._panel.shown_live() and any(event["type"] == "checkpoint" for event in events):
            self.look()

    def _over(self, *_: object) -> None:
        self._looking = False
        self._due = time.monotonic() + _REST * (time.monotonic() - self._begun)

    def _made(self, found: Found) -> None:
        self._over()
        report, grid, classes = found
        desk = self._form.desk
        if desk.alive and desk.cube == report["cube"] and self._panel.mapping.isChecked():
            show_live_map(desk.viewer, report["cube"], grid, report["stride"], classes)

    def _failed(self, _error: BaseException, sentence: str, _details: str) -> None:
        self._over()
        if "no checkpoint yet" in sentence or not self._form.desk.alive:
            return  # the next one comes by itself
        self._panel.mapping.setChecked(False)
        self._form.say(sentence, "warning")


def show_live_map(viewer: Viewer, cube: str, grid: NDArray[np.int32], stride: int, classes: Classes) -> Labels:
    """Show a map of every ``stride``-th pixel over the image; the one before is updated in place, hidden or not."""
    layer = find(viewer, "live", cube)
    centre = ((stride - 1) / 2,) * 2  # of the pixels that the first one stands for
    if layer is None:
        look = {"colormap": class_colours(classes), "features": class_names(classes)}
        layer = Labels(grid, name=title_of("live", cube), opacity=0.6, scale=(stride, stride), translate=centre, **look)
        return add_layer(viewer, layer, "live", cube, classes=classes)
    swap(layer, grid)
    if tuple(layer.scale) != (stride, stride):
        layer.scale, layer.translate = (stride, stride), centre
    if layer.metadata["hsi"].get("classes") != classes:
        dress(layer, classes)
    return layer


def _with_picture(project: Project, run: str, cube: str) -> Steps[Found]:
    report = yield from live_map(project, run, cube)
    return report, np.asarray(tifffile.imread(Path(report["path"]))).astype(np.int32), project.classes
