"""The workbench in a real napari window: forms, their order, their shared desk, and what the user is told."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.qt.threading import GeneratorWorker
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QApplication
from scipy.io import savemat

from napari_hsi_ssl.config import MaskConfig, PatchConfig, PcaConfig, PretrainConfig
from napari_hsi_ssl.gui import layers, mask_layers, result_layers
from napari_hsi_ssl.gui.desk import desk_for
from napari_hsi_ssl.gui.forms.cubes import CubesForm
from napari_hsi_ssl.gui.forms.explore import ExploreForm
from napari_hsi_ssl.gui.jobs import Update
from napari_hsi_ssl.gui.plots.run_curves import RunCurves
from napari_hsi_ssl.gui.selection import selection_for
from napari_hsi_ssl.gui.watch import watch_for
from napari_hsi_ssl.gui.workbench import Workbench, open_workbench
from napari_hsi_ssl.progress import Progress
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.folder import RunFolder
from napari_hsi_ssl.steps import cubes, run
from napari_hsi_ssl.steps.labels import save_painted
from napari_hsi_ssl.steps.mask import make_masks
from tests.gui.conftest import add_busy, write_cube


@pytest.fixture
def bench(qtbot):
    """The workbench on a viewer without a window: the same layers and events, much faster. A few tests below open windows."""
    viewer = ViewerModel()
    workbench = Workbench(viewer)
    add_busy(qtbot, workbench, lambda: not workbench.desk.busy)
    yield workbench
    GeneratorWorker.await_workers(30_000)


@pytest.fixture
def window(viewer, qtbot):
    """The workbench in a real window of napari."""
    workbench = open_workbench(viewer, explorer=False)
    yield workbench
    qtbot.waitUntil(lambda: not workbench.desk.busy, timeout=20000)


@pytest.fixture
def opened(bench, project, qtbot):
    """A workbench with a project of two cubes, the first on the canvas."""
    bench.desk.open_project(project)
    settled(qtbot, bench)
    return bench


def settled(qtbot: Any, bench: Workbench) -> None:
    """Wait until the steps are done and the current cube is on the canvas."""
    desk = bench.desk
    qtbot.waitUntil(lambda: not desk.busy and (not desk.cube or layers.find(desk.viewer, "rgb", desk.cube) is not None), timeout=20000)


def form(bench: Workbench, name: str) -> Any:
    return bench.forms[name]


def test_opening_it_loads_no_torch(tmp_path):
    """Importing torch stalls the window for a quarter of a second, so napari's process never does."""
    code = (
        "import sys, napari; from napari_hsi_ssl.gui.workbench import open_workbench; v = napari.Viewer(show=False);"
        "open_workbench(v); from qtpy.QtWidgets import QApplication; QApplication.processEvents();"
        "bad = sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'lightning_fabric', 'safetensors'}); v.close();"
        "sys.exit(','.join(bad) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-500:]


def test_six_forms_in_the_order_of_the_work(bench):
    assert [section.header.text().split() for section in bench.sections] == [
        ["1", "Cubes"], ["2", "Mask", "and", "labels"], ["3", "Explore"], ["4", "Patches"], ["5", "Train"], ["6", "Classify"],
    ]  # fmt: skip
    assert [section.form.isVisibleTo(bench) for section in bench.sections] == [True] + [False] * 5


def test_it_fits_beside_the_canvas(bench):
    """Forms wider than the dock would be cut off, since it only scrolls up and down."""
    inside = bench.scroll.widget()
    for section in bench.sections:
        section.header.setChecked(True)
        assert inside.minimumSizeHint().width() <= bench.minimumWidth() <= 460, section.form.title


def test_opening_it_twice_finds_it_again(window):
    assert open_workbench(window.desk.viewer, explorer=False) is window


def test_forms_opened_alone_share_the_project(viewer, qtbot, project):
    first, second = CubesForm(viewer), ExploreForm(viewer)
    qtbot.addWidget(first)
    qtbot.addWidget(second)
    first.load(project.folder)
    qtbot.waitUntil(lambda: second.project is not None)
    assert second.project is first.project
    assert desk_for(viewer) is first.desk


def test_each_form_says_what_it_needs(bench):
    told = {name: one.standing() for name, one in bench.forms.items()}
    assert told["cubes"].state == "ready"
    assert {told[name].state for name in ("mask and labels", "explore", "patches", "train", "classify")} == {"blocked"}
    assert bench.next_step is form(bench, "cubes")
    for name in ("explore", "patches", "train", "classify"):
        primary = {"explore": "fit", "patches": "cut", "train": "start", "classify": "make"}[name]
        assert not getattr(form(bench, name), primary).isEnabled()


def test_opened_project_is_on_the_canvas(opened):
    viewer = opened.desk.viewer
    assert [layers.role_of(layer) for layer in viewer.layers] == ["cube", "rgb"]
    table = form(opened, "cubes").table.rows
    rows = [[table.index(row, column).data() for column in range(5)] for row in range(2)]
    assert rows == [["beans", "coffee", "24×20", "12", "dn"], ["cubes", "sugar", "24×22", "9", "dn"]]
    assert "whole image is used" in form(opened, "mask and labels").standing().words


def test_another_cube_of_the_table_takes_the_canvas(opened, qtbot):
    form(opened, "cubes").table.selectRow(1)
    settled(qtbot, opened)
    assert {layers.cube_of(layer) for layer in opened.desk.viewer.layers} == {"cubes"}
    assert layers.find(opened.desk.viewer, "cube").data.shape == (9, 24, 22)


def test_the_domain_can_be_changed(opened, qtbot):
    rows = form(opened, "cubes").table.rows
    rows.setData(rows.index(1, 1), "beet")
    settled(qtbot, opened)
    assert Project.open(opened.desk.project.folder).entry("cubes").domain == "beet"


def test_files_without_a_project_make_one(bench, qtbot, tmp_path):
    form(bench, "cubes").add([write_cube(tmp_path / "raw" / "tea" / "leaf.hdr")])
    qtbot.waitUntil(lambda: bench.desk.project is not None, timeout=10000)
    settled(qtbot, bench)
    assert list(bench.desk.project.entries) == ["leaf"]
    assert bench.desk.project.folder.is_relative_to(tmp_path / "projects")


def test_dropped_files_are_added(opened, qtbot, tmp_path):
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(write_cube(tmp_path / "raw" / "tea" / "leaf.hdr")))])
    event = QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    one = form(opened, "cubes")
    assert one.eventFilter(one.table.viewport(), event)
    qtbot.waitUntil(lambda: "leaf" in opened.desk.project.entries, timeout=10000)
    settled(qtbot, opened)
    assert opened.desk.cube == "leaf"


