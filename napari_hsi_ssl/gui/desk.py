"""The desk: what the forms and plots of one napari viewer share.

State and signals only, no widget. Every form opened alone from the plugin menu finds the same desk by its viewer, so that
all of them work on one project. Slots that are bound methods of a QObject are disconnected by Qt when that object goes.

>>> desk = desk_for(viewer)                                    # doctest: +SKIP
>>> desk.project_changed.connect(form.refresh)                 # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_hsi_ssl.project import Project


class Desk(QObject):
    """The shared state of one viewer.

    All signals are emitted on the GUI thread, after the state has changed.

    Attributes
    ----------
    project_left : Signal()
        The project that was open is no longer: nothing of it is to be kept. Comes before `project_changed`.
    project_changed : Signal()
        Another project (or none) is open, or its list of cubes changed.
    cube_changed : Signal(str)
        Another cube is the current one; "" when there is none.
    masks_changed, labels_changed : Signal(str)
        Masks or labels of a cube were saved; "" when several may have changed.
    inlet_changed, patches_changed : Signal()
        The project has a new PCA or a new patch index.
    patches_previewed : Signal(object, object)
        A `patches.preview.PatchPreview` and its example patches (tuple of `patches.sheet.Example`).
    runs_changed : Signal()
        A run appeared, ended or was deleted; ``runs`` is up to date.
    run_events : Signal(str, object)
        Name of a run and a list of new events of its log (dicts as in ``events.jsonl``), in order.
    run_read : Signal(object)
        The history of a run that is opened again, as `gui.plots.run_curves.RunCurves`; what `run_events` brings comes after it.
    evaluated : Signal(str, object)
        Name of a run and the report of `steps.evaluate.evaluate`.
    map_made : Signal(str)
        Path of a new map.
    result_made : Signal(str, object)
        Kind of a report ("score", "compare", "audit") and the report itself.
    selection_changed : Signal(str)
        Other pixels of the current cube are selected, and who selected them: "scatter", "image", "form", or "" when the cube changed.
    pixel_pinned : Signal(str, int, int)
        Name of the cube, y and x of a pixel whose spectrum the user has just pinned.
    plot_wanted : Signal(str)
        The plot to bring to the front of the explorer dock: "spectra", "scatter", "patches", "training", "results" or "why".
    message : Signal(str, str)
        Words for the user and their level: "info", "warning" or "error"; with the level "over" these words no longer hold.
    step_done : Signal()
        A step that the user asked for has succeeded, so what went wrong before it is history.
    busy_changed : Signal(str)
        What is being done to the project now; "" when nothing is.
    """

    project_left = Signal()
    project_changed = Signal()
    cube_changed = Signal(str)
    masks_changed = Signal(str)
    labels_changed = Signal(str)
    inlet_changed = Signal()
    patches_changed = Signal()
    patches_previewed = Signal(object, object)
    runs_changed = Signal()
    run_events = Signal(str, object)
    run_read = Signal(object)
    evaluated = Signal(str, object)
    map_made = Signal(str)
    result_made = Signal(str, object)
    selection_changed = Signal(str)
    pixel_pinned = Signal(str, int, int)
    plot_wanted = Signal(str)
    message = Signal(str, str)
    step_done = Signal()
    busy_changed = Signal(str)

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = ref(viewer)
        self._project: Project | None = None
        self._cube = ""
        self._busy = ""
        self._selection: NDArray[np.bool_] | None = None
        self._pinned: dict[str, tuple[int, int]] = {}
        self.runs: list[dict[str, Any]] = []
        """One row a run, oldest first, as of `steps.runs.list_runs`."""

    @property
    def viewer(self) -> Viewer:
        """The viewer; raises ReferenceError when it is gone."""
        viewer = self._viewer()
        if viewer is None:
            msg = "the napari viewer of this desk is closed"
            raise ReferenceError(msg)
        return viewer

    @property
    def alive(self) -> bool:
        """Whether the viewer is still there."""
        return self._viewer() is not None

    @property
    def project(self) -> Project | None:
        """The open project."""
        return self._project

    def open_project(self, project: Project | None) -> None:
        """Make a project the open one and its first cube the current one."""
        left, self._project = self._project, project
        self._pinned = {}
        self._cube = next(iter(project.entries), "") if project else ""
        self.runs = []
        self._selection = None
        if left is not None:
            self.project_left.emit()
        self.project_changed.emit()
        self.cube_changed.emit(self._cube)
        self.selection_changed.emit("")

    def cubes_changed(self) -> None:
        """Say that cubes were added to or removed from the project."""
        names = list(self._project.entries) if self._project else []
        self.project_changed.emit()
        if self._cube not in names:
            self.set_cube(names[0] if names else "")

    @property
    def cube(self) -> str:
        """Name of the current cube; "" when there is none."""
        return self._cube

    def set_cube(self, name: str) -> None:
        """Make a cube of the project the current one."""
        if name != self._cube:
            self._cube = name
            self._selection = None
            self.cube_changed.emit(name)
            self.selection_changed.emit("")

    @property
    def selection(self) -> NDArray[np.bool_] | None:
        """Selected pixels (y, x) of the current cube, at least one; None when none is."""
        return self._selection

    def set_selection(self, mask: NDArray[np.bool_] | None, source: str) -> None:
        """Select pixels (y, x) of the current cube; None, or a mask without a pixel, selects nothing.

        Parameters
        ----------
        mask : bool array (y, x) or None
            Kept as it is, so the caller must not change it afterwards.
        source : str
            Who asks: "scatter", "image" or "form".
        """
        self._selection = mask if mask is not None and mask.any() else None
        self.selection_changed.emit(source)

    @property
    def pinned(self) -> tuple[int, int] | None:
        """The pixel (y, x) of the current cube whose spectrum was pinned last; None when none is pinned."""
        return self._pinned.get(self._cube)

    def pin(self, cube: str, y: int, x: int) -> None:
        """Remember the pixel of a cube that was pinned last."""
        self._pinned[cube] = (y, x)
        self.pixel_pinned.emit(cube, y, x)

    @property
    def busy(self) -> str:
        """What is being done to the project now: one step at a time writes to it, training apart."""
        return self._busy

    def set_busy(self, what: str) -> None:
        """Say what is being done to the project, or "" when it is done."""
        if what != self._busy:
            self._busy = what
            self.busy_changed.emit(what)


_desks: WeakKeyDictionary[Viewer, Desk] = WeakKeyDictionary()


def desk_for(viewer: Viewer) -> Desk:
    """Return the desk of a viewer, the same one at every call."""
    bare = getattr(viewer, "__wrapped__", viewer)  # napari hands plugins a proxy
    if bare not in _desks:
        _desks[bare] = Desk(bare)
    return _desks[bare]
