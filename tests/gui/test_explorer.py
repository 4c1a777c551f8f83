"""The explorer in a real napari window: pointer, pins, band slider, theme, scatter, runs, results, and leaving without a trace."""

from __future__ import annotations

import gc
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from napari.utils._proxies import ReadOnlyWrapper
from napari.utils.interactions import mouse_move_callbacks, mouse_press_callbacks, mouse_release_callbacks
from qtpy.QtCore import QCoreApplication, QEvent
from qtpy.QtWidgets import QApplication
from spectral import spectral_angles

from napari_hsi_ssl.config import PcaConfig
from napari_hsi_ssl.cubes.cube import Classes, ClassMap, as_cube
from napari_hsi_ssl.cubes.library import SpectralLibrary, write_library
from napari_hsi_ssl.cubes.writers import save_map, write_envi_cube
from napari_hsi_ssl.gui import layers, mask_layers, result_layers
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A project of two small cubes of two cameras, with a PCA and labels."""
    base = tmp_path_factory.mktemp("explorer")
    rng = np.random.default_rng(0)
    files = []
    for domain, bands in (("coffee", 12), ("sugar", 9)):
        data = rng.random((*SHAPE[:2], bands), dtype=np.float32) + np.linspace(0, 3, bands, dtype=np.float32)
        path = base / domain / f"{domain}.hdr"
        path.parent.mkdir()
        write_envi_cube(path, as_cube(data, np.linspace(400, 900, bands), "reflectance", name=domain))
        files.append(path)
    run(cubes.new(base / "project", files))
    project = Project.open(base / "project")
    run(pca.fit_pca(project, PcaConfig(bands=8, components=4)))
    labels = np.zeros(SHAPE[:2], dtype=np.int32)
    labels[:10], labels[12:] = 2, 5
    project.save_labels("coffee", labels, {2: "arabica", 5: "robusta"})
    return base / "project"


@pytest.fixture
def dock(folder, qtbot, monkeypatch, viewer):
    desk = desk_for(viewer)
    made = ExplorerDock(desk)
    viewer.window.add_dock_widget(made, name="Explorer", area="bottom")
    desk.open_project(Project.open(folder))
    qtbot.waitUntil(lambda: canvas_for(desk).picture is not None and layers.find(viewer, "cube", "coffee") is not None, timeout=10_000)
    yield made
    finish(qtbot, desk, made)


def finish(qtbot, desk, dock):
    # Threads that outlive the window would speak to widgets that are gone.
    for jobs in (dock.jobs, dock.pointer._jobs, canvas_for(desk)._jobs):
        jobs.stop()
        qtbot.waitUntil(lambda jobs=jobs: not jobs.running, timeout=10_000)


def truth(dock, y, x):
    return np.asarray(canvas_for(dock.desk).picture.cube.data[y, x])


def mouse(kind, position, pos=(0.0, 0.0), modifiers=(), dragging=False):
    event = SimpleNamespace(type=kind, position=position, pos=np.array(pos), modifiers=modifiers, button=1, is_dragging=dragging, handled=False)
    return ReadOnlyWrapper(event, exceptions=("handled",))


def click(dock, position, *, modifiers=(), drag=0.0):
    """Press, move and release through napari's own dispatcher."""
    viewer = dock.desk.viewer
    mouse_press_callbacks(viewer, mouse("mouse_press", position, (50.0, 50.0), modifiers))
    if drag:
        mouse_move_callbacks(viewer, mouse("mouse_move", position, (50.0 + drag, 50.0), modifiers, dragging=True))
    mouse_release_callbacks(viewer, mouse("mouse_release", position, (50.0 + drag, 50.0), modifiers))


def test_the_spectrum_under_the_pointer_is_that_of_the_pixel(dock, qtbot):
    # Rows and columns exchanged, or a shift by half a pixel, would show another pixel's spectrum.
    viewer = dock.desk.viewer
    with qtbot.waitSignal(dock.pointer.moved, timeout=5000):
        mouse_move_callbacks(viewer, mouse("mouse_move", (0.0, 7.4, 21.6)))
    x, y = dock.spectra._pointer.getData()
    np.testing.assert_allclose(y, truth(dock, 7, 22), rtol=1e-6)
    np.testing.assert_allclose(x, np.linspace(400, 900, 12), atol=0.01)
    with qtbot.waitSignal(dock.pointer.moved, timeout=5000):
        dock.pointer.move((0.0, -3.0, 5.0))
    assert dock.spectra._pointer.getData()[0] is None or not len(dock.spectra._pointer.getData()[0])