def test_cubes_dropped_on_napari_can_join_the_project(opened, qtbot, tmp_path):
    one = form(opened, "cubes")
    assert not one.opened.isVisibleTo(one)
    path = write_cube(tmp_path / "raw" / "tea" / "leaf.hdr")
    opened.desk.viewer.open(str(path), plugin="napari-hsi-ssl")
    assert one.opened.isVisibleTo(one)
    one.opened.click()
    qtbot.waitUntil(lambda: "leaf" in opened.desk.project.entries, timeout=10000)
    settled(qtbot, opened)


def test_file_of_several_arrays_asks_which_one(opened, qtbot, tmp_path):
    path = tmp_path / "two.mat"
    savemat(path, {"first": np.ones((6, 7, 8)), "second": np.ones((5, 4, 9))})
    one = form(opened, "cubes")
    one.add([path])
    qtbot.waitUntil(lambda: one.choice_box.isVisibleTo(one), timeout=10000)
    assert {one.choice.itemText(index) for index in range(one.choice.count())} == {"first", "second"}
    one.choice.setCurrentText("second")
    one.choose.click()
    qtbot.waitUntil(lambda: "two" in opened.desk.project.entries, timeout=10000)
    settled(qtbot, opened)
    assert opened.desk.project.entry("two").shape == (5, 4, 9)


