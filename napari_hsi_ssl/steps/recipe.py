"""A step as a text that does it again: a line for the command line, and a few lines of Python.

Both name only what differs from the defaults, so that they say what was chosen.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_hsi_ssl.config import (
    AnglesConfig,
    BatchConfig,
    ChainConfig,
    ClassifyConfig,
    DistilConfig,
    EvaluateConfig,
    MaskConfig,
    PaintConfig,
    PatchConfig,
    PcaConfig,
    PretrainConfig,
    Settings,
    SplitConfig,
    TableConfig,
    UmapConfig,
    ViewConfig,
)
from napari_hsi_ssl.cubes.bad_bands import band_text
from napari_hsi_ssl.steps.scatter import Stroke

PROGRAM = "napari-hsi-ssl"


@dataclass(frozen=True)
class Recipe:
    """A step that can be done again elsewhere.

    Attributes
    ----------
    verb : str
        Of the command line.
    arguments : tuple of str
        In their order.
    options : dict of str
        By name, underscores for dashes. True is a flag, None and False are left out, a tuple of numbers is written with commas,
        a list is repeated, a dict is repeated as ``KEY=VALUE``.
    python : str
        A text that Python can run.
    """

    verb: str
    arguments: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    python: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """What follows the program's name, unquoted."""
        found = [self.verb, *self.arguments]
        for name, value in self.options.items():
            found += _words(f"--{name.replace('_', '-')}", value)
        return tuple(found)

    @property
    def command(self) -> str:
        """The line for a shell."""
        return shlex.join((PROGRAM, *self.words))


def _words(option: str, value: Any) -> list[str]:  # noqa: ANN401 - whatever an option can be
    if value is None or value is False:
        return []
    if value is True:
        return [option]
    if isinstance(value, Mapping):
        return [word for key, part in value.items() for word in (option, f"{key}={part}")]
    if isinstance(value, list):
        return [word for part in value for word in (option, str(part))]
    if isinstance(value, tuple):
        return [f"{option}={','.join(map(str, value))}"] if str(value[0]).startswith("-") else [option, ",".join(map(str, value))]
    return [f"{option}={value}"] if str(value).startswith("-") else [option, str(value)]


def changes(config: Settings, base: Settings | None = None) -> dict[str, Any]:
    """Return the fields of settings that differ from those of ``base``, the defaults unless given."""
    plain, default = config.model_dump(), (base or type(config)()).model_dump()
    return {name: value for name, value in plain.items() if value != default[name]}


def literal(value: Any) -> str:  # noqa: ANN401 - whatever a step takes
    """Return a value as Python writes it; a path as ``Path('…')``."""
    if isinstance(value, Path):
        return f"Path({str(value)!r})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {literal(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return repr(value)


def called(name: str, /, *arguments: str, **named: Any) -> str:  # noqa: ANN401 - whatever a step takes
    """Return a call as Python writes it: ``arguments`` are texts already, ``named`` values that are left out where None."""
    return f"{name}({', '.join([*arguments, *(f'{key}={literal(value)}' for key, value in named.items() if value is not None)])})"


def script(project: Path | None, module: str, call: str, *settings: str, also: str = "") -> str:
    """Return a whole script: imports, the project, one step, its report.

    Parameters
    ----------
    project : Path or None
        Opened as ``project`` where the call needs one.
    module : str
        Of `napari_hsi_ssl.steps`; the call begins with the name of its function.
    call : str
        The call of the step.
    *settings : str
        Names to import from `napari_hsi_ssl.config`.
    also : str, optional
        Another function of the module that the call needs.
    """
    function = call.split("(", 1)[0]
    lines = ["from pathlib import Path", ""] if "Path(" in call else []
    lines.append(f"from napari_hsi_ssl import {'Project, ' if project is not None else ''}run")
    if settings:
        lines.append(f"from napari_hsi_ssl.config import {', '.join(settings)}")
    lines += [f"from napari_hsi_ssl.steps.{module} import {function}{also and ', '}{also}", ""]
    if project is not None:
        lines.append(f"project = Project.open({str(project.absolute())!r})")
    return "\n".join([*lines, f"report = run({call})", "print(report)", ""])


