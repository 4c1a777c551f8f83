"""Verbs that look at a projection: scree and loadings, scatter, UMAP, and lassos that become masks or classes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_hsi_ssl import config as settings
from napari_hsi_ssl.cli.options import CubeName, ProjectFolder, Seed, one_of, options_given
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.terminal import Report, verb

Across = Annotated[int, typer.Option("--x", help="component on the horizontal axis, from 1")]
Along = Annotated[int, typer.Option("--y", help="component on the vertical axis, from 1")]
OnUmap = Annotated[bool, typer.Option("--umap", help="the UMAP that was made last, instead of components")]


@verb
def components(
    project: ProjectFolder,
    cube: CubeName = None,
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="also write them: .csv (scree and loadings) or .png (loadings)")] = None,
) -> Steps[Report]:
    """Tell what the components of the PCA or MNF explain, and their loadings on the bands of a cube (the first one by default)."""
    from napari_hsi_ssl.steps.plots import components_report

    return components_report(Project.open(project), cube, to)


@verb
def scatter(
    project: ProjectFolder,
    x: Across = 1,
    y: Along = 2,
    colour: Annotated[str, typer.Option(help="density, domain, cube, mask, label or map")] = "domain",
    umap: OnUmap = False,
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="write the picture (.png) or the filled bins (.csv)")] = None,
) -> Steps[Report]:
    """Plot two components of all used pixels against each other."""
    from napari_hsi_ssl.steps.plots import scatter_report

    return scatter_report(Project.open(project), x, y, colour, "umap" if umap else "components", to)  # type: ignore[arg-type]


@verb
def umap(
    project: ProjectFolder,
    sample: Annotated[int | None, typer.Option(help="pixels in all, as many of each domain (10000)")] = None,
    neighbours: Annotated[int | None, typer.Option(help="few show fine structure, many the large shape (15)")] = None,
    distance: Annotated[float | None, typer.Option(help="how near points may lie, 0 to 1 (0.1)")] = None,
    seed: Seed = None,
) -> Steps[Report]:
    """Lay a sample of pixels out by UMAP, from their components."""
    from napari_hsi_ssl.steps.umap import fit_umap

    given = options_given(sample=sample, neighbours=neighbours, distance=distance, seed=seed)
    return fit_umap(Project.open(project), settings.UmapConfig.parse(given, "umap"))


@verb
def lasso(
    project: ProjectFolder,
    around: Annotated[list[str], typer.Option(metavar="X,Y", help="a corner, in the units of the scatter; give three or more")],
    x: Across = 1,
    y: Along = 2,
    umap: OnUmap = False,
    mask: Annotated[str | None, typer.Option(help="set the masks to the pixels inside, add them or remove them")] = None,
    class_name: Annotated[str | None, typer.Option("--class", help="give the pixels inside this class, an existing or a new one")] = None,
    cube: Annotated[list[str] | None, typer.Option(help="a cube's name, may be repeated; all by default")] = None,
    outside: Annotated[bool, typer.Option("--outside", help="count pixels outside the present masks too")] = False,
) -> Steps[Report]:
    """Make masks or a class of the pixels that a lasso in the scatter holds; only counts them without --mask and --class."""
    from napari_hsi_ssl.steps import lasso as steps

    if mask is not None and class_name is not None:
        raise typer.BadParameter("give --mask or --class, not both")
    hows: tuple[steps.How, ...] = ("set", "add", "remove")
    how = None if mask is None else one_of(mask, hows, "--mask")
    opened = Project.open(project)
    strokes = steps.strokes_around(opened, [_corner(text) for text in around], x, y, "umap" if umap else "components")
    if class_name is not None:
        return steps.lasso_class(opened, strokes, class_name, cube, outside=outside)
    if how is not None:
        return steps.lasso_masks(opened, strokes, how, cube, outside=outside)
    return steps.lasso_counts(opened, strokes, cube, outside=outside)


def _corner(text: str) -> tuple[float, float]:
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"'{text}' is not two numbers X,Y", param_hint="--around") from error
    return x, y