def test_many_moves_are_few_reads_and_the_last_place_wins(dock, qtbot):
    heard = []
    dock.pointer.moved.connect(heard.append)
    for step in range(200):
        dock.pointer.move((0.0, step % 20, 5.0))
    dock.pointer.move((0.0, 11.0, 13.0))
    qtbot.wait(400)
    assert len(heard) <= 4
    np.testing.assert_allclose(heard[-1], truth(dock, 11, 13), rtol=1e-6)


def test_a_click_pins_only_with_the_button_down_or_with_shift(dock, qtbot):
    # A click that paints or draws must not pin.
    click(dock, (0.0, 3.0, 4.0))
    qtbot.wait(150)
    assert dock.spectra.pinned == ()
    with qtbot.waitSignal(dock.pointer.pinned, timeout=5000):
        click(dock, (0.0, 3.0, 4.0), modifiers=("Shift",))
    dock.spectra.pin_button.setChecked(True)
    with qtbot.waitSignal(dock.pointer.pinned, timeout=5000):
        click(dock, (0.0, 11.0, 4.0))
    click(dock, (0.0, 5.0, 4.0), drag=30.0)
    qtbot.wait(150)
    assert [s.name for s in dock.spectra.pinned] == ["3, 4 · arabica (coffee)", "11, 4 (coffee)"]
    np.testing.assert_allclose(dock.spectra.pinned[0].values, truth(dock, 3, 4), rtol=1e-6)


def test_cursor_and_band_slider_move_together(dock):
    viewer = dock.desk.viewer
    viewer.dims.set_current_step(0, 5)
    assert dock.spectra._cursor.value() == pytest.approx(np.linspace(400, 900, 12)[5], abs=0.01)
    dock.spectra._cursor.setValue(900.0)
    dock.spectra._cursor.sigDragged.emit(dock.spectra._cursor)
    assert viewer.dims.current_step[0] == 11


def test_means_of_mask_and_classes_are_those_of_their_pixels(dock, qtbot):
    data = np.asarray(canvas_for(dock.desk).picture.cube.data, dtype=np.float64)
    dock.spectra.means.mask.trigger()
    qtbot.waitUntil(lambda: len(dock.spectra.pinned) == 1, timeout=5000)
    assert dock.spectra.pinned[0].name == "all pixels (coffee)"
    np.testing.assert_allclose(dock.spectra.pinned[0].values, data.mean(axis=(0, 1)), rtol=1e-5)
    mask = np.zeros(SHAPE[:2], dtype=bool)
    mask[2:9, 3:20] = True
    mask_layers.show_mask(dock.desk.viewer, "coffee", mask, saved=False)
    dock.spectra.means.mask.trigger()
    qtbot.waitUntil(lambda: len(dock.spectra.pinned) == 2, timeout=5000)
    np.testing.assert_allclose(dock.spectra.pinned[1].spread, data[mask].std(axis=0), rtol=1e-4)
    dock.spectra.means.classes.trigger()
    qtbot.waitUntil(lambda: len(dock.spectra.pinned) == 4, timeout=5000)
    robusta = dock.spectra.pinned[3]
    assert robusta.name == "robusta (coffee)"
    np.testing.assert_allclose(robusta.values, data[12:].mean(axis=(0, 1)), rtol=1e-5)


def test_what_was_measured_or_mapped_last_is_copied(dock, qtbot):
    entries = {entry.text(): entry for entry in dock.spectra.save_button.menu().actions()}
    project = f"napari-hsi-ssl {{}} {dock.desk.project.folder} --cube coffee"
    click(dock, (5, 3, 4), modifiers=("Shift",))
    qtbot.waitUntil(lambda: len(dock.spectra.pinned) == 1, timeout=5000)
    entries["Copy as command"].trigger()
    assert QApplication.clipboard().text() == f"{project.format('spectra')} --at 3,4"
    dock.spectra.means.classes.trigger()
    qtbot.waitUntil(lambda: len(dock.spectra.pinned) == 3, timeout=5000)
    entries["Copy as Python"].trigger()
    assert "spectra(project, ['coffee'], classes=True)" in QApplication.clipboard().text()
    dock.spectra.map_menu.angle.setValue(1.0)
    with qtbot.waitSignal(canvas_for(dock.desk).map_shown, timeout=10_000):
        dock.spectra.map_menu.make.click()
    entries["Copy as command"].trigger()
    beside = next((dock.desk.project.folder / "maps").glob("*.sli"))
    assert QApplication.clipboard().text() == f"{project.format('angles')} --library {beside} --max-angle 1.0"
    for path in (dock.desk.project.folder / "maps").iterdir():
        path.unlink()
    said: list[str] = []
    dock.desk.message.connect(lambda words, _level: said.append(words))
    mask_layers.show_mask(dock.desk.viewer, "coffee", np.eye(*SHAPE[:2], dtype=bool), saved=False)
    for measured in (dock.spectra.means.mask, dock.spectra.means.region):
        measured.trigger()
        entries["Copy as command"].trigger()
        assert "nothing to copy" in said[-1], "no command finds a mask that is not saved, or what is drawn"


