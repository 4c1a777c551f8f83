"""Verbs that say what is behind a map: of one pixel, and of the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_hsi_ssl.cli.options import ProjectFolder, numbers
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.terminal import Report, verb


@verb
def explain(
    project: ProjectFolder,
    found: Annotated[Path, typer.Option("--map", help="a map of the project, its .tif")],
    at: Annotated[str, typer.Option(metavar="Y,X", help="the pixel, counted from 0")],
    neighbours: Annotated[int, typer.Option(min=1, help="as many of the most similar labelled pixels are named")] = 8,
) -> Steps[Report]:
    """Say why a pixel of a map has its class: votes, exits, nearest labelled pixels, class means."""
    from napari_hsi_ssl.steps.explain import explain as step

    y, x = numbers(at, 2, "--at") or (0, 0)
    return step(Project.open(project), found, y, x, neighbours)


@verb
def report(
    project: ProjectFolder,
    found: Annotated[Path, typer.Option("--map", help="a map of the project, its .tif")],
    out: Annotated[Path, typer.Option(help="the page to write, .html")],
    labels: Annotated[Path | None, typer.Option(help="the truth it is scored with; 0 = unlabelled")] = None,
    train: Annotated[Path | None, typer.Option(help="its training labels, where it does not lead to them itself")] = None,
    window: Annotated[int | None, typer.Option(help="with --train: side of the classifier's window in pixels")] = None,
    baselines: Annotated[Path | None, typer.Option(help="a table written by baselines --out FILE.json")] = None,
) -> Steps[Report]:
    """Write one HTML page about a map: pictures, accuracies and what they are worth, areas, provenance."""
    from napari_hsi_ssl.steps.report import report as step

    return step(Project.open(project), found, out, labels, train=train, window=window, baselines=baselines)