def test_what_is_no_cube_is_told_in_a_sentence_and_loses_nothing(opened, qtbot, tmp_path):
    path = tmp_path / "broken.hdr"
    path.write_text("ENVI\nsamples = 5\n")
    one = form(opened, "cubes")
    one.add([path])
    qtbot.waitUntil(lambda: "broken.hdr" in one.words.text(), timeout=10000)
    assert len(opened.desk.project.entries) == 2
    assert not opened.desk.busy


def test_crop_to_the_drawn_rectangle(opened, qtbot):
    one = form(opened, "cubes")
    layer = layers.draw(opened.desk.viewer, "add_rectangle")
    layer.add(np.array([[2, 3], [2, 9], [11, 9], [11, 3]]), shape_type="rectangle")
    one.crop_to_drawing()
    settled(qtbot, opened)
    assert opened.desk.project.entry("beans").crop == (2, 3, 12, 10)
    assert layers.drawn(opened.desk.viewer) == []
    assert not layers.find(opened.desk.viewer, "draw").visible
    one.whole.click()
    settled(qtbot, opened)
    assert opened.desk.project.entry("beans").crop is None


# -- mask and labels ----------------------------------------------------------------------------------------------------


def test_changing_the_rule_previews_without_saving(opened, qtbot):
    one = form(opened, "mask and labels")
    one.fields.setValue(MaskConfig(method="otsu", drop_specks=0))
    qtbot.waitUntil(lambda: layers.find(opened.desk.viewer, "mask", "beans") is not None, timeout=10000)
    mask = mask_layers.mask_on_canvas(opened.desk.viewer, "beans")
    assert mask[12, 10]
    assert not mask[0, 0]
    assert opened.desk.project.mask("beans") is None
    one.save.click()
    settled(qtbot, opened)
    np.testing.assert_array_equal(opened.desk.project.mask("beans"), mask)
    assert "saved" in one.share.text()
    assert "not saved" not in one.share.text()


def test_a_rule_for_all_cubes(opened, qtbot):
    form(opened, "mask and labels").all.click()
    settled(qtbot, opened)
    assert all(opened.desk.project.mask_path(name).exists() for name in opened.desk.project.entries)
    assert form(opened, "mask and labels").standing().state == "done"


def test_threshold_between_two_values(opened, qtbot):
    one = form(opened, "mask and labels")
    one.fields.setValue(MaskConfig(method="threshold", drop_specks=0))
    qtbot.waitUntil(lambda: one.range.maximum() > 500, timeout=10000)
    one.range.setValue((400.0, one.range.maximum()))
    config = one.rule()
    assert config.low == pytest.approx(400, abs=1)
    assert config.high is None
    qtbot.waitUntil(lambda: mask_layers.mask_on_canvas(opened.desk.viewer, "beans") is not None, timeout=10000)


def test_drawn_polygons_shape_the_mask(opened, qtbot):
    one, viewer = form(opened, "mask and labels"), opened.desk.viewer
    one.draw("add_polygon")
    layers.find(viewer, "draw").add(np.array([[1.5, 1.5], [1.5, 8.5], [8.5, 8.5], [8.5, 1.5]]), shape_type="polygon")
    one.hand.apply("add")
    qtbot.waitUntil(lambda: mask_layers.mask_on_canvas(viewer, "beans").sum() == 49, timeout=5000)
    layers.draw(viewer, "add_polygon").add(np.array([[1.5, 1.5], [1.5, 4.5], [8.5, 4.5], [8.5, 1.5]]), shape_type="polygon")
    one.hand.apply("remove")
    qtbot.waitUntil(lambda: mask_layers.mask_on_canvas(viewer, "beans").sum() == 28, timeout=5000)
    one.change("invert")
    qtbot.waitUntil(lambda: mask_layers.mask_on_canvas(viewer, "beans").sum() == 24 * 20 - 28, timeout=5000)


