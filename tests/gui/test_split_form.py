"""The split in the Train form: seen on the image with its audit before anything is written, then what the next training learns from."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.qt.threading import GeneratorWorker
from qtpy.QtWidgets import QApplication

from napari_hsi_ssl.config import ClassifyConfig, SplitConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.writers import write_envi_cube
from napari_hsi_ssl.gui import layers
from napari_hsi_ssl.gui.plots.tables import score_words
from napari_hsi_ssl.gui.split_layer import SPLIT_COLOURS
from napari_hsi_ssl.gui.workbench import Section, Workbench
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import cubes, run
from napari_hsi_ssl.steps.classify import classify
from napari_hsi_ssl.steps.project_splits import CODES, chosen_split, split_project
from tests.gui.conftest import add_busy
from tests.patches.test_splits import field_image

SIDE = 64


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two cubes, the first one labelled."""
    for number, name in enumerate(("one", "two")):
        values = np.random.default_rng(number).normal(500, 50, (SIDE, SIDE, 5))
        write_envi_cube(tmp_path / "raw" / f"{name}.hdr", as_cube(values.astype(np.float32)))
    run(cubes.new(tmp_path / "project", [tmp_path / "raw"]))
    made = Project.open(tmp_path / "project")
    made.save_labels("one", field_image(0, side=SIDE).astype(np.int32), {3: "wood", 6: "stone", 9: "sand", 12: "ice"})
    return made


@pytest.fixture
def form(viewer, qtbot, project):
    """The fifth form with the page of self-distillation on top, in a real window."""
    bench = Workbench(viewer)
    add_busy(qtbot, bench, lambda: not bench.desk.busy and not bench.forms["train"].jobs.running)
    bench.show()
    bench.desk.open_project(project)
    qtbot.waitUntil(lambda: layers.find(viewer, "labels", "one") is not None, timeout=20000)
    bench.open("train")
    form = bench.forms["train"]
    form.kinds.setCurrentIndex(1)
    yield form
    GeneratorWorker.await_workers(30_000)


def shows(qtbot, form, **settings):
    """Unfold the panel, set it, and wait until the image shows what that gives."""
    config = form.split.fields.value().model_copy(update=settings)
    form.split.fields.setValue(config)
    form.split.head.setChecked(True)
    qtbot.waitUntil(lambda: form.split.seen is not None and form.split.seen.config == config, timeout=30000)
    return form.split.seen


def test_the_split_is_seen_on_the_image_and_nothing_is_written(form, qtbot):
    viewer, before = form.desk.viewer, sorted(form.project.folder.rglob("*"))
    seen = shows(qtbot, form, block=16, guard=2, folds=3, validation=True)
    layer, labels = layers.find(viewer, "split", "one"), layers.find(viewer, "labels", "one")
    np.testing.assert_array_equal(layer.data, seen.pictures["one"])
    assert layer.visible
    assert not labels.visible
    for part, code in CODES.items():
        assert f"{seen.counts[part]:,}" in form.split.parts[part].text()
        expected = np.array([int(SPLIT_COLOURS[part][place : place + 2], 16) / 255 for place in (1, 3, 5)])
        np.testing.assert_allclose(layer.colormap.color_dict[code][:3], expected, atol=1e-3)
    assert form.split.verdict.text().startswith(seen.audit["verdict"])
    assert "A window of 15 pixels needs a guard of 14." in form.split.verdict.text()
    form.split.number.setValue(3)
    qtbot.waitUntil(lambda: form.split.seen.fold.number == 3, timeout=20000)
    np.testing.assert_array_equal(layer.data, form.split.seen.pictures["one"])
    form.split.head.setChecked(False)
    assert not layer.visible
    assert labels.visible
    assert sorted(form.project.folder.rglob("*")) == before


def test_the_verdict_says_when_a_split_leaks(form, qtbot):
    shows(qtbot, form, kind="random", per_class=None)
    assert form.split.verdict.text().startswith("A leak throughout")
    assert form.split.fields.editors["block"].widget.isHidden()
    assert form.split.fields.editors["guard"].widget.isHidden()
    assert not form.split.fields.editors["share"].widget.isHidden()
    shows(qtbot, form, kind="blocks", block=20, guard=14, folds=3)
    assert form.split.verdict.text().startswith("No leak")


