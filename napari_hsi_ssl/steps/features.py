"""What pixels are classified by: the training-free embedding, that of a run, or both side by side, under one name.

A name is ``training-free``, a pretraining run's, or ``RUN+training-free``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl import files
from napari_hsi_ssl.mapping.training_free import NAME as TRAINING_FREE
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.compute import shared_process
from napari_hsi_ssl.runs.folder import RunFolder
from napari_hsi_ssl.steps.bands import inputs_of
from napari_hsi_ssl.steps.evaluate import need_model
from napari_hsi_ssl.steps.training_free import embeddings

if TYPE_CHECKING:
    from napari_hsi_ssl.mapping.maps import Embedding

Areas = Mapping[str, NDArray[np.bool_]]


def beside(run: str) -> str:
    """Return the name of a run's features beside the training-free ones."""
    return f"{run}+{TRAINING_FREE}"


def run_of(name: str) -> str:
    """Return the run whose network a name asks for; "" when none is needed."""
    run = name.removesuffix(f"+{TRAINING_FREE}")
    return "" if run == TRAINING_FREE else run


def as_they_are(name: str) -> bool:
    """Whether kNN compares these features as they are; those of a network alone are standardised first."""
    return name.endswith(TRAINING_FREE)


def features(project: Project, name: str, areas: Areas) -> Steps[tuple[dict[str, Embedding], dict[str, Any]]]:
    """Return the features of some cubes, and what tells where they come from.

    Parameters
    ----------
    name : str
    areas : mapping of str to bool array (y, x)
        By cube: the pixels that are needed.

    Returns
    -------
    dict of str to Embedding
        (y, x, d), NaN outside the areas and where a pixel is not measured.
    dict
        ``embedding`` (the training-free one's hash) and ``model_sha256``, each where it plays a part.

    Raises
    ------
    RunError
        When the run is missing, of another kind or not finished.
    """
    from napari_hsi_ssl.mapping.joined import join

    run = run_of(name)
    parts: list[dict[str, Embedding]] = []
    told: dict[str, Any] = {}
    if run:
        folder = need_model(project, run, "pretrain")
        told["model_sha256"] = files.file_hash(folder.model_path)
        parts.append((yield from _embedded(project, folder, areas)))
    if as_they_are(name):
        found = yield from embeddings(project, areas)
        told["embedding"] = next(iter(found.values())).parent.name
        parts.append({cube: np.load(path, mmap_mode="r") for cube, path in found.items()})
    return (parts[0] if len(parts) == 1 else dict(join(parts, areas))), told


def _embedded(project: Project, folder: RunFolder, areas: Areas) -> Steps[dict[str, Embedding]]:
    found: dict[str, Embedding] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for cube, area in areas.items():
            path = Path(scratch) / f"{cube}.tif"
            files.write_tiff(path, area.astype(np.uint8) * 255)
            inputs = yield from inputs_of(project, folder, cube)
            report = yield from shared_process().call(
                "embed",
                model=str(folder.model_path),
                inlet=str(folder.resolve(folder.config.inlet or "")),
                cube={**inputs, "area": str(path)},
                cache=str(project.folder / "embeddings"),
            )
            found[cube] = np.load(report["path"], mmap_mode="r")
    return found