def test_another_cube_brings_its_own_axis_and_keeps_pins_that_fit(dock, qtbot):
    with qtbot.waitSignal(dock.pointer.pinned, timeout=5000):
        dock.pointer.pin((0.0, 1.0, 1.0))
    dock.desk.set_cube("sugar")
    qtbot.waitUntil(lambda: dock.spectra._axis is not None and dock.spectra._axis.bands == 9, timeout=5000)
    assert dock.spectra.legend.texts() == ["1, 1 · arabica (coffee)"]
    dock.spectra.means.classes.trigger()
    with qtbot.waitSignal(dock.desk.message, timeout=5000) as heard:
        pass
    assert "no labelled pixel" in heard.args[0]


def test_the_pointer_reads_whatever_layer_is_selected_or_on_top(dock, qtbot):
    # Painting and drawing are when a spectrum is wanted most.
    viewer = dock.desk.viewer
    labels = layers.find(viewer, "labels", "coffee")
    for layer, mode in ((labels, "paint"), (layers.draw(viewer, "add_polygon"), "add_polygon"), (viewer.add_points(np.zeros((1, 2)), name="theirs"), "add")):
        viewer.layers.selection.active = layer
        layer.mode = mode
        with qtbot.waitSignal(dock.pointer.moved, timeout=5000) as heard:
            mouse_move_callbacks(viewer, mouse("mouse_move", (0.0, 9.2, 14.3)))
        np.testing.assert_allclose(heard.args[0], truth(dock, 9, 14), rtol=1e-6)
    layers.clear_drawing(viewer)


def test_a_read_that_waits_for_a_disk_holds_up_neither_the_window_nor_the_next_read(dock, qtbot, monkeypatch):
    released, begun = threading.Event(), []

    def slow(cube, y, x):
        begun.append((y, x))
        if (y, x) == (1, 1):
            released.wait(10)
        return np.asarray(cube.data[y, x], dtype=np.float32)

    dock.pointer._reads = slow
    heard = []
    dock.pointer.moved.connect(heard.append)
    dock.pointer.move((0.0, 1.0, 1.0))
    qtbot.waitUntil(lambda: begun == [(1, 1)], timeout=5000)
    dock.pointer.move((0.0, 5.0, 6.0))
    qtbot.waitUntil(lambda: len(heard) == 1, timeout=5000)
    np.testing.assert_allclose(heard[0], truth(dock, 5, 6), rtol=1e-6)
    released.set()
    qtbot.wait(200)
    assert len(heard) == 1, "what arrives late must not replace what the pointer is on"


def test_the_mean_of_the_selection_follows_it(dock, qtbot):
    data = np.asarray(canvas_for(dock.desk).picture.cube.data, dtype=np.float64)
    chosen = np.zeros(SHAPE[:2], dtype=bool)
    for rows in (slice(2, 6), slice(10, 20)):
        chosen[:] = False
        chosen[rows, 4:9] = True
        expected = data[chosen].mean(axis=0)
        dock.desk.set_selection(chosen.copy(), "scatter")
        qtbot.waitUntil(lambda e=expected: len(dock.spectra.pinned) == 1 and np.allclose(dock.spectra.pinned[0].values, e, rtol=1e-5), timeout=5000)
    dock.desk.set_selection(None, "scatter")
    assert dock.spectra.pinned == ()
    dock.spectra.means.selection.setChecked(False)
    dock.desk.set_selection(chosen, "scatter")
    qtbot.wait(300)
    assert dock.spectra.pinned == ()


def test_a_drawn_region_has_a_mean_and_without_one_the_user_is_told(dock, qtbot):
    with qtbot.waitSignal(dock.desk.message, timeout=5000) as heard:
        dock.spectra.means.region.trigger()
    assert "no drawn region" in heard.args[0]
    shapes = layers.draw(dock.desk.viewer, "add_rectangle")
    shapes.add_rectangles(np.array([[2.6, 3.6], [2.6, 8.4], [7.4, 8.4], [7.4, 3.6]]))
    dock.spectra.means.region.trigger()
    qtbot.waitUntil(lambda: len(dock.spectra.pinned) == 1, timeout=5000)
    data = np.asarray(canvas_for(dock.desk).picture.cube.data, dtype=np.float64)
    np.testing.assert_allclose(dock.spectra.pinned[0].values, data[3:8, 4:9].mean(axis=(0, 1)), rtol=1e-5)
    layers.clear_drawing(dock.desk.viewer)


