"""Files that are cut, empty, flipped in one bit, or those of something else."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from cases import World, begin_slowly, case
from trainers import finish
from world import begin

from napari_hsi_ssl import files
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.folder import RunFolder

SMALL_PCA = ("pca", "--bands", 6, "--components", 4)
PCA = ("pca", "--bands", 8, "--components", 4)
PATCHES = ("patches", "--size", 8, "--stride", 4, "--coverage", 0)
MAP = ("classify", "--cube", "beans", "--run", "training-free", "--method", "knn", "--k", 3)


def cut(path: Path, share: float = 0.6) -> None:
    """Leave the beginning of a file alone."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def flip(path: Path, share: float = 0.5) -> None:
    """Turn one bit of a file over."""
    content = bytearray(path.read_bytes())
    content[int(len(content) * share)] ^= 0x10
    path.write_bytes(content)


def _back(world: World, name: str) -> None:
    """Bring a file back from a copy, as the user would."""
    shutil.copyfile(world.calm / name, world.folder / name)
    world.whole()


# -- files of the project -------------------------------------------------------------------------------------------------------


@case("project.json cut")
def project_json(world: World) -> None:
    cut(world.folder / "project.json")
    world.refused(world.command(*PCA), "project.json", "not valid JSON")
    _back(world, "project.json")
    world.works(*PCA)


@case("project.json empty")
def project_empty(world: World) -> None:
    (world.folder / "project.json").write_bytes(b"")
    world.refused(world.command("runs"), "project.json")
    _back(world, "project.json")


@case("preprocessing.json cut")
def notes(world: World) -> None:
    cut(world.folder / "preprocessing.json")
    world.refused(world.command("mask", "--method", "otsu"), "preprocessing.json", "not valid JSON")
    _back(world, "preprocessing.json")
    world.works("mask", "--method", "otsu")


@case("a mask cut")
def mask(world: World) -> None:
    cut(world.folder / "masks" / "beans.tif")
    world.refused(world.command(*SMALL_PCA), "beans.tif", "make it again")
    world.works("mask", "--method", "otsu", "--cube", "beans")
    world.whole(but=["preprocessing.json"])


@case("labels cut")
def labels(world: World) -> None:
    cut(world.folder / "labels" / "beans.tif")
    world.refused(world.command(*MAP), "beans.tif")
    _back(world, "labels/beans.tif")
    world.works(*MAP)


@case("the names of the classes cut")
def classes(world: World) -> None:
    cut(world.folder / "labels" / "classes.json")
    world.refused(world.command(*MAP), "classes.json")
    _back(world, "labels/classes.json")


def _current(world: World) -> tuple[str, str]:
    project = Project.open(world.calm)
    return f"inlets/{project.inlet}", f"patches/{project.patches}.npz"


@case("scores of the PCA cut")
def scores(world: World) -> None:
    path = world.folder / _current(world)[0] / "beans.npy"
    cut(path)
    world.refused(world.command("pretrain", "--run", "new", "--batch-size", 16, "--epochs", 1), "beans.npy")
    world.works(*PCA)
    world.whole()


@case("the PCA itself cut")
def projection(world: World) -> None:
    path = world.folder / _current(world)[0] / "pca.npz"
    cut(path)
    world.refused(world.command("classify", "--cube", "beans", "--run", "calm-pretrain", "--method", "knn", "--k", 3), "pca.npz")
    world.works(*PCA)
    world.whole()


@case("the patches cut")
def patches(world: World) -> None:
    cut(world.folder / _current(world)[1])
    world.refused(world.command("pretrain", "--run", "new", "--batch-size", 16, "--epochs", 1), "not a patch index")
    world.works(*PATCHES)
    world.whole()


@case("a map cut")
def class_map(world: World) -> None:
    world.works(*MAP)
    path = next((world.folder / "maps").glob("*knn.tif"))
    whole = path.read_bytes()
    cut(path)
    world.refused(world.command("export", "--to", world.place / "map.png", on=path), path.name)
    world.works(*MAP)
    world.expect(path.read_bytes() == whole, "the map that is made again is another one")
    world.whole()


@case("a map whose card is cut")
def map_card(world: World) -> None:
    world.works(*MAP)
    card = next((world.folder / "maps").glob("*knn.json"))
    cut(card)
    world.refused(world.command("export", "--to", world.place / "map.png", on=card.with_suffix(".tif")), card.name)
    world.works(*MAP)
    world.expect(world.command("export", "--to", world.place / "map.png", on=card.with_suffix(".tif")).code == 0, "made again it cannot be exported")
    world.whole()


