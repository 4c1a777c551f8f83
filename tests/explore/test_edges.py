"""The noise of a scene with edges, told by neighbours of one material."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hsi_ssl.config import PcaConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.explore.pca import Source, fit_projection
from napari_hsi_ssl.progress import run


def stripes(width_of_stripes, bands=8, seed=0):
    """A scene of stripes whose materials differ by 30 standard deviations of the noise, which is 0.1 in every band."""
    generator = np.random.default_rng(seed)
    material = np.arange(120) // width_of_stripes % 2
    spectra = np.array([np.linspace(1, 4, bands), np.linspace(4, 1, bands)])
    return as_cube(spectra[material][None] + generator.normal(0, 0.1, (60, 120, bands)), name="stripes")


def noise_of(cube, edges):
    config = PcaConfig(bands=cube.shape[2], components=cube.shape[2], method="mnf", edges=edges)
    projection = run(fit_projection([Source("stripes", "d", cube, np.ones(cube.shape[:2], dtype=bool))], config))
    # In the plane of the components noise has variance 1, so the components tell the noise: N = (Cᵀ C)⁻¹.
    return np.linalg.inv(projection.components.T @ projection.components)


def test_edges_are_not_taken_for_noise():
    cube = stripes(4)
    np.testing.assert_allclose(noise_of(cube, "skip"), 0.01 * np.eye(8), atol=0.002)
    assert np.diag(noise_of(cube, "count")).max() > 0.1  # a quarter of the pairs crosses an edge


def test_without_edges_both_ways_agree():
    generator = np.random.default_rng(1)
    cube = as_cube(generator.normal(0, 0.1, (60, 120, 8)) + np.linspace(1, 4, 8), name="plain")
    np.testing.assert_allclose(noise_of(cube, "skip"), noise_of(cube, "count"), atol=2e-4)


def test_pca_knows_no_noise():
    with pytest.raises(ConfigError, match="method 'mnf' alone"):
        PcaConfig.parse({"denoise": 3}, "pca")
