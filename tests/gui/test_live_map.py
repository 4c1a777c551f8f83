"""The class map that refreshes while a run trains: off by default, one layer in place, seldom, and silent where it must be."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hsi_ssl import files
from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.gui.forms.train import TrainForm
from napari_hsi_ssl.gui.jobs import Update
from napari_hsi_ssl.gui.layers import find
from napari_hsi_ssl.progress import Progress
from tests.gui.test_runs_form import past_run

CHECKPOINT = [{"type": "checkpoint", "step": 30}]


@pytest.fixture
def looks(monkeypatch, project):
    """Count the looks, each of which gives the number of the look as the class of every pixel."""
    taken = []

    def live_map(_project, run, cube):
        yield Progress()
        if not project.labelled:
            raise LabelError("project project has no labels, by which a map is made; label some pixels first.")
        taken.append((run, cube))
        path = project.folder / "look.tif"
        files.write_tiff(path, np.full((6, 5), len(taken), dtype=np.int32))
        return {"run": run, "cube": cube, "stride": 4, "step": 30, "path": str(path)}

    monkeypatch.setattr("napari_hsi_ssl.gui.live_map.live_map", live_map)
    return taken


@pytest.fixture
def form(viewer, project, qtbot):
    past_run(project)
    widget = TrainForm(viewer)
    viewer.window.add_dock_widget(widget)
    widget.desk.open_project(project)
    qtbot.waitUntil(lambda: widget.table.rowCount() == 1, timeout=5000)
    widget.watch.latest["pretrain-1"] = Update(Progress(3, 9, "epoch 3 of 9"))
    widget.refresh()
    yield widget
    widget.watch.latest.clear()


def label(project) -> None:
    name = next(iter(project.entries))
    labels = np.zeros(project.entry(name).shape[:2], dtype=np.int32)
    labels[:4], labels[8:12] = 1, 2
    project.save_labels(name, labels, {1: "bean", 2: "tray"})


def test_the_map_is_remade_in_one_layer_at_checkpoints(form, project, looks, viewer, qtbot, monkeypatch):
    label(project)
    assert not form.runs.mapping.isHidden()
    assert not form.runs.mapping.isChecked(), "off by default"
    form.desk.run_events.emit("pretrain-1", CHECKPOINT)
    assert looks == []
    monkeypatch.setattr("napari_hsi_ssl.gui.live_map._REST", 0.0)
    form.runs.mapping.setChecked(True)  # looks at once
    qtbot.waitUntil(lambda: find(viewer, "live") is not None, timeout=5000)
    layer = find(viewer, "live")
    assert layer.name.endswith("live map")
    assert tuple(layer.scale) == (4, 4)
    assert tuple(layer.translate) == (1.5, 1.5)  # its blocks of 4 lie on the pixels of the image
    assert (layer.data == 1).all()
    layer.visible = False
    form.desk.run_events.emit("pretrain-1", [{"type": "step", "step": 31, "loss": 1.0}])
    form.desk.run_events.emit("another", CHECKPOINT)
    assert len(looks) == 1
    form.desk.run_events.emit("pretrain-1", CHECKPOINT)
    qtbot.waitUntil(lambda: bool((layer.data == 2).all()), timeout=5000)
    assert find(viewer, "live") is layer
    assert not layer.visible, "whoever has hidden it need not hide it again"
    assert len([other for other in viewer.layers if other.name == layer.name]) == 1


def test_the_training_is_left_alone_between_two_maps(form, project, looks, viewer, qtbot, monkeypatch):
    label(project)
    monkeypatch.setattr("napari_hsi_ssl.gui.live_map._REST", 1e6)
    form.runs.mapping.setChecked(True)
    qtbot.waitUntil(lambda: find(viewer, "live") is not None, timeout=5000)
    for _ in range(3):
        form.desk.run_events.emit("pretrain-1", CHECKPOINT)
    qtbot.wait(200)
    assert len(looks) == 1


def test_without_labels_it_says_so_and_gives_up(form, looks, qtbot):
    form.runs.mapping.setChecked(True)
    qtbot.waitUntil(lambda: "has no labels" in form.words.text(), timeout=5000)
    assert not form.runs.mapping.isChecked()
    assert looks == []


def test_the_tick_goes_with_the_live_run(form):
    form.watch.latest.clear()
    form.refresh()
    assert form.runs.mapping.isHidden()
