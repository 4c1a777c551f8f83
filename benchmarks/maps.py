"""How fast whole images are mapped, and what the map is worth: the trunk run once over the image beside a loop over every pixel's patch.

Self-distillation networks of windows 32, 15 and 9 are trained on Indian Pines by command line, on the published split and on blocks that
share nothing (`--folds`), or taken from WORK where they are there already. With the same weights, threads and precision

- the map of 610 × 340 pixels with 30 components (the scene's, mirrored to that size) is timed from the last exit and from all of them, the
  patch loop on a sample of its pixels at several batch sizes, the best of which counts and is scaled to all pixels;
- the labels of the sample are compared;
- the held-out pixels of the scene are classified both ways: accuracies, and McNemar's test of the pairs.

`--growth` runs the network over images of 0.1 to 40 million pixels, each in a process of its own, and tells seconds and memory. `--memory` takes
a sparse cube of 5,000 columns and so many GB (200 bands of 16 bits) from the file to the map by command line, and tells the largest memory of
every step. Speed and accuracy stand in one row. `--windows` alone, without a number, leaves the first part out.

    python benchmarks/maps.py WORK [--windows 32 15 9] [--epochs 30] [--folds 2] [--sample 2048] [--repeats 3] [--growth] [--memory [20]] [--json FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from opening import write_sparse
from peers.common import timed
from rows import Row, in_turn, spread
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
DATA = Path(os.environ.get("HSI_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
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


def patch_loop(model: Any, padded: NDArray[np.float32], window: int, y: NDArray[np.intp], x: NDArray[np.intp], batch: int, half: bool) -> NDArray[np.intp]:
    """Classify pixels of a padded image one window each, as programs do that are made for patches: (n, exits)."""
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


def against_patches(run: Path, scene: NDArray[np.floating], sample: int, repeats: int, precision: str, split: str, accuracy: dict[str, float]) -> list[Row]:
    """Time both ways over the large image in turn, and compare the labels of a sample of its pixels; the loop counts at its best batch."""
    model, card = load_model(run / "model.safetensors")
    half, exits = precision == "bf16", tuple(range(len(model.exits)))  # type: ignore[arg-type]
    grow = [(0, size - side) for size, side in zip(SIDE, scene.shape[:2], strict=True)]
    image = np.pad(scene, [*grow, (0, 0)], mode="reflect")
    pixels = image.shape[0] * image.shape[1]
    y, x = np.divmod(np.sort(np.random.default_rng(0).choice(pixels, sample, replace=False)), image.shape[1])
    padded = pad_frame(prepare_inputs(image, card), card["window"])
    few = slice(0, max(64, sample // 8))
    tried = {batch: timed(lambda batch=batch: patch_loop(model, padded, card["window"], y[few], x[few], batch, half))[1] for batch in BATCHES}
    batch = min(tried, key=lambda size: tried[size])
    ways: dict[str, Callable[[], Any]] = {
        "loop": lambda: patch_loop(model, padded, card["window"], y, x, batch, half),
        "last exit": lambda: dense(model, card, image, exits[-1:], precision),
        "all exits": lambda: dense(model, card, image, exits, precision),
    }
    taken = in_turn(ways, repeats)
    loop = [one * pixels / sample for one in taken["loop"].seconds]
    rows = []
    for name, leaves in (("last exit", exits[-1:]), ("all exits", exits)):
        same = taken[name].found[y, x] == taken["loop"].found[:, list(leaves)]
        agreement = {"same labels": float(same[:, -1].mean()), "same labels, worst exit": float(same.mean(axis=0).min()), **accuracy, "loop's batch": batch}
        what = f"map of {SIDE[0]}×{SIDE[1]}×{image.shape[2]}, window {card['window']}, {name}, {precision}, trained on {split}"
        rival = f"per-pixel patch loop at its best batch size, scaled from {sample:,} pixels"
        rows.append(
            Row(
                "map",
                what,
                rival,
                spread(taken[name].seconds),
                spread(loop),
                memory_mb={"ours": taken[name].mb, "theirs": taken["loop"].mb},
                agreement=agreement,
            )
        )
    return rows


def held_out(run: Path, scene: NDArray[np.floating], test: Path, precision: str) -> dict[str, float]:
    """Classify the held-out pixels both ways: accuracies, agreement, and McNemar's test of the pairs."""
    model, card = load_model(run / "model.safetensors")
    numbers = np.asarray(card["classes"]["numbers"])
    truth = read_labels(test, scene.shape[:2])[0]
    asked = np.isin(truth, numbers)
    y, x = np.nonzero(asked)
    padded = pad_frame(prepare_inputs(scene, card), card["window"])
    patches, whole = np.zeros(truth.shape, dtype=int), np.zeros(truth.shape, dtype=int)
    patches[asked] = numbers[patch_loop(model, padded, card["window"], y, x, 64, precision == "bf16")[:, -1]]
    whole[asked] = numbers[dense(model, card, scene, (len(model.exits) - 1,), precision)[..., 0]][asked]  # type: ignore[arg-type]
    exact = numbers[dense(model, card, scene, (len(model.exits) - 1,), "32")[..., 0]]  # type: ignore[arg-type]
    test_of_pairs = mcnemar(patches, whole, np.where(asked, truth, 0))
    return {
        "held-out pixels": int(asked.sum()),
        "accuracy: whole image": float((whole == truth)[asked].mean()),
        "accuracy: patches": float((patches == truth)[asked].mean()),
        "held-out pixels with the same label": float((patches == whole)[asked].mean()),
        "the same in single precision": float((exact == whole)[asked].mean()),
        "McNemar's p": float(test_of_pairs["p"]),
    }


