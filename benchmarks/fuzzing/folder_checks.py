"""What must hold of project folders, run folders, packed runs, settings and what is kept as .npz."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzzing.checks import all_of, hold
from napari_hsi_ssl import config as configuration
from napari_hsi_ssl.config import Settings, read_json
from napari_hsi_ssl.config.chain import STEP_KINDS, parse_step, step_text
from napari_hsi_ssl.cubes.references import calibrated
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.explore.embedding import SampleMap
from napari_hsi_ssl.explore.projection import Projection
from napari_hsi_ssl.patches.index import PatchIndex
from napari_hsi_ssl.patches.snapshot import Snapshot
from napari_hsi_ssl.progress import Progress, run
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.project_lock import holder, who
from napari_hsi_ssl.runs.folder import RunFolder
from napari_hsi_ssl.runs.story import Story

SETTINGS: dict[str, type[Settings]] = {
    name: model for name, model in vars(configuration).items() if inspect.isclass(model) and issubclass(model, Settings) and model is not Settings
} | {f"step {kind}": model for kind, model in STEP_KINDS.items()}
"""Every class of settings by its name."""


def project(path: Path) -> None:
    """Open a project and everything that lies in it; then save it and open it again."""
    from napari_hsi_ssl.steps.folds import read_folds
    from napari_hsi_ssl.steps.learned_from import learned_from
    from napari_hsi_ssl.steps.prepare import chain_report
    from napari_hsi_ssl.steps.project_splits import chosen_split, held_out_labels

    found = Project.open(path)
    entries = found.entries
    hold(all(entry.name == name and isinstance(name, str) for name, entry in entries.items()), f"entries {entries}")
    hold(all(isinstance(domain, str) for domain in found.domains), f"domains {found.domains}")
    calls: list[Any] = [lambda: _listed(found), lambda: found.chain, lambda: chain_report(found), lambda: found.classes, found.projection, found.patch_index]
    for name in list(entries)[:3]:
        calls += [lambda name=name: _cube(found, name), lambda name=name: _rasters(found, name), lambda name=name: found.scores(name)]
    calls += [lambda folder=folder: _trained(folder) for folder in found.runs()[:2]]
    calls += [lambda made=made: learned_from(made) for made in found.maps()[:1]]
    calls += [lambda made=made: held_out_labels(found, made, next(iter(entries), "one")) for made in found.maps()[:1]]
    calls += [lambda folder=folder: read_folds(found, folder, next(iter(entries), None)) for folder in sorted((path / "splits").glob("*"))[:1]]
    calls += [lambda: chosen_split(found), lambda: _window_of(path), lambda: [found.noted(step) for step in ("mask", "pca", "patches", "split")]]
    all_of(*calls)
    found.put(*entries.values())
    hold(Project.open(path).entries == found.entries, "saved and opened again, it is another project")


def _listed(found: Project) -> None:
    hold(set(found.masked) | set(found.labelled) | set(found.painted) | set(found.projected) <= set(found.entries), "cubes are listed that are not there")


def _window_of(path: Path) -> None:
    lock = holder(path)
    if lock is not None:
        hold(isinstance(who(lock), str), "the holder of a lock has no words")


def _cube(found: Project, name: str) -> None:
    entry = found.entry(name)
    cube = found.prepared(name)
    hold(cube.shape[:2] == entry.shape[:2], f"{cube.shape} of {entry.shape}")
    np.asarray(cube.data[0, 0])


def _rasters(found: Project, name: str) -> None:
    frame = found.entry(name).shape[:2]
    for image in (found.mask(name), found.area(name), found.labels(name), found.strokes(name)):
        hold(image is None or image.shape == frame, f"a raster of {None if image is None else image.shape}, the cube has {frame}")


def _trained(folder: RunFolder) -> None:
    from napari_hsi_ssl.steps.comparison import _figures, _settings

    all_of(lambda: list(_settings(folder)), lambda: _figures(folder), lambda: _told(folder))


def _told(folder: RunFolder) -> None:
    story = Story()
    events, end = folder.events()
    for event in events:
        told = story.tell(event)
        hold(isinstance(told, Progress) and isinstance(told.message, str), f"event {event} has no words")
        hold(all(isinstance(value, int | float) for value in (told.done, told.total)), f"event {event} is {told.done} of {told.total}")
    size = (folder.path / "events.jsonl").stat().st_size if (folder.path / "events.jsonl").exists() else 0
    hold(0 <= end <= size, f"the log was read to {end} of {size}")
    hold(len(folder.history()) <= len(events), "history has more events than the log")
    hold(isinstance(folder.state, str) and isinstance(folder.alive, bool), "the state is no state")


def run_folder(path: Path) -> None:
    """Read all that a run's folder holds, as its watchers, its trainer and whoever uses its model do."""
    from napari_hsi_ssl.learning.checkpoint import States, load_model
    from napari_hsi_ssl.learning.setup import prepare

    folder = RunFolder(path)

    def model() -> None:
        import torch

        network, card = load_model(folder.model_path)
        side = card["window"]
        if network.inlets is None and isinstance(side, int) and 0 < side < 64:
            answer = network.embed(torch.zeros(1, card["channels"], side, side))
            hold(answer.ndim == 2, f"the embedding has shape {tuple(answer.shape)}")

    def prepared() -> None:
        made = prepare(folder.config, folder.resolve, 1)
        hold(made.objective.windows > 0, "nothing to train on")

    def states() -> None:
        state, complaints = States(folder.checkpoints, 2).newest()
        hold(state is not None or bool(complaints) or not list(folder.checkpoints.glob("*.pt")), "a state went without a word")

    all_of(lambda: _trained(folder), model, prepared, states, lambda: Snapshot.load(path / "embedding.npz"))