def test_means_over_all_cubes_share_one_axis_and_can_be_pooled(dock, qtbot):
    dock.spectra.means.choose("all")
    dock.spectra.means.mask.trigger()
    qtbot.waitUntil(lambda: len(dock.spectra.pinned) == 2, timeout=5000)
    assert [len(one.values) for one in dock.spectra.shown] == [12, 9]
    assert dock.spectra.legend.texts() == ["all pixels (coffee)", "all pixels (sugar)"]


def test_a_library_is_ordered_drawn_searched_and_pinned(dock, qtbot, tmp_path):
    nm = np.linspace(350, 1000, 40)
    spectra = np.stack([np.linspace(0, 3, 40), np.ones(40), np.linspace(3, 0.1, 40), np.sin(nm / 40) + 2])
    write_library(tmp_path / "known.sli", SpectralLibrary("known", ("rise", "flat", "fall", "wave"), nm, spectra, "reflectance"))
    panel = dock.spectra.library
    dock.control.open_library(str(tmp_path / "known.sli"))
    qtbot.waitUntil(lambda: len(panel.texts()) == 4, timeout=5000)
    assert dock.spectra._compared == []
    dock.spectra.means.mask.trigger()
    qtbot.waitUntil(lambda: len(dock.spectra._compared) == 3, timeout=5000)
    assert panel.texts()[0].endswith("  rise")
    dock.control.copy("command")
    assert QApplication.clipboard().text() == f"napari-hsi-ssl spectra {dock.desk.project.folder} --cube coffee --mask --library {tmp_path / 'known.sli'}"
    target = dock.spectra.target
    scaled = dock.spectra._compared[0].getData()[1]
    assert np.abs(scaled - target.values).max() < 0.6, "an entry is scaled to lie over the curve"
    panel.search.setText("fa")
    assert [text.split()[-1] for text in panel.texts()] == ["fall"]
    panel.search.clear()
    panel.pin_button.click()
    assert [one.name for one in dock.spectra.pinned] == ["all pixels (coffee)", "rise"]
    assert dock.spectra.target.name == "all pixels (coffee)", "an entry is not compared with its own library"
    dock.spectra.views.choose("snv")
    qtbot.waitUntil(lambda: panel.texts()[0].endswith("rise"), timeout=5000)
    panel.close_button.click()
    assert dock.spectra._compared == []


def test_a_library_of_other_wavelengths_is_one_sentence_in_its_panel(dock, qtbot, tmp_path):
    write_library(tmp_path / "far.sli", SpectralLibrary("far", ("x",), np.linspace(2000, 2500, 5), np.ones((1, 5)), "reflectance"))
    dock.spectra.means.mask.trigger()
    qtbot.waitUntil(lambda: len(dock.spectra.pinned) == 1, timeout=5000)
    dock.control.open_library(str(tmp_path / "far.sli"))
    qtbot.waitUntil(lambda: "covers 2000–2500 nm" in dock.spectra.library.note.text(), timeout=5000)
    assert dock.spectra.library.texts() == ["x"]
    with qtbot.waitSignal(dock.desk.message, timeout=5000) as heard:
        dock.control.open_library(str(tmp_path / "none.sli"))
    assert "does not exist" in heard.args[0]


def test_a_map_by_angle_of_the_ticked_curves_appears_over_the_image(dock, qtbot):
    dock.spectra.means.classes.trigger()
    qtbot.waitUntil(lambda: len(dock.spectra.pinned) == 2, timeout=5000)
    dock.spectra.map_menu.angle.setValue(1.0)
    said: list[str] = []
    dock.desk.message.connect(lambda words, _level: said.append(words))
    with qtbot.waitSignal(canvas_for(dock.desk).map_shown, timeout=10_000):
        dock.spectra.map_menu.make.click()
    layer = result_layers.shown_map(dock.desk.viewer, "coffee")
    data = np.asarray(canvas_for(dock.desk).picture.cube.data, dtype=np.float64)
    plain = spectral_angles(data, np.stack([one.values for one in dock.spectra.pinned]))
    np.testing.assert_array_equal(layer.data, plain.argmin(axis=-1) + 1)
    assert dock.desk.busy == ""
    assert said == ["The map of coffee by angle is saved: step 6, Classify, lists it."]
    for path in (dock.desk.project.folder / "maps").iterdir():
        path.unlink()


