"""The window's claim on the open project, and a word where another window was there first."""

from __future__ import annotations

import atexit
from typing import Any

from qtpy.QtCore import QObject

from napari_hsi_ssl.gui.desk import Desk
from napari_hsi_ssl.gui.farewell import when_destroyed
from napari_hsi_ssl.gui.jobs import Jobs
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.project_lock import Presence, who


class Claim(QObject):
    """Keeps the lock of the project that a desk has open. One a desk: use `claim_for`."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._desk = desk
        self._jobs = Jobs(self)
        self._project: Project | None = None
        self._held: list[Presence] = []
        desk.project_changed.connect(self._changed)
        held = self._held
        when_destroyed(self, lambda: _let_go(held))
        atexit.register(_let_go, held)
        self._changed()

    def _changed(self) -> None:
        project = self._desk.project
        if project is self._project:
            return  # another list of cubes is no other project
        self._project = project
        old, self._held[:] = list(self._held), []
        self._jobs.call(_move, old, project, on_result=self._claimed)

    def _claimed(self, found: tuple[Project, Presence] | None) -> None:
        if found is None:
            return
        project, presence = found
        if project is not self._project or not self._desk.alive:
            _let_go([presence])
            return
        self._held.append(presence)
        if presence.other is not None:
            self._desk.message.emit(
                f"Project {project.folder.name} is open in another window ({who(presence.other)}). Work in one of the two: "
                "this one does not see what the other changes, and cannot save over it.",
                "warning",
            )


def claim_for(desk: Desk) -> Claim:
    """Return the claim of a desk, the same one at every call."""
    return desk.findChild(Claim) or Claim(desk)


def _move(old: list[Presence], project: Project | None) -> tuple[Project, Presence] | None:
    """Leave one project and take the next; in a worker, for shares are slow."""
    _let_go(old)
    return None if project is None else (project, Presence(project.folder))


def _let_go(held: list[Any]) -> None:
    while held:
        held.pop().release()
