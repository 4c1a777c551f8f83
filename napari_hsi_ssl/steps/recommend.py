"""Say which features and which classifier suit the labels at hand, by labelled pixels that each trial has not learned from."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from napari_hsi_ssl.config import read_json
from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.mapping.pretrained import NAME as PRETRAINED
from napari_hsi_ssl.mapping.pretrained import box
from napari_hsi_ssl.mapping.raw import NAME as SPECTRA
from napari_hsi_ssl.mapping.training_free import NAME as TRAINING_FREE
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps.evaluate import need_model
from napari_hsi_ssl.steps.features import as_they_are, beside, features, same_bands
from napari_hsi_ssl.steps.train import read_training_labels

if TYPE_CHECKING:
    from napari_hsi_ssl.mapping.maps import Embedding

_RUNS: Final = 2
"""The newest pretraining runs that are tried."""
_REACH: Final = 9
"""What the training-free embedding sees beyond two pixels it compares: twice the filter's radius, and a neighbour."""


def recommend(project: Project, train: Mapping[str, Path] | None = None, runs: list[str] | None = None, k: int = 20) -> Steps[dict[str, Any]]:
    """Try spectra, the training-free features, pretraining runs, these beside the training-free ones, and the trunk in the box on parts of the labels.

    Parameters
    ----------
    train : mapping of cube name to label file, optional
        The labels to choose by; the project's own by default. Labels kept for a test must not be among them.
    runs : list of str, optional
        Pretraining runs to try; the two newest finished ones by default.
    k : int
        Neighbours of kNN.

    Returns
    -------
    dict
        ``run`` (for `classify`), ``method``, ``accuracy`` (mean overall accuracy on the held-out parts, a fraction), ``parts``,
        ``guard`` (pixels) and ``rows``: ``run``, ``method``, ``accuracy``, ``accuracies``.

    Raises
    ------
    LabelError
        When the labels cannot be split into parts that do not touch.
    """
    from napari_hsi_ssl.mapping.recommend import best, held_out_parts, trials

    labels = read_training_labels(project, train)
    finished = [folder.name for folder in project.runs() if folder.model_path.exists() and folder.config.kind == "pretrain"]
    tried = finished[-_RUNS:] if runs is None else runs
    windows = [int(read_json(need_model(project, run, "pretrain").path / "model.json")["window"]) for run in tried]
    guard = max([_REACH, *windows])
    parts, offered = [], list[str]()
    _, card = box()
    if card:
        with suppress(LabelError):  # labels that lie too close together for it may do for the others
            wider = max(guard, _REACH + int(card["window"]) - 2)  # its window lies behind the filter of its inlet
            parts, guard, offered = held_out_parts(labels, wider), wider, [PRETRAINED]
    parts = parts or held_out_parts(labels, guard)
    areas = {name: project.area(name) | (image > 0) for name, image in labels.items()}
    names = [TRAINING_FREE, *([SPECTRA] if same_bands(project, areas) else []), *tried, *map(beside, tried), *offered]
    candidates: dict[str, Mapping[str, Embedding]] = {}
    for number, name in enumerate(names):
        yield Progress(number, len(names), f"trying {name}")
        candidates[name], _ = yield from features(project, name, areas)
    yield Progress(message="comparing")
    found = trials(candidates, {name for name in names if as_they_are(name)}, parts, k=k)
    chosen = best(found)
    rows = [{"run": trial.name, "method": trial.method, "accuracy": trial.mean, "accuracies": list(trial.accuracies)} for trial in found]
    return {"run": chosen.name, "method": chosen.method, "accuracy": chosen.mean, "parts": len(parts), "guard": guard, "rows": rows}
