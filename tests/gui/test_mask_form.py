"""The mask form in a real window: pixels picked by real mouse events, regions, clusters, undo, the contact sheet, and all of it by keyboard."""

from __future__ import annotations

import shutil
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget
from typer.testing import CliRunner

from napari_hsi_ssl.cli import app
from napari_hsi_ssl.config import MaskConfig
from napari_hsi_ssl.explore.regions import angle_image, grow, pixel_spectra
from napari_hsi_ssl.gui import layers, mask_layers
from napari_hsi_ssl.gui.layers import canvas_widget
from napari_hsi_ssl.gui.mask_history import FEWEST_STEPS, MaskHistory, history_for
from napari_hsi_ssl.gui.masking import save_drawn
from napari_hsi_ssl.gui.selection import selection_for
from napari_hsi_ssl.gui.workbench import open_workbench
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import cubes
from napari_hsi_ssl.steps.labels import save_painted
from tests.gui.conftest import activate, write_cube

NO_KEYS = Qt.KeyboardModifier.NoModifier


@pytest.fixture
def form(viewer, project, qtbot):
    """The mask form in a window, with a cube on the canvas."""
    bench = open_workbench(viewer, explorer=False)
    window = viewer.window._qt_window
    window.resize(1300, 850)
    window.show()
    activate(window)
    bench.desk.open_project(project)
    qtbot.waitUntil(lambda: layers.find(viewer, "rgb", "beans") is not None, timeout=20000)
    bench.open("mask and labels")
    one = bench.forms["mask and labels"]
    one.fields.setValue(MaskConfig(fill_holes=False, drop_specks=0))
    qtbot.waitUntil(lambda: mask_of(one) is not None and not one.jobs.running, timeout=20000)
    yield one
    qtbot.waitUntil(lambda: not one.desk.busy and not one.jobs.running, timeout=20000)


def mask_of(one: Any) -> Any:
    return mask_layers.mask_on_canvas(one.desk.viewer, one.desk.cube)


def settled(one: Any, qtbot: Any, wanted: Any) -> None:
    """Wait until the mask on the canvas is the one that is wanted."""
    qtbot.waitUntil(lambda: np.array_equal(mask_of(one), wanted) and not one.jobs.running, timeout=15000)


def on_screen(viewer: Any, y: int, x: int) -> tuple[QWidget, QPoint]:
    """Return the canvas and the place of a pixel on it."""
    native = canvas_widget(viewer)
    canvas = viewer.window._qt_viewer.canvas
    layer = next(one for one in viewer.layers if layers.role_of(one) == "rgb")
    node = canvas.layer_to_visual[layer].node
    # The visual's own transform says where a pixel's centre lies on the screen.
    place = node.get_transform("visual", "canvas").map([x + 0.5, y + 0.5])
    return native, QPoint(round(place[0] / place[3]), round(place[1] / place[3]))


def click(viewer: Any, y: int, x: int, modifier: Any = NO_KEYS) -> None:
    """Click a pixel with the mouse."""
    native, place = on_screen(viewer, y, x)
    QTest.mouseMove(native, place)
    QTest.mouseClick(native, Qt.MouseButton.LeftButton, modifier, place)
    QApplication.processEvents()


def press(widget: QWidget, key: Any, modifier: Any = NO_KEYS, times: int = 1) -> None:
    for _ in range(times):
        QTest.keyClick(widget, key, modifier)
        QApplication.processEvents()


def angles(one: Any, *pixels: tuple[int, int]) -> np.ndarray:
    cube = one.project.cube(one.desk.cube)
    return run(angle_image(cube, pixel_spectra(cube, pixels)))


# -- picking --------------------------------------------------------------------------------------------------------------


