"""The lasso against tests of every single point, by scikit-image and by crossings counted one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import points_in_poly

from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.explore.brush import cell_table, checked_polygon, lasso
from napari_hsi_ssl.explore.density import Plane

LIMITS = ((-2.0, 2.0), (-1.0, 3.0))


def held(polygon, points, plane):
    """The lasso's answer, and how many points it had to test one by one."""
    asked = []

    def coordinates(numbers):
        asked.append(len(numbers))
        return points[numbers, 0], points[numbers, 1]

    return lasso(polygon, plane, plane.cells(points[:, 0], points[:, 1]), coordinates), sum(asked)


def crossings(polygon, points):
    """Whether a ray to the right of each point crosses an odd number of edges (Shimrat 1962)."""
    inside = np.zeros(len(points), dtype=bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        between = (y0 > points[:, 1]) != (y1 > points[:, 1])
        inside ^= between & (points[:, 0] < (x1 - x0) * (points[:, 1] - y0) / (y1 - y0) + x0)
    return inside


corner = st.tuples(st.floats(-4, 4, width=32), st.floats(-3, 5, width=32))


@settings(max_examples=60, deadline=None)
@given(polygon=st.lists(corner, min_size=3, max_size=12), bins=st.sampled_from([4, 33, 512]), seed=st.integers(0, 99))
def test_every_point_is_judged_as_if_it_was_tested_alone(polygon, bins, seed):
    """Lines that cross themselves, leave the plot or run along a bin's edge included; also points beyond the axes."""
    points = np.random.default_rng(seed).normal(0, 1.5, (3000, 2)).astype(np.float32)
    plane = Plane(LIMITS, bins)
    try:
        corners = checked_polygon(polygon)
    except ConfigError:
        return
    found, _ = held(polygon, points, plane)
    np.testing.assert_array_equal(found, points_in_poly(points.astype(float), corners))


@pytest.mark.parametrize("spread", [0.2, 1.0, 5.0])
def test_a_hand_drawn_outline_holds_what_counting_crossings_says_and_tests_few_points(spread):
    generator = np.random.default_rng(3)
    turn = np.linspace(0, 2 * np.pi, 150, endpoint=False)
    radius = spread * (1 + 0.3 * np.sin(5 * turn) + 0.02 * generator.standard_normal(150))
    polygon = np.column_stack((radius * np.cos(turn), 1 + radius * np.sin(turn)))
    points = generator.normal((0, 1), 0.5, (200_000, 2))
    found, tested = held(polygon, points, Plane(LIMITS))
    np.testing.assert_array_equal(found, crossings(polygon, points))
    assert tested < 0.05 * len(points), "bins far from the line would be tested point by point"


def test_edges_that_run_along_the_edges_of_bins():
    """A rectangle in whole bins: float32 rounding may put a point on the other side of its line."""
    plane = Plane(((0.0, 0.7), (0.0, 0.7)), 7)
    polygon = np.array([(0.1, 0.1), (0.5, 0.1), (0.5, 0.6), (0.1, 0.6)])
    points = np.random.default_rng(0).integers(0, 8, (5000, 2)) / 10 + np.random.default_rng(1).normal(0, 1e-8, (5000, 2))
    found, _ = held(polygon, points, plane)
    np.testing.assert_array_equal(found, points_in_poly(points, polygon))


def test_what_was_not_measured_is_never_held():
    plane = Plane(LIMITS, 16)
    points = np.array([(0.0, 0.0), (np.nan, 0.0), (0.0, np.inf), (0.5, 0.5)])
    found, _ = held([(-9, -9), (9, -9), (9, 9), (-9, 9)], points, plane)
    assert found.tolist() == [True, False, False, True]


def test_a_lasso_beside_all_points_holds_none():
    plane = Plane(LIMITS, 64)
    points = np.random.default_rng(0).normal((-1, 0), 0.1, (1000, 2))
    found, _ = held([(1, 2), (1.5, 2), (1.2, 2.5)], points, plane)
    assert not found.any()


def test_cells_are_inside_outside_or_on_the_line():
    table = cell_table(np.array([(-1.0, 0.0), (1.0, 0.0), (1.0, 2.0), (-1.0, 2.0)]), Plane(LIMITS, 400))
    assert table[-1] == 0
    shares = np.bincount(table[:-1], minlength=3) / 400**2
    assert shares[1] == pytest.approx(0.25, abs=0.01)
    assert shares[2] < 0.02


@pytest.mark.parametrize(
    ("polygon", "words"),
    [([(0, 0), (1, 1)], "2 different corners"), ([(0, 0), (1, float("nan")), (1, 1)], "finite"), ([1, 2, 3], "shape"), ("abc", "no numbers")],
)
def test_what_is_no_polygon_is_refused_in_a_sentence(polygon, words):
    with pytest.raises(ConfigError, match=words):
        checked_polygon(polygon)
