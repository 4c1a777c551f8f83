"""What stands between the desk and the scatter: what it shows, lassos that select pixels, and selected pixels that light up in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QWidget

from napari_hsi_ssl.explore.loadings import Components
from napari_hsi_ssl.gui import layers
from napari_hsi_ssl.gui.desk import Desk
from napari_hsi_ssl.gui.jobs import Jobs
from napari_hsi_ssl.gui.plots.loadings import LoadingsView
from napari_hsi_ssl.gui.plots.scatter import ScatterPlot
from napari_hsi_ssl.gui.selection import selection_for
from napari_hsi_ssl.gui.selection_bar import SelectionBar
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps.coordinates import CellCache, Pair, Space, has_umap, pair_of
from napari_hsi_ssl.steps.pca import components
from napari_hsi_ssl.steps.scatter import Colouring, Stroke, View, cells_counted, held_by_cube, scatter, select

_OVERLAY_MS = 60
_MOST_NAMED = 2
Painted = dict[str, NDArray[np.integer]]


class ScatterControl(QObject):
    """Keeps the scatter and the components' plots up to date with a desk, and does what their user wants.

    Parameters
    ----------
    desk : Desk
    plot : ScatterPlot
    loadings : LoadingsView
    jobs : Jobs
    dock : QWidget
        The tabs that both plots are in.
    """

    drawn = Signal()
    """The scatter shows what was asked for."""

    def __init__(self, desk: Desk, plot: ScatterPlot, loadings: LoadingsView, jobs: Jobs, dock: QWidget) -> None:
        super().__init__(dock)
        self._dock = dock
        self.desk, self.plot, self.loadings, self.jobs = desk, plot, loadings, jobs
        self.selection = selection_for(desk)
        self.view: View | None = None
        self._old = True
        self._components_of = ("", "")
        self._project = ""
        self._umaps: tuple[str, int] = ("", 0)
        self.bar = SelectionBar(desk)
        plot.column.addWidget(self.bar)
        self._timer = QTimer(self, singleShot=True, interval=_OVERLAY_MS)
        self._timer.timeout.connect(self._light_up)
        plot.pair_changed.connect(self.ask)
        plot.colour_changed.connect(self._colour_changed)
        plot.space_changed.connect(self._space_changed)
        plot.lasso_drawn.connect(self.lassoed)
        desk.selection_changed.connect(self._selection_changed)
        desk.cube_changed.connect(self._cube_changed)
        desk.labels_changed.connect(self._labels_changed)
        desk.map_made.connect(self._map_made)

    # -- what is shown ----------------------------------------------------------------------------------------------------

    def changed(self) -> None:
        """Forget what is shown: the projection, the cubes or their masks are others now."""
        self._old = True
        project = self.desk.project
        inlet = project.inlet if project is not None else None
        if self.view is not None and inlet != self.view.pair.inlet:
            self.view = None
            if self.selection.strokes:
                self.selection.strokes = ()
                self.desk.set_selection(None, "scatter")
        if project is None or inlet is None:
            self.plot.set_components(())
            self.plot.offer_umap(False)
            self.loadings.set_components(None)
            self._components_of = ("", "")
            return
        if str(project.folder) != self._project:
            self._project = str(project.folder)
            self.plot.set_colour("domain" if len(project.domains) > 1 else "density")
        umaps = len(list(project.inlet_folder().glob("umap-*.npz")))
        before, self._umaps = self._umaps, (f"{project.folder}/{inlet}", umaps)
        self.plot.offer_umap(umaps > 0)
        if before[0] == self._umaps[0] and umaps > before[1]:
            self.plot.set_space("umap")
        self.show()

    def show(self) -> None:
        """Read what the plot in front needs, where that has not been done."""
        if self._old and self._in_front(self.plot):
            self.ask(*self.plot.pair)
        if self._in_front(self.loadings):
            self._ask_components()

    def _in_front(self, plot: QWidget) -> bool:
        """Whether a plot's tab is chosen, also while the window is not on the screen yet."""
        return plot.isVisibleTo(self._dock)

    def ask(self, x: int, y: int) -> None:
        """Draw two components (from 0), or axes of the UMAP."""
        project, desk = self.desk.project, self.desk
        if project is None or project.inlet is None:
            return
        self._old = False
        self.plot.say("reading…")
        space: Space = "umap" if self.plot.space == "umap" and has_umap(project) else "components"
        painted = {}
        layer = layers.find(desk.viewer, "labels", desk.cube)
        if self.plot.colour == "label" and layer is not None and layers.unsaved(layer):
            painted[desk.cube] = np.array(layer.data)
        cube = desk.cube if self.plot.colour == "cube" else ""
        steps = _view(project, x, y, space, self.plot.colour, self.selection.cells, painted, cube)  # type: ignore[arg-type]
        self.jobs.start(steps, self._read, label="scatter", slot="scatter", on_error=self._failed)

    def _read(self, view: View) -> None:
        same = self.view is not None and (self.view.pair, self.view.word) == (view.pair, view.word)
        self.view = view
        self.selection.outside = view.colour == "mask"
        if not same:
            self.plot.set_components(view.explained, view.word, 2 if view.pair.space == "umap" else None)
        self.plot.set_densities(view.densities, view.pair.x, view.pair.y, view.colours, view.colour)
        self.plot.say("")
        if self.desk.selection is not None:
            self._timer.start()
        self.drawn.emit()

    def _failed(self, _error: BaseException, sentence: str, _details: str) -> None:
        self._old = True
        self.plot.say(sentence)

    def _colour_changed(self, _colour: str) -> None:
        self.ask(*self.plot.pair)

    def _space_changed(self, space: str) -> None:
        self.ask(0, 1) if space == "umap" else self.ask(*self.plot.pair)

    def _labels_changed(self, _cube: str) -> None:
        self._groups_changed("label")

    def _map_made(self, _path: str) -> None:
        self._groups_changed("map")

    def _groups_changed(self, colour: str) -> None:
        if self.plot.colour == colour and self.view is not None:
            self._old = True
            self.show()

    # -- components -------------------------------------------------------------------------------------------------------

    def _ask_components(self) -> None:
        project = self.desk.project
        if project is None or project.inlet is None or not project.entries:
            return
        wanted = (f"{project.folder}/{project.inlet}", self.desk.cube)
        if wanted != self._components_of:
            self._components_of = wanted
            self.jobs.call(components, project, self.desk.cube or None, on_result=self._components_read, slot="components", on_error=self._components_failed)

    def _components_read(self, found: Components) -> None:
        self.loadings.set_components(found)

    def _components_failed(self, _error: BaseException, sentence: str, _details: str) -> None:
        self._components_of = ("", "")
        self.loadings.say(sentence)

    # -- from the scatter to the image --------------------------------------------------------------------------------------

    def lassoed(self, polygon: NDArray[np.float64], mode: str) -> None:
        """Select the pixels of the current cube that a lasso holds; the others' follow when they are shown."""
        view = self.view
        if view is None or self.desk.project is None or not self.desk.cube:
            return
        before, strokes = self.desk.selection, self.selection.strokes
        if mode == "new" or (before is None and not strokes):
            strokes, before = (Stroke(view.pair, view.plane, polygon),), None
        elif strokes:
            strokes, before = (*strokes, Stroke(view.pair, view.plane, polygon, mode)), None  # type: ignore[arg-type]
        else:  # what was selected in another way cannot be repeated on other cubes
            strokes = (Stroke(view.pair, view.plane, polygon),)
        self._select(strokes, before, mode)

    def _select(self, strokes: tuple[Stroke, ...], before: NDArray[np.bool_] | None, mode: str) -> None:
        project, cube = self.desk.project, self.desk.cube
        if project is None or not cube:
            return
        steps = select(project, cube, strokes, outside=self.selection.outside, cache=self.selection.cells)

        def selected(mask: NDArray[np.bool_]) -> None:
            if cube != self.desk.cube:
                return
            if before is not None:
                mask = before | mask if mode == "add" else before & ~mask
            self.selection.strokes = () if before is not None else strokes
            self.desk.set_selection(mask, "scatter")
            if not mask.any():
                self._tell_elsewhere(cube, strokes)

        self.jobs.start(steps, selected, label="lasso", slot="lasso", on_error=self._lasso_failed)

    def _tell_elsewhere(self, cube: str, strokes: tuple[Stroke, ...]) -> None:
        """Say whose points a lasso holds that holds none of the cube in hand."""
        project = self.desk.project
        if project is None:
            return
        self.plot.forget_outline()
        none = f"No pixel of {cube} is inside the lasso"
        self.bar.say(f"{none}.")
        others = [name for name in project.entries if name != cube]
        steps = held_by_cube(project, others, strokes, outside=self.selection.outside, cache=self.selection.cells)

        def counted(found: dict[str, int]) -> None:
            if self.desk.selection is None and self.desk.cube == cube:
                self.bar.say(f"{none}: {_whose(found)}." if found else f"{none}: draw it around points.")

        self.jobs.start(steps, counted, label="lasso", slot="lasso", on_error=self._lasso_failed)

    def _lasso_failed(self, _error: BaseException, sentence: str, _details: str) -> None:
        self.plot.say(sentence)

    def _cube_changed(self, cube: str) -> None:
        self._groups_changed("cube")
        if self.selection.strokes and cube:
            self._select(self.selection.strokes, None, "new")
        if self._in_front(self.loadings):
            self._ask_components()

    # -- from the image to the scatter ------------------------------------------------------------------------------------

    def _selection_changed(self, source: str) -> None:
        if source != "scatter":
            self.plot.forget_outline()
        if self.desk.selection is None:
            self._timer.stop()
            self.plot.set_selected(None)
        else:
            self._timer.start()

    def _light_up(self) -> None:
        selected, view, project = self.desk.selection, self.view, self.desk.project
        if selected is None or view is None or project is None or not self._in_front(self.plot):
            return
        steps = cells_counted(project, self.desk.cube, view, selected, self.selection.cells)
        self.jobs.start(steps, lambda counts: self._lit(view, counts), label="selected pixels", slot="selected", on_error=self._failed)

    def _lit(self, view: View, counts: NDArray[np.int64]) -> None:
        if view is self.view and self.desk.selection is not None:
            self.plot.set_selected(counts)


def _whose(found: dict[str, int]) -> str:
    """Say how many pixels of which cubes there are, and how to see them."""
    named = [f"{count:,} px of {name}" for name, count in list(found.items())[:_MOST_NAMED]]
    rest = len(found) - len(named)
    more = f" and {rest} other cube{'s' * (rest > 1)}" if rest else ""
    verb = "is" if list(found.values()) == [1] else "are"
    return f"{', '.join(named)}{more} {verb}; choose {'that' if len(found) == 1 else 'such a'} cube to see them"


def _view(project: Project, x: int, y: int, space: Space, colour: Colouring, cells: CellCache, painted: Painted, cube: str) -> Steps[View]:
    yield Progress(message="reading the PCA")
    pair: Pair = pair_of(project, x, y, space)
    return (yield from scatter(project, pair, colour, cache=cells, painted=painted, cube=cube))