def test_scatter_is_read_when_it_is_looked_at_and_holds_every_pixel(dock, qtbot):
    assert dock.scatter._densities == {}
    dock.show_plot("scatter")
    qtbot.waitUntil(lambda: bool(dock.scatter._densities), timeout=10_000)
    assert {name: int(found.counts.sum()) for name, found in dock.scatter._densities.items()} == {"coffee": 720, "sugar": 720}
    explained = Project.open(dock.desk.project.folder).projection().explained
    assert dock.scatter.plot.getAxis("bottom").labelText == f"PC 1 ({100 * explained[0]:.1f} %)"
    dock.scatter.y_box.setCurrentIndex(2)
    dock.scatter.y_box.activated.emit(2)
    qtbot.waitUntil(lambda: dock.scatter._shown_pair == (0, 2), timeout=10_000)
    assert dock.tabText(dock.indexOf(dock.scatter)) == "Scatter"


def test_news_marks_a_tab_and_only_a_wish_changes_it(dock, qtbot, tmp_path):
    desk = dock.desk
    desk.evaluated.emit("pretrain-1", {"knn_accuracy": 0.9, "linear_probe": 0.8, "random_knn_accuracy": 0.5, "random_linear_probe": 0.4, "simple": {}})
    assert dock.currentWidget() is dock.spectra
    assert dock.tabText(dock.indexOf(dock.results)) == "Result •"
    labels = np.zeros((4, 5), dtype=np.int32)
    labels[:2] = 2
    path = tmp_path / "coffee--run--knn.tif"
    save_map(path, ClassMap(labels, Classes.of([2, 5], {2: "arabica"}), np.full((4, 5), 0.5, dtype=np.float32)))
    desk.map_made.emit(str(path))
    qtbot.waitUntil(lambda: "coffee · run · knn" in dock.results.titles, timeout=5000)
    assert dock.results.current.table.rows == (("arabica", 10, 1.0), ("class 5", 0, 0.0))
    desk.plot_wanted.emit("results")
    assert dock.currentWidget() is dock.results
    assert dock.tabText(dock.indexOf(dock.results)) == "Result"


def test_events_of_a_run_reach_the_training_plot(dock, qtbot):
    dock.desk.runs = [{"run": "pretrain-1", "state": "running"}]
    dock.desk.run_events.emit("pretrain-1", [{"type": "reset"}, {"type": "started", "epochs": 3, "total_steps": 9}])
    dock.desk.run_events.emit("pretrain-1", [{"type": "step", "epoch": 1, "step": 1, "loss": 4.0, "throughput": 400.0}])
    dock.desk.runs_changed.emit()
    assert dock.training.runs.texts() == ["pretrain-1"]
    assert "step 1 of 9" in dock.training.status.text()


def test_the_plots_follow_the_theme_of_the_window(dock):
    dock.desk.viewer.theme = "light"
    assert all(not plot._theme.dark for plot in (dock.spectra, dock.scatter, dock.training, dock.results))
    dock.desk.viewer.theme = "dark"
    assert all(plot._theme.dark for plot in (dock.spectra, dock.scatter, dock.training, dock.results))


def test_a_closed_dock_leaves_nothing_behind(viewer, qtbot):
    # A callback that outlives its plot raises at every move of the mouse, for the rest of napari's life.
    desk = desk_for(viewer)
    before = [len(viewer.mouse_move_callbacks), len(viewer.mouse_drag_callbacks)]
    canvas_for(desk)  # stays, as does the selection
    selection_for(desk)
    listeners = [len(event.callbacks) for event in (viewer.dims.events.current_step, viewer.layers.events.inserted, viewer.events.theme)]
    dock = ExplorerDock(desk)
    assert [len(viewer.mouse_move_callbacks), len(viewer.mouse_drag_callbacks)] == [before[0] + 1, before[1] + 2]  # spectra and why
    finish(qtbot, desk, dock)
    dock.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()
    assert [len(viewer.mouse_move_callbacks), len(viewer.mouse_drag_callbacks)] == before
    assert [len(event.callbacks) for event in (viewer.dims.events.current_step, viewer.layers.events.inserted, viewer.events.theme)] == listeners
    desk.evaluated.emit("run", {"knn_accuracy": 0.9, "linear_probe": 0.8})
    viewer.theme = "light"
    viewer.theme = "dark"
