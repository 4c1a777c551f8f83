"""Verbs that measure spectra and compare them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_hsi_ssl import config as settings
from napari_hsi_ssl.cli.options import ProjectFolder, numbers, options_given
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.terminal import Report, verb

Cubes = Annotated[list[str] | None, typer.Option("--cube", help="a cube's name, may be repeated")]
Every = Annotated[bool, typer.Option("--all", help="every cube of the project")]
Places = Annotated[list[str] | None, typer.Option("--at", metavar="Y,X", help="a pixel; may be repeated")]
Prepared = Annotated[bool, typer.Option("--prepared", help="after the project's chain of preprocessing")]


def _chosen(project: Project, cubes: list[str] | None, every: bool) -> list[str]:
    if every and cubes:
        raise typer.BadParameter("give --cube or --all, not both")
    if not every and not cubes and len(project.entries) > 1:
        raise typer.BadParameter(f"the project has {len(project.entries)} cubes: give --cube NAME or --all")
    return list(cubes or project.entries)


def _places(texts: list[str] | None) -> list[tuple[int, int]]:
    found = []
    for text in texts or ():
        y, x = numbers(text, 2, "--at") or (0, 0)
        found.append((y, x))
    return found


@verb
def spectra(
    project: ProjectFolder,
    cube: Cubes = None,
    every: Every = False,
    at: Places = None,
    mask: Annotated[bool, typer.Option("--mask", help="mean of the mask, of all pixels where there is none (the default)")] = False,
    classes: Annotated[bool, typer.Option("--classes", help="mean of every labelled class")] = False,
    box: Annotated[str | None, typer.Option(metavar="Y0,X0,Y1,X1", help="mean of a box, ends excluded")] = None,
    polygons: Annotated[Path | None, typer.Option(help="means of polygons (GeoJSON, ENVI ROI) or of a label image, by class")] = None,
    pool: Annotated[bool, typer.Option("--pool", help="one mean over all cubes of the same bands, instead of one a cube")] = False,
    library: Annotated[Path | None, typer.Option(help="name the nearest entries of this library (.sli, .hdr, .csv)")] = None,
    match: Annotated[int, typer.Option(min=1, help="with --library: so many")] = 3,
    prepared: Prepared = False,
    to: Annotated[Path | None, typer.Option(help="also write them: .csv, or .sli for an ENVI library")] = None,
) -> Steps[Report]:
    """Measure spectra of pixels, masks, classes or regions, and compare them with a library."""
    from napari_hsi_ssl.steps.spectra import spectra as step

    ways = {"--at": bool(at), "--mask": mask, "--classes": classes, "--box": box is not None, "--polygons": polygons is not None}
    chosen = [name for name, given in ways.items() if given]
    if len(chosen) > 1:
        raise typer.BadParameter(f"give one of {', '.join(ways)}, found {', '.join(chosen)}")
    opened = Project.open(project)
    corners = numbers(box, 4, "--box")
    return step(
        opened, _chosen(opened, cube, every), at=_places(at), mask=mask, classes=classes, box=corners, polygons=polygons,
        pool=pool, prepared=prepared, library=library, match=match, to=to,
    )  # fmt: skip


@verb
def angles(
    project: ProjectFolder,
    cube: Cubes = None,
    every: Every = False,
    library: Annotated[Path | None, typer.Option(help="the references: all entries of a library (.sli, .hdr, .csv)")] = None,
    classes: Annotated[bool, typer.Option("--classes", help="the references: the means of the labelled classes")] = False,
    at: Places = None,
    max_angle: Annotated[float | None, typer.Option(help="radians; pixels farther from every reference stay unmapped (0.1)")] = None,
    prepared: Prepared = False,
    out: Annotated[Path | None, typer.Option(help="also write the class numbers to this TIFF")] = None,
) -> Steps[Report]:
    """Map cubes by the smallest spectral angle to reference spectra (spectral angle mapper)."""
    from napari_hsi_ssl.steps.angles import angles as step

    opened = Project.open(project)
    config = settings.AnglesConfig.parse(options_given(max_angle=max_angle, prepared=prepared), "angles")
    return step(opened, _chosen(opened, cube, every), config, library=library, classes=classes, at=_places(at), out=out)
