"""The Patches form: what a cut would give is seen before it is made, live, and the project stays as it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.qt.threading import GeneratorWorker

from napari_hsi_ssl.config import PatchConfig
from napari_hsi_ssl.gui import layers
from napari_hsi_ssl.gui.plots.patches import PatchesView
from napari_hsi_ssl.gui.plots.theme import Theme
from napari_hsi_ssl.gui.workbench import Workbench
from napari_hsi_ssl.patches.preview import patches_over_pixels
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import run
from napari_hsi_ssl.steps.patches import example_patches, preview_patches
from tests.gui.conftest import add_busy

CONFIG = PatchConfig(size=4, coverage=0.5, per_domain=6, split="blocks")


@pytest.fixture
def form(qtbot, project):
    """The fourth form, open, on a project of two cubes."""
    viewer = ViewerModel()
    bench = Workbench(viewer)
    add_busy(qtbot, bench, lambda: not bench.desk.busy and not bench.forms["patches"].jobs.running)
    bench.show()
    bench.desk.open_project(project)
    qtbot.waitUntil(lambda: layers.find(bench.desk.viewer, "rgb", bench.desk.cube) is not None, timeout=20000)
    bench.open("patches")
    yield bench.forms["patches"]
    GeneratorWorker.await_workers(30_000)


def shows(qtbot, form, config):
    form.fields.setValue(config)
    qtbot.waitUntil(lambda: form.seen is not None and form.seen.config == config, timeout=20000)


def test_counts_follow_the_settings_and_nothing_is_written(form, qtbot):
    before = (form.project.folder / "project.json").read_bytes()
    shows(qtbot, form, CONFIG)
    expected = run(preview_patches(form.project, CONFIG))
    assert form.seen.after == expected.after
    assert "12 patches" in form.told.text()
    assert "over the limit a domain" in form.told.text()
    shows(qtbot, form, CONFIG.model_copy(update={"per_domain": None}))
    assert f"{sum(sum(part.values()) for part in expected.before.values()):,} patches" in form.told.text()
    assert (form.project.folder / "project.json").read_bytes() == before
    assert form.project.patches is None


def test_only_the_latest_settings_count(form, qtbot):
    """Of a spin box that is held down the last value must win, whichever worker ends last."""
    for size in (3, 4, 5, 6, 7):
        form.fields.setValue(CONFIG.model_copy(update={"size": size}))
        form.preview()
    qtbot.waitUntil(lambda: not form.jobs.running and not form._timer.isActive(), timeout=20000)
    assert form.seen.config.size == 7


def test_settings_that_give_nothing_are_said_in_words(form, qtbot):
    shows(qtbot, form, PatchConfig(size=200))
    assert form.told.text().startswith("Nothing would be cut")
    assert "smaller than the window" in form.told.text()
    assert not form.words.isVisible()


def test_a_form_that_is_folded_reads_nothing(form, qtbot):
    shows(qtbot, form, CONFIG)
    form.hide()
    form.fields.setValue(CONFIG.model_copy(update={"size": 5}))
    assert not form._timer.isActive()
    form.show()
    qtbot.waitUntil(lambda: form.seen.config.size == 5, timeout=20000)
    form.live.setChecked(False)
    form.fields.setValue(CONFIG)
    assert not form._timer.isActive()


def test_a_preview_that_comes_after_the_viewer_has_gone_is_dropped(form, qtbot, monkeypatch):
    shows(qtbot, form, CONFIG)
    late = replace(form.seen, config=CONFIG.model_copy(update={"per_domain": 3}))
    monkeypatch.setattr(type(form.desk), "alive", False)
    form._seen((late, [], None))
    assert form.seen.config == CONFIG


def test_the_heat_over_the_image_is_the_number_of_patches(form, qtbot):
    shows(qtbot, form, CONFIG)
    form.heat.setCurrentIndex(form.heat.findData("patches"))
    viewer, cube = form.desk.viewer, form.desk.cube
    qtbot.waitUntil(lambda: layers.find(viewer, "heat", cube) is not None, timeout=20000)
    layer = layers.find(viewer, "heat", cube)
    count = patches_over_pixels(form.seen.index, cube, layer.data.shape)
    np.testing.assert_array_equal(np.nan_to_num(layer.data), count)
    form.heat.setCurrentIndex(form.heat.findData("share"))
    qtbot.waitUntil(lambda: layer.contrast_limits == [0, 1] and np.nanmax(layer.data) == 1, timeout=20000)
    form.heat.setCurrentIndex(0)
    assert not layer.visible


def test_the_sheet_is_written(form, qtbot, tmp_path):
    shows(qtbot, form, CONFIG)
    form.save_sheet(tmp_path / "sheet.png")
    qtbot.waitUntil(lambda: "is written" in form.words.text(), timeout=20000)
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    assert form.done.command.endswith(f"--preview --sheet {tmp_path / 'sheet.png'}"), "it can be copied"


def test_bars_and_examples(qtbot, project):
    """Pale bars are what there is, full ones what is kept; every example says where it comes from."""
    opened = Project.open(project.folder)
    seen = run(preview_patches(opened, CONFIG))
    found = run(example_patches(opened, seen.index, CONFIG))
    view = PatchesView(Theme.named("dark"))
    assert all(word in view.key.text() for word in ("found", "kept", "train", "test"))
    qtbot.addWidget(view)
    view.resize(900, 260)
    view.show()
    view.show_preview(seen, found)
    bars = [item for item in view.bars.getPlotItem().items if hasattr(item, "opts") and "height" in item.opts]
    heights = [[int(value) for value in item.opts["height"]] for item in bars]
    assert heights == [[seen.before[d][s] for d in seen.before] for s in ("train", "test")] + [
        [seen.after[d][s] for d in seen.after] for s in ("train", "test")
    ]
    tips = [label.toolTip() for label in view.sheet._pool if label.isVisible()]
    assert sum("foreground" in tip for tip in tips) == len(found) == 8
    assert {"Domain coffee", "Domain sugar"} <= set(tips)
    view.set_theme(Theme.named("light"))
    view.clear()
    assert view.sheet.examples == ()


def test_the_sheet_of_the_explorer_follows_the_form(form, qtbot):
    from napari_hsi_ssl.gui.plots.explorer import ExplorerDock

    dock = ExplorerDock(form.desk)
    qtbot.addWidget(dock)
    shows(qtbot, form, CONFIG)
    assert len(dock.patches.sheet.examples) == 8
    assert dock.tabText(dock.indexOf(dock.patches)).endswith("•")
    form.examples.click()
    assert dock.currentWidget() is dock.patches
