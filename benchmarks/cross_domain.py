"""What a trunk that was trained on other cameras is worth on one it never saw, with 10 labels a class.

Scenes: Indian Pines, Samson, EnMAP Potsdam (a mosaic of its tiles), and four of ABU without labels (all but the first read from HSI_TEST_DATA).
For each of the three labelled ones a trunk is pretrained without labels on all the others, every camera with a learned inlet. Then the
scene left out gets a new inlet that starts as its own PCA, turned towards the filters of a known camera where both know their wavelengths, and
is trained on few labels: from random weights, from the trunk (fine-tuned), and with the trunk frozen. Splits are blocks with a guard wider
than the windows; the PCA is fitted on pixels that lie nearer to a training label than to a test label. Two depths of the trunk. Whatever is
there already is not made again.

    python benchmarks/cross_domain.py WORK [--draws 3] [--steps 60] [--pretraining-steps 150]
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.ndimage import distance_transform_edt
from spectral.io import envi

from napari_hsi_ssl import Project, files, run
from napari_hsi_ssl.config import DistilConfig, PatchConfig, PcaConfig, PretrainConfig
from napari_hsi_ssl.cubes.rasters import read_raster
from napari_hsi_ssl.cubes.readers import read_cube
from napari_hsi_ssl.cubes.samples import indian_pines
from napari_hsi_ssl.patches.splits import split_labels
from napari_hsi_ssl.runs import train
from napari_hsi_ssl.runs.folder import RunFolder
from napari_hsi_ssl.steps.cubes import add
from napari_hsi_ssl.steps.patches import cut_patches
from napari_hsi_ssl.steps.pca import fit_pca
from napari_hsi_ssl.steps.train import Cluster, distil, pretrain

WINDOW, GUARD, LABELS, COMPONENTS = 5, 8, 10, 30
WIDTHS = (32, 32, 64)
BLOCKS = {"indian_pines": 30, "samson": 24, "enmap": 16}
"""Sides of the blocks that a labelled scene is split into, in pixels."""
DEPTHS = (1, 3)
WAYS: dict[str, dict[str, Any]] = {"scratch": {}, "trunk": {"init": True}, "frozen": {"init": True, "freeze": True}}
MACHINE = {"devices": 1, "accelerator": "cpu", "precision": "32"}


class Scene(NamedTuple):
    """Values (y, x, band), wavelengths in nm, labels (y, x) and ignore value, where there are any."""

    values: NDArray[Any]
    wavelengths: NDArray[np.float64] | None
    labels: NDArray[np.integer] | None
    nodata: float | None = None


def scenes(data: Path) -> Iterator[tuple[str, Scene]]:
    cube, labels, _ = indian_pines()
    yield "indian_pines", Scene(np.asarray(cube.data), cube.wavelength.values, labels)
    spectra = loadmat(data / "samson" / "Samson.mat")
    values = (spectra["Y"] if "Y" in spectra else spectra["V"]).reshape(156, 95, 95, order="F").transpose(1, 2, 0)
    shares = loadmat(data / "samson" / "_EndSamson.mat")["A"].reshape(3, 95, 95, order="F")
    yield "samson", Scene(values, None, np.where(shares.max(0) > 0.9, shares.argmax(0) + 1, 0).astype(np.int32))
    yield "enmap", mosaic(data / "enmap_potsdam")
    for name in ("abu-airport-2", "abu-beach-3", "abu-urban-2", "hydice"):
        yield name, Scene(loadmat(data / "abu" / f"{name}.mat")["data"], None, None)


def mosaic(folder: Path) -> Scene:
    """Put the tiles where the offsets in their names say (x, then y)."""
    tiles = {}
    for path in sorted((folder / "images").glob("*.tif")):
        x, y = (int(part) for part in path.stem.split("_")[-2:])
        tiles[y, x] = (read_cube(path), read_raster(folder / "labels" / path.name))
    top, left = min(y for y, _ in tiles), min(x for _, x in tiles)
    height, width = max(y for y, _ in tiles) - top + 32, max(x for _, x in tiles) - left + 32
    first = next(iter(tiles.values()))[0]
    values, labels = np.full((height, width, first.shape[2]), -32768, dtype=np.float32), np.zeros((height, width), dtype=np.int32)
    for (y, x), (cube, known) in tiles.items():
        place = np.s_[y - top : y - top + 32, x - left : x - left + 32]
        values[place], labels[place] = np.asarray(cube.data), known
    return Scene(values, first.wavelength.values, labels, -32768)


def write(work: Path, name: str, scene: Scene) -> Path:
    header = work / "cubes" / name / f"{name}.hdr"
    if not header.exists():
        header.parent.mkdir(parents=True, exist_ok=True)
        facts = {} if scene.wavelengths is None else {"wavelength": scene.wavelengths.tolist(), "wavelength units": "nm"}
        facts |= {} if scene.nodata is None else {"data ignore value": scene.nodata}
        envi.save_image(str(header), scene.values, interleave="bip", force=True, metadata=facts)
    return header


def project_of(folder: Path, cubes: list[Path]) -> Project:
    """Return a project of some cubes, each of them a domain."""
    if (folder / "project.json").exists():
        return Project.open(folder)
    project = Project.create(folder)
    for path in cubes:
        run(add(project, path))
    return project


def trained(folder: RunFolder) -> RunFolder:
    """Train a run in this process, unless it is finished; going on from where it was."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Lightning, about things like the number of data workers
        if folder.result is None and train.main([str(folder.path), *(["--resume"] if folder.checkpoints.exists() else [])]) != 0:
            sys.exit(f"{folder.path} failed")
    return folder


