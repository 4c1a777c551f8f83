"""Kills of the window: a real napari works through mask, labels, components, patches, strokes and a map; killed, another one does it again."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from child import Child
from napari import Viewer
from qtpy.QtWidgets import QApplication
from world import CUBES, PATCHES, PCA, hashes, leftovers, scene

from napari_hsi_ssl.config import MaskConfig
from napari_hsi_ssl.cubes.writers import load_map
from napari_hsi_ssl.errors import HsiError
from napari_hsi_ssl.gui import layers
from napari_hsi_ssl.gui.workbench import open_workbench
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.project_lock import holder
from napari_hsi_ssl.steps import cubes

CUBE = "beans"
PATIENCE = 300.0
"""Seconds that one step may take; a busy machine draws slowly."""
STEPS = ("opened", "masks", "labels", "pca", "patches", "strokes", "map")


class Hand:
    """Does in the window what a user does, and says in ``told`` what is finished."""

    def __init__(self, folder: Path, told: Path) -> None:
        self.told = told
        self.app = QApplication.instance() or QApplication([])
        self.viewer = Viewer(show=True)
        self.viewer.window._qt_window.resize(1200, 800)
        self.bench = open_workbench(self.viewer)
        self.desk = self.bench.desk
        self.desk.message.connect(self._hear)
        self.desk.open_project(Project.open(folder))
        self.wait(lambda: not self.desk.busy and layers.find(self.viewer, "rgb", CUBE) is not None)

    def _hear(self, words: str, level: str) -> None:
        if level == "error":
            raise RuntimeError(words)

    @property
    def project(self) -> Project:
        """The open project."""
        found: Project = self.desk.project
        return found

    def wait(self, until: Callable[[], Any]) -> None:
        """Let the window work until something is so."""
        deadline = time.monotonic() + PATIENCE
        while not until():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{until.__code__.co_filename}:{until.__code__.co_firstlineno} did not come; the window says: {self.bench.message.text()}")
            self.app.processEvents()
            time.sleep(0.005)

    def idle(self) -> None:
        """Wait until no step writes."""
        self.wait(lambda: not self.desk.busy)

    def press(self, button: Any) -> None:
        """Click a button once it can be clicked, and wait until what it does is done."""
        self.wait(button.isEnabled)
        button.click()
        self.idle()

    def finished(self, step: str) -> None:
        """Say that a step is done."""
        with self.told.open("a") as stream:
            stream.write(f"{step} ")

    # -- the steps --------------------------------------------------------------------------------------------------------

    def opened(self) -> None:
        """Nothing is left to do: the cube is on the canvas."""

    def masks(self) -> None:
        """Otsu for all cubes."""
        form = self.bench.forms["mask and labels"]
        form.fields.setValue(MaskConfig(method="otsu"))
        self.press(form.all)
        self.wait(lambda: self.project.masked == set(CUBES))

    def labels(self) -> None:
        """Two classes, painted and saved."""
        self.bench.open("mask and labels")
        panel = self.bench.forms["mask and labels"].labels
        for name in ("one", "two"):
            if name not in self.project.classes.names:
                panel.add_class(name)
                self.idle()
        panel.paint("paint")
        self.wait(lambda: layers.find(self.viewer, "labels", CUBE) is not None)
        painted = scene(CUBE)[1]
        layer = layers.find(self.viewer, "labels", CUBE)
        layer.data_setitem(np.nonzero((painted > 0) & (painted < 3)), painted[(painted > 0) & (painted < 3)])
        self.press(panel.save)
        self.wait(lambda: self.project.labels(CUBE) is not None and np.array_equal(self.project.labels(CUBE), layer.data))

    def pca(self) -> None:
        """Fit and project."""
        form = self.bench.forms["explore"]
        form.fields.setValue(PCA)
        before = self.project.noted("pca")
        self.press(form.fit)
        self.wait(lambda: self.project.inlet is not None and (before or self.project.noted("pca")))

    def patches(self) -> None:
        """Cut them."""
        form = self.bench.forms["patches"]
        form.fields.setValue(PATCHES)
        self.press(form.cut)
        self.wait(lambda: self.project.patches is not None)

    def strokes(self) -> None:
        """Paint, with a map that follows; the strokes are kept by themselves."""
        self.bench.open("classify")
        form = self.bench.forms["classify"]
        panel = form.painting
        form.tabs.setCurrentWidget(panel)
        self.press(panel.start)
        self.wait(lambda: panel.painting and panel.table.chosen() is not None)
        layer = layers.find(self.viewer, "strokes", CUBE)
        for number, row in ((1, 10), (2, 20)):  # as a brush does it: moves, then its release
            layer._block_history = True
            layer.data_setitem((np.full(30, row), np.arange(30)), number)
            layer._block_history = False
            layer._commit_staged_history()
        self.wait(lambda: self.project.strokes(CUBE) is not None and np.array_equal(self.project.strokes(CUBE), layer.data))
        self.press(panel.start)

    def map(self) -> None:
        """Make the map of the training-free embedding."""
        form = self.bench.forms["classify"]
        form.tabs.setCurrentIndex(0)
        form.method.setCurrentIndex(form.method.findData("knn"))
        form.run_box.setCurrentText("training-free")
        form.fields.setValue(form.fields.value().model_copy(update={"k": 3}))
        self.press(form.make)
        self.wait(lambda: bool(self.project.maps()))


def work(folder: Path, told: Path) -> int:
    """Go through all steps in a window of its own."""
    hand = Hand(folder, told)
    for step in STEPS:
        getattr(hand, step)()
        hand.finished(step)
    return 0


def made(folder: Path) -> dict[str, dict[str, str]]:
    """Return what each step has left that must be the same bytes however often its window was killed, by step."""
    found = hashes(folder)
    project = Project.open(folder)
    belongs = {
        "masks": lambda name: name.startswith("masks/"),
        "labels": lambda name: name.startswith("labels/"),
        "pca": lambda name: name.startswith(f"inlets/{project.inlet}/"),
        "patches": lambda name: name == f"patches/{project.patches}.npz",
        "strokes": lambda name: name.startswith("strokes/"),
        "map": lambda name: name.startswith("maps/") and name.endswith(".tif"),
    }
    return {step: {name: value for name, value in found.items() if mine(name) and not Path(name).name.startswith(".")} for step, mine in belongs.items()}


def _fresh(work_folder: Path) -> Path:
    """Make the project as a user has it after adding cubes."""
    folder = work_folder / "project"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(work_folder / "cubes", folder / "cubes")
    run(cubes.new(folder, sorted((folder / "cubes").rglob("*.hdr"))))
    return folder


def calm(work_folder: Path) -> tuple[dict[str, dict[str, str]], float]:
    """Work undisturbed once, and return what that leaves and how many seconds it took."""
    kept = work_folder / "calm.json"
    if not kept.exists():
        folder = _fresh(work_folder)
        (work_folder / "told").unlink(missing_ok=True)
        child = Child(lambda: work(folder, work_folder / "told"), work_folder / "log.txt")
        if child.wait(8 * PATIENCE) != 0:
            raise RuntimeError((work_folder / "log.txt").read_text()[-3000:])
        kept.write_text(json.dumps([made(folder), time.monotonic() - child.begun]))
    files_of, seconds = json.loads(kept.read_text())
    return files_of, float(seconds)


def kill_windows(work_folder: Path, number: int, seed: int) -> list[dict[str, Any]]:
    """Kill up to three windows on one project, then let one finish; returns what was found after each kill."""
    wanted, life = calm(work_folder)
    draws = np.random.default_rng((seed, number, 7))
    folder, told = _fresh(work_folder), work_folder / "told"
    finished: set[str] = set()
    found: list[dict[str, Any]] = []
    for _ in range(int(draws.integers(2, 5))):
        told.unlink(missing_ok=True)
        child = Child(lambda: work(folder, told), work_folder / "log.txt")
        family: list[psutil.Process] = []
        ended = child.ended_within(draws.uniform(0, life))
        if not ended:
            family = psutil.Process(child.pid).children(recursive=True)
        if ended or not child.kill():
            break
        finished |= set(told.read_text().split()) if told.exists() else set()
        torn = leftovers(folder)
        trouble = _look(folder, finished, wanted)
        if psutil.wait_procs(family, timeout=20)[1]:
            trouble.append(f"processes outlive the window: {family}")
        found.append({"kind": "window", "finished": sorted(finished, key=STEPS.index), "while_writing": bool(torn), "trouble": trouble})
    told.unlink(missing_ok=True)
    last = Child(lambda: work(folder, told), work_folder / "log.txt")
    code = last.wait(8 * PATIENCE)
    trouble = [f"the next window ends with {code}: {(work_folder / 'log.txt').read_text()[-500:]}"] if code else []
    now = made(folder)
    trouble += [f"{step} differs from the undisturbed one" for step in wanted if now[step] != wanted[step]]
    if left := [path for path in leftovers(folder) if not path.startswith("embeddings/")]:
        trouble.append(f"temporary files are left: {left}")
    if found:
        found[-1]["trouble"] += trouble
    return found


def _look(folder: Path, finished: set[str], wanted: dict[str, dict[str, str]]) -> list[str]:
    """Look at what a killed window has left."""
    trouble: list[str] = []
    try:
        project = Project.open(folder)
        if list(project.entries) != sorted(CUBES):
            trouble.append(f"the project lists {list(project.entries)}")
        now = made(folder)
        trouble += [f"{step} was finished, and is not there as it was" for step in wanted if step in finished and now[step] != wanted[step]]
        for name in project.masked:
            project.mask(name)
        for name in project.labelled:
            project.labels(name)
        for name in project.painted:
            project.strokes(name)
        if project.inlet is not None:
            project.projection()
            for name in project.projected:
                project.scores(name)
        if project.patches is not None:
            project.patch_index()
        for path in project.maps():
            load_map(path, layers=True)
    except (HsiError, OSError, ValueError) as error:
        trouble.append(f"half a file was taken for a whole one: {error}")
    if holder(folder) is not None:
        trouble.append("a window that is dead is said to have the project open")
    return trouble


def there_is_a_display() -> bool:
    """Tell whether a window can be opened."""
    return bool(os.environ.get("DISPLAY"))