def test_reference_pixels_are_picked_with_the_mouse(form, qtbot):
    """Each click adds a reference, is shown on the image, and the mask holds what is near any of them."""
    viewer = form.desk.viewer
    form.by_key("angle")
    assert form.pick.isChecked()
    form.rules.angle.setValue(0.15)
    click(viewer, 12, 10)
    assert form.rules.picks == [(12, 10)]
    settled(form, qtbot, angles(form, (12, 10)) <= 0.15)
    click(viewer, 1, 1)
    assert form.rules.picks == [(12, 10), (1, 1)]
    settled(form, qtbot, angles(form, (12, 10), (1, 1)) <= 0.15)
    np.testing.assert_array_equal(layers.find(viewer, "picks").data, [[12, 10], [1, 1]])
    assert "(12, 10), (1, 1)" in form.rules.picked.text()
    click(viewer, 12, 10)
    assert form.rules.picks == [(1, 1)], "a second click on a picked pixel gives it up"
    form.rules.clear.click()
    assert not layers.find(viewer, "picks").visible


def test_the_tolerance_cuts_one_angle_image(form, qtbot, monkeypatch):
    """Dragging must not read the cube again: on a large one every move would take seconds."""
    from napari_hsi_ssl.gui.forms import mask_rules

    read = []
    plain = mask_rules.angle_picture
    monkeypatch.setattr(mask_rules, "angle_picture", lambda *args: read.append(args) or plain(*args))
    form.by_key("angle")
    form.rules.add_pick(12, 10)
    qtbot.waitUntil(lambda: form.rules._angles is not None, timeout=10000)
    found = angles(form, (12, 10))
    for value in (0.02, 0.05, 0.3, 0.08):
        form.rules.angle.setValue(value)
        settled(form, qtbot, found <= value)
    assert len(read) == 1


def test_a_drag_moves_the_image_and_picks_nothing(form):
    form.by_key("angle")
    native, place = on_screen(form.desk.viewer, 12, 10)
    QTest.mousePress(native, Qt.MouseButton.LeftButton, NO_KEYS, place)
    for step in range(1, 6):
        QTest.mouseMove(native, place + QPoint(12 * step, 0))
        QApplication.processEvents()
    QTest.mouseRelease(native, Qt.MouseButton.LeftButton, NO_KEYS, place + QPoint(60, 0))
    QApplication.processEvents()
    assert form.rules.picks == []


def test_leaving_the_form_ends_picking(form):
    """A click meant for something else would change the mask."""
    form.by_key("angle")
    form.open_page("hand")
    assert not form.picker.on
    assert not form.pick.isChecked()
    assert form.picker._pressed not in form.desk.viewer.mouse_drag_callbacks


# -- regions and clusters ---------------------------------------------------------------------------------------------------


def test_a_region_grows_from_a_click_and_follows_the_tolerance(form, qtbot):
    viewer = form.desk.viewer
    mask_layers.show_mask(viewer, "beans", np.zeros((24, 20), dtype=bool), saved=False)
    form.forget_base()
    form.open_page("click")
    form.growing.grow.setChecked(True)
    cube = form.project.cube("beans")
    region = lambda tolerance, pixel: run(grow(cube, MaskConfig(method="grow", at=[pixel], tolerance=tolerance)))  # noqa: E731
    click(viewer, 12, 10)
    settled(form, qtbot, region(0.1, (12, 10)))
    form.growing.tolerance.setValue(0.02)
    settled(form, qtbot, region(0.02, (12, 10)))
    form.growing.tolerance.setValue(0.1)
    settled(form, qtbot, region(0.1, (12, 10)))
    first = mask_of(form)
    click(viewer, 1, 1)
    settled(form, qtbot, first | region(0.1, (1, 1)))
    click(viewer, 12, 10, Qt.KeyboardModifier.ShiftModifier)
    settled(form, qtbot, (first | region(0.1, (1, 1))) & ~region(0.1, (12, 10)))
    form.step(False)
    form.step(False)
    np.testing.assert_array_equal(mask_of(form), first)
    form.step(False)
    assert not mask_of(form).any(), "a region with all its tolerances is one step"