PINNED = Cluster(submit=False)
"""Makes the run and starts nothing."""


def trunk_without(work: Path, left_out: str, cubes: dict[str, Path], depth: int, steps: int) -> RunFolder:
    project = project_of(work / f"without-{left_out}", [path for name, path in cubes.items() if name != left_out])
    if project.patches is None:
        run(fit_pca(project, PcaConfig(components=COMPONENTS, scale="standardise", weights="domain")))
        run(cut_patches(project, PatchConfig(size=WINDOW, stride=3, per_domain=2000, split="blocks", guard=WINDOW - 1)))
    folder = RunFolder(project.folder / "runs" / f"depth-{depth}")
    if not folder.config_path.exists():
        trunk = {"widths": WIDTHS, "blocks": depth, "stem_stride": 1, "stride": 1, "pool": "centre"}
        settings = PretrainConfig.from_recipe("pixel", inlet="learned", trunk=trunk, epochs=1000, max_steps=steps, checkpoint_minutes=60, **MACHINE)
        run(pretrain(project, settings, run=folder.name, cluster=PINNED))
    return trained(folder)


def judged(work: Path, scene: str, cube: Path, truth: NDArray[np.integer], draw: int, depth: int, steps: int, trunk: RunFolder) -> dict[str, dict[str, float]]:
    """Return the accuracy of every way on one draw, and at which step it first reached what training from scratch ended with."""
    everything, test = split_labels(truth, "blocks", block=BLOCKS[scene], guard=GUARD, folds=2, seed=draw)[0]
    known, _ = split_labels(truth, "blocks", block=BLOCKS[scene], guard=GUARD, folds=2, per_class=LABELS, seed=draw)[0]
    test = np.where(np.isin(test, np.unique(known)), test, 0)
    project = project_of(work / f"{scene}-draw-{draw}", [cube])
    name = next(iter(project.entries))
    paths = {"train": work / f"{scene}-{draw}-train.tif", "test": work / f"{scene}-{draw}-test.tif"}
    if project.inlet is None:
        project.save_mask(name, distance_transform_edt(everything == 0) < distance_transform_edt(test == 0))
        run(fit_pca(project, PcaConfig(components=COMPONENTS, scale="standardise")))
        project.save_mask(name, np.ones(truth.shape, dtype=bool))
        files.write_tiff(paths["train"], known)
        files.write_tiff(paths["test"], test)
    batch = min(64, int((known > 0).sum()))
    epochs = -(-steps // (int((known > 0).sum()) // batch))
    curves, found = {}, {}
    for way, how in WAYS.items():
        folder = RunFolder(project.folder / "runs" / f"{way}-{depth}")
        if not folder.config_path.exists():
            own = {"widths": WIDTHS, "blocks": depth, "window": WINDOW, "epochs": epochs, "freeze": "freeze" in how, "checkpoint_minutes": 60, "seed": draw}
            settings = DistilConfig(inlet="learned", whiten=True, **own, **MACHINE)
            init = str(trunk.path) if "init" in how else None
            where = {"train": {name: paths["train"]}, "validation": {name: paths["test"]}}
            run(distil(project, settings, **where, init=init, run=folder.name, cluster=PINNED))
        trained(folder)
        curves[way] = [(event["step"], event["exits"][-1]) for event in folder.history() if event.get("exits")]
        found[way] = {"accuracy": folder.result["validation"][-1], "seconds_a_step": folder.result["seconds"] / folder.result["steps"]}
    aim = curves["scratch"][-1][1]
    for way, curve in curves.items():
        found[way]["steps"] = next((step for step, accuracy in curve if accuracy >= aim), np.nan)
        found[way]["all_steps"] = curve[-1][0]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--pretraining-steps", type=int, default=150)
    given = parser.parse_args()
    work = given.work.absolute()
    known = dict(scenes(Path(os.environ.get("HSI_TEST_DATA", "../shared/data"))))
    cubes = {name: write(work, name, scene) for name, scene in known.items()}
    print("| scene left out | blocks | from | accuracy, % | paired gain | steps to scratch's last accuracy | s a step |\n" + "| --- " * 7 + "|")
    for name in BLOCKS:
        for depth in DEPTHS:
            trunk = trunk_without(work, name, cubes, depth, given.pretraining_steps)
            draws = [judged(work, name, cubes[name], known[name].labels, draw, depth, given.steps, trunk) for draw in range(given.draws)]
            for way in WAYS:
                accuracy, scratch = (100 * np.array([draw[which]["accuracy"] for draw in draws]) for which in (way, "scratch"))
                steps = [draw[way]["steps"] for draw in draws]
                reached = np.isfinite(steps).sum()
                words = f"{np.nanmean(steps):.0f} of {draws[0][way]['all_steps']:.0f}" if reached else "never"
                words += f" ({reached} of {len(steps)} draws)" if 0 < reached < len(steps) else ""
                pace = np.median([draw[way]["seconds_a_step"] for draw in draws])
                gain = "" if way == "scratch" else f"{np.mean(accuracy - scratch):+.1f} ± {np.std(accuracy - scratch):.1f}"
                print(f"| {name} | {depth} | {way} | {accuracy.mean():.1f} ± {accuracy.std():.1f} | {gain} | {words} | {pace:.3f} |", flush=True)


if __name__ == "__main__":
    main()
