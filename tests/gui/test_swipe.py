"""Two maps compared by eye: a line between them, both in turn; and a map without what the classifier is unsure of."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_hsi_ssl import Project, run
from napari_hsi_ssl.cubes.cube import Classes, ClassMap
from napari_hsi_ssl.cubes.writers import save_map
from napari_hsi_ssl.gui import layers, result_layers
from napari_hsi_ssl.gui.layers import canvas_widget
from napari_hsi_ssl.gui.swipe import column_at
from napari_hsi_ssl.gui.workbench import open_workbench
from napari_hsi_ssl.steps import cubes
from tests.gui.conftest import write_cube

HEIGHT, WIDTH = 40, 60


@pytest.fixture
def bench(viewer, qtbot, tmp_path):
    """A cube with two maps in other classes, of which the second numbers them otherwise; both are chosen in the list."""
    scene = write_cube(tmp_path / "scene" / "scene.hdr", (HEIGHT, WIDTH, 8))
    run(cubes.new(tmp_path / "maps", [scene]))
    project = Project.open(tmp_path / "maps")
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    sure = np.tile(np.linspace(0.01, 1, WIDTH, dtype=np.float32), (HEIGHT, 1))
    names = {
        "one": ({1: "corn", 4: "oats"}, np.where(x < 20, 1, 4)),
        "two": ({1: "oats", 2: "corn", 300: "soil"}, np.where(y < 10, 1, np.where(x < 30, 2, 300))),
    }
    for which, (known, labels) in names.items():
        save_map(project.map_path("scene", which, "knn"), ClassMap(labels, Classes.of(list(known), known), sure, {"run": which}))
    opened = open_workbench(viewer)
    viewer.window._qt_window.resize(1200, 800)
    viewer.window._qt_window.show()
    opened.desk.open_project(project)
    opened.open("classify")
    qtbot.waitUntil(lambda: layers.find(viewer, "rgb", "scene") is not None and not opened.desk.busy, timeout=30_000)
    form = opened.forms["classify"]
    form.refresh()
    form.maps.list.selectAll()
    yield opened
    form.maps.comparison.end()
    qtbot.waitUntil(lambda: not form.jobs.running, timeout=10_000)


def begun(bench, qtbot, button):
    """The comparison after a click on its button."""
    maps = bench.forms["classify"].maps
    qtbot.waitUntil(button.isEnabled, timeout=20_000)
    button.click()
    qtbot.waitUntil(lambda: bool(maps.comparison.mode), timeout=10_000)
    return maps.comparison


def sides(bench):
    """The class names (y, x) that the canvas shows."""
    layer = layers.find(bench.desk.viewer, "swipe")
    return np.array(list(layer.features["class"]))[np.asarray(layer.data)]


def test_the_line_divides_two_maps(bench, qtbot):
    """Left of it the one, right of it the other, wherever it is dragged, in the classes and colours of each."""
    comparison = begun(bench, qtbot, bench.forms["classify"].maps.swipe)
    first, second = comparison.maps
    expected = [np.vectorize(dict(zip(one.features["index"], one.features["class"], strict=True)).get)(one.data) for one in (first, second)]
    assert not first.visible
    assert not second.visible
    handle, canvas = comparison.handle, canvas_widget(bench.desk.viewer)
    assert handle.isVisible()
    assert handle.height() == canvas.height()
    # The column under the line, by the transform with which the canvas is drawn.
    node = bench.desk.viewer.window._qt_viewer.canvas.layer_to_visual[layers.find(bench.desk.viewer, "swipe")].node
    for share in (0.5, 0.62, 0.35, 0.4):
        before = comparison.column
        start = QPoint(handle.width() // 2, 200)
        QTest.mousePress(handle, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, start)
        to = QPoint(round(share * canvas.width()) - handle.x(), 200)
        QTest.mouseMove(handle, to)
        handle.put(share * canvas.width())  # xvfb without a window manager may not deliver the drag
        QTest.mouseRelease(handle, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(handle.width() // 2, 200))
        qtbot.waitUntil(lambda: not comparison._mover.isActive(), timeout=10_000)
        drawn = node.get_transform("canvas", "visual").map([handle.place, 200])[0]
        assert comparison.column == int(np.clip(round(drawn), 0, WIDTH)), (share, before)
        found = sides(bench)
        np.testing.assert_array_equal(found[:, : comparison.column], expected[0][:, : comparison.column])
        np.testing.assert_array_equal(found[:, comparison.column :], expected[1][:, comparison.column :])
    layer = layers.find(bench.desk.viewer, "swipe")
    names, colours = list(layer.features["class"]), layer.colormap.color_dict
    corn = [number for number, name in enumerate(names) if name == "corn"]
    assert len(corn) == 2, "each map keeps its own colour of a class"
    np.testing.assert_allclose(colours[corn[0]], first.colormap.color_dict[1])
    np.testing.assert_allclose(colours[corn[1]], second.colormap.color_dict[2])


def test_the_line_goes_by_the_arrows_and_leaves_by_escape(bench, qtbot):
    comparison = begun(bench, qtbot, bench.forms["classify"].maps.swipe)
    handle, before = comparison.handle, comparison.handle.place
    QTest.keyClick(handle, Qt.Key.Key_Right)
    assert handle.place == pytest.approx(before + 12)
    QTest.keyClick(handle, Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier)
    assert handle.place == pytest.approx(before + 11)
    first, second = comparison.maps
    QTest.keyClick(handle, Qt.Key.Key_Escape)
    assert not comparison.mode
    assert layers.find(bench.desk.viewer, "swipe") is None
    assert (first.visible, second.visible) == (True, False)
    assert not bench.forms["classify"].maps.swipe.isChecked()


def test_the_line_stays_where_it_is_when_the_image_moves(bench, qtbot):
    """The image slides under it, so that both maps are seen at any place."""
    viewer = bench.desk.viewer
    comparison = begun(bench, qtbot, bench.forms["classify"].maps.swipe)
    place, before = comparison.handle.place, comparison.column
    viewer.scene.camera.center = (0, HEIGHT / 2, viewer.scene.camera.center[-1] + 9)
    qtbot.waitUntil(lambda: comparison.column == before + 9, timeout=10_000)
    assert comparison.handle.place == place
    viewer.scene.camera.zoom *= 2
    qtbot.waitUntil(lambda: comparison.column == column_at(viewer, layers.find(viewer, "swipe"), place), timeout=10_000)


def test_maps_blink(bench, qtbot):
    maps = bench.forms["classify"].maps
    comparison = begun(bench, qtbot, maps.blink)
    first, second = comparison.maps
    seen = []
    for _ in range(4):
        seen.append((first.visible, second.visible))
        qtbot.waitSignal(comparison.changed, timeout=10_000).wait()
    assert seen == [(True, False), (False, True), (True, False), (False, True)]
    assert maps.seen.text().startswith("now ")
    maps.blink.click()
    assert not comparison.mode
    assert (first.visible, second.visible) == (True, False)


def test_a_new_map_ends_the_comparison(bench, qtbot):
    """Else it would come up under a line that divides two others."""
    comparison = begun(bench, qtbot, bench.forms["classify"].maps.swipe)
    bench.desk.map_made.emit(str(bench.desk.project.map_path("scene", "two", "knn")))
    qtbot.waitUntil(lambda: not comparison.mode, timeout=20_000)
    assert result_layers.shown_map(bench.desk.viewer, "scene").name == "scene · two · knn"
    assert layers.find(bench.desk.viewer, "swipe") is None


def test_a_map_taken_away_ends_the_comparison(bench, qtbot):
    viewer = bench.desk.viewer
    comparison = begun(bench, qtbot, bench.forms["classify"].maps.swipe)
    viewer.layers.remove(comparison.maps[1])
    assert not comparison.mode
    assert layers.find(viewer, "swipe") is None
    assert result_layers.shown_map(viewer, "scene").name == "scene · one · knn"


def test_what_is_unsure_is_left_out_at_once_and_comes_back(bench, qtbot):
    """The share that is told is that of the pixels that are seen."""
    viewer, form = bench.desk.viewer, bench.forms["classify"]
    bench.desk.map_made.emit(str(bench.desk.project.map_path("scene", "one", "knn")))
    qtbot.waitUntil(lambda: result_layers.shown_map(viewer, "scene") is not None, timeout=20_000)
    layer = result_layers.shown_map(viewer, "scene")
    qtbot.waitUntil(lambda: result_layers.confidence_of(viewer, layer) is not None, timeout=20_000)
    whole, sure = np.array(layer.data), np.asarray(result_layers.confidence_of(viewer, layer).data)
    for value in (50, 90, 20, 0):
        form.look.sure.setValue(value)
        expected = np.where(sure >= value / 100, whole, 0)
        qtbot.waitUntil(lambda expected=expected: np.array_equal(layer.data, expected), timeout=10_000)
        if value:
            assert f"{(expected > 0).mean():.0%} shown" in form.look.share.text()
    assert form.look.share.text() == "all shown"
    form.look.sure.setValue(90)
    qtbot.waitUntil(lambda: not np.array_equal(layer.data, whole) and form.look.legend.count() == 1, timeout=10_000)  # the class in the west is gone
    bench.desk.map_made.emit(str(bench.desk.project.map_path("scene", "one", "knn")))
    qtbot.waitUntil(lambda: form.look.sure.value() == 0 and np.array_equal(layer.data, whole), timeout=20_000)
