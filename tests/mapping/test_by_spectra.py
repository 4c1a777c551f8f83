"""kNN on spectra at test pixels against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.mapping.by_spectra import NEIGHBOURS, vote_by_spectra


@pytest.fixture
def scene():
    generator = np.random.default_rng(0)
    truth = generator.integers(1, 4, (20, 30))
    cube = (truth[..., None] * [1.0, 2, 0.5] + generator.normal(0, 1, (20, 30, 3))).astype(np.float32)
    side = generator.random(truth.shape) < 0.5
    return {"a": cube[:10], "b": cube[10:]}, {"a": np.where(side, truth, 0)[:10], "b": np.where(side, truth, 0)[10:]}, {"a": np.where(side, 0, truth)[:10]}


def test_votes_are_those_of_scikit_learn(scene):
    spectra, train, test = scene
    learned = np.concatenate([spectra[name][image != 0] for name, image in train.items()])
    known = np.concatenate([image[image != 0] for image in train.values()])
    scaler = StandardScaler().fit(learned)
    model = KNeighborsClassifier(NEIGHBOURS).fit(scaler.transform(learned), known)
    expected = np.zeros(test["a"].shape, dtype=int)
    expected[test["a"] != 0] = model.predict(scaler.transform(spectra["a"][test["a"] != 0]))
    found = vote_by_spectra(spectra, train, test)
    assert set(found) == {"a"}
    assert (found["a"] == expected).mean() > 0.998  # float32 and float64 may break a tie of distances differently


def test_what_was_not_measured_has_no_class_and_teaches_nothing(scene):
    spectra, train, test = scene
    y, x = np.argwhere(test["a"])[0]
    spectra["a"][y, x] = np.nan
    spectra["b"][:] = np.nan
    found = vote_by_spectra(spectra, train, test)["a"]
    assert found[y, x] == 0
    assert ((found != 0) == ((test["a"] != 0) & np.isfinite(spectra["a"]).all(axis=2))).all()
    spectra["a"][:] = np.nan
    with pytest.raises(LabelError, match="no training pixel was measured"):
        vote_by_spectra(spectra, train, test)
