"""The demonstration's window: a finished project with its maps over the image, for a person or as screenshots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_hsi_ssl.gui.window import open_viewer, settle, show_map, take_picture, wait_for
from napari_hsi_ssl.project import Project


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
    from qtpy.QtWidgets import QApplication

    from napari_hsi_ssl.gui.canvas import canvas_for
    from napari_hsi_ssl.gui.desk import desk_for

    viewer, workbench = open_viewer("napari-hsi-ssl demo")
    desk, canvas = desk_for(viewer), canvas_for(desk_for(viewer))
    desk.open_project(Project.open(project_folder))
    wait_for(lambda: canvas.picture is not None)
    pictures: list[str] = []

    def picture(name: str, form: str, plot: str) -> None:
        workbench.open(form)
        desk.plot_wanted.emit(plot)
        settle()
        if headless is not None:
            path = headless / f"{name}.png"
            take_picture(viewer, path)
            pictures.append(str(path))

    picture("1-cubes", "cubes", "spectra")
    canvas.show_components()
    picture("2-explore", "explore", "scatter")
    canvas.show_grid()
    picture("3-patches", "patches", "scatter")
    picture("4-train", "train", "training")
    for number, (method, path) in enumerate(maps.items(), start=5):
        show_map(viewer, path)
        desk.result_made.emit("score", scores[method])
        picture(f"{number}-map-{method}", "classify", "results")
    if headless is None:
        napari.run()
    else:
        viewer.close()
        QApplication.processEvents()
    return pictures
