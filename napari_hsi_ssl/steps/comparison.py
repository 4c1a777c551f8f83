"""Training runs side by side: the settings in which they differ, and how far each has come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from napari_hsi_ssl.config import read_json
from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.folder import RunFolder

_OF_EPOCHS = ("knn_accuracy", "validation_accuracy", "accuracy", "alignment", "uniformity")
_FIRST = ("state", "epoch", "step", "loss", *_OF_EPOCHS)
_OF_THE_START = ("parameters", "multiply_adds", "patches", "device", "precision")
_OF_THE_LOSS = {"batch_size", "temperature", "kind", "distil_weight", "feature_weight", "label_smoothing", "direction"}
"""Settings without which losses are of another scale."""


def compare_runs(project: Project, names: Sequence[str]) -> dict[str, Any]:
    """Lay two runs or more side by side, live ones as they stand now.

    Returns
    -------
    dict
        ``runs``; ``settings``: by name, those that differ, one value a run (None where a run has no such setting); ``figures``: by name,
        one value a run (accuracies as fractions, ``memory`` in bytes at its highest, ``seconds`` of training); ``notes``: what must be
        known to read them.

    Raises
    ------
    RunError
        When fewer than two different runs are named.
    """
    chosen = list(dict.fromkeys(names))
    if len(chosen) < 2:
        raise RunError(f"{len(chosen)} run{'s are' if not chosen else ' is'} named to compare, expected at least two; name others of `runs PROJECT`.")
    folders = [project.run_folder(name) for name in chosen]
    settings = _side_by_side([dict(_settings(folder)) for folder in folders])
    differing = {name: values for name, values in settings.items() if any(value != values[0] for value in values)}
    notes = []
    if _OF_THE_LOSS & differing.keys():
        notes.append(f"The losses are of different scales ({', '.join(sorted(_OF_THE_LOSS & differing.keys()))}): compare the accuracies.")
    if {"patches", "cubes"} & differing.keys():
        notes.append("The runs were judged on different patches.")
    return {"runs": chosen, "settings": differing, "figures": _side_by_side([_figures(folder) for folder in folders]), "notes": notes}


def _settings(folder: RunFolder) -> Iterator[tuple[str, Any]]:
    config = folder.config
    yield "kind", config.kind
    yield from _flat(config.trainer.model_dump(mode="json"))
    yield "cubes", ", ".join(cube.name for cube in config.cubes)
    yield "background", config.background
    yield "chain", "; ".join(config.chain.texts())
    for name in ("inlet", "patches", "init"):
        sha256 = getattr(config, f"{name}_sha256")
        yield name, sha256[:12] if sha256 else None


def _flat(settings: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _figures(folder: RunFolder) -> dict[str, Any]:
    figures: dict[str, Any] = {"state": folder.state}
    memory: list[float] = []
    for event in folder.history():
        kind = event["type"]
        if kind in {"started", "resumed"}:
            figures |= {name: event[name] for name in _OF_THE_START if name in event}
        if event.get("memory") is not None:
            memory.append(event["memory"])
        if kind in {"step", "epoch"}:
            figures |= {name: event[name] for name in ("epoch", "step", "throughput") if name in event}
        if kind == "epoch":
            figures |= {name: event[name] for name in ("loss", *_OF_EPOCHS) if event.get(name) is not None}
            figures |= {f"exit {number} accuracy": value for number, value in enumerate(event.get("exits") or (), start=1)}
    result = folder.result or {}
    figures |= {name: result[name] for name in ("loss", "seconds", "throughput") if name in result}
    figures |= {"memory": max(memory)} if memory else {}
    for labels in ("domain", "class"):
        path = folder.path / f"evaluation-{labels}.json"
        if path.exists():
            report = read_json(path)
            figures |= {f"{labels} {name}": report.get(name) for name in ("knn_accuracy", "linear_probe")}
    return {name: figures[name] for name in (*_FIRST, *figures) if name in figures}


def _side_by_side(columns: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for column in columns for name in column)
    return {name: [column.get(name) for column in columns] for name in names}
