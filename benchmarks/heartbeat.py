"""How long napari's event loop waits while the program works, beside bare napari making the same layer calls in the same run.

A timer of 5 ms beats in the event loop of a real window; the longest pause between two beats is the gap. First a bare napari adds
the layers that the program adds, by the very functions that make the program's calls of napari; then the workbench fits a PCA, trains in the
background, makes a map, and last does all three at once.

With --throughput N the same training is run N times without any window, with the workbench open and following it, and with the live class map of
form 5 besides; printed are the patches a second of each (the median of the events of the second half) and the ratios to those without a window.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/heartbeat.py [--side 145] [--steps 150] [--throughput N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import napari
import numpy as np
from napari.qt import get_qapp
from qtpy.QtCore import QObject, Qt, QTimer
from qtpy.QtWidgets import QApplication, QMessageBox

from napari_hsi_ssl import Project, run
from napari_hsi_ssl.config import MaskConfig, PatchConfig, PcaConfig, PretrainConfig
from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.cubes.samples import indian_pines
from napari_hsi_ssl.gui import layers, mask_layers, result_layers
from napari_hsi_ssl.gui.canvas import canvas_for
from napari_hsi_ssl.gui.workbench import open_workbench
from napari_hsi_ssl.steps.cubes import new
from napari_hsi_ssl.steps.labels import save_painted
from napari_hsi_ssl.steps.mask import make_masks
from napari_hsi_ssl.steps.patches import cut_patches
from napari_hsi_ssl.steps.pca import fit_pca
from napari_hsi_ssl.steps.train import pretrain

PATIENCE = 300.0
FLOORS = {
    "idle": "bare: idle", "PCA": "bare: components added", "training": "bare: idle", "mapping": "bare: map added", "all at once": "bare: map added",
}  # fmt: skip
"""With which calls of bare napari each part of the work is compared."""


class Heart(QObject):
    """Beats every 5 ms and remembers when."""

    def __init__(self) -> None:
        super().__init__()
        self.beats: list[float] = []
        self.timer = QTimer(self)
        self.timer.setTimerType(Qt.TimerType.PreciseTimer)
        self.timer.timeout.connect(lambda: self.beats.append(time.perf_counter()))
        self.timer.start(5)

    def gaps(self) -> dict[str, float]:
        """Return the gaps since the last call, in ms."""
        gaps = 1000 * np.diff(self.beats)
        self.beats = self.beats[-1:]
        return {"longest": float(gaps.max()), "p99": float(np.quantile(gaps, 0.99)), "median": float(np.median(gaps)), "seconds": float(gaps.sum() / 1000)}


def wait(done: Callable[[], Any], seconds: float = PATIENCE) -> None:
    """Let the event loop run until something is so."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            sys.exit("the window did not get there in time")
        QApplication.processEvents()
        time.sleep(0.001)


def rest(seconds: float) -> None:
    """Let the event loop run for a while."""
    end = time.monotonic() + seconds
    wait(lambda: time.monotonic() >= end)


@contextmanager
def window() -> Iterator[napari.Viewer]:
    """Open a viewer of the usual size."""
    viewer = napari.Viewer()
    viewer.window.resize(1500, 950)
    rest(1.0)
    yield viewer
    viewer.close()
    rest(0.5)


def bare(heart: Heart, side: int) -> dict[str, dict[str, float]]:
    """Gaps of a bare napari that makes the layer calls which the program makes after a PCA and after a map."""
    rng = np.random.default_rng(0)
    rgb, components = rng.integers(0, 255, (side, side, 3), dtype=np.uint8), rng.random((30, side, side), dtype=np.float32)
    labels, confidence = rng.integers(0, 16, (side, side)), rng.random((side, side), dtype=np.float32)
    classes = Classes.of(range(1, 17))

    def add_components(viewer: napari.Viewer) -> None:
        result_layers.show_components(viewer, "scene", components)
        text = viewer.canvas.overlays.text
        text.text, text.visible = "PC 1 of 30", True

    def add_map(viewer: napari.Viewer) -> None:
        for role in ("mask", "labels", "grid"):
            layers.find(viewer, role, "scene").visible = False
        result_layers.show_map(viewer, "scene", labels, classes, "map")
        rest(0.05)
        result_layers.show_confidence(viewer, "scene", confidence, "map")

    found: dict[str, dict[str, float]] = {}
    with window() as viewer:
        layers.show_composite(viewer, "scene", rgb, (0, 1, 2))
        mask_layers.show_mask(viewer, "scene", labels > 3, saved=True)
        mask_layers.show_labels(viewer, "scene", labels, classes, saved=True)
        result_layers.show_grid(viewer, "scene", (labels > 12).astype(np.uint8))
        rest(1.0)
        for name, call in (("components added", add_components), ("map added", add_map)):
            rest(0.5)
            heart.gaps()
            call(viewer)
            rest(1.5)
            found[f"bare: {name}"] = heart.gaps()
        rest(2.0)
        found["bare: idle"] = heart.gaps()
    return found


def prepare(folder: Path, side: int) -> Project:
    """Make a project of a part of Indian Pines with labels and patches."""
    cube, labels, classes = indian_pines()
    np.save(folder / "scene.npy", np.asarray(cube.data)[:side, :side])
    run(new(folder / "project", [folder / "scene.npy"]))
    project = Project.open(folder / "project")
    run(make_masks(project, MaskConfig(method="all")))
    run(save_painted(project, "scene", labels[:side, :side], dict(zip(classes.numbers, classes.names, strict=True))))
    run(cut_patches(project, PatchConfig(size=9, stride=2)))
    return project


