"""The path of somebody new: a scene of their own, the README, a mouse; from the file to a named class, without an error on the way.

With HSI_TUTORIAL_PICTURES=FOLDER the pictures of the tutorial are left there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt, QTimer
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QComboBox, QFileDialog, QMenu, QPushButton, QWidget

from napari_hsi_ssl.gui import layers
from napari_hsi_ssl.gui.forms.pieces import BAD
from napari_hsi_ssl.gui.layers import canvas_widget
from napari_hsi_ssl.gui.palette import palette
from napari_hsi_ssl.gui.workbench import open_workbench
from tests.gui.conftest import activate

ROWS, COLUMNS = 60, 70
WAVELENGTHS = np.linspace(420.0, 980.0, 40)
BAD_BANDS = (0, 1, 37, 38, 39)
MOST_CLICKS = 30
"""From an empty window to a saved class; more is no longer "without reading a manual"."""
SCENE = "tray_07"
LEFT, PLAIN, SHIFT = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier


def kinds() -> np.ndarray:
    """Return what lies where: 0 tray, 1 leaves (ellipses), 2 pebbles (discs), 3 a white panel, which nobody wants in the mask."""
    y, x = np.mgrid[:ROWS, :COLUMNS].astype(float)
    found = np.zeros((ROWS, COLUMNS), dtype=int)
    for cy, cx, turn in ((12, 14, 0.4), (14, 38, -0.5), (31, 12, 1.2), (32, 56, 0.1), (49, 33, 0.8)):
        along = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
        across = (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)
        found[(along / 8) ** 2 + (across / 4) ** 2 < 1] = 1
    for cy, cx, radius in ((13, 60, 5), (31, 34, 6), (48, 12, 5.5), (49, 56, 6)):
        found[(y - cy) ** 2 + (x - cx) ** 2 < radius**2] = 2
    found[2:8, 24:32] = 3
    return found


def write_scene(folder: Path) -> Path:
    """Write reflectance × 10000 as an ENVI cube, by hand as a camera's program would: tilted light, noise, bad bands."""
    generator = np.random.default_rng(7)
    nm = WAVELENGTHS
    tray = 0.10 + 0.03 * np.exp(-(((nm - 460) / 40) ** 2))
    leaf = 0.05 + 0.09 * np.exp(-(((nm - 550) / 30) ** 2)) + 0.45 / (1 + np.exp(-(nm - 715) / 14))
    pebble = 0.14 + 0.34 * (nm - 420) / 560
    y, x = np.mgrid[:ROWS, :COLUMNS]
    light = 0.85 + 0.15 * x / COLUMNS + 0.10 * y / ROWS
    panel = np.full(len(nm), 0.8)
    cube = np.stack([tray, leaf, pebble, panel])[kinds()] * light[..., None]
    cube *= 1 + 0.06 * generator.standard_normal((ROWS, COLUMNS, 1))
    cube += 0.006 * generator.standard_normal(cube.shape)
    cube[..., list(BAD_BANDS)] += 0.15 * generator.standard_normal((ROWS, COLUMNS, len(BAD_BANDS)))
    stored = np.clip(cube * 10000, 0, 20000).astype("<u2")
    folder.mkdir(parents=True, exist_ok=True)
    stored.transpose(0, 2, 1).tofile(folder / f"{SCENE}.raw")
    header = folder / f"{SCENE}.hdr"
    header.write_text(
        "ENVI\n"
        f"samples = {COLUMNS}\nlines = {ROWS}\nbands = {len(nm)}\nheader offset = 0\nfile type = ENVI Standard\n"
        "data type = 12\ninterleave = bil\nbyte order = 0\nreflectance scale factor = 10000\nwavelength units = Nanometers\n"
        f"wavelength = {{{', '.join(f'{one:.2f}' for one in nm)}}}\n"
        f"bbl = {{{', '.join(str(int(band not in BAD_BANDS)) for band in range(len(nm)))}}}\n"
    )
    return header


def mask_of(viewer: Any) -> np.ndarray | None:
    """Return the mask (y, x) on the canvas."""
    layer = layers.find(viewer, "mask", SCENE)
    return None if layer is None else np.array(layer.data) != 0


