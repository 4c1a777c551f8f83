"""A small valid project and small valid run folders, as this package writes them: what fuzzing of them starts from."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from benchmarks.fuzzing.samples import SHAPE
from napari_hsi_ssl import files
from napari_hsi_ssl.config import (
    ChainConfig,
    ClassifyConfig,
    CubeInput,
    DistilConfig,
    LabelInput,
    MaskConfig,
    PatchConfig,
    PcaConfig,
    PretrainConfig,
    RunConfig,
    SplitConfig,
)
from napari_hsi_ssl.cubes.cube import Classes, ClassMap, as_cube
from napari_hsi_ssl.cubes.cube_writers import write_cube
from napari_hsi_ssl.cubes.writers import save_map
from napari_hsi_ssl.explore.projection import Projection
from napari_hsi_ssl.patches.index import PatchIndex
from napari_hsi_ssl.patches.snapshot import Snapshot
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.folder import RunFolder

BANDS, CHANNELS = 6, 3


def project(folder: Path, random: np.random.Generator) -> str:
    """Write two cubes with all that the steps up to the patches make of them, a split, a map, a run, and a window's lock."""
    from napari_hsi_ssl.steps.cubes import new
    from napari_hsi_ssl.steps.mask import make_masks
    from napari_hsi_ssl.steps.patches import cut_patches
    from napari_hsi_ssl.steps.pca import fit_pca
    from napari_hsi_ssl.steps.project_splits import split_project

    for name in ("one", "two"):
        values = random.random((*SHAPE, BANDS)).astype(np.float32) + 0.1
        (folder / "project" / "cubes" / name).mkdir(parents=True)
        write_cube(folder / "project" / "cubes" / name / f"{name}.hdr", as_cube(values, np.linspace(400, 900, BANDS), "reflectance", name))
    made = run(new(folder / "project", [folder / "project" / "cubes"]))
    made = Project.open(folder / "project")
    made.set_crop("one", (0, 0, SHAPE[0], SHAPE[1] - 1))
    run(make_masks(made, MaskConfig(method="all")))
    image = random.integers(0, 3, SHAPE).astype(np.int32)
    made.save_labels("one", image, {1: "soil", 2: "leaf"})
    made.save_labels("two", np.roll(image, 1), {})
    made.save_strokes("one", image)
    made.chain = ChainConfig.parse({"steps": [{"kind": "snv"}, {"kind": "savgol", "window": 3, "order": 1}]})
    run(fit_pca(made, PcaConfig(bands=BANDS, components=CHANNELS)))
    run(cut_patches(made, PatchConfig(size=2, stride=1)))
    run(split_project(made, SplitConfig(kind="random", folds=2), number=1))
    provenance = {"cube": "one", "run": "r", "method": "knn", "window": 1, "labels_sha256": {}, "command": "napari-hsi-ssl classify", "stamp": "x"}
    provenance |= {"config": ClassifyConfig().model_dump(mode="json")}
    save_map(made.map_path("one", "r", "knn"), ClassMap(image, made.classes, np.ones(SHAPE, np.float32), provenance, {"entropy": np.zeros(SHAPE, np.float32)}))
    _run(made.folder / "runs" / "r", RunConfig(kind="pretrain", pretrain=PretrainConfig(epochs=2)))
    files.write_json(made.folder / "lock.json", {"host": "elsewhere", "pid": 7, "started": 0.0, "token": "t", "since": 0.0, "heartbeat": time.time()})
    return "project"


def _run(path: Path, config: RunConfig) -> RunFolder:
    """Write a run that trained two epochs, was resumed, and finished."""
    folder = RunFolder.create(path, config)
    folder.emit_launched(2**22 + 1, message="started")
    folder.emit("started", total_steps=8, epochs=2, device="cpu", parameters=10, precision="32")
    for step in range(1, 5):
        folder.emit("step", step=step, epoch=1, loss=1 / step, throughput=100.0, seconds_left=30.0, memory=5e8)
    folder.emit("epoch", step=4, epoch=1, loss=0.3, knn_accuracy=0.9, alignment=0.1, uniformity=-2.0)
    folder.emit("warning", message="slow disk", step=4)
    folder.emit("checkpoint", step=4)
    folder.emit("resumed", step=3)
    folder.emit("step", step=4, epoch=2, loss=float("nan"), throughput=80.0)
    files.write_json(path / "evaluation-domain.json", {"knn_accuracy": 0.9, "linear_probe": 0.8})
    return folder


