"""Turn a run into maps of whole cubes, saved with confidence and provenance."""

from __future__ import annotations

import json
import shlex
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_hsi_ssl import files, trust
from napari_hsi_ssl.config import BatchConfig, ClassifyConfig, digest
from napari_hsi_ssl.cubes.cube import Classes, ClassMap
from napari_hsi_ssl.cubes.writers import confidence_path, layer_path, save_map
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.mapping.training_free import NAME as TRAINING_FREE
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.compute import shared_process
from napari_hsi_ssl.runs.folder import RunFolder
from napari_hsi_ssl.steps.evaluate import need_model
from napari_hsi_ssl.steps.features import as_they_are, beside, features, is_run
from napari_hsi_ssl.steps.learned_from import MARK, label_hashes
from napari_hsi_ssl.steps.stamps import stamp
from napari_hsi_ssl.steps.train import class_numbers, read_training_labels
from napari_hsi_ssl.steps.trusting import Trust, labelled_inputs, marked, network_inputs, trust_of_features, trust_of_run, wanted_layers


def classify(
    project: Project,
    run: str,
    config: ClassifyConfig,
    cubes: Sequence[str] | None = None,
    train: Mapping[str, Path] | None = None,
    out: Path | None = None,
    *,
    memory: int = BatchConfig().memory,
) -> Steps[dict[str, Any]]:
    """Classify whole cubes and save the maps in the project.

    Parameters
    ----------
    run : str
        A finished run; ``spectra``; ``training-free``: denoised MNF components beside the shape of the spectrum, which need no training; or
        ``RUN+training-free``: both side by side.
    cubes : sequence of str, optional
        All cubes by default.
    train : mapping of cube name to label file, optional
        What kNN and the linear head learn from; the project's own labels by default. A self-distillation run brings its own.
    out : Path, optional
        Also write the class numbers of the single map to this TIFF.
    memory : int
        MiB that a tile of a cube may take on its way through a network.

    Returns
    -------
    dict
        ``maps``, a row each, with ``early`` (`mapping.leaving.Leaver.report`) where pixels leave at the first exit that is sure; ``seconds`` is
        the whole of it, what was made for all of them included.
    """
    begun = time.monotonic()
    names = list(cubes or project.entries)
    for name in names:
        project.entry(name)
    if out is not None and len(names) != 1:
        raise ConfigError(f"--out names one file, but {len(names)} cubes are classified; choose one with --cube NAME.")
    if not is_run(run):
        report = yield from _by_features(project, run, config, names, train, out, memory * 2**20)
        return {**report, "seconds": time.monotonic() - begun}
    folder = need_model(project, run, "distil" if config.method == "distil" else "pretrain")
    with tempfile.TemporaryDirectory() as scratch:
        own = config.method == "distil"
        references, classes = ([], _own_classes(folder)) if own else (yield from _references(project, folder, train, Path(scratch)))
        trust = yield from trust_of_run(project, folder, config, references, Path(scratch), memory * 2**20)
        maps = []
        for number, name in enumerate(names):
            yield Progress(number, len(names), f"classifying {name}")
            started = time.monotonic()
            found, early = yield from _one(project, folder, config, name, references, classes, trust, Path(scratch), memory * 2**20)
            made = {**early, **_made_with(project, config, names, train), **(trust.told or {}), "command": _command(project, run, config, name, train)}
            made["stamp"] = stamp(project, run, config, name, train)
            provenance = {**_provenance(project, folder, config, name), **made}
            maps.append({**_keep(project, run, config, name, replace(found, provenance=provenance), started, out), **early})
    return {"run": run, "method": config.method, "maps": maps, "seconds": time.monotonic() - begun}


def _by_features(
    project: Project, run: str, config: ClassifyConfig, names: list[str], train: Mapping[str, Path] | None, out: Path | None, memory: int
) -> Steps[dict[str, Any]]:
    """Classify by spectra, or by the training-free embedding, alone or beside that of a run."""
    from napari_hsi_ssl.mapping.maps import Vote, decide_map, decider, labelled_features
    from napari_hsi_ssl.mapping.unknown import typicality_map

    if config.method == "distil":
        raise ConfigError("these features have no classes of their own; choose --method knn or linear, or a self-distillation run.")
    labels = read_training_labels(project, train)
    numbers = class_numbers(labels)
    known = project.classes
    classes = Classes.of(numbers, dict(zip(known.numbers, known.names, strict=True)))
    # A labelled pixel is looked at whatever the mask says.
    areas = {name: project.area(name) | (labels[name] > 0 if name in labels else False) for name in dict.fromkeys([*labels, *names])}
    found, told = yield from features(project, run, areas, memory)
    x, y = labelled_features(found, labels, config.references, config.seed)
    decide = decider(config.method, x, y, config.k, standardised=not as_they_are(run), vote=Vote.of(config))
    yield Progress(message="calibrating the confidence")
    trust = trust_of_features(found, labels, config, standardised=not as_they_are(run))
    maps = []
    for name in names:
        started = time.monotonic()
        decided = yield from decide_map(found[name], project.area(name), decide, trust.temperature)
        layers = {"entropy": decided.entropy} if "entropy" in config.layers else {}
        if trust.clouds is not None:
            layers["typicality"] = yield from typicality_map(trust.clouds, found[name], project.area(name))
        provenance = {
            "run": run,
            "method": config.method,
            "cube": name,
            "config_hash": digest(config.model_dump(mode="json")),
            **told,
            **_made_with(project, config, names, train),
            **(trust.told or {}),
            "cube_hash": (project.entry(name).fingerprint or {}).get("hash"),
            "command": _command(project, run, config, name, train),
            "stamp": stamp(project, run, config, name, train),
        }
        maps.append(_keep(project, run, config, name, ClassMap(decided.labels, classes, decided.confidence, provenance, layers), started, out))
    return {"run": run, "method": config.method, "maps": maps}


