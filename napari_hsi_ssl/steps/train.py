"""Train in the background: pin the inputs in a run folder, start the trainer, and watch its events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl import files, trust
from napari_hsi_ssl.config import DistilConfig, PretrainConfig, RunConfig, SlurmConfig
from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.cubes.rasters import read_labels
from napari_hsi_ssl.errors import LabelError, ProjectError, RunError
from napari_hsi_ssl.mapping.pretrained import NAME as PRETRAINED
from napari_hsi_ssl.mapping.raw import NAME as SPECTRA
from napari_hsi_ssl.mapping.training_free import NAME as TRAINING_FREE
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs import launch, slurm
from napari_hsi_ssl.runs.folder import RunFolder
from napari_hsi_ssl.steps.pinning import (
    chain_of_scores,
    check_initial,
    check_learned,
    initial_model,
    need_scores,
    pin,
    pin_bands,
    pin_labels,
    pin_learned,
    pin_scores,
    relative,
)
from napari_hsi_ssl.steps.splits import judged_by

_MACHINE = ("devices", "accelerator", "precision", "compiled", "checkpoint_minutes", "keep_checkpoints")
"""Settings that may differ when a run is resumed: they change the machine, not the experiment."""


@dataclass(frozen=True)
class Cluster:
    """That a run goes to Slurm, and how.

    Attributes
    ----------
    settings : SlurmConfig, optional
        Without them the job script that lies in the run folder is used as it stands, or one with the defaults.
    submit : bool
        False only writes the script.
    """

    settings: SlurmConfig | None = None
    submit: bool = True


def pretrain(
    project: Project,
    config: PretrainConfig,
    *,
    init: str | None = None,
    run: str | None = None,
    resume: bool = False,
    detach: bool = False,
    background: bool = False,
    cluster: Cluster | None = None,
) -> Steps[dict[str, Any]]:
    """Train SimCLR on the project's patches in a process of its own.

    Parameters
    ----------
    project, config
        What to train on, and how.
    init : str, optional
        A run of this project, or the folder of one elsewhere, or ``pretrained``, the trunk in the box, whose trunk is carried over; its depth and
        widths replace the recipe's.
    run : str, optional
        Name of the run; the next free ``pretrain-N`` by default.
    resume : bool
        Go on from the last checkpoint of an existing run; on a finished run nothing happens.
    detach : bool
        Return once the trainer has started.
    background : bool
        Run at low priority, for a window that must stay fluent.
    cluster : Cluster, optional
        Hand the run to Slurm instead of training here.
    """
    path = _run_path(project, "pretrain", run, resume)
    if not (path / "config.json").exists():
        index = project.patch_index()
        if len(index) == 0:
            raise ProjectError(f"project {project.folder.name} has a patch index without patches; cut them again with a lower --coverage or --size.")
        training = int((index.split == 0).sum())
        if training < config.batch_size:
            raise ProjectError(f"there are {training} training patches, but batch_size is {config.batch_size}; cut more patches or lower --batch-size.")
        names = [name for number, name in enumerate(index.cubes) if (index.cube == number).any()]
        settled = project.settled("patches").get("settings", {}).get("background", "mean")
        if config.inlet == "learned":
            check_learned(project, names, settled)
        model = initial_model(project, init)
        if model is not None:
            config = config.model_copy(update={"trunk": check_initial(project, model, bands=None, learned=config.inlet == "learned")})
        cubes = pin_scores(project, names, path)
        inputs = (yield from pin_learned(project, cubes, path)) if config.inlet == "learned" else {"cubes": cubes}
        made = RunConfig(
            kind="pretrain",
            pretrain=config,
            **inputs,
            **pin("inlet", project.inlet_folder() / "pca.npz", path),
            **pin("patches", project.patches_path(), path),
            background=settled,
            chain=chain_of_scores(project),
            **(pin("init", model, path) if model else {}),
        )
        folder = RunFolder.create(path, made)
    else:
        folder = _existing(path, config)
    return (yield from _train(folder, detach=detach, background=background, cluster=cluster))


def distil(
    project: Project,
    config: DistilConfig,
    *,
    train: Mapping[str, Path] | None = None,
    validation: Mapping[str, Path] | None = None,
    init: str | None = None,
    run: str | None = None,
    resume: bool = False,
    detach: bool = False,
    background: bool = False,
    cluster: Cluster | None = None,
) -> Steps[dict[str, Any]]:
    """Train the self-distillation network on labels, in a process of its own.

    Parameters
    ----------
    train, validation : mapping of cube name to label file, optional
        Without ``train``, the project's own labels are used. Without ``validation`` nothing is held out: all labels train, and the
        accuracies of the exits are those on the training labels.
    init : str, optional
        A run of this project, or the folder of one elsewhere, whose trunk is carried over.

    Returns
    -------
    dict
        What the run wrote and, of a new run with validation labels, the ``audit`` of these (`steps.splits.judged_by`).
    """
    path = _run_path(project, "distil", run, resume)
    audit: dict[str, Any] | None = None
    if not (path / "config.json").exists():
        model = initial_model(project, init)
        labels = read_training_labels(project, train)
        held_out = {cube: read_labels(file, project.entry(cube).shape[:2])[0] for cube, file in (validation or {}).items()}
        numbers = class_numbers(labels)
        if held_out:
            held_out, audit = yield from judged_by(labels, held_out, config.window)
        yield from need_scores(project, [*labels, *held_out])
        known = project.classes
        classes = Classes.of(numbers, dict(zip(known.numbers, known.names, strict=True)))
        names = sorted({*labels, *held_out})
        learned = config.inlet == "learned"
        if learned:
            check_learned(project, names)
        if model is not None:
            bands = int(project.prepared(names[0]).shape[2]) if config.input == "bands" else None
            check_initial(project, model, bands=bands, learned=learned)
        cubes = pin_scores(project, names, path)
        if config.input == "bands":
            cubes = tuple(pin_bands(project, cube, path) for cube in cubes)
        inputs = (yield from pin_learned(project, cubes, path)) if learned else {"cubes": cubes}
        made = RunConfig(
            kind="distil",
            distil=config,
            **inputs,
            **pin("inlet", project.inlet_folder() / "pca.npz", path),
            chain=project.chain if config.input == "bands" else chain_of_scores(project),
            labels=(*pin_labels(labels, "train", path), *pin_labels(held_out, "validation", path)),
            class_numbers=classes.numbers,
            class_names=classes.names,
            class_colours=classes.colours,
            **(pin("init", model, path) if model else {}),
        )
        folder = RunFolder.create(path, made)
    else:
        folder = _existing(path, config)
    report = yield from _train(folder, detach=detach, background=background, cluster=cluster)
    return report if audit is None else {**report, "audit": audit}


def start_again(
    project: Project,
    config_file: Path,
    *,
    kind: str,
    changes: Mapping[str, Any] | None = None,
    run: str | None = None,
    state: Path | None = None,
    detach: bool = False,
    background: bool = False,
    cluster: Cluster | None = None,
) -> Steps[dict[str, Any]]:
    """Train a new run from the ``config.json`` of another one, on the very same pinned inputs, with changed settings where given.

    With ``state``, a checkpoint of that run, the new one goes on from there (`steps.branching`).
    """
    config = RunConfig.read(config_file)
    if config.kind != kind:
        raise RunError(f"{config_file} is of a {config.kind} run, expected {kind}; start it with `napari-hsi-ssl {config.kind}`.")
    trainer = config.trainer.changed(changes or {}, str(config_file))
    source = RunFolder(config_file.absolute().parent)
    path = _run_path(project, config.kind, run, resume=False)
    home = source.home or source.path  # who names a run means what lies with it, not whatever else it names
    trust.confirm(project.folder, [file for file in source.inputs() if trust.lies_in(file, home)])

    def moved(value: str | None) -> str | None:
        return None if value is None else relative(source.resolve(value), path)

    made = config.model_copy(
        update={
            kind: trainer,
            "cubes": tuple(cube.model_copy(update={"path": moved(cube.path), "mask": moved(cube.mask)}) for cube in config.cubes),
            "labels": tuple(label.model_copy(update={"path": moved(label.path)}) for label in config.labels),
            **{field: moved(getattr(config, field)) for field in ("inlet", "patches", "init", "start")},
        }
    )
    if state is not None:  # a copy, for the other run drops its checkpoints one by one
        start = path / "inputs" / "start.pt"
        files.write_bytes(start, state.read_bytes())
        made = made.model_copy(update={"start": "inputs/start.pt", "start_sha256": files.file_hash(start), "parent": source.name})
    return (yield from _train(RunFolder.create(path, made), detach=detach, background=background, cluster=cluster))


def stored_settings(project: Project, kind: str, run: str | None) -> PretrainConfig | DistilConfig | None:
    """Return the settings of the run that ``resume`` would continue, or None when there is none."""
    path = _run_path(project, kind, run, resume=True)
    return RunFolder(path).config.trainer if (path / "config.json").exists() else None


def follow_run(project: Project, run: str, *, since: int = 0) -> Steps[dict[str, Any]]:
    """Watch a run from its first event on, or from a byte of its log on, however long ago it was started, and return its result."""
    folder = project.run_folder(run)
    return _report(folder, (yield from launch.follow(folder, since=since)))


def read_training_labels(project: Project, files_by_cube: Mapping[str, Path] | None) -> dict[str, NDArray[np.int32]]:
    """Return the labels (y, x) a classifier learns from: the given files, or the project's own, within mask and crop."""
    if files_by_cube:
        return {cube: read_labels(file, project.entry(cube).shape[:2])[0] for cube, file in files_by_cube.items()}
    found = {name: labels for name in project.entries if (labels := project.labels(name)) is not None and labels.any()}
    if not found:
        raise LabelError(f"project {project.folder.name} has no labels; give some with --train CUBE=LABELS or with the verb 'labels'.")
    inside = {name: np.where(project.area(name), labels, 0) for name, labels in found.items()}
    if not any(labels.any() for labels in inside.values()):
        raise LabelError(f"no labelled pixel of project {project.folder.name} lies in the mask and crop of its cube; make other masks or label other pixels.")
    return inside


