"""A newcomer makes a map with the network that comes with the program, before anything is trained."""

from __future__ import annotations

import numpy as np

from napari_hsi_ssl.cubes.writers import load_map
from napari_hsi_ssl.gui.forms.classify import ClassifyForm
from napari_hsi_ssl.mapping.pretrained import NAME
from tests.gui.conftest import add_busy


def test_a_map_by_the_network_in_the_box(viewer, project, qtbot):
    name = next(iter(project.entries))
    cube = np.asarray(project.cube(name).data).mean(axis=2)
    truth = np.where(cube > 400, 1, 2).astype(np.int32)
    project.save_labels(name, np.where(np.indices(truth.shape).sum(axis=0) % 2 == 0, truth, 0), {1: "disc", 2: "ground"})
    form = ClassifyForm(viewer)
    add_busy(qtbot, form, lambda: not form.running)
    form.desk.open_project(project)
    form.desk.set_cube(name)
    offered = [form.run_box.itemText(row) for row in range(form.run_box.count())]
    assert offered[0] == "training-free", "without evidence it is not the first choice"
    assert NAME in offered
    form.run_box.setCurrentText(NAME)
    form.refresh()
    assert form.run_box.currentText() == NAME
    assert not form.judge.isEnabled(), "no run of this project to judge"
    assert f"--run {NAME}" in form.recipe().command
    made = []
    form.desk.map_made.connect(made.append)
    form.make.click()
    qtbot.waitUntil(lambda: bool(made) or bool(form.words.text()), timeout=240_000)
    assert made, form.words.text()
    assert (load_map(project.map_path(name, NAME, "knn")).labels == truth).mean() > 0.9
