"""The demonstration's window: a finished project with its maps over the image, for a person or as screenshots."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hsi_ssl.errors import HsiError
from napari_hsi_ssl.project import Project

if TYPE_CHECKING:
    from napari.viewer import Viewer

_SETTLE_SECONDS = 2.0
_PATIENCE_SECONDS = 60.0


def require_display() -> None:
    """Say what to do where no window can open.

    Raises
    ------
    HsiError
        On Linux without a display.
    """
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise HsiError('there is no display for the window; run it as `xvfb-run -a -s "-screen 0 1600x1000x24" napari-hsi-ssl demo --headless FOLDER`.')


def show(project_folder: Path, maps: dict[str, str], scores: dict[str, Any], headless: Path | None) -> list[str]:
    """Open napari on the project with its maps; with ``headless``, leave screenshots there instead of waiting for the user.

    Parameters
    ----------
    project_folder : Path
    maps : dict
        Method → path of a map of the project's first cube.
    scores : dict
        Method → report of `steps.judge.score`.
    headless : Path, optional
        Folder for the screenshots.

    Returns
    -------
    list of str
        Paths of the screenshots.
    """
    import napari
    from qtpy.QtWidgets import QApplication, QDialog

    from napari_hsi_ssl.gui.canvas import canvas_for
    from napari_hsi_ssl.gui.desk import desk_for
    from napari_hsi_ssl.gui.workbench import open_workbench

    viewer = napari.Viewer(title="napari-hsi-ssl demo")
    viewer.window.resize(1500, 950)
    workbench = open_workbench(viewer)
    desk, canvas = desk_for(viewer), canvas_for(desk_for(viewer))
    desk.open_project(Project.open(project_folder))
    _wait(lambda: canvas.picture is not None)
    pictures: list[str] = []

    def picture(name: str, form: str, plot: str) -> None:
        workbench.open(form)
        desk.plot_wanted.emit(plot)
        _wait(lambda: False, _SETTLE_SECONDS)
        if headless is not None:
            for note in viewer.window._qt_window.findChildren(QDialog):
                note.close()  # what napari says about itself would cover the canvas
            QApplication.processEvents()
            path = headless / f"{name}.png"
            viewer.screenshot(str(path), canvas_only=False, flash=False)
            pictures.append(str(path))

    picture("1-cubes", "cubes", "spectra")
    canvas.show_components()
    picture("2-explore", "explore", "scatter")
    canvas.show_grid()
    picture("3-patches", "patches", "scatter")
    picture("4-train", "train", "training")
    for number, (method, path) in enumerate(maps.items(), start=5):
        desk.map_made.emit(path)
        _wait(lambda path=path: _is_shown(viewer, path))  # type: ignore[misc]  # the default binds this round's path
        _wait(lambda: False, _SETTLE_SECONDS)
        desk.result_made.emit("score", scores[method])
        picture(f"{number}-map-{method}", "classify", "results")
    if headless is None:
        napari.run()
    else:
        viewer.close()
        QApplication.processEvents()
    return pictures


def _is_shown(viewer: Viewer, path: str) -> bool:
    return Path(path).stem.replace("--", " · ") in {layer.name for layer in viewer.layers}


def _wait(done: Callable[[], bool], seconds: float = _PATIENCE_SECONDS) -> None:
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while time.monotonic() < end and not done():
        QApplication.processEvents()
        time.sleep(0.01)
