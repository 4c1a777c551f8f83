"""Exact neighbours of every pixel of a map beside scikit-learn's brute force: the same neighbours, and how long each takes.

207,400 pixels × 128 dimensions against 10,000 references, k = 20, in both metrics, at all cores. The features are clouds around 16 centres, as
embeddings are; `--queries` makes it smaller. Every query's neighbours are compared; where distances tie, either answer counts as the same.

    python benchmarks/knn.py [--queries 207400] [--references 10000] [--dimensions 128] [--k 20] [--repeats 3] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from napari_hsi_ssl.metrics.neighbours import knn_vote, nearest


def clouds(references: int, queries: int, dimensions: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    draws = np.random.default_rng(0)
    centres = draws.normal(size=(16, dimensions))
    labels, others = draws.integers(16, size=references), draws.integers(16, size=queries)
    train = (centres[labels] + draws.normal(size=(references, dimensions))).astype(np.float32)
    return train, labels, (centres[others] + draws.normal(size=(queries, dimensions))).astype(np.float32)


def timed(work: Callable[[], Any], repeats: int) -> tuple[list[float], Any]:
    taken, found = [], None
    for _ in range(repeats):
        begun = time.perf_counter()
        found = work()
        taken.append(time.perf_counter() - begun)
    return taken, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=610 * 340)
    parser.add_argument("--references", type=int, default=10_000)
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    train, labels, query = clouds(options.references, options.queries, options.dimensions)
    rows = []
    for metric in ("cosine", "euclidean"):
        rival = NearestNeighbors(n_neighbors=options.k, algorithm="brute", metric=metric, n_jobs=-1).fit(train)
        theirs_s, (distances, theirs) = timed(lambda rival=rival: rival.kneighbors(query), options.repeats)
        ours_s, (ours, own) = timed(lambda metric=metric: nearest(train, query, options.k, metric), options.repeats)  # type: ignore[arg-type]
        tied = np.isclose(own, distances, rtol=1e-4, atol=1e-5)
        voter = KNeighborsClassifier(options.k, algorithm="brute", metric=metric).fit(train, labels)
        few = query[:: max(1, len(query) // 2000)]
        row = {
            "metric": metric,
            "scikit_learn_s": theirs_s,
            "ours_s": ours_s,
            "times_faster": statistics.median(theirs_s) / statistics.median(ours_s),
            "same_neighbours": float((np.sort(ours, axis=1) == np.sort(theirs, axis=1)).mean()),
            "same_or_tied": float(((ours == theirs) | tied).mean()),
            "same_votes": float((knn_vote(train, labels, few, options.k, metric)[0] == voter.predict(few)).mean()),  # type: ignore[arg-type]
        }
        rows.append(row)
        print(json.dumps(row), flush=True)
    if options.json:
        options.json.write_text(json.dumps({"cores": os.cpu_count(), "settings": vars(options) | {"json": str(options.json)}, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