def _of_project(verb: str, folder: Path, options: dict[str, Any], module: str, call: str, *settings: str) -> Recipe:
    return Recipe(verb, (str(folder.absolute()),), options, script(folder, module, call, *settings))


# -- cubes ------------------------------------------------------------------------------------------------------------


def new(folder: Path, paths: Sequence[Path] = ()) -> Recipe:
    """Make a project with the cubes of files and folders."""
    absolute = [path.absolute() for path in paths]
    folder = folder.absolute()
    given = [literal(absolute)] if absolute else []
    return Recipe("new", (str(folder), *map(str, absolute)), {}, script(None, "cubes", called("new", literal(folder), *given)))


def add(project: Path, path: Path, **how: Any) -> Recipe:  # noqa: ANN401 - as `steps.cubes.add` takes them
    """Add a file or a folder to a project."""
    how = {name: value.absolute() if isinstance(value, Path) else value for name, value in how.items() if value is not None}
    call = called("add", "project", literal(path.absolute()), **how)
    options = dict(how)
    if "exposure" in options:  # a time that is unknown is left empty between the commas
        options["exposure"] = ",".join("" if time is None else f"{time:.12g}" for time in options["exposure"])
    return Recipe("add", (str(project.absolute()), str(path.absolute())), options, script(project, "cubes", call))


def crop(project: Path, cube: str, box: tuple[int, int, int, int] | None) -> Recipe:
    """Use only a box of a cube, or all of it again."""
    return _of_project("crop", project, {"cube": cube, "box": box}, "cubes", called("crop", "project", repr(cube), repr(box)))


# -- masks and labels -------------------------------------------------------------------------------------------------


def masks(project: Path, config: MaskConfig, cubes: Sequence[str] | None = None) -> Recipe:
    """Find masks by a rule."""
    changed = changes(config)
    options = {"cube": list(cubes or []), **changed}
    # What the command line calls or repeats otherwise than the settings do.
    if "at" in options:
        options["at"] = [f"{y},{x}" for y, x in options["at"]]
    for side in ("background", "foreground"):
        if side in options:
            options[side] = ",".join(map(str, options[side]))
    if "classes" in options:
        options["class"] = list(options.pop("classes"))
    if "file" in options:
        options["from"] = options.pop("file")
    if "fill_holes" in options:
        options["keep_holes"] = not options.pop("fill_holes")
    arguments = [] if cubes is None else [literal(list(cubes))]
    return _of_project("mask", project, options, "mask", called("make_masks", "project", called("MaskConfig", **changed), *arguments), "MaskConfig")


def labels(project: Path, cube: str, *, source: Path | None = None, key: str | None = None, class_name: str | None = None) -> Recipe:
    """Label a cube from a file or as of one class."""
    if source is not None:
        source = source.absolute()
        call = called("labels_from_file", "project", repr(cube), literal(source), key=key)
        return _of_project("labels", project, {"cube": cube, "from": source, "key": key}, "labels", call)
    call = called("label_whole_cube", "project", repr(cube), repr(class_name))
    return _of_project("labels", project, {"cube": cube, "class": class_name}, "labels", call)


def labels_of_all(project: Path, table: Path | None = None) -> Recipe:
    """Label all cubes from a table, or by the names of their folders."""
    if table is not None:
        table = table.absolute()
        return _of_project("labels", project, {"table": table}, "labels", called("labels_from_table", "project", literal(table)))
    return _of_project("labels", project, {"folders": True}, "labels", called("labels_from_folders", "project"))


def split(project: Path, config: SplitConfig) -> Recipe:
    """Divide the labels of a project."""
    changed = changes(config)
    call = called("split_project", "project", called("SplitConfig", **changed))
    return _of_project("split", project, changed, "project_splits", call, "SplitConfig")


# -- prepared spectra -------------------------------------------------------------------------------------------------


def view(project: Path, cube: str, config: ViewConfig, to: Path) -> Recipe:
    """Write a picture of a cube."""
    changed = changes(config)
    options: dict[str, Any] = {"cube": cube, **changed}
    if changed.get("joint") is False:
        options |= {"joint": None, "per_channel": True}
    call = called("view", f"project.cube({cube!r})", called("ViewConfig", **changed), literal(to.absolute()))
    return _of_project("view", project, {**options, "to": to.absolute()}, "view", call, "ViewConfig")