def run_folder(folder: Path, random: np.random.Generator) -> str:
    """Write a finished run with its inputs, model, card, states and snapshot, of either kind."""
    import torch

    from napari_hsi_ssl.learning.checkpoint import build_model, save_model

    inputs = folder / "inputs"
    scores = random.normal(size=(8, 8, CHANNELS)).astype(np.float16)
    files.write_npy(inputs / "one.npy", scores)
    files.write_npz(inputs / "pca.npz", variance=np.linspace(1, 0.1, CHANNELS))
    tifffile.imwrite(inputs / "mask.tif", np.full((8, 8), 255, np.uint8))
    tifffile.imwrite(inputs / "labels.tif", random.integers(0, 3, (8, 8)).astype(np.int32))
    zeros = np.zeros(4, dtype=np.int32)
    index = PatchIndex(
        cubes=("one",), domains=("d",), cube=zeros, y=zeros, x=np.arange(4, dtype=np.int32), domain=zeros,
        split=np.array([0, 0, 1, 1], dtype=np.uint8), coverage=np.ones(4, np.float32), size=4,
    )  # fmt: skip
    index.save(inputs / "patches.npz")
    hashes = {path.stem: files.file_hash(path) for path in inputs.iterdir()}
    trunk = {"widths": (4, 6), "stem_stride": 1}
    shared: dict[str, Any] = {
        "cubes": (CubeInput(name="one", domain="d", path="../inputs/one.npy", sha256=hashes["one"], mask="../inputs/mask.tif"),),
        "inlet": "../inputs/pca.npz",
        "inlet_sha256": hashes["pca"],
    }
    trainer = {"epochs": 2, "batch_size": 2, "accelerator": "cpu", "devices": 1, "precision": "32"}
    if random.random() < 0.5:
        settings = PretrainConfig.parse({**trainer, "trunk": trunk, "projection": 4})
        config = RunConfig(kind="pretrain", pretrain=settings, **shared, patches="../inputs/patches.npz", patches_sha256=hashes["patches"])
        architecture: dict[str, Any] = {"trunk": settings.trunk.model_dump(mode="json"), "projection": 4}
    else:
        labels = (LabelInput(cube="one", path="../inputs/labels.tif", sha256=hashes["labels"]),)
        told = {"class_numbers": (1, 2), "class_names": ("a", "b"), "class_colours": ("#e69f00", "#56b4e9")}
        config = RunConfig(kind="distil", distil=DistilConfig.parse({**trainer, "widths": (4, 6), "window": 3}), **shared, labels=labels, **told)
        architecture = {"trunk": {"widths": (4, 6), "stem_stride": 1, "stride": 1, "pool": "centre"}, "classes": 2}
    made = _run(folder / "run", config)
    card = {"format": 1, "package": "1", "kind": config.kind, "channels": CHANNELS, "window": 4, "architecture": architecture, "seed": 0}
    card |= {"input": {"source": "pcs", "offset": [0.0] * CHANNELS, "gain": [1.0] * CHANNELS, "background": "mean"}, "inlet_sha256": hashes["pca"]}
    card |= {"classes": Classes.of([1, 2]).to_json(), "parameters": 10, "multiply_adds": 10}
    if random.random() < 0.4:
        card["inlets"] = [{"name": "d", "bands": 5, "used": [0, 1, 2, 3], "wavelengths": [400.0, 410.0, 420.0, 430.0, 440.0], "tensors": "inlets.0_d"}]
    model = build_model(card, seed=1)
    save_model(made.path, model, card)
    made.checkpoints.mkdir()
    optimizer = torch.optim.AdamW(model.parameters())
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": 4, "random": torch.get_rng_state()}
    torch.save(state, made.checkpoints / "step-000000004.pt")
    address = dict.fromkeys(("cube", "y", "x", "domain"), zeros)
    Snapshot(places=np.zeros((4, 2), np.float32), cubes=("one",), domains=("d",), explained=0.5, epoch=1, size=4, **address).save(made.path / "embedding.npz")
    files.write_json(made.path / "lock.json", {"host": "elsewhere", "pid": 7, "started": 0.0, "heartbeat": time.time()})
    if random.random() < 0.5:
        made.finish({"loss": 0.3, "seconds": 5.0, "throughput": 100.0})
        made.emit("finished", seconds=5.0)
    return "run"


def parcel(folder: Path, random: np.random.Generator) -> str:
    """Write a packed run."""
    from napari_hsi_ssl.runs.parcel import pack

    (folder / "from").mkdir()
    run_folder(folder / "from", random)
    (folder / "from" / "run" / "lock.json").unlink()
    run(pack(RunFolder(folder / "from" / "run"), folder / "run.tar"))
    shutil.rmtree(folder / "from")
    return "run.tar"


def derived(folder: Path, random: np.random.Generator) -> str:
    """Write one of the files that are kept as .npz: a projection, the places of a UMAP, patches, a snapshot, or the clouds of classes."""
    from napari_hsi_ssl.explore.embedding import SampleMap
    from napari_hsi_ssl.mapping.unknown import Clouds

    zeros = np.zeros(4, dtype=np.int32)
    address = {"cube": zeros, "y": zeros, "x": zeros + 1, "domain": zeros}
    match int(random.integers(5)):
        case 0:
            values = random.random((5, BANDS))
            known = {
                "mean": values[0],
                "components": values[:CHANNELS],
                "variance": values[0, :CHANNELS],
                "grid": np.linspace(400, 900, BANDS),
                "total_variance": 1.0,
            }
            domain = {"domain_mean": values[:1], "domain_std": values[1:2], "domain_pixels": np.array([20]), "patterns": values[:CHANNELS].T}
            made = Projection(**known, grid_kind="wavelength", method="pca", scaling="none", domains=("d",), **domain)
            made.save(folder / "projection.npz")
            return "projection.npz"
        case 1:
            SampleMap(("one",), zeros, np.arange(4), np.zeros((4, 2), np.float32), 15, 0).save(folder / "umap.npz")
            return "umap.npz"
        case 2:
            PatchIndex(("one",), ("d",), **address, split=zeros.astype(np.uint8), coverage=np.ones(4, np.float32), size=2).save(folder / "patches.npz")
            return "patches.npz"
        case 3:
            Snapshot(np.zeros((4, 2), np.float32), 0.5, 1, ("one",), ("d",), **address, size=2).save(folder / "snapshot.npz")
            return "snapshot.npz"
        case _:
            centres = random.random((2, 3))
            Clouds(np.array([1, 2]), 1.0, centres, np.stack([np.eye(3)] * 2), np.sort(random.random(9)), "held-out pixels").write(folder / "clouds.npz")
            return "clouds.npz"