class Newcomer:
    """A hand with a mouse that counts its clicks, and eyes that keep pictures."""

    def __init__(self, viewer: Any, qtbot: Any, pictures: Path) -> None:
        self.viewer, self.qtbot, self.pictures = viewer, qtbot, pictures
        self.bench = open_workbench(viewer)
        self.window = viewer.window._qt_window
        self.window.resize(1600, 1000)
        self.window.show()
        activate(self.window)
        self.explorer = viewer.window.dock_widgets["HSI explorer"]
        self.desk = self.bench.desk
        self.clicks = self.taken = 0
        self.complaints: list[str] = []
        self.desk.message.connect(self._hear)

    def _hear(self, words: str, level: str) -> None:
        if level == "error":
            self.complaints.append(words)

    def wait(self, until: Callable[[], Any], seconds: float = 20) -> None:
        self.qtbot.waitUntil(lambda: bool(until()), timeout=int(1000 * seconds))

    def rest(self) -> None:
        """Wait until nothing is on its way, and look whether anything complains."""
        jobs = [self.explorer.jobs, *(form.jobs for form in self.bench.forms.values())]
        self.wait(lambda: not self.desk.busy and not any(one.running for one in jobs))
        self.qtbot.wait(250)
        for name, form in self.bench.forms.items():
            if form.words.isVisibleTo(form) and palette.ink(BAD) in form.words.styleSheet():
                self.complaints.append(f"{name}: {form.words.text()}")
        assert not self.complaints

    def look(self, name: str) -> None:
        """Keep a picture of the whole window."""
        self.rest()
        self.taken += 1
        self.hover_beside()
        self.qtbot.wait(250)
        self.viewer.window.screenshot(str(self.pictures / f"{self.taken:02d}-{name}.png"), flash=False)

    # -- the hand ---------------------------------------------------------------------------------------------------------

    def press(self, button: QWidget) -> None:
        """Click a button that can be seen and is on; a newcomer scrolls to it first."""
        self.wait(button.isEnabled)
        assert button.isVisible(), button
        self.bench.scroll.ensureWidgetVisible(button)
        self.qtbot.wait(20)
        QTest.mouseClick(button, LEFT, PLAIN, button.rect().center())
        self.clicks += 1

    def unfold(self, title: str) -> None:
        """Click the title of a form."""
        section = next(one for one in self.bench.sections if one.form.title == title)
        if not section.header.isChecked():
            self.press(section.header)
        assert self.bench.opened is section.form

    def choose(self, box: QComboBox, words: str) -> None:
        """Choose from a drop-down list: one click opens it, one chooses."""
        row = box.findText(words)
        assert row >= 0, f"no entry {words}"
        self.bench.scroll.ensureWidgetVisible(box)
        QTest.mouseClick(box, LEFT, PLAIN, box.rect().center())
        self.wait(box.view().isVisible)
        view = box.view()
        self.qtbot.wait(QApplication.doubleClickInterval() + 50)  # Qt takes a faster one for the end of the first click
        QTest.mouseClick(view.viewport(), LEFT, PLAIN, view.visualRect(box.model().index(row, 0)).center())
        self.wait(lambda: not view.isVisible())
        assert box.currentText() == words
        self.clicks += 2

    def from_menu(self, button: QPushButton, words: str) -> None:
        """Choose from the menu of a button."""
        menu: QMenu = button.menu()

        def choose() -> None:
            action = next((one for one in menu.actions() if one.text() == words), None)
            if action is None:
                menu.close()
            else:
                QTest.mouseClick(menu, LEFT, PLAIN, menu.actionGeometry(action).center())

        self.wait(button.isEnabled)
        QTimer.singleShot(300, choose)
        QTest.mouseClick(button, LEFT, PLAIN, button.rect().center())  # returns when the menu is closed
        self.clicks += 2

    def tab(self, plot: QWidget) -> None:
        """Click a tab of the explorer."""
        bar = self.explorer.tabBar()
        QTest.mouseClick(bar, LEFT, PLAIN, bar.tabRect(self.explorer.indexOf(plot)).center())
        self.clicks += 1
        assert self.explorer.currentWidget() is plot

    def on_screen(self, y: int, x: int) -> tuple[QWidget, QPoint]:
        layer = layers.find(self.viewer, "rgb", self.desk.cube)
        node = self.viewer.window._qt_viewer.canvas.layer_to_visual[layer].node
        place = node.get_transform("visual", "canvas").map([x + 0.5, y + 0.5])
        return canvas_widget(self.viewer), QPoint(round(place[0] / place[3]), round(place[1] / place[3]))

    def hover_beside(self) -> None:
        """Take the mouse off the image."""
        if layers.find(self.viewer, "rgb", self.desk.cube) is not None:
            QTest.mouseMove(canvas_widget(self.viewer), QPoint(3, 3))
        QTest.mouseMove(self.bench, QPoint(2, 2))

    def hover(self, y: int, x: int) -> None:
        QTest.mouseMove(*self.on_screen(y, x))
        QApplication.processEvents()

    def click(self, y: int, x: int, modifier: Any = PLAIN) -> None:
        """Click a pixel of the image."""
        native, place = self.on_screen(y, x)
        QTest.mouseMove(native, place)
        QTest.mouseClick(native, LEFT, modifier, place)
        QApplication.processEvents()
        self.clicks += 1

    def lasso(self, corners: np.ndarray) -> None:
        """Drag around corners (n, 2) given in the units of the scatter's axes."""
        plot = self.explorer.scatter
        viewport = plot.plot.viewport()
        places = [plot.plot.mapFromScene(plot.view.mapViewToScene(QPointF(*corner))) for corner in corners]
        assert all(viewport.rect().contains(place) for place in places)
        QTest.mousePress(viewport, LEFT, PLAIN, places[0])
        for place in places[1:]:
            self.qtbot.wait(15)
            beside = QPointF(viewport.mapToGlobal(place))
            QApplication.sendEvent(viewport, QMouseEvent(QEvent.Type.MouseMove, QPointF(place), beside, Qt.MouseButton.NoButton, LEFT, PLAIN))
        QTest.mouseRelease(viewport, LEFT, PLAIN, places[-1])
        self.clicks += 1


