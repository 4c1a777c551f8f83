"""The window started from the command line: on nothing, on a project, or for one picture of it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hsi_ssl.errors import HsiError
from napari_hsi_ssl.project import Project

if TYPE_CHECKING:
    from napari.viewer import Viewer

_BINDINGS = ("PyQt5", "PyQt6", "PySide6")
_SETTLE_SECONDS = 2.0
_PATIENCE_SECONDS = 60.0


def require_window(verb: str) -> None:
    """Say what to do where no window can open.

    Parameters
    ----------
    verb : str
        What was asked for, for the remedy.

    Raises
    ------
    HsiError
        Without napari or a Qt binding, and on Linux without a display.
    """
    missing = [name for name in ("napari", "qtpy", "pyqtgraph", "superqt") if find_spec(name) is None]
    if not missing and not any(find_spec(name) for name in _BINDINGS):
        missing = ["a Qt binding"]
    if missing:
        raise HsiError(f'the window needs {missing[0]}, which is not installed; run `pip install "napari-hsi-ssl[all]"`.')
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise HsiError(f'there is no display for the window; run it as `xvfb-run -a -s "-screen 0 1600x1000x24" napari-hsi-ssl {verb}`.')


def open_viewer(title: str) -> tuple[Viewer, Any]:
    """Return a new viewer with the workbench and the explorer, and the workbench."""
    import napari
    from napari.utils.notifications import notification_manager

    from napari_hsi_ssl.gui.workbench import open_workbench

    with notification_manager.notification_ready.blocker():  # what napari says of its own future would lie over the image; its list of notifications has it
        viewer = napari.Viewer(title=title)
    viewer.window.resize(1500, 950)
    return viewer, open_workbench(viewer)


def show_project(folder: Path | None, to: Path | None = None) -> dict[str, Any]:
    """Open the window on a project, with its newest map over the image; without one it offers the sample.

    Parameters
    ----------
    folder : Path, optional
        Of a project.
    to : Path, optional
        A picture (PNG) of the window is written there instead of waiting for the user.

    Returns
    -------
    dict
        ``project`` and ``map`` as they are shown, None where there is none, and ``picture``.
    """
    project = None if folder is None else Project.open(folder)
    shown = [] if project is None else [path for path in project.maps() if path.stem.split("--")[0] in project.entries]
    newest = max(shown, key=lambda path: path.stat().st_mtime, default=None)

    import napari

    from napari_hsi_ssl.gui.canvas import canvas_for
    from napari_hsi_ssl.gui.desk import desk_for

    viewer, workbench = open_viewer("napari-hsi-ssl")
    desk = desk_for(viewer)
    if project is not None:
        desk.open_project(project)
        if project.entries and not project.outside():  # a cube that may not be read gives no picture, but a question in form 1
            wait_for(lambda: canvas_for(desk).picture is not None)
    if newest is not None:
        desk.set_cube(newest.stem.split("--")[0])
        show_map(viewer, str(newest))
        workbench.open("classify")
    if to is None:
        napari.run()
    else:
        settle()
        take_picture(viewer, to)
        viewer.close()
    return {
        "project": None if project is None else str(project.folder),
        "map": None if newest is None else str(newest),
        "picture": None if to is None else str(to),
    }


def show_map(viewer: Viewer, path: str) -> None:
    """Lay a map of the open project over the image, and wait until it is there."""
    from napari_hsi_ssl.gui.desk import desk_for

    name = Path(path).stem.replace("--", " · ")
    desk_for(viewer).map_made.emit(path)
    wait_for(lambda: name in {layer.name for layer in viewer.layers})
    settle()


def take_picture(viewer: Viewer, to: Path) -> None:
    """Write a picture of the whole window."""
    from qtpy.QtWidgets import QApplication, QDialog

    for note in viewer.window._qt_window.findChildren(QDialog):
        note.close()  # what napari says about itself would cover the canvas
    QApplication.processEvents()
    to.parent.mkdir(parents=True, exist_ok=True)
    viewer.screenshot(str(to), canvas_only=False, flash=False)


def settle() -> None:
    """Let the window draw what has just been asked of it."""
    wait_for(lambda: False, _SETTLE_SECONDS)


def wait_for(done: Callable[[], bool], seconds: float = _PATIENCE_SECONDS) -> None:
    """Keep the window alive until something is so, or the time is over."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while time.monotonic() < end and not done():
        QApplication.processEvents()
        time.sleep(0.01)
