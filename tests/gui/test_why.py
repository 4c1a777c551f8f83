"""A click on a map tells why: what the step says is what the tab shows, and its pictures lead to their pixels."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_hsi_ssl import Project, run
from napari_hsi_ssl.config import ClassifyConfig
from napari_hsi_ssl.explore.crops import crops, framed
from napari_hsi_ssl.gui import layers, result_layers
from napari_hsi_ssl.gui.layers import canvas_widget
from napari_hsi_ssl.gui.workbench import open_workbench
from napari_hsi_ssl.steps import cubes
from napari_hsi_ssl.steps.classify import classify
from napari_hsi_ssl.steps.explain import explain
from napari_hsi_ssl.steps.labels import save_painted
from tests.gui.conftest import write_cube
from tests.gui.test_walkthrough import Newcomer

SCENE = "scene"


@pytest.fixture
def bench(viewer, qtbot, tmp_path):
    """Two cubes of one camera; the labels are in the second, the map is of the first."""
    paths = [write_cube(tmp_path / "raw" / name / f"{name}.hdr", (40, 36, 10), seed) for seed, name in enumerate((SCENE, "other"))]
    run(cubes.new(tmp_path / "project", paths))
    project = Project.open(tmp_path / "project")
    labels = np.zeros((40, 36), dtype=np.int32)
    labels[16:24, 14:22], labels[0:4] = 1, 2
    run(save_painted(project, "other", labels, {1: "<b>bean</b>", 2: "tray"}))
    run(classify(project, "spectra", ClassifyConfig(k=5), [SCENE]))
    opened = open_workbench(viewer)
    viewer.window._qt_window.resize(1400, 900)
    viewer.window._qt_window.show()
    opened.desk.open_project(project)
    opened.open("classify")
    qtbot.waitUntil(lambda: layers.find(viewer, "rgb", SCENE) is not None and not opened.desk.busy, timeout=30_000)
    opened.desk.map_made.emit(str(project.map_path(SCENE, "spectra", "knn")))
    qtbot.waitUntil(lambda: result_layers.shown_map(viewer, SCENE) is not None, timeout=20_000)
    yield opened
    dock = viewer.window.dock_widgets["HSI explorer"]
    qtbot.waitUntil(lambda: not dock.asking.jobs.running and not dock.jobs.running, timeout=20_000)


def explorer(bench):
    return bench.desk.viewer.window.dock_widgets["HSI explorer"]


def click(bench, qtbot, y, x):
    """Click a pixel of the image."""
    rgb = layers.find(bench.desk.viewer, "rgb", SCENE)
    place = Newcomer.on_screen(type("Hand", (), {"viewer": bench.desk.viewer, "desk": bench.desk})(), y, x)
    assert rgb is not None
    QTest.mouseMove(*place)
    QTest.mouseClick(place[0], Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place[1])


def test_a_click_shows_what_the_step_says(bench, qtbot):
    viewer, dock = bench.desk.viewer, explorer(bench)
    click(bench, qtbot, 20, 18)
    qtbot.wait(300)
    assert dock.why._report is None, "clicks are for the Why tab only while it is in front"
    bench.forms["classify"].maps.why.click()
    assert dock.currentWidget() is dock.why
    click(bench, qtbot, 20, 18)
    qtbot.waitUntil(lambda: dock.why._report is not None, timeout=30_000)
    path = bench.desk.project.map_path(SCENE, "spectra", "knn")
    expected = run(explain(bench.desk.project, path, 20, 18))
    assert dock.why._report == expected
    assert "Row 20, column 18" in dock.why.words.text()
    assert "<b>bean</b>" in dock.why.words.text()
    assert dock.why.words.textFormat() == Qt.TextFormat.PlainText, "a name from a file is no markup"
    assert dock.why.near.count() == 1 + len(expected["neighbours"])
    assert dock.why.classes.texts()[0] == f"{expected['votes'][0]['share']:.0%} · <b>bean</b>"
    assert not dock.why.exits.isVisible()
    marked = layers.find(viewer, "why")
    assert marked.visible
    np.testing.assert_array_equal(marked.data[-1], (20, 18))
    dock.setCurrentWidget(dock.spectra)
    assert not marked.visible
    drawn = [item for item in dock.why.plot.getPlotItem().listDataItems() if len(item.getData()[0]) == 10]
    np.testing.assert_allclose(drawn[-1].getData()[1], expected["spectrum"])


def test_a_picture_leads_to_its_pixel_in_another_cube(bench, qtbot):
    viewer, dock = bench.desk.viewer, explorer(bench)
    dock.setCurrentWidget(dock.why)
    dock.asking.ask_pixel(1, 1)
    qtbot.waitUntil(lambda: dock.why._report is not None, timeout=30_000)
    item = dock.why.near.item(2)
    cube, y, x = item.data(Qt.ItemDataRole.UserRole)
    assert cube == "other"
    assert y < 4, "the tray is labelled in the first rows"
    dock.why.near.itemClicked.emit(item)
    qtbot.waitUntil(lambda: bench.desk.cube == "other" and tuple(np.round(viewer.scene.camera.center[-2:])) == (y, x), timeout=20_000)
    qtbot.waitUntil(lambda: not bench.desk.busy, timeout=20_000)


def test_a_pixel_outside_the_map_is_one_sentence(bench, qtbot):
    dock = explorer(bench)
    dock.setCurrentWidget(dock.why)
    result_layers.shown_map(bench.desk.viewer, SCENE).visible = False
    dock.asking.ask_pixel(1, 1)
    assert "No map lies over the image" in dock.why.words.text()


def test_a_scored_map_becomes_a_page(bench, qtbot, tmp_path):
    """From the Result tab and from Export: both hold the same figures."""
    project, dock, form = bench.desk.project, explorer(bench), bench.forms["classify"]
    truth = np.where(np.arange(40)[:, None] < 4, 2, 1) * np.ones((1, 36), dtype=np.int32)
    run(save_painted(project, SCENE, truth.astype(np.int32), {}))
    form.refresh()
    form.maps.score_map()
    qtbot.waitUntil(lambda: dock.results.current is not None and dock.results.current.score is not None, timeout=30_000)
    score = dock.results.current.score
    dock.results.page_wanted.emit(score["path"], score["labels"], str(tmp_path / "one.html"))
    qtbot.waitUntil((tmp_path / "one.html").exists, timeout=30_000)
    form.maps.export_map(project.map_path(SCENE, "spectra", "knn"), tmp_path / "two.html")
    qtbot.waitUntil(lambda: "two.html is written" in form.words.text(), timeout=30_000)
    assert form.done.command.startswith("napari-hsi-ssl report")
    for name in ("one", "two"):
        text = (tmp_path / f"{name}.html").read_text(encoding="utf-8")
        assert f"{score['oa']:.1%}" in text
        assert "&lt;b&gt;bean&lt;/b&gt;" in text


def test_the_canvas_is_still_panned_by_a_drag(bench, qtbot):
    """A drag is no question."""
    dock = explorer(bench)
    dock.setCurrentWidget(dock.why)
    native = canvas_widget(bench.desk.viewer)
    middle = native.rect().center()
    QTest.mousePress(native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, middle)
    QTest.mouseMove(native, middle + middle / 4)
    QTest.mouseRelease(native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, middle + middle / 4)
    qtbot.wait(300)
    assert dock.why._report is None


def test_pictures_are_of_their_pixels(project):
    """Else a thumbnail would show another place, the more so at the frame."""
    cube = project.cube("beans")
    whole = crops(cube, [(12, 10)], 30)[0]
    small = crops(cube, [(0, 0), (23, 19), (12, 10)], 2)
    np.testing.assert_array_equal(small[2], whole[28:33, 28:33])
    np.testing.assert_array_equal(small[0][2:, 2:], whole[18:21, 20:23])
    assert (small[0][:2] == 40).all()
    assert (small[0][:, :2] == 40).all()
    assert (small[1][3:] == 40).all()
    large = framed(small[2], "#ff8000", factor=5, frame=4)
    assert large.shape == (33, 33, 3)
    assert large[0, 0].tolist() == [255, 128, 0]
    np.testing.assert_array_equal(large[16, 16], small[2][2, 2])
