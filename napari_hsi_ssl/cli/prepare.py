"""Verbs that prepare spectra: bad bands, the chain, saturated pixels."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_hsi_ssl.cli.options import ProjectFolder, one_of
from napari_hsi_ssl.config import ChainConfig
from napari_hsi_ssl.config.chain import parse_step
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.terminal import Report, verb

Cubes = Annotated[list[str] | None, typer.Option(help="a cube's name, may be repeated; all by default")]


@verb
def badbands(
    project: ProjectFolder,
    cube: Cubes = None,
    detect: Annotated[bool, typer.Option("--detect", help="find dead, noisy and water-vapour bands, and save them with the header's")] = False,
    chosen: Annotated[str | None, typer.Option("--set", metavar="BANDS|none|header", help="the bad bands, such as 0-5,104-108, counted from 0")] = None,
    keep: Annotated[str | None, typer.Option(metavar="BANDS", help="bands that stay good")] = None,
    water: Annotated[str, typer.Option(metavar="auto|yes|no", help="detect: the windows of water vapour; auto: where little signal is left")] = "auto",
) -> Steps[Report]:
    """Say which bands are bad, find them, or choose them; bad bands take no part in anything that is computed."""
    from napari_hsi_ssl.steps import prepare

    opened = Project.open(project)
    return prepare.bad_bands(opened, cube, detect=detect, chosen=chosen, keep=keep, water=one_of(water, ("auto", "yes", "no"), "--water"))


@verb
def preprocess(
    project: ProjectFolder,
    step: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND[:NAME=VALUE,…]", help="snv, mean, absorbance, savgol, continuum or resample, in this order; may be repeated"),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="take all steps away")] = False,
    show: Annotated[bool, typer.Option("--show", help="only say which steps there are")] = False,
) -> Report | Steps[Report]:
    """Choose how spectra are prepared before PCA, training on bands, baselines; without steps, say how they are."""
    from napari_hsi_ssl.steps import prepare

    if clear and step:
        raise typer.BadParameter("give --step or --clear, not both", param_hint="--clear")
    opened = Project.open(project)
    if show or not (step or clear):
        return prepare.chain_report(opened)
    return prepare.set_chain(opened, ChainConfig(steps=tuple(parse_step(text) for text in step or ())))


@verb
def saturated(
    project: ProjectFolder,
    cube: Cubes = None,
    ceiling: Annotated[float | None, typer.Option(help="the number of a saturated pixel, such as 4095; by default as header and type tell")] = None,
    count: Annotated[bool, typer.Option("--count", help="only count them; the masks stay as they are")] = False,
) -> Steps[Report]:
    """Take saturated pixels out of the masks."""
    from napari_hsi_ssl.steps import prepare

    return prepare.flag_saturated(Project.open(project), cube, ceiling=ceiling, unmask=not count)
