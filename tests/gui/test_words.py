"""What the window says holds for what is in sight: words go with their cube, their map, their page, and errors with the next success."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.qt.threading import GeneratorWorker
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_hsi_ssl.config import MaskConfig, PatchConfig, ViewConfig
from napari_hsi_ssl.cubes.cube import Classes, ClassMap
from napari_hsi_ssl.cubes.writers import save_map
from napari_hsi_ssl.gui import contact_sheet, layers, mask_layers
from napari_hsi_ssl.gui.contact_sheet import ContactSheet, short_reason
from napari_hsi_ssl.gui.plots.pointer import PixelPointer
from napari_hsi_ssl.gui.selection import selection_for
from napari_hsi_ssl.gui.workbench import Workbench, open_workbench
from napari_hsi_ssl.progress import Progress, run
from napari_hsi_ssl.steps import prepare
from napari_hsi_ssl.steps.labels import save_painted
from tests.gui.conftest import add_busy
from tests.gui.test_mask_form import click


@pytest.fixture
def bench(qtbot, project):
    """The workbench on a viewer without a window, with two cubes, the first on the canvas."""
    viewer = ViewerModel()  # the desk holds it weakly
    workbench = Workbench(viewer)
    add_busy(qtbot, workbench, lambda: at_rest(workbench))
    workbench.desk.open_project(project)
    quiet(qtbot, workbench)
    yield workbench
    GeneratorWorker.await_workers(30_000)


def at_rest(bench: Workbench) -> bool:
    desk = bench.desk
    return not desk.busy and layers.find(desk.viewer, "rgb", desk.cube) is not None and not any(form.jobs.running for form in bench.forms.values())


def quiet(qtbot: Any, bench: Workbench) -> None:
    qtbot.waitUntil(lambda: at_rest(bench), timeout=20000)


def step(*, warning: str = "") -> Any:
    if warning:
        yield Progress(message=warning, warning=True)
    yield Progress(1, 1)
    return {}


# -- the line at the top --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["error", "warning"])
def test_what_went_wrong_is_taken_away_by_the_next_success(bench, qtbot, level):
    """Else a red line stays through thirty successes."""
    bench.desk.message.emit("The map failed: use a smaller --size.", level)
    assert bench.said.isVisibleTo(bench)
    assert bench.message.text() == "The map failed: use a smaller “Size”."
    bench.forms["explore"].run(step(), None, "something else")
    qtbot.waitUntil(lambda: not bench.said.isVisibleTo(bench), timeout=5000)


def test_news_stay_until_they_are_closed(bench, qtbot):
    bench.desk.message.emit("Run pretrain-1 has finished.", "info")
    bench.forms["explore"].run(step(), None, "something else")
    quiet(qtbot, bench)
    assert bench.message.text() == "Run pretrain-1 has finished."
    bench.hush.click()
    assert not bench.said.isVisibleTo(bench)
    assert not bench.message.text()


def test_another_cube_takes_the_error_of_the_one_before_away(bench, qtbot):
    bench.desk.message.emit("beans has no wavelengths.", "error")
    bench.desk.set_cube("cubes")
    assert not bench.said.isVisibleTo(bench)


def test_the_error_of_a_look_goes_with_the_next_look(bench, qtbot):
    """Else the reason why one look cannot be had stands above another that is seen."""
    canvas = bench.forms["explore"].canvas
    canvas.show_view(ViewConfig(kind="default"))
    qtbot.waitUntil(lambda: "no default bands" in bench.message.text(), timeout=10000)
    assert "--kind" not in bench.message.text()
    with qtbot.waitSignal(canvas.looked, timeout=10000):
        canvas.show_view(ViewConfig(kind="band", bands=(3,)))
    assert not bench.said.isVisibleTo(bench)
    canvas.show_view(ViewConfig(kind="default"))
    qtbot.waitUntil(lambda: "no default bands" in bench.message.text(), timeout=10000)
    bench.desk.message.emit("Something else failed.", "error")
    with qtbot.waitSignal(canvas.looked, timeout=10000):
        canvas.show_view(ViewConfig(kind="band", bands=(4,)))
    assert bench.message.text() == "Something else failed.", "a look mends looks only"


# -- words of a form ------------------------------------------------------------------------------------------------------


def test_words_of_one_cube_do_not_stand_under_another(bench, qtbot):
    """Else the green or yellow words of one cube are read as those of the next."""
    for name in ("mask and labels", "explore", "classify"):
        form = bench.forms[name]
        form.say("beans: 3 pixels.")
        form.warn("beans is odd.")
    bench.forms["patches"].say("40 patches.")
    bench.desk.set_cube("cubes")
    for name in ("mask and labels", "explore", "classify"):
        form = bench.forms[name]
        assert not form.words.text(), name
        assert not form.warnings.isVisibleTo(form), name
        form.warn("cubes is odd.")
        assert "beans" not in form.warnings.text(), name
    assert bench.forms["patches"].words.text() == "40 patches.", "these are of the whole project"
    quiet(qtbot, bench)


def test_a_step_that_shows_another_cube_keeps_its_own_words(bench, qtbot):
    form = bench.forms["mask and labels"]

    def done(_: object) -> None:
        form.say("made.")
        bench.desk.set_cube("cubes")

    form.run(step(warning="it is odd; use a smaller --size"), done, "making it")
    qtbot.waitUntil(lambda: bench.desk.cube == "cubes", timeout=5000)
    assert form.words.text() == "made."
    assert form.warnings.text() == "⚠ it is odd; use a smaller “Size”"


def test_another_page_of_the_mask_form_starts_clean(bench, qtbot):
    form = bench.forms["mask and labels"]
    for go in (lambda: form.open_page("click"), lambda: form.tabs.setCurrentWidget(form.labels)):
        form.say("The clusters hold everything.", "warning")
        form.warn("odd")
        go()
        assert not form.words.text()
        assert not form.warnings.isVisibleTo(form)
    form.tabs.setCurrentIndex(0)
    form.point("grow")
    bench.desk.set_cube("cubes")
    assert form.words.text().startswith("Click on the image"), "clicks on the image pick still"
    form.tabs.setCurrentWidget(form.labels)
    assert not form.picker.on, "on the page of labels a click on the image changed the mask"
    assert not form.words.text()
    quiet(qtbot, bench)


def test_what_is_left_out_is_said_once(bench, qtbot, project):
    """Else one small cube is complained of three times."""
    bench.show()
    bench.open("patches")
    form = bench.forms["patches"]
    project.save_mask("cubes", np.zeros((24, 22), dtype=bool))
    form.fields.setValue(PatchConfig(size=4, coverage=0.5, split="blocks"))
    qtbot.waitUntil(lambda: "is left out" in form.told.text(), timeout=10000)
    form.cut_patches()
    qtbot.waitUntil(lambda: "patches:" in form.words.text() and not bench.desk.busy, timeout=10000)
    quiet(qtbot, bench)
    shown = "\n".join(label.text() for label in (form.told, form.words, form.warnings) if label.isVisibleTo(form))
    assert shown.count("is left out") == 1, shown


# -- maps -----------------------------------------------------------------------------------------------------------------


def test_figures_of_one_map_do_not_stand_above_another(bench, qtbot, project):
    """Else the accuracy of kNN is read as that of the angles."""
    truth = np.tri(24, 20, dtype=np.int32) + 1
    run(save_painted(project, "beans", truth, {1: "a", 2: "b"}))
    for how in ("knn", "linear"):
        found = ClassMap(truth, Classes.of([1, 2], {1: "a", 2: "b"}), np.ones((24, 20), np.float32), {"run": "one"})
        save_map(project.map_path("beans", "one", how), found)
    form = bench.forms["classify"]
    form.refresh()
    form.maps.list.clearSelection()
    form.maps.list.item(0).setSelected(True)
    form.maps.score_map()
    qtbot.waitUntil(lambda: form.words.text().startswith("OA 100"), timeout=10000)
    form.refresh()
    assert form.words.text().startswith("OA 100"), "the same map is still chosen"
    form.maps.list.item(0).setSelected(False)
    form.maps.list.item(1).setSelected(True)
    assert not form.words.text()
    assert not form.warnings.isVisibleTo(form)


def test_the_time_of_a_map_is_that_of_the_click(bench):
    form = bench.forms["classify"]
    form._made({"maps": [{"cube": "nowhere", "path": "nowhere--a--b.tif", "seconds": 1.9}], "seconds": 7.2})
    assert form.words.text() == "1 map saved in 7 s."
    assert [form.method.itemText(index) for index in range(2)] == ["kNN", "Linear probe"], "a run may be training-free"
    assert all(form.method.itemData(index, Qt.ItemDataRole.ToolTipRole) for index in range(3))


# -- the contact sheet ----------------------------------------------------------------------------------------------------


def test_a_saved_sheet_leaves_nothing_unsaved(bench, qtbot, project):
    """Else the form says "not saved yet" of what has just been saved, and the preview stays on the canvas of other cubes."""
    bench.open("mask and labels")
    form, viewer = bench.forms["mask and labels"], bench.desk.viewer
    mask_layers.show_mask(viewer, "beans", np.tri(24, 20, dtype=bool), saved=False)
    form.refresh()
    assert "not saved yet" in form.share.text()
    sheet = ContactSheet(bench.desk)
    qtbot.addWidget(sheet)
    sheet.check(MaskConfig(drop_specks=0))
    qtbot.waitUntil(lambda: sheet.save.isEnabled() and len(sheet.checked) == 2, timeout=20000)
    sheet.save_ticked()
    qtbot.waitUntil(lambda: sheet.words.text() == "2 masks saved.", timeout=10000)
    qtbot.waitUntil(lambda: np.array_equal(mask_layers.mask_on_canvas(viewer, "beans"), project.mask("beans")), timeout=5000)
    assert not layers.unsaved(layers.find(viewer, "mask", "beans"))
    count = int(project.mask("beans").sum())
    qtbot.waitUntil(lambda: form.share.text().startswith(f"beans: {count} of 480 pixels"), timeout=5000)
    assert form.share.text().endswith("· saved"), form.share.text()


def test_the_sheet_names_its_rule_and_why_a_mask_is_missing(bench, qtbot):
    """Else a black tile says nothing, and nobody knows what was applied."""
    sheet = ContactSheet(bench.desk)
    qtbot.addWidget(sheet)
    sheet.resize(700, 300)
    sheet.show()
    sheet.check(MaskConfig(method="kmeans", clusters=2, background=(0,), reference="beans", drop_specks=0))
    qtbot.waitUntil(lambda: sheet.save.isEnabled() and bool(sheet.failed), timeout=20000)
    reason = sheet.failed["cubes"]
    assert sheet.words.text() == f"By the clusters of beans: 1 mask, 1 ticked · 1 could not be made: {reason.removeprefix('mask of cubes: ')}"
    assert short_reason(reason) == "it has 9 bands, the clusters were found on 12"
    tile = sheet.list.item(1).icon().pixmap(contact_sheet.SIDE, contact_sheet.SIDE).toImage()
    colours = {tile.pixel(x, y) for x in range(0, tile.width(), 2) for y in range(0, tile.height(), 2)}
    assert len(colours) > 1, "the tile is empty"
    sheet.failed["other"] = "mask of other: it is odd."
    sheet._tell()
    assert "· 2 could not be made; cubes: it has 9 bands" in sheet.words.text(), "where the reasons differ the first is named"


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("mask of rug: the image has one value, so Otsu finds none; choose another.", "the image has one value, so Otsu finds none"),
        (f"cube 'rug': it has 9 bands, but 12 {'are ' * 30}needed.", "it has 9 bands"),
        ("no number.", "no number"),
        ("mask of a: band 0.5 is odd", "band 0.5 is odd"),
    ],
)
def test_a_tile_has_room_for_the_first_part(sentence, expected):
    assert short_reason(sentence) == expected


def test_one_is_not_several(bench, qtbot, project):
    sheet = ContactSheet(bench.desk)
    qtbot.addWidget(sheet)
    sheet.check(MaskConfig(method="threshold", low=1e9, drop_specks=0))
    qtbot.waitUntil(lambda: sheet.save.isEnabled() and len(sheet.checked) == 2, timeout=20000)
    assert sheet.words.text() == "By a threshold of brightness: 2 masks, 0 ticked · 2 look wrong"
    del sheet.checked["cubes"]
    sheet._tell()
    assert sheet.words.text() == "By a threshold of brightness: 1 mask, 0 ticked · 1 looks wrong"


# -- clicks and selections ------------------------------------------------------------------------------------------------


def test_a_click_that_picks_for_a_mask_does_not_pin(viewer, project, qtbot):
    """Else growing a region of ten clicks leaves ten curves."""
    bench = open_workbench(viewer, explorer=False)
    viewer.window._qt_window.resize(1300, 850)
    viewer.window._qt_window.show()
    bench.desk.open_project(project)
    quiet(qtbot, bench)
    bench.open("mask and labels")
    form = bench.forms["mask and labels"]
    pointer = PixelPointer(bench.desk, bench)
    pointer.pinning = True
    pinned: list[tuple[int, int]] = []
    pointer.pinned.connect(lambda _cube, y, x, _values: pinned.append((y, x)))
    form.open_page("click")
    form.growing.grow.setChecked(True)
    click(viewer, 12, 10)
    click(viewer, 12, 10, Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: mask_layers.mask_on_canvas(viewer, "beans") is not None, timeout=10000)
    form.growing.grow.setChecked(False)
    QTest.qWait(400)  # no double-click
    click(viewer, 3, 4)
    qtbot.waitUntil(lambda: bool(pinned), timeout=5000)
    assert pinned == [(3, 4)]
    quiet(qtbot, bench)
    qtbot.waitUntil(lambda: not pointer._jobs.running, timeout=5000)


@pytest.mark.parametrize("act", ["to_class", "to_mask"])
def test_what_a_selection_became_is_seen_at_once(bench, qtbot, act):
    """Else the magenta of the selection covers the colour of the class just given."""
    desk, selection = bench.desk, selection_for(bench.desk)
    region = np.zeros((24, 20), dtype=bool)
    region[5:9, 6:12] = True
    desk.set_selection(region, "form")
    layer = layers.find(desk.viewer, "selection", "beans")
    assert layer.visible
    with qtbot.waitSignal(desk.labels_changed if act == "to_class" else desk.masks_changed, timeout=5000):
        getattr(selection, act)()
        assert not layer.visible, "before it is saved"
    quiet(qtbot, bench)
    assert not layer.visible
    assert layers.find(desk.viewer, "labels" if act == "to_class" else "mask", "beans").visible


def test_the_preview_of_a_cube_without_a_mask_is_of_the_image(project):
    def where() -> str:
        return run(prepare.preview_chain(project, "beans", project.chain)).where

    assert where().endswith("pixels spread over the image")
    project.save_mask("beans", np.tri(24, 20, dtype=bool))
    assert where().endswith("pixels spread over the mask")