def test_clicking_the_background_cluster(form, qtbot):
    viewer = form.desk.viewer
    form.fields.setValue(MaskConfig(method="kmeans", clusters=2, fill_holes=False, drop_specks=0))
    qtbot.waitUntil(lambda: form.rules.clusters is not None, timeout=30000)
    numbers = form.rules.clusters.numbers
    disc = numbers == numbers[12, 10]
    settled(form, qtbot, disc)
    assert form.rules.click.isChecked()
    overlay = layers.find(viewer, "clusters", "beans")
    assert overlay.visible
    np.testing.assert_array_equal(overlay.data, numbers + 1)
    click(viewer, 12, 10)
    settled(form, qtbot, np.zeros_like(disc))
    click(viewer, 12, 10)
    assert "is background already; Shift and a click" in form.words.text(), "who clicks the background once more wants it away, not back"
    assert not form.rules.foreground
    click(viewer, 0, 0, Qt.KeyboardModifier.ShiftModifier)
    settled(form, qtbot, ~disc)
    click(viewer, 0, 0, Qt.KeyboardModifier.ShiftModifier)
    assert "is foreground already" in form.words.text()
    form.rules.chips[int(numbers[12, 10])].click()
    settled(form, qtbot, np.ones_like(disc))
    assert "holds every pixel" in form.words.text()
    assert form.rule().foreground == (0, 1)
    form.open_page("hand")
    assert not overlay.visible


# -- combining, undo ----------------------------------------------------------------------------------------------------------


def test_nothing_of_a_project_is_used_in_the_next_one(form, qtbot, tmp_path):
    """Cubes of two projects are often called alike: clusters, angles, picks and steps to take back are another cube's."""
    form.fields.setValue(form.fields.value().model_copy(update={"method": "kmeans"}))
    qtbot.waitUntil(lambda: form.rules.clusters is not None and not form.jobs.running, timeout=15000)
    form.rules.add_pick(3, 3)
    form.change("invert")
    qtbot.waitUntil(lambda: not form.jobs.running, timeout=15000)
    assert history_for(form.desk.viewer).able("beans") != (0, 0)
    run(cubes.new(tmp_path / "other", [write_cube(tmp_path / "other-raw" / "beans.hdr", (30, 26, 7), seed=3)]))
    form.desk.open_project(Project.open(tmp_path / "other"))
    assert form.rules.clusters is None
    assert form.rules.picks == []
    assert not form.rules.chips
    assert history_for(form.desk.viewer).able("beans") == (0, 0)
    qtbot.waitUntil(lambda: form.canvas.picture is not None and form.canvas.picture.cube.shape == (30, 26, 7), timeout=15000)


def test_a_rule_is_combined_with_the_mask_that_was_there(form, qtbot):
    otsu = mask_of(form)
    top = np.zeros_like(otsu)
    top[:6] = True
    mask_layers.show_mask(form.desk.viewer, "beans", top, saved=False)
    form.forget_base()
    for index, expected in ((1, top | otsu), (2, top & otsu), (3, top & ~otsu), (0, otsu)):
        mask_layers.show_mask(form.desk.viewer, "beans", top, saved=False)
        form.forget_base()
        form.rules.combine.setCurrentIndex(index)
        form.preview()
        settled(form, qtbot, expected)


def test_the_mask_and_not_a_class(form, qtbot):
    otsu = mask_of(form)
    labels = np.zeros(otsu.shape, dtype=np.int32)
    labels[:12] = 3
    run(save_painted(form.project, "beans", labels, {3: "roasted"}))
    form.desk.labels_changed.emit("beans")
    form.open_page("combine")
    form.combining.choose("labels 3", "subtract")
    assert "mask AND NOT class 3: roasted" in form.combining.sentence.text()
    form.combining.apply.click()
    settled(form, qtbot, otsu & (labels != 3))
    form.combining.choose("saved", "add")
    form.combining.apply.click()
    qtbot.waitUntil(lambda: "has no saved mask" in form.words.text(), timeout=10000)
    form.combining.choose("selection", "add")
    form.combining.apply.click()
    qtbot.waitUntil(lambda: "Nothing is selected" in form.words.text(), timeout=10000)