def test_painted_strokes_become_labels(opened, qtbot):
    panel, viewer = form(opened, "mask and labels").labels, opened.desk.viewer
    number = panel.add_class("roasted")
    panel.paint("paint")
    layer = layers.find(viewer, "labels", "beans")
    assert layer.mode == "paint"
    assert layer.selected_label == number
    layer.paint((12, 10), number)
    assert "not saved" in panel.told.text()
    panel.save.click()
    settled(qtbot, opened)
    labels = opened.desk.project.labels("beans")
    assert labels[12, 10] == number
    assert opened.desk.project.classes.names == ("roasted",)
    assert not layers.unsaved(layer)


def test_whole_cube_gets_a_class(opened, qtbot):
    panel = form(opened, "mask and labels").labels
    panel.label_whole("robusta")
    settled(qtbot, opened)
    assert (opened.desk.project.labels("beans") == 1).all()
    qtbot.waitUntil(lambda: layers.find(opened.desk.viewer, "labels", "beans") is not None, timeout=5000)


# -- PCA, patches -------------------------------------------------------------------------------------------------------


def test_from_mask_to_patches_in_a_window(window, project, qtbot):
    """The next step is marked all the way, and each primary button does its step."""
    opened = window
    opened.desk.open_project(project)
    settled(qtbot, opened)
    assert opened.next_step is form(opened, "mask and labels")
    form(opened, "mask and labels").all.click()
    settled(qtbot, opened)
    assert opened.next_step is form(opened, "explore")
    explore = form(opened, "explore")
    explore.fields.setValue(PcaConfig(bands=12, components=4))
    wanted: list[str] = []
    opened.desk.plot_wanted.connect(wanted.append)
    explore.fit.click()
    settled(qtbot, opened)
    assert "4 components" in explore.explained.text(), explore.words.text()
    assert wanted == ["scatter"]
    explore.images.click()
    qtbot.waitUntil(lambda: layers.find(opened.desk.viewer, "pcs", "beans") is not None, timeout=5000)
    assert layers.find(opened.desk.viewer, "pcs", "beans").data.shape == (4, 24, 20)

    assert opened.next_step is form(opened, "patches")
    patches = form(opened, "patches")
    patches.fields.setValue(PatchConfig(size=4, coverage=0.5))
    patches.cut.click()
    settled(qtbot, opened)
    index = opened.desk.project.patch_index()
    table = patches.table
    assert [table.item(row, 0).text() for row in range(table.rowCount())] == ["coffee", "sugar", "all"]
    assert int(table.item(2, 1).text()) + int(table.item(2, 2).text()) == len(index)
    qtbot.waitUntil(lambda: layers.find(opened.desk.viewer, "grid", "beans") is not None, timeout=5000)
    patches.grid.setChecked(False)
    assert not layers.find(opened.desk.viewer, "grid", "beans").visible
    assert opened.next_step is form(opened, "train")
    assert form(opened, "train").start.isEnabled()


def test_only_one_step_writes_at_a_time(opened, qtbot):
    def endless() -> Any:
        while True:
            time.sleep(0.01)
            yield Progress(1, 4, "working")

    explore, patches = form(opened, "explore"), form(opened, "patches")
    explore.run(endless(), None, "fitting for ever")
    assert not patches.cut.isEnabled()
    assert patches.run(endless(), None, "cutting") is None
    assert "fitting for ever" in patches.words.text()
    qtbot.waitUntil(lambda: "working" in explore.progress.text.text())
    explore.progress.cancel.click()
    qtbot.waitUntil(lambda: not opened.desk.busy)
    assert patches.cut.isEnabled()
    assert "Cancelled" in explore.words.text()


