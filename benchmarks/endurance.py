"""Endurance: project after project is opened, worked on and closed in one napari, and what it keeps of them is counted.

    LIBGL_ALWAYS_SOFTWARE=1 xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/endurance.py WORK [--cycles 500] [--warm-up 30]

A cycle goes through the workbench as a user does: a project (every other one new, every other one a copy with a finished run), a small cube, a
spectrum pinned with the mouse, mask, labels, PCA and its images, the scatter and a lasso in it, patches, a training in a process of its own that is
cancelled after two steps, a map (by the run, by the spectra or training-free in turn), now and then some strokes that a map follows, and the end: project
closed, layers taken away, folder deleted. Projects and new cubes have new names every time.

After each cycle a line goes to `WORK/cycles.jsonl`: memory of the window and of its compute process, threads, child processes, open files,
mapped files of closed projects, widgets, Qt objects, OpenGL objects, callbacks of napari's events, items of the plots, Python objects by type, and
which objects of closed projects are still alive. A straight line through the cycles after the warm-up says what grows.

    --bare        the same layers in the same order in a napari without the workbench: what napari itself keeps
    --train-every N  a training in every N-th cycle only
    --minutes N   no new cycle after so many minutes
    --report      the verdict on what `WORK/cycles.jsonl` holds so far, also while another process is at it
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import sys
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from census import Census, read, tell, verdict

SIDE, BANDS = 40, 16
PATIENCE = 600.0
PAINT_EVERY = 5
FROZEN_AFTER = 3
"""Cycles after which the objects that are there are left out of the search for garbage and of the counts: they are none of a cycle's."""


# -- the event loop -------------------------------------------------------------------------------------------------------


def wait(done: Callable[[], Any], what: str, seconds: float = PATIENCE) -> None:
    """Let a real event loop run until something is so: only in one does Qt delete what is to be deleted later."""
    from qtpy.QtCore import QEventLoop, QTimer

    if done():
        return
    loop, timer, end = QEventLoop(), QTimer(), time.monotonic() + seconds
    late: list[str] = []

    def look() -> None:
        if done():
            loop.quit()
        elif time.monotonic() > end:
            late.append(what)
            loop.quit()

    timer.timeout.connect(look)
    timer.start(10)
    loop.exec_() if hasattr(loop, "exec_") else loop.exec()
    timer.stop()
    if late:
        raise TimeoutError(f"{what} did not come in {seconds:.0f} s")


def rest(seconds: float) -> None:
    """Let the event loop run for a while."""
    end = time.monotonic() + seconds
    wait(lambda: time.monotonic() >= end, "the end of a rest")


# -- what a user does -------------------------------------------------------------------------------------------------------


def write_cube(folder: Path, name: str, seed: int) -> tuple[Path, np.ndarray]:
    """Write a small ENVI cube of two kinds of things on a tray; returns it and what lies where (y, x), 0 the tray."""
    from napari_hsi_ssl.cubes.cube import as_cube
    from napari_hsi_ssl.cubes.writers import write_envi_cube

    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    kinds = np.zeros((SIDE, SIDE), dtype=np.int32)
    kinds[(y - 12) ** 2 + (x - 13) ** 2 < 80] = 1
    kinds[(y - 27) ** 2 + (x - 26) ** 2 < 90] = 2
    waves = np.linspace(450, 950, BANDS)
    spectra = np.stack([np.full(BANDS, 150.0), 300 + 500 * (waves > 700), 900 - 0.8 * (waves - 450)])
    values = spectra[kinds] + rng.normal(0, 25, (SIDE, SIDE, BANDS))
    folder.mkdir(parents=True, exist_ok=True)
    write_envi_cube(folder / f"{name}.hdr", as_cube(values.clip(0).astype(np.uint16), waves, "dn", name))
    return folder / f"{name}.hdr", kinds


