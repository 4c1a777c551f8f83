"""Paint and see in a real window: two strokes make a map that follows the brush, is taken back, taught, kept and found again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_hsi_ssl import Project, run
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.writers import write_envi_cube
from napari_hsi_ssl.gui import layers
from napari_hsi_ssl.gui.canvas import canvas_for
from napari_hsi_ssl.gui.workbench import open_workbench
from napari_hsi_ssl.steps import cubes
from tests.gui.conftest import add_busy

SHAPE = (48, 44)
CORNER = slice(38, 48), slice(34, 44)


def disc() -> np.ndarray:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (y - SHAPE[0] / 2) ** 2 + (x - SHAPE[1] / 2) ** 2 < (min(SHAPE) / 3) ** 2


def right(found: np.ndarray) -> float:
    """Return the share of pixels with the right class, without those that are half of each."""
    sure = np.ones(SHAPE, bool)
    sure[CORNER] = False
    return float(((found == 1) == disc())[sure].mean())


@pytest.fixture
def project(tmp_path) -> Project:
    """Two cubes of one camera, each a bright disc on a dark ground, and in the first a corner that is half of each."""
    paths = []
    for seed, name in enumerate(("a", "b")):
        generator = np.random.default_rng(seed)
        share = disc().astype(float)
        share[CORNER] = 0.5 * (name == "a")
        tilt, bands = np.linspace(0.2, 1.0, 12), np.linspace(450, 900, 12)
        values = 1000 * (share[..., None] * tilt + (1 - share[..., None]) * tilt[::-1]) + generator.normal(0, 30, (*SHAPE, 12))
        paths.append(tmp_path / "raw" / "one" / f"{name}.hdr")
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        write_envi_cube(paths[-1], as_cube(values.astype(np.float32), bands, "dn", name))
    run(cubes.new(tmp_path / "project", paths))
    return Project.open(tmp_path / "project")


class Hand:
    """A hand that paints by the layer's own mouse callbacks, as napari calls them."""

    def __init__(self, viewer: Any, qtbot: Any, project: Project) -> None:
        self.viewer, self.qtbot = viewer, qtbot
        self.bench = open_workbench(viewer, explorer=False)
        self.desk = self.bench.desk
        self.form = self.bench.forms["classify"]
        self.panel = self.form.painting
        self.painter = self.panel.painter
        add_busy(qtbot, self.bench, lambda: not self.desk.busy and not self.painter.jobs.running and not self.form.jobs.running)
        viewer.window._qt_window.resize(1400, 900)
        viewer.window._qt_window.show()
        self.open(project)

    def open(self, project: Project) -> None:
        self.desk.open_project(project)
        self.bench.open("classify")
        self.form.tabs.setCurrentWidget(self.panel)
        self.wait(lambda: canvas_for(self.desk).picture is not None and not self.desk.busy)

    def wait(self, until: Any, seconds: float = 30) -> None:
        self.qtbot.waitUntil(lambda: bool(until()), timeout=int(1000 * seconds))

    def begin(self) -> None:
        self.panel.start.click()
        self.wait(lambda: self.panel.painting and not self.desk.busy and self.panel.table.chosen() is not None)

    def class_named(self, name: str) -> None:
        self.panel.table.add_class(name)
        self.wait(lambda: self.panel.table.list.currentItem() is not None and self.panel.table.list.currentItem().text(0) == name and not self.desk.busy)

    def stroke(self, *places: tuple[float, float], release: bool = True) -> Any:
        """Press at the first place, move over the others, and release."""
        layer = self.layer
        event = Mouse(layer)
        drawing = layer._drag_modes[layer.mode](layer, event)
        event.at("mouse_press", places[0])
        next(drawing)
        for place in places[1:]:
            event.at("mouse_move", place)
            next(drawing)
        if release:
            self.release(drawing, event, places[-1])
        return drawing, event, places[-1]

    def release(self, drawing: Any, event: Mouse, place: tuple[float, float]) -> None:
        event.at("mouse_release", place)
        with pytest.raises(StopIteration):
            next(drawing)

    @property
    def layer(self) -> Any:
        return layers.find(self.viewer, "strokes", self.desk.cube)

    def map(self) -> np.ndarray | None:
        layer = layers.find(self.viewer, "painted", self.desk.cube)
        return None if layer is None or not layer.visible else np.asarray(layer.data)

    def followed(self) -> bool:
        """Whether the map on the canvas is that of the strokes on it."""
        found = self.painter.latest
        return (
            found is not None and found.complete and not self.painter.jobs.running and not self.painter._timer.isActive()
            and np.array_equal(self.painter._asked, self.layer.data)
        )  # fmt: skip


