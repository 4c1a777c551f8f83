"""The explorer dock: spectra, component scatter, training and results of what is on the desk."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any
from weakref import ref

from qtpy.QtCore import QSize
from qtpy.QtWidgets import QTabWidget, QWidget

from napari_hsi_ssl.gui.busy import BusyRow
from napari_hsi_ssl.gui.canvas import canvas_for
from napari_hsi_ssl.gui.desk import Desk
from napari_hsi_ssl.gui.explain import WhyControl
from napari_hsi_ssl.gui.farewell import when_destroyed
from napari_hsi_ssl.gui.jobs import Jobs
from napari_hsi_ssl.gui.plots import reading
from napari_hsi_ssl.gui.plots.loadings import LoadingsView
from napari_hsi_ssl.gui.plots.patches import PatchesView
from napari_hsi_ssl.gui.plots.pointer import PixelPointer
from napari_hsi_ssl.gui.plots.results import Result, ResultsView, evaluation, report_of
from napari_hsi_ssl.gui.plots.scatter import ScatterPlot
from napari_hsi_ssl.gui.plots.scatter_control import ScatterControl
from napari_hsi_ssl.gui.plots.spectra import SpectraPlot
from napari_hsi_ssl.gui.plots.spectra_control import SpectraControl
from napari_hsi_ssl.gui.plots.theme import Theme
from napari_hsi_ssl.gui.plots.training import TrainingPlot
from napari_hsi_ssl.gui.plots.training_control import TrainingControl
from napari_hsi_ssl.gui.plots.why import WhyView
from napari_hsi_ssl.patches.preview import PatchPreview
from napari_hsi_ssl.patches.sheet import Example
from napari_hsi_ssl.steps.report import report

_HEIGHT = 220
_TABS = {"spectra": "Spectra", "scatter": "Scatter", "loadings": "Components", "patches": "Patches", "training": "Training", "results": "Result", "why": "Why"}


class ExplorerDock(QTabWidget):
    """Spectra | Scatter | Components | Patches | Training | Result | Why, kept up to date by the desk.

    Parameters
    ----------
    desk : Desk
        Of the viewer that the dock belongs to.
    """

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.desk = desk
        self.jobs = Jobs(self)
        theme = Theme.named(desk.viewer.theme)
        self.spectra, self.scatter, self.training, self.results = SpectraPlot(theme), ScatterPlot(theme), TrainingPlot(theme), ResultsView(theme)
        self.patches, self.loadings, self.why = PatchesView(theme), LoadingsView(theme), WhyView(theme)
        self._plots: dict[str, QWidget] = {
            "spectra": self.spectra, "scatter": self.scatter, "loadings": self.loadings, "patches": self.patches, "training": self.training,
            "results": self.results, "why": self.why,
        }  # fmt: skip
        for name, plot in self._plots.items():
            self.addTab(plot, _TABS[name])
        self.setMinimumHeight(_HEIGHT)
        self.busy = BusyRow(120)
        self.busy.float_over(self)
        self.pointer = PixelPointer(desk, self)
        self.control = SpectraControl(desk, self.spectra, self.pointer, self.jobs, self)
        self.brushing = ScatterControl(desk, self.scatter, self.loadings, self.jobs, self)
        self.watching = TrainingControl(desk, self.training, self.jobs, self)
        self.asking = WhyControl(desk, self.why, self.pointer, self)
        self._connect()
        self._project_changed()
        self._bands_shown()

    def sizeHint(self) -> QSize:
        """Return a size in which every plot is easy to read."""
        return QSize(900, 280)

    def _connect(self) -> None:
        desk, viewer = self.desk, self.desk.viewer
        desk.project_left.connect(self.jobs.forget)
        desk.project_changed.connect(self._project_changed)
        desk.cube_changed.connect(self._cube_changed)
        canvas_for(desk).looked.connect(self._bands_shown)
        desk.masks_changed.connect(self._area_changed)
        desk.inlet_changed.connect(self._inlet_changed)
        desk.patches_previewed.connect(self._patches_previewed)
        desk.evaluated.connect(self._evaluated)
        desk.map_made.connect(self._map_made)
        desk.result_made.connect(self._result_made)
        desk.plot_wanted.connect(self.show_plot)
        self.results.page_wanted.connect(self._write_page)
        self.currentChanged.connect(self._tab_changed)
        self.pointer.pinned.connect(partial(_tell, ref(self), "_pinned_news"))
        self.spectra.pin_button.toggled.connect(lambda: self._mark("", self.spectra))
        # The viewer outlives its docks, and its events do not know when a Qt object has gone.
        this = ref(self)
        watched = [
            (viewer.dims.events.current_step, partial(_tell, this, "_band_changed")),
            (viewer.events.theme, partial(_tell, this, "_theme_changed")),
        ]
        for event, slot in watched:
            event.connect(slot)
        when_destroyed(self, partial(_leave, watched))

    # -- tabs -----------------------------------------------------------------------------------------------------------

    def show_plot(self, name: str) -> None:
        """Bring a plot to the front: "spectra", "scatter", "loadings", "patches", "training", "results" or "why"."""
        if name in self._plots:
            self.setCurrentWidget(self._plots[name])

    @property
    def shown_plot(self) -> str:
        """Name of the plot in front."""
        return next((name for name, plot in self._plots.items() if plot is self.currentWidget()), "")

    def _tab_changed(self, _index: int) -> None:
        shown = self.currentWidget()
        self.pointer.following = shown is self.spectra
        if shown in {self.scatter, self.loadings}:
            self.brushing.show()
        self.asking.set_active(shown is self.why)
        self._mark("", shown)

    def _mark(self, sign: str, plot: QWidget | None) -> None:
        for name, other in self._plots.items():
            if other is plot:
                pins = " ✓" if name == "spectra" and self.spectra.pin_button.isChecked() else ""
                self.setTabText(self.indexOf(other), _TABS[name] + pins + sign)
                self.setTabToolTip(self.indexOf(other), "Clicks on the image pin spectra" if pins else "")

    def _news(self, plot: QWidget) -> None:
        # Whoever looks at something else is told, not interrupted.
        if self.currentWidget() is not plot:
            self._mark(" •", plot)

    def _theme_changed(self) -> None:
        theme = Theme.named(self.desk.viewer.theme)
        for plot in (self.spectra, self.scatter, self.loadings, self.patches, self.training, self.results, self.why):
            plot.set_theme(theme)

    # -- project --------------------------------------------------------------------------------------------------------

    def _project_changed(self) -> None:
        project = self.desk.project
        self.brushing.changed()
        self.watching.runs_changed()
        self._cube_changed(self.desk.cube)
        folder = project.folder if project else None
        if folder != getattr(self, "_folder", None):
            self._folder = folder
            self.results.clear()
            self.patches.clear()
            self.spectra.clear()
            if project is not None:
                self.jobs.start(reading.saved_results(project), self._results_read, slot="results", on_error=self._failed)

    def _results_read(self, found: list[Result]) -> None:
        for result in found:
            self.results.add(result)

    def _failed(self, _error: BaseException, sentence: str, _details: str) -> None:
        self.desk.message.emit(sentence, "error")

    # -- spectra --------------------------------------------------------------------------------------------------------

    def _cube_changed(self, _name: str) -> None:
        self.control.cube_changed()

    def _bands_shown(self, _: object = None) -> None:
        self.pointer.following = self.currentWidget() is self.spectra
        if canvas_for(self.desk).picture is not None:
            self.control.cube_changed()

    def _band_changed(self) -> None:
        self.control.band_changed()

    def _pinned_news(self) -> None:
        self._news(self.spectra)

    # -- scatter --------------------------------------------------------------------------------------------------------

    def _inlet_changed(self) -> None:
        self.brushing.changed()
        self._news(self.scatter)

    def _area_changed(self, _name: str) -> None:
        self.brushing.changed()

    # -- patches --------------------------------------------------------------------------------------------------------

    def _patches_previewed(self, seen: PatchPreview, examples: tuple[Example, ...]) -> None:
        self.patches.show_preview(seen, examples)
        self._news(self.patches)

    # -- results --------------------------------------------------------------------------------------------------------

    def _evaluated(self, run: str, report: dict[str, Any]) -> None:
        self._show_result(evaluation(run, report))

    def _result_made(self, kind: str, report: dict[str, Any]) -> None:
        self._show_result(report_of(kind, report))

    def _map_made(self, path: str) -> None:
        self.jobs.start(reading.map_result(Path(path)), self._show_result, label="areas of the map", on_error=self._failed)

    def _write_page(self, found: str, labels: str, to: str) -> None:
        project = self.desk.project
        if project is not None:
            steps = report(project, Path(found), Path(to), Path(labels))
            self.jobs.start(steps, self._page_written, label="report", slot="report", on_error=self._failed)

    def _page_written(self, told: dict[str, Any]) -> None:
        self.desk.message.emit(f"{told['to']} is written.", "info")

    def _show_result(self, result: Result) -> None:
        self.results.add(result)
        self._news(self.results)


def _tell(dock: ref[ExplorerDock], slot: str, *_event: object) -> None:
    this = dock()
    if this is not None:
        getattr(this, slot)()


def _leave(watched: list[tuple[Any, Any]], *_: object) -> None:
    for event, slot in watched:
        event.disconnect(slot)
