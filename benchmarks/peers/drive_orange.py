"""Drive Orange: the PCA and the nearest neighbours behind its widgets, on a table with one row a pixel as Orange-Spectroscopy makes it of an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import common
import numpy as np


def _table(spectra: np.ndarray, classes: np.ndarray | None = None) -> Any:
    from Orange.data import ContinuousVariable, DiscreteVariable, Domain, Table

    bands = [ContinuousVariable(f"{number}") for number in range(spectra.shape[1])]
    kind = DiscreteVariable("class", values=tuple(f"{number}" for number in range(1, 10)))
    if classes is None:
        return Table.from_numpy(Domain(bands), spectra)
    return Table.from_numpy(Domain(bands, kind), spectra, classes - 1)


def numbers(folder: Path, answer: Path) -> dict[str, Any]:
    """PCA as Orange's widget calls it, and the scores of every pixel."""
    from Orange.projection import PCA

    cube = common.small_cube(folder)
    table = _table(cube.reshape(-1, cube.shape[-1]))

    def fit() -> Any:
        model = PCA(n_components=common.COMPONENTS)(table)
        return model, model(table).X

    (model, _), seconds, mb = common.repeated(fit)
    np.savez(answer, components=model.components_)
    return {"pca_s": seconds, "pca_mb": mb}


def knn(folder: Path, answer: Path) -> dict[str, Any]:
    """Classify every pixel by its nearest labelled spectra."""
    from Orange.classification import KNNLearner

    cube, (spectra, classes) = common.small_cube(folder), common.references(folder)
    table = _table(cube.reshape(-1, cube.shape[-1]))
    model = KNNLearner(n_neighbors=common.NEIGHBOURS)(_table(spectra, classes))
    labels, seconds, mb = common.repeated(lambda: model(table))
    np.savez(answer, labels=labels.reshape(cube.shape[:2]).astype(int) + 1)
    return {"knn_s": seconds, "knn_mb": mb}


if __name__ == "__main__":
    common.main({"numbers": numbers, "knn": knn})