def _keep(project: Project, run: str, config: ClassifyConfig, name: str, found: ClassMap, started: float, out: Path | None) -> dict[str, Any]:
    """Save a map in the project, and where the user wants it, and say what is in it."""
    path = project.map_path(name, run, config.method)
    found = marked(found, config)
    save_map(path, found)
    report: dict[str, Any] = {
        "cube": name,
        "path": str(path),
        "confidence": str(confidence_path(path)),
        "areas": areas_of(found),
        "seconds": time.monotonic() - started,
    }
    if found.layers:
        report["layers"] = {layer: str(layer_path(path, layer)) for layer in found.layers}
    if out is not None:
        files.write_tiff(out, found.labels, json.dumps({MARK: str(path.absolute())}))
        report["out"] = str(out)
    return report


def best_embedding(project: Project) -> str:
    """Return the newest finished pretraining run beside the training-free embedding, or that alone where there is no run."""
    names = [folder.name for folder in project.runs() if folder.model_path.exists() and folder.config.kind == "pretrain"]
    return beside(names[-1]) if names else TRAINING_FREE


def _one(
    project: Project,
    folder: RunFolder,
    config: ClassifyConfig,
    name: str,
    references: list[dict[str, Any]],
    classes: Classes,
    trust: Trust,
    scratch: Path,
    memory: int,
) -> Steps[tuple[ClassMap, dict[str, Any]]]:
    labels, confidence, area = scratch / "labels.npy", scratch / "confidence.npy", scratch / "area.tif"
    layers = {layer: scratch / f"{layer}.npy" for layer in wanted_layers(config)}
    files.write_tiff(area, project.area(name).astype(np.uint8) * 255)
    inputs = yield from network_inputs(project, folder, name, scratch)
    report = yield from shared_process().call(
        "classify",
        model=str(folder.model_path),
        inlet=str(folder.resolve(folder.config.inlet or "")),
        cube={**inputs, "area": str(area)},
        references=references,
        settings=config.model_dump(mode="json"),
        cache=str(project.folder / "embeddings"),
        labels=str(labels),
        confidence=str(confidence),
        layers={layer: str(path) for layer, path in layers.items()},
        temperature=trust.temperature,
        clouds=str(trust.clouds) if trust.clouds is not None else None,
        memory=memory,
    )
    found = ClassMap(np.load(labels), classes, np.load(confidence), layers={layer: np.load(path) for layer, path in layers.items()})
    return found, {key: report[key] for key in ("early",) if key in report}


def _references(project: Project, folder: RunFolder, train: Mapping[str, Path] | None, scratch: Path) -> Steps[tuple[list[dict[str, Any]], Classes]]:
    labels = read_training_labels(project, train)
    numbers = class_numbers(labels)
    references = yield from labelled_inputs(project, folder, labels, scratch, "train")
    known = project.classes
    return references, Classes.of(numbers, dict(zip(known.numbers, known.names, strict=True)))


def _own_classes(folder: RunFolder) -> Classes:
    config = folder.config
    return Classes(config.class_numbers, config.class_names, config.class_colours)


def _provenance(project: Project, folder: RunFolder, config: ClassifyConfig, cube: str) -> dict[str, Any]:
    return {
        "run": folder.name,
        "method": config.method,
        "cube": cube,
        "config_hash": digest([folder.config.model_dump(mode="json"), config.model_dump(mode="json")]),
        "model_sha256": files.file_hash(folder.model_path),
        "cube_hash": (project.entry(cube).fingerprint or {}).get("hash"),
    }


def _made_with(project: Project, config: ClassifyConfig, cubes: Sequence[str], train: Mapping[str, Path] | None) -> dict[str, Any]:
    """Return what else `steps.explain` and `steps.learned_from` must know to look behind a map."""
    files_of = {cube: str(Path(path).absolute()) for cube, path in (train or {}).items()}
    trust.confirm(project.folder, map(Path, files_of.values()))
    return {"settings": config.model_dump(mode="json"), "cubes": list(cubes), **({"train": files_of} if files_of else {"labels_sha256": label_hashes(project)})}


def _command(project: Project, run: str, config: ClassifyConfig, cube: str, train: Mapping[str, Path] | None) -> str:
    parts = ["napari-hsi-ssl", "classify", str(project.folder), "--cube", cube, "--run", run, "--method", config.method]
    if config.method == "knn":
        parts += ["--k", str(config.k)]
        parts += ["--metric", config.metric] if config.metric != "cosine" else []
        parts += ["--weights", config.weights] if config.weights != "uniform" else []
        parts += ["--temperature", f"{config.temperature:g}"] if config.weights == "softmax" else []
    if config.calibrate != "far":
        parts += ["--calibrate", config.calibrate]
    if config.unknown is not None:
        parts += ["--unknown", f"{config.unknown:g}"]
    for layer in config.layers:
        parts += ["--layer", layer]
    if config.exits != "deepest":
        parts += ["--exits", config.exits]
    if config.exit_at is not None:
        parts += ["--exit-at", f"{config.exit_at:g}"]
    if config.turns:
        parts += ["--turns"]
    for name, path in (train or {}).items():
        parts += ["--train", f"{name}={path}"]
    return shlex.join(parts)


def areas_of(found: ClassMap) -> dict[str, int]:
    """Return how many pixels each class of a map covers, by name."""
    numbers, counts = np.unique(found.labels[found.labels != 0], return_counts=True)
    count = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    return {name: int(count.get(number, 0)) for number, name in zip(found.classes.numbers, found.classes.names, strict=True)}