def measure(
    work: Path, *, windows: tuple[int, ...] = (32, 15), epochs: int = 60, folds: int = 0, sample: int = 1024, repeats: int = 3, precision: str = "auto",
    data: Path = DATA,
) -> list[Row]:  # fmt: skip
    """Map the large image both ways with networks of several windows, trained here or kept in WORK; speed and accuracy in one row."""
    work.mkdir(parents=True, exist_ok=True)
    chosen = map_precision(precision, on_gpu=False)  # type: ignore[arg-type]
    rows = []
    for window in windows:
        for split, (train, test) in splits(work, data, folds).items():
            run = trained(work, split, train, window, epochs)
            scene = scores_of(work)
            rows += against_patches(run, scene, sample, repeats, chosen, split, held_out(run, scene, test, chosen))
    return rows


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


def growth(run: Path, millions: Sequence[float]) -> list[dict[str, Any]]:
    """Map images of so many million pixels, each in a process of its own."""
    found = []
    for size in millions:
        done = subprocess.run([sys.executable, __file__, "--grown", str(run), str(size * 1e6)], capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
        print(json.dumps(found[-1]), flush=True)
    return found


def watched(*words: object) -> dict[str, float]:
    """Run a command of the program; returns its seconds and the largest memory of all its processes together, in MB."""
    begun, peak = time.perf_counter(), {"resident_mb": 0.0, "private_mb": 0.0}
    with tempfile.TemporaryFile("w+") as said:
        started = psutil.Popen([sys.executable, "-m", "napari_hsi_ssl", *map(str, words), "--json"], stdout=said, stderr=subprocess.STDOUT)
        while started.poll() is None:
            sums = {"resident_mb": 0.0, "private_mb": 0.0}
            for process in (started, *started.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    memory = process.memory_info()
                    sums["resident_mb"] += memory.rss / 2**20
                    sums["private_mb"] += (memory.rss - memory.shared) / 2**20
            peak = {name: max(peak[name], value) for name, value in sums.items()}
            time.sleep(0.02)
        if started.returncode:
            said.seek(0)
            sys.exit(f"{words[0]} failed: {said.read()[-500:]}")
    return {"s": time.perf_counter() - begun, **peak}


def measure_memory(work: Path, *, gigabytes: float = 20.0) -> list[Row]:
    """Take a sparse cube of so many GB from its file to a map by command line, and tell the memory of every step; a small cube teaches the network."""
    height, place = round(gigabytes * 1e9 / (COLUMNS * BANDS * 2)), f"sparse {gigabytes:g} GB BIL"
    rows = []
    with tempfile.TemporaryDirectory(dir=work) as name:
        folder, project = Path(name), Path(name) / "project"
        (folder / "taught").mkdir()
        (folder / "mapped").mkdir()
        scene, truth, _ = indian_pines()
        np.save(folder / "taught" / "small.npy", np.asarray(scene.data))
        np.save(folder / "truth.npy", truth)
        write_sparse(folder / "mapped" / "large.dat", (height, COLUMNS, BANDS), "bil")
        steps: dict[str, tuple[object, ...]] = {
            "project made": ("new", project, "--cubes", folder / "taught" / "small.npy", folder / "mapped" / "large.hdr"),
            "projection on 30 components": ("pca", project, "--bands", BANDS, "--sample", 200_000),
            "training on the small cube": ("distil", project, "--train", f"small={folder / 'truth.npy'}", "--window", 15, "--epochs", 1, "--run", "short"),
            "map": ("classify", project, "--run", "short", "--cube", "large", "--calibrate", "no"),
        }
        for step, words in steps.items():
            found = watched(*words)
            print(json.dumps({"step": step, **found}), flush=True)
            memory_mb = {"ours": found["private_mb"], "ours, pages of mapped files counted": found["resident_mb"]}
            what = f"{place}, {height * COLUMNS / 1e6:.0f} M pixels × {BANDS}, by command line: {step}"
            rows.append(Row("20 GB", what, "", spread([found["s"]]), None, memory_mb=memory_mb))
    return rows


# -- all --------------------------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, nargs="?")
    parser.add_argument("--windows", type=int, nargs="*", default=[32, 15, 9])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--sample", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", choices=["auto", "32", "bf16"], default="auto")
    parser.add_argument("--growth", type=float, nargs="*", metavar="MILLIONS", help="of pixels (0.1 1 4 40)")
    parser.add_argument("--memory", type=float, nargs="?", const=20.0, metavar="GB")
    parser.add_argument("--grown", nargs=2, metavar=("RUN", "PIXELS"), help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    if options.grown:
        print(json.dumps(grown(Path(options.grown[0]), float(options.grown[1]))))
        return
    if options.work is None:
        parser.error("WORK is missing: a folder for cubes, projects and networks")
    options.work.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {"threads": torch.get_num_threads(), "image": [*SIDE, 30], "rows": []}
    given = {name: getattr(options, name) for name in ("windows", "epochs", "folds", "sample", "repeats", "precision", "data")}
    for row in measure(options.work, **given):
        report["rows"].append(row.as_json())
        print(json.dumps(report["rows"][-1]), flush=True)
    if options.growth is not None:
        run = max((options.work / "project" / "runs").glob("*/model.safetensors"), key=lambda path: path.stat().st_mtime).parent
        report["growth"] = growth(run, options.growth or [0.1, 1, 4, 40])
    if options.memory is not None:
        report["memory"] = [row.as_json() for row in measure_memory(options.work, gigabytes=options.memory)]
    if options.json:
        options.json.write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
