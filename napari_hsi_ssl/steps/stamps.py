"""What a map depends on, as one hash: a map that has it need not be made again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_hsi_ssl import files
from napari_hsi_ssl.config import ClassifyConfig, digest, read_json
from napari_hsi_ssl.errors import HsiError
from napari_hsi_ssl.mapping.raw import NAME as SPECTRA
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps.features import is_run, run_of


def stamp(project: Project, run: str, config: ClassifyConfig, cube: str, train: Mapping[str, Path] | None = None) -> str:
    """Return a hash of everything that the map of a cube follows from.

    Parameters
    ----------
    run : str
        As `steps.classify.classify` takes it.
    train : mapping of cube name to label file, optional
        The project's own labels by default.
    """
    name = run_of(run)
    folder = project.run_folder(name) if name else None
    labels = {} if config.method == "distil" else {known: files.file_hash(path) for known, path in _labels(project, train).items()}
    # The training-free components, and what builds on them, are fitted on every cube of the project.
    seen = [cube, *labels] if is_run(run) or run == SPECTRA else list(project.entries)
    return digest(
        {
            "run": run,
            "config": config.model_dump(mode="json"),
            "model": None if folder is None else files.file_hash(folder.model_path),
            "chain": project.chain.model_dump(mode="json") if folder is None else None,
            "labels": labels,
            "classes": None if config.method == "distil" else project.classes.to_json(),
            "cube": cube,
            "cubes": {known: _state(project, known) for known in dict.fromkeys(seen)},
        }
    )


def made_already(project: Project, run: str, config: ClassifyConfig, cube: str, train: Mapping[str, Path] | None = None) -> bool:
    """Whether the project has a whole map of a cube that would come out the same."""
    path = project.map_path(cube, run, config.method)
    card = path.with_suffix(".json")
    if not (path.exists() and card.exists()):
        return False
    try:
        content = read_json(card)
        return bool(content.get("provenance", {}).get("stamp") == stamp(project, run, config, cube, train))
    except (HsiError, OSError, AttributeError):
        return False


def _labels(project: Project, train: Mapping[str, Path] | None) -> dict[str, Path]:
    return dict(train) if train else {name: project.labels_path(name) for name in sorted(project.labelled)}


def _state(project: Project, cube: str) -> list[Any]:
    entry, mask = project.entry(cube), project.mask_path(cube)
    content = (entry.fingerprint or {}).get("hash")
    return [content, entry.domain, entry.crop, entry.calibration, entry.bad_bands, files.file_hash(mask) if mask.exists() else None]