def test_everything_can_be_taken_back_step_by_step(form, qtbot):
    """Rules, whole-mask changes and strokes of the brush in one row, in the order in which they were done."""
    viewer = form.desk.viewer
    states = [mask_of(form)]
    form.change("invert")
    settled(form, qtbot, ~states[-1])
    states.append(mask_of(form))
    form.brush("paint")
    layer = layers.find(viewer, "mask", "beans")
    for place in range(25):
        layer.paint((place % 24, 3), int(place % 2))
        if not np.array_equal(mask_of(form), states[-1]):
            states.append(mask_of(form))
    form.change("invert")
    settled(form, qtbot, ~states[-1])
    states.append(mask_of(form))
    assert len(states) > FEWEST_STEPS
    native = canvas_widget(viewer)
    native.setFocus()
    for state in reversed(states[:-1]):
        press(native, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        np.testing.assert_array_equal(mask_of(form), state)
    for state in states[1:]:
        press(native, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
        np.testing.assert_array_equal(mask_of(form), state)
    assert not form.redo_button.isEnabled()
    assert form.undo_button.isEnabled()


def test_a_mask_made_by_hand_is_not_copied_as_a_rule_that_gives_another(form, qtbot):
    """A copied line that gives another mask would be cited as what was done."""
    assert "file" not in form.recipe().words, "what the rule gives is copied as the rule"
    drawn = np.zeros((24, 20), dtype=bool)
    drawn[3:9, 4:8], drawn[5, 5], drawn[20, 1] = True, False, True
    form.desk.set_selection(drawn, "image")
    selection_for(form.desk).to_mask()
    qtbot.waitUntil(lambda: not form.desk.busy and form.project.mask_path("beans").exists(), timeout=15000)
    words = form.recipe().words
    form.change("invert")
    settled(form, qtbot, ~drawn)
    assert not form.copy("command")
    assert "press Save mask first" in form.words.text()
    form.save_mask()
    qtbot.waitUntil(lambda: not form.desk.busy, timeout=15000)
    kept = shutil.copy(form.project.mask_path("beans"), form.project.folder.parent / "kept.tif")
    run(save_drawn(form.project, "beans", drawn))
    assert form.recipe().words == words
    again = [str(kept) if word == str(form.project.mask_path("beans").absolute()) else word for word in words]
    assert again != list(words)
    assert CliRunner().invoke(app, again).exit_code == 0
    np.testing.assert_array_equal(form.project.mask("beans"), ~drawn)
    form.preview()
    qtbot.waitUntil(lambda: "file" not in form.recipe().words and not form.jobs.running, timeout=15000)


def test_strokes_on_labels_are_taken_back_there(form, qtbot):
    """Ctrl+Z while labels are painted must not touch the mask."""
    viewer, before = form.desk.viewer, mask_of(form)
    form.change("invert")
    settled(form, qtbot, ~before)
    panel = form.labels
    panel.add_class("roasted")
    panel.paint("paint")
    layer = layers.find(viewer, "labels", "beans")
    layer.paint((5, 5), 1)
    assert layer.data.any()
    form.step(False)
    assert not layer.data.any()
    np.testing.assert_array_equal(mask_of(form), ~before)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["record", "undo", "redo"]), st.integers(0, 2**12 - 1), st.sampled_from(["", "drag"])), max_size=40))
def test_the_history_is_that_of_a_plain_list(actions):
    """Against a list of whole masks, whatever is done in which order."""
    history, merge_before = MaskHistory(), ""
    states, place = [np.zeros((3, 4), dtype=bool)], 0
    for what, bits, merge in actions:
        mask = states[place]
        if what == "record":
            new = np.array([bool(bits >> bit & 1) for bit in range(12)]).reshape(3, 4)
            if not history.record("a", mask, new, merge):
                continue
            joined = bool(merge) and merge == merge_before and place > 0
            states = states[: place if joined else place + 1]
            if not (joined and np.array_equal(states[-1], new)):
                states.append(new)
            place, merge_before = len(states) - 1, merge
        else:
            found = (history.undo if what == "undo" else history.redo)("a", mask)
            target = place - 1 if what == "undo" else place + 1
            if 0 <= target < len(states):
                place, merge_before = target, ""
                np.testing.assert_array_equal(found, states[place])
            else:
                assert found is None
        assert history.able("a") == (place, len(states) - 1 - place)