@pytest.fixture
def hand(viewer: Any, qtbot: Any, tmp_path: Path) -> Iterator[Newcomer]:
    wanted = os.environ.get("HSI_TUTORIAL_PICTURES")
    pictures = Path(wanted) if wanted else tmp_path / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    one = Newcomer(viewer, qtbot, pictures)
    yield one
    jobs = [one.explorer.jobs, one.explorer.pointer._jobs, one.bench._jobs, *(form.jobs for form in one.bench.forms.values())]
    qtbot.waitUntil(lambda: not any(each.running for each in jobs), timeout=20_000)
    one.desk.message.disconnect(one._hear)
    jobs.clear()
    vars(one).clear()  # napari's fixture looks whether anything holds the viewer back


def around(points: np.ndarray, others: np.ndarray, count: int = 24) -> np.ndarray:
    """Return an ellipse around a cluster (n, 2), as a hand would draw it: most of the cluster, nothing of the others."""
    centre = np.median(points, axis=0)
    spread = np.percentile(np.abs(points - centre), 98, axis=0) * 1.3
    turns = np.linspace(0, 2 * np.pi, count)
    corners = centre + spread * np.column_stack([np.cos(turns), np.sin(turns)])
    assert (((others - centre) / spread) ** 2).sum(axis=1).min() > 1, "the scene is too hard: the clusters touch"
    return corners


