"""What a scientist does with maps, with the mouse: two compared, one asked why, one scored and written up.

With HSI_TUTORIAL_PICTURES=FOLDER the pictures of the tutorial are left there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QFileDialog

from napari_hsi_ssl import Project, run
from napari_hsi_ssl.config import ClassifyConfig
from napari_hsi_ssl.gui import layers, result_layers
from napari_hsi_ssl.steps import cubes
from napari_hsi_ssl.steps.classify import classify
from napari_hsi_ssl.steps.labels import save_painted
from tests.gui.test_walkthrough import SCENE, Newcomer, hand, kinds, write_scene

__all__ = ["hand"]  # the fixture


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The tray of the tutorial with two maps, learned from a few pixels on its left."""
    run(cubes.new(tmp_path / "p", [write_scene(tmp_path / "tray")]))
    made = Project.open(tmp_path / "p")
    truth = np.where(kinds() == 3, 0, kinds() + 1).astype(np.int32)
    taught = np.random.default_rng(1).random(truth.shape) < 0.04
    taught[:, 30:] = False
    tifffile.imwrite(tmp_path / "taught.tif", np.where(taught, truth, 0).astype(np.int32))
    run(save_painted(made, SCENE, np.where(taught, 0, truth), {1: "tray", 2: "leaf", 3: "pebble"}))  # what the maps are scored with
    for which, k in (("spectra", 9), ("training-free", 3)):
        run(classify(made, which, ClassifyConfig(k=k), [SCENE], {SCENE: tmp_path / "taught.tif"}))
    return made


def test_maps_are_compared_explained_and_written_up(hand: Newcomer, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No complaint on the way, and every figure on the page is the one in the window."""
    viewer, explorer = hand.viewer, hand.explorer
    hand.desk.open_project(project)
    hand.wait(lambda: layers.find(viewer, "rgb", SCENE) is not None)
    hand.unfold("Classify")
    form = hand.bench.forms["classify"]
    hand.rest()

    form.maps.list.selectAll()
    hand.press(form.maps.swipe)
    hand.wait(lambda: form.maps.comparison.mode == "swipe")
    form.maps.comparison.handle.put(0.55 * form.maps.comparison.handle.parentWidget().width())
    hand.rest()
    hand.bench.scroll.ensureWidgetVisible(form.look.legend)
    hand.look("swipe")
    hand.press(form.maps.swipe)
    assert not form.maps.comparison.mode

    hand.desk.map_made.emit(str(project.map_path(SCENE, "spectra", "knn")))
    hand.wait(lambda: result_layers.shown_map(viewer, SCENE).name.endswith("spectra · knn"))
    hand.press(form.maps.why)
    assert explorer.currentWidget() is explorer.why
    hand.click(30, 33)
    hand.wait(lambda: explorer.why._report is not None, 60)
    assert (explorer.why._report["y"], explorer.why._report["x"]) == (30, 33)
    hand.look("why")

    hand.press(form.maps.score)
    hand.wait(lambda: explorer.results.current is not None and explorer.results.current.score is not None, 60)
    hand.rest()
    hand.look("result")
    page = tmp_path / "report.html"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args, **_how: (str(page), ""))
    hand.press(explorer.results.html_button)
    hand.wait(page.exists, 60)
    assert f"{explorer.results.current.score['oa']:.1%}" in page.read_text(encoding="utf-8")
    hand.rest()
