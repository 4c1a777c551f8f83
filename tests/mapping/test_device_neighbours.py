"""Neighbours whose candidates torch finds are those that NumPy finds."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hsi_ssl.mapping.device_neighbours import OnDevice, finder_on
from napari_hsi_ssl.mapping.maps import decider
from napari_hsi_ssl.metrics.neighbours import nearest_chunks

HERE = partial(OnDevice, device=torch.device("cpu"))


def test_the_processor_needs_no_torch():
    assert finder_on(torch.device("cpu")) is None
    assert finder_on(torch.device("cuda")) is not None


@given(seed=st.integers(0, 2**16), ties=st.booleans(), metric=st.sampled_from(["cosine", "euclidean"]), k=st.integers(1, 30))
@settings(max_examples=40, deadline=None)
def test_same_neighbours_in_the_same_order(seed, ties, metric, k):
    """With ties, with samples that are all zero, and far from the origin, where single precision says little."""
    generator = np.random.default_rng(seed)
    train, query = generator.standard_normal((40, 5)), generator.standard_normal((17, 5))
    if ties:
        train, query = np.round(train), np.round(query)
    train, query = (train + 1e4, query + 1e4) if seed % 2 else (train, query)
    expected, found = (list(nearest_chunks(train, query, k, metric, chunk=7, finder=finder)) for finder in (None, HERE))
    for (rows, indices, distances), (others, found_indices, found_distances) in zip(expected, found, strict=True):
        assert rows == others
        np.testing.assert_array_equal(indices, found_indices)
        np.testing.assert_array_equal(distances, found_distances)


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
