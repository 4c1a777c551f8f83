"""Calibration and band resampling, against the formula and NumPy's own interpolation."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hsi_ssl.cubes.calibrate import calibrate, common_grid, resampling_matrix
from napari_hsi_ssl.cubes.cube import as_cube, row_blocks, valid_pixels
from napari_hsi_ssl.errors import ConfigError, CubeError


def _counts(seed: int, shape: tuple[int, int, int], low: int, high: int, name: str):
    return as_cube(np.random.default_rng(seed).integers(low, high, shape).astype(np.uint16), name=name, quantity="dn")


@pytest.fixture
def raw():
    return _counts(0, (12, 7, 5), 100, 4000, "raw")


@pytest.fixture
def white():
    return _counts(1, (4, 7, 5), 4000, 4200, "white")


@pytest.fixture
def dark():
    return _counts(2, (1, 7, 5), 0, 100, "dark")


def _expected(raw, white, dark):
    d, w = dark.values.astype(float).mean(axis=0), white.values.astype(float).mean(axis=0)
    return (raw.values - d) / (w - d)


@pytest.mark.parametrize("key", [np.s_[:], np.s_[3], np.s_[:, 2], np.s_[..., 4], np.s_[::5, 1:6:2, 3], np.s_[5, 6], np.s_[:, :, [4, 0]], np.s_[[1, 3], 2:4]])
def test_every_way_of_slicing_gives_the_calibrated_values(raw, white, dark, key):
    """A wrong alignment of the reference with a slice would put another column's or band's gain on a pixel."""
    cube = calibrate(raw, white, dark)
    assert cube.attrs["quantity"] == "reflectance"
    np.testing.assert_allclose(np.asarray(cube.data[key]), _expected(raw, white, dark)[key], rtol=1e-6)


def test_columns_keep_their_own_value(white, dark):
    """If references were averaged over columns too, stripes of a push-broom camera would stay in the picture."""
    panel = as_cube(np.repeat(white.values.astype(float).mean(axis=0)[None], 9, axis=0), name="panel")
    np.testing.assert_allclose(calibrate(panel, white, dark).values, 1.0, rtol=1e-5)


def test_nothing_is_read_before_it_is_needed(white, dark):
    """A calibration that reads the cube at once could not open a cube larger than memory."""
    read = []

    class Counted:
        shape, ndim, dtype = (100, 7, 5), 3, np.dtype(np.uint16)

        def __getitem__(self, key):
            read.append(key)
            return np.ones(self.shape, self.dtype)[key]

    lazy = da.from_array(Counted(), chunks=(10, 7, 5), asarray=False, meta=np.empty((0, 0, 0), np.uint16), name=False)
    cube = calibrate(as_cube(lazy, name="big"), white, dark)
    assert read == []
    np.asarray(cube.data[25:27])
    assert len(read) == 1
    assert read[0][0] == slice(25, 27)  # the slice reached the file; rows 20 to 29 did not have to be read


def test_ignore_value_survives(white, dark):
    """Were the ignore value calibrated like a count, empty pixels would turn into dark objects."""
    values = np.full((3, 7, 5), 500.0)
    values[1, 2] = 0
    cube = calibrate(as_cube(values, name="holes", nodata=0), white, dark)
    block = next(iter(row_blocks(cube)))[1]
    expected = np.ones((3, 7), dtype=bool)
    expected[1, 2] = False
    np.testing.assert_array_equal(valid_pixels(block, cube.attrs["nodata"]), expected)


def test_dark_alone_keeps_the_quantity(raw, dark):
    """Counts less their dark signal are counts still; calling them reflectance would let them mix with real reflectance."""
    cube = calibrate(raw, dark=dark)
    assert cube.attrs["quantity"] == "dn"
    np.testing.assert_allclose(cube.values, raw.values - dark.values.astype(float), rtol=1e-6)


@pytest.mark.parametrize("kind", ["white", "dark"])
def test_reference_of_another_width(raw, kind):
    with pytest.raises(CubeError, match=rf"{kind} reference of raw .*8 columns and 5 bands, expected 7 and 5"):
        calibrate(raw, **{kind: _counts(3, (1, 8, 5), 10, 20, "other")})


def test_white_with_zeros(raw, white, dark):
    """A division by zero would spread infinities; the message must lead to the place."""
    broken = as_cube(white.values.copy(), name="white")
    broken.values[:, 3, 1] = 0
    with pytest.raises(CubeError, match="in 1 places, the first column 3, band 1"):
        calibrate(raw, broken, dark)
    with pytest.raises(CubeError, match="in 35 places"):
        calibrate(raw, as_cube(np.zeros((1, 7, 5)), name="shut"), dark)


def test_band_without_light_becomes_bad(raw, white, dark):
    """A dead band must neither stop the work nor count as measured zeros."""
    weak = as_cube(white.values.copy(), name="white")
    weak.values[:, :, 4] = 0
    cube = calibrate(raw, weak, dark)
    np.testing.assert_array_equal(cube.attrs["bad_bands"], [False] * 4 + [True])
    assert np.isfinite(cube.values).all()


@settings(max_examples=60, deadline=None)
@given(bands=st.integers(1, 40), grid=st.integers(2, 40), seed=st.integers(0, 2**16))
def test_index_resampling_is_linear_interpolation(bands, grid, seed):
    """Against numpy.interp: a shifted or unnormalised row would distort every spectrum of the domain."""
    positions = common_grid([(bands, None)], grid, "index")
    matrix = resampling_matrix(bands, positions, "index")
    spectrum = np.random.default_rng(seed).standard_normal(bands)
    np.testing.assert_allclose(matrix @ spectrum, np.interp(positions, np.linspace(0, 1, bands), spectrum), atol=1e-12)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, atol=1e-12)
    if bands == grid:
        np.testing.assert_array_equal(matrix, np.eye(bands))


@settings(max_examples=60, deadline=None)
@given(bands=st.integers(2, 40), grid=st.integers(2, 40), seed=st.integers(0, 2**16), data=st.data())
def test_straight_lines_survive_whatever_is_bad_or_unsorted(bands, grid, seed, data):
    """A linear function of the wavelength must come out exactly, with bad bands, duplicates and bands in any order."""
    generator = np.random.default_rng(seed)
    centres = generator.permutation(np.concatenate([[400.0, 2500.0], generator.choice(np.linspace(400, 2500, 30), bands - 2)]))
    bad = np.array(data.draw(st.lists(st.booleans(), min_size=bands, max_size=bands))) & (centres > 400) & (centres < 2500)
    positions = common_grid([(bands, centres)], grid, "wavelength")
    matrix = resampling_matrix(centres, positions, "wavelength", bad=bad)
    spectrum = np.where(bad, 1e6, 3.0 + 0.01 * centres)
    np.testing.assert_allclose(matrix @ spectrum, 3.0 + 0.01 * positions, rtol=1e-10)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, atol=1e-12)


def test_bands_of_one_wavelength_count_by_their_average():
    matrix = resampling_matrix(np.array([500.0, 600.0, 600.0, 700.0]), np.array([500.0, 600.0, 650.0]), "wavelength")
    np.testing.assert_allclose(matrix @ [0.0, 2.0, 4.0, 5.0], [0.0, 3.0, 4.0])


def test_wavelength_grid_is_the_shared_range():
    sources = [(3, np.array([400.0, 700.0, 1000.0])), (2, np.array([500.0, 2500.0]))]
    np.testing.assert_allclose(common_grid(sources, 3, "wavelength"), [500, 750, 1000])


def test_ranges_that_share_nothing():
    sources = [(2, np.array([400.0, 700.0])), (2, np.array([900.0, 1700.0])), (2, np.array([400.0, 2500.0]))]
    with pytest.raises(ConfigError, match=r"'vis' \(400–700 nm\) and 'swir' \(900–1700 nm\) share no range"):
        common_grid(sources, 8, "wavelength", ["vis", "swir", "full"])


def test_cube_without_wavelengths_is_named():
    with pytest.raises(ConfigError, match="cube 'plain' has no wavelengths"):
        common_grid([(2, np.array([400.0, 700.0])), (9, None)], 8, "wavelength", ["good", "plain"])
    with pytest.raises(ConfigError, match="expected their wavelengths"):
        resampling_matrix(9, np.array([400.0, 500.0]), "wavelength")
