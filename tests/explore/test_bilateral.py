"""The self-guided bilateral filter against loops, and what it is for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hsi_ssl.explore import bilateral
from napari_hsi_ssl.explore.bilateral import denoise


def whole(scores, *arguments, **options):
    parts = list(denoise(scores, *arguments, **options))
    assert [part.start for part, _ in parts] == [0, *(part.stop for part, _ in parts[:-1])]
    return np.concatenate([values for _, values in parts])


def by_loops(scores, radius, unit, strength):
    height, width, k = scores.shape
    result = np.full_like(scores, np.nan)
    for y in range(height):
        for x in range(width):
            if not np.isfinite(scores[y, x]).all():
                continue
            total, weight = np.zeros(k), 0.0
            for v in range(max(0, y - radius), min(height, y + radius + 1)):
                for u in range(max(0, x - radius), min(width, x + radius + 1)):
                    if np.isfinite(scores[v, u]).all():
                        apart = np.mean(((scores[y, x] - scores[v, u]) * unit) ** 2) / 2
                        w = np.exp(-apart / (2 * strength**2) - ((v - y) ** 2 + (u - x) ** 2) / (2 * max(radius / 2, 0.5) ** 2))
                        total, weight = total + w * scores[v, u], weight + w
            result[y, x] = total / weight
    return result


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 999), radius=st.integers(1, 5), height=st.integers(1, 9), width=st.integers(1, 9))
def test_it_is_its_definition_whatever_the_tiles(seed, radius, height, width):
    generator = np.random.default_rng(seed)
    scores = generator.normal(size=(height, width, 3))
    scores[generator.random((height, width)) < 0.15] = np.nan
    unit = generator.uniform(0.5, 2, 3)
    expected = by_loops(scores, radius, unit, 1.2)
    np.testing.assert_allclose(whole(scores, radius, unit, 1.2), expected, rtol=2e-5, atol=1e-6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bilateral, "_TILE_BYTES", 1)
        np.testing.assert_allclose(whole(scores, radius, unit, 1.2), expected, rtol=2e-5, atol=1e-6)


def test_noise_goes_and_an_edge_stays():
    generator = np.random.default_rng(0)
    clean = np.zeros((30, 30, 5))
    clean[:, 15:] = 12.0
    noisy = clean + generator.normal(size=clean.shape)
    found = whole(noisy, 4, np.ones(5))
    assert np.abs(found - clean).mean() < 0.35 * np.abs(noisy - clean).mean()
    assert found[:, 15].mean() - found[:, 14].mean() > 11.5