def working(heart: Heart, project: Project, steps: int) -> dict[str, dict[str, float]]:
    """Gaps of each part of the work, done through the forms of the workbench."""
    found: dict[str, dict[str, float]] = {}
    with window() as viewer:
        workbench = open_workbench(viewer)
        desk = workbench.desk
        desk.open_project(project)
        wait(lambda: canvas_for(desk).picture is not None)
        rest(2.0)
        heart.gaps()
        rest(2.0)
        found["idle"] = heart.gaps()
        explore, train, classify = workbench.forms["explore"], workbench.forms["train"], workbench.forms["classify"]
        news: list[str] = []
        desk.inlet_changed.connect(lambda: news.append("pca"))
        desk.map_made.connect(lambda _: news.append("map"))
        desk.runs_changed.connect(lambda: news.extend(row["run"] for row in desk.runs if row["state"] == "finished"))

        def begin_training(count: int) -> None:
            train.pretrain.setValue(train.pretrain.value().model_copy(update={"recipe": "poster", "epochs": 1000, "max_steps": count}))
            train.start_training()

        workbench.open("explore")
        explore.fit_pca()
        wait(lambda: "pca" in news)
        canvas_for(desk).show_components()
        rest(2.0)
        found["PCA"] = heart.gaps()

        workbench.open("train")
        begin_training(steps)
        wait(lambda: "pretrain-1" in news)
        rest(1.0)
        found["training"] = heart.gaps()

        workbench.open("classify")
        classify.run_box.setCurrentText("pretrain-1")
        classify.make_maps()
        wait(lambda: "map" in news)
        rest(1.0)
        found["mapping"] = heart.gaps()

        begin_training(20 * steps)
        wait(lambda: train.watch.live)
        rest(8.0)
        heart.gaps()
        news.clear()
        explore.fields.setValue(explore.fields.value().model_copy(update={"components": 20}))
        explore.fit_pca()
        wait(lambda: "pca" in news)
        classify.make_maps()
        wait(lambda: "map" in news)
        rest(1.0)
        found["all at once"] = heart.gaps()
        train.runs.stop()
        wait(lambda: not train.watch.live)
    return found


def patches_a_second(project: Project, name: str) -> float:
    """Return the throughput of a finished run, as it told it while it trained; its start is left out."""
    told = [event["throughput"] for event in project.run_folder(name).history() if event["type"] == "step" and event.get("throughput")]
    return statistics.median(told[len(told) // 2 :])


def beside_a_window(project: Project, times: int, steps: int) -> dict[str, list[float]]:
    """Train without a window, with one, and with the live map in it, in turn; returns patches a second by way."""
    run(fit_pca(project, PcaConfig()))
    run(cut_patches(project, PatchConfig(size=32, stride=4)))
    config = PretrainConfig(epochs=10_000, max_steps=steps)
    found: dict[str, list[float]] = {"no window": [], "window": [], "window and live map": []}
    for turn in range(times):
        run(pretrain(project, config, run=f"alone-{turn}"))
        found["no window"].append(patches_a_second(project, f"alone-{turn}"))
        for way in ("window", "window and live map"):
            with window() as viewer:
                workbench = open_workbench(viewer)
                desk, train = workbench.desk, workbench.forms["train"]
                desk.open_project(Project.open(project.folder))
                wait(lambda desk=desk: canvas_for(desk).picture is not None)
                workbench.open("train")
                train.pretrain.setValue(config)
                started: list[str] = []
                desk.runs_changed.connect(lambda desk=desk, started=started: started.extend(row["run"] for row in desk.runs if row["state"] == "running"))
                train.start_training()
                wait(lambda started=started: bool(started))
                train.runs.mapping.setChecked(way != "window")
                wait(lambda train=train: not train.watch.live)
                found[way].append(patches_a_second(project, started[0]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=145)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--throughput", type=int, default=0, metavar="N", help="compare trainings with and without a window instead, N times each")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    QMessageBox.exec = QMessageBox.exec_ = lambda *_: 0  # type: ignore[method-assign]  # nobody is there to answer
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HSI_PROJECTS"] = folder
        project = prepare(Path(folder), options.side)
        get_qapp()  # a timer beats only in an application
        if options.throughput:
            rates = beside_a_window(project, options.throughput, options.steps)
            alone = statistics.median(rates["no window"])
            for way, values in rates.items():
                share = statistics.median(values) / alone
                print(f"{way:22s} {statistics.median(values):7.0f} patches/s ({min(values):.0f} … {max(values):.0f})   {share:.3f} of that without a window")
            if options.json:
                options.json.write_text(json.dumps({"steps": options.steps, "patches_per_second": rates}, indent=2))
            return
        heart = Heart()
        rows = {**bare(heart, options.side), **working(heart, project, options.steps)}
    for name, row in rows.items():
        floor = rows[FLOORS[name]]["longest"] if name in FLOORS else row["longest"]
        row["beyond_bare"] = max(0.0, row["longest"] - floor)
        print(f"{name:22s} longest {row['longest']:6.1f} ms   p99 {row['p99']:6.1f}   median {row['median']:5.1f}   beyond bare {row['beyond_bare']:6.1f}")
    if options.json:
        options.json.write_text(json.dumps({"side": options.side, "steps": options.steps, "gaps_ms": rows}, indent=2))


if __name__ == "__main__":
    main()