def bad_bands(project: Path, cubes: Sequence[str], bands: Sequence[int] | None) -> Recipe:
    """Choose the bad bands of cubes; None is the list of each file's header."""
    chosen = "header" if bands is None else band_text(bands) or "none"
    call = called("bad_bands", "project", literal(list(cubes)), chosen=chosen)
    return _of_project("badbands", project, {"cube": list(cubes), "set": chosen}, "prepare", call)


def chain(project: Path, config: ChainConfig) -> Recipe:
    """Choose how spectra are prepared."""
    texts = list(config.texts())
    options: dict[str, Any] = {"step": texts} if texts else {"clear": True}
    steps = [{name: value for name, value in step.model_dump().items() if value is not None} for step in config.steps]
    call = called("set_chain", "project", called("ChainConfig", steps=steps or None))
    return _of_project("preprocess", project, options, "prepare", call, "ChainConfig")


def saturated(project: Path, cubes: Sequence[str] | None = None, ceiling: float | None = None) -> Recipe:
    """Take saturated pixels out of the masks of some cubes, or of all."""
    arguments = [literal(list(cubes))] if cubes else []
    call = called("flag_saturated", "project", *arguments, ceiling=ceiling)
    return _of_project("saturated", project, {"cube": list(cubes or []), "ceiling": ceiling}, "prepare", call)


# -- projection and patches -------------------------------------------------------------------------------------------


def pca(project: Path, config: PcaConfig) -> Recipe:
    """Fit the projection."""
    changed = changes(config)
    return _of_project("pca", project, changed, "pca", called("fit_pca", "project", called("PcaConfig", **changed)), "PcaConfig")


def training_free(project: Path) -> Recipe:
    """Make the training-free projection the project's own."""
    return _of_project("pca", project, {"training_free": True}, "training_free", "training_free_inlet(project, current=True)")


def umap(project: Path, config: UmapConfig) -> Recipe:
    """Lay a sample out by UMAP."""
    changed = changes(config)
    return _of_project("umap", project, changed, "umap", called("fit_umap", "project", called("UmapConfig", **changed)), "UmapConfig")


def patches(project: Path, config: PatchConfig, sheet: Path | None = None) -> Recipe:
    """Cut the patches; with ``sheet`` draw examples of them into a picture instead, and leave the project as it is."""
    changed, drawn = changes(config), [] if sheet is None else [literal(sheet.absolute())]
    call = called("preview_report" if drawn else "cut_patches", "project", called("PatchConfig", **changed), *drawn)
    options = changed | ({"preview": True, "sheet": sheet.absolute()} if sheet is not None else {})
    return _of_project("patches", project, options, "patches", call, "PatchConfig")


def lasso(
    project: Path,
    strokes: Sequence[Stroke],
    *,
    mask: str | None = None,
    class_name: str | None = None,
    cubes: Sequence[str] | None = None,
    outside: bool = False,
) -> Recipe:
    """Make masks or a class of what lassos in the scatter hold, or count it. Several lassos are one step in Python only."""
    verb = "lasso_class" if class_name is not None else "lasso_counts" if mask is None else "lasso_masks"
    around = " + ".join(called("strokes_around", "project", *_lasso(stroke)) for stroke in strokes)
    given = [literal(word) for word in (mask, class_name) if word is not None]
    call = called(verb, "project", around, *given, cubes=None if cubes is None else list(cubes), outside=outside or None)
    python = script(project, "lasso", call, also="strokes_around")
    if len(strokes) > 1:
        return Recipe("", python=python)
    pair = strokes[0].pair
    options: dict[str, Any] = {"around": [f"{x:.7g},{y:.7g}" for x, y in strokes[0].polygon], "x": pair.x + 1, "y": pair.y + 1, "umap": pair.space == "umap"}
    options |= {"mask": mask, "class": class_name, "cube": list(cubes or []), "outside": outside}
    return Recipe("lasso", (str(project.absolute()),), options, python)