def test_warnings_stay_to_be_read(opened, qtbot):
    def steps() -> Any:
        yield Progress(message="band 3 is dead", warning=True)
        yield Progress(1, 1)

    explore = form(opened, "explore")
    explore.run(steps(), None, "fitting")
    settled(qtbot, opened)
    assert "band 3 is dead" in explore.warnings.text()
    assert explore.warnings.isVisibleTo(explore)


# -- runs ---------------------------------------------------------------------------------------------------------------


def test_recipe_brings_its_settings_and_keeps_the_users(opened):
    train = form(opened, "train")
    train.pretrain.setValue(PretrainConfig(epochs=7, seed=5))
    train.pretrain.editors["recipe"].setValue("pixel")
    config = train.config()
    assert config == PretrainConfig.from_recipe("pixel", epochs=7, seed=5)
    train.pretrain.editors["recipe"].setValue("poster")
    assert train.config() == PretrainConfig(epochs=7, seed=5)


def test_the_default_batch_fits_few_patches(opened, qtbot):
    """A small cube has fewer patches than the default batch of 64, which training would refuse."""
    patches = form(opened, "patches")
    patches.fields.setValue(PatchConfig(size=6, coverage=0.2))
    patches.cut.click()
    settled(qtbot, opened)
    index = opened.desk.project.patch_index()
    count = int((index.split == 0).sum())
    assert 2 <= count < 64
    batch = form(opened, "train").config().batch_size
    assert batch <= count < 2 * batch


def test_self_distillation_asks_for_labels(opened, qtbot):
    train = form(opened, "train")
    train.kinds.setCurrentIndex(1)
    assert "labels" in train.missing()
    assert not train.start.isEnabled()
    project = opened.desk.project
    run(save_painted(project, "beans", np.tri(24, 20, dtype=int) + 1, {1: "a", 2: "b"}))
    opened.desk.labels_changed.emit("")
    assert train.start.isEnabled()


def past_run(project: Project, name: str = "pretrain-1") -> RunFolder:
    """A run that was cancelled at step 3, as its folder shows it."""
    from napari_hsi_ssl.config import RunConfig

    folder = RunFolder.create(project.folder / "runs" / name, RunConfig(kind="pretrain", pretrain=PretrainConfig(epochs=9)))
    folder.emit("started", total_steps=90, epochs=9)
    for step in (1, 2, 3):
        folder.emit("step", epoch=1, step=step, loss=4.0 - step, throughput=400.0, seconds_left=30)
    folder.emit("cancelled", step=3, message="saved")
    return folder


def test_runs_of_the_project_are_listed_and_can_be_shown(bench, project, qtbot):
    past_run(project)
    told: list[RunCurves] = []
    bench.desk.run_read.connect(told.append)
    bench.desk.open_project(project)
    train = form(bench, "train")
    qtbot.waitUntil(lambda: train.table.rowCount() == 1, timeout=5000)
    assert [train.table.item(0, column).text() for column in range(4)] == ["pretrain-1", "pretrain", "cancelled", "1/9"]
    assert train.resume.isEnabled()
    watch_for(bench.desk).load("pretrain-1")
    qtbot.waitUntil(lambda: bool(told), timeout=5000)
    assert (told[-1].name, told[-1].state, len(told[-1].loss)) == ("pretrain-1", "cancelled", 3)


def test_live_run_is_found_again_on_opening(bench, project, qtbot):
    """A run that was started before the window, here held by this very process."""
    folder = past_run(project)
    told: list[RunCurves] = []
    bench.desk.run_read.connect(told.append)
    train = form(bench, "train")
    with folder.locked():
        folder.emit("resumed", step=3)
        folder.emit("step", epoch=1, step=4, loss=0.5, throughput=432.0, seconds_left=200)
        bench.desk.open_project(project)
        qtbot.waitUntil(lambda: bool(told), timeout=10000)
        assert told[0].loss.steps[-1] == 4
        qtbot.waitUntil(lambda: "432 patches/s" in train.live.text.text(), timeout=10000)
        assert watch_for(bench.desk).live == ["pretrain-1"]
        assert [train.table.item(0, column).text() for column in (0, 2, 3, 4)] == ["pretrain-1", "running", "1/9", "0.5"]
        assert "3 min left" in train.live.text.text()
        assert train.live.isVisibleTo(train)
        folder.emit("cancelled", step=4, message="run 'pretrain-1' was cancelled at step 4.")
    qtbot.waitUntil(lambda: not watch_for(bench.desk).live, timeout=10000)
    assert "was cancelled" in bench.message.text()


