"""How fast whole images are mapped, and what the map is worth: the trunk run once over the image beside a loop over every pixel's patch.

Self-distillation networks of windows 32, 15 and 9 are trained on Indian Pines by command line, on the published split and on blocks that
share nothing (`--folds`), or taken from WORK where they are there already. With the same weights, threads and precision

- the map of 610 × 340 pixels with 30 components (the scene's, mirrored to that size) is timed from the last exit and from all of them, the
  patch loop on a sample of its pixels at several batch sizes, the best of which counts and is scaled to all pixels;
- the labels of the sample are compared;
- the held-out pixels of the scene are classified both ways: accuracies, and McNemar's test of the pairs.

`--growth` runs the network over images of 0.1 to 40 million pixels, each in a process of its own, and tells seconds and memory. `--memory` maps
a cube of 5,000 columns and so many GB (200 bands of 16 bits) by the job that the command line starts, and tells the largest memory.
Speed and accuracy stand in one row.

    python benchmarks/maps.py WORK [--windows 32 15 9] [--epochs 30] [--folds 2] [--sample 2048] [--repeats 3] [--growth] [--memory [20]] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_hsi_ssl.cubes.rasters import read_labels
from napari_hsi_ssl.cubes.samples import indian_pines
from napari_hsi_ssl.learning.checkpoint import Card, load_model
from napari_hsi_ssl.learning.data import gather, open_scores, pad_frame, prepare_inputs
from napari_hsi_ssl.mapping.embed import Asker, map_precision
from napari_hsi_ssl.mapping.frames import Frame
from napari_hsi_ssl.metrics.scores import mcnemar

SIDE = (610, 340)
BATCHES = (16, 64, 256)
COLUMNS, BANDS = 5000, 200


def command(*words: object) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "napari_hsi_ssl", *map(str, words), "--json"], capture_output=True, text=True, check=False)
    report = json.loads(done.stdout.splitlines()[-1])
    if done.returncode != 0:
        sys.exit(f"{words[0]} failed: {report}")
    return report


# -- networks -------------------------------------------------------------------------------------------------------------


def splits(work: Path, data: Path, folds: int) -> dict[str, tuple[Path, Path]]:
    """Return training and test labels: the published split where it is at hand, and blocks with a guard of half the widest window."""
    found = {}
    if (data / "splits").exists():
        found["published"] = (data / "splits" / "IndianTR123_temp123.tif", data / "splits" / "IndianTE123_temp123.tif")
    np.save(work / "truth.npy", indian_pines()[1])
    made = command("split", work / "truth.npy", "--kind", "blocks", "--block", 36, "--guard", 16, "--folds", max(2, folds), "--out", work / "folds")
    for number, row in enumerate(made["folds"][:folds], start=1):
        found[f"blocks {number}"] = (Path(row["train"]), Path(row["test"]))
    return found


def trained(work: Path, split: str, train: Path, window: int, epochs: int) -> Path:
    """Return the folder of a run, trained now where it is not there yet."""
    project = work / "project"
    if not project.exists():
        np.save(work / "scene.npy", np.asarray(indian_pines()[0].data))
        command("new", project, "--cubes", work / "scene.npy")
        command("pca", project, "--components", 30)
    name = f"{split.replace(' ', '-')}-w{window}-e{epochs}"
    if not (project / "runs" / name / "model.safetensors").exists():
        command("distil", project, "--train", f"scene={train}", "--window", window, "--epochs", epochs, "--run", name)
    return project / "runs" / name


def scores_of(work: Path) -> NDArray[np.floating]:
    return np.asarray(open_scores(next((work / "project" / "inlets").glob("*/scene.npy"))))


# -- two ways -------------------------------------------------------------------------------------------------------------


def patch_loop(model: Any, card: Card, scores: NDArray[np.floating], y: NDArray[np.intp], x: NDArray[np.intp], batch: int, half: bool) -> NDArray[np.intp]:
    """Classify pixels one window each, as programs do that are made for patches: (n, exits)."""
    window = card["window"]
    padded = pad_frame(prepare_inputs(scores, card), window)
    found = []
    for start in range(0, y.size, batch):
        part = slice(start, start + batch)
        windows = gather([padded], np.zeros(y[part].size, dtype=np.intp), y[part], x[part], window)
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            said: list[Tensor] = model(torch.from_numpy(windows).permute(0, 3, 1, 2))
        found.append(torch.stack([logits.argmax(1) for logits in said], dim=1).numpy())
    return np.concatenate(found)


def dense(model: Any, card: Card, scores: NDArray[np.floating], leaves: tuple[int, ...], precision: str, method: str = "dense") -> NDArray[np.intp]:
    """Classify every pixel: (y, x, exits)."""
    frame = Frame(scores, card, np.ones(scores.shape[:2], dtype=bool))
    asker = Asker(model, card, leaves=leaves, precision=precision, method=method)  # type: ignore[arg-type]
    found = np.empty((*scores.shape[:2], len(leaves)), dtype=np.intp)
    for tile in asker.tiles(scores.shape[:2]):  # type: ignore[arg-type]
        part = frame.part(tile, asker.margin)
        said = asker.values(part).reshape(*part.used.shape, len(leaves), -1)
        found[tile] = said.argmax(-1)
    return found


def seconds(work: Callable[[], Any], repeats: int) -> list[float]:
    taken = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return taken


def compared(run: Path, scene: NDArray[np.floating], sample: int, repeats: int, precision: str) -> dict[str, Any]:
    """Time both ways over the large image, and compare the labels of a sample of its pixels."""
    model, card = load_model(run / "model.safetensors")
    half, exits = precision == "bf16", tuple(range(len(model.exits)))  # type: ignore[arg-type]
    grow = [(0, size - side) for size, side in zip(SIDE, scene.shape[:2], strict=True)]
    image = np.pad(scene, [*grow, (0, 0)], mode="reflect")
    pick = np.random.default_rng(0).choice(image.shape[0] * image.shape[1], sample, replace=False)
    y, x = np.divmod(np.sort(pick), image.shape[1])
    few = slice(0, max(64, sample // 8))
    tried = {batch: seconds(lambda batch=batch: patch_loop(model, card, image, y[few], x[few], batch, half), 1)[0] for batch in BATCHES}
    batch = min(tried, key=lambda size: tried[size])
    begun = time.perf_counter()
    by_patches = patch_loop(model, card, image, y, x, batch, half)
    prepared = seconds(lambda: pad_frame(prepare_inputs(image, card), card["window"]), 1)[0]
    loop = (time.perf_counter() - begun - prepared) * image.shape[0] * image.shape[1] / sample
    row: dict[str, Any] = {"window": card["window"], "precision": precision, "patch_loop_s": loop, "batch": batch, "sample": sample}
    for name, leaves in (("last", exits[-1:]), ("all", exits)):
        taken = seconds(lambda leaves=leaves: dense(model, card, image, leaves, precision), repeats)
        same = dense(model, card, image, leaves, precision)[y, x] == by_patches[:, list(leaves)]
        middle = statistics.median(taken)
        row[name] = {"s": taken, "times_faster": loop / middle, "same_labels": float(same[:, -1].mean()), "same_in_every_exit": same.mean(axis=0).tolist()}
    return row


def accuracy(run: Path, scene: NDArray[np.floating], test: Path, precision: str) -> dict[str, Any]:
    """Classify the held-out pixels both ways."""
    model, card = load_model(run / "model.safetensors")
    numbers = np.asarray(card["classes"]["numbers"])
    truth = read_labels(test, scene.shape[:2])[0]
    asked = np.isin(truth, numbers)
    y, x = np.nonzero(asked)
    patches, whole = np.zeros(truth.shape, dtype=int), np.zeros(truth.shape, dtype=int)
    patches[asked] = numbers[patch_loop(model, card, scene, y, x, 64, precision == "bf16")[:, -1]]
    whole[asked] = numbers[dense(model, card, scene, (len(model.exits) - 1,), precision)[..., 0]][asked]  # type: ignore[arg-type]
    exact = numbers[dense(model, card, scene, (len(model.exits) - 1,), "32")[..., 0]]  # type: ignore[arg-type]
    judged = np.where(asked, truth, 0)
    return {
        "n": int(asked.sum()),
        "patches": float((patches == truth)[asked].mean()),
        "whole_image": float((whole == truth)[asked].mean()),
        "same_labels": float((patches == whole)[asked].mean()),
        "same_as_single_precision": float((exact == whole)[asked].mean()),
        "mcnemar": mcnemar(patches, whole, judged),
    }


# -- growth and memory ------------------------------------------------------------------------------------------------------


def grown(run: Path, pixels: float) -> dict[str, Any]:
    """Map an image of so many pixels, whose scores are on disk, in this process."""
    model, card = load_model(run / "model.safetensors")
    height = max(1, round(pixels / 5000)) if pixels > 1e6 else round(pixels**0.5)
    width = round(pixels / height)
    with tempfile.TemporaryDirectory(dir=run) as folder:
        path = Path(folder) / "scores.npy"
        scores = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(height, width, card["channels"]))
        for top in range(0, height, 256):
            scores[top : top + 256] = np.random.default_rng(top).normal(size=scores[top : top + 256].shape)
        scores.flush()
        del scores
        frame = Frame(open_scores(path), card, np.ones((height, width), dtype=bool))
        asker = Asker(model, card, leaves=(len(model.exits) - 1,))  # type: ignore[arg-type]
        begun = time.perf_counter()
        for tile in asker.tiles((height, width)):
            asker.values(frame.part(tile, asker.margin)).argmax(-1)
        taken = time.perf_counter() - begun
    memory = psutil.Process().memory_info()
    return {"pixels": height * width, "s": taken, "s_per_million": taken / (height * width) * 1e6, "resident_mb": memory.rss / 2**20}


def remembered(run: Path, gigabytes: float) -> dict[str, Any]:
    """Map a cube whose 30 components are on disk, as the compute process does it, in this process."""
    from napari_hsi_ssl.config import ClassifyConfig
    from napari_hsi_ssl.progress import run as drive
    from napari_hsi_ssl.runs.jobs import classify

    _, card = load_model(run / "model.safetensors")
    height, width = round(gigabytes * 1e9 / (COLUMNS * BANDS * 2)), COLUMNS
    inlet = next(run.parent.parent.glob("inlets/*/pca.npz"))
    with tempfile.TemporaryDirectory(dir=run) as folder:
        place = Path(folder)
        scores = np.lib.format.open_memmap(place / "scores.npy", mode="w+", dtype=np.float16, shape=(height, width, card["channels"]))
        for top in range(0, height, 256):
            scores[top : top + 256] = np.random.default_rng(top).normal(size=scores[top : top + 256].shape)
        scores.flush()
        del scores
        before, begun = psutil.Process().memory_info().rss, time.perf_counter()
        cube = {"name": "large", "scores": str(place / "scores.npy"), "area": None}
        files = {name: str(place / f"{name}.npy") for name in ("labels", "confidence")}
        config = ClassifyConfig(method="distil", calibrate="no").model_dump(mode="json")
        steps = classify(model=str(run / "model.safetensors"), inlet=str(inlet), cube=cube, references=[], settings=config, cache=folder, **files)
        highest = [before]
        drive(steps, lambda _: highest.append(psutil.Process().memory_info().rss))
        taken = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "cube_gb": gigabytes,
        "pixels": height * width,
        "s": taken,
        "peak_mb": peak / 2**20,
        "resident_before_mb": before / 2**20,
        "seen_mb": max(highest) / 2**20,
    }


# -- all --------------------------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--windows", type=int, nargs="+", default=[32, 15, 9])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--sample", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", choices=["auto", "32", "bf16"], default="auto")
    parser.add_argument("--growth", type=float, nargs="*", metavar="MILLIONS", help="of pixels (0.1 1 4 40)")
    parser.add_argument("--memory", type=float, nargs="?", const=20.0, metavar="GB")
    parser.add_argument("--remembered", nargs=2, metavar=("RUN", "GB"), help=argparse.SUPPRESS)
    parser.add_argument("--grown", nargs=2, metavar=("RUN", "PIXELS"), help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    options = parser.parse_args()
    if options.grown:
        print(json.dumps(grown(Path(options.grown[0]), float(options.grown[1]))))
        return
    if options.remembered:
        print(json.dumps(remembered(Path(options.remembered[0]), float(options.remembered[1]))))
        return
    work = options.work
    work.mkdir(parents=True, exist_ok=True)
    precision = map_precision(options.precision, on_gpu=False)
    report: dict[str, Any] = {"threads": torch.get_num_threads(), "image": [*SIDE, 30], "rows": []}
    for window in options.windows:
        row: dict[str, Any] = {}
        for split, (train, test) in splits(work, options.data, options.folds).items():
            run = trained(work, split, train, window, options.epochs)
            row = row or compared(run, scores_of(work), options.sample, options.repeats, precision)
            row.setdefault("accuracy", {})[split] = accuracy(run, scores_of(work), test, precision)
        report["rows"].append(row)
        print(json.dumps(row), flush=True)
    if options.growth is not None:
        report["growth"] = []
        for millions in options.growth or [0.1, 1, 4, 40]:
            words = [sys.executable, __file__, str(work), "--grown", str(run), str(millions * 1e6)]
            report["growth"].append(json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout))
            print(json.dumps(report["growth"][-1]), flush=True)
    if options.memory is not None:
        words = [sys.executable, __file__, str(work), "--remembered", str(run), str(options.memory)]
        report["memory"] = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
        print(json.dumps(report["memory"]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
