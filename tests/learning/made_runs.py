"""Small run folders with synthetic scores, as a project would make them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl import files
from napari_hsi_ssl.config import CubeInput, DistilConfig, LabelInput, PretrainConfig, RunConfig
from napari_hsi_ssl.patches.index import PatchIndex
from napari_hsi_ssl.runs.folder import RunFolder

CHANNELS = 6
SMALL: dict[str, Any] = {"widths": (8, 12), "stem_stride": 1}


def scene(seed: int, side: int = 40, channels: int = CHANNELS) -> tuple[NDArray[np.float16], NDArray[np.int32]]:
    """Scores (y, x, k) of three materials in square fields, and their class numbers 2, 5 and 9."""
    draws = np.random.default_rng(seed)
    materials = np.random.default_rng(99).normal(size=(3, channels))
    fields = np.kron(draws.integers(0, 3, (side // 8, side // 8)), np.ones((8, 8), dtype=int))
    scores = materials[fields] + 0.3 * draws.normal(size=(side, side, channels))
    return scores.astype(np.float16), np.array([2, 5, 9], dtype=np.int32)[fields]


def write_pretrain_run(path: Path, cubes: int = 2, **settings: Any) -> RunFolder:
    """Write a run folder whose patches of 8 lie on a grid of two cubes in two domains."""
    inputs = path.parent / "inputs"
    pinned = []
    for number in range(cubes):
        files.write_npy(inputs / f"c{number}.npy", scene(number)[0] + np.float16(number))
        pinned.append(CubeInput(name=f"c{number}", domain=f"d{number}", path=f"../inputs/c{number}.npy", sha256=files.file_hash(inputs / f"c{number}.npy")))
    files.write_npz(inputs / "pca.npz", variance=np.linspace(1, 0.1, CHANNELS))
    grid = np.stack(np.meshgrid(range(cubes), range(0, 33, 4), range(0, 33, 4), indexing="ij"), -1).reshape(-1, 3).astype(np.int32)
    count = len(grid)
    index = PatchIndex(
        cubes=tuple(cube.name for cube in pinned),
        domains=tuple(cube.domain for cube in pinned),
        cube=grid[:, 0], y=grid[:, 1], x=grid[:, 2], domain=grid[:, 0],
        split=(np.arange(count) % 4 == 0).astype(np.uint8), coverage=np.ones(count, dtype=np.float32), size=8,
    )  # fmt: skip
    index.save(inputs / "patches.npz")
    values = {"epochs": 2, "batch_size": 16, "accelerator": "cpu", "devices": 1, "precision": "32", "trunk": SMALL, "projection": 8, "learning_rate": 3e-3}
    config = RunConfig(
        kind="pretrain",
        pretrain=PretrainConfig.parse({**values, **settings}),
        cubes=tuple(pinned),
        inlet="../inputs/pca.npz",
        inlet_sha256=files.file_hash(inputs / "pca.npz"),
        patches="../inputs/patches.npz",
        patches_sha256=files.file_hash(inputs / "patches.npz"),
    )
    return RunFolder.create(path, config)


def write_distil_run(path: Path, *, validation: bool = True, init: RunFolder | None = None, **settings: Any) -> RunFolder:
    """Write a run folder with sparse labels of one cube, and dense ones of another for validation."""
    inputs = path.parent / "inputs"
    pinned, labels = [], []
    for number, role in enumerate(("train", "validation") if validation else ("train",)):
        scores, classes = scene(number)
        sparse = np.where(np.random.default_rng(5).random(classes.shape) < 0.1, classes, 0) if role == "train" else classes
        files.write_npy(inputs / f"c{number}.npy", scores)
        files.write_tiff(inputs / f"c{number}.{role}.tif", sparse)
        pinned.append(CubeInput(name=f"c{number}", domain="d", path=f"../inputs/c{number}.npy", sha256=files.file_hash(inputs / f"c{number}.npy")))
        label = {"cube": f"c{number}", "path": f"../inputs/c{number}.{role}.tif", "sha256": files.file_hash(inputs / f"c{number}.{role}.tif"), "role": role}
        labels.append(LabelInput.parse(label))
    files.write_npz(inputs / "pca.npz", variance=np.linspace(1, 0.1, CHANNELS))
    values = {"epochs": 4, "batch_size": 16, "accelerator": "cpu", "devices": 1, "precision": "32", "widths": (8, 12), "window": 5}
    carried = {"init": str(init.model_path), "init_sha256": files.file_hash(init.model_path)} if init else {}
    config = RunConfig(
        kind="distil",
        distil=DistilConfig.parse({**values, **settings}),
        cubes=tuple(pinned),
        inlet="../inputs/pca.npz",
        inlet_sha256=files.file_hash(inputs / "pca.npz"),
        labels=tuple(labels),
        class_numbers=(2, 5, 9),
        class_names=("a", "b", "c"),
        class_colours=("#e69f00", "#56b4e9", "#009e73"),
        **carried,
    )
    return RunFolder.create(path, config)