def test_a_mask_changed_elsewhere_is_not_torn():
    """Bits of one mask on another would give a third that nobody has seen."""
    history, empty, full = MaskHistory(), np.zeros((5, 5), dtype=bool), np.ones((5, 5), dtype=bool)
    history.record("a", empty, full)
    other = np.eye(5, dtype=bool)
    assert history.undo("a", other) is None
    assert history.able("a") == (0, 0)


# -- the contact sheet ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def many(tmp_path):
    """Four cubes alike and one without an object."""
    from napari_hsi_ssl.project import Project
    from napari_hsi_ssl.steps import cubes

    paths = [write_cube(tmp_path / "raw" / "tray" / f"c{number}.hdr", seed=number) for number in range(4)]
    from napari_hsi_ssl.cubes.cube import as_cube
    from napari_hsi_ssl.cubes.writers import write_envi_cube

    values = np.full((24, 20, 12), 100) + np.random.default_rng(9).integers(0, 40, (24, 20, 12))
    write_envi_cube(tmp_path / "raw" / "tray" / "void.hdr", as_cube(values.astype(np.uint16), np.linspace(450, 900, 12), "dn", "void"))
    run(cubes.new(tmp_path / "project", [*paths, tmp_path / "raw" / "tray" / "void.hdr"]))
    return Project.open(tmp_path / "project")


def test_all_cubes_are_looked_through_before_they_are_saved(viewer, many, qtbot):
    bench = open_workbench(viewer, explorer=False)
    bench.desk.open_project(many)
    qtbot.waitUntil(lambda: layers.find(viewer, "rgb", "c0") is not None, timeout=20000)
    bench.open("mask and labels")
    one = bench.forms["mask and labels"]
    one.fields.setValue(MaskConfig(method="threshold", drop_specks=0))
    qtbot.waitUntil(lambda: one.range.maximum() > 500 and not one.jobs.running, timeout=10000)
    one.range.setValue((400.0, one.range.maximum()))
    one.check_all()
    sheet = one.desk.contact_sheet
    qtbot.waitUntil(lambda: sheet.list.count() == 5 and sheet.save.isEnabled(), timeout=20000)
    assert not any(many.mask_path(name).exists() for name in many.entries), "nothing is saved before it is said"
    assert sheet.checked["void"].doubt == "empty"
    assert {shown.cube for shown in sheet.ticked()} == {"c0", "c1", "c2", "c3"}
    rows = {sheet.list.item(index).data(Qt.ItemDataRole.UserRole): sheet.list.item(index) for index in range(5)}
    place = sheet.list.visualItemRect(rows["c2"]).center()
    QTest.mouseClick(sheet.list.viewport(), Qt.MouseButton.LeftButton, NO_KEYS, place)
    assert bench.desk.cube == "c2"
    rows["c1"].setCheckState(Qt.CheckState.Unchecked)
    assert "3 ticked" in sheet.words.text()
    sheet.save.click()
    qtbot.waitUntil(lambda: not bench.desk.busy and "3 masks saved" in sheet.words.text(), timeout=20000)
    assert [name for name in many.entries if many.mask_path(name).exists()] == ["c0", "c2", "c3"]
    np.testing.assert_array_equal(many.mask("c3"), sheet.checked["c3"].mask)
    one.check_all()
    assert one.desk.contact_sheet is sheet
    qtbot.waitUntil(lambda: sheet.list.count() == 5 and sheet.save.isEnabled(), timeout=20000)
    sheet.cancel()


# -- the keyboard alone -----------------------------------------------------------------------------------------------------------


