"""The votes behind a pixel are those that made the map, and the pixels named are the nearest."""

import numpy as np
import pytest

from napari_hsi_ssl.mapping.explain import Explainer, References, ranked
from napari_hsi_ssl.mapping.maps import decide_map, decider, labelled_features
from napari_hsi_ssl.progress import run


def made(seed=0, side=24, dims=6):
    """Features (y, x, d) of two cubes with three classes that overlap, some pixels unmeasured, and sparse labels."""
    draws = np.random.default_rng(seed)
    images, labels = {}, {}
    for name in ("a", "b"):
        truth = draws.integers(1, 4, (side, side))
        image = (draws.normal(size=(4, dims))[truth] + 1.5 * draws.normal(size=(side, side, dims))).astype(np.float32)
        image[:2] = np.nan
        images[name], labels[name] = image, np.where(draws.random(truth.shape) < 0.3, truth * 3, 0)
    return images, labels


@pytest.mark.parametrize(("method", "standardised"), [("knn", True), ("knn", False), ("linear", True)])
@pytest.mark.parametrize("temperature", [None, 1.7])
def test_the_votes_are_those_of_the_map(method, standardised, temperature):
    images, labels = made()
    features, numbers = labelled_features(images, labels, 120, 3)
    decided = run(decide_map(images["a"], np.ones((24, 24), bool), decider(method, features, numbers, 7, standardised=standardised), temperature))
    found, sure = decided.labels, decided.confidence
    references = References.of(images, labels, 120, 3)
    np.testing.assert_array_equal(references.features, features)
    np.testing.assert_array_equal(references.numbers, numbers)
    explainer = Explainer(references, method, 7, standardised=standardised, temperature=temperature)
    for y, x in np.random.default_rng(1).integers(2, 24, (40, 2)):
        why = explainer.why(images["a"][y, x])
        assert why.numbers[0] == found[y, x]
        assert why.shares[0] == pytest.approx(sure[y, x], abs=1e-6)
        assert why.shares.sum() <= 1 + 1e-6


def test_the_places_are_those_of_the_labels():
    """Else a thumbnail would show another pixel than the one that was compared."""
    images, labels = made()
    references = References.of(images, labels, 10_000)
    for row in range(len(references.numbers)):
        name, y, x = references.cubes[references.cube[row]], references.y[row], references.x[row]
        assert labels[name][y, x] == references.numbers[row]
        np.testing.assert_array_equal(images[name][y, x], references.features[row])


def test_the_neighbours_are_the_nearest_by_cosine():
    images, labels = made(5)
    references = References.of(images, labels, 10_000)
    query = images["b"][9, 9]
    scaled = (references.features - references.features.mean(0)) / references.features.std(0)
    asked = (query - references.features.mean(0)) / references.features.std(0)
    cosine = 1 - scaled @ asked / np.linalg.norm(scaled, axis=1) / np.linalg.norm(asked)
    why = Explainer(references, "knn", 3).why(query, 6)
    np.testing.assert_array_equal(why.nearest, np.argsort(cosine, kind="stable")[:6])
    np.testing.assert_allclose(why.distances, np.sort(cosine)[:6], atol=1e-5)


def test_equal_shares_go_by_number():
    numbers, shares = ranked(np.array([9, 2, 5, 7]), np.array([0.4, 0.4, 0.2, 0.0]))
    assert numbers.tolist() == [2, 9, 5]
    assert shares.tolist() == [0.4, 0.4, 0.2]
