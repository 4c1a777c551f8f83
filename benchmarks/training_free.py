"""What the training-free embedding is worth for single pixels, beside what it is made of, on blocks that share nothing.

Indian Pines (blocks of 30 pixels) and Samson (24; read from HSI_TEST_DATA), guard of 8 pixels, two folds, several draws. All labelled pixels of the
training blocks serve kNN (k = 20, cosine), or 5 a class the nearest neighbour. Only classes that both sides have are scored. What
is learned without labels is learned from the whole scene, or with --inductive from the pixels nearer to a training label than to a
test label.

    python benchmarks/training_free.py [--draws 3] [--first 0] [--inductive] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.ndimage import distance_transform_edt

from napari_hsi_ssl import run
from napari_hsi_ssl.config import PcaConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.samples import indian_pines
from napari_hsi_ssl.explore.bilateral import denoise
from napari_hsi_ssl.explore.pca import Source, fit_projection, project_cube
from napari_hsi_ssl.mapping.training_free import embed, fit_shape, snv
from napari_hsi_ssl.metrics.neighbours import knn_vote
from napari_hsi_ssl.patches.splits import split_labels


def scenes() -> Iterator[tuple[str, xr.DataArray, NDArray[np.integer], int]]:
    """Yield name, cube, labels and side of the blocks of every scene that is at hand."""
    cube, labels, _ = indian_pines()
    yield "Indian Pines", cube, labels, 30
    folder = Path(os.environ.get("HSI_TEST_DATA", "../shared/data")) / "samson"
    if folder.exists():
        values = loadmat(folder / "Samson.mat")
        spectra = (values["Y"] if "Y" in values else values["V"]).reshape(156, 95, 95, order="F").transpose(1, 2, 0)
        shares = loadmat(folder / "_EndSamson.mat")["A"].reshape(3, 95, 95, order="F")
        yield "Samson", as_cube(np.ascontiguousarray(spectra), name="samson"), np.where(shares.max(0) > 0.9, shares.argmax(0) + 1, 0).astype(np.int32), 24


def centred(features: NDArray[np.floating]) -> NDArray[np.float32]:
    flat = features.reshape(-1, features.shape[-1]).astype(np.float64)
    return (flat - flat.mean(0)).astype(np.float32)


def rows(cube: xr.DataArray, area: NDArray[np.bool_]) -> dict[str, NDArray[np.float32]]:
    """Return every embedding (pixel, d)."""
    source = Source(str(cube.name), "scene", cube, area)
    spectra = np.asarray(cube.data, dtype=np.float64).reshape(-1, cube.shape[2])
    inside = area.ravel()
    found = {"standardised spectra": centred((spectra - spectra[inside].mean(0)) / spectra[inside].std(0)), "SNV": centred(snv(spectra))}
    bands = cube.shape[2]
    for name, edges in (("MNF-30", "count"), ("MNF-30, edges left out", "skip")):
        config = PcaConfig(bands=bands, components=30, method="mnf", scale="standardise", edges=edges)
        projection = run(fit_projection([source], config))
        scores = run(project_cube(projection, source))
        found[name] = centred(scores.astype(np.float32) * projection.scale.astype(np.float32))
    quiet = np.concatenate([values for _, values in denoise(scores, 4, projection.scale)])
    found["the same, denoised"] = centred(quiet * projection.scale.astype(np.float32))
    shape = run(fit_shape(projection, [source]))
    everywhere = Source(source.name, "scene", cube, np.ones_like(area))
    out = np.empty((*area.shape, 30 + bands), dtype=np.float16)
    found["training-free"] = np.asarray(run(embed(quiet, projection, everywhere, shape, out)), dtype=np.float32).reshape(-1, 30 + bands)
    return found


def judge(features: NDArray[np.float32], labels: NDArray[np.integer], train: NDArray[np.bool_], test: NDArray[np.bool_], seed: int) -> tuple[float, float]:
    """Return the overall accuracy of kNN with all labels, and with five a class."""
    y, known, asked = labels.ravel(), np.flatnonzero(train), np.flatnonzero(test)
    generator = np.random.default_rng(seed)
    few = np.concatenate([generator.permutation(known[y[known] == number])[:5] for number in np.unique(y[known])])
    return tuple(float((knn_vote(features[which], y[which], features[asked], k)[0] == y[asked]).mean()) for which, k in ((known, 20), (few, 1)))  # type: ignore[return-value]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first draw; those from 10 on were looked at when the settings were chosen")
    parser.add_argument("--inductive", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    report: dict[str, Any] = {}
    for scene, cube, labels, block in scenes():
        found: dict[str, list[tuple[float, float]]] = {}
        kept = None if given.inductive else rows(cube, np.ones(labels.shape, dtype=bool))
        for seed in range(given.first, given.first + given.draws):
            for train, test in split_labels(labels, kind="blocks", block=block, guard=8, folds=2, seed=seed):
                known, asked = np.asarray(train) > 0, np.asarray(test) > 0
                asked &= np.isin(labels, np.intersect1d(labels[known], labels[asked]))
                area = distance_transform_edt(~known) < distance_transform_edt(np.asarray(test) == 0)
                for name, features in (kept or rows(cube, area)).items():
                    found.setdefault(name, []).append(judge(features, labels, known.ravel(), asked.ravel(), seed))
        report[scene] = {name: {"knn": [100 * a for a, _ in values], "five": [100 * b for _, b in values]} for name, values in found.items()}
        for name, values in report[scene].items():
            print(f"{scene:14s}{name:26s}kNN {np.mean(values['knn']):5.1f} ({np.std(values['knn']):.1f})   five a class {np.mean(values['five']):5.1f}")
    if given.json:
        given.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
