"""Views in band space: what they do to the scores is what changed spectra would have given, and no rank or step changes it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_hsi_ssl.config import AugmentConfig, PcaConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.errors import ConfigError, RunError
from napari_hsi_ssl.explore.band_space import BandSpace
from napari_hsi_ssl.explore.pca import Source, fit_projection, project_cube
from napari_hsi_ssl.learning.augment import Augmenter
from napari_hsi_ssl.learning.band_views import BandViews
from napari_hsi_ssl.learning.data import Scale, component_gain, input_settings
from napari_hsi_ssl.progress import run

BANDS, WINDOW = 14, 5
NONE = AugmentConfig(flip=False, rotate=False, gain=0, offset=0, noise=0, drop=0, cutout=0)
STRONG = {"light": 0.3, "slope": 0.2, "distortion": 0.2, "band_drop": 0.3}
KINDS = [("pca", "none"), ("pca", "standardise"), ("mnf", "none"), ("mnf", "standardise"), ("pca", "snv")]


def spectra_of(domain: int, side: int = 24) -> np.ndarray:
    """Spectra (y, x, band) of materials in stripes with texture, brighter in the second domain."""
    draws = np.random.default_rng(domain)
    materials = np.cumsum(np.random.default_rng(9).normal(size=(6, BANDS)), axis=1) + 20
    stripes = materials[draws.integers(0, 6, side)][:, None] * draws.uniform(0.8, 1.2, (side, side, 1))
    return (1 + domain) * stripes + 0.1 * draws.normal(size=(side, side, BANDS))


@lru_cache
def fitted(method: str, scale: str, components: int = BANDS):
    """A projection of two domains, and sources."""
    sources = [Source(f"c{d}", f"d{d}", as_cube(spectra_of(d), None, "unknown", f"c{d}"), np.ones((24, 24), dtype=bool)) for d in (0, 1)]
    return run(fit_projection(sources, PcaConfig(bands=BANDS, components=components, method=method, scale=scale))), sources


def view_of(projection, changed: np.ndarray, domain: int) -> np.ndarray:
    """Real scores (…, k) of changed spectra on the grid."""
    scaled = changed
    if projection.scaling == "standardise":
        scaled = (changed - projection.domain_mean[domain]) / projection.domain_std[domain]
    return (scaled - projection.mean) @ projection.components.T


def as_projected(projection, spectra: np.ndarray) -> np.ndarray:
    if projection.scaling != "snv":
        return spectra
    return (spectra - spectra.mean(-1, keepdims=True)) / spectra.std(-1, keepdims=True)


@pytest.mark.parametrize(("method", "scale"), KINDS)
@pytest.mark.parametrize("whiten", [False, True])
def test_bands_changed_through_the_scores_are_bands_changed(method, scale, whiten):
    """With every component kept a spectrum is in the span of the projection, so all views must be those of the bands themselves."""
    projection, _ = fitted(method, scale, BANDS - (scale == "snv"))
    gain = component_gain(projection.variance, whiten)
    space = BandSpace.of(projection, ("d0", "d1"), gain)
    views = BandViews(NONE.model_copy(update=STRONG), space)
    domains = np.array([0, 1, 1, 0])
    level, kept = views.factors(np.random.default_rng(3), 4)
    assert level.std() > 0.1
    assert 0 < kept.mean() < 1
    patches = np.stack([as_projected(projection, spectra_of(d)[4 : 4 + WINDOW, 3 : 3 + WINDOW]) for d in domains])
    factor = gain / projection.scale
    x = np.stack([view_of(projection, patch, d) * factor for patch, d in zip(patches, domains, strict=True)])
    centre = projection.mean + projection.domain_mean / projection.domain_std if scale == "standardise" else np.tile(projection.mean, (2, 1))
    centre = centre * projection.domain_std if scale == "standardise" else centre
    expected = []
    for patch, d, factors, whole in zip(patches, domains, level, kept, strict=True):
        changed = np.where(whole > 0, factors * patch, centre[d])
        expected.append(view_of(projection, changed, d) * factor)
    found = views(torch.from_numpy(x), level, kept, domains).numpy()
    np.testing.assert_allclose(found, np.stack(expected), rtol=1e-6, atol=1e-6 * np.abs(x).max())


@pytest.mark.parametrize(("method", "scale"), KINDS[:4])
def test_a_gain_of_the_light_is_exact_for_every_spectrum(method, scale):
    """Also for what the projection does not hold: here four components of fourteen bands."""
    projection, sources = fitted(method, scale, 4)
    gain = component_gain(projection.variance, True)
    views = BandViews(NONE.model_copy(update={"light": 0.4}), BandSpace.of(projection, ("d0", "d1"), gain))
    level, kept = views.factors(np.random.default_rng(0), 2)
    stored = np.stack([run(project_cube(projection, source))[:WINDOW, :WINDOW] for source in sources]).astype(np.float64)
    brighter = [Source(s.name, s.domain, s.cube * float(level[d, 0]), s.area) for d, s in enumerate(sources)]
    expected = np.stack([run(project_cube(projection, source))[:WINDOW, :WINDOW] for source in brighter]).astype(np.float64)
    found = views(torch.from_numpy(stored * gain), level, kept, np.array([0, 1])).numpy() / gain
    np.testing.assert_allclose(found, expected, atol=3e-3 * np.abs(expected).max())  # stored scores have 11 bits


@given(st.integers(0, 200), st.integers(2, 8))
def test_what_the_projection_does_not_hold_stays_outside(seed, components):
    """The error of a view is what the dropped and bent rest would have let in: forth diag(q κ) r, and nothing else."""
    projection, _ = fitted("pca", "none", components)
    space = BandSpace.of(projection, ("d0",), np.ones(components))
    views = BandViews(NONE.model_copy(update=STRONG), space)
    level, kept = views.factors(np.random.default_rng(seed), 1)
    spectrum = np.random.default_rng(seed).normal(size=BANDS) + projection.mean
    channels = space.forth @ (spectrum - space.base[0])
    rest = spectrum - space.spectra(channels, 0)
    np.testing.assert_allclose(space.forth @ rest, 0, atol=1e-9)
    exact = space.forth @ (np.where(kept[0] > 0, level[0] * spectrum, space.base[0]) - space.base[0])
    found = views(torch.from_numpy(channels[None, None, None]), level, kept, np.zeros(1, dtype=int)).numpy()[0, 0, 0]
    np.testing.assert_allclose(found, exact - space.forth @ (kept[0] * level[0] * rest), atol=1e-8)


@pytest.mark.parametrize(("method", "scale"), KINDS)
def test_sensor_noise_has_the_covariance_of_white_noise_over_the_bands(method, scale):
    projection, _ = fitted(method, scale, 5)
    gain = component_gain(projection.variance, False)
    space = BandSpace.of(projection, ("d0", "d1"), gain)
    root = BandViews(NONE.model_copy(update={"sensor_noise": 0.3}), space).noise_root()
    np.testing.assert_allclose(root @ root.T, (0.3 * space.spread) ** 2 * space.forth @ space.forth.T, rtol=1e-9, atol=1e-12)
    if scale == "standardise":
        assert space.spread == pytest.approx(1)
    if scale == "none":
        pixels = np.concatenate([spectra_of(d).reshape(-1, BANDS) for d in (0, 1)])
        assert space.spread == pytest.approx(np.sqrt(pixels.var(0).mean()), rel=1e-2)
    noise = made(space, gain, sensor_noise=0.3)(torch.zeros(500, WINDOW, WINDOW, 5, dtype=torch.float16), 0, 0, 500, slice(0, 500)).numpy().reshape(-1, 5)
    expected = root @ root.T
    deviations = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(np.cov(noise.T) / np.outer(deviations, deviations), expected / np.outer(deviations, deviations), atol=0.08)


def made(space: BandSpace, unit: np.ndarray, **strengths) -> Augmenter:
    scale = Scale({"input": input_settings(np.zeros(unit.size), unit, "pcs", "mean")})
    return Augmenter(NONE.model_copy(update=strengths), scale, unit, WINDOW, 5, space)


def scene(n: int = 8):
    projection, _ = fitted("pca", "standardise", 6)
    gain = component_gain(projection.variance, False)
    space = BandSpace.of(projection, ("d0", "d1"), gain)
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(n, WINDOW, WINDOW, 6)).astype(np.float16))
    return space, gain, x, np.arange(n) % 2


def test_strength_zero_changes_nothing():
    space, gain, x, domains = scene()
    plain = made(space, gain)(x, 3, 0, 8, slice(0, 8), domains)
    faint = made(space, gain, light=1e-9, slope=1e-9, distortion=1e-9)(x, 3, 0, 8, slice(0, 8), domains)
    torch.testing.assert_close(faint, plain, rtol=1e-4, atol=1e-4)


def test_a_view_is_a_function_of_seed_step_and_row_for_any_number_of_ranks():
    space, gain, x, domains = scene(12)
    everything = {**STRONG, "sensor_noise": 0.1, "flip": True, "rotate": True, "gain": 0.1, "noise": 0.1, "cutout": 0.3}
    make = made(space, gain, **everything)
    whole = make(x, 7, 1, 12, slice(0, 12), domains)
    assert torch.equal(whole, made(space, gain, **everything)(x, 7, 1, 12, slice(0, 12), domains))
    assert not torch.equal(whole, make(x, 8, 1, 12, slice(0, 12), domains))
    assert not torch.equal(whole, make(x, 7, 0, 12, slice(0, 12), domains))
    for ranks in (2, 3, 4):
        parts = [slice(12 // ranks * rank, 12 // ranks * (rank + 1)) for rank in range(ranks)]
        shared = torch.cat([make(x[rows], 7, 1, 12, rows, domains[rows]) for rows in parts])
        torch.testing.assert_close(shared, whole, rtol=1e-6, atol=1e-6)


def test_the_older_views_draw_what_they_drew_before():
    """A recipe without views in band space trains the same network as before there were any."""
    space, gain, x, domains = scene()
    older = {"flip": True, "gain": 0.2, "noise": 0.1, "drop": 0.1}
    with_bands = made(space, gain, **older, band_drop=1e-12)(x, 2, 0, 8, slice(0, 8), domains)
    torch.testing.assert_close(with_bands, made(space, gain, **older)(x, 2, 0, 8, slice(0, 8)), rtol=1e-4, atol=1e-4)


def test_curves_are_smooth_and_as_strong_as_they_say():
    space, *_ = scene()
    n = 4000
    for name, strength in (("light", 0.3), ("slope", 0.2), ("distortion", 0.15)):
        level, kept = BandViews(NONE.model_copy(update={name: strength}), space).factors(np.random.default_rng(0), n)
        logarithm = np.log(level)
        assert (kept == 1).all()
        if name == "distortion":
            assert np.sqrt((logarithm**2).mean()) == pytest.approx(strength, rel=0.08)
            assert abs(logarithm.mean()) < 0.01
        else:
            assert logarithm[:, -1].std() == pytest.approx(strength, rel=0.05)
            np.testing.assert_allclose(logarithm[:, 0], logarithm[:, -1] * (1 if name == "light" else -1))
    _, kept = BandViews(NONE.model_copy(update={"band_drop": 0.25}), space).factors(np.random.default_rng(0), n)
    assert kept.mean() == pytest.approx(0.75, abs=0.01)


def test_views_in_band_space_need_the_projection():
    scale = Scale({"input": input_settings(np.zeros(3), np.ones(3), "bands", "mean")})
    with pytest.raises(ConfigError, match="set them to 0"):
        Augmenter(NONE.model_copy(update={"slope": 0.1}), scale, np.ones(3), WINDOW, 0)
    projection, _ = fitted("pca", "standardise", 3)
    with pytest.raises(RunError, match="'d9' was not in the PCA"):
        BandSpace.of(projection, ("d0", "d9"), np.ones(3))
    with pytest.raises(RunError, match="older version"):
        BandSpace.of(replace(projection, patterns=np.full((BANDS, 3), np.nan)), ("d0",), np.ones(3))
