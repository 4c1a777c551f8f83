"""Verbs that judge, map, and hand results on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_hsi_ssl import config as settings
from napari_hsi_ssl.cli.options import Pairs, ProjectFolder, RunName, Seed, options_given, pairs
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.terminal import Report, verb


@verb
def evaluate(
    project: ProjectFolder,
    run_name: RunName = None,
    k: Annotated[int, typer.Option(help="neighbours")] = 20,
    labels: Annotated[str, typer.Option(help="domain or class")] = "domain",
) -> Steps[Report]:
    """Judge a pretrained run on held-out patches, beside a random backbone and the plain rows."""
    from napari_hsi_ssl.steps.evaluate import evaluate as step
    from napari_hsi_ssl.steps.runs import latest_run

    opened = Project.open(project)
    return step(opened, run_name or latest_run(opened, "pretrain"), settings.EvaluateConfig.parse({"k": k, "labels": labels}, "evaluate"))


@verb
def classify(
    project: ProjectFolder,
    method: Annotated[str | None, typer.Option(help="knn, linear or distil; by default what the run can do")] = None,
    run_name: RunName = None,
    cube: Annotated[list[str] | None, typer.Option(help="a cube's name, may be repeated")] = None,
    every: Annotated[bool, typer.Option("--all", help="every cube of the project")] = False,
    train: Pairs = None,
    k: Annotated[int, typer.Option(help="neighbours of kNN")] = 20,
    metric: Annotated[str | None, typer.Option(help="kNN: cosine or euclidean")] = None,
    weights: Annotated[str | None, typer.Option(help="kNN: votes count alike (uniform), by distance, or by softmax")] = None,
    temperature: Annotated[float | None, typer.Option(help="kNN with softmax: the smaller, the more the nearest count (0.07)")] = None,
    references: Annotated[int | None, typer.Option(help="at most this many labelled pixels serve as references (20000)")] = None,
    seed: Seed = None,
    calibrate: Annotated[str, typer.Option(help="confidence as held-out labelled pixels bear it out: far from those that teach, or near; or no")] = "far",
    unknown: Annotated[float | None, typer.Option(metavar="SHARE", help="mark what is unlike training, at this share of false alarms, such as 0.05")] = None,
    layer: Annotated[list[str] | None, typer.Option(help="entropy, disagreement or typicality beside the map; may be repeated")] = None,
    exits: Annotated[str | None, typer.Option(help="distil: deepest, or mean of all exits")] = None,
    exit_at: Annotated[float | None, typer.Option(metavar="SHARE", help="distil: the first exit that is so sure decides, such as 0.95")] = None,
    turns: Annotated[bool | None, typer.Option("--turns", help="distil: mean over the eight turns and mirror images of every window")] = None,
    out: Annotated[Path | None, typer.Option(help="also write the class numbers to this TIFF")] = None,
    workers: Annotated[int | None, typer.Option(help="cubes mapped side by side, each by a process of its own (1)")] = None,
    cluster: Annotated[str | None, typer.Option(metavar="tcp://HOST:PORT", help="map on the dask cluster at this address")] = None,
    memory: Annotated[int | None, typer.Option(metavar="MIB", help="what a tile of a cube may take on its way through a network (384)")] = None,
    again: Annotated[bool, typer.Option("--again", help="with --all: make also the maps that are there already")] = False,
    sheet: Annotated[Path | None, typer.Option(help="also write all maps as one picture (PNG)")] = None,
    areas: Annotated[Path | None, typer.Option(help="also write the areas by class and cube (CSV)")] = None,
) -> Steps[Report]:
    """Make maps of whole cubes, with confidence and provenance."""
    from napari_hsi_ssl.steps.batch import classify_many
    from napari_hsi_ssl.steps.classify import best_embedding
    from napari_hsi_ssl.steps.classify import classify as step
    from napari_hsi_ssl.steps.features import is_run
    from napari_hsi_ssl.steps.runs import latest_run

    opened = Project.open(project)
    if every and cube:
        raise typer.BadParameter("give --cube or --all, not both")
    if not every and not cube and len(opened.entries) > 1:
        raise typer.BadParameter(f"the project has {len(opened.entries)} cubes: give --cube NAME or --all")
    if run_name is None:
        run_name = latest_run(opened, "distil") if method == "distil" else best_embedding(opened)
    if method is None:
        method = "distil" if is_run(run_name) and opened.run_folder(run_name).config.kind == "distil" else "knn"
    voting = options_given(metric=metric, weights=weights, temperature=temperature, references=references, seed=seed)
    given = {**voting, **options_given(unknown=unknown, layers=layer, exits=exits, exit_at=exit_at, turns=turns)}
    made = settings.ClassifyConfig.parse({"method": method, "k": k, "calibrate": calibrate, **given}, "classify")
    batch = settings.BatchConfig.parse(options_given(workers=workers, cluster=cluster, again=again or not every, memory=memory), "classify")
    if out is not None or not (every or workers or cluster or sheet or areas):
        return step(opened, run_name, made, cubes=cube, train=pairs(train, "--train"), out=out, memory=batch.memory)
    return classify_many(opened, run_name, made, cube, pairs(train, "--train"), batch=batch, sheet=sheet, areas=areas)


@verb
def recommend(
    project: ProjectFolder,
    run_name: RunName = None,
    train: Pairs = None,
    k: Annotated[int, typer.Option(help="neighbours of kNN")] = 20,
) -> Steps[Report]:
    """Say which features and which classifier suit these labels, tried on parts of them that share nothing."""
    from napari_hsi_ssl.steps.recommend import recommend as step

    return step(Project.open(project), pairs(train, "--train") or None, None if run_name is None else [run_name], k)


@verb
def score(
    found: Annotated[Path, typer.Argument(metavar="MAP", help="a map, or any raster of class numbers")],
    labels: Annotated[Path, typer.Option(help="the truth; 0 = unlabelled")],
    train: Annotated[Path | None, typer.Option(help="what it was learned from, where its provenance does not tell")] = None,
    window: Annotated[int | None, typer.Option(help="with --train: side in pixels of what decides about a pixel")] = None,
) -> Steps[Report]:
    """Score a map against labels: OA, AA, kappa, per class, confusion, and what they are worth by the labels it was learned from."""
    from napari_hsi_ssl.steps.judge import score as step

    return step(found, labels, train, window)


@verb
def compare(
    first: Annotated[Path, typer.Argument(metavar="MAP")],
    second: Annotated[Path, typer.Argument(metavar="MAP")],
    labels: Annotated[Path | None, typer.Option(help="the truth; 0 = unlabelled")] = None,
    block: Annotated[int | None, typer.Option(help="with --labels: side in pixels of the blocks that are drawn again (24)")] = None,
    out: Annotated[Path | None, typer.Option(help="write where they differ and who says what: .tif, .hdr or .png")] = None,
) -> Steps[Report]:
    """Compare two maps: agreement class by class, who says what where they differ, and with labels which is better."""
    from napari_hsi_ssl.steps.judge import compare as step

    return step(first, second, labels, block, out)


@verb
def areas(
    found: Annotated[Path, typer.Argument(metavar="MAP", help="a map, or any raster of class numbers")],
    labels: Annotated[Path, typer.Option(help="labels that did not teach the map; 0 = unlabelled")],
    pixel_size: Annotated[float | None, typer.Option(metavar="METRES", help="side of a pixel; by default as the cube's file says")] = None,
    to: Annotated[Path | None, typer.Option(metavar="FILE.csv", help="also write the table there")] = None,
) -> Steps[Report]:
    """Estimate the area of each class with its 95 % interval, corrected by the map's errors on labels."""
    from napari_hsi_ssl.steps.areas import areas as step

    return step(found, labels, pixel_size, to)


@verb
def export(
    source: Annotated[Path, typer.Argument(metavar="MAP|CUBE|RUN", help="a map's .tif, a cube's file, or a run's folder")],
    to: Annotated[Path, typer.Option(help=".hdr, .tif, .zarr, .png, .csv or .safetensors")],
    key: Annotated[str | None, typer.Option(help="the array, in a file of several")] = None,
) -> Steps[Report]:
    """Write a map, a cube or a run for other programs."""
    from napari_hsi_ssl.steps.export import export as step

    return step(source, to, key)
