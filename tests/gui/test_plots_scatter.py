"""Component scatter: densities, dots, colours by group, lasso, and what is selected."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_hsi_ssl.explore.density import density
from napari_hsi_ssl.explore.shading import binned, blended_image, dotted, shade, side_for, single_image
from napari_hsi_ssl.gui.plots.scatter import ScatterPlot
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


@pytest.mark.parametrize("count", [0, 10, 25_000, 200_000])
def test_coarser_bins_lose_no_point(count):
    counts = cloud(count, (0, 0)).counts
    found = binned(counts, side_for(count, 512))
    assert found.sum() == count
    assert found.shape == {25_000: (256, 256)}.get(count, (512, 512))


def test_few_points_are_dots_that_can_be_seen_and_many_are_not_smeared():
    # A single bin of 512 is less than a screen pixel wide in a small dock.
    one = np.zeros((512, 512), dtype=np.int64)
    one[100, 511] = 1
    grown = dotted(one)
    assert grown.shape == one.shape
    assert 6 <= np.count_nonzero(grown) <= 13
    assert grown[100, 511] == 1
    assert grown.max() == 1
    many = cloud(30_000, (0, 0)).counts
    assert dotted(many) is many


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
    plot.set_densities({"coffee": cloud(500, (-1, 1)), "sugar": cloud(4000, (1, 1))}, 0, 1, colour="domain")
    assert plot.legend.texts() == ["coffee\n500 px", "sugar\n4,000 px"]
    assert plot.colour == "domain"
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
    plot.resize(800, 300)
    plot.show()
    qtbot.waitExposed(plot)
    before = plot.view.viewRange()
    corners = [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]
    viewport = plot.plot.viewport()

    def place(x, y):
        return plot.plot.mapFromScene(plot.view.mapViewToScene(QPointF(x, y)))

    heard = []
    plot.lasso_drawn.connect(lambda polygon, mode: heard.append((polygon, mode)))
    path = [np.array(a) * (1 - t) + np.array(b) * t for a, b in pairwise(corners) for t in np.linspace(0, 1, 6)]
    qtbot.mousePress(viewport, Qt.MouseButton.LeftButton, pos=place(*path[0]))
    for point in path[1:]:
        qtbot.wait(15)  # pyqtgraph passes over moves that follow faster than 100 a second
        drag(viewport, place(*point))
    qtbot.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=place(*path[-1]))
    assert len(heard) == 1
    assert heard[0][1] == "new"
    low, high = heard[0][0].min(axis=0), heard[0][0].max(axis=0)
    np.testing.assert_allclose([low, high], [[-1, -1], [1, 1]], atol=0.1)
    assert plot.view.viewRange() == before


@pytest.mark.parametrize(("modifier", "mode"), [(Qt.KeyboardModifier.ShiftModifier, "add"), (Qt.KeyboardModifier.ControlModifier, "subtract")])
def test_a_box_with_shift_or_ctrl_adds_or_takes_away(plot, qtbot, modifier, mode):
    plot.set_components([0.6, 0.4])
    plot.set_densities({"a": cloud(4000, (0, 0))}, 0, 1)
    plot.resize(800, 300)
    plot.show()
    qtbot.waitExposed(plot)
    plot.box_button.click()
    assert not plot.lasso_button.isChecked()
    viewport = plot.plot.viewport()
    qtbot.wait(100)  # the axes take the room of their labels
    start, end = (plot.plot.mapFromScene(plot.view.mapViewToScene(QPointF(*point))) for point in ((-1.0, -2.0), (1.5, 1.0)))
    heard = []
    plot.lasso_drawn.connect(lambda polygon, mode: heard.append((polygon, mode)))
    qtbot.mousePress(viewport, Qt.MouseButton.LeftButton, modifier, pos=start)
    qtbot.wait(15)
    drag(viewport, (start + end) / 2)
    qtbot.wait(15)
    drag(viewport, end)
    qtbot.mouseRelease(viewport, Qt.MouseButton.LeftButton, modifier, pos=end)
    assert [found for _, found in heard] == [mode]
    np.testing.assert_allclose([heard[0][0].min(axis=0), heard[0][0].max(axis=0)], [(-1, -2), (1.5, 1)], atol=0.1)


def test_without_a_tool_a_drag_moves_the_picture(plot, qtbot):
    plot.set_components([0.6, 0.4])
    plot.set_densities({"a": cloud(4000, (0, 0))}, 0, 1)
    plot.lasso_button.click()
    assert plot.view.tool == ""


def test_selected_pixels_lie_over_the_density_where_they_are(plot):
    plot.set_components([0.6, 0.4])
    plot.set_densities({"a": cloud(100_000, (0, 0))}, 0, 1)
    assert plot.overlay.isVisible() is False
    plot.set_selected(cloud(30_000, (2, -2)).counts)
    alpha = plot.overlay.image[..., 3]
    x, y = (np.argwhere(alpha > 0).mean(axis=0) / alpha.shape) * 8 - 4
    assert (x, y) == pytest.approx((2, -2), abs=0.3)
    plot.set_selected(np.zeros((512, 512), dtype=np.int64))
    assert not plot.overlay.isVisible()


def test_a_umap_is_offered_only_where_there_is_one(plot):
    assert plot.space == "components"
    plot.offer_umap(True)
    plot.set_space("umap")
    plot.set_components([], "UMAP", 2)
    assert [plot.x_box.itemText(index) for index in range(plot.x_box.count())] == ["UMAP 1", "UMAP 2"]
    plot.set_densities({"a": cloud(500, (0, 0))}, 0, 1)
    assert plot.plot.getAxis("bottom").labelText == "UMAP 1"
    plot.offer_umap(False)
    assert plot.space == "components"