def ready_project(folder: Path) -> Path:
    """Make a project with a finished run, to be copied and opened again and again."""
    from napari_hsi_ssl import Project, run
    from napari_hsi_ssl.config import MaskConfig, PatchConfig, PcaConfig, PretrainConfig
    from napari_hsi_ssl.steps.cubes import new
    from napari_hsi_ssl.steps.mask import make_masks
    from napari_hsi_ssl.steps.patches import cut_patches
    from napari_hsi_ssl.steps.pca import fit_pca
    from napari_hsi_ssl.steps.train import pretrain

    if not (folder / "project.json").exists():
        header, _ = write_cube(folder / "raw", "ready", 0)
        run(new(folder, [header]))
        project = Project.open(folder)
        run(make_masks(project, MaskConfig()))
        run(fit_pca(project, PcaConfig(bands=BANDS, components=5)))
        run(cut_patches(project, PatchConfig(size=8, stride=4)))
        run(pretrain(project, PretrainConfig.from_recipe("pixel", epochs=1, max_steps=2, batch_size=8, accelerator="cpu", devices=1), run="ready"))
    return folder


class User:
    """Whoever sits before the window."""

    def __init__(self, viewer: Any, work: Path, census: Census, train_every: int) -> None:
        from napari_hsi_ssl.gui.canvas import canvas_for
        from napari_hsi_ssl.gui.jobs import Jobs
        from napari_hsi_ssl.gui.workbench import open_workbench

        self.viewer, self.work, self.census, self.train_every = viewer, work, census, train_every
        self.ready = ready_project(work / "ready")
        self.bench = open_workbench(viewer)
        self.desk = self.bench.desk
        self.canvas = canvas_for(self.desk)
        self.explorer = viewer.window.dock_widgets["HSI explorer"]
        self.said: list[str] = []
        self.heard: list[dict[str, Any]] = []
        # All but those that watch a run, which takes as long as the run does.
        self.jobs = [jobs for root in (self.bench, self.explorer, self.desk) for jobs in root.findChildren(Jobs) if jobs.parent() is not self.watch]
        self.desk.message.connect(self._hear)
        self.desk.run_events.connect(self._events)
        self.fitted = False
        self.desk.inlet_changed.connect(self._fitted)

    def _hear(self, words: str, level: str) -> None:
        if level == "error":
            self.said.append(words)

    def _fitted(self) -> None:
        self.fitted = True

    def _events(self, _run: str, events: list[dict[str, Any]]) -> None:
        self.heard += events

    def idle(self) -> bool:
        """Whether nothing is on its way."""
        return not self.desk.busy and not any(jobs.running for jobs in self.jobs)

    @property
    def watch(self) -> Any:
        """What follows the runs."""
        return self.bench.forms["train"].watch

    def wait(self, done: Callable[[], Any], what: str) -> None:
        """Wait until something is so; a complaint of the window ends the run."""
        from napari_hsi_ssl.gui.forms.pieces import BAD
        from napari_hsi_ssl.gui.palette import palette

        def complaint() -> str:
            bad = palette.ink(BAD)
            words = (form.words for form in self.bench.forms.values())
            return next((one.text() for one in words if one.text() and bad in one.styleSheet() and not one.isHidden()), "") or "".join(self.said[:1])

        wait(lambda: done() or complaint(), what)
        if complaint():
            raise RuntimeError(f"{what}: {complaint()}")

    def settle(self, what: str) -> None:
        """Wait until nothing is on its way."""
        self.wait(self.idle, f"the end of {what}")
        rest(0.02)

    def find(self, role: str) -> Any:
        """Return a layer of the current cube."""
        from napari_hsi_ssl.gui import layers

        return layers.find(self.viewer, role, self.desk.cube)

    def cycle(self, number: int) -> dict[str, float]:
        """Work on one project; returns seconds by part."""
        marks = [("", time.perf_counter())]
        folder = self.work / "projects" / f"p{number:05d}"
        for name, part in (
            ("open", self.open), ("spectra", self.spectra), ("mask", self.mask), ("explore", self.explore), ("patches", self.patches), ("train", self.train),
            ("map", self.map), ("paint", self.paint), ("close", self.close),
        ):  # fmt: skip
            part(number, folder)
            marks.append((name, time.perf_counter()))
        return {name: end - begin for (_, begin), (name, end) in pairwise(marks)}

    def open(self, number: int, folder: Path) -> None:
        """Make a project and bring a cube into it, or open one with a cube and a finished run."""
        form = self.bench.forms["cubes"]
        self.bench.open("cubes")
        if number % 2:
            shutil.copytree(self.ready, folder)
            form.load(folder)
        else:
            form.make(folder)
        self.wait(lambda: self.desk.project is not None and self.desk.project.folder == folder, "the project")
        self.settle("opening")
        header, self.kinds = write_cube(folder / "raw", f"cube-{number}", number)
        if not number % 2:
            form.bring([header])
            self.wait(lambda: self.desk.cube == header.stem, "the cube")
        self.wait(lambda: self.canvas.picture is not None and self.find("rgb") is not None, "the picture of the cube")
        self.settle("adding the cube")
        self.census.watch(number, self.desk.project, self.canvas.picture, self.canvas.picture.cube, *self.viewer.layers)

    def spectra(self, _number: int, _folder: Path) -> None:
        """Point at the image, and pin a spectrum."""
        from qtpy.QtCore import QPoint, Qt
        from qtpy.QtTest import QTest

        self.explorer.show_plot("spectra")
        rest(0.05)
        node = self.viewer.window._qt_viewer.canvas.layer_to_visual[self.find("rgb")].node
        native = self.viewer.window._qt_viewer.canvas.native
        for y, x in ((5, 5), (12, 13), (27, 26)):
            place = node.get_transform("visual", "canvas").map([x + 0.5, y + 0.5])
            point = QPoint(round(place[0] / place[3]), round(place[1] / place[3]))
            QTest.mouseMove(native, point)
            rest(0.06)
        before = len(self.explorer.spectra.pinned)
        QTest.mouseClick(native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier, point)
        self.wait(lambda: len(self.explorer.spectra.pinned) > before, "the pinned spectrum")
        self.settle("pinning")

    def mask(self, _number: int, _folder: Path) -> None:
        """Find a mask by a rule and by hand, save it, and give some pixels classes."""
        from napari_hsi_ssl import run
        from napari_hsi_ssl.gui import mask_layers
        from napari_hsi_ssl.steps.labels import save_painted

        form, cube, project = self.bench.forms["mask and labels"], self.desk.cube, self.desk.project
        self.bench.open("mask and labels")
        form.preview()
        self.wait(lambda: self.find("mask") is not None, "the mask")
        self.settle("the preview of the mask")
        mask_layers.change_mask(self.viewer, cube, self.kinds == 2, value=True)
        form.save.click()
        self.wait(lambda: project.mask_path(cube).exists(), "the saved mask")
        self.settle("saving the mask")
        taught = np.where(np.random.default_rng(1).random(self.kinds.shape) < 0.3, self.kinds, 0)
        run(save_painted(project, cube, taught, {1: "leaf", 2: "stone"}))
        self.desk.labels_changed.emit(cube)
        self.wait(lambda: self.find("labels") is not None, "the labels")
        self.settle("the labels")

    def explore(self, _number: int, _folder: Path) -> None:
        """Fit a PCA, look at its images, draw a lasso in the scatter and make a mask of it that is taken back."""
        form, project = self.bench.forms["explore"], self.desk.project
        self.bench.open("explore")
        form.fields.setValue(form.fields.value().model_copy(update={"bands": BANDS, "components": 5}))
        self.fitted = False
        form.fit.click()
        self.wait(lambda: self.fitted and self.explorer.brushing.view is not None, "the PCA")
        self.settle("the PCA")
        form.images.click()
        self.wait(lambda: self.find("pcs") is not None, "the component images")
        self.settle("the component images")
        scores = np.asarray(project.scores(self.desk.cube), dtype=np.float32)[..., :2] * project.projection().scale.astype(np.float32)[:2]
        points = scores[self.kinds == 1]
        corners = np.median(points, axis=0) + np.ptp(points, axis=0) * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
        self.explorer.scatter.lasso_drawn.emit(corners.astype(np.float64), "new")
        self.wait(lambda: self.desk.selection is not None, "the selection")
        self.settle("the lasso")
        for tab in ("loadings", "spectra"):
            self.explorer.show_plot(tab)
            self.settle(tab)
        self.census.watch(_number, self.explorer.brushing.view, self.find("pcs"), self.find("selection"), self.find("mask"), self.find("labels"))

    def patches(self, _number: int, _folder: Path) -> None:
        """Cut patches; their outlines and examples are shown."""
        form, project = self.bench.forms["patches"], self.desk.project
        self.bench.open("patches")
        self.explorer.show_plot("patches")
        form.fields.setValue(form.fields.value().model_copy(update={"size": 8, "stride": 4}))
        form.cut.click()
        self.wait(lambda: project.patches is not None and self.find("grid") is not None, "the patches")
        rest(0.4)  # the preview follows the settings after a pause
        self.settle("the patches")

    def train(self, number: int, _folder: Path) -> None:
        """Train two steps in a process of its own, and cancel."""
        if number % self.train_every:
            return
        form = self.bench.forms["train"]
        self.bench.open("train")
        settings = {"epochs": 10_000, "max_steps": 1_000_000, "batch_size": 8, "accelerator": "cpu", "devices": 1}
        form.pretrain.setValue(form.pretrain.value().model_copy(update=settings))
        self.heard.clear()
        form.start.click()
        self.wait(lambda: sum(event.get("type") == "step" for event in self.heard) >= 1 and self.heard[-1].get("step", 0) >= 2, "two steps of training")
        form.runs.live.cancel.click()
        self.wait(lambda: not self.watch.live, "the end of the training")
        self.settle("cancelling")

    def map(self, number: int, _folder: Path) -> None:
        """Make a map, by the run that is ready, by the spectra or training-free."""
        form = self.bench.forms["classify"]
        self.bench.open("classify")
        self.explorer.show_plot("results")
        form.run_box.setCurrentText("ready" if number % 2 else ("spectra", "training-free")[number // 2 % 2])
        form.make.click()
        self.wait(lambda: self.find("map") is not None and self.find("confidence") is not None, "the map")
        self.settle("the map")
        self.census.watch(number, self.find("map"), self.find("confidence"), self.find("grid"))

    def paint(self, number: int, _folder: Path) -> None:
        """Paint some strokes that a map follows."""
        if number % PAINT_EVERY:
            return
        form = self.bench.forms["classify"]
        form.tabs.setCurrentIndex(1)
        painting = form.painting
        painting.start.click()
        self.wait(lambda: painting.painter.ground is not None and painting.painter.layer is not None, "the ground to paint on")
        self.settle("the ground to paint on")
        layer = painting.painter.layer
        for value, (y, x) in ((1, (12, 13)), (2, (27, 26))):
            layer.selected_label, layer.brush_size = value, 3
            layer.paint((y, x), value)
        self.wait(lambda: painting.painter.latest is not None and painting.painter.latest.complete, "the painted map")
        self.settle("painting")
        self.census.watch(number, painting.painter.ground, painting.painter.latest, layer, self.find("painted"))
        painting.start.click()
        self.settle("the end of painting")
        form.tabs.setCurrentIndex(0)

    def close(self, _number: int, folder: Path) -> None:
        """Close the project, take its layers away, and delete its folder."""
        self.desk.open_project(None)
        self.settle("closing")
        self.viewer.layers.clear()
        self.settle("taking the layers away")
        rest(0.1)
        self.kinds = None
        shutil.rmtree(folder)


def layers_of(shape: tuple[int, int], cube: str) -> dict[str, Any]:
    """Return what the bare napari shows of a cube: pixels of the kinds and sizes of the real ones."""
    rng = np.random.default_rng(0)
    return {
        "rgb": rng.integers(0, 255, (*shape, 3), dtype=np.uint8), "bands": rng.random((BANDS, *shape), dtype=np.float32), "mask": rng.random(shape) > 0.4,
        "labels": rng.integers(0, 3, shape), "pcs": rng.random((5, *shape), dtype=np.float32), "confidence": rng.random(shape, dtype=np.float32), "name": cube,
    }  # fmt: skip


class Bare:
    """The layers of a cycle in a napari without the workbench."""

    def __init__(self, viewer: Any, census: Census) -> None:
        from napari_hsi_ssl.gui import layers

        self.viewer, self.census = viewer, census
        layers.remove_safely(viewer)  # else Mesa ends the process

    def cycle(self, number: int) -> dict[str, float]:
        """Add and change the layers of a cycle, and take them away."""
        from napari_hsi_ssl.cubes.cube import Classes
        from napari_hsi_ssl.gui.mask_layers import class_colours, class_names, label_colours

        begun = time.perf_counter()
        viewer, seen = self.viewer, layers_of((SIDE, SIDE), f"cube-{number}")
        classes = Classes.of((1, 2), {1: "leaf", 2: "stone"})
        looks = {"colormap": class_colours(classes), "features": class_names(classes)}
        viewer.add_image(seen["bands"], name="bands", visible=False, rgb=False, multiscale=False)
        viewer.add_image(seen["rgb"], name="rgb", rgb=True)
        viewer.reset_view()
        rest(0.1)
        viewer.add_labels(seen["mask"].astype(np.uint8), name="mask", opacity=0.4, colormap=label_colours({1: "#56b4e9"}))
        rest(0.1)
        viewer.add_labels(seen["labels"].astype(np.int32), name="labels", opacity=0.5, **looks)
        rest(0.1)
        viewer.add_image(seen["pcs"], name="PCs", rgb=False, multiscale=False)
        rest(0.1)
        viewer.add_labels(seen["mask"].astype(np.uint8), name="selection", opacity=0.75, colormap=label_colours({1: "#ff2bd6"}))
        viewer.add_labels(seen["mask"].astype(np.uint8), name="grid", opacity=0.8, colormap=label_colours({1: "#e69f00"}))
        rest(0.1)
        viewer.add_labels(seen["labels"].astype(np.int32), name="map", opacity=0.7, **looks)
        viewer.add_image(seen["confidence"], name="confidence", colormap="viridis", contrast_limits=(0, 1), visible=False)
        rest(0.1)
        self.census.watch(number, *viewer.layers)
        viewer.layers.clear()
        rest(0.2)
        return {"all": time.perf_counter() - begun}


def main() -> int:
    """Run it, and say what grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--cycles", type=int, default=500)
    parser.add_argument("--warm-up", type=int, default=30)
    parser.add_argument("--train-every", type=int, default=1, metavar="N")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    work: Path = options.work.absolute()
    log = work / ("bare.jsonl" if options.bare else "cycles.jsonl")
    if not options.report:
        work.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(work / "projects", ignore_errors=True)
        log.unlink(missing_ok=True)
        os.environ |= {"HSI_PROJECTS": str(work / "projects"), "HSI_SETTINGS": str(work / "window.json")}
        live(log, work, options)
    found = verdict(read(log), options.warm_up)
    tell(found)
    return 0 if found["passed"] else 1


def live(log: Path, work: Path, options: argparse.Namespace) -> None:
    """Go through the cycles in one window, a line each."""
    import napari
    from qtpy.QtCore import QThreadPool
    from qtpy.QtWidgets import QMessageBox

    from napari_hsi_ssl.runs import launch

    warnings.filterwarnings("ignore", module="napari")
    launch.lower_priority = lambda _pid: None  # beside other programs a trainer that gives way to all of them takes minutes to start
    QMessageBox.exec = QMessageBox.exec_ = lambda *_: 0  # nobody is there to answer
    QThreadPool.globalInstance().setExpiryTimeout(20)  # idle threads, with a file each, are gone when they are counted
    viewer = napari.Viewer()
    viewer.window.resize(1200, 760)
    rest(1.0)
    census = Census(viewer)
    worker = Bare(viewer, census) if options.bare else User(viewer, work, census, options.train_every)
    rest(1.0)
    last = time.monotonic() + 60 * options.minutes
    try:
        with log.open("a", encoding="utf-8") as lines:
            for number in range(options.cycles):
                if time.monotonic() > last:
                    break
                begun, used = time.perf_counter(), time.process_time()
                parts = worker.cycle(number)
                seconds, spent = time.perf_counter() - begun, time.process_time() - used
                counts = census.count(work)
                if number == FROZEN_AFTER:
                    gc.freeze()
                trained = not options.bare and number % options.train_every == 0
                line = {"cycle": number, "seconds": seconds, "processor": spent, "trained": trained, "parts": parts, "counts": counts}
                lines.write(json.dumps(line) + "\n")
                lines.flush()
    finally:
        for child in census.process.children():  # a trainer outlives its window, and trains for days here
            if "napari_hsi_ssl.runs.train" in child.cmdline():
                child.kill()
    viewer.close()
    rest(0.5)


if __name__ == "__main__":
    sys.exit(main())