def parcel(path: Path) -> None:
    """Unpack a packed run; nothing may come to lie outside the folder of runs."""
    from napari_hsi_ssl.runs.parcel import unpack

    runs = path.parent / "runs"
    before = {entry.name for entry in path.parent.iterdir()} | {"runs"}
    try:
        run(unpack(path, runs))
        for folder in runs.iterdir():
            hold(RunFolder(folder).config is not None, "a run without a configuration")
    finally:
        hold({entry.name for entry in path.parent.iterdir()} <= before, "something was written outside the folder of runs")


def derived(path: Path) -> None:
    """Read what is kept as .npz, and write it again."""
    from napari_hsi_ssl.mapping.unknown import Clouds

    match path.stem:
        case "projection":
            made = Projection.load(path)
            hold(made.components.shape == (made.variance.size, made.grid.size), f"components {made.components.shape}")
            made.save(path)
            hold(np.array_equal(Projection.load(path).components, made.components), "components written and read again are others")
        case "umap":
            SampleMap.load(path).save(path)
        case "patches":
            index = PatchIndex.load(path)
            hold(sum(count for row in index.counts().values() for count in row.values()) == len(index), "the counts are not of all patches")
            index.save(path)
            hold(PatchIndex.load(path).digest == index.digest, "patches written and read again are others")
        case "snapshot":
            Snapshot.load(path)
        case _:
            clouds = Clouds.read(path)
            hold(clouds.typicality(np.zeros((1, clouds.centres.shape[1]))).shape == (1,), "typicality of one pixel is not one number")


def settings(path: Path) -> None:
    """Parse settings of any kind, and parse what they say of themselves."""
    content = read_json(path)
    model = SETTINGS.get(str(content.pop("model", "")), configuration.PcaConfig)
    values = content.get("values")
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no values.")
    found = model.parse(values, str(path))
    again = model.parse(json.loads(json.dumps(found.model_dump(mode="json"))))
    hold(again == found and again.digest() == found.digest(), f"{found} became {again}")
    if hasattr(found, "kind") and model in STEP_KINDS.values():
        hold(parse_step(step_text(found)) == found, f"step {step_text(found)} is not {found}")


def step_texts(path: Path) -> None:
    """Parse the text of a step of the chain."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is no text.") from error
    found = parse_step(text)
    hold(parse_step(step_text(found)) == found, f"{step_text(found)} is not {found}")


def references(path: Path) -> None:
    """Calibrate a cube with what a project notes of its references."""
    from napari_hsi_ssl.cubes.readers import read_cube

    noted = read_json(path)
    cube = read_cube(path.parent / "cube.hdr")
    made = calibrated(cube, noted, path.parent)
    hold(made.shape == cube.shape, f"calibrated, {cube.shape} became {made.shape}")
    np.asarray(made.data)
