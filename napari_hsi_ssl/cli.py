"""The command line: parses, calls a step, prints. No logic. How a verb runs on a terminal is told in `terminal`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_hsi_ssl import config as settings
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.terminal import Report, app, verb, watch

ProjectFolder = Annotated[Path, typer.Argument(metavar="PROJECT", help="the project folder")]
CubeName = Annotated[str | None, typer.Option("--cube", help="a cube's name")]
Pairs = Annotated[list[str] | None, typer.Option(metavar="CUBE=LABELS", help="a cube's name and its label file; may be repeated")]
RunName = Annotated[str | None, typer.Option("--run", help="a run's name")]
Epochs = Annotated[int | None, typer.Option(help="passes over the training data")]
BatchSize = Annotated[int | None, typer.Option(help="over all devices")]
Seed = Annotated[int | None, typer.Option(help="every random draw follows from it")]
Devices = Annotated[str | None, typer.Option(help="a number, or auto")]
Precision = Annotated[str | None, typer.Option(help="auto, 32, 16 or bf16")]
Resume = Annotated[bool, typer.Option("--resume", help="go on from the last checkpoint")]
Detach = Annotated[bool, typer.Option("--detach", help="return once the trainer has started")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="the config.json of a run: starts it again")]


def _numbers(text: str | None, count: int, option: str) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        values = tuple(int(part) for part in text.replace("x", ",").split(","))
    except ValueError as error:
        raise typer.BadParameter(f"'{text}' is not {count} whole numbers separated by commas", param_hint=option) from error
    if len(values) != count:
        raise typer.BadParameter(f"'{text}' holds {len(values)} numbers, expected {count}", param_hint=option)
    return values


def _pairs(texts: list[str] | None, option: str) -> dict[str, Path]:
    pairs = {}
    for text in texts or []:
        cube, sign, path = text.partition("=")
        if not (cube and sign and path):
            raise typer.BadParameter(f"'{text}' is not of the form CUBE=LABELS", param_hint=option)
        pairs[cube] = Path(path)
    return pairs


def _given(**options: object) -> dict[str, Any]:
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if isinstance(given.get("devices"), str) and given["devices"].isdigit():
        given["devices"] = int(given["devices"])
    return given


@verb
def info(
    cube: Annotated[Path, typer.Argument(help="a cube's file")],
    key: Annotated[str | None, typer.Option(help="the array, in a file of several")] = None,
    shape: Annotated[str | None, typer.Option(metavar="Y,X,B", help="for files that do not tell their shape")] = None,
    order: Annotated[str, typer.Option(metavar="C|F")] = "C",
) -> Report:
    """Describe a cube: shape, bands, wavelengths, quantity, type, layout, memory."""
    from napari_hsi_ssl.steps import cubes

    return cubes.info(cube, key, _numbers(shape, 3, "--shape"), _order(order))  # type: ignore[arg-type]


@verb
def new(
    project: ProjectFolder,
    paths: Annotated[list[Path] | None, typer.Argument(metavar="[PATH]...", help="more cubes and folders of cubes")] = None,
    cubes: Annotated[list[Path] | None, typer.Option(metavar="PATH", help="a cube or a folder of cubes; may be repeated, more paths may follow")] = None,
) -> Steps[Report]:
    """Make a project, with the cubes of files and folders; a cube's domain is its folder's name."""
    from napari_hsi_ssl.steps import cubes as verbs

    return verbs.new(project, [*(cubes or []), *(paths or [])])


@verb
def add(
    project: ProjectFolder,
    path: Annotated[Path, typer.Argument(help="a cube, or a folder of cubes")],
    domain: Annotated[str | None, typer.Option(help="the camera or subject; the folder's name by default")] = None,
    name: Annotated[str | None, typer.Option(help="the cube's name; the file's stem by default")] = None,
    key: Annotated[str | None, typer.Option(help="the array, in a file of several")] = None,
    shape: Annotated[str | None, typer.Option(metavar="Y,X,B", help="for files that do not tell their shape")] = None,
    order: Annotated[str, typer.Option(metavar="C|F")] = "C",
    white: Annotated[Path | None, typer.Option(help="white reference")] = None,
    dark: Annotated[Path | None, typer.Option(help="dark reference")] = None,
) -> Steps[Report]:
    """Add a cube, or a folder of cubes, to a project."""
    from napari_hsi_ssl.steps import cubes as verbs

    box = _numbers(shape, 3, "--shape")
    return verbs.add(Project.open(project), path, domain=domain, name=name, key=key, shape=box, order=_order(order), white=white, dark=dark)  # type: ignore[arg-type]


@verb
def crop(
    project: ProjectFolder,
    cube: Annotated[str, typer.Option(help="a cube's name")],
    box: Annotated[str | None, typer.Option(metavar="Y0,X0,Y1,X1", help="ends excluded; without it the whole frame is used again")] = None,
) -> Steps[Report]:
    """Use only a box of a cube; the file stays as it is."""
    from napari_hsi_ssl.steps import cubes as verbs

    corners = _numbers(box, 4, "--box")
    return verbs.crop(Project.open(project), cube, corners)  # type: ignore[arg-type]


@verb
def remove(project: ProjectFolder, cube: Annotated[str, typer.Option(help="a cube's name")]) -> Steps[Report]:
    """Forget a cube; its file, masks, labels and maps stay."""
    from napari_hsi_ssl.steps import cubes as verbs

    return verbs.remove(Project.open(project), cube)


@verb
def mask(
    project: ProjectFolder,
    cube: Annotated[list[str] | None, typer.Option(help="a cube's name, may be repeated; all by default")] = None,
    method: Annotated[str | None, typer.Option(help="otsu, threshold, angle or all")] = None,
    source: Annotated[str | None, typer.Option(help="brightness, band or pc1")] = None,
    band: Annotated[int | None, typer.Option(help="band index from 0, with --source band")] = None,
    wavelength: Annotated[float | None, typer.Option(help="nm, with --source band")] = None,
    low: Annotated[float | None, typer.Option(help="threshold: keep values of at least this")] = None,
    high: Annotated[float | None, typer.Option(help="threshold: keep values of at most this")] = None,
    keep: Annotated[str | None, typer.Option(help="otsu: keep the bright or the dark side")] = None,
    at: Annotated[str | None, typer.Option(metavar="Y,X", help="angle: the pixel of the reference spectrum")] = None,
    max_angle: Annotated[float | None, typer.Option(help="angle: largest angle in radians")] = None,
    invert: Annotated[bool | None, typer.Option("--invert", help="keep the other side")] = None,
    fill_holes: Annotated[bool | None, typer.Option("--fill-holes/--keep-holes")] = None,
    drop_specks: Annotated[int | None, typer.Option(help="drop objects of fewer pixels")] = None,
) -> Steps[Report]:
    """Find the foreground of cubes and save it as their masks."""
    from napari_hsi_ssl.steps.mask import make_masks

    if source is None and (band is not None or wavelength is not None):
        source = "band"
    given = _given(
        method=method, source=source, band=band, wavelength=wavelength, low=low, high=high, keep=keep, at=_numbers(at, 2, "--at"),
        max_angle=max_angle, invert=invert, fill_holes=fill_holes, drop_specks=drop_specks,
    )  # fmt: skip
    return make_masks(Project.open(project), settings.MaskConfig.parse(given, "mask"), cube)


@verb
def labels(
    project: ProjectFolder,
    cube: CubeName = None,
    source: Annotated[Path | None, typer.Option("--from", help="raster (TIFF, NPY, MAT, PNG, ENVI) or polygons (GeoJSON, ENVI ROI)")] = None,
    key: Annotated[str | None, typer.Option(help="the array, in a file of several")] = None,
    class_name: Annotated[str | None, typer.Option("--class", help="the whole cube is of this class")] = None,
    table: Annotated[Path | None, typer.Option(help="CSV with the columns cube and class")] = None,
    folders: Annotated[bool, typer.Option("--folders", help="every cube is of the class named like its folder")] = False,
) -> Steps[Report]:
    """Give pixels their classes."""
    from napari_hsi_ssl.steps import labels as verbs

    ways = {"--from": source, "--class": class_name, "--table": table, "--folders": folders or None}
    chosen = [name for name, value in ways.items() if value is not None]
    if len(chosen) != 1:
        raise typer.BadParameter(f"give exactly one of {', '.join(ways)}, found {', '.join(chosen) or 'none'}")
    if table is None and not folders and cube is None:
        raise typer.BadParameter(f"{chosen[0]} needs --cube NAME")
    opened = Project.open(project)
    if table is not None:
        return verbs.labels_from_table(opened, table)
    if folders or cube is None:
        return verbs.labels_from_folders(opened)
    if source is not None:
        return verbs.labels_from_file(opened, cube, source, key)
    return verbs.label_whole_cube(opened, cube, class_name or "")


@verb
def pca(
    project: ProjectFolder,
    bands: Annotated[int | None, typer.Option(help="bands of the common grid (256)")] = None,
    grid: Annotated[str | None, typer.Option(help="index or wavelength")] = None,
    components: Annotated[int | None, typer.Option(help="components kept (30)")] = None,
    method: Annotated[str | None, typer.Option(help="pca or mnf")] = None,
    scale: Annotated[str | None, typer.Option(help="none, standardise or snv")] = None,
    weights: Annotated[str | None, typer.Option(help="pixels, or domain: every domain counts the same")] = None,
    sample: Annotated[int | None, typer.Option(help="fit on at most this many random pixels a cube")] = None,
    seed: Seed = None,
) -> Steps[Report]:
    """Bring every domain to one band grid and fit one PCA over all masked pixels."""
    from napari_hsi_ssl.steps.pca import fit_pca

    given = _given(bands=bands, grid=grid, components=components, method=method, scale=scale, weights=weights, sample=sample, seed=seed)
    return fit_pca(Project.open(project), settings.PcaConfig.parse(given, "pca"))


@verb
def patches(
    project: ProjectFolder,
    size: Annotated[int | None, typer.Option(help="side in pixels (32)")] = None,
    stride: Annotated[int | None, typer.Option(help="pixels between patches (half the size)")] = None,
    coverage: Annotated[float | None, typer.Option(help="smallest share of foreground (0.5)")] = None,
    background: Annotated[str | None, typer.Option(help="mean, keep or zero")] = None,
    per_domain: Annotated[int | None, typer.Option(help="at most this many a domain")] = None,
    split: Annotated[str | None, typer.Option(help="cube, blocks, or auto: by cube where a domain has two or more")] = None,
    guard: Annotated[int | None, typer.Option(help="unused pixels between blocks of training and test")] = None,
    block: Annotated[int | None, typer.Option(help="side of a block (twice the size)")] = None,
    test_share: Annotated[float | None, typer.Option(help="share held out (0.25)")] = None,
    seed: Seed = None,
) -> Steps[Report]:
    """Cut the patch index, stratified by domain, and hold a test part out."""
    from napari_hsi_ssl.steps.patches import cut_patches

    given = _given(
        size=size, stride=stride, coverage=coverage, background=background, per_domain=per_domain, split=split, guard=guard,
        block=block, test_share=test_share, seed=seed,
    )  # fmt: skip
    return cut_patches(Project.open(project), settings.PatchConfig.parse(given, "patches"))


@verb
def pretrain(
    project: ProjectFolder,
    recipe: Annotated[str | None, typer.Option(help="poster or pixel")] = None,
    inlet: Annotated[str | None, typer.Option(help="pca: the project's frozen projection")] = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: Annotated[float | None, typer.Option()] = None,
    temperature: Annotated[float | None, typer.Option(help="of NT-Xent")] = None,
    max_steps: Annotated[int | None, typer.Option(help="stop after this many steps")] = None,
    seed: Seed = None,
    devices: Devices = None,
    precision: Precision = None,
    run_name: RunName = None,
    resume: Resume = False,
    detach: Detach = False,
    config: ConfigFile = None,
) -> Steps[Report]:
    """Train SimCLR on the patches, in a process of its own."""
    from napari_hsi_ssl.steps import train

    given = _given(
        inlet=inlet, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, temperature=temperature, max_steps=max_steps,
        seed=seed, devices=devices, precision=precision,
    )  # fmt: skip
    opened = Project.open(project)
    if config is not None:
        return train.start_again(opened, config, kind="pretrain", changes=_given(recipe=recipe, **given), run=run_name, detach=detach)
    stored = train.stored_settings(opened, "pretrain", run_name) if resume else None
    made = (
        settings.PretrainConfig.parse({**stored.model_dump(), **_given(recipe=recipe, **given)}, "pretrain")
        if stored is not None
        else settings.PretrainConfig.from_recipe(recipe or "poster", **given)
    )
    return train.pretrain(opened, made, run=run_name, resume=resume, detach=detach)


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
def distil(
    project: ProjectFolder,
    train: Pairs = None,
    validation: Pairs = None,
    init: Annotated[str | None, typer.Option(help="a pretrained run whose trunk is carried over")] = None,
    direction: Annotated[str | None, typer.Option(help="both, deep, early or none")] = None,
    window: Annotated[int | None, typer.Option(help="side in pixels, best odd")] = None,
    source: Annotated[str | None, typer.Option("--input", help="pcs or bands")] = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: Annotated[float | None, typer.Option()] = None,
    max_steps: Annotated[int | None, typer.Option(help="stop after this many steps")] = None,
    seed: Seed = None,
    devices: Devices = None,
    precision: Precision = None,
    run_name: RunName = None,
    resume: Resume = False,
    detach: Detach = False,
    config: ConfigFile = None,
) -> Steps[Report]:
    """Train the self-distillation network on labels, in a process of its own."""
    from napari_hsi_ssl.steps import train as verbs

    given = _given(
        direction=direction, window=window, input=source, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate,
        max_steps=max_steps, seed=seed, devices=devices, precision=precision,
    )  # fmt: skip
    train_files, held_out = _pairs(train, "--train"), _pairs(validation, "--validation")
    opened = Project.open(project)
    if config is not None:
        return verbs.start_again(opened, config, kind="distil", changes=given, run=run_name, detach=detach)
    stored = verbs.stored_settings(opened, "distil", run_name) if resume else None
    made = settings.DistilConfig.parse({**(stored.model_dump() if stored else {}), **given}, "distil")
    return verbs.distil(opened, made, train=train_files, validation=held_out, init=init, run=run_name, resume=resume, detach=detach)


@verb
def classify(
    project: ProjectFolder,
    method: Annotated[str | None, typer.Option(help="knn, linear or distil; by default what the run can do")] = None,
    run_name: RunName = None,
    cube: Annotated[list[str] | None, typer.Option(help="a cube's name, may be repeated")] = None,
    every: Annotated[bool, typer.Option("--all", help="every cube of the project")] = False,
    train: Pairs = None,
    k: Annotated[int, typer.Option(help="neighbours of kNN")] = 20,
    out: Annotated[Path | None, typer.Option(help="also write the class numbers to this TIFF")] = None,
) -> Steps[Report]:
    """Make maps of whole cubes, with confidence and provenance."""
    from napari_hsi_ssl.steps.classify import classify as step
    from napari_hsi_ssl.steps.runs import latest_run

    opened = Project.open(project)
    if every and cube:
        raise typer.BadParameter("give --cube or --all, not both")
    if not every and not cube and len(opened.entries) > 1:
        raise typer.BadParameter(f"the project has {len(opened.entries)} cubes: give --cube NAME or --all")
    if run_name is None:
        run_name = latest_run(opened, "distil" if method == "distil" else "pretrain")
    if method is None:
        method = "distil" if opened.run_folder(run_name).config.kind == "distil" else "knn"
    made = settings.ClassifyConfig.parse({"method": method, "k": k}, "classify")
    return step(opened, run_name, made, cubes=cube, train=_pairs(train, "--train"), out=out)


@verb
def score(
    found: Annotated[Path, typer.Argument(metavar="MAP", help="a map, or any raster of class numbers")],
    labels: Annotated[Path, typer.Option(help="the truth; 0 = unlabelled")],
) -> Steps[Report]:
    """Score a map against labels: OA, AA, kappa, per class, confusion."""
    from napari_hsi_ssl.steps.judge import score as step

    return step(found, labels)


@verb
def compare(
    first: Annotated[Path, typer.Argument(metavar="MAP")],
    second: Annotated[Path, typer.Argument(metavar="MAP")],
    labels: Annotated[Path | None, typer.Option(help="the truth; 0 = unlabelled")] = None,
) -> Steps[Report]:
    """Compare two maps: agreement, and with labels McNemar's test."""
    from napari_hsi_ssl.steps.judge import compare as step

    return step(first, second, labels)


