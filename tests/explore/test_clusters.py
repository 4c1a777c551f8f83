"""Clusters of pixels: found on a sample, deterministic, numbered by brightness, and as good as those found on all pixels."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from napari_hsi_ssl.config import MaskConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.errors import ConfigError, CubeError
from napari_hsi_ssl.explore import clusters
from napari_hsi_ssl.explore.clusters import assign, fit_clusters, foreground_clusters
from napari_hsi_ssl.explore.masks import find_mask
from napari_hsi_ssl.progress import run


@pytest.fixture
def kinds():
    """Four materials in patches, the tray around them the second darkest."""
    generator = np.random.default_rng(1)
    truth = np.full((60, 70), 1)
    truth[10:30, 10:30], truth[10:30, 40:60], truth[35:55, 20:50] = 0, 2, 3
    spectra = np.stack([np.linspace(1, 2, 12), np.full(12, 3.0), np.linspace(9, 1, 12), np.linspace(6, 9, 12)])
    return truth, spectra[truth] + generator.normal(0, 0.1, (60, 70, 12))


def test_materials_are_found_and_numbered_from_dark_to_bright(kinds):
    """The numbers stand in commands and notes: they must not depend on the draw of first centres."""
    truth, values = kinds
    cube = as_cube(values)
    for seed in (0, 7):
        found = run(fit_clusters(cube, 4, seed=seed))
        np.testing.assert_array_equal(run(assign(cube, found)), truth)
    assert found.background() == (1,), "the tray has the whole border"


def test_the_same_seed_gives_the_same_clusters(kinds, monkeypatch):
    _, values = kinds
    monkeypatch.setattr(clusters, "SAMPLE", 500)
    cube = as_cube(values)
    first, second = (run(fit_clusters(cube, 6, seed=3)) for _ in range(2))
    np.testing.assert_array_equal(first.centres, second.centres)
    np.testing.assert_array_equal(run(assign(cube, first)), run(assign(cube, second)))


def test_a_sample_agrees_with_all_pixels(kinds, monkeypatch):
    truth, values = kinds
    monkeypatch.setattr(clusters, "SAMPLE", 400)
    cube = as_cube(values)
    numbers = run(assign(cube, run(fit_clusters(cube, 4))))
    full = KMeans(4, n_init=4, random_state=0).fit_predict(values.reshape(-1, 12))
    assert adjusted_rand_score(full, numbers.ravel()) > 0.99
    assert adjusted_rand_score(truth.ravel(), numbers.ravel()) > 0.99


def test_shape_is_blind_to_shade(kinds):
    """Half of every material in the shade must stay with the other half."""
    truth, values = kinds
    flat = np.where(truth == 1, 0, truth)  # a flat spectrum has no shape
    shape = np.stack([np.linspace(1, 2, 12), np.linspace(1, 2, 12), np.linspace(9, 1, 12), np.sin(np.arange(12)) + 3])
    shaded = shape[flat] * np.where(np.arange(70) % 2, 1.0, 0.3)[None, :, None] + np.random.default_rng(0).normal(0, 1e-3, values.shape)
    cube = as_cube(shaded)
    numbers = run(assign(cube, run(fit_clusters(cube, 3, features="shape"))))
    assert adjusted_rand_score(flat.ravel(), numbers.ravel()) > 0.99


def test_gaps_and_bad_bands_take_no_part(kinds):
    truth, values = kinds
    values = values.copy()
    values[0, 0] = np.nan
    values[5, 5] = -9
    values[..., 3] = 1e6 * np.random.default_rng(0).random(truth.shape)
    values[5, 5] = -9
    bad = np.arange(12) == 3
    cube = as_cube(values, nodata=-9, bad_bands=bad)
    area = np.ones(truth.shape, dtype=bool)
    area[:, 60:] = False
    numbers = run(assign(cube, run(fit_clusters(cube, 4, area=area)), area))
    assert (numbers[[0, 5], [0, 5]] == -1).all()
    assert (numbers[:, 60:] == -1).all()
    kept = numbers >= 0
    np.testing.assert_array_equal(numbers[kept], truth[kept])


def test_the_mask_of_clusters(kinds):
    truth, values = kinds
    cube = as_cube(values, name="kinds")
    plain = {"method": "kmeans", "fill_holes": False, "drop_specks": 0}
    np.testing.assert_array_equal(run(find_mask(cube, MaskConfig(**plain))), truth != 1)
    np.testing.assert_array_equal(run(find_mask(cube, MaskConfig(background=(0, 1), **plain))), truth > 1)
    np.testing.assert_array_equal(run(find_mask(cube, MaskConfig(foreground=(3,), **plain))), truth == 3)
    inside = MaskConfig(method="kmeans", background=(0,), drop_specks=0)
    np.testing.assert_array_equal(run(find_mask(cube, inside)), truth != 0, err_msg="background inside an object was named, not forgotten")


def test_naming_clusters():
    assert foreground_clusters(4, None, None, (0,)) == (1, 2, 3)
    assert foreground_clusters(4, (), None, (0,)) == (0, 1, 2, 3)
    with pytest.raises(ConfigError, match="both --background and --foreground"):
        foreground_clusters(4, (1,), (2,), (0,))
    with pytest.raises(ConfigError, match="--foreground names cluster 4, expected 0 to 3"):
        foreground_clusters(4, None, (4,), (0,))


def test_what_cannot_be_clustered(kinds):
    _, values = kinds
    with pytest.raises(ConfigError, match="fewer different spectra than the 4 clusters"):
        run(fit_clusters(as_cube(np.ones((5, 5, 3)), name="flat"), 4))
    with pytest.raises(CubeError, match="no pixel was measured"):
        run(fit_clusters(as_cube(np.full((5, 5, 3), np.nan), name="gone"), 4))
    with pytest.raises(ConfigError, match="--clusters is 40"):
        run(fit_clusters(as_cube(values), 40))
    found = run(fit_clusters(as_cube(values), 3))
    with pytest.raises(ConfigError, match="it has 5 bands, the clusters were found on 12"):
        run(assign(as_cube(np.ones((4, 4, 5)), name="other"), found))
