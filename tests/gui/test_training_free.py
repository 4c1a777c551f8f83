"""A map before anything is trained: the window offers the training-free embedding, and its map appears."""

from __future__ import annotations

import numpy as np

from napari_hsi_ssl import Project, run
from napari_hsi_ssl.gui import result_layers
from napari_hsi_ssl.gui.workbench import open_workbench
from napari_hsi_ssl.mapping.training_free import NAME
from napari_hsi_ssl.steps import cubes
from napari_hsi_ssl.steps.labels import save_painted
from tests.gui.conftest import write_cube


def test_a_first_map_needs_labels_and_nothing_else(viewer, qtbot, project):
    labels = np.zeros(project.entry("beans").shape[:2], dtype=np.int32)
    labels[10:14, 8:12] = 1
    labels[0:3] = 2
    bench = open_workbench(viewer)
    bench.desk.open_project(project)
    bench.open("classify")
    form = bench.forms["classify"]
    assert form.standing().words == "Needs labels to learn from: form 2, tab Labels."
    run(save_painted(project, "beans", labels, {1: "bean", 2: "tray"}))
    bench.desk.labels_changed.emit("beans")
    assert form.run_box.currentText() == NAME
    assert not form.judge.isEnabled()  # there is no network to judge
    form.fields.setValue(form.fields.value().model_copy(update={"k": 5}))
    qtbot.waitUntil(form.make.isEnabled, timeout=10_000)
    form.make.click()
    qtbot.waitUntil(lambda: result_layers.shown_map(viewer, "beans") is not None, timeout=30_000)
    found = result_layers.shown_map(viewer, "beans").data
    assert found[12, 10] == 1
    assert found[1, 1] == 2
    assert (found[10:14, 8:12] == 1).mean() > 0.8


def test_the_labels_choose_what_suits_best(viewer, qtbot, tmp_path):
    scene = write_cube(tmp_path / "scene" / "scene.hdr", (72, 72, 8))
    run(cubes.new(tmp_path / "chosen", [scene]))
    project = Project.open(tmp_path / "chosen")
    y, x = np.mgrid[:72, :72]
    labels = np.where((y + x) % 4 == 0, 1 + (y // 12 + x // 12) % 2, 0)
    run(save_painted(project, "scene", labels.astype(np.int32), {1: "a", 2: "b"}))
    bench = open_workbench(viewer)
    bench.desk.open_project(project)
    bench.open("classify")
    form = bench.forms["classify"]
    qtbot.waitUntil(form.choose.isEnabled, timeout=10_000)
    form.choose.click()
    qtbot.waitUntil(lambda: not bench.desk.busy and "training-free" in form.verdict.text(), timeout=180_000)
    assert form.run_box.currentText().removesuffix(f"+{NAME}") in {"spectra", NAME, "pretrained"}
    assert f"{NAME} · kNN" in form.verdict.text()
    assert "Linear probe" in form.verdict.text()
    assert "%" in form.words.text()
    form.method.setCurrentIndex(form.method.findData("distil"))
    assert not form.choose.isEnabled(), "a self-distillation network brings its own features"