@verb
def split(
    labels: Annotated[Path, typer.Argument(metavar="LABELS")],
    out: Annotated[Path, typer.Option(help="folder for foldK_train.tif and foldK_test.tif")],
    kind: Annotated[str, typer.Option(help="random, blocks or fields")] = "blocks",
    block: Annotated[int, typer.Option(help="side of a block in pixels")] = 36,
    guard: Annotated[int, typer.Option(help="unused pixels between training and test")] = 16,
    folds: Annotated[int, typer.Option()] = 4,
    seed: Annotated[int, typer.Option()] = 0,
) -> Steps[Report]:
    """Divide labels into training and test folds that do not touch."""
    from napari_hsi_ssl.steps.judge import split as step

    if kind not in {"random", "blocks", "fields"}:
        raise typer.BadParameter(f"'{kind}' is not random, blocks or fields", param_hint="--kind")
    return step(labels, out, kind=kind, block=block, guard=guard, folds=folds, seed=seed)  # type: ignore[arg-type]


@verb
def audit(
    train: Annotated[Path, typer.Option(help="training labels")],
    test: Annotated[Path, typer.Option(help="test labels")],
    window: Annotated[int, typer.Option(help="side of the window in pixels")] = 32,
) -> Steps[Report]:
    """Say how much of the test set a training window has seen, and what position alone scores."""
    from napari_hsi_ssl.steps.judge import audit as step

    return step(train, test, window)