def _lasso(stroke: Stroke) -> list[str]:
    """Return the arguments of `steps.lasso.strokes_around`."""
    corners = "[" + ", ".join(f"({x:.7g}, {y:.7g})" for x, y in stroke.polygon) + "]"
    mode = [f"mode={stroke.mode!r}"] if stroke.mode != "new" else []
    return [corners, str(stroke.pair.x + 1), str(stroke.pair.y + 1), repr(stroke.pair.space), *mode]


def spectra(
    project: Path, cubes: Sequence[str], *, at: Sequence[tuple[int, int]] = (), classes: bool = False, pool: bool = False, library: Path | None = None
) -> Recipe:
    """Measure pixels, the classes, or else the masks, and compare them with a library where one is given."""
    what: dict[str, Any] = {"at": list(at)} if at else {"classes": True} if classes else {"mask": True}
    library = library.absolute() if library is not None else None
    call = called("spectra", "project", literal(list(cubes)), **what, pool=pool or None, library=library)
    options = {"cube": list(cubes), **what, "pool": pool, "library": library}
    return _of_project("spectra", project, options | ({"at": [f"{y},{x}" for y, x in at]} if at else {}), "spectra", call)


def angles(project: Path, cube: str, library: Path, config: AnglesConfig) -> Recipe:
    """Map a cube by the spectral angle to the entries of a library."""
    changed, library = changes(config), library.absolute()
    call = called("angles", "project", literal([cube]), called("AnglesConfig", **changed), library=library)
    return _of_project("angles", project, {"cube": [cube], "library": library, **changed}, "angles", call, "AnglesConfig")


# -- training and maps ------------------------------------------------------------------------------------------------


def pretrain(project: Path, config: PretrainConfig, init: str | None = None) -> Recipe:
    """Pretrain on the patches, from the trunk of a run where one is given."""
    base = PretrainConfig.from_recipe(config.recipe)
    changed = changes(config, base)
    if "augment" in changed:
        changed["augment"] = changes(config.augment, base.augment)
    named = {"recipe": config.recipe} if config.recipe != PretrainConfig().recipe else {}
    made = called("PretrainConfig.from_recipe", repr(config.recipe), **changed) if named else called("PretrainConfig", **changed)
    call = called("pretrain", "project", made, **({"init": init} if init else {}))
    return _of_project("pretrain", project, {**named, **changed, "init": init}, "train", call, "PretrainConfig")


def distil(
    project: Path,
    config: DistilConfig,
    init: str | None = None,
    train: Mapping[str, Path] | None = None,
    validation: Mapping[str, Path] | None = None,
) -> Recipe:
    """Train the self-distillation network on the labels of the project, or on given ones."""
    changed = changes(config)
    sides = {role: {cube: path.absolute() for cube, path in (part or {}).items()} or None for role, part in (("train", train), ("validation", validation))}
    call = called("distil", "project", called("DistilConfig", **changed), init=init, **sides)
    return _of_project("distil", project, {**changed, "init": init, **sides}, "train", call, "DistilConfig")


def branch(project: Path, run: str, kind: str, changed: Mapping[str, Any], step: int | None = None) -> Recipe:
    """Go on from a checkpoint of a run in a new one, with settings changed."""
    call = called("branch", "project", repr(run), repr(kind), step=step, changes=dict(changed) or None)
    return _of_project(kind, project, {"branch": run, "step": step, **changed}, "branching", call)


def classify(
    project: Path, run: str, config: ClassifyConfig, cubes: Sequence[str] | None, train: Mapping[str, Path] | None = None, batch: BatchConfig | None = None
) -> Recipe:
    """Make maps of some cubes, or of all; ``batch`` says how: of some cubes, within how much memory."""
    changed, how = changes(config), changes(batch or BatchConfig())
    if cubes is not None:
        how = {name: value for name, value in how.items() if name == "memory"}
    files = {cube: path.absolute() for cube, path in (train or {}).items()} or None
    where: dict[str, Any] = {"all": True} if cubes is None else {"cube": list(cubes)}
    verb, module = ("classify_many", "batch") if cubes is None else ("classify", "classify")
    given: dict[str, Any] = {"batch": BatchConfig(**how)} if how and cubes is None else how
    call = called(verb, "project", repr(run), called("ClassifyConfig", **changed), cubes=None if cubes is None else list(cubes), train=files, **given)
    options = {"run": run, "method": config.method, **changed, **where, "train": files, **how}
    if "layers" in options:
        options["layer"] = list(options.pop("layers"))
    return _of_project("classify", project, options, module, call, *(["BatchConfig"] if "batch" in given else []), "ClassifyConfig")