def test_the_suggested_guard_follows_the_window_until_it_is_set_by_hand(form):
    guard, window = form.split.fields.editors["guard"], form.kinds.distil.editors["window"]
    assert guard.value() == 14
    window.setValue(9)
    assert guard.value() == 8
    guard.setValue(20)
    window.setValue(11)
    assert guard.value() == 20


def test_a_split_that_cannot_be_is_said_beside_it(form, qtbot):
    form.split.fields.setValue(form.split.fields.value().model_copy(update={"block": 16, "guard": 60}))
    form.split.head.setChecked(True)
    qtbot.waitUntil(lambda: "leaves no training pixel" in form.split.verdict.text(), timeout=20000)
    layer = layers.find(form.desk.viewer, "split", "one")
    assert layer is None or not layer.visible
    assert not form.words.isVisible()


def test_a_split_that_is_used_trains_and_judges(form, qtbot):
    assert "Trains on all labels" in form.split.used.text()
    assert form.split.files("train") is None
    shows(qtbot, form, block=16, guard=2, folds=3, validation=True)
    form.split.number.setValue(2)
    qtbot.waitUntil(lambda: form.split.seen.fold.number == 2, timeout=20000)
    form.split.use.click()
    qtbot.waitUntil(lambda: "Trains on fold 2" in form.split.used.text(), timeout=20000)
    found = chosen_split(form.project)
    assert form.split.files("train") == found["train"]
    assert found["train"]["one"].name == "fold2_train.tif"
    np.testing.assert_array_equal(tifffile.imread(found["test"]["one"]) != 0, layers.find(form.desk.viewer, "split", "one").data == CODES["test"])
    assert "the files are in splits/blocks-" in form.words.text()
    assert form.copy("command")
    words = shlex.split(QApplication.clipboard().text())
    assert words[words.index("--train") + 1] == f"one={found['train']['one']}"
    assert words[words.index("--validation") + 1] == f"one={found['validation']['one']}"
    form.desk.labels_changed.emit("one")
    assert "The labels have changed since" in form.split.used.text()
    form.desk.open_project(Project.open(form.project.folder))
    assert form.split.files("train") == found["train"], "a project that is opened again trains on its split"
    assert form.split.number.value() == 2
    form.split.all.click()
    qtbot.waitUntil(lambda: "Trains on all labels" in form.split.used.text(), timeout=20000)
    assert form.split.files("train") is None
    assert chosen_split(form.project) == {}


def test_another_cube_and_another_page_take_the_split_off_the_image(form, qtbot):
    viewer = form.desk.viewer
    shows(qtbot, form, block=16, guard=2)
    form.kinds.setCurrentIndex(0)
    assert not layers.find(viewer, "split", "one").visible
    assert not form.split.isVisible()
    form.kinds.setCurrentIndex(1)
    qtbot.waitUntil(lambda: layers.find(viewer, "split", "one").visible, timeout=20000)
    form.desk.set_cube("two")
    qtbot.waitUntil(lambda: layers.find(viewer, "rgb", "two") is not None and layers.find(viewer, "split", "one") is None, timeout=20000)
    form.desk.set_cube("one")
    qtbot.waitUntil(lambda: layers.find(viewer, "split", "one") is not None and layers.find(viewer, "split", "one").visible, timeout=20000)
    assert not layers.find(viewer, "labels", "one").visible


def test_the_score_of_a_map_takes_the_test_part_and_says_what_it_is_worth(form, qtbot):
    project, desk = form.project, form.desk
    report = run(split_project(project, SplitConfig(block=16, guard=2, folds=3), number=1))
    made = run(classify(project, "spectra", ClassifyConfig(k=5), ["one"], chosen_split(project)["train"]))
    other = next(section.form for section in form.window().findChildren(Section) if section.form.title == "Classify")
    desk.map_made.emit(made["maps"][0]["path"])
    other.refresh()
    other.maps.list.setCurrentRow(0)
    results = []
    desk.result_made.connect(lambda kind, found: results.append((kind, found)))
    other.maps.score_map()
    qtbot.waitUntil(lambda: bool(results), timeout=20000)
    kind, found = results[0]
    assert kind == "score"
    assert found["labels"] == report["folds"][0]["test"]
    assert f"{report['folds'][0]['n_test']:,} test pixels of its split. No test window of 1 pixel shares a pixel" in other.words.text()
    assert not other.warnings.text()
    assert "windows with training\npixels: 0 %" in score_words(found)
