"""Mean spectra against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.errors import CubeError
from napari_hsi_ssl.explore import chunks
from napari_hsi_ssl.explore.spectra import described, mean_spectrum, pooled, region_means
from napari_hsi_ssl.progress import run


@pytest.fixture
def values():
    return np.random.default_rng(0).uniform(1, 5, (23, 11, 6)).astype(np.float32)


@pytest.mark.parametrize("layout", ["bip", "bil", "bsq"])
def test_mean_and_deviation(values, layout, monkeypatch):
    """Every memory layout takes another path through the gathering; a mix-up of axes would give another mean."""
    monkeypatch.setattr(chunks, "CHUNK", 40)
    order = {"bip": (0, 1, 2), "bil": (0, 2, 1), "bsq": (2, 0, 1)}[layout]
    stored = np.ascontiguousarray(values.transpose(order)).transpose(np.argsort(order))
    mask = np.random.default_rng(1).random(values.shape[:2]) < 0.4
    mean, std = mean_spectrum(as_cube(stored + np.float32(1e4)), mask)
    np.testing.assert_allclose(mean, (stored + np.float32(1e4))[mask].mean(axis=0, dtype=float), rtol=1e-12)
    np.testing.assert_allclose(std, (stored + np.float32(1e4))[mask].std(axis=0, dtype=float), rtol=1e-8)


def test_unmeasured_pixels_and_bad_bands_do_not_count(values):
    values[0, 0, 2] = np.nan
    values[0, 1] = -1
    values[..., 5] = np.nan
    cube = as_cube(values, nodata=-1, bad_bands=np.arange(6) == 5)
    mask = np.zeros(values.shape[:2], dtype=bool)
    mask[0, :4] = True
    mean, _ = mean_spectrum(cube, mask)
    np.testing.assert_allclose(mean[:5], values[0, 2:4, :5].mean(axis=0, dtype=float))
    assert np.isnan(mean[5])
    mask[0, 2:] = False
    with pytest.raises(CubeError, match="no pixel of the mask was measured"):
        mean_spectrum(cube, mask)
    with pytest.raises(CubeError, match=r"shape \(2, 2\)"):
        mean_spectrum(cube, np.ones((2, 2), dtype=bool))


def test_all_regions_in_one_pass_are_those_of_each_alone(values):
    regions = np.random.default_rng(3).integers(0, 4, values.shape[:2])
    seen = []
    steps = region_means(as_cube(values), regions, (1, 2, 3, 9))
    found = run(steps, seen.append)
    assert sorted(found) == [1, 2, 3]
    for number, (pixels, mean, std) in found.items():
        chosen = values[regions == number].astype(float)
        assert pixels == len(chosen)
        np.testing.assert_allclose(mean, chosen.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(std, chosen.std(axis=0), rtol=1e-8)
    assert seen[-1].done == seen[-1].total == values.shape[0]


def test_pooled_means_are_those_of_all_pixels_together(values):
    """Averaging the averages would give a small cube the weight of a large one."""
    cubes = {"a": as_cube(values[:5], np.arange(6.0)), "b": as_cube(values[5:] + 3, np.arange(6.0)), "c": as_cube(values[:, :, :4], np.arange(4.0))}
    parts = [described(cube, name, name, cube.shape[0] * cube.shape[1], *mean_spectrum(cube, np.ones(cube.shape[:2], bool))) for name, cube in cubes.items()]
    both, other = pooled(parts, "soil")
    every = np.concatenate([np.asarray(cubes[name].data, dtype=float).reshape(-1, 6) for name in "ab"])
    np.testing.assert_allclose(both.mean, every.mean(axis=0))
    np.testing.assert_allclose(both.std, every.std(axis=0))
    assert (both.pixels, both.cubes) == (len(every), ("a", "b"))
    np.testing.assert_allclose(other.mean, parts[2].mean)
