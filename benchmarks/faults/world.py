"""A small project to break: two cubes of two cameras with masks, labels, components, patches and two runs that were never disturbed."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from child import Child
from numpy.typing import NDArray

from napari_hsi_ssl import files
from napari_hsi_ssl.config import DistilConfig, MaskConfig, PatchConfig, PcaConfig, PretrainConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.writers import write_envi_cube
from napari_hsi_ssl.errors import ProjectError
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs import launch, train
from napari_hsi_ssl.runs.folder import RunFolder
from napari_hsi_ssl.steps import cubes
from napari_hsi_ssl.steps.labels import save_painted
from napari_hsi_ssl.steps.mask import make_masks
from napari_hsi_ssl.steps.patches import cut_patches
from napari_hsi_ssl.steps.pca import fit_pca
from napari_hsi_ssl.steps.train import distil, pretrain

CUBES = {"beans": ("coffee", (40, 36, 12)), "lumps": ("sugar", (40, 36, 9))}
PCA = PcaConfig(bands=8, components=4)
PATCHES = PatchConfig(size=8, stride=4, coverage=0.0)
MACHINE: dict[str, Any] = {"batch_size": 16, "accelerator": "cpu", "devices": 1, "precision": "32", "checkpoint_minutes": 1e-4}
TRAINERS: dict[str, PretrainConfig | DistilConfig] = {
    "pretrain": PretrainConfig.parse({**MACHINE, "epochs": 5, "trunk": {"widths": (8, 12), "stem_stride": 1}, "projection": 8}),
    "distil": DistilConfig.parse({**MACHINE, "epochs": 8, "max_steps": 30, "widths": (8, 12), "window": 5}),
}


def scene(name: str) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
    """Return digital numbers (y, x, band) of fields of three materials on a dark ground, and the labels (y, x) of their middles."""
    height, width, bands = CUBES[name][1]
    draws = np.random.default_rng(list(CUBES).index(name))
    fields = np.kron(draws.integers(1, 4, (5, 4)), np.ones((8, 9), dtype=int))
    fields[:4] = 0
    spectra = np.vstack([np.full(bands, 60.0), 300 + 250 * draws.random((3, bands))])
    numbers = spectra[fields] + draws.integers(0, 40, (height, width, bands))
    labels = np.where(draws.random((height, width)) < 0.3, fields, 0)
    return numbers.astype(np.uint16), labels.astype(np.int32)


def make_project(folder: Path) -> Project:
    """Make the project up to its patches; its cubes lie in it, so that copies of it are whole."""
    headers = []
    for name, (domain, (_, _, bands)) in CUBES.items():
        header = folder / "cubes" / domain / f"{name}.hdr"
        header.parent.mkdir(parents=True, exist_ok=True)
        write_envi_cube(header, as_cube(scene(name)[0], np.linspace(450, 900, bands), "dn", name))
        headers.append(header)
    run(cubes.new(folder, headers))
    project = Project.open(folder)
    run(make_masks(project, MaskConfig(method="otsu")))
    for name in CUBES:
        run(save_painted(project, name, scene(name)[1], {1: "one", 2: "two", 3: "three"}))
    run(fit_pca(project, PCA))
    run(cut_patches(project, PATCHES))
    return project


def begin(folder: RunFolder, *, resume: bool, before: Callable[[], object] | None = None, log: Path | None = None) -> Child:
    """Start a trainer as `runs.launch.start` does, by forking this process; ``before`` is done in the fork first."""

    def work() -> int:
        if before is not None:
            before()
        return train.main([str(folder.path), *(["--resume"] if resume else [])])

    folder.clear_cancel()
    child = Child(work, log or folder.log_path)
    folder.emit_launched(child.pid, log=0)
    return child


def train_calmly(project: Project, kind: str) -> float:
    """Train the undisturbed run of a kind, unless it is there, and return the seconds that it took."""
    folder = RunFolder(project.folder / "runs" / f"calm-{kind}")
    if folder.result is None:
        forked: list[Child] = []
        ordinary, launch.start = launch.start, lambda of, **how: forked.append(begin(of, resume=how["resume"]))
        try:
            step, config = (pretrain, TRAINERS[kind]) if kind == "pretrain" else (distil, TRAINERS[kind])
            run(step(project, config, run=folder.name, detach=True))  # type: ignore[arg-type, operator]
        finally:
            launch.start = ordinary
        if forked[0].wait() != 0:
            raise RuntimeError(folder.log_path.read_text()[-2000:])
    return folder.events()[0][-1]["time"] - folder.events()[0][0]["time"]


def open_project(folder: Path) -> Project:
    """Open the project with its two undisturbed runs, or make it."""
    try:
        project = Project.open(folder)
        calm = project.patches is not None
    except ProjectError:
        calm = False
    if not calm:
        shutil.rmtree(folder, ignore_errors=True)
        project = make_project(folder)
    for kind in TRAINERS:
        train_calmly(project, kind)
    return project


def hashes(folder: Path) -> dict[str, str]:
    """Return the hash of every file below a folder but those that tell of processes."""
    told = {"lock.json", "log.txt", "cancel"}
    return {path.relative_to(folder).as_posix(): files.file_hash(path) for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in told}


def leftovers(folder: Path) -> list[str]:
    """Return the temporary files that lie about below a folder."""
    ours = {".writing", ".zarray", ".zattrs", ".zgroup", ".zmetadata"}
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob(".*") if path.name not in ours)


def quiet() -> None:
    """Keep Lightning's advice about data workers out of the way."""
    warnings.simplefilter("ignore")


def settled(result: dict[str, Any] | None) -> str:
    """Return a run's result as text without what depends on the clock."""
    return json.dumps({key: value for key, value in (result or {}).items() if key not in {"seconds", "throughput"}}, sort_keys=True)
