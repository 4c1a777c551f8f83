"""The minimum noise fraction against its definition and against the `spectral` package."""

from __future__ import annotations

import numpy as np
import pytest
import spectral

from napari_hsi_ssl.config import PcaConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.errors import CubeError
from napari_hsi_ssl.explore.decompose import mnf
from napari_hsi_ssl.explore.moments import Statistics
from napari_hsi_ssl.explore.pca import Projection, Source, fit_projection, project_cube
from napari_hsi_ssl.progress import run


@pytest.fixture
def values():
    """Two smooth patterns under noise that is strong in the bands where the stronger pattern lies."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:40, :50] / 50
    patterns = np.stack([np.sin(4 * y + x), np.cos(3 * x)], axis=-1)
    materials = np.array([[1.0, 1, 1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 5, 5, 5]])
    noise = generator.standard_normal((40, 50, 8)) * np.array([0.05] * 5 + [8.0] * 3)
    return patterns @ materials + noise + 10


def test_components_follow_the_definition(values):
    """Masked, against loops over neighbours: v solves S v = λ N v, noise has variance 1, and order is by λ."""
    area = np.random.default_rng(1).random(values.shape[:2]) < 0.6
    differences = [values[y, x] - values[y, x + 1] for y in range(values.shape[0]) for x in range(values.shape[1] - 1) if area[y, x] and area[y, x + 1]]
    noise = np.einsum("na,nb->ab", differences, differences) / (2 * len(differences))
    signal = np.cov(values[area].T)
    projection = run(fit_projection([Source("x", "a", as_cube(values), area)], PcaConfig(bands=8, components=8, method="mnf")))
    ratios = np.sort(np.linalg.eigvals(np.linalg.solve(noise, signal)).real)[::-1]
    np.testing.assert_allclose(projection.variance, ratios, rtol=1e-6)
    np.testing.assert_allclose(projection.total_variance, ratios.sum(), rtol=1e-6)
    np.testing.assert_allclose(projection.components @ noise @ projection.components.T, np.eye(8), atol=1e-6)
    np.testing.assert_allclose(projection.components @ signal @ projection.components.T, np.diag(ratios), atol=1e-6 * ratios[0])


def test_agrees_with_spectral(values):
    """An independent implementation on a whole frame."""
    item = Source("x", "a", as_cube(values), np.ones(values.shape[:2], bool))
    projection = run(fit_projection([item], PcaConfig(bands=8, components=2, method="mnf")))
    reference = spectral.mnf(spectral.calc_stats(values), spectral.noise_from_diffs(values, direction="right"))
    expected = reference.reduce(values, num=2)
    scores = run(project_cube(projection, item)).astype(float)
    for number in range(2):
        assert abs(np.corrcoef(scores[..., number].ravel(), expected[..., number].ravel())[0, 1]) > 0.999


def test_noise_does_not_lead(values):
    """PCA puts the noisy bands first, which is why MNF exists."""
    item = Source("x", "a", as_cube(values), np.ones(values.shape[:2], bool))
    by_variance = run(fit_projection([item], PcaConfig(bands=8, components=2)))
    by_noise = run(fit_projection([item], PcaConfig(bands=8, components=2, method="mnf")))
    assert np.abs(by_variance.components[0, 5:]).max() > 0.5
    assert np.abs(by_noise.components[0, :3]).max() > 10 * np.abs(by_noise.components[0, 5:]).max()


def test_sampled_pixels_take_their_neighbours_from_the_mask(values):
    """With a sparse sample hardly any two sampled pixels are neighbours; the noise must come out all the same."""
    item = Source("x", "a", as_cube(values), np.ones(values.shape[:2], bool))
    whole = run(fit_projection([item], PcaConfig(bands=8, components=2, method="mnf")))
    part = run(fit_projection([item], PcaConfig(bands=8, components=2, method="mnf", sample=400)))
    assert part.domain_pixels.sum() == 400
    np.testing.assert_allclose(part.variance, whole.variance, rtol=0.3)


def test_more_bands_on_the_grid_than_the_camera_has(values):
    """Interpolated bands add directions without signal or noise; their ratio 0/0 must not win."""
    item = Source("x", "a", as_cube(values), np.ones(values.shape[:2], bool))
    native = run(fit_projection([item], PcaConfig(bands=8, components=8, method="mnf")))
    finer = run(fit_projection([item], PcaConfig(bands=29, components=8, method="mnf")))
    np.testing.assert_allclose(finer.variance, native.variance, rtol=1e-5)


def test_what_mnf_cannot_do(values):
    lonely = np.indices(values.shape[:2]).sum(axis=0) % 2 == 0
    with pytest.raises(CubeError, match="x: MNF needs masked pixels with a masked right neighbour"):
        run(fit_projection([Source("x", "a", as_cube(values), lonely)], PcaConfig(bands=8, components=2, method="mnf")))
    columns = np.repeat(values[:, :1], 50, axis=1)
    with pytest.raises(CubeError, match="neighbouring pixels never differ"):
        run(fit_projection([Source("x", "a", as_cube(columns), np.ones((40, 50), bool))], PcaConfig(bands=8, components=2, method="mnf")))
    flat = values[..., :2] @ np.array([[1.0, 0, 1, 2], [0, 1, 1, 1]])
    with pytest.raises(CubeError, match="only 2 directions hold any signal, 3 components"):
        run(fit_projection([Source("x", "a", as_cube(flat), np.ones((40, 50), bool))], PcaConfig(bands=4, components=3, method="mnf")))


@pytest.mark.parametrize("method", ["pca", "mnf"])
def test_patterns_are_the_regression_of_spectra_on_their_scores(method):
    """With fewer components than bands, nothing linear rebuilds the fitted spectra better."""
    generator = np.random.default_rng(4)
    abundance = np.cumsum(generator.normal(size=(30, 30, 3)), axis=1)
    spectra = abundance @ generator.normal(size=(3, 12)) + generator.normal(size=(30, 30, 12)) * np.linspace(0.1, 2, 12) + 40
    source = Source("a", "a", as_cube(spectra, None, "unknown", "a"), np.ones((30, 30), dtype=bool))
    projection = run(fit_projection([source], PcaConfig(bands=12, components=4, method=method)))
    centred = spectra.reshape(-1, 12) - projection.mean
    scores = centred @ projection.components.T
    np.testing.assert_allclose(projection.patterns.T, np.linalg.lstsq(scores, centred, rcond=None)[0], atol=1e-8)
    np.testing.assert_allclose(projection.components @ projection.patterns, np.eye(4), atol=1e-9)


def test_files_without_patterns_are_read(tmp_path):
    """They can be told of a PCA; of an MNF they are unknown."""
    generator = np.random.default_rng(4)
    source = Source("a", "a", as_cube(generator.normal(size=(20, 20, 6)), None, "unknown", "a"), np.ones((20, 20), dtype=bool))
    for method, known in (("pca", True), ("mnf", False)):
        projection = run(fit_projection([source], PcaConfig(bands=6, components=3, method=method)))
        projection.save(tmp_path / "new.npz")
        with np.load(tmp_path / "new.npz") as content:
            np.savez(tmp_path / "old.npz", **{name: content[name] for name in content if name != "patterns"})
        old = Projection.load(tmp_path / "old.npz")
        np.testing.assert_array_equal(old.patterns, projection.patterns if known else np.full((6, 3), np.nan))


@pytest.mark.parametrize("size", [1e-4, 1e4])
def test_where_neighbours_agree_exactly_the_ratio_stays_finite(size):
    """Noise in one of three directions, of whatever size: the others have a million million times its ratio."""
    noise = np.diag([size, 0.0, 0.0])
    whole = Statistics(1001.0, np.zeros(3), 1000 * np.diag([1.0, 4.0, 9.0]), 1.0, noise)
    _, ratios, total = mnf(whole, 3, "cube 'a'")
    np.testing.assert_allclose(ratios, [1e12 / size, 1e12 / size, 1 / size], rtol=1e-6)
    np.testing.assert_allclose(total, ratios.sum())