def test_from_a_cube_to_its_saved_mask_without_the_mouse(form, qtbot):
    """Otsu, invert twice, a region picked with the arrows, undo, fill, save: nothing of it needs a mouse."""
    viewer = form.desk.viewer
    canvas, shift = canvas_widget(viewer), Qt.KeyboardModifier.ShiftModifier
    canvas.setFocus()
    otsu = mask_of(form)
    press(canvas, Qt.Key.Key_O, shift)
    settled(form, qtbot, otsu)
    press(canvas, Qt.Key.Key_I, shift)
    settled(form, qtbot, ~otsu)
    press(canvas, Qt.Key.Key_I, shift)
    settled(form, qtbot, otsu)
    press(canvas, Qt.Key.Key_G, shift)
    assert form.page == "click"
    assert canvas.hasFocus(), "the arrows must reach the canvas"
    press(canvas, Qt.Key.Key_Up)
    start = form.picker.cursor
    press(canvas, Qt.Key.Key_Up, shift)
    press(canvas, Qt.Key.Key_Left, times=3)
    assert form.picker.cursor == (max(0, start[0] - 10), start[1] - 3)
    band = viewer.dims.current_step
    press(canvas, Qt.Key.Key_Return)
    cube = form.project.cube("beans")
    region = run(grow(cube, MaskConfig(method="grow", at=[form.picker.cursor])))
    settled(form, qtbot, otsu | region)
    assert viewer.dims.current_step == band, "the arrows must not turn the bands meanwhile"
    press(canvas, Qt.Key.Key_Escape)
    assert not form.picker.on
    press(form.page_buttons["click"], Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    np.testing.assert_array_equal(mask_of(form), otsu)
    press(form.page_buttons["click"], Qt.Key.Key_F, shift)
    qtbot.waitUntil(lambda: not form.jobs.running, timeout=10000)
    press(form.page_buttons["click"], Qt.Key.Key_S, shift)
    qtbot.waitUntil(lambda: form.project.mask("beans") is not None and not form.desk.busy, timeout=10000)
    np.testing.assert_array_equal(form.project.mask("beans"), mask_of(form))
    press(form.page_buttons["click"], Qt.Key.Key_N, shift)
    assert form.desk.cube == "cubes"
    qtbot.waitUntil(lambda: layers.find(viewer, "rgb", "cubes") is not None, timeout=20000)


def test_keys_are_told_and_free_in_napari(form):
    from napari.utils.action_manager import action_manager
    from qtpy.QtGui import QKeySequence

    used = {str(keys).replace("Control", "Ctrl") for bound in action_manager._shortcuts.values() for keys in bound}
    tooltips = " ".join(widget.toolTip() for widget in form.findChildren(QWidget))
    for keys in form.shortcuts:
        assert QKeySequence(keys).toString() not in used
        if keys not in {"Shift+O", "Shift+T", "Shift+R", "Shift+K", "Shift+N"}:
            assert keys in tooltips, keys
    method = form.fields.editors["method"].widget.toolTip()
    for keys in ("Shift+O", "Shift+T", "Shift+R", "Shift+K"):
        assert keys in method


def test_keys_rest_while_the_form_is_folded(form):
    """Shift+I while another form is open would turn a mask that is not looked at."""
    before = mask_of(form)
    form.tabs.setCurrentIndex(1)
    press(canvas_widget(form.desk.viewer), Qt.Key.Key_I, Qt.KeyboardModifier.ShiftModifier)
    assert not form.jobs.running
    np.testing.assert_array_equal(mask_of(form), before)


def test_the_tab_key_goes_down_the_form(form):
    """From the page buttons over the rule to the save button, never back up."""
    order, widget = [], form.page_buttons["rule"]
    while len(order) < 60 and widget is not form.save:
        order.append(widget)
        widget = widget.nextInFocusChain()
        while not (widget.isVisibleTo(form) and widget.focusPolicy() & Qt.FocusPolicy.TabFocus and form.front.isAncestorOf(widget)) and widget is not form.save:
            widget = widget.nextInFocusChain()
    heights = [one.mapTo(form.front, QPoint(0, 0)).y() for one in order if one.isVisibleTo(form)]
    assert widget is form.save
    assert all(later >= earlier - 12 for earlier, later in pairwise(heights)), heights


def test_each_page_fits_the_dock(form):
    for name in form.pages:
        form.open_page(name)
        for method in ("otsu", "threshold", "angle", "kmeans"):
            form.fields.setValue(MaskConfig(method=method))
            assert form.minimumSizeHint().width() <= 400, (name, method)
