"""Neighbours and votes against scikit-learn's brute force and a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from napari_hsi_ssl.errors import ConfigError, LabelError
from napari_hsi_ssl.metrics.neighbours import knn_shares_chunks, knn_vote, knn_vote_chunks, nearest


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 80), m=st.integers(0, 40), d=st.integers(1, 40), seed=st.integers(0, 2**16), metric=st.sampled_from(["cosine", "euclidean"]),
    shift=st.sampled_from([0.0, 1e3]), single=st.booleans(),
)  # fmt: skip
def test_same_neighbours_as_scikit_learn(n, m, d, seed, metric, shift, single):
    """Also for spectra that are nearly parallel (a large common offset), where single precision alone gets them wrong."""
    generator = np.random.default_rng(seed)
    train, query = generator.normal(shift, 1, (n, d)), generator.normal(shift, 1, (m, d))
    if single:
        train, query = train.astype(np.float32), query.astype(np.float32)
    k = int(generator.integers(1, n + 1))
    found, distances = nearest(train, query, k, metric, chunk=7)
    assert found.shape == distances.shape == (m, k)
    if m == 0:
        return
    model = NearestNeighbors(n_neighbors=k, algorithm="brute", metric=metric).fit(train.astype(np.float64))
    expected, indices = model.kneighbors(query.astype(np.float64))
    np.testing.assert_allclose(distances, expected, atol=1e-6 if metric == "euclidean" else 1e-12, rtol=1e-6)
    apart = np.diff(expected, axis=1, prepend=-1) > 1e-6 * (1 if metric == "euclidean" else 1e-6)
    apart &= np.diff(expected, axis=1, append=np.inf) > 1e-6 * (1 if metric == "euclidean" else 1e-6)
    apart[:, -1] = False  # whether the last one is tied with the next cannot be seen from here
    np.testing.assert_array_equal(found[apart], indices[apart])


@pytest.mark.parametrize("n", [511, 512, 1300, 2047])
@pytest.mark.parametrize("k", [1, 7, 30])
def test_many_references_give_the_same_neighbours(n, k):
    """The bound from groups of references must never cut a neighbour off, also where all near ones fall into one group."""
    generator = np.random.default_rng(n + k)
    train, query = generator.normal(size=(n, 6)), generator.normal(size=(50, 6))
    train[:: n // 40] *= 0.01  # a cluster, evenly spread over the columns
    model = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(train)
    distances, expected = model.kneighbors(np.concatenate((query, 0.01 * query)))
    found, ours = nearest(train, np.concatenate((query, 0.01 * query)), k, "euclidean")
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(ours, distances, atol=1e-7)


def test_one_query_with_very_many_candidates():
    """A query of zeros is as far from all samples; its thousand ties must not make a table of all the others."""
    generator = np.random.default_rng(5)
    train, query = generator.normal(size=(1000, 8)), generator.normal(size=(200, 8))
    query[3] = 0
    found, distances = nearest(train, query, 4, "cosine")
    model = NearestNeighbors(n_neighbors=4, algorithm="brute", metric="cosine").fit(train)
    others = np.arange(200) != 3
    np.testing.assert_array_equal(found[others], model.kneighbors(query[others])[1])
    np.testing.assert_array_equal(found[3], range(4))
    np.testing.assert_array_equal(distances[3], 1)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 60), d=st.integers(1, 3), seed=st.integers(0, 2**16))
def test_ties_go_to_the_first_sample(n, d, seed):
    """Positions and counts are full of equal distances: a map must not depend on the machine or the chunk."""
    generator = np.random.default_rng(seed)
    train, query = generator.integers(0, 3, (n, d)), generator.integers(0, 3, (20, d))
    k = int(generator.integers(1, n + 1))
    squared = ((query[:, None] - train[None]) ** 2).sum(axis=2)
    expected = np.argsort(squared, axis=1, kind="stable")[:, :k]
    for chunk in (1, 6, None):
        found, _ = nearest(train, query, k, "euclidean", chunk=chunk)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_votes_equal_scikit_learns(metric, weights):
    generator = np.random.default_rng(0)
    labels = generator.integers(1, 5, 300) * 10  # class numbers as files have them, with gaps
    train, query = generator.normal(size=(300, 16)), generator.normal(size=(200, 16))
    model = KNeighborsClassifier(20, algorithm="brute", metric=metric, weights=weights).fit(train, labels)
    found, confidence = knn_vote(train, labels, query, 20, metric, weights=weights)
    np.testing.assert_array_equal(found, model.predict(query))
    np.testing.assert_allclose(confidence, model.predict_proba(query).max(axis=1), rtol=1e-6)


def test_a_sample_at_distance_zero_decides_alone_when_distances_weigh():
    """Its weight is infinite, as in scikit-learn; two of them share the vote."""
    train, labels = np.array([[0.0], [0], [0.1], [0.1], [0.1]]), np.array([1, 1, 2, 2, 2])
    for some in (slice(None), slice(1, None)):
        model = KNeighborsClassifier(4, algorithm="brute", weights="distance").fit(train[some], labels[some])
        found, confidence = knn_vote(train[some], labels[some], [[0.0], [0.05]], 4, "euclidean", weights="distance")
        np.testing.assert_array_equal(found, model.predict([[0.0], [0.05]]))
        np.testing.assert_allclose(confidence, model.predict_proba([[0.0], [0.05]]).max(axis=1), rtol=1e-6)
        assert (found[0], confidence[0]) == (1, 1.0)


def test_weighted_vote_equals_a_loop():
    generator = np.random.default_rng(1)
    train, labels, query = generator.normal(size=(50, 5)), generator.integers(0, 3, 50), generator.normal(size=(20, 5))
    found, confidence = knn_vote(train, labels, query, 10, "cosine", weights="softmax", temperature=0.07)
    for row, vector in enumerate(query):
        similarity = train @ vector / np.linalg.norm(train, axis=1) / np.linalg.norm(vector)
        best = np.argsort(-similarity)[:10]
        weights = np.exp(similarity[best] / 0.07)
        votes = np.array([weights[labels[best] == number].sum() for number in range(3)])
        assert found[row] == votes.argmax()
        assert confidence[row] == pytest.approx(votes.max() / votes.sum(), rel=1e-5)


def test_a_cold_temperature_leaves_the_nearest_sample():
    """Weights that all underflow to zero would give no class and a confidence of NaN."""
    train, labels, query = np.array([[1.0, 0], [0, 1], [-1, 0.1]]), [1, 2, 3], np.array([[-1.0, 0.5]])
    found, confidence = knn_vote(train, labels, query, 3, weights="softmax", temperature=1e-5)
    assert (found[0], confidence[0]) == (3, 1.0)


def test_equal_votes_go_to_the_smallest_class():
    found, confidence = knn_vote([[0.0], [1.0]], [7, 3], [[0.4]], 2, "euclidean")
    assert (found[0], confidence[0]) == (3, 0.5)


def test_a_vector_of_zeros_is_at_cosine_distance_one_from_all():
    """It has no direction; an embedding that dies must not become everyone's neighbour."""
    train, query = np.array([[0.0, 0], [1, 0], [-1, 0.1]]), np.array([[1.0, 0.1], [0, 0]])
    found, distances = nearest(train, query, 3, "cosine")
    np.testing.assert_array_equal(found, [[1, 0, 2], [0, 1, 2]])
    np.testing.assert_allclose(distances[1], 1)
    assert distances[0, 1] == pytest.approx(1)


