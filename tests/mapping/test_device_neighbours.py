"""Neighbours whose candidates torch finds are those that NumPy finds."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hsi_ssl.mapping import device_neighbours
from napari_hsi_ssl.mapping.device_neighbours import InHalf, OnDevice, finder_on
from napari_hsi_ssl.mapping.maps import decider
from napari_hsi_ssl.metrics.neighbours import InSingle, nearest_chunks

HERE = partial(OnDevice, device=torch.device("cpu"))


@pytest.mark.parametrize("units", [False, True])
def test_the_processor_needs_torch_only_where_it_is_faster(monkeypatch, units):
    monkeypatch.setattr(device_neighbours, "has_bf16", lambda *, on_gpu: units and not on_gpu)
    assert finder_on(torch.device("cpu")) is (InHalf if units else None)
    assert finder_on(torch.device("cuda")) is not None


@pytest.mark.parametrize("finder", [HERE, InHalf])
@given(seed=st.integers(0, 2**16), ties=st.booleans(), metric=st.sampled_from(["cosine", "euclidean"]), k=st.integers(1, 30))
@settings(max_examples=40, deadline=None)
def test_same_neighbours_in_the_same_order(finder, seed, ties, metric, k):
    """With ties, with samples that are all zero, and far from the origin, where single precision says little."""
    generator = np.random.default_rng(seed)
    train, query = generator.standard_normal((40, 5)), generator.standard_normal((17, 5))
    if ties:
        train, query = np.round(train), np.round(query)
    train, query = (train + 1e4, query + 1e4) if seed % 2 else (train, query)
    expected, found = (list(nearest_chunks(train, query, k, metric, chunk=7, finder=finder)) for finder in (None, finder))
    for (rows, indices, distances), (others, found_indices, found_distances) in zip(expected, found, strict=True):
        assert rows == others
        np.testing.assert_array_equal(indices, found_indices)
        np.testing.assert_array_equal(distances, found_distances)


@pytest.mark.parametrize("spread", [1.0, 1e3])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("dimensions", [3, 128])
def test_few_digits_lose_no_neighbour_among_many_samples(monkeypatch, spread, metric, dimensions):
    """With ``spread`` a tenth of the samples lies far out, so that few digits say nothing of the others and single precision must step in."""
    asked, single = [], InSingle.near
    monkeypatch.setattr(InSingle, "near", lambda *given: asked.append(len(given[1])) or single(*given))
    generator = np.random.default_rng(2)
    train, query = generator.standard_normal((3000, dimensions)), generator.standard_normal((500, dimensions))
    train[::10] *= spread
    train[7:11], query[5], query[6] = train[6], train[6], 0
    (expected,), (found,) = (list(nearest_chunks(train, query, 20, metric, chunk=500, finder=finder)) for finder in (InSingle, InHalf))
    np.testing.assert_array_equal(expected[1], found[1])
    np.testing.assert_array_equal(expected[2], found[2])
    assert asked == ([500] if spread == 1 or metric == "cosine" else [500, 500])


def test_torch_keeps_its_threads():
    before = torch.get_num_threads()
    train, query = np.random.default_rng(3).standard_normal((2, 300, 4))
    list(nearest_chunks(train, query, 5, chunk=20, finder=InHalf))
    assert torch.get_num_threads() == before


def test_the_votes_of_a_map_are_the_same_and_torch_keeps_its_precision():
    generator = np.random.default_rng(0)
    features, numbers, query = generator.standard_normal((300, 16)), generator.integers(1, 4, 300), generator.standard_normal((500, 16))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        plain, other = (decider("knn", features, numbers, 20, finder=finder) for finder in (None, HERE))
        for (_, expected, shares), (_, found, found_shares) in zip(plain(query), other(query), strict=True):
            np.testing.assert_array_equal(expected, found)
            np.testing.assert_array_equal(shares, found_shares)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_on_a_gpu():
    generator = np.random.default_rng(1)
    train, query = generator.standard_normal((5000, 64)), generator.standard_normal((2000, 64))
    expected, found = (next(nearest_chunks(train, query, 20, chunk=2000, finder=finder)) for finder in (None, finder_on(torch.device("cuda"))))
    np.testing.assert_array_equal(expected[1], found[1])