@case("an embedding cut: it is made again")
def embedding(world: World) -> None:
    words = ("classify", "--cube", "beans", "--run", "calm-pretrain", "--method", "knn", "--k", 3)
    world.works(*words)
    path = next((world.folder / "embeddings").glob("*/beans.npy"))
    made, whole = next((world.folder / "maps").glob("*calm-pretrain*knn.tif")), path.read_bytes()
    found = made.read_bytes()
    cut(path)
    made.unlink()
    world.works(*words)
    world.expect(path.read_bytes() == whole, "the embedding is not made again")
    world.expect(made.read_bytes() == found, "the map by it is another one")
    world.whole()


@case("an ENVI cube cut after it was added")
def envi(world: World) -> None:
    cut(world.folder / "cubes" / "coffee" / "beans.dat")
    world.refused(world.command(*SMALL_PCA), "shorter than its header says")
    _back(world, "cubes/coffee/beans.dat")
    world.works(*SMALL_PCA)


@case("a chunk of a Zarr cube cut, and one gone")
def zarr(world: World) -> None:
    store = world.place / "store.zarr"
    world.expect(world.command("export", "--to", store, on=world.folder / "cubes" / "coffee" / "beans.hdr").code == 0, "the store is not written")
    world.works("add", store, "--name", "stored")
    chunk = max((path for path in store.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    whole = chunk.read_bytes()
    cut(chunk)
    world.refused(world.command("mask", "--method", "otsu", "--cube", "stored"), "store.zarr")
    chunk.unlink()
    world.refused(world.command("mask", "--method", "otsu", "--cube", "stored"), "store.zarr")
    chunk.write_bytes(whole)
    world.works("mask", "--method", "otsu", "--cube", "stored")
    world.whole(but=["project.json", "preprocessing.json"])


# -- files of a run ------------------------------------------------------------------------------------------------------------


def _interrupted(world: World) -> tuple[RunFolder, list[Path]]:
    """Return a run that was killed with two states, oldest first."""
    folder = world.run_of()
    child = begin_slowly(folder)
    while len(list(folder.checkpoints.glob("step-*.pt"))) < 2 and not child.ended_within(0.01):
        pass
    child.kill()
    return folder, sorted(folder.checkpoints.glob("step-*.pt"))


def _state(damage: Callable[[Path], object], *words: str) -> Callable[[World], None]:
    """Return the case in which the newest state is damaged: it is told, the one before is gone on from, and the result is the same."""

    def check(world: World) -> None:
        folder, states = _interrupted(world)
        world.expect(len(states) >= 2, f"it has {len(states)} states")
        damage(states[-1])
        world.trouble += finish(folder, RunFolder(world.folder / "runs" / "calm-pretrain"))
        last = folder.last("warning")
        world.hear(str((last or {}).get("message", "")), states[-1].name, *words)
        told = [event for event in folder.events()[0] if event["type"] == "resumed"]
        world.expect(told and told[-1]["step"] < int(states[-1].stem.removeprefix("step-")), "the damaged state was gone on from")
        world.whole()

    return check


class _Harmful:
    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return os.mkdir, ("/tmp/faults-were-executed",)


def _pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"model": _Harmful(), "optimizer": {}, "step": 3}))


case("a state cut")(_state(cut, "an older one is used"))
case("a state empty")(_state(lambda path: path.write_bytes(b""), "an older one is used"))
case("a state with one bit flipped in its weights")(_state(lambda path: flip(path, 0.3), "an older one is used"))
case("a state with one bit flipped in its optimiser")(_state(lambda path: flip(path, 0.7), "an older one is used"))
case("a pickle in place of a state is not executed")(_state(_pickle, "an older one is used"))


@case("all states cut: the run starts anew")
def all_states(world: World) -> None:
    folder, states = _interrupted(world)
    for path in states:
        cut(path)
    world.resumes(folder)
    world.hear(str((folder.last("warning") or {}).get("message", "")), "is not a whole training state")
    world.whole()


@case("a state of another architecture")
def other_state(world: World) -> None:
    folder, states = _interrupted(world)
    kept = [path.read_bytes() for path in states]
    theirs = torch.load(next((world.folder / "runs" / "calm-distil" / "checkpoints").glob("*.pt")), weights_only=True)
    for path in states:
        torch.save(theirs, path)
    world.fails(folder, begin(folder, resume=True), "of another network or other bands")
    for path, content in zip(states, kept, strict=True):
        path.write_bytes(content)
    world.resumes(folder)
    world.whole()


