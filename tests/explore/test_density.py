"""Densities against numpy.histogram2d."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hsi_ssl.errors import CubeError
from napari_hsi_ssl.explore.density import density, robust_limits


@settings(max_examples=40, deadline=None)
@given(points=st.lists(st.tuples(st.integers(0, 63), st.integers(0, 63)), max_size=200), bins=st.sampled_from([4, 16, 64]))
def test_counts_are_those_of_histogram2d(points, bins):
    """Points in the middle of cells, where rounding cannot matter: a transposed or shifted grid would show at once."""
    x, y = (np.array([point[axis] for point in points], dtype=np.float32) + np.float32(0.5) for axis in (0, 1))
    limits = ((0.0, 64.0), (0.0, 64.0))
    expected, x_edges, y_edges = np.histogram2d(x, y, bins=bins, range=limits)
    found = density(x, y, bins=bins, limits=limits)
    np.testing.assert_array_equal(found.counts, expected)
    np.testing.assert_allclose(found.x_edges, x_edges)
    np.testing.assert_allclose(found.y_edges, y_edges)


def test_rounding_moves_at_most_points_on_edges():
    """Against float64 binning of many points: more than a handful in another cell would mean a wrong scale."""
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((2, 300_000))
    found = density(x, y, bins=128)
    expected = np.histogram2d(np.clip(x, *found.limits[0]), np.clip(y, *found.limits[1]), bins=[found.x_edges, found.y_edges])[0]
    assert found.counts.sum() == x.size
    assert np.abs(found.counts - expected).sum() / 2 < 1e-4 * x.size


def test_outliers_are_counted_in_the_border_and_gaps_left_out():
    """A hot pixel may neither vanish nor stretch the axes; a pixel that was not measured is no point."""
    x = np.array([0.5, 99.0, -99.0, np.nan, np.inf, 0.5], dtype=np.float32)
    y = np.array([0.5, 0.5, 99.0, 0.5, 0.5, np.nan], dtype=np.float32)
    found = density(x, y, bins=2, limits=((0.0, 1.0), (0.0, 1.0)))
    np.testing.assert_array_equal(found.counts, [[0, 1], [0, 2]])


def test_float16_columns_and_parts_longer_than_a_chunk():
    """Stored scores are float16 and their number is no multiple of the chunk."""
    x = np.linspace(-1, 1, 2**17 + 3).astype(np.float16)
    found = density(x, x, bins=8, limits=((-1.0, 1.0), (-1.0, 1.0)))
    assert found.counts.sum() == x.size
    assert found.counts.trace() == x.size


def test_limits_ignore_extremes_and_constants():
    x = np.concatenate([np.linspace(0, 1, 10_000), [1e6, np.nan, -np.inf]])
    (low, high), (flat_low, flat_high) = robust_limits(x, np.full(x.size, 7.0))
    assert -0.1 < low < 0.01
    assert 0.99 < high < 1.1
    assert flat_low < 7 < flat_high
    assert np.isfinite(robust_limits(np.full(3, np.nan), np.array([]))).all()
    assert density(np.full(5, 7.0), np.full(5, 7.0), bins=4).counts.max() == 5


def test_columns_of_different_size():
    with pytest.raises(CubeError, match="3 values for x and 2 for y"):
        density(np.zeros(3), np.zeros(2))