def test_deleting_a_run(bench, project, qtbot):
    folder = past_run(project)
    bench.desk.open_project(project)
    train = form(bench, "train")
    qtbot.waitUntil(lambda: train.table.rowCount() == 1, timeout=5000)
    train.delete.click()
    assert train.delete.armed
    assert folder.path.exists(), "one press must not delete"
    train.delete.click()
    qtbot.waitUntil(lambda: train.table.rowCount() == 0, timeout=5000)
    assert not folder.path.exists()


@pytest.mark.parametrize(("answer", "closes", "cancels"), [("keep", True, False), ("stop", True, True), ("stay", False, False)])
def test_closing_on_a_live_run_asks(make_napari_viewer, project, qtbot, answer, closes, cancels):
    viewer = make_napari_viewer(show=True)
    bench = open_workbench(viewer, explorer=False)
    bench.desk.open_project(project)
    settled(qtbot, bench)
    folder = past_run(project)
    watch, asked = watch_for(bench.desk), []
    watch.latest["pretrain-1"] = Update(Progress())
    watch.ask = lambda _window, runs: asked.append(runs) or answer
    window = viewer.window._qt_window
    window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)  # the fixture closes it once more
    assert window.close() is closes
    assert asked == [["pretrain-1"]]
    assert folder.cancel_requested is cancels
    watch.latest.clear()


# -- classify -----------------------------------------------------------------------------------------------------------


def test_maps_are_listed_shown_scored_and_exported(opened, qtbot, tmp_path):
    from napari_hsi_ssl.cubes.cube import Classes, ClassMap
    from napari_hsi_ssl.cubes.writers import save_map

    project = opened.desk.project
    truth = np.tri(24, 20, dtype=np.int32) + 1
    predicted = truth.copy()
    predicted[0] = 3 - predicted[0]
    run(save_painted(project, "beans", truth, {1: "a", 2: "b"}))
    path = project.map_path("beans", "pretrain-1", "knn")
    save_map(path, ClassMap(predicted, Classes.of([1, 2], {1: "a", 2: "b"}), np.full((24, 20), 0.9, np.float32), {"run": "pretrain-1"}))
    one = form(opened, "classify")
    opened.open("classify")
    opened.desk.map_made.emit(str(path))
    qtbot.waitUntil(lambda: len(result_layers.map_layers(opened.desk.viewer)) == 1, timeout=5000)
    assert one.maps.list.item(0).text() == "pretrain-1 · knn"
    assert [one.look.legend.item(row).text().split()[0] for row in range(2)] == ["a", "b"]
    one.maps.list.setCurrentRow(0)
    one.maps.score_map()
    qtbot.waitUntil(lambda: bool(one.words.text()), timeout=10000)
    assert f"OA {1 - 20 / 480:.1%}" in one.words.text(), one.words.text()
    layer = result_layers.map_layers(opened.desk.viewer)[0]
    qtbot.waitUntil(lambda: result_layers.confidence_of(opened.desk.viewer, layer) is not None, timeout=5000)
    one.look.show_image("confidence")
    assert result_layers.confidence_of(opened.desk.viewer, layer).visible
    assert not layer.visible
    one.look.show_image("")
    assert layer.visible
    one.look.opacity.setValue(30)
    assert layer.opacity == pytest.approx(0.3)
    one.maps.export_map(path, tmp_path / "out" / "map.csv")
    qtbot.waitUntil(lambda: "is written" in one.words.text(), timeout=10000)
    assert (tmp_path / "out" / "map.csv").exists(), one.words.text()