def class_numbers(labels: Mapping[str, NDArray[np.int32]]) -> list[int]:
    """Return the class numbers that a classifier is to tell apart, in order.

    Raises
    ------
    LabelError
        When there are fewer than two.
    """
    numbers = sorted({int(number) for image in labels.values() for number in np.unique(image)} - {0})
    if len(numbers) < 2:
        found = f"one class ({numbers[0]})" if numbers else "no labelled pixel"
        raise LabelError(f"the training labels of {', '.join(labels)} hold {found}, expected at least two classes; label another class.")
    return numbers


def _run_path(project: Project, kind: str, run: str | None, resume: bool) -> Path:
    if run is None and resume:
        of_kind = [folder for folder in project.runs() if folder.config.kind == kind]
        if of_kind:
            return of_kind[-1].path
    if run in {SPECTRA, TRAINING_FREE, PRETRAINED} or "+" in (run or ""):
        raise RunError(f"a run cannot be called '{run}', which means other features where a map is made; choose another name with --run.")
    path = project.new_run_path(kind, run)
    if (path / "config.json").exists() and not resume:
        if RunFolder(path).alive:
            raise RunError(f"run '{path.name}' is being trained; wait for it, or cancel it first.")
        raise RunError(f"there is a run '{path.name}' already; continue it with --resume, or choose another name with --run.")
    return path


