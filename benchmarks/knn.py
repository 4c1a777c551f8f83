"""Exact neighbours of every pixel of a map beside scikit-learn's brute force: the same neighbours, and how long each takes.

207,400 pixels × 128 dimensions against 10,000 references, k = 20, in both metrics, at all cores, as maps are made: candidates are found by torch in
bfloat16 where the processor has units for it; the search by NumPy alone is a row beside it. The features are clouds around 16 centres,
as embeddings are; `--queries` makes it smaller. Every query's neighbours are compared; where distances tie, either answer counts as the same.

    python benchmarks/knn.py [--queries 207400] [--references 10000] [--dimensions 128] [--k 20] [--repeats 3] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rows import Row, compared, in_turn
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from napari_hsi_ssl.mapping.device_neighbours import finder_on
from napari_hsi_ssl.metrics.neighbours import Metric, knn_vote, nearest, nearest_chunks

RIVAL, PLAIN = "scikit-learn, brute force", "this project, NumPy alone"


def clouds(references: int, queries: int, dimensions: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    draws = np.random.default_rng(0)
    centres = draws.normal(size=(16, dimensions))
    labels, others = draws.integers(16, size=references), draws.integers(16, size=queries)
    train = (centres[labels] + draws.normal(size=(references, dimensions))).astype(np.float32)
    return train, labels, (centres[others] + draws.normal(size=(queries, dimensions))).astype(np.float32)


def as_for_maps(train: NDArray[np.float32], query: NDArray[np.float32], k: int, metric: Metric) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    parts = list(nearest_chunks(train, query, k, metric, finder=finder_on(torch.device("cpu"))))
    return np.concatenate([part[1] for part in parts]), np.concatenate([part[2] for part in parts])


def measure(
    _work: Path,
    *,
    queries: int = 610 * 340,
    references: int = 10_000,
    dimensions: int = 128,
    k: int = 20,
    repeats: int = 3,
    metrics: tuple[str, ...] = ("cosine", "euclidean"),
) -> list[Row]:
    """Search the neighbours of the same queries both ways."""
    train, labels, query = clouds(references, queries, dimensions)
    few = query[:: max(1, len(query) // 2000)]
    rows: list[Row] = []
    for metric in metrics:
        rival = NearestNeighbors(n_neighbors=k, algorithm="brute", metric=metric, n_jobs=-1).fit(train)
        taken = in_turn(
            {
                "ours": lambda metric=metric: as_for_maps(train, query, k, metric),  # type: ignore[misc]
                RIVAL: lambda rival=rival: rival.kneighbors(query)[::-1],  # type: ignore[misc]
                PLAIN: lambda metric=metric: nearest(train, query, k, metric),  # type: ignore[misc]
            },
            repeats,
        )
        votes = KNeighborsClassifier(k, algorithm="brute", metric=metric).fit(train, labels).predict(few)

        def agreement(ours: Any, theirs: Any, metric: Any = metric, votes: NDArray[np.int64] = votes) -> dict[str, float]:
            (mine, own), (others, distances) = ours, theirs
            return {
                "same neighbours": float((np.sort(mine, axis=1) == np.sort(others, axis=1)).mean()),
                "same or as far": float(((mine == others) | np.isclose(own, distances, rtol=1e-4, atol=1e-5)).mean()),
                "same votes": float((knn_vote(train, labels, few, k, metric)[0] == votes).mean()),
            }

        what = f"{k} neighbours of {queries:,} × {dimensions} among {references:,}, {metric}"
        rows += compared("kNN", what, taken.pop("ours"), taken, agreement)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=610 * 340)
    parser.add_argument("--references", type=int, default=10_000)
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    given = {name: value for name, value in vars(options).items() if name != "json"}
    rows = [row.as_json() for row in measure(Path(), **given)]
    for row in rows:
        print(json.dumps(row), flush=True)
    if options.json:
        options.json.write_text(json.dumps({"cores": os.cpu_count(), "settings": given, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