def test_chunks_cover_all_rows_once():
    generator = np.random.default_rng(2)
    train, query = generator.normal(size=(30, 4)), generator.normal(size=(23, 4))
    parts = list(knn_vote_chunks(train, np.arange(30) % 3, query, 5, chunk=5))
    assert [part[0] for part in parts] == [slice(s, min(s + 5, 23)) for s in range(0, 23, 5)]
    np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), knn_vote(train, np.arange(30) % 3, query, 5)[0])


def test_too_large_k_and_bad_features_are_named():
    with pytest.raises(ConfigError, match="k is 20 but there are 3 training samples"):
        knn_vote(np.eye(3), [1, 2, 3], np.eye(3))
    with pytest.raises(LabelError, match="query features hold NaN"):
        knn_vote(np.eye(3), [1, 2, 3], np.full((1, 3), np.nan), 1)
    with pytest.raises(LabelError, match="2 labels for 3"):
        knn_vote(np.eye(3), [1, 2], np.eye(3), 1)
    with pytest.raises(LabelError, match=r"\(3, 3\) and queries \(2, 2\)"):
        knn_vote(np.eye(3), [1, 2, 3], np.eye(2), 1)
    with pytest.raises(ConfigError, match="weights of the vote are 'votes', expected uniform, distance or softmax"):
        knn_vote(np.eye(3), [1, 2, 3], np.eye(3), 1, weights="votes")
    with pytest.raises(ConfigError, match="temperature of the vote is 0"):
        knn_vote(np.eye(3), [1, 2, 3], np.eye(3), 1, weights="softmax", temperature=0)
    with pytest.raises(ConfigError, match="metric is 'manhattan'"):
        nearest(np.eye(3), np.eye(3), 1, "manhattan")


@pytest.mark.parametrize("weights", ["uniform", "softmax"])
def test_what_is_not_said_is_as_documented(weights):
    """Twenty neighbours by cosine, all votes alike; a temperature of 0.07."""
    generator = np.random.default_rng(3)
    train, labels, query = generator.normal(size=(60, 5)), generator.integers(0, 3, 60), generator.normal(size=(40, 5))
    expected = knn_vote(train, labels, query, 20, "cosine", weights=weights, temperature=0.07)
    said = {} if weights == "uniform" else {"weights": weights}
    ((_, classes, confidence),) = knn_vote_chunks(train, labels, query, **said)
    ((rows, shares),) = knn_shares_chunks(train, labels, query, **said)
    for one, two in ((*knn_vote(train, labels, query, **said),), (classes, confidence)):
        np.testing.assert_array_equal(one, expected[0])
        np.testing.assert_array_equal(two, expected[1])
        assert (one.dtype, two.dtype) == (np.int64, np.float32)
    assert rows == slice(0, 40)
    np.testing.assert_array_equal(shares.argmax(axis=1), expected[0])
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_array_equal(nearest(train, query, 20)[0], nearest(train, query, 20, "cosine")[0])


def test_nobody_asks():
    found, confidence = knn_vote(np.eye(3), [1, 2, 3], np.zeros((0, 3)), 1)
    assert (found.shape, found.dtype, confidence.shape, confidence.dtype) == ((0,), np.int64, (0,), np.float32)


@pytest.mark.parametrize(
    ("train", "query", "words"), [(np.eye(3), np.ones(3), r"\(3,\)"), (np.ones(3), np.eye(3), r"\(3,\)"), (np.ones((3, 0)), np.ones((3, 0)), r"\(3, 0\)")]
)
def test_features_that_are_no_table_are_named(train, query, words):
    with pytest.raises(LabelError, match=words):
        nearest(train, query, 1)
    with pytest.raises(ConfigError, match="k is 0, expected at least 1"):
        nearest(np.eye(3), np.eye(3), 0)
    with pytest.raises(LabelError, match="training features hold NaN"):
        nearest(np.full((3, 3), np.inf), np.eye(3), 1)