def paint(project: Path, cube: str, config: PaintConfig, run: str | None = None, *, every: bool = False, as_labels: bool = False) -> Recipe:
    """Make the map of the strokes that are saved."""
    changed = changes(config)
    flags = {name: True for name, on in (("every", every), ("as_labels", as_labels)) if on}
    call = called("paint", "project", repr(cube), called("PaintConfig", **changed), run=run, **flags)
    options = {"cube": cube, "run": run, **changed, "no_others": not config.others, "all": every, "as_labels": as_labels}
    options.pop("others", None)
    return _of_project("paint", project, options, "paint", call, "PaintConfig")


def recommend(project: Path, train: Mapping[str, Path] | None = None, k: int = 20) -> Recipe:
    """Say which features and which classifier suit the labels."""
    files = {cube: path.absolute() for cube, path in (train or {}).items()} or None
    return _of_project("recommend", project, {"train": files, "k": k}, "recommend", called("recommend", "project", train=files, k=k))


def evaluate(project: Path, run: str, config: EvaluateConfig) -> Recipe:
    """Judge a pretrained run."""
    changed = changes(config)
    call = called("evaluate", "project", repr(run), called("EvaluateConfig", **changed))
    return _of_project("evaluate", project, {"run": run, **changed}, "evaluate", call, "EvaluateConfig")


def baselines(project: Path, train: Mapping[str, Path], test: Mapping[str, Path], config: TableConfig) -> Recipe:
    """Score rivals on one split."""
    sides = {"train": {cube: path.absolute() for cube, path in train.items()}, "test": {cube: path.absolute() for cube, path in test.items()}}
    changed = changes(config)
    call = called("baselines", "project", *map(literal, sides.values()), called("TableConfig", **changed))
    named = {"steps" if name == "max_steps" else name: value for name, value in changed.items()}
    rows = {"rows": ",".join(config.rows)} if "rows" in named else {}
    return _of_project("baselines", project, {**sides, **named, **rows}, "baselines", call, "TableConfig")


def score(found: Path, truth: Path) -> Recipe:
    """Score a map against labels."""
    found, truth = found.absolute(), truth.absolute()
    return Recipe("score", (str(found),), {"labels": truth}, script(None, "judge", called("score", literal(found), literal(truth))))


def areas(found: Path, labels: Path) -> Recipe:
    """Estimate the areas of a map's classes."""
    found, labels = found.absolute(), labels.absolute()
    return Recipe("areas", (str(found),), {"labels": labels}, script(None, "areas", called("areas", literal(found), literal(labels))))


def compare(first: Path, second: Path, truth: Path | None) -> Recipe:
    """Compare two maps."""
    first, second = first.absolute(), second.absolute()
    truth = truth.absolute() if truth is not None else None
    call = called("compare", literal(first), literal(second), *([literal(truth)] if truth is not None else []))
    return Recipe("compare", (str(first), str(second)), {"labels": truth}, script(None, "judge", call))


def report(project: Path, found: Path, to: Path, truth: Path | None = None) -> Recipe:
    """Write a page about a map."""
    found, to, truth = found.absolute(), to.absolute(), truth.absolute() if truth is not None else None
    call = called("report", "project", literal(found), literal(to), *([literal(truth)] if truth is not None else []))
    return _of_project("report", project, {"map": found, "labels": truth, "out": to}, "report", call)


def export(source: Path, to: Path, key: str | None = None) -> Recipe:
    """Write a map or a cube for other programs."""
    source, to = source.absolute(), to.absolute()
    return Recipe("export", (str(source),), {"to": to, "key": key}, script(None, "export", called("export", literal(source), literal(to), key=key)))
