"""Kills of what writes: a process writes one thing over and over; once it is killed, the last version that it told of must lie there, or the next."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from child import Child
from numpy.typing import NDArray
from world import CUBES, hashes, leftovers

from napari_hsi_ssl import files
from napari_hsi_ssl.config import PatchConfig, PcaConfig, digest
from napari_hsi_ssl.cubes.cube import Classes, ClassMap, as_cube, wavelengths
from napari_hsi_ssl.cubes.library import SpectralLibrary, read_library, write_library
from napari_hsi_ssl.cubes.rasters import read_labels
from napari_hsi_ssl.cubes.readers import read_cube
from napari_hsi_ssl.cubes.writers import load_map, save_map, write_cube, write_envi_classification
from napari_hsi_ssl.errors import ProjectError
from napari_hsi_ssl.learning.checkpoint import load_model
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.embeddings import embedding_file
from napari_hsi_ssl.runs.folder import RunFolder
from napari_hsi_ssl.runs.parcel import pack, unpack
from napari_hsi_ssl.steps.export import export
from napari_hsi_ssl.steps.patches import cut_patches
from napari_hsi_ssl.steps.pca import fit_pca

SHAPE = CUBES["beans"][1]
FRAME = SHAPE[:2]
THREE = Classes.of([1, 2, 3])


@dataclass(frozen=True)
class Kind:
    """One thing that is written: how version ``n`` of it is made, whether that is what lies there, and what may change on disk meanwhile."""

    write: Callable[[Path, int], object]
    same: Callable[[Path, int], bool]
    touches: tuple[str, ...]


def numbers(n: int) -> NDArray[np.int32]:
    """Return an image (y, x) of class numbers 1 to 3, another one for every ``n``."""
    return np.random.default_rng(n).integers(1, 4, FRAME).astype(np.int32)


def _crop(n: int) -> tuple[int, int, int, int]:
    return 0, 0, 10 + n % 20, 30


def _map(n: int) -> ClassMap:
    confidence = np.full(FRAME, 1 / (n + 1), dtype=np.float32)
    return ClassMap(numbers(n), THREE, confidence, {"n": n}, {"entropy": confidence / 2} if n % 2 else {})


def _map_same(folder: Path, n: int) -> bool:
    found, made = load_map(folder / "maps" / "beans--calm-pretrain--knn.tif", layers=True), _map(n)
    alike = np.array_equal(found.labels, made.labels) and np.array_equal(found.confidence, made.confidence) and found.layers.keys() == made.layers.keys()
    return alike and found.provenance == made.provenance and all(np.array_equal(found.layers[name], made.layers[name]) for name in made.layers)


def _labels(folder: Path, n: int) -> None:
    Project.open(folder).save_labels("beans", numbers(n) + n % 9, {1 + n % 9: f"first of {n % 9}"})


def _labels_same(folder: Path, n: int) -> bool:
    project = Project.open(folder)
    named = project.classes.named
    return np.array_equal(project.labels("beans"), numbers(n) + n % 9) and named.get(1 + n % 9) == f"first of {n % 9}"


def _pca(n: int) -> PcaConfig:
    return PcaConfig(bands=5 + n % 200, components=3)


def _pca_same(folder: Path, n: int) -> bool:
    """Whether the current projection is that of ``n``, its scores those of a calm fit, and what is noted of it its own."""
    project = Project.open(folder)
    if project.projection().mean.size != 5 + n % 200:
        return False
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        calm = Path(place) / folder.name
        calm.mkdir()
        for part in ("project.json", "masks", "cubes"):
            (shutil.copytree if (folder / part).is_dir() else shutil.copyfile)(folder / part, calm / part)
        again = Project.open(calm)
        run(fit_pca(again, _pca(n)))
        if again.inlet != project.inlet or hashes(again.inlet_folder()) != hashes(project.inlet_folder()):
            raise AssertionError(f"the projection {project.inlet} is not that of a calm fit, {again.inlet}")
    _noted(project, "pca", project.inlet)
    return True


def _noted(project: Project, step: Literal["pca", "patches"], current: str | None) -> None:
    """Raise where the note of another version is taken for that of the current one rather than refused."""
    if project.noted(step).get({"pca": "inlet"}.get(step, step)) != current:
        with suppress(ProjectError):
            project.settled(step)
            raise AssertionError("the note of another version is taken for this one's")


def _cut(n: int) -> PatchConfig:
    return PatchConfig(size=8, stride=3 + n % 5, coverage=0.0, seed=n)


def _patches_same(folder: Path, n: int) -> bool:
    project = Project.open(folder)
    settings = _cut(n).model_dump(mode="json")
    if digest({"settings": settings, "index": project.patch_index().digest}) != project.patches:
        return False
    _noted(project, "patches", project.patches)
    return True


def _embed(folder: Path, n: int, cache: Path | None = None) -> Path:
    model = folder / "runs" / "calm-pretrain" / "model.safetensors"
    network, card = load_model(model)
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        area = Path(place) / "area.tif"
        files.write_tiff(area, (numbers(n) > 1).astype(np.uint8))
        cube = {"name": "beans", "area": str(area), "scores": str(Project.open(folder).inlet_folder(_inlet_of_run(folder)) / "beans.npy")}
        path: Path = run(embedding_file(network, card, model, cube, cache or folder / "embeddings"))[0]
    return path


def _inlet_of_run(folder: Path) -> str:
    calm = RunFolder(folder / "runs" / "calm-pretrain")
    return calm.resolve(calm.config.inlet or "").parent.name


def _embed_same(folder: Path, n: int) -> bool:
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        calm = _embed(folder, n, Path(place))
        found = folder / "embeddings" / calm.parent.name / calm.name
        if not found.exists():
            return False
        if files.file_hash(found) != files.file_hash(calm):
            raise AssertionError(f"{found} is not the embedding that a calm computation makes")
    return True


def _cube(n: int) -> Any:
    values = np.random.default_rng(n).integers(0, 60000, SHAPE).astype(np.uint16)
    return as_cube(values, np.linspace(400 + n % 50, 900, SHAPE[2]), "dn", "out")


def _cube_kind(name: str) -> Kind:
    def same(folder: Path, n: int) -> bool:
        found, made = read_cube(folder / "out" / name), _cube(n)
        values, centres = np.array_equal(np.asarray(found.data), made.data), np.allclose(wavelengths(found), wavelengths(made))
        if values != centres:
            raise AssertionError("the values of one version lie beside the wavelengths of another")
        return bool(values)

    return Kind(lambda folder, n: write_cube(folder / "out" / name, _cube(n)), same, ("out",))


def _classification_same(folder: Path, n: int) -> bool:
    labels, names = read_labels(folder / "out" / "classes.hdr", FRAME)
    alike, named = np.array_equal(labels, numbers(n)), names.get(1) == f"one of {n}"
    if alike != named:
        raise AssertionError("the classes of one version lie beside the names of another")
    return alike


def _library(n: int) -> SpectralLibrary:
    return SpectralLibrary("out", (f"a {n}", "b"), np.linspace(400, 900, 7), np.random.default_rng(n).random((2, 7)), "reflectance")


def _library_same(folder: Path, n: int) -> bool:
    found, made = read_library(folder / "out" / "spectra.sli"), _library(n)
    alike, named = np.allclose(found.spectra, made.spectra), found.names == made.names
    if alike != named:
        raise AssertionError("the spectra of one version lie beside the names of another")
    return alike


def _source(n: int) -> str:
    return ("calm-pretrain", "calm-distil")[n % 2]


def _parcel_same(folder: Path, n: int) -> bool:
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        found = run(unpack(folder / "out" / "run.tar", Path(place) / "runs"))
        brought = Path(found["folder"]) / "model.safetensors"
        return found["run"] == _source(n) and files.file_hash(brought) == files.file_hash(folder / "runs" / _source(n) / "model.safetensors")


def _events_same(folder: Path, n: int) -> bool:
    told = [event["n"] for event in RunFolder(folder / "runs" / "told").events()[0] if event["type"] == "step"]
    if told != sorted(set(told)):
        raise AssertionError(f"events are lost or told twice: {told}")
    return bool(told) and told[-1] == n


KINDS: dict[str, Kind] = {
    "project.json": Kind(
        lambda folder, n: Project.open(folder).set_crop("beans", _crop(n)),
        lambda folder, n: Project.open(folder).entry("beans").crop == _crop(n),
        ("project.json",),
    ),
    "notes": Kind(
        lambda folder, n: Project.open(folder).note("umap", {"n": n}), lambda folder, n: Project.open(folder).noted("umap") == {"n": n}, ("preprocessing.json",)
    ),
    "mask": Kind(
        lambda folder, n: Project.open(folder).save_mask("beans", numbers(n) > 1),
        lambda folder, n: np.array_equal(Project.open(folder).mask("beans"), numbers(n) > 1),
        ("masks/beans.tif",),
    ),
    "labels": Kind(_labels, _labels_same, ("labels/beans.tif", "labels/classes.json")),
    "strokes": Kind(
        lambda folder, n: Project.open(folder).save_strokes("beans", numbers(n)),
        lambda folder, n: np.array_equal(Project.open(folder).strokes("beans"), numbers(n)),
        ("strokes",),
    ),
    "map": Kind(lambda folder, n: save_map(folder / "maps" / "beans--calm-pretrain--knn.tif", _map(n)), _map_same, ("maps",)),
    "pca": Kind(lambda folder, n: run(fit_pca(Project.open(folder), _pca(n))), _pca_same, ("inlets", "project.json", "preprocessing.json")),
    "patches": Kind(lambda folder, n: run(cut_patches(Project.open(folder), _cut(n))), _patches_same, ("patches", "project.json", "preprocessing.json")),
    "embedding": Kind(_embed, _embed_same, ("embeddings",)),
    "events": Kind(lambda folder, n: RunFolder(folder / "runs" / "told").emit("step", n=n), _events_same, ("runs/told",)),
    "ENVI cube": _cube_kind("cube.hdr"),
    "GeoTIFF cube": _cube_kind("cube.tif"),
    "Zarr cube": _cube_kind("cube.zarr"),
    "ENVI classification": Kind(
        lambda folder, n: write_envi_classification(folder / "out" / "classes.hdr", numbers(n), Classes.of([1, 2, 3], {1: f"one of {n}"})),
        _classification_same,
        ("out",),
    ),
    "spectral library": Kind(lambda folder, n: write_library(folder / "out" / "spectra.sli", _library(n)), _library_same, ("out",)),
    "exported run": Kind(
        lambda folder, n: run(export(folder / "runs" / _source(n), folder / "out" / "model.safetensors")),
        lambda folder, n: load_model(folder / "out" / "model.safetensors")[1]["kind"] == _source(n).removeprefix("calm-"),
        ("out",),
    ),
    "packed run": Kind(lambda folder, n: run(pack(RunFolder(folder / "runs" / _source(n)), folder / "out" / "run.tar")), _parcel_same, ("out",)),
}


def kill_writer(project: Project, name: str, number: int, seed: int) -> dict[str, Any]:
    """Kill a process that writes one thing over and over; returns what was found."""
    kind, folder = KINDS[name], project.folder
    draws = np.random.default_rng((seed, number, list(KINDS).index(name)))
    told = folder.parent / "told"
    prepare(folder)
    first = 1000 * number + 1
    begun = time.monotonic()
    kind.write(folder, first)
    span = 0.01 + 5 * (time.monotonic() - begun)
    others = untouched(folder, kind.touches)
    child: Child | None = None
    while child is None or not child.killed_at(time.monotonic() - child.begun + draws.uniform(0, span)):
        told.unlink(missing_ok=True)
        child = Child(lambda: _write_on(kind, folder, range(first + 1, first + 900), told), folder.parent / "log.txt")
        while not told.exists() and not child.ended_within(0.001):
            pass
    done = int([first, *told.read_text().split()][-1])
    lying = leftovers(folder)
    trouble, found = [], None
    try:
        opened = Project.open(folder)
        if list(opened.entries) != list(CUBES):
            trouble.append(f"the project lists {list(opened.entries)}")
        found = next((n for n in (done, done + 1) if kind.same(folder, n)), None)
        if found is None:
            trouble.append(f"neither version {done}, which was finished, nor the one after it is there")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the harness looks for
        trouble.append(f"after version {done}: {type(error).__name__}: {error}")
    kind.write(folder, done + 2)
    if not kind.same(folder, done + 2):
        trouble.append("another version does not take its place")
    if untouched(folder, kind.touches) != others:
        trouble.append("files that have nothing to do with it have changed")
    if left := [path for path in leftovers(folder) if path in lying]:
        trouble.append(f"temporary files are left: {left}")
    return {"kind": name, "finished": done - first, "found": None if found is None else found - first, "while_writing": bool(lying), "trouble": trouble}


def prepare(folder: Path) -> None:
    """Make a place for what is written outside of the project's own folders, and take what older kills left out of the way."""
    for made in ("out", "embeddings"):
        shutil.rmtree(folder / made, ignore_errors=True)
    (folder / "out").mkdir()
    (folder / "runs" / "told").mkdir(exist_ok=True)
    (folder / "runs" / "told" / "events.jsonl").unlink(missing_ok=True)
    keep = _inlet_of_run(folder)
    Project.open(folder).inlet = keep
    for inlet in (folder / "inlets").iterdir():
        if inlet.name != keep:
            shutil.rmtree(inlet)


def untouched(folder: Path, touches: Iterable[str]) -> dict[str, str]:
    """Return the hashes of the files that a writer has nothing to do with."""
    prefixes = tuple(touches)
    return {name: found for name, found in hashes(folder).items() if not name.startswith(prefixes) and ".writing" not in name}


def _write_on(kind: Kind, folder: Path, versions: range, told: Path) -> int:
    handle = os.open(told, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for n in versions:
        kind.write(folder, n)
        os.write(handle, f"{n} ".encode())
    return 0
