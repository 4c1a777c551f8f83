"""Verbs that make pictures: of a cube, and of the views that a training would see of a patch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_hsi_ssl import config as settings
from napari_hsi_ssl.cli.options import CubeName, ProjectFolder, Seed, Strengths, numbers, options_given, several, strengths
from napari_hsi_ssl.errors import ProjectError
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.terminal import Report, verb


@verb
def view(
    path: Annotated[Path, typer.Argument(metavar="PROJECT|CUBE", help="a project folder, or a cube's file")],
    to: Annotated[Path, typer.Option(metavar="FILE.png", help="where the picture goes")],
    cube: CubeName = None,
    kind: Annotated[str | None, typer.Option(help="auto, true, false, default, bands, band, ratio or index")] = None,
    bands: Annotated[str | None, typer.Option(metavar="29,19,9", help="bands from 0: red, green, blue; one; or a, b")] = None,
    wavelengths: Annotated[str | None, typer.Option(metavar="640,550,460", help="nm, instead of --bands")] = None,
    stretch: Annotated[str | None, typer.Option(metavar="2,98", help="percentiles that become darkest and brightest")] = None,
    joint: Annotated[bool | None, typer.Option("--joint/--per-channel", help="one stretch for all colours, or one each")] = None,
    step: Annotated[int, typer.Option(min=1, help="only every n-th row and column")] = 1,
    key: Annotated[str | None, typer.Option(help="the array, in a file of several")] = None,
) -> Steps[Report]:
    """Write a picture of a cube: true colour, false colour, any bands, a ratio or an index of two."""
    from napari_hsi_ssl.cubes.readers import read_cube
    from napari_hsi_ssl.steps import view as verbs

    given = options_given(
        kind=kind, bands=several(bands, "--bands"), wavelengths=_decimals(wavelengths, "--wavelengths"), stretch=_decimals(stretch, "--stretch"), joint=joint
    )
    if kind is None and ("bands" in given or "wavelengths" in given):
        given["kind"] = "band" if len(given.get("bands") or given["wavelengths"]) == 1 else "bands"
    config = settings.ViewConfig.parse(given, "view")
    if not (path / "project.json").exists():
        return verbs.view(read_cube(path, key=key), config, to, step)
    project = Project.open(path)
    names = list(project.entries)
    if cube is None and len(names) != 1:
        raise ProjectError(f"project {path} has {len(names)} cubes, so --cube NAME is needed; choose one of {', '.join(names[:8]) or 'none yet'}.")
    return verbs.view(project.cube(cube or names[0]), config, to, step)


@verb
def views(
    project: ProjectFolder,
    to: Annotated[Path, typer.Option(metavar="FILE.png", help="where the picture goes")],
    cube: CubeName = None,
    at: Annotated[str | None, typer.Option(metavar="Y,X", help="a pixel near the middle of the patch")] = None,
    recipe: Annotated[str, typer.Option(help="poster or pixel")] = "poster",
    augment: Strengths = None,
    neighbour: Annotated[int | None, typer.Option(help="the second view's window is moved by up to this many pixels")] = None,
    seed: Seed = None,
) -> Steps[Report]:
    """Write a picture of a patch and of pairs of its views, as `pretrain` with these settings would see them."""
    from napari_hsi_ssl.steps.views_preview import save_views

    given = options_given(augment=strengths(augment), neighbour=neighbour, seed=seed)
    place = numbers(at, 2, "--at")
    config = settings.PretrainConfig.from_recipe(recipe, **given)
    return save_views(Project.open(project), config, to, cube, None if place is None else (place[0], place[1]))


def _decimals(text: str | None, option: str) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"'{text}' is not numbers separated by commas", param_hint=option) from error
