"""Many cubes, and the parts of a training step: what grows with the number of cubes, in seconds and memory.

    python benchmarks/scale.py [--cubes 100 1000 3000 10000] [--work FOLDER] [--window] [--json FILE]

Cubes are ENVI files of 64 × 64 × 128 uint16 (1 MiB): a header each, and hard links to eight files of data, so that 10,000 of them take
8 MiB on disk. They lie in eight folders, which become eight domains. Every stage is a step of the library in a process of its own; its seconds
do not count the imports, its memory does. *Resident* is the peak of the process; *private* the peak of what no file backs (``RssAnon``).
Scores of 10,000 cubes take 2.4 GB of ``--work``.

The last two parts do not depend on the number of cubes: gathering z and summing the gradients of the network between two gloo ranks on this
computer; and, with ``--window`` (under xvfb-run), how long napari's event loop stands still while a project is opened in the workbench.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SHAPE = (64, 64, 128)
KINDS = 8
BATCH = 64
STAGES = ("new", "add", "open", "mask", "pca", "patches", "pin", "train")


# -- cubes ----------------------------------------------------------------------------------------------------------------


def write_cubes(folder: Path, count: int) -> None:
    """Write headers, and links to a few files of smooth spectra with noise in patches of materials."""
    height, width, bands = SHAPE
    draws = np.random.default_rng(0)
    materials = 800 + 1500 * draws.random((5, 1)) * (1 + np.sin(np.linspace(0, 7, bands) + 6 * draws.random((5, 1))))
    centres = ", ".join(f"{nm:.2f}" for nm in np.linspace(400, 1000, bands))
    header = (
        f"ENVI\nsamples = {width}\nlines = {height}\nbands = {bands}\nheader offset = 0\ndata type = 12\ninterleave = bip\nbyte order = 0\n"
        f"wavelength units = Nanometers\nwavelength = {{{centres}}}\n"
    )
    for kind in range(KINDS):
        (folder / f"camera{kind}").mkdir(parents=True)
        map_ = np.kron(draws.integers(0, 5, (8, 8)), np.ones((8, 8), dtype=int))
        cube = materials[map_] * draws.uniform(0.7, 1.3, (height, width, 1)) + draws.normal(0, 15, SHAPE)
        cube.astype("<u2").tofile(folder / f"kind{kind}.data")
    for number in range(count):
        path = folder / f"camera{number % KINDS}" / f"cube{number:05d}.hdr"
        path.write_text(header)
        os.link(folder / f"kind{number % KINDS}.data", path.with_suffix(".raw"))


# -- stages: each in a process of its own -----------------------------------------------------------------------------------


def seconds(do: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    do()
    return time.perf_counter() - begun


def median(do: Callable[[int], Any], times: int) -> float:
    do(0)
    return statistics.median(seconds(lambda number=number: do(number)) for number in range(1, times + 1))


def stage_new(work: Path) -> dict[str, float]:
    from napari_hsi_ssl.progress import run
    from napari_hsi_ssl.steps import cubes

    return {"seconds": seconds(lambda: run(cubes.new(work / "project", [work / "cubes"])))}


def stage_add(work: Path) -> dict[str, float]:
    """Add the same folder to an empty project, as the window does where cubes are in a project already."""
    from napari_hsi_ssl.progress import run
    from napari_hsi_ssl.project import Project
    from napari_hsi_ssl.steps import cubes

    return {"seconds": seconds(lambda: run(cubes.add(Project.create(work / "added"), work / "cubes")))}


def stage_open(work: Path) -> dict[str, float]:
    from napari_hsi_ssl.project import Project

    return {"seconds": seconds(lambda: Project.open(work / "project")), "json_bytes": (work / "project" / "project.json").stat().st_size}


def stage_mask(work: Path) -> dict[str, float]:
    from napari_hsi_ssl.config import MaskConfig
    from napari_hsi_ssl.progress import run
    from napari_hsi_ssl.project import Project
    from napari_hsi_ssl.steps.mask import make_masks

    project = Project.open(work / "project")
    return {"seconds": seconds(lambda: run(make_masks(project, MaskConfig(method="all"))))}


def stage_pca(work: Path) -> dict[str, float]:
    from napari_hsi_ssl.config import PcaConfig
    from napari_hsi_ssl.progress import run
    from napari_hsi_ssl.project import Project
    from napari_hsi_ssl.steps.pca import fit_pca

    project = Project.open(work / "project")
    marks: dict[str, float] = {}

    def watch(progress: Any) -> None:
        marks.setdefault(progress.message.split(" ")[0], time.perf_counter())

    begun = time.perf_counter()
    run(fit_pca(project, PcaConfig()), watch)
    ended = time.perf_counter()
    return {
        "seconds": ended - begun,
        "prepare": marks["reading"] - begun,
        "fit": marks["projecting"] - marks["reading"],
        "project": ended - marks["projecting"],
    }


def stage_patches(work: Path) -> dict[str, float]:
    from napari_hsi_ssl.config import PatchConfig
    from napari_hsi_ssl.progress import run
    from napari_hsi_ssl.project import Project
    from napari_hsi_ssl.steps.patches import cut_patches

    project, report = Project.open(work / "project"), {}
    took = seconds(lambda: report.update(run(cut_patches(project, PatchConfig()))))
    return {"seconds": took, "patches": report["count"]}


def stage_pin(work: Path) -> dict[str, float]:
    """Name and hash the inputs of a run, as `steps.train.pretrain` does before the trainer starts."""
    from napari_hsi_ssl.config import PretrainConfig, RunConfig
    from napari_hsi_ssl.project import Project
    from napari_hsi_ssl.runs.folder import RunFolder
    from napari_hsi_ssl.steps.pinning import pin, pin_scores

    project = Project.open(work / "project")
    path = project.new_run_path("pretrain", "run")

    def make() -> None:
        inputs = {**pin("inlet", project.inlet_folder() / "pca.npz", path), **pin("patches", project.patches_path(), path)}
        cubes = pin_scores(project, list(project.patch_index().cubes), path)
        RunFolder.create(path, RunConfig(kind="pretrain", pretrain=PretrainConfig.from_recipe("poster", batch_size=BATCH), cubes=cubes, **inputs))

    return {"seconds": seconds(make)}


def stage_train(work: Path) -> dict[str, float]:
    """Open the run as the trainer does; read batches; then a step by its parts, float32 on this CPU."""
    import torch

    from napari_hsi_ssl.learning.encoder import channels_last, multiply_adds, parameters
    from napari_hsi_ssl.learning.loop import Share
    from napari_hsi_ssl.learning.setup import prepare
    from napari_hsi_ssl.runs.folder import RunFolder

    folder = RunFolder(work / "project" / "runs" / "run")
    begun = time.perf_counter()
    objective = prepare(folder.config, folder.resolve, 1).objective
    opened = time.perf_counter() - begun
    share, model = Share(BATCH, 0, 1, torch.device("cpu")), objective.model
    rows = np.random.default_rng(0).integers(0, objective.windows, (41, BATCH))
    read = median(lambda number: objective._store.tensor(rows[number], share.device), 40)
    views = median(lambda number: objective.views(number, share), 20)
    channels_last(model)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def step(number: int) -> None:
        objective.loss(model, number, share).backward()
        optimizer.step()
        optimizer.zero_grad()

    whole = median(step, 15)
    window = objective._store.index.size
    size = {"parameters": parameters(model), "multiply_adds": multiply_adds(model, 30, window)}
    return {"seconds": opened, "batch_ms": 1000 * read, "views_ms": 1000 * views, "step_ms": 1000 * whole, **size}


def child(stage: str, work: Path) -> None:
    """Run a stage and print its figures with the peaks of memory."""
    private, ended = [0], threading.Event()

    def look() -> None:
        while not ended.wait(0.02):
            status = Path("/proc/self/status").read_text()
            private[0] = max(private[0], int(status.split("RssAnon:")[1].split()[0]))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    found = globals()[f"stage_{stage}"](work)
    ended.set()
    watcher.join()
    print(json.dumps({**found, "resident_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "private_mib": private[0] // 1024}))


# -- the reduction between ranks --------------------------------------------------------------------------------------------


def rank_times(rank: int, meet: Path) -> None:
    """Time what two ranks exchange in a step: z of both views gathered, its gradient summed, the gradients of the network summed."""
    import torch
    import torch.distributed as dist

    from napari_hsi_ssl.config import PretrainConfig
    from napari_hsi_ssl.learning.checkpoint import build_model
    from napari_hsi_ssl.learning.devices import gather_rows
    from napari_hsi_ssl.learning.encoder import parameters

    config = PretrainConfig.from_recipe("poster")
    architecture = {"trunk": config.trunk.model_dump(mode="json"), "projection": config.projection}
    count = parameters(build_model({"kind": "pretrain", "channels": 30, "architecture": architecture}, seed=0))
    dist.init_process_group("gloo", init_method=meet.as_uri(), rank=rank, world_size=2)

    def gather(rows: int) -> float:
        z = torch.randn(rows, 2 * config.projection, requires_grad=True)
        return median(lambda _: gather_rows(z).sum().backward(), 50)

    def add(numbers: int) -> float:
        values = torch.zeros(numbers)
        return median(lambda _: dist.all_reduce(values), 50)

    found = {"parameters": count, "z_numbers": 2 * config.projection}
    found |= {f"gather_{rows}_rows_ms": 1000 * gather(rows) for rows in (1, 32, 512)}
    found |= {"sum_1_number_ms": 1000 * add(1), "sum_gradients_ms": 1000 * add(count), "sum_ten_times_ms": 1000 * add(10 * count)}
    dist.barrier()
    dist.destroy_process_group()
    if rank == 0:
        print(json.dumps(found))


def reduction(work: Path) -> dict[str, Any]:
    meet = work / "meet"
    ranks = [subprocess.Popen([sys.executable, __file__, "--rank", str(rank), "--work", str(meet)], stdout=subprocess.PIPE, text=True) for rank in range(2)]
    texts = [process.communicate()[0] for process in ranks]
    return json.loads(texts[0].splitlines()[-1])


# -- the window -------------------------------------------------------------------------------------------------------------


def stage_window(work: Path) -> dict[str, float]:
    """Open a project in the workbench; a timer of 5 ms tells how long the event loop stands still."""
    import napari
    from qtpy.QtCore import QTimer
    from qtpy.QtWidgets import QApplication

    from napari_hsi_ssl.gui.workbench import open_workbench
    from napari_hsi_ssl.project import Project

    viewer = napari.Viewer()
    workbench = open_workbench(viewer)
    gaps: list[float] = []
    last = [time.perf_counter()]

    def tick() -> None:
        now = time.perf_counter()
        gaps.append(now - last[0])
        last[0] = now

    timer = QTimer()
    timer.timeout.connect(tick)
    timer.start(5)

    def settle(wait: float) -> float:
        gaps.clear()
        until = time.perf_counter() + wait
        while time.perf_counter() < until:
            QApplication.processEvents()
        return max(gaps)

    settle(5)
    before = settle(2)
    project = Project.open(work / "project")
    opening = seconds(lambda: workbench.desk.open_project(project))
    last[0] = time.perf_counter()
    gap = settle(8)
    choosing = seconds(lambda: workbench.desk.set_cube(list(project.entries)[-1]))
    changing = seconds(workbench.desk.cubes_changed)
    settle(3)
    viewer.close()
    return {"gap_before_ms": 1000 * before, "open_ms": 1000 * opening, "gap_ms": 1000 * gap, "choose_ms": 1000 * choosing, "changed_ms": 1000 * changing}


# -- all of it --------------------------------------------------------------------------------------------------------------


def in_child(stage: str, work: Path) -> dict[str, float]:
    command, surroundings = [sys.executable, __file__, "--stage", stage, "--work", str(work)], {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=surroundings).stdout
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cubes", type=int, nargs="+", default=[100, 1000, 3000, 10000])
    parser.add_argument("--work", type=Path, help="a folder with room; a temporary one by default")
    parser.add_argument("--window", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.add_argument("--rank", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.stage:
        child(given.stage, given.work)
        return
    if given.rank is not None:
        rank_times(given.rank, given.work)
        return
    found: list[dict[str, Any]] = []
    for count in given.cubes:
        work = Path(tempfile.mkdtemp(prefix="scale-", dir=given.work))
        try:
            write_cubes(work / "cubes", count)
            for stage in (*STAGES, *(("window",) if given.window else ())):
                found.append({"cubes": count, "stage": stage, **{key: round(value, 3) for key, value in in_child(stage, work).items()}})
                print(json.dumps(found[-1]), flush=True)
        finally:
            shutil.rmtree(work)
    with tempfile.TemporaryDirectory() as folder:
        found.append({"stage": "reduction", **{key: round(value, 3) for key, value in reduction(Path(folder)).items()}})
    print(json.dumps(found[-1]))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
