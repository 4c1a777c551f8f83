"""Maps equal what scikit-learn says pixel by pixel, and references stand for all labelled pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.mapping import maps
from napari_hsi_ssl.progress import run


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(8, 200))
def test_references_keep_every_class_and_the_limit(seed, count):
    generator = np.random.default_rng(seed)
    labels = [generator.choice([0, 2, 5, 9], size=shape, p=[0.5, 0.4, 0.08, 0.02]) for shape in ((9, 11), (7, 5))]
    flat = np.concatenate([image.ravel() for image in labels])
    chosen = maps.choose_references(labels, count, seed)
    flags = np.concatenate([part.ravel() for part in chosen])
    assert [part.shape for part in chosen] == [(9, 11), (7, 5)]
    assert not (flags & (flat == 0)).any()
    assert flags.sum() <= count
    if (flat != 0).sum() <= count:
        np.testing.assert_array_equal(flags, flat != 0)
    else:
        assert flags.sum() > count - 4
    numbers, sizes = np.unique(flat[flat != 0], return_counts=True)
    for number, size in zip(numbers, sizes, strict=True):
        assert (flags & (flat == number)).sum() >= min(size, max(1, count // 16))
    again = maps.choose_references(labels, count, seed)
    assert all((one == other).all() for one, other in zip(chosen, again, strict=True))


@pytest.mark.parametrize(("labels", "words"), [([[0, 0]], "no class"), ([[0, 4]], r"one class \(4\)")])
def test_one_class_is_refused(labels, words):
    with pytest.raises(LabelError, match=words):
        maps.choose_references([np.array(labels)], 10)


def scene():
    generator = np.random.default_rng(3)
    truth = np.repeat(np.array([[1, 1, 4, 4, 7, 7]]), 5, axis=0)
    centres = {1: [3, 0, 0], 4: [0, 30, 0], 7: [0, 0, 300]}
    embedding = np.array([[centres[number] for number in row] for row in truth]) + generator.normal(size=(5, 6, 3)) * [1, 10, 100]
    return embedding.astype(np.float16), truth


@pytest.mark.parametrize("method", ["knn", "linear"])
def test_a_map_equals_scikit_learns(method, monkeypatch):
    monkeypatch.setattr(maps, "_CHUNK_BYTES", 8 * 6 * 3 * 2)  # two rows at a time
    embedding, truth = scene()
    embedding[4, 0] = np.nan
    area = np.ones(truth.shape, dtype=bool)
    area[0, 0] = False
    references = np.zeros(truth.shape, dtype=bool)
    references[1:3] = True
    features, numbers = embedding[references].astype(np.float64), truth[references]
    seen = []
    decided = run(maps.decide_map(embedding, area, maps.decider(method, features, numbers, k=3)), seen.append)
    labels, confidence = decided.labels, decided.confidence
    rival = KNeighborsClassifier(3, metric="cosine") if method == "knn" else LogisticRegression(C=1.0, max_iter=1000, tol=1e-6)
    model = make_pipeline(StandardScaler(), rival).fit(features, numbers)
    inside = area & np.isfinite(embedding).all(axis=-1)
    expected = model.predict_proba(embedding[inside].astype(np.float64))
    np.testing.assert_array_equal(labels[inside], model.classes_[expected.argmax(axis=1)])
    np.testing.assert_allclose(confidence[inside], expected.max(axis=1), atol=1e-2)
    assert (labels[~inside] == 0).all()
    assert (confidence[~inside] == 0).all()
    assert labels.dtype == np.int32
    assert [progress.done for progress in seen] == sorted(progress.done for progress in seen)
    assert seen[-1].done == seen[-1].total == 5


@pytest.mark.parametrize(("metric", "weights"), [("euclidean", "uniform"), ("cosine", "distance"), ("euclidean", "distance")])
@pytest.mark.parametrize("standardised", [True, False])
def test_votes_are_counted_as_asked(metric, weights, standardised):
    embedding, truth = scene()
    features, numbers = embedding[1:3].reshape(-1, 3).astype(np.float64), truth[1:3].ravel()
    asked = embedding[[0, 3, 4]].reshape(-1, 3).astype(np.float32)
    decide = maps.decider("knn", features, numbers, 5, standardised=standardised, vote=maps.Vote(metric, weights))
    (rows, shares), *_ = decide.answers(asked)
    scaler = StandardScaler().fit(features) if standardised else None
    left, right = (features, asked) if scaler is None else (scaler.transform(features), scaler.transform(asked.astype(np.float64)))
    expected = KNeighborsClassifier(5, algorithm="brute", metric=metric, weights=weights).fit(left, numbers).predict_proba(right)
    assert rows == slice(0, len(asked))
    np.testing.assert_allclose(shares, expected, atol=1e-4)


def test_an_empty_area_gives_an_empty_map():
    embedding, truth = scene()
    decided = run(maps.decide_map(embedding, np.zeros(truth.shape, dtype=bool), maps.decider("knn", embedding.reshape(-1, 3), truth.ravel(), k=1)))
    assert not decided.labels.any()
    assert not decided.confidence.any()
    assert not decided.entropy.any()
