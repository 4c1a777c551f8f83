"""The panel of looks: what is chosen is seen at once, remembered for the session, and the latest request counts."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.qt.threading import GeneratorWorker

from napari_hsi_ssl.config import ViewConfig
from napari_hsi_ssl.gui import layers
from napari_hsi_ssl.gui.workbench import Workbench
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import cubes
from tests.gui.conftest import add_busy, write_cube


@pytest.fixture
def opened(qtbot, tmp_path):
    first = write_cube(tmp_path / "raw" / "coffee" / "beans.hdr", shape := (24, 20, 40))
    second = write_cube(tmp_path / "raw" / "sugar" / "cubes.hdr", shape, seed=1)
    run(cubes.new(tmp_path / "project", [first, second]))
    viewer = ViewerModel()  # a desk holds its viewer weakly
    workbench = Workbench(viewer)
    add_busy(qtbot, workbench, lambda: not workbench.desk.busy)
    workbench.desk.open_project(Project.open(tmp_path / "project"))
    panel = workbench.forms["explore"].looks
    qtbot.waitUntil(lambda: panel.canvas.composite is not None, timeout=10_000)
    yield workbench
    GeneratorWorker.await_workers(30_000)


def panel_of(workbench):
    return workbench.forms["explore"].looks


def choose(panel, kind):
    panel.kind.setCurrentIndex(panel.kind.findData(kind))
    panel.kind.activated.emit(panel.kind.currentIndex())


def seen(qtbot, panel, kind):
    qtbot.waitUntil(lambda: panel.canvas.composite.look.kind == kind and panel.canvas.composite.complete, timeout=10_000)
    return layers.find(panel.desk.viewer, "rgb", panel.desk.cube)


def test_every_kind_is_shown_at_once_on_the_same_layer(opened, qtbot):
    """A new layer for each look would fill the list of layers and cost the window a tenth of a second."""
    panel = panel_of(opened)
    layer = seen(qtbot, panel, "false" if panel.canvas.composite.look.kind == "false" else "true")
    before = np.array(layer.data)
    for kind in ("band", "ratio", "index", "bands", "false"):
        choose(panel, kind)
        assert seen(qtbot, panel, kind) is layer
        assert len(panel.canvas.composite.look.shown) == {"band": 1, "ratio": 2, "index": 2}.get(kind, 3)
    assert not np.array_equal(before, layer.data)
    assert layer.metadata["hsi"]["bands"] == panel.canvas.composite.look.shown


def test_the_pickers_are_those_that_the_kind_needs(opened, qtbot):
    panel = panel_of(opened)
    for kind, count in (("auto", 0), ("band", 1), ("ratio", 2), ("bands", 3)):
        choose(panel, kind)
        assert sum(box.isVisibleTo(panel) for _, box in panel.pickers) == count
    assert panel.value().kind == "bands"
    assert len(panel.value().bands) == 3


def test_settings_go_round(opened):
    panel = panel_of(opened)
    for config in (
        ViewConfig(kind="bands", bands=(9, 5, 1), stretch=(1, 99), joint=True),
        ViewConfig(kind="index", bands=(30, 4)),
        ViewConfig(kind="true", stretch=(0.5, 99.5)),
        ViewConfig(),
    ):
        panel.setValue(config)
        assert panel.value() == config


def test_a_stretch_changes_the_picture(opened, qtbot):
    panel = panel_of(opened)
    choose(panel, "band")
    layer = seen(qtbot, panel, "band")
    before = np.array(layer.data)
    panel.high.setValue(50)
    qtbot.waitUntil(lambda: panel.canvas.composite.look.stretch == (2.0, 50.0), timeout=10_000)
    assert layer.data.mean() > before.mean() + 10


def test_a_look_is_remembered_for_its_cube_or_for_all(opened, qtbot):
    panel, desk = panel_of(opened), opened.desk
    usual = panel.canvas.composite.look.kind
    choose(panel, "band")
    seen(qtbot, panel, "band")
    desk.set_cube("cubes")
    qtbot.waitUntil(lambda: panel.canvas.composite.cube == "cubes", timeout=10_000)
    assert panel.canvas.composite.look.kind == usual
    assert panel.kind.currentData() == "auto"
    panel.everywhere.setChecked(True)
    choose(panel, "index")
    seen(qtbot, panel, "index")
    desk.set_cube("beans")
    qtbot.waitUntil(lambda: panel.canvas.composite.cube == "beans", timeout=10_000)
    assert panel.canvas.composite.look.kind == "index"
    assert panel.kind.currentData() == "index"
    desk.set_cube("cubes")
    qtbot.waitUntil(lambda: panel.canvas.composite.cube == "cubes", timeout=10_000)
    assert panel.canvas.composite.look.kind == "index"


def test_what_cannot_be_shown_is_said_and_the_picture_stays(opened, qtbot):
    panel = panel_of(opened)
    said: list[str] = []
    opened.desk.message.connect(lambda words, level: said.append(words) if level == "error" else None)
    before = np.array(layers.find(opened.desk.viewer, "rgb", "beans").data)
    choose(panel, "default")
    qtbot.waitUntil(lambda: bool(said), timeout=10_000)
    assert "default bands" in said[0]
    np.testing.assert_array_equal(layers.find(opened.desk.viewer, "rgb", "beans").data, before)


def test_another_cube_takes_over_the_layers(opened, qtbot):
    """Taking layers away and adding others costs napari half a second; what they say must be the new cube's."""
    viewer = opened.desk.viewer
    bands, composite = layers.find(viewer, "cube", "beans"), layers.find(viewer, "rgb", "beans")
    opened.desk.set_cube("cubes")
    qtbot.waitUntil(lambda: layers.find(viewer, "rgb", "cubes") is not None, timeout=10_000)
    assert layers.find(viewer, "cube", "cubes") is bands
    assert layers.find(viewer, "rgb", "cubes") is composite
    assert bands.name.startswith("cubes")
    assert layers.find(viewer, "cube", "beans") is None
    np.testing.assert_array_equal(np.asarray(bands.data[3]), opened.desk.project.cube("cubes").values[:, :, 3])