def _existing(path: Path, config: PretrainConfig | DistilConfig) -> RunFolder:
    """Return a run that is to go on, with the machine's settings as they are now."""
    folder = RunFolder(path)
    stored = folder.config.trainer
    if type(stored) is not type(config):
        raise RunError(f"run '{folder.name}' is a {folder.config.kind} run, so it cannot be resumed as another kind; choose another name with --run.")
    had, wanted = stored.model_dump(), config.model_dump()
    for field in had.keys() - set(_MACHINE):
        if wanted[field] != had[field]:
            raise RunError(
                f"run '{folder.name}' was started with {field} = {had[field]}, not {wanted[field]}; resume it without that option, or start another run."
            )
    if config != stored and not folder.alive and folder.result is None:
        files.write_json(folder.config_path, folder.config.model_copy(update={folder.config.kind: config}).model_dump(mode="json"))
    return folder


def _train(folder: RunFolder, *, detach: bool, background: bool, cluster: Cluster | None) -> Steps[dict[str, Any]]:
    if folder.result is not None:
        yield Progress(1, 1, f"run '{folder.name}' is finished already")
        return _report(folder, folder.result)
    if cluster is not None:
        if folder.alive:
            raise RunError(f"run '{folder.name}' is being trained already; follow it, or cancel it first.")
        edited = cluster.settings is None and slurm.script_path(folder).exists()
        script = slurm.script_path(folder).read_text(encoding="utf-8") if edited else slurm.write_script(folder, cluster.settings or SlurmConfig())
        if not cluster.submit:
            return {"run": folder.name, "folder": str(folder.path), "state": folder.state, "script": str(slurm.script_path(folder)), "text": script}
        slurm.submit(folder)
    else:
        launch.start(folder, background=background, resume=folder.checkpoints.exists())
    yield Progress(message=f"run '{folder.name}' has started", data={"type": "launched", "run": folder.name})
    if detach:
        job = {"job": slurm.job_of(folder)} if cluster is not None else {}
        return {"run": folder.name, "folder": str(folder.path), "state": folder.state, **job}
    try:
        return _report(folder, (yield from launch.follow(folder)))
    except KeyboardInterrupt:
        if cluster is not None:
            raise KeyboardInterrupt(f"interrupted; run '{folder.name}' goes on as job {slurm.job_of(folder)}: `runs --follow {folder.name}`.") from None
        launch.stop(folder)
        message = f"interrupted; run '{folder.name}' is saved in {folder.checkpoints}: go on with --run {folder.name} --resume."
        raise KeyboardInterrupt(message) from None


def _report(folder: RunFolder, result: dict[str, Any]) -> dict[str, Any]:
    return {"run": folder.name, "folder": str(folder.path), "state": folder.state, **result}
