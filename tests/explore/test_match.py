"""Library matching and maps by angle, against plain loops and the `spectral` package."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spectral import spectral_angles

from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.library import SpectralLibrary
from napari_hsi_ssl.errors import ConfigError, CubeError
from napari_hsi_ssl.explore.match import angle_map, library_on_bands, on_bands, rank
from napari_hsi_ssl.progress import run


def library(spectra, wavelengths, name="minerals"):
    names = tuple(f"m{number}" for number in range(len(spectra)))
    return SpectralLibrary(name, names, None if wavelengths is None else np.asarray(wavelengths, dtype=float), np.asarray(spectra, dtype=float), "reflectance")


@given(st.integers(0, 1000))
def test_coarse_libraries_are_interpolated_inside_and_unknown_outside(seed):
    rng = np.random.default_rng(seed)
    given_at = np.sort(rng.choice(np.arange(400, 2500), 20, replace=False)).astype(float)
    wanted = np.sort(rng.uniform(300, 2600, 60))
    spectra = rng.random((3, 20))
    found = on_bands(spectra, given_at, wanted)
    inside = (wanted >= given_at[0]) & (wanted <= given_at[-1])
    assert np.isnan(found[:, ~inside]).all()
    edges = (wanted[1:] + wanted[:-1]) / 2
    edges = np.concatenate([[2 * wanted[0] - edges[0]], edges, [2 * wanted[-1] - edges[-1]]])
    for band in np.flatnonzero(inside):
        within = (given_at >= edges[band]) & (given_at < edges[band + 1])
        for row, values in zip(found, spectra, strict=True):
            expected = values[within].mean() if within.sum() >= 3 else np.interp(wanted[band], given_at, values)
            np.testing.assert_allclose(row[band], expected, rtol=1e-9)


def test_a_fine_library_is_averaged_over_each_band():
    # Taking the nearest of a thousand noisy samples would match noise.
    fine = np.arange(400.0, 900.0)
    noise = np.random.default_rng(0).normal(0, 0.2, (1, fine.size))
    bands = np.linspace(450, 850, 9)
    found = on_bands(1 + noise, fine, bands)
    assert np.abs(found - 1).max() < 0.1


def test_a_band_that_a_library_lacks_is_bridged_and_order_does_not_matter():
    at = np.array([400.0, 500.0, 600.0, 700.0])
    spectra = np.array([[1.0, np.nan, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]])
    wanted = np.array([650.0, 500.0])
    expected = [[3.5, 2.0], [3.5, 2.0]]
    np.testing.assert_allclose(on_bands(spectra, at, wanted), expected)
    np.testing.assert_allclose(on_bands(spectra[:, ::-1], at[::-1], wanted), expected)


def test_rank_finds_the_spectrum_itself_whatever_its_brightness():
    rng = np.random.default_rng(1)
    references = rng.random((40, 25))
    references[7, :5] = np.nan
    matches = rank(300 * references[11], references, np.arange(25) == 3)
    assert matches.order[0] == 11
    assert matches.angles[0] < 1e-6
    assert matches.scales[0] == pytest.approx(300)
    assert (np.diff(matches.angles) >= 0).all()
    used = np.arange(25) != 3
    for place, angle in zip(matches.order, matches.angles, strict=True):
        both = used & np.isfinite(references[place])
        a, b = references[11][both], references[place][both]
        assert angle == pytest.approx(np.arccos(min(1.0, a @ b / np.linalg.norm(a) / np.linalg.norm(b))), abs=1e-6)


def test_entries_without_bands_in_common_are_left_out_of_the_order():
    references = np.array([[1.0, 2, 3, 4], [np.nan, np.nan, 1, 2], [0, 0, 0, 0]])
    assert rank(np.array([1.0, 2, 3, 4]), references).order.tolist() == [0]
    with pytest.raises(CubeError, match="2 usable bands"):
        rank(np.array([1.0, 2, np.nan, np.nan]), references)


def test_libraries_that_do_not_fit_say_so_in_one_sentence():
    nm = np.linspace(400, 900, 5)
    for bad, words in (
        (library(np.ones((2, 5)), np.linspace(2000, 2500, 5)), r"covers 2000–2500 nm and the cube 400–900 nm"),
        (library(np.ones((2, 5)), None), "has no wavelengths while the cube has"),
    ):
        with pytest.raises(ConfigError, match=words):
            library_on_bands(bad, nm, 5)
    with pytest.raises(ConfigError, match="the cube has no wavelengths while library 'minerals' has"):
        library_on_bands(library(np.ones((2, 5)), nm), None, 5)
    with pytest.raises(ConfigError, match="4 bands and the cube 5, neither with wavelengths"):
        library_on_bands(library(np.ones((2, 4)), None), None, 5)
    np.testing.assert_array_equal(library_on_bands(library(np.ones((2, 5)), None), None, 5), np.ones((2, 5)))


@pytest.mark.parametrize("layout", [(0, 1, 2), (0, 2, 1), (2, 0, 1)])
def test_angle_map_is_the_nearest_of_spectral(layout):
    rng = np.random.default_rng(2)
    values = rng.uniform(1, 5, (31, 17, 12)).astype(np.float32)
    values[3, 4] = 0
    values[5, 6, 2] = np.nan
    stored = np.ascontiguousarray(values.transpose(layout)).transpose(np.argsort(layout))
    references = rng.uniform(1, 5, (4, 12))
    found = run(angle_map(as_cube(stored, name="x"), references, 0.35))
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = spectral_angles(values.astype(np.float64), references)
    usable = np.isfinite(expected).all(axis=-1)
    np.testing.assert_allclose(found.angles[usable], expected[usable].min(axis=-1), atol=1e-5)
    near = usable & (expected.min(axis=-1) <= 0.35)
    np.testing.assert_array_equal(found.nearest, np.where(near, np.where(usable[..., None], expected, 9).argmin(axis=-1) + 1, 0))
    assert not usable[3, 4]
    assert np.isnan(found.angles[3, 4])
    assert np.isnan(found.angles[5, 6])


def test_angle_map_leaves_out_bad_bands_and_those_a_reference_lacks():
    values = np.random.default_rng(3).uniform(1, 5, (6, 5, 8))
    spoilt = values.copy()
    spoilt[..., [2, 6]] = 1e6
    references = values[0, :3].copy()
    references[1, 6] = np.nan
    found = run(angle_map(as_cube(spoilt, bad_bands=np.arange(8) == 2, name="x"), references, 1.0))
    plain = spectral_angles(np.delete(values, [2, 6], axis=2), np.delete(values[0, :3], [2, 6], axis=1))
    np.testing.assert_array_equal(found.nearest[1:], plain.argmin(axis=-1)[1:] + 1)
    only = np.zeros((6, 5), dtype=bool)
    only[2:4] = True
    part = run(angle_map(as_cube(spoilt, bad_bands=np.arange(8) == 2, name="x"), references, 1.0, only))
    np.testing.assert_array_equal(part.nearest, np.where(only, found.nearest, 0))


def test_references_that_cannot_be_used_are_refused():
    cube = as_cube(np.ones((3, 3, 5)), name="x")
    for references, words in (
        (np.ones((2, 4)), r"shape \(2, 4\), expected \(k, 5\)"),
        (np.array([[1.0] * 5, [0.0] * 5]), "reference 2 is zero"),
        (np.array([[1, 1, np.nan, np.nan, np.nan], [1.0] * 5]), "share 2 good bands"),
    ):
        with pytest.raises(CubeError, match=words):
            run(angle_map(cube, references, 0.1))