def test_classify_says_what_is_missing(opened):
    one = form(opened, "classify")
    assert one.missing() == "Needs labels to learn from: form 2, tab Labels."
    one.method.setCurrentIndex(2)
    assert "self-distillation" in one.missing()
    assert not one.make.isEnabled()


def test_masks_made_elsewhere_show_up(opened, qtbot):
    """Another form, or a notebook in napari's console, says so through the desk."""
    run(make_masks(opened.desk.project, MaskConfig(), ["beans"]))
    opened.desk.masks_changed.emit("beans")
    qtbot.waitUntil(lambda: layers.find(opened.desk.viewer, "mask", "beans") is not None, timeout=5000)
    assert not layers.unsaved(layers.find(opened.desk.viewer, "mask", "beans"))


def test_adding_to_the_project_folder_and_reopening(opened, qtbot, tmp_path):
    folder = opened.desk.project.folder
    run(cubes.add(Project.open(folder), write_cube(tmp_path / "raw" / "tea" / "leaf.hdr")))
    form(opened, "cubes").load(Path(folder))
    qtbot.waitUntil(lambda: "leaf" in opened.desk.project.entries, timeout=5000)
    settled(qtbot, opened)
    assert form(opened, "cubes").table.rows.rowCount() == 3


def test_a_closed_viewer_leaves_nothing_behind(qtbot):
    """State is kept by viewer, weakly: a long session that opens many viewers must not pile up projects and watchers."""
    viewer = ViewerModel()
    workbench = Workbench(viewer)
    kept = [weakref.ref(viewer), weakref.ref(workbench.desk), weakref.ref(workbench.forms["train"])]
    GeneratorWorker.await_workers(30_000)
    qtbot.wait(100)
    workbench.close()
    workbench.deleteLater()
    del viewer, workbench
    qtbot.wait(50)
    gc.collect()
    qtbot.wait(50)
    gc.collect()
    assert [one() for one in kept] == [None, None, None]


def test_the_bands_of_the_composite_are_named(opened, qtbot):
    """The image comes after its cube: bands told before would be the first one three times."""
    one = form(opened, "explore")
    shown = layers.find(opened.desk.viewer, "rgb", "beans").metadata["hsi"]["bands"]
    assert tuple(box.currentIndex() for _, box in one.looks.pickers) == tuple(shown)
    assert len(set(shown)) == 3


def test_mask_and_labels_are_not_shown_over_each_other(opened, qtbot):
    project, viewer = opened.desk.project, opened.desk.viewer
    run(make_masks(project, MaskConfig()))
    run(save_painted(project, "beans", np.tri(24, 20, dtype=np.int32) + 1, {1: "a", 2: "b"}))
    opened.desk.open_project(Project.open(project.folder))
    qtbot.waitUntil(lambda: layers.find(viewer, "labels", "beans") is not None and not layers.find(viewer, "mask", "beans").visible, timeout=10000)
    assert layers.find(viewer, "labels", "beans").visible
    tabs = form(opened, "mask and labels").tabs
    tabs.setCurrentIndex(1)
    assert "480 pixels labelled · saved" in form(opened, "mask and labels").labels.told.text()
    tabs.setCurrentIndex(0)
    assert layers.find(viewer, "mask", "beans").visible
    assert not layers.find(viewer, "labels", "beans").visible


def test_looking_at_another_cube_keeps_its_saved_mask(opened, qtbot):
    """A preview of the rule would stand in for the mask that was saved."""
    one, viewer = form(opened, "mask and labels"), opened.desk.viewer
    run(make_masks(opened.desk.project, MaskConfig()))
    one.fields.setValue(MaskConfig(method="threshold"))
    qtbot.waitUntil(lambda: one.range.maximum() > 1, timeout=10000)
    opened.desk.set_cube("cubes")
    qtbot.waitUntil(lambda: one.rules.range_of.startswith("cubes/") and layers.find(viewer, "mask", "cubes") is not None, timeout=10000)
    qtbot.wait(400)
    assert not layers.unsaved(layers.find(viewer, "mask", "cubes"))