def test_from_a_file_to_a_class_with_a_mouse_alone(hand: Newcomer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has read nothing but the README gets to a class, sees no error, and needs few clicks."""
    truth, header = kinds(), write_scene(tmp_path / "tray")
    wanted = (truth == 1) | (truth == 2)
    desk, viewer, explorer = hand.desk, hand.viewer, hand.explorer
    hand.clicks += 2  # Plugins, HSI workbench
    hand.look("empty")

    # 1 Cubes: the file dialog is the system's, so its answer is given here.
    form = hand.bench.forms["cubes"]
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_args, **_how: ([str(header)], ""))
    hand.press(form.files)
    hand.clicks += 2  # the file, Open
    hand.wait(lambda: layers.find(viewer, "rgb", SCENE) is not None)
    assert desk.cube == SCENE
    assert form.table.rows.index(0, 2).data() == f"{ROWS}×{COLUMNS}"
    hand.look("cubes")

    # Spectra, before anything else: who sees a cube points at it.
    leaf, pebble, tray = (12, 14), (31, 34), (22, 50)
    hand.hover(*leaf)
    hand.wait(lambda: explorer.spectra._pointer.getData()[1] is not None and len(explorer.spectra._pointer.getData()[1]) == len(WAVELENGTHS))
    for place in (leaf, pebble, tray):
        before = len(explorer.spectra.pinned)
        hand.click(*place, Qt.KeyboardModifier.ShiftModifier)
        hand.wait(lambda before=before: len(explorer.spectra.pinned) == before + 1)
    kept = explorer.spectra.pinned[0].values
    near, red = (int(np.abs(WAVELENGTHS - nm).argmin()) for nm in (850, 670))
    assert kept[near] > 3 * kept[red], "the red edge of a leaf"
    assert explorer.spectra._axis.bad[list(BAD_BANDS)].all()
    hand.look("spectra")

    # 3 Explore has the looks: false colour and back to what the eye sees.
    hand.unfold("Explore")
    looks = hand.bench.forms["explore"].looks
    picture = np.array(layers.find(viewer, "rgb", SCENE).data)
    hand.choose(looks.kind, "False colour")
    hand.wait(lambda: not np.array_equal(layers.find(viewer, "rgb", SCENE).data, picture))
    hand.look("false-colour")
    hand.choose(looks.kind, "True colour")
    hand.wait(lambda: np.array_equal(layers.find(viewer, "rgb", SCENE).data, picture))
    colours = picture[truth == 1].astype(float).mean(axis=0)
    assert colours[1] > colours[0], "leaves are green"
    assert colours[1] > colours[2], "leaves are green"

    # 2 Mask: clusters, the tray clicked away.
    hand.unfold("Mask and labels")
    form = hand.bench.forms["mask and labels"]
    hand.choose(form.fields.editors["method"].widget, "clusters (k-means)")
    hand.wait(lambda: form.rules.clusters is not None and mask_of(viewer) is not None)
    hand.rest()
    assert form.rules.click.isChecked(), "clicks on the image are for the clusters already"
    hand.look("clusters")
    for _ in range(form.rules.clusters.clusters.count):
        mask, numbers = mask_of(viewer), form.rules.clusters.numbers
        shares = {number: wanted[numbers == number].mean() for number in range(form.rules.clusters.clusters.count)}
        wrong = [number for number, share in shares.items() if (share > 0.5) != (number in form.rules.foreground)]
        if not wrong:
            break
        held = PLAIN if wrong[0] in form.rules.foreground else SHIFT
        hand.click(*np.argwhere(numbers == wrong[0])[len(np.argwhere(numbers == wrong[0])) // 2], held)
        hand.wait(lambda mask=mask: not np.array_equal(mask_of(viewer), mask))
    hand.look("mask")
    hand.press(form.save)
    hand.wait(lambda: desk.project.mask_path(SCENE).exists())
    hand.rest()
    mask = desk.project.mask(SCENE)
    assert (mask == wanted).mean() > 0.97

    # 3 Explore: components and the scatter, which comes to the front by itself.
    hand.unfold("Explore")
    hand.press(hand.bench.forms["explore"].fit)
    hand.wait(lambda: desk.project.inlet is not None and explorer.brushing.view is not None, 60)
    assert explorer.currentWidget() is explorer.scatter
    hand.look("scatter")

    # A lasso around one cluster selects it in the image and means it in the spectra.
    scores = np.asarray(desk.project.scores(SCENE), dtype=np.float32)[..., :2] * desk.project.projection().scale.astype(np.float32)[:2]
    hand.lasso(around(scores[mask & (truth == 1)], scores[mask & (truth == 2)]))
    hand.wait(lambda: desk.selection is not None)
    selected = desk.selection
    assert (truth[selected] == 1).mean() > 0.98
    assert selected.sum() > 0.9 * (mask & (truth == 1)).sum()
    hand.wait(lambda: layers.find(viewer, "selection", SCENE) is not None and layers.find(viewer, "selection", SCENE).visible)
    hand.look("lasso")
    hand.tab(explorer.spectra)
    hand.wait(lambda: any(one.pixels > 1 for one in explorer.spectra.pinned))
    mean = next(one for one in explorer.spectra.pinned if one.pixels > 1)
    assert mean.pixels == selected.sum()
    hand.look("mean")

    # A class of it, named.
    hand.tab(explorer.scatter)
    hand.from_menu(explorer.brushing.bar.label, "New class")
    hand.wait(lambda: desk.project.labels(SCENE) is not None)
    hand.rest()
    hand.unfold("Mask and labels")
    form = hand.bench.forms["mask and labels"]
    bar = form.tabs.tabBar()
    QTest.mouseClick(bar, LEFT, PLAIN, bar.tabRect(1).center())
    classes = form.labels.list
    place = classes.visualItemRect(classes.item(0)).center()
    QTest.mouseClick(classes.viewport(), LEFT, PLAIN, place)
    QTest.mouseDClick(classes.viewport(), LEFT, PLAIN, place)
    hand.clicks += 3
    editor = QApplication.focusWidget() if isinstance(QApplication.focusWidget(), QWidget) else classes
    QTest.keyClicks(editor, "leaf")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    hand.press(form.labels.save)
    hand.wait(lambda: desk.project.classes.names == ("leaf",))
    hand.look("class")
    np.testing.assert_array_equal(desk.project.labels(SCENE), selected.astype(int))

    (hand.pictures / "clicks.txt").write_text(f"{hand.clicks} clicks from the empty window to a named class\n")
    assert hand.clicks <= MOST_CLICKS
    assert not hand.complaints
    assert len(list(hand.pictures.glob("*.png"))) >= hand.taken