@verb
def baselines(project: ProjectFolder, train: Pairs = None, test: Pairs = None, seed: Annotated[int, typer.Option()] = 0) -> Steps[Report]:
    """Score the simple rivals on this split."""
    from napari_hsi_ssl.steps.judge import baselines as step

    return step(Project.open(project), _pairs(train, "--train"), _pairs(test, "--test"), seed)


@verb
def runs(
    project: ProjectFolder,
    cancel: Annotated[str | None, typer.Option(metavar="RUN", help="save and stop a live run")] = None,
    delete: Annotated[str | None, typer.Option(metavar="RUN", help="delete a run's folder")] = None,
    follow: Annotated[str | None, typer.Option(metavar="RUN", help="watch a live run to its end")] = None,
) -> Report | Steps[Report]:
    """List the runs: what is running, how far, how to reattach."""
    from napari_hsi_ssl.steps import runs as verbs
    from napari_hsi_ssl.steps.train import follow_run

    opened = Project.open(project)
    if cancel is not None:
        return verbs.cancel_run(opened, cancel)
    if delete is not None:
        return verbs.delete_run(opened, delete)
    if follow is not None:
        return follow_run(opened, follow)
    return {"runs": verbs.list_runs(opened)}


@verb
def export(
    source: Annotated[Path, typer.Argument(metavar="MAP|CUBE|RUN", help="a map's .tif, a cube's file, or a run's folder")],
    to: Annotated[Path, typer.Option(help=".hdr, .tif, .png, .csv or .safetensors")],
    key: Annotated[str | None, typer.Option(help="the array, in a file of several")] = None,
) -> Steps[Report]:
    """Write a map, a cube or a run for other programs."""
    from napari_hsi_ssl.steps.export import export as step

    return step(source, to, key)


@verb
def demo(
    headless: Annotated[Path | None, typer.Option(metavar="FOLDER", help="leave screenshots, maps and result.json there")] = None,
    folder: Annotated[Path, typer.Option(help="where the demonstration's project goes")] = Path("demo-output"),
    epochs: Annotated[int, typer.Option(help="of the pretraining")] = 10,
) -> Report:
    """Do the whole of it on the bundled sample, and end with the maps in the window."""
    from napari_hsi_ssl.gui.demo import require_display, show
    from napari_hsi_ssl.steps.demo import demo as step

    require_display()
    report = watch(step((headless or folder).absolute(), epochs=epochs))
    pictures = show(Path(report["project"]), report["maps"], report["scores"], headless)
    return {"folder": str((headless or folder).absolute()), "maps": report["maps"], "accuracies": report["accuracies"], "screenshots": pictures}


def _order(text: str) -> str:
    if text not in {"C", "F"}:
        raise typer.BadParameter(f"'{text}' is not C or F", param_hint="--order")
    return text


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    app()
