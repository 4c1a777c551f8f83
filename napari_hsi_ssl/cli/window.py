"""Verbs that end in the window."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_hsi_ssl.terminal import Report, verb, watch


@verb
def open(
    project: Annotated[Path | None, typer.Argument(metavar="[PROJECT]", help="a project folder; without one the window offers a sample")] = None,
    to: Annotated[Path | None, typer.Option(metavar="FILE.png", help="write a picture of the window there, and close it")] = None,
) -> Report:
    """Open the window, on a project with its newest map over the image."""
    from napari_hsi_ssl.gui.window import require_window, show_project

    if to is not None and to.suffix.lower() != ".png":
        raise typer.BadParameter(f"{to} does not end in .png", param_hint="--to")
    require_window("open PROJECT --to FILE.png")
    return show_project(project, to)


@verb
def demo(
    headless: Annotated[Path | None, typer.Option(metavar="FOLDER", help="leave screenshots, maps and result.json there")] = None,
    folder: Annotated[Path, typer.Option(help="where the demonstration's project goes")] = Path("demo-output"),
    epochs: Annotated[int, typer.Option(help="of the pretraining")] = 10,
) -> Report:
    """Do the whole of it on the bundled sample, and end with the maps in the window."""
    from napari_hsi_ssl.gui.demo import show
    from napari_hsi_ssl.gui.window import require_window
    from napari_hsi_ssl.steps.demo import demo as step

    require_window("demo --headless FOLDER")
    report = watch(step((headless or folder).absolute(), epochs=epochs))
    pictures = show(Path(report["project"]), report["maps"], report["scores"], headless)
    return {"folder": str((headless or folder).absolute()), "maps": report["maps"], "accuracies": report["accuracies"], "screenshots": pictures}
