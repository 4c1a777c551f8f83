"""Sums of many spectra, part by part, against those of all at once."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.linalg import subspace_angles

from napari_hsi_ssl.explore.moments import Moments, Statistics, accumulate

SHAPE = (250, 200, 40)


def strong_and_weak(seed: int, offset: float = 0.0) -> np.ndarray:
    """Four directions from strong to weak above the noise: the last is lost when float32 sums them all."""
    generator = np.random.default_rng(seed)
    directions = np.linalg.qr(generator.standard_normal((SHAPE[2], 8)))[0]
    places = generator.standard_normal((*SHAPE[:2], 8)) * (1e4, 3e3, 5e2, 1e2, 30, 10, 3, 1)
    return (offset + places @ directions.T + 0.1 * generator.standard_normal(SHAPE)).astype(np.float32)


def summed(values: np.ndarray, area: np.ndarray | None = None) -> Statistics:
    moments = Moments(values.shape[2])
    cube = xr.DataArray(values, dims=("y", "x", "band"))
    for _ in accumulate(cube, np.ones(values.shape[:2], bool) if area is None else area, moments):
        pass
    return moments.statistics()


def exact(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    spectra = values.reshape(-1, values.shape[-1]).astype(np.float64)
    mean = spectra.mean(axis=0)
    return mean, (spectra - mean).T @ (spectra - mean)


@pytest.mark.parametrize("offset", [0.0, 5e4])
def test_the_weakest_direction_keeps_its_digits(offset):
    values = strong_and_weak(0, offset)
    mean, scatter = exact(values)
    found = summed(values)
    np.testing.assert_allclose(found.mean, mean, atol=1e-3)
    wanted = np.linalg.eigh(scatter)
    got = np.linalg.eigh(found.scatter)
    np.testing.assert_allclose(got[0][-8:], wanted[0][-8:], rtol=1e-4)
    assert subspace_angles(got[1][:, -8:], wanted[1][:, -8:]).max() < 1e-4
    plain = values.reshape(-1, SHAPE[2]) - values.reshape(-1, SHAPE[2]).mean(axis=0)
    lost = np.linalg.eigh((plain.T @ plain).astype(np.float64))[1][:, -8:]
    assert subspace_angles(lost, wanted[1][:, -8:]).max() > 1e-3  # the scene is one on which it matters


def test_parts_unlike_the_first_are_summed_as_exactly():
    """The mean is guessed from the first rows; where those show one flat material, they say nothing of the rest."""
    values = strong_and_weak(1)
    values[:60] = values[0, 0] + 0.01 * np.random.default_rng(2).standard_normal((60, *SHAPE[1:])).astype(np.float32)
    mean, scatter = exact(values)
    found = summed(values)
    np.testing.assert_allclose(found.mean, mean, atol=1e-4)
    np.testing.assert_allclose(found.scatter, scatter, atol=1e-9 * np.abs(scatter).max())


def test_integers_and_an_area():
    values = np.clip(strong_and_weak(3, 3e4), 0, 65535).astype(np.uint16)
    area = np.random.default_rng(4).random(SHAPE[:2]) < 0.8
    mean, scatter = exact(values[area])
    found = summed(values, area)
    assert found.count == area.sum()
    np.testing.assert_allclose(found.mean, mean, atol=1e-3)
    np.testing.assert_allclose(found.scatter, scatter, atol=1e-8 * np.abs(scatter).max())


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_spectra_that_are_no_numbers_are_left_out_alone(kind):
    """The measured ones are few and lie between, and in half precision their sums over the bands are beyond its range."""
    values = np.full((10, 12, 40), np.nan, kind)
    values[1, 5:10] = 5000 + np.arange(200).reshape(5, 40)
    found = summed(values)
    mean, scatter = exact(values[1:2, 5:10])
    assert found.count == 5
    np.testing.assert_allclose(found.mean, mean)
    np.testing.assert_allclose(found.scatter, scatter)
