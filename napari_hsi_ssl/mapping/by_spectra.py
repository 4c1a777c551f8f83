"""kNN on spectra at the test pixels of a split: the plain rival whose accuracy the audit tells by distance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.mapping.classifiers import standardise
from napari_hsi_ssl.mapping.maps import Embedding, labelled_features
from napari_hsi_ssl.metrics.neighbours import knn_vote

NEIGHBOURS: Final = 5
REFERENCES: Final = 20_000
"""As many training pixels vote at most."""


def vote_by_spectra(
    spectra: Mapping[str, Embedding], train: Mapping[str, NDArray[np.integer]], test: Mapping[str, NDArray[np.integer]], seed: int = 0
) -> dict[str, NDArray[np.int64]]:
    """Classify test pixels by the spectra of the training pixels: five neighbours on standardised bands.

    Parameters
    ----------
    spectra : mapping of str to Embedding (y, x, band)
        By cube, such as `mapping.raw.Spectra`; NaN where a pixel is not measured.
    train, test : mapping of str to int array (y, x)
        Class numbers by cube, 0 = unlabelled.
    seed : int
        Of the choice of training pixels where there are more than 20,000.

    Returns
    -------
    dict of str to int64 array (y, x)
        By cube of ``test``: the class at its test pixels, 0 elsewhere and where a pixel was not measured.

    Raises
    ------
    LabelError
        When no training pixel was measured, or the training labels hold one class.
    """
    learned, known = labelled_features(spectra, train, REFERENCES, seed)
    if not known.size:
        raise LabelError("no training pixel was measured (all are NaN in some band), expected at least one a class; drop the dead bands or label elsewhere.")
    found = {}
    for name, image in test.items():
        answer = np.zeros(image.shape, dtype=np.int64)
        asked = np.asarray(spectra[name][image != 0], dtype=np.float32)
        measured = np.isfinite(asked).all(axis=1)
        if measured.any():
            voted = np.zeros(len(asked), dtype=np.int64)
            references, queries = standardise(learned, asked[measured])
            voted[measured] = knn_vote(references, known, queries, min(NEIGHBOURS, known.size), "euclidean")[0]
            answer[image != 0] = voted
        found[name] = answer
    return found
