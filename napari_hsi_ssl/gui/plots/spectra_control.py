"""What stands between the desk and the spectra: pins, means, the selection, libraries and maps by angle, each as a job."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Shapes
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QApplication

from napari_hsi_ssl.config import AnglesConfig
from napari_hsi_ssl.cubes.library import SpectralLibrary
from napari_hsi_ssl.explore.match import Matches
from napari_hsi_ssl.explore.spectra import MeanSpectrum, described, region_means
from napari_hsi_ssl.gui import layers, mask_layers
from napari_hsi_ssl.gui.canvas import canvas_for
from napari_hsi_ssl.gui.desk import Desk
from napari_hsi_ssl.gui.jobs import Job, Jobs, Update
from napari_hsi_ssl.gui.masking import region_of
from napari_hsi_ssl.gui.pictures import closed
from napari_hsi_ssl.gui.plots import reading
from napari_hsi_ssl.gui.plots.pointer import PixelPointer
from napari_hsi_ssl.gui.plots.spectra import SpectraPlot
from napari_hsi_ssl.gui.plots.spectrum import Spectrum, curve, measured, pinned_at
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.steps import angles, recipe
from napari_hsi_ssl.steps import spectra as verbs

_SELECTION_MS = 120
_SHOW_PROGRESS_SECONDS = 0.4


class SpectraControl(QObject):
    """Keeps a plot of spectra up to date with a desk, and does what the plot's user wants.

    Parameters
    ----------
    desk : Desk
    plot : SpectraPlot
    pointer : PixelPointer
    jobs : Jobs
    """

    def __init__(self, desk: Desk, plot: SpectraPlot, pointer: PixelPointer, jobs: Jobs, parent: QObject) -> None:
        super().__init__(parent)
        self.desk, self.plot, self.pointer, self.jobs = desk, plot, pointer, jobs
        self._job: Job | None = None
        self._selected = ""
        self._done: recipe.Recipe | None = None
        self._measured_by: dict[str, Callable[..., recipe.Recipe]] = {}
        self._library = Path()
        self._timer = QTimer(self, singleShot=True, interval=_SELECTION_MS)
        self._timer.timeout.connect(self._measure_selection)
        pointer.moved.connect(plot.show_pointer)
        pointer.pinned.connect(self._pinned)
        plot.pin_button.toggled.connect(partial(setattr, pointer, "pinning"))
        plot.band_moved.connect(self._band_wanted)
        plot.means_asked.connect(self.measure)
        plot.selection_followed.connect(self._selection_changed)
        plot.map_asked.connect(self.map_by_angle)
        plot.library_asked.connect(self.open_library)
        plot.library.match_asked.connect(self._match)
        plot.cancelled.connect(self.cancel)
        plot.copy_asked.connect(self.copy)
        plot.said.connect(desk.message)
        desk.selection_changed.connect(self._selection_changed)
        desk.project_left.connect(self._measured_by.clear)

    # -- the cube -------------------------------------------------------------------------------------------------------

    def cube_changed(self) -> None:
        """Follow the axis of the cube that is shown now."""
        picture = canvas_for(self.desk).picture
        if picture is None:
            self.plot.set_axis(None)
        elif layers.find(self.desk.viewer, "cube", picture.name) is not None:
            self.plot.cube = picture.name
            self.plot.set_axis(reading.band_axis(picture.cube))
            self.band_changed()

    def band_changed(self) -> None:
        """Put the cursor on the band that the viewer shows."""
        self.plot.set_band(layers.current_band(self.desk.viewer))

    def _band_wanted(self, band: int) -> None:
        if self.desk.viewer.dims.ndim > 2:
            self.desk.viewer.dims.set_current_step(0, band)

    def _pinned(self, cube: str, y: int, x: int, values: NDArray[np.float32]) -> None:
        picture = canvas_for(self.desk).picture
        if picture is None or picture.name != cube:
            return
        label = ""
        layer = layers.find(self.desk.viewer, "labels", cube)
        if layer is not None:
            classes = layer.metadata["hsi"]["classes"]
            label = dict(zip(classes.numbers, classes.names, strict=True)).get(int(layer.data[y, x]), "")
        name = pinned_at(cube, y, x, label)
        if self.desk.project is not None and cube in self.desk.project.entries:
            self._can_repeat(partial(recipe.spectra, self.desk.project.folder, [cube], at=[(y, x)]), name)
        self.plot.pin(Spectrum(name, values, reading.band_axis(picture.cube), cubes=(cube,)))
        self.desk.pin(cube, y, x)

    # -- means ----------------------------------------------------------------------------------------------------------

    def measure(self, what: str) -> None:
        """Pin the mean and the spread of the "mask", the "classes" or the drawn "region", over the cubes that the menu says."""
        project, cube, viewer = self.desk.project, self.desk.cube, self.desk.viewer
        if project is None or not cube:
            return
        menu = self.plot.means
        self._done = None
        names, pool = verbs.cubes_of(project, cube, menu.value), menu.pool.isChecked()
        if what == "mask":
            mask = mask_layers.mask_on_canvas(viewer, cube)
            again = None if self._unsaved("mask") else partial(recipe.spectra, project.folder, names, pool=pool)
            steps = verbs.mask_spectra(project, names, masks={} if mask is None else {cube: mask}, pool=pool)
            self._start(steps, "mean of the mask", partial(self._measured, again))
        elif what == "classes":
            layer = layers.find(viewer, "labels", cube)
            painted = {} if layer is None else {cube: (np.array(layer.data), layer.metadata["hsi"]["classes"])}
            again = None if self._unsaved("labels") else partial(recipe.spectra, project.folder, names, classes=True, pool=pool)
            self._start(verbs.class_spectra(project, names, labels=painted, pool=pool), "means of the classes", partial(self._measured, again))
        else:
            shapes = self._drawn()
            if not shapes:
                self.desk.message.emit("There is no drawn region: draw a shape with form 2, Mask, then ask again.", "warning")
                return
            region = partial(region_of, project.entry(cube).shape[:2], shapes)
            self._start(_region(project, cube, region), "mean of the region", partial(self._measured, None))

    def _unsaved(self, role: str) -> bool:
        """Whether what is measured is on the canvas alone, where no command finds it."""
        layer = layers.find(self.desk.viewer, role, self.desk.cube)
        return layer is not None and layers.unsaved(layer)

    def _drawn(self) -> list[NDArray[np.float64]]:
        """Return the outlines (n, 2) in y, x of the shapes that are drawn, those of the user's own selected layer if there are no others."""
        viewer = self.desk.viewer
        shapes = [closed(vertices, kind) for kind, vertices in layers.drawn(viewer)]
        own = viewer.layers.selection.active
        if not shapes and isinstance(own, Shapes):
            kinds = zip(own.shape_type, own.data, strict=True)
            shapes = [closed(np.asarray(data)[:, -2:], kind) for kind, data in kinds if kind in {"polygon", "rectangle", "ellipse"}]
        return shapes

    def _measured(self, again: Callable[..., recipe.Recipe] | None, found: list[MeanSpectrum]) -> None:
        self._can_repeat(again, *(mean.name for mean in found))
        self.plot.pin(*map(curve, found))

    def _can_repeat(self, again: Callable[..., recipe.Recipe] | None, *names: str) -> None:
        """Remember what measures these curves again; nothing does for what is on the canvas alone."""
        self._done = again() if again is not None else None
        for name in names:
            self._measured_by.pop(name, None)
            if again is not None:
                self._measured_by[name] = again

    # -- the selection --------------------------------------------------------------------------------------------------

    def _selection_changed(self, _: object = None) -> None:
        if self.plot.means.selection.isChecked() and self.desk.selection is not None:
            self._timer.start()
            return
        self._timer.stop()
        if self._selected:
            self.plot.unpin(self._selected)
            self._selected = ""

    def _measure_selection(self) -> None:
        chosen, picture = self.desk.selection, canvas_for(self.desk).picture
        if chosen is None or picture is None or chosen.shape != picture.cube.shape[:2]:
            return
        self.jobs.start(_selection(picture.name, picture.cube, chosen), self._selection_measured, label="mean of the selection", slot="selection")

    def _selection_measured(self, found: MeanSpectrum | None) -> None:
        if found is not None and self.desk.selection is not None:
            if self._selected and self._selected != found.name:
                self.plot.unpin(self._selected)
            self._selected = found.name
            self.plot.pin(curve(found))

    # -- libraries ------------------------------------------------------------------------------------------------------

    def open_library(self, path: str) -> None:
        """Read a spectral library and compare it with the curve in hand."""
        self.jobs.start(reading.library(Path(path)), partial(self._library_read, Path(path)), label="library", slot="library", on_error=self._failed)

    def _library_read(self, path: Path, library: SpectralLibrary) -> None:
        self._library = path
        self.plot.library.open(library, self.plot.target)

    def _match(self, library: SpectralLibrary, target: Spectrum, view: str) -> None:
        done = partial(self._matched, library, target)
        steps = reading.library_match(library, target, view)
        self.jobs.start(steps, done, label="library", slot="match", on_error=lambda _error, words, _details: self.plot.library.show_matches(None, None, words))

    def _matched(self, library: SpectralLibrary, target: Spectrum, found: tuple[Matches, NDArray[np.float64]]) -> None:
        if library is self.plot.library.library and target is self.plot.target:
            self.plot.library.show_matches(*found)
            again = self._measured_by.get(target.name)
            if again is not None:
                self._done = again(library=self._library)

    # -- maps -----------------------------------------------------------------------------------------------------------

    def map_by_angle(self, max_angle: float) -> None:
        """Map the current cube by the spectral angle to the curves that are shown."""
        project, desk = self.desk.project, self.desk
        if project is None or not desk.cube:
            return
        if desk.busy:
            desk.message.emit(f"Wait a moment: {desk.busy}.", "warning")
            return
        references = [measured(spectrum) for spectrum in self.plot.shown]
        desk.set_busy(f"mapping {desk.cube} by angle")
        job = self._start(angles.pinned_angles(project, desk.cube, references, AnglesConfig(max_angle=max_angle)), "map by angle", self._mapped)
        job.ended.connect(partial(desk.set_busy, ""))

    def _mapped(self, report: dict[str, Any]) -> None:
        made = report["maps"][0]
        if self.desk.project is not None:
            beside, config = Path(made["path"]).with_suffix(".sli"), AnglesConfig(max_angle=report["max_angle"])
            self._done = recipe.angles(self.desk.project.folder, made["cube"], beside, config)
        self.desk.step_done.emit()
        if any(made["areas"].values()):
            self.desk.message.emit(f"The map of {made['cube']} by angle is saved: step 6, Classify, lists it.", "info")
        else:
            self.desk.message.emit(f"No pixel of '{made['cube']}' lies within {report['max_angle']:g} rad of a reference; allow a larger angle.", "warning")
        self.desk.map_made.emit(made["path"])

    # -- copying --------------------------------------------------------------------------------------------------------

    def copy(self, kind: str) -> None:
        """Put what was measured or mapped last on the clipboard, as a "command" or as "python"."""
        if self._done is None:
            self.desk.message.emit("There is nothing to copy: pin a pixel, or take the mean of a mask or of classes that are saved.", "warning")
            return
        QApplication.clipboard().setText(self._done.command if kind == "command" else self._done.python)
        self.desk.message.emit(f"Copied: the last step here ({self._done.verb}).", "info")

    # -- how it goes ----------------------------------------------------------------------------------------------------

    def _start(self, steps: Steps[Any], label: str, done: Callable[[Any], None]) -> Job:
        if self._job is not None and self._job.running:
            self._job.cancel()
        told = partial(self._update, time.monotonic())
        job = self.jobs.start(steps, done, label=label, on_update=told, on_error=self._failed)
        self._job = job
        job.ended.connect(partial(self._ended, job))
        return job

    def cancel(self) -> None:
        """Ask what is on its way to end."""
        if self._job is not None and self._job.running:
            self._job.cancel()

    def _update(self, started: float, update: Update) -> None:
        for words in update.warnings:
            self.desk.message.emit(words, "warning")
        if time.monotonic() - started >= _SHOW_PROGRESS_SECONDS:
            progress = update.progress
            self.plot.set_progress(progress.done / progress.total if progress.total else -1)
            self.plot.bar.setToolTip(progress.message)

    def _ended(self, job: Job) -> None:
        if job is self._job:
            self.plot.set_progress(None)
            self._job = None

    def _failed(self, _error: BaseException, sentence: str, _details: str) -> None:
        self.desk.message.emit(sentence, "error")


def _region(project: Any, cube: str, region: Callable[[], NDArray[np.bool_]]) -> Steps[list[MeanSpectrum]]:  # noqa: ANN401 - a Project
    return (yield from verbs.region_spectra(project, {cube: region()}, "region"))


def _selection(name: str, cube: Any, chosen: NDArray[np.bool_]) -> Steps[MeanSpectrum | None]:  # noqa: ANN401 - a cube
    rows, columns = np.flatnonzero(chosen.any(axis=1)), np.flatnonzero(chosen.any(axis=0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    means = yield from region_means(cube[box], chosen[box].astype(np.uint8), (1,))
    return described(cube, f"selection ({name})", name, *means[1], mask_layers.SELECTION_COLOUR) if 1 in means else None
