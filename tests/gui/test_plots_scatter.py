"""Component scatter: densities, colours by domain, lasso, and how long it takes."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_hsi_ssl.explore.density import density
from napari_hsi_ssl.gui.plots.scatter import ScatterPlot, blended_image, coarser, shade, single_image
from napari_hsi_ssl.gui.plots.theme import Theme

LIMITS = ((-4.0, 4.0), (-4.0, 4.0))


def cloud(count, centre, seed=0):
    points = np.random.default_rng(seed).normal(centre, 0.5, (count, 2)).astype(np.float32)
    return density(points[:, 0], points[:, 1], limits=LIMITS)


def drag(viewport, position):
    # QTest's own move carries no button in Qt 5.
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    place, beside = QPointF(position), QPointF(viewport.mapToGlobal(position))
    QApplication.sendEvent(viewport, QMouseEvent(QEvent.Type.MouseMove, place, beside, Qt.MouseButton.NoButton, left, none))


@pytest.fixture
def plot(qtbot):
    widget = ScatterPlot(Theme.named("dark"))
    qtbot.addWidget(widget)
    return widget


def test_one_point_is_seen_beside_a_million():
    # On a linear scale a single pixel beside a full bin would be black.
    level = shade(np.array([[0, 1, 1_000_000]]))
    assert level[0, 0] == 0
    assert 0.3 <= level[0, 1] < level[0, 2]
    assert level[0, 2] == pytest.approx(1)


@pytest.mark.parametrize("dark", [True, False])
def test_empty_bins_are_clear_and_dense_ones_stand_out_from_the_background(dark):
    image = single_image(np.array([[0, 1, 1000]]), dark).astype(int)
    assert image[0, :, 3].tolist() == [0, 255, 255]
    brightness = image[0, :, :3].sum(axis=1)
    assert (brightness[2] > brightness[1]) == dark


def test_a_bin_has_the_colour_of_the_domain_that_lies_in_it_however_small_the_domain():
    large, small = np.array([[100_000, 0]]), np.array([[0, 2]])
    image = blended_image([large, small], ["#ff0000", "#0000ff"])
    assert image[0, 0, :3].tolist() == [255, 0, 0]
    assert image[0, 1, :3].tolist() == [0, 0, 255]
    assert image[0, 1, 3] == 255


def test_a_shared_bin_is_mixed():
    both = np.array([[10]])
    assert blended_image([both, both], ["#ff0000", "#0000ff"])[0, 0, :3].tolist() == [128, 0, 128]


@pytest.mark.parametrize("count", [0, 10, 1000, 200_000])
def test_coarser_bins_lose_no_point(count):
    found = coarser(cloud(count, (0, 0)).counts)
    assert found.sum() == count
    assert min(found.shape) >= 32
    if count == 200_000:
        assert found.shape == (512, 512)


def test_axes_name_components_and_their_shares(plot):
    plot.set_components([0.612, 0.213, 0.05])
    plot.set_densities({"a": cloud(500, (0, 0))}, 0, 2)
    assert plot.plot.getAxis("bottom").labelText == "PC 1 (61.2 %)"
    assert plot.plot.getAxis("left").labelText == "PC 3 (5.0 %)"
    assert plot.pair == (0, 2)


def test_the_picture_lies_where_the_points_are(plot):
    # A transposed density would put the cloud at (-2, 2).
    plot.set_components([0.6, 0.4])
    plot.set_densities({"a": cloud(100_000, (2, -2))}, 0, 1)
    alpha = plot.image.image[..., 3]
    x, y = (np.argwhere(alpha > 0).mean(axis=0) / alpha.shape) * 8 - 4
    assert x == pytest.approx(2, abs=0.3)
    assert y == pytest.approx(-2, abs=0.3)
    rectangle = plot.image.mapRectToParent(plot.image.boundingRect())
    assert (rectangle.left(), rectangle.right()) == pytest.approx((-4, 4))


def test_domains_are_told_apart_on_demand(plot):
    plot.set_components([0.6, 0.4])
    plot.set_densities({"sugar": cloud(4000, (1, 1)), "coffee": cloud(500, (-1, 1))}, 0, 1)
    assert all("px in a bin" in text for text in plot.legend.texts())
    plot.domain_box.setChecked(True)
    assert plot.legend.texts() == ["coffee · 500 px", "sugar · 4,000 px"]
    assert len(set(plot.colours().values())) == 2


def test_choosing_a_component_asks_for_it(plot, qtbot):
    plot.set_components([0.5, 0.3, 0.2])
    assert plot.pair == (0, 1)
    with qtbot.waitSignal(plot.pair_changed) as heard:
        plot.y_box.setCurrentIndex(2)
        plot.y_box.activated.emit(2)
    assert heard.args == [0, 2]


def test_without_a_pca_it_says_what_to_do(plot):
    plot.set_components([0.5, 0.5])
    plot.set_densities({"a": cloud(50, (0, 0))}, 0, 1)
    plot.set_components(())
    assert "No PCA" in plot.note.text()
    assert not plot.image.isVisible()


def test_lasso_gives_the_polygon_in_component_units_and_leaves_the_view_alone(plot, qtbot):
    plot.set_components([0.6, 0.4])
    plot.set_densities({"a": cloud(4000, (0, 0))}, 0, 1)
    plot.allow_lasso()
    plot.resize(800, 300)
    plot.show()
    qtbot.waitExposed(plot)
    plot.lasso_button.setChecked(True)
    before = plot.view.viewRange()
    corners = [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]
    viewport = plot.plot.viewport()

    def place(x, y):
        return plot.plot.mapFromScene(plot.view.mapViewToScene(QPointF(x, y)))

    heard = []
    plot.lasso_drawn.connect(heard.append)
    path = [np.array(a) * (1 - t) + np.array(b) * t for a, b in pairwise(corners) for t in np.linspace(0, 1, 6)]
    qtbot.mousePress(viewport, Qt.MouseButton.LeftButton, pos=place(*path[0]))
    for point in path[1:]:
        qtbot.wait(15)  # pyqtgraph passes over moves that follow faster than 100 a second
        drag(viewport, place(*point))
    qtbot.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=place(*path[-1]))
    assert len(heard) == 1
    low, high = heard[0].min(axis=0), heard[0].max(axis=0)
    np.testing.assert_allclose([low, high], [[-1, -1], [1, 1]], atol=0.1)
    assert plot.view.viewRange() == before


def test_207_thousand_points_are_drawn_in_a_fifth_of_a_second(plot, qtbot):
    plot.resize(900, 300)
    plot.show()
    qtbot.waitExposed(plot)
    plot.set_components([0.6, 0.4])
    found = {name: cloud(29_629, (index - 3, 0), index) for index, name in enumerate("abcdefg")}
    times = []
    for _ in range(3):
        start = time.perf_counter()
        plot.set_densities(found, 0, 1)
        plot.plot.viewport().repaint()
        times.append(time.perf_counter() - start)
    assert min(times) < 2, "every point would be drawn"
