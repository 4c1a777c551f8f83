"""Two embeddings side by side: equal weights, one frame, NaN where either has none."""

from __future__ import annotations

import numpy as np

from napari_hsi_ssl.mapping.joined import join


def images(seed=0):
    rng = np.random.default_rng(seed)
    return {"a": rng.normal(3, 5, (12, 9, 4)), "b": rng.normal(3, 5, (7, 9, 4))}, {"a": rng.normal(0, 0.01, (12, 9, 6)), "b": rng.normal(0, 0.01, (7, 9, 6))}


def areas(parts):
    return {name: np.ones(image.shape[:2], dtype=bool) for name, image in parts.items()}


def test_both_blocks_have_mean_zero_and_total_variance_one():
    first, second = images()
    joined = join([first, second], areas(first))
    whole = np.concatenate([joined[name][:].reshape(-1, 10) for name in ("a", "b")])
    np.testing.assert_allclose(whole.mean(axis=0), 0, atol=1e-5)
    assert abs(whole[:, :4].var(axis=0).sum() - 1) < 1e-5
    assert abs(whole[:, 4:].var(axis=0).sum() - 1) < 1e-5


def test_it_is_read_like_an_array():
    first, second = images()
    joined = join([first, second], areas(first))["a"]
    assert joined.shape == (12, 9, 10)
    mask = np.zeros((12, 9), dtype=bool)
    mask[2, 3] = mask[5, 1] = True
    np.testing.assert_array_equal(joined[mask], joined[:][mask])
    np.testing.assert_array_equal(joined[2:4], joined[:][2:4])


def test_what_is_missing_in_one_part_is_missing():
    first, second = images()
    second["a"][4, 4] = np.nan
    joined = join([first, second], areas(first))["a"]
    assert np.isnan(joined[:][4, 4]).any()
    assert np.isfinite(joined[:]).all(axis=-1).sum() == 12 * 9 - 1


def test_the_sample_is_of_the_areas_alone():
    first, second = images()
    inside = areas(first)
    inside["a"][:6] = False
    first["a"][:6] += 1e6
    joined = join([first, second], inside)
    assert np.abs(joined["b"][:]).max() < 10
