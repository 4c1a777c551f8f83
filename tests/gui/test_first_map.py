"""From `pip install` to a map over the image: five commands, or two commands and three clicks, as the README says them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.gui import layers
from napari_hsi_ssl.gui.window import _PATIENCE_SECONDS
from napari_hsi_ssl.gui.workbench import open_workbench
from napari_hsi_ssl.project import Project
from tests.conftest import REPOSITORY
from tests.gui.test_walkthrough import SCENE, kinds, write_scene

MOST = 5


def _commands(heading: str) -> list[list[str]]:
    """Return the commands of the README's block below a heading, without their comments."""
    block = (REPOSITORY / "README.md").read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    return [shlex.split(line, comments=True) for line in re.findall(r"^ {4}(\S.*)$", block, flags=re.MULTILINE)]


def _run(words: list[str], folder: Path, trust: Path | None = None) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-m", "napari_hsi_ssl", *words, "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **({} if trust is None else {"HSI_TRUST": str(trust)})}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=240, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_five_commands_of_the_readme_lay_a_map_over_ones_own_cube(tmp_path: Path) -> None:
    """Whoever pastes them, with their own names for PATH and NAME, gets there; the last one is run for a picture instead of for a person."""
    install, *commands = _commands("A first map")
    assert install[:2] == ["pip", "install"]
    assert 1 + len(commands) <= MOST
    header = write_scene(tmp_path / "tray")
    tifffile.imwrite(tmp_path / "labels.tif", np.where(kinds() == 3, 0, kinds()).astype(np.uint8))
    for words in commands:
        assert words[0] == "napari-hsi-ssl"
        given = [{"path/to/cubes": str(header.parent), "NAME": SCENE}.get(word, word) for word in words[1:]]
        report = _run([*given, "--to", "overlay.png"] if given[0] == "open" else given, tmp_path)
    assert Path(report["map"]).stem.startswith(f"{SCENE}--training-free")
    found = tifffile.imread(report["map"])
    assert (found == kinds())[np.isin(kinds(), (1, 2))].mean() > 0.9, "leaves and pebbles are easily told"
    project = Project.open(tmp_path / report["project"])
    picture = np.asarray(Image.open(tmp_path / "overlay.png").convert("RGB")).reshape(-1, 3).astype(int)
    colour = np.array(_colour(project.classes, 1))
    beside = np.abs(picture - colour).max(axis=1) < 90  # the map is translucent over the image
    assert beside.mean() > 0.01, "the class of the leaves is on the screen in its colour"


def test_a_project_from_elsewhere_opens_without_waiting_for_cubes_it_may_not_read(tmp_path: Path) -> None:
    """The picture of the window shows no scene, where one's own project shows it: nothing outside was read, and nothing was waited for."""
    header = write_scene(tmp_path / "tray")
    report = _run(["new", "own", str(header.parent)], tmp_path)
    shown = {}
    for name, trust in (("own", None), ("theirs", tmp_path / "another computer")):
        began = time.monotonic()
        _run(["open", report["project"], "--to", f"{name}.png"], tmp_path, trust)
        assert time.monotonic() - began < _PATIENCE_SECONDS, "the picture that cannot come was not waited for"
        shown[name] = np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB"))
    green = {name: (picture[..., 1].astype(int) - picture[..., [0, 2]].max(axis=2) > 40).mean() for name, picture in shown.items()}
    assert green["own"] > 0.01, "leaves are seen"
    assert green["theirs"] < 0.001


def _colour(classes: Classes, number: int) -> tuple[int, int, int]:
    text = classes.colours[classes.numbers.index(number)].lstrip("#")
    return tuple(int(text[place : place + 2], 16) for place in (0, 2, 4))  # type: ignore[return-value]


def test_three_clicks_lay_a_map_over_the_sample(viewer: Any, qtbot: Any) -> None:
    """`pip install` and `napari-hsi-ssl open` are the first two of five."""
    bench = open_workbench(viewer)
    viewer.window._qt_window.resize(1600, 1000)
    viewer.window.show()
    clicks = 2

    def press(button: QWidget) -> None:
        nonlocal clicks
        qtbot.waitUntil(lambda: button.isVisible() and button.isEnabled(), timeout=30_000)
        bench.scroll.ensureWidgetVisible(button)
        QApplication.processEvents()
        QTest.mouseClick(button, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, button.rect().center())
        clicks += 1

    complaints: list[str] = []
    bench.desk.message.connect(lambda words, level: complaints.append(words) if level == "error" else None)
    press(bench.sample)
    qtbot.waitUntil(lambda: bench.desk.project is not None and layers.find(viewer, "rgb", "indian_pines") is not None, timeout=60_000)
    press(next(section.header for section in bench.sections if section.form.title == "Classify"))
    press(bench.forms["classify"].make)
    shown = "indian_pines · training-free · knn"
    qtbot.waitUntil(lambda: shown in {layer.name for layer in viewer.layers}, timeout=120_000)
    qtbot.waitUntil(lambda: not bench.desk.busy, timeout=30_000)
    assert clicks <= MOST
    assert not complaints
    assert viewer.layers[shown].visible
    assert len(np.unique(viewer.layers[shown].data)) > 10, "most of the 16 classes are found"
