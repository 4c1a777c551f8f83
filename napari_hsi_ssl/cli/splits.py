"""Verbs that divide labels and say what a division is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_hsi_ssl.cli.options import options_given, pairs
from napari_hsi_ssl.config import SplitConfig
from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.terminal import Report, verb

_KINDS = {"random": "random", "blocks": "blocks", "fields": "fields", "cubes": "cubes", "tiles": "cubes"}


@verb
def split(
    labels: Annotated[
        list[str], typer.Argument(metavar="LABELS...|PROJECT", help="a label file, several (LABELS or CUBE=LABELS) to divide together, or a project's own")
    ],
    out: Annotated[Path | None, typer.Option(help="folder for foldK_train.tif and foldK_test.tif; of a project its own by default")] = None,
    kind: Annotated[str, typer.Option(help="random, blocks, fields, or cubes (or tiles): by whole file")] = "blocks",
    block: Annotated[int | None, typer.Option(help="side of a block in pixels (36)")] = None,
    guard: Annotated[int | None, typer.Option(help="unused pixels between training and test (16)")] = None,
    window: Annotated[int | None, typer.Option(help="side of the widest window in pixels: makes the guard just wide enough for it")] = None,
    folds: Annotated[int | None, typer.Option(help="parts, each the test once (4); or draws, of random with --share (1)")] = None,
    repeats: Annotated[int | None, typer.Option(help="draw all of it so often anew")] = None,
    validation: Annotated[bool | None, typer.Option("--validation", help="a third file a fold, held out of the training labels")] = None,
    per_class: Annotated[int | None, typer.Option(help="at most so many training pixels a class")] = None,
    test_per_class: Annotated[int | None, typer.Option(help="at most so many test pixels a class")] = None,
    share: Annotated[float | None, typer.Option(help="random: share of each class that is test")] = None,
    seed: Annotated[int | None, typer.Option(help="the first draw follows from it")] = None,
) -> Steps[Report]:
    """Divide labels into training and test folds that do not touch."""
    from napari_hsi_ssl.steps.project_splits import split_project
    from napari_hsi_ssl.steps.splits import split as step

    if kind not in _KINDS:
        raise typer.BadParameter(f"'{kind}' is not random, blocks, fields, cubes or tiles", param_hint="--kind")
    if window is not None:
        if guard is not None:
            raise typer.BadParameter("the window makes the guard: give one of the two", param_hint="--guard")
        if window < 1:
            raise typer.BadParameter(f"{window} is not at least 1", param_hint="--window")
        guard = window - 1
    given = options_given(
        block=block,
        guard=guard,
        folds=folds,
        repeats=repeats,
        validation=validation,
        per_class=per_class,
        test_per_class=test_per_class,
        share=share,
        seed=seed,
    )
    config = SplitConfig.parse({"kind": _KINDS[kind], **given}, "split")
    if len(labels) == 1 and (Path(labels[0]) / "project.json").exists():
        return split_project(Project.open(labels[0]), config, out=out)
    if out is None:
        raise typer.BadParameter("say where the folds go", param_hint="--out")
    return step(_label_files(labels), out, config)


@verb
def audit(
    train: Annotated[list[str], typer.Option(metavar="LABELS|CUBE=LABELS", help="training labels; with PROJECT of cubes, may be repeated")],
    test: Annotated[list[str], typer.Option(metavar="LABELS|CUBE=LABELS", help="test labels, likewise")],
    project: Annotated[Path | None, typer.Argument(metavar="[PROJECT]", help="the project of the cubes, for labels of several, and for their spectra")] = None,
    window: Annotated[int, typer.Option(help="side of the window in pixels")] = 32,
    cube: Annotated[Path | None, typer.Option(metavar="FILE", help="the cube of the labels: kNN on its spectra is told by distance too")] = None,
    of_map: Annotated[Path | None, typer.Option("--map", metavar="FILE", help="a map of the cube, told by distance too")] = None,
) -> Steps[Report]:
    """Say how much of the test set a training window has seen, what position alone scores, and where accuracy falls with distance."""
    from napari_hsi_ssl.steps import splits

    if project is not None:
        if cube is not None or of_map is not None:
            raise typer.BadParameter("a project has its cubes: leave out --cube and --map")
        return splits.audit_project(Project.open(project), pairs(train, "--train"), pairs(test, "--test"), window)
    for option, files in (("--train", train), ("--test", test)):
        if len(files) > 1:
            raise typer.BadParameter("several label files are of several cubes: give PROJECT and CUBE=LABELS", param_hint=option)
    return splits.audit(Path(train[0]), Path(test[0]), window, cube=cube, map_path=of_map)


def _label_files(texts: list[str]) -> Path | dict[str, Path]:
    """Return one path, or several by cube: as given by CUBE=LABELS, else by the name of the file."""
    if len(texts) == 1 and ("=" not in texts[0] or Path(texts[0]).exists()):
        return Path(texts[0])
    found: dict[str, Path] = {}
    for text in texts:
        cube, sign, file = text.partition("=")
        if not sign or Path(text).exists():
            cube, file = Path(text.partition("#")[0]).stem, text
        if cube in found:
            raise LabelError(f"{found[cube]} and {file} are both called '{cube}', expected a name for each cube; write CUBE=LABELS.")
        found[cube] = Path(file)
    return found
