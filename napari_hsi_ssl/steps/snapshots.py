"""The picture of a run's embedding, with what the project knows of its patches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl import files
from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.mapping.plain import patch_classes
from napari_hsi_ssl.patches.snapshot import Snapshot
from napari_hsi_ssl.project import Project

_AGREEMENT = 0.5


@dataclass(frozen=True, eq=False)
class Embedding:
    """Where the judged patches of a run lie, and what they are.

    Attributes
    ----------
    run : str
    snapshot : Snapshot
    numbers : int array (n,)
        Class number of each patch by the project's labels as they are now, 0 where it has none: the trainer never saw them.
    classes : Classes
        Of the project.
    """

    run: str
    snapshot: Snapshot
    numbers: NDArray[np.int64]
    classes: Classes


def read_embedding(project: Project, run: str) -> Embedding | None:
    """Read the picture that a pretraining run has left last; None before it was judged for the first time.

    A patch has the class of most of its labelled pixels, if at least half of them agree.
    """
    folder = project.run_folder(run)
    snapshot = Snapshot.load(folder.path / "embedding.npz")
    if snapshot is None:
        return None
    numbers = np.zeros(len(snapshot.places), dtype=np.int64)
    for number, name in enumerate(snapshot.cubes):
        here = snapshot.cube == number
        labels = project.labels(name) if name in project.entries and here.any() else None
        if labels is not None:
            numbers[here] = patch_classes(labels, snapshot.y[here], snapshot.x[here], snapshot.size, agreement=_AGREEMENT)
    return Embedding(run, snapshot, numbers, project.classes)


def save_embedding(project: Project, run: str, to: Path) -> dict[str, Any]:
    """Write the picture of a run's embedding as CSV: a row a held-out patch.

    Raises
    ------
    RunError
        When the run has none.
    """
    found = read_embedding(project, run)
    if found is None:
        raise RunError(f"run '{run}' has no picture of its embedding: it is no pretraining, was not judged yet, or has no held-out patches.")
    snapshot, names = found.snapshot, dict(zip(found.classes.numbers, found.classes.names, strict=True))
    rows: list[list[object]] = [["cube", "y", "x", "domain", "class", "axis_1", "axis_2"]]
    for row, (a, b) in enumerate(snapshot.places.tolist()):
        where = [snapshot.cubes[snapshot.cube[row]], int(snapshot.y[row]), int(snapshot.x[row]), snapshot.domains[snapshot.domain[row]]]
        rows.append([*where, names.get(int(found.numbers[row]), ""), f"{a:.6g}", f"{b:.6g}"])
    files.write_bytes(to, files.csv_text(rows).encode())
    return {"run": run, "file": str(to), "patches": len(snapshot.places), "epoch": snapshot.epoch, "explained": snapshot.explained}
