"""Verbs for strokes: the map that painted pixels make, and the classes they are painted in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_hsi_ssl import config as settings
from napari_hsi_ssl.cli.options import ProjectFolder, RunName
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.terminal import Report, verb


@verb
def paint(
    project: ProjectFolder,
    cube: Annotated[str, typer.Option(help="the cube that is painted on")],
    strokes: Annotated[Path | None, typer.Option(help="a raster of class numbers, 0 = not painted; by default the strokes saved in the project")] = None,
    run_name: RunName = None,
    head: Annotated[str, typer.Option(help="logistic, prototype or knn")] = "logistic",
    others: Annotated[bool, typer.Option("--others/--no-others", help="learn from the saved strokes of the other cubes, too")] = True,
    suggestions: Annotated[int, typer.Option(help="at most this many regions to paint next are told")] = 5,
    every: Annotated[bool, typer.Option("--all", help="map every cube of the project")] = False,
    as_labels: Annotated[bool, typer.Option("--as-labels", help="also make the strokes training labels of the cube")] = False,
) -> Steps[Report]:
    """Make the map that a few painted pixels give, and say where to paint next."""
    from napari_hsi_ssl.mapping.training_free import NAME
    from napari_hsi_ssl.steps.paint import paint as step

    made = settings.PaintConfig.parse({"head": head, "others": others, "suggestions": suggestions}, "paint")
    return step(Project.open(project), cube, made, run=run_name or NAME, strokes=strokes, every=every, as_labels=as_labels)


@verb
def classes(
    project: ProjectFolder,
    add: Annotated[str | None, typer.Option(metavar="NAME", help="a new class")] = None,
    number: Annotated[int | None, typer.Option("--class", help="number of the class to change")] = None,
    name: Annotated[str | None, typer.Option(help="its new name")] = None,
    colour: Annotated[str | None, typer.Option(metavar="#rrggbb", help="its new colour, or that of the new class")] = None,
    into: Annotated[int | None, typer.Option(metavar="NUMBER", help="merge it into this class, in labels and strokes of all cubes")] = None,
) -> Steps[Report]:
    """List the classes of a project, add one, rename or recolour it, or merge two."""
    from napari_hsi_ssl.steps import classes as steps

    opened = Project.open(project)
    if add is not None:
        if number is not None or name is not None or into is not None:
            raise typer.BadParameter("--add is for a new class: leave out --class, --name and --into")
        return steps.add_class(opened, add, colour)
    if number is None:
        if name is not None or colour is not None or into is not None:
            raise typer.BadParameter("say which class is meant with --class NUMBER")
        return steps.list_classes(opened)
    if into is not None:
        if name is not None or colour is not None:
            raise typer.BadParameter("merge with --into, or change with --name and --colour, not both")
        return steps.merge_classes(opened, number, into)
    if name is None and colour is None:
        raise typer.BadParameter("say what changes: --name, --colour or --into")
    return steps.change_class(opened, number, name, colour)