class Mouse:
    """What napari hands its mouse callbacks."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        self.view_direction, self.up_direction, self.dims_displayed = None, None, list(range(layer.ndim))
        self.button, self.modifiers, self.handled = 1, (), False
        self.type = "mouse_press"
        self.position: tuple[float, ...] = ()

    def at(self, kind: str, place: tuple[float, float]) -> None:
        self.type, self.position = kind, place


@pytest.fixture
def hand(viewer, qtbot, project):
    return Hand(viewer, qtbot, project)


def two_classes(hand: Hand) -> None:
    hand.begin()
    hand.stroke((22, 18), (22, 26), (25, 22))
    hand.wait(lambda: "Only one class" in hand.panel.told.text())
    hand.class_named("tray")
    hand.stroke((2, 4), (2, 38))
    hand.wait(hand.followed)


def test_two_strokes_become_a_map_and_are_there_again(hand, project):
    assert hand.panel.start.text() == "✎ Paint"
    assert not hand.panel.tools.isVisibleTo(hand.panel)
    two_classes(hand)
    assert right(hand.map()) > 0.97
    items = [[hand.panel.table.list.topLevelItem(row).text(column) for column in range(4)] for row in range(2)]
    assert [item[0] for item in items] == ["class 1", "tray"]
    assert items[0][1] == f"{(hand.map() == 1).mean():.1%}"
    assert items[0][3] == f"{(hand.layer.data == 1).sum():,}"
    assert project.classes.named == {1: "class 1", 2: "tray"}
    hand.wait(lambda: project.strokes("a") is not None and np.array_equal(project.strokes("a"), hand.layer.data))
    painted = hand.layer.data.copy()
    hand.panel.start.click()
    assert hand.map() is None
    assert not hand.panel.painting
    hand.open(Project.open(project.folder))
    hand.begin()
    hand.wait(hand.followed)
    np.testing.assert_array_equal(hand.layer.data, painted)
    assert right(hand.map()) > 0.97


def test_the_map_follows_while_the_brush_moves(hand, qtbot):
    two_classes(hand)
    before = hand.map().copy()
    shown: list[float] = []
    hand.painter.followed.connect(lambda found: shown.append(found.seconds))
    hand.panel.table.choose_row(1)
    drawing, event, place = hand.stroke((22, 12), (23, 13), release=False)
    for step in range(40):
        place = (22 + step % 6, 12 + step % 20)
        event.at("mouse_move", place)
        next(drawing)
        qtbot.wait(20)
    assert len(shown) >= 2, "no map came while the button was down"
    assert hand.painter.latest.suggestions is None, "what to paint next is for a brush at rest"
    hand.release(drawing, event, place)
    hand.wait(hand.followed)
    assert (hand.map() != before).any()
    assert hand.painter.latest.suggestions is not None


def test_undo_and_redo_take_the_map_along(hand, project):
    two_classes(hand)
    first = hand.map().copy()
    strokes = hand.layer.data.copy()
    hand.panel.table.choose_row(0)
    hand.panel.table.step(-1)  # from the first to the last
    assert hand.layer.selected_label == 2
    hand.stroke((18, 14), (30, 30))
    hand.wait(hand.followed)
    changed = hand.map().copy()
    assert (changed != first).any()
    QTest.keyClick(hand.panel.table.list, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    hand.wait(lambda: np.array_equal(hand.layer.data, strokes) and hand.followed())
    np.testing.assert_array_equal(hand.map(), first)
    hand.layer.redo()  # napari's own
    hand.wait(hand.followed)
    np.testing.assert_array_equal(hand.map(), changed)
    hand.wait(lambda: np.array_equal(project.strokes("a"), hand.layer.data))


def test_taking_everything_back_takes_the_map_away(hand):
    two_classes(hand)
    hand.layer.undo()
    hand.wait(lambda: hand.map() is None)
    assert "Only one class" in hand.panel.told.text()
    assert hand.panel.table.list.topLevelItem(0).text(1) == "–"
    hand.layer.redo()
    hand.wait(lambda: hand.map() is not None)


def test_suggestions_are_outlined_and_gone_to(hand):
    two_classes(hand)
    assert hand.painter.suggestions
    outlines = layers.find(hand.viewer, "next", "a")
    assert outlines.visible
    assert len(outlines.data) == len(hand.painter.suggestions)
    hand.panel.next.click()
    one = hand.painter.suggestions[0]
    assert one.y > 35, "where it is half of each"
    assert one.x > 31
    assert tuple(hand.viewer.scene.camera.center[-2:]) == (one.y, one.x)
    assert hand.form.words.text().startswith("Place 1 of")
    assert hand.viewer.layers.selection.active is hand.layer
    assert hand.layer.mode == "paint", "the brush stays in the hand"


def test_confidence_takes_the_place_of_the_classes(hand):
    two_classes(hand)
    hand.panel.sure.click()
    sure = layers.find(hand.viewer, "sureness", "a")
    assert sure.visible
    assert hand.map() is None
    hand.stroke((44, 4), (44, 20))
    hand.wait(hand.followed)
    np.testing.assert_array_equal(sure.data, hand.painter.latest.map.confidence)
    hand.panel.sure.click()
    assert not sure.visible
    np.testing.assert_array_equal(hand.map(), hand.painter.latest.map.labels)


def test_strokes_become_training_labels_and_maps_of_all_cubes(hand, project):
    two_classes(hand)
    hand.panel.labels.click()
    hand.wait(lambda: "training labels of a" in hand.form.words.text())
    np.testing.assert_array_equal(project.labels("a"), hand.layer.data)
    hand.panel.every.click()
    hand.wait(lambda: "2 maps saved" in hand.form.words.text(), 60)
    assert [path.name for path in project.maps()] == ["a--training-free--painted.tif", "b--training-free--painted.tif"]
    hand.wait(hand.followed)
    assert hand.map() is not None, "who goes on painting still sees what follows"


def test_another_cube_is_painted_on_with_what_was_learned(hand, project):
    two_classes(hand)
    hand.desk.set_cube("b")
    hand.wait(lambda: hand.panel.painting and hand.painter.ground.cube == "b" and hand.painter.latest is not None)
    assert right(hand.map()) > 0.95
    assert "on other cubes" in hand.panel.told.text()
    assert not hand.layer.data.any()
    hand.desk.set_cube("a")
    hand.wait(lambda: hand.panel.painting and hand.painter.ground.cube == "a")
    assert hand.layer.data.any()


def test_classes_are_renamed_recoloured_and_merged(hand, project):
    two_classes(hand)
    hand.class_named("leaf")
    hand.stroke((40, 10), (40, 30))
    hand.wait(hand.followed)
    item = hand.panel.table.list.topLevelItem(0)
    item.setText(0, "bean")
    hand.wait(lambda: project.classes.named[1] == "bean" and not hand.desk.busy)
    hand.panel.table.change_class(1, colour="#112233")
    hand.wait(lambda: project.classes.coloured[1] == "#112233" and not hand.desk.busy)
    assert tuple((255 * hand.layer.colormap.map(np.array([1]))[0][:3]).astype(int)) == (0x11, 0x22, 0x33)
    hand.panel.table.choose_row(2)
    hand.panel.table.merge_into(2)
    hand.wait(lambda: 3 not in project.classes.numbers and not hand.desk.busy)
    hand.wait(hand.followed)
    assert set(np.unique(hand.layer.data)) == {0, 1, 2}
    assert set(np.unique(hand.map())) == {1, 2}
    hand.wait(lambda: set(np.unique(project.strokes("a"))) == {0, 1, 2})


def test_strokes_outside_of_the_mask_are_said_quietly(hand, project):
    mask = np.ones(SHAPE, bool)
    mask[:6] = False
    project.save_mask("a", mask)
    hand.desk.masks_changed.emit("a")
    hand.begin()
    hand.stroke((2, 4), (2, 38))
    hand.wait(lambda: "lie outside of its mask" in hand.panel.told.text())
    assert not hand.form.words.isVisibleTo(hand.form)
    hand.stroke((22, 18), (22, 26))
    hand.class_named("tray")
    hand.stroke((44, 4), (44, 38))
    hand.wait(hand.followed)
    assert "outside of the mask do not count" in hand.panel.told.text()
    assert not hand.map()[:6].any()


def test_a_cube_that_cannot_be_painted_on_is_said_quietly(hand, project):
    project.save_mask("a", np.zeros(SHAPE, bool))
    hand.panel.start.click()
    hand.wait(lambda: "has no used pixel" in hand.panel.told.text())
    assert not hand.panel.painting
