"""Two-way brushing in a real window: a lasso in the scatter selects in the image, a region in the image lights up in the scatter."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QMenu
from skimage.measure import points_in_poly
from typer.testing import CliRunner

from napari_hsi_ssl.cli import app
from napari_hsi_ssl.config import PcaConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.writers import write_envi_cube
from napari_hsi_ssl.gui import layers, mask_layers
from napari_hsi_ssl.gui.canvas import canvas_for
from napari_hsi_ssl.gui.desk import desk_for
from napari_hsi_ssl.gui.plots.explorer import ExplorerDock
from napari_hsi_ssl.gui.selection import selection_for
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import cubes, pca

pytestmark = [
    pytest.mark.filterwarnings("ignore:System theme detection:UserWarning"),
    pytest.mark.filterwarnings("ignore:napari support for the PyQt5 backend:"),
]
SHAPE = (24, 30, 12)


@pytest.fixture
def dock(tmp_path, qtbot, make_napari_viewer):
    """Two cubes whose left half is another material than the right half."""
    generator = np.random.default_rng(0)
    files = []
    for name in ("coffee", "sugar"):
        data = generator.random(SHAPE, dtype=np.float32) * 0.2 + np.linspace(0, 3, 12, dtype=np.float32)
        data[:, :15] += 2
        path = tmp_path / name / f"{name}.hdr"
        path.parent.mkdir()
        write_envi_cube(path, as_cube(data, np.linspace(400, 900, 12), "reflectance", name=name))
        files.append(path)
    run(cubes.new(tmp_path / "project", files))
    project = Project.open(tmp_path / "project")
    run(pca.fit_pca(project, PcaConfig(bands=12, components=4)))
    viewer = make_napari_viewer(show=True)
    desk = desk_for(viewer)
    made = ExplorerDock(desk)
    viewer.window.add_dock_widget(made, name="Explorer", area="bottom")
    desk.open_project(project)
    qtbot.waitUntil(lambda: canvas_for(desk).picture is not None and layers.find(viewer, "cube", "coffee") is not None, timeout=10_000)
    made.show_plot("scatter")
    qtbot.waitUntil(lambda: made.brushing.view is not None, timeout=10_000)
    yield made
    for jobs in (made.jobs, made.pointer._jobs, canvas_for(desk)._jobs, selection_for(desk).jobs):
        jobs.stop()
        qtbot.waitUntil(lambda jobs=jobs: not jobs.running, timeout=10_000)


def first_component(dock, cube="coffee"):
    """Real scores (y, x) of the first two components."""
    project = dock.desk.project
    return np.asarray(project.scores(cube), dtype=np.float32)[..., :2] * project.projection().scale.astype(np.float32)[:2]


def lasso(dock, qtbot, corners, modifier=Qt.KeyboardModifier.NoModifier):
    """Drag the mouse around corners given in component units."""
    plot = dock.scatter
    viewport = plot.plot.viewport()
    places = [plot.plot.mapFromScene(plot.view.mapViewToScene(QPointF(*corner))) for corner in corners]
    with qtbot.waitSignal(dock.desk.selection_changed, timeout=10_000):
        qtbot.mousePress(viewport, Qt.MouseButton.LeftButton, modifier, pos=places[0])
        for place in places[1:]:
            qtbot.wait(15)
            beside = QPointF(viewport.mapToGlobal(place))
            event = QMouseEvent(QEvent.Type.MouseMove, QPointF(place), beside, Qt.MouseButton.NoButton, Qt.MouseButton.LeftButton, modifier)
            QApplication.sendEvent(viewport, event)
        qtbot.mouseRelease(viewport, Qt.MouseButton.LeftButton, modifier, pos=places[-1])


def around_right_half(dock):
    """Corners around the cluster of one half, and the pixels in it."""
    (x0, x1), (y0, y1) = dock.brushing.view.plane.limits
    scores = first_component(dock)
    sign = np.sign(scores[:, 20:, 0].mean())
    far = (x0 if sign < 0 else x1) * 0.98
    corners = [(sign * 0.2, y0 * 0.95), (far, y0 * 0.95), (far, y1 * 0.95), (sign * 0.2, y1 * 0.95)]
    return corners


def test_a_lasso_lights_up_the_pixels_it_holds_and_becomes_the_mask(dock, qtbot):
    desk, viewer = dock.desk, dock.desk.viewer
    lasso(dock, qtbot, around_right_half(dock))
    selected = desk.selection
    polygon = selection_for(desk).strokes[0].polygon
    expected = points_in_poly(first_component(dock).reshape(-1, 2).astype(float), polygon).reshape(SHAPE[:2])
    np.testing.assert_array_equal(selected, expected)
    assert selected[:, 15:].mean() > 0.9
    assert not selected[:, :15].any()
    layer = layers.find(viewer, "selection", "coffee")
    np.testing.assert_array_equal(np.asarray(layer.data) != 0, expected)
    assert layer.visible
    assert f"{expected.sum():,} px of coffee" in dock.brushing.bar.words.text()
    qtbot.waitUntil(lambda: dock.scatter._selected is not None, timeout=5000)
    assert dock.scatter._selected.sum() == expected.sum()
    with qtbot.waitSignal(desk.masks_changed, timeout=5000):
        selection_for(desk).to_mask("set")
    np.testing.assert_array_equal(desk.project.mask("coffee"), expected)
    np.testing.assert_array_equal(mask_layers.mask_on_canvas(viewer, "coffee"), expected)
    assert mask_layers.step_mask(viewer, "coffee", forward=False)
    assert not np.array_equal(mask_layers.mask_on_canvas(viewer, "coffee"), expected)


def test_another_cube_is_selected_by_the_same_lasso(dock, qtbot):
    desk = dock.desk
    lasso(dock, qtbot, around_right_half(dock))
    with qtbot.waitSignal(desk.selection_changed, timeout=5000, check_params_cb=lambda source: source == "scatter"):
        desk.set_cube("sugar")
    polygon = selection_for(desk).strokes[0].polygon
    expected = points_in_poly(first_component(dock, "sugar").reshape(-1, 2).astype(float), polygon).reshape(SHAPE[:2])
    np.testing.assert_array_equal(desk.selection, expected)
    with qtbot.waitSignal(desk.masks_changed, timeout=5000):
        selection_for(desk).to_masks_of_all()
    assert desk.project.mask("coffee").sum() > 0
    np.testing.assert_array_equal(desk.project.mask("sugar"), expected)


def test_shift_adds_and_ctrl_takes_away(dock, qtbot):
    desk = dock.desk
    corners = np.array(around_right_half(dock))
    lasso(dock, qtbot, corners)
    first = desk.selection
    half = corners.copy()
    half[:, 1] = [half[0, 1], half[0, 1], 0, 0]
    lasso(dock, qtbot, half, Qt.KeyboardModifier.ControlModifier)
    less = desk.selection
    assert 0 < less.sum() < first.sum()
    assert not (less & ~first).any()
    lasso(dock, qtbot, half, Qt.KeyboardModifier.ShiftModifier)
    assert desk.selection.sum() == pytest.approx(first.sum(), abs=5)
    assert len(selection_for(desk).strokes) == 3


def test_what_a_lasso_selected_and_became_is_copied(dock, qtbot):
    """The copied line, run on the project, gives the same pixels as the window did."""
    desk, selection, clipboard = dock.desk, selection_for(dock.desk), QApplication.clipboard()
    folder = str(desk.project.folder)

    def again():
        menu = dock.brushing.bar.more.menu()
        menu.aboutToShow.emit()
        next(entry for entry in menu.actions() if entry.text() == "Copy as command").trigger()
        done = CliRunner().invoke(app, [*shlex.split(clipboard.text())[1:], "--json"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout.splitlines()[-1])

    lasso(dock, qtbot, around_right_half(dock))
    count = int(desk.selection.sum())
    assert again()["cubes"]["coffee"]["selected"] == count
    with qtbot.waitSignal(desk.masks_changed, timeout=5000):
        selection.to_mask("set")
    mask = desk.project.mask("coffee")
    (desk.project.folder / "masks" / "coffee.tif").unlink()
    again()
    np.testing.assert_array_equal(Project.open(folder).mask("coffee"), mask)
    with qtbot.waitSignal(desk.labels_changed, timeout=5000):
        selection.to_class()
    assert selection_for(dock.desk).copy("command")
    assert clipboard.text().endswith("--class 'class 1' --cube coffee")
    with qtbot.waitSignal(desk.labels_changed, timeout=5000):
        selection.to_class_in_all("beans")
    assert selection_for(dock.desk).copy("python")
    assert "'beans')" in clipboard.text()
    assert "lasso_class(project, strokes_around(project, [(" in clipboard.text()


def test_several_lassos_are_copied_as_python_alone(dock, qtbot):
    told = []
    selection_for(dock.desk).told.connect(lambda words, _: told.append(words))
    corners = np.array(around_right_half(dock))
    lasso(dock, qtbot, corners)
    lasso(dock, qtbot, corners, Qt.KeyboardModifier.ShiftModifier)
    QApplication.clipboard().clear()
    assert not selection_for(dock.desk).copy("command")
    assert not QApplication.clipboard().text()
    assert "several: copy them as Python" in told[-1]
    assert selection_for(dock.desk).copy("python")
    assert QApplication.clipboard().text().count("strokes_around(") == 2
    dock.desk.set_selection(np.ones(SHAPE[:2], dtype=bool), "form")
    assert not selection_for(dock.desk).copy("python")
    assert "nothing to copy" in told[-1]


def test_a_lasso_that_holds_nothing_says_so_in_one_sentence(dock, qtbot):
    (x0, x1), (y0, y1) = dock.brushing.view.plane.limits
    width, height = x1 - x0, y1 - y0
    lasso(dock, qtbot, [(x0 + 0.5 * width, y0 + 0.01 * height), (x0 + 0.52 * width, y0 + 0.01 * height), (x0 + 0.51 * width, y0 + 0.04 * height)])
    assert dock.desk.selection is None
    qtbot.waitUntil(lambda: "draw it around points" in dock.brushing.bar.words.text(), timeout=5000)
    assert "No pixel of coffee is inside the lasso" in dock.brushing.bar.words.text()
    assert not dock.brushing.bar.mask.isEnabled()
    assert len(dock.scatter.view.outline.getData()[0]) == 0, "a line around nothing"


def test_a_lasso_around_another_cube_s_points_says_whose_they_are(dock, qtbot):
    """Points that are seen in the scatter and cannot be selected seem to be a bug."""
    project, bar = dock.desk.project, dock.brushing.bar
    one = np.zeros(SHAPE[:2], dtype=bool)
    one[0, 0] = True
    project.save_mask("coffee", one)
    (x0, x1), (y0, y1) = dock.brushing.view.plane.limits
    left = first_component(dock)[0, 0, 0] > 0  # the one pixel in use lies on the right, so the lasso on the left
    near, far = (-0.2, x0) if left else (0.2, x1)
    corners = np.array([(near, y0), (far, y0), (far, y1), (near, y1)])
    dock.brushing.lassoed(corners, "new")
    qtbot.waitUntil(lambda: "px of sugar" in bar.words.text(), timeout=5000)
    assert bar.words.text().startswith("No pixel of coffee is inside the lasso: ")
    assert bar.words.text().endswith("are; choose that cube to see them.")
    assert bar.words.wordWrap()
    assert dock.desk.selection is None


def test_this_cube_is_told_from_the_others_and_follows_the_desk(dock, qtbot):
    dock.scatter.set_colour("cube")
    dock.scatter.colour_changed.emit("cube")
    qtbot.waitUntil(lambda: dock.scatter.legend.texts() == ["coffee\n720 px", "other cubes\n720 px"], timeout=5000)
    dock.desk.set_cube("sugar")
    qtbot.waitUntil(lambda: dock.scatter.legend.texts() == ["sugar\n720 px", "other cubes\n720 px"], timeout=5000)


def test_a_region_drawn_in_the_image_lights_up_in_the_scatter(dock, qtbot):
    desk, viewer = dock.desk, dock.desk.viewer
    selection_for(desk).draw("add_rectangle")
    drawing = layers.find(viewer, "draw")
    with qtbot.waitSignal(desk.selection_changed, timeout=5000, check_params_cb=lambda source: source == "image"):
        drawing.add_rectangles(np.array([[2, 3], [2, 10], [8, 10], [8, 3]]))
    assert desk.selection[3:8, 4:10].all()
    assert desk.selection.sum() < 80
    qtbot.waitUntil(lambda: dock.scatter._selected is not None, timeout=5000)
    chosen = first_component(dock)[desk.selection]
    plane = dock.brushing.view.plane
    np.testing.assert_array_equal(dock.scatter._selected, plane.count(plane.cells(chosen[:, 0], chosen[:, 1])))
    with qtbot.waitSignal(desk.selection_changed, timeout=5000):
        layers.clear_drawing(viewer)
    assert desk.selection is None
    assert not dock.scatter.overlay.isVisible()


def test_what_is_painted_on_the_selection_is_selected(dock, qtbot):
    desk, viewer = dock.desk, dock.desk.viewer
    selection_for(desk).draw("brush")
    layer = layers.find(viewer, "selection", "coffee")
    assert layer.mode == "paint"
    layer.data[4:7, 5:9] = 1
    with qtbot.waitSignal(desk.selection_changed, timeout=5000):
        layer.events.paint(value=[])
    assert desk.selection.sum() == 12
    selection_for(desk).clear()
    assert desk.selection is None
    assert not layer.visible


def test_a_selection_becomes_a_class_and_a_class_a_selection(dock, qtbot):
    desk, viewer = dock.desk, dock.desk.viewer
    region = np.zeros(SHAPE[:2], dtype=bool)
    region[5:9, 6:12] = True
    desk.set_selection(region, "form")
    with qtbot.waitSignal(desk.labels_changed, timeout=5000):
        selection_for(desk).to_class()
    np.testing.assert_array_equal(desk.project.labels("coffee"), region.astype(int))
    assert desk.project.classes.names == ("class 1",)
    selection_for(desk).clear()
    selection_for(desk).take_class(1)
    np.testing.assert_array_equal(desk.selection, region)
    selection_for(desk).invert()
    assert desk.selection.sum() == region.size - region.sum()
    layers.find(viewer, "labels", "coffee").undo()
    assert not np.asarray(layers.find(viewer, "labels", "coffee").data).any()


def test_the_menus_offer_what_there_is(dock, qtbot):
    desk, bar = dock.desk, dock.brushing.bar
    desk.project.save_labels("coffee", np.ones(SHAPE[:2], dtype=np.int32), {1: "arabica"})
    desk.labels_changed.emit("coffee")
    qtbot.waitUntil(lambda: layers.find(desk.viewer, "labels", "coffee") is not None, timeout=5000)

    def entries(fill):
        menu = QMenu()
        fill(menu)
        return [action.text() for action in menu.actions() if action.text()], menu

    assert "Class arabica" in entries(bar._fill_take)[0]
    assert entries(bar._fill_class)[0][:2] == ["New class", "arabica"]
    texts, menu = entries(bar._fill_mask)
    assert texts[:3] == ["Set as mask", "Add to mask", "Remove from mask"]
    assert not menu.actions()[-1].isEnabled()


def test_other_groups_are_read_when_they_are_asked_for(dock, qtbot):
    assert dock.scatter.colour == "domain"
    mask = np.zeros(SHAPE[:2], dtype=bool)
    mask[:, :15] = True
    dock.desk.project.save_mask("coffee", mask)
    dock.scatter.set_colour("mask")
    with qtbot.waitSignal(dock.brushing.drawn, timeout=5000):
        dock.scatter.colour_changed.emit("mask")
    assert dock.scatter.legend.texts() == ["in the masks\n1,080 px", "outside\n360 px"]


def test_numbers_of_the_components_are_read_in_a_small_dock(dock, qtbot):
    # At 1280 px each entry read "M…".
    dock.show_plot("loadings")
    qtbot.waitUntil(lambda: dock.loadings.legend.count() == 4, timeout=5000)
    dock.loadings.resize(460, 240)
    legend = dock.loadings.legend
    qtbot.waitUntil(lambda: legend.viewport().width() > 0)
    assert legend.sizeHintForColumn(0) <= legend.viewport().width()
    assert dock.minimumSizeHint().width() <= 485, "the window must fit a laptop of 1280 pixels"


def test_components_are_drawn_against_wavelength(dock, qtbot):
    dock.show_plot("loadings")
    qtbot.waitUntil(lambda: dock.loadings._found is not None, timeout=5000)
    found = dock.loadings._found
    assert found.in_nm
    np.testing.assert_allclose([found.positions[0], found.positions[-1]], [400, 900], atol=0.5)
    assert dock.loadings.plot.getAxis("bottom").labelText == "Wavelength (nm)"
    assert dock.loadings.legend.texts()[0].startswith("PC 1 · ")


def test_a_tab_that_was_in_front_from_the_start_is_drawn_too(dock, qtbot):
    """As when the window remembers it: the project is opened before anything is on the screen."""
    desk = dock.desk
    other = ExplorerDock(desk)
    qtbot.addWidget(other)
    other.show_plot("scatter")
    qtbot.waitUntil(lambda: other.brushing.view is not None, timeout=5000)
    other.jobs.stop()
