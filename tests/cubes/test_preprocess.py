"""Spectra prepared by a chain: against scipy, slow plain definitions, and whatever part of a cube is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import savgol_filter

from napari_hsi_ssl.config import ChainConfig
from napari_hsi_ssl.config.chain import parse_step, step_text
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.preprocess import continuum, preprocess, preprocess_spectra, savgol_matrix
from napari_hsi_ssl.errors import ConfigError, CubeError


def chain(*texts: str) -> ChainConfig:
    return ChainConfig(steps=tuple(parse_step(text) for text in texts))


def slow_hull(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Andrew's monotone chain, one spectrum at a time."""
    hull: list[tuple[float, float]] = []
    for point in zip(x, y, strict=True):
        while len(hull) > 1 and (hull[-1][1] - hull[-2][1]) * (point[0] - hull[-2][0]) <= (point[1] - hull[-2][1]) * (hull[-1][0] - hull[-2][0]):
            hull.pop()
        hull.append(point)
    return np.interp(x, *zip(*hull, strict=True))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), st.integers(2, 60), st.integers(1, 700))
def test_continuum_is_the_upper_hull(seed, bands, count):
    generator = np.random.default_rng(seed)
    x = np.sort(generator.uniform(400, 2500, bands))
    y = generator.normal(size=(count, bands)) * generator.choice([1e-3, 1, 1e4])
    found = continuum(y, x)
    for one in range(0, count, max(1, count // 5)):
        np.testing.assert_allclose(found[one], slow_hull(x, y[one]), rtol=1e-8, atol=1e-8 * np.ptp(y[one]) + 1e-12)


@pytest.mark.parametrize(("window", "order", "deriv"), [(5, 2, 0), (11, 3, 1), (9, 4, 2)])
def test_savgol_is_scipys_at_even_spacing(window, order, deriv):
    y = np.random.default_rng(0).normal(size=(7, 40))
    x = 400 + 2.5 * np.arange(40)
    ours = y @ savgol_matrix(x, window, order, deriv).T
    np.testing.assert_allclose(ours, savgol_filter(y, window, order, deriv, delta=2.5), atol=1e-10)


def test_derivatives_are_per_nm_at_uneven_spacing():
    x = np.sort(np.random.default_rng(1).uniform(400, 1000, 50))
    y = (3 + 0.2 * x + 0.01 * x**2)[None]
    first, _ = preprocess_spectra(y, x, chain("savgol:window=7,order=2,deriv=1"))
    np.testing.assert_allclose(first[0], 0.2 + 0.02 * x, rtol=1e-6)
    second, _ = preprocess_spectra(y, x, chain("savgol:window=7,order=2,deriv=2"))
    np.testing.assert_allclose(second[0], 0.02, rtol=1e-5)


def test_bad_bands_take_no_part_and_unmeasured_spectra_are_no_numbers():
    y = np.random.default_rng(2).uniform(1, 2, (4, 10))
    bad = np.zeros(10, dtype=bool)
    bad[[0, 4]] = True
    wild = y.copy()
    wild[:, bad] = [np.nan, 1e9]
    plain, _ = preprocess_spectra(y[:, ~bad], None, chain("snv"))
    found, _ = preprocess_spectra(wild, None, chain("snv"), bad)
    np.testing.assert_allclose(found[:, ~bad], plain)
    assert np.isfinite(found).all()
    y[1, 3] = np.nan
    assert np.isnan(preprocess_spectra(y, None, chain("snv", "continuum"))[0][1]).all()


def test_a_cube_is_prepared_wherever_it_is_cut():
    values = np.random.default_rng(3).integers(1, 4000, (9, 7, 30)).astype(np.uint16)
    values[2, 3] = 0
    x = np.linspace(400, 1000, 30)
    cube = as_cube(values, x, "dn", "one", nodata=0, bad_bands=np.arange(30) == 29)
    steps = chain("resample:start=410,stop=960,step=10,method=gaussian", "savgol:window=5", "snv")
    prepared = preprocess(cube, steps)
    whole = np.asarray(prepared.data)
    wanted, centres = preprocess_spectra(values, x, steps, np.arange(30) == 29)
    wanted[2, 3] = np.nan
    np.testing.assert_allclose(whole, wanted, rtol=2e-5, atol=1e-5)
    np.testing.assert_allclose(prepared.coords["wavelength"], centres)
    for key in (np.s_[4, 5], np.s_[:, :, 7], np.s_[2:5, 1:3], np.s_[3, :, 2:9], np.s_[::2, 3, 4]):
        np.testing.assert_array_equal(np.asarray(prepared.data[key]), whole[key])
    assert "nodata" not in prepared.attrs


def test_linear_resampling_hits_a_line_and_refuses_what_lies_outside():
    x = np.linspace(400, 1000, 61)
    line, centres = preprocess_spectra((2 * x)[None], x, chain("resample:start=405,stop=995,step=7"))
    np.testing.assert_allclose(line[0], 2 * centres)
    with pytest.raises(CubeError, match="span 400–1000 nm"):
        preprocess_spectra(x[None], x, chain("resample:start=300,stop=900,step=5"))
    with pytest.raises(CubeError, match="no wavelengths"):
        preprocess_spectra(x[None], None, chain("resample"))


@pytest.mark.parametrize("text", ["snw", "savgol:window=4", "savgol:size=5", "savgol:window", "resample:start=900,stop=500", "savgol:order=11"])
def test_a_wrong_step_is_told_in_one_sentence(text):
    with pytest.raises(ConfigError) as told:
        parse_step(text)
    assert "\n" not in str(told.value)


def test_a_step_and_its_text_are_the_same():
    for text in ("snv", "savgol:window=7,order=2,deriv=1", "resample:start=400,stop=900,step=2.5,method=gaussian,fwhm=4"):
        assert step_text(parse_step(text)) == text