@case("scores that have changed since a run was made")
def inputs(world: World) -> None:
    folder = world.run_of()
    path = world.folder / _current(world)[0] / "beans.npy"
    flip(path, 0.9)
    world.fails(folder, begin(folder, resume=False), "beans.npy has changed since run 'tried' was made")
    _back(world, f"{_current(world)[0]}/beans.npy")
    world.resumes(folder)


@case("the configuration of a run cut: the other runs are still there")
def config(world: World) -> None:
    folder = world.run_of()
    cut(folder.config_path)
    for words in (("runs",), ("pretrain", "--run", "tried", "--resume")):
        answer = world.command(*words)
        if answer.code == 0:
            rows = json.loads(answer.lines[-1])["runs"]
            world.expect({row["run"] for row in rows} >= {"calm-pretrain", "calm-distil"}, "the other runs are gone from the list")
        else:
            world.refused(answer, "config.json", "not valid JSON")
    world.expect(world.command(*MAP).code == 0, "a map cannot be made any more")
    shutil.copyfile(world.calm / "runs" / "calm-pretrain" / "config.json", folder.config_path)
    world.resumes(folder)
    world.whole()


@case("an event log with garbage in the middle and a torn end")
def events(world: World) -> None:
    folder, _ = _interrupted(world)
    path = folder.path / "events.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    garbage = bytes(range(256)) * 20 + b"\n" + b"\x00" * 5000 + b'\n{"type": 3, "time": "x"}\n[]\n{"type": "step"}\n'
    path.write_bytes(b"".join(lines[:2]) + garbage + b"".join(lines[2:]) + b'{"type": "step", "st')
    answer = world.command("runs")
    world.expect(answer.code == 0, f"the list of runs ends with {answer.code}: {answer.lines[-2:]}")
    world.resumes(folder)
    world.whole()


@case("an event log cut to nothing")
def no_events(world: World) -> None:
    folder, _ = _interrupted(world)
    (folder.path / "events.jsonl").write_bytes(b"")
    world.expect(world.command("runs").code == 0, "the runs cannot be listed")
    world.expect(begin(folder, resume=True).wait() == 0, "it does not go on")
    calm = RunFolder(world.folder / "runs" / "calm-pretrain")
    world.expect(files.file_hash(folder.model_path) == files.file_hash(calm.model_path), "the model is another one")
    world.whole()


@case("a lock of garbage")
def lock(world: World) -> None:
    folder, _ = _interrupted(world)
    (folder.path / "lock.json").write_bytes(b'{"host": 3, "pid": "x"}')
    (world.folder / "lock.json").write_bytes(b"\xff\xfe")
    world.expect(world.command("runs").code == 0, "the runs cannot be listed")
    world.resumes(folder)
    world.works("mask", "--method", "otsu")
    world.whole()


# -- models --------------------------------------------------------------------------------------------------------------------


def _model(damage: Callable[[Path], object], name: str, *words: str) -> Callable[[World], None]:
    """Return the case in which a file of a finished model is damaged: it is never used, and a copy of it brings it back."""

    def check(world: World) -> None:
        verb = ("classify", "--cube", "beans", "--run", "calm-pretrain", "--method", "knn", "--k", 3)
        damage(world.folder / "runs" / "calm-pretrain" / name)
        world.refused(world.command(*verb), *words)
        world.expect(not Project.open(world.folder).maps(), "there is a map by it")
        _back(world, f"runs/calm-pretrain/{name}")
        world.works(*verb)

    return check


case("a model cut")(_model(cut, "model.safetensors", "model.safetensors", "not a whole"))
case("a model empty")(_model(lambda path: path.write_bytes(b""), "model.safetensors", "model.safetensors"))
case("a model with one bit flipped")(_model(lambda path: flip(path, 0.8), "model.safetensors", "model.safetensors"))
case("a model's card cut")(_model(cut, "model.json", "model.json"))


@case("a model with the card of another one")
def card(world: World) -> None:
    runs = world.folder / "runs"
    shutil.copyfile(runs / "calm-distil" / "model.json", runs / "calm-pretrain" / "model.json")
    words = ("classify", "--cube", "beans", "--run", "calm-pretrain", "--method", "knn", "--k", 3)
    world.refused(world.command(*words), "put the file and the .json of one run together")
    _back(world, "runs/calm-pretrain/model.json")
    world.works(*words)


@case("the result of a finished run cut")
def result(world: World) -> None:
    path = world.folder / "runs" / "calm-pretrain" / "result.json"
    cut(path)
    answer = world.command("runs")
    if answer.code == 0:
        world.expect("calm-distil" in answer.lines[-1], "the other run is gone from the list")
    else:
        world.refused(answer, "result.json")
    _back(world, "runs/calm-pretrain/result.json")