def test_settings_are_those_of_the_project(opened, qtbot):
    project = opened.desk.project
    project.note("patches", {"settings": PatchConfig(size=12).model_dump()})
    project.note("pca", {"settings": PcaConfig(components=5).model_dump()})
    opened.desk.open_project(None)
    opened.desk.open_project(Project.open(project.folder))
    assert form(opened, "patches").fields.value().size == 12
    assert form(opened, "explore").fields.value().components == 5
    (project.folder / "preprocessing.json").write_text("broken", encoding="utf-8")
    opened.desk.open_project(None)
    opened.desk.open_project(Project.open(project.folder))
    assert form(opened, "patches").fields.value().size == 12
    settled(qtbot, opened)


def test_the_chosen_map_is_the_one_over_the_image(opened, qtbot):
    from napari_hsi_ssl.cubes.cube import Classes, ClassMap
    from napari_hsi_ssl.cubes.writers import save_map

    one, viewer = form(opened, "classify"), opened.desk.viewer
    paths = [opened.desk.project.map_path("beans", "pretrain-1", how) for how in ("knn", "linear")]
    for number, path in enumerate(paths, start=1):
        save_map(path, ClassMap(np.full((24, 20), number), Classes.of([1, 2], {1: "a", 2: "b"}), np.ones((24, 20), np.float32), {}))
    for path, only in ((paths[0], "a"), (paths[1], "b"), (paths[0], "a")):
        opened.desk.map_made.emit(str(path))
        qtbot.waitUntil(lambda path=path: one.maps.chosen() == [path], timeout=5000)
        assert [layer.name for layer in result_layers.map_layers(viewer) if layer.visible] == [path.stem.replace("--", " · ")]
        assert [one.look.legend.item(index).text().split()[0] for index in range(one.look.legend.count())] == [only]


def test_a_map_is_not_seen_through_what_was_selected_before(opened, qtbot):
    from napari_hsi_ssl.cubes.cube import Classes, ClassMap
    from napari_hsi_ssl.cubes.writers import save_map

    desk, path = opened.desk, opened.desk.project.map_path("beans", "pretrain-1", "knn")
    save_map(path, ClassMap(np.ones((24, 20), int), Classes.of([1], {1: "a"}), np.ones((24, 20), np.float32), {}))
    selection_for(desk)
    desk.set_selection(np.eye(24, 20, dtype=bool), "scatter")
    selected = layers.find(desk.viewer, "selection", "beans")
    assert selected.visible
    desk.map_made.emit(str(path))
    qtbot.waitUntil(lambda: bool(result_layers.map_layers(desk.viewer)), timeout=5000)
    assert not selected.visible, "its pixels hid those of the map"
    assert desk.selection is not None, "it is still selected"


def test_a_layer_can_be_taken_away_by_anybody(window, qtbot):
    """With Mesa the process ended two frames after napari had deleted a layer's shaders in another OpenGL context than its own."""
    viewer = window.desk.viewer
    viewer.show()
    canvas = layers.canvas_widget(viewer)
    qtbot.waitUntil(canvas.isVisible, timeout=10000)
    viewer.add_image(np.random.default_rng(0).random((30, 30)))
    kinds = ((viewer.add_labels, np.ones((30, 30), int)), (viewer.add_points, np.zeros((3, 2))), (viewer.add_shapes, np.eye(4, 2) * 20))
    for add, data in kinds * 2:
        layer = add(data)
        for step in range(10):
            if step == 5:
                viewer.layers.remove(layer)
            canvas.update()
            QApplication.processEvents()
    assert not canvas.grabFramebuffer().isNull()
