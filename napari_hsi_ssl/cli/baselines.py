"""The verb that scores rivals and compares them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_hsi_ssl import config as settings
from napari_hsi_ssl.cli.options import CubeName, Pairs, ProjectFolder, RunName, options_given, pairs
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.terminal import Report, verb


@verb
def baselines(
    project: ProjectFolder,
    train: Pairs = None,
    test: Pairs = None,
    folds: Annotated[Path | None, typer.Option(metavar="FOLDER", help="folds as `split` writes them, or a JSON file of test cubes by fold")] = None,
    cube: CubeName = None,
    only: Annotated[str | None, typer.Option(metavar="A,B", help="with --folds: these alone")] = None,
    rows: Annotated[str | None, typer.Option(metavar="A,B", help="rows by key, quick (those of seconds) or all")] = None,
    seeds: Annotated[int | None, typer.Option(help="how often every row with draws is made (1)")] = None,
    seed: Annotated[int | None, typer.Option(help="the first")] = None,
    steps: Annotated[int | None, typer.Option(help="of every training of a network; by default 60 epochs")] = None,
    run_name: RunName = None,
    reference: Annotated[str | None, typer.Option(metavar="ROW", help="what the others are compared with (self-distillation, else the first row)")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="also write the table as .csv, .md or .json")] = None,
) -> Steps[Report]:
    """Score rivals on this split or on folds, with 95 % intervals and paired tests; what is finished is kept and not made again."""
    from napari_hsi_ssl.steps.baselines import baselines as step

    given = options_given(rows=_parts(rows), seeds=seeds, seed=seed, max_steps=steps, reference=reference)
    made = settings.TableConfig.parse(given, "baselines")
    sides = pairs(train, "--train"), pairs(test, "--test")
    return step(Project.open(project), *sides, made, folds=folds, cube=cube, only=_parts(only), run=run_name, out=out)


def _parts(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]
