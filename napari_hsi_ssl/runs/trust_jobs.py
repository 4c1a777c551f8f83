"""What the compute process does so that a map can be believed: the temperature of its confidence, and what the labelled pixels look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.config import ClassifyConfig
from napari_hsi_ssl.cubes.rasters import read_labels
from napari_hsi_ssl.learning.checkpoint import Card
from napari_hsi_ssl.learning.data import open_scores
from napari_hsi_ssl.mapping.maps import Embedding, Method, Vote
from napari_hsi_ssl.mapping.trust import Calibration, calibrate, calibrate_head
from napari_hsi_ssl.mapping.unknown import fit_clouds
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.runs.embeddings import discard, embedding_file
from napari_hsi_ssl.runs.job_inputs import Model, open_model, told
from napari_hsi_ssl.runs.map_jobs import own_answers, seen

_HELD_OUT: Final = "the labelled pixels that the run was validated on"
_APART: Final = 4
"""Pixels between parts of labels whose spectra are compared one by one: neighbours share light and sensor."""


def trust(
    *,
    model: str,
    inlet: str,
    references: Sequence[Mapping[str, Any]],
    validation: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    cache: str,
    calibration: bool = True,
    clouds: str | None = None,
    memory: int | None = None,
) -> Steps[dict[str, Any]]:
    """Calibrate a map's confidence, and describe the labelled pixels from which unlike ones are told.

    Parameters
    ----------
    model, inlet : str
    references : sequence of dict
        Cubes as `runs.map_jobs.classify` takes them, with the labels that taught the classifier.
    validation : sequence of dict
        The same with the labels that a self-distillation run held out; none for other methods, which hold out parts of the references.
    settings : dict
        A `ClassifyConfig`.
    cache : str
    calibration : bool
        Whether a temperature is wanted.
    clouds : str, optional
        Where the description of the labelled pixels is written (`mapping.unknown.Clouds`); none is made by default. It is of the
        network's input, pixel by pixel: features that tell the known classes apart may not show what else there is.

    memory : int, optional
        Bytes that a tile may take on its way through the network.

    Returns
    -------
    dict
        ``calibration``: a `mapping.trust.Calibration`, or None when too few pixels were held out; ``typicality``: ``held_out`` (pixels) and
        ``source`` (words), where clouds were asked for.
    """
    config = ClassifyConfig.parse(dict(settings), "the settings of classify")
    network, card = open_model(model, inlet)
    found: Calibration | None = None
    if calibration and config.method == "distil":
        found = yield from _of_network(network, card, Path(model), validation, Path(cache), config, memory)
    elif calibration:
        images: dict[str, Embedding] = {}
        for reference in references:
            path, _ = yield from embedding_file(network, card, Path(model), reference, Path(cache), memory)
            images[str(reference["name"])] = open_scores(path)
        yield Progress(message="calibrating the confidence")
        method: Method = "linear" if config.method == "linear" else "knn"
        how: dict[str, Any] = {"vote": Vote.of(config), "guard": int(card["window"]) - 1, "near": config.calibrate == "near", "seed": config.seed}
        found = calibrate_head(images, _labels(references, images), method, config.k, **how)
    report: dict[str, Any] = {"calibration": found.to_json() if found is not None else None}
    if clouds is not None:
        yield Progress(message="what the labelled pixels look like")
        taught, judged = ({str(cube["name"]): seen(network, card, inlet, cube) for cube in cubes} for cubes in (references, validation))
        held_out = (judged, _labels(validation, judged), _HELD_OUT) if judged else None
        made = fit_clouds(taught, _labels(references, taught), held_out=held_out, guard=_APART, seed=config.seed)
        made.write(Path(clouds))
        report["typicality"] = {"held_out": int(made.held_out.size), "source": made.source}
    return report


def _of_network(
    network: Model, card: Card, model: Path, validation: Sequence[Mapping[str, Any]], cache: Path, config: ClassifyConfig, memory: int | None
) -> Steps[Calibration | None]:
    numbers = np.asarray(card["classes"]["numbers"])
    said, true = [np.zeros((0, numbers.size))], [np.zeros(0, dtype=np.int64)]
    for cube in validation:
        path, _ = yield from told(own_answers(network, card, model, cube, cache, config, memory), f"calibrating on {cube['name']}")
        answers = open_scores(path)
        labels, _ = read_labels(cube["labels"], answers.shape[:2])
        judged = np.isin(labels, numbers) & np.isfinite(answers[..., 0])
        said.append(np.log(np.maximum(answers[judged], np.finfo(np.float32).tiny)))
        true.append(np.searchsorted(numbers, labels[judged]))
        del answers  # or Windows keeps the file
        discard(path)
    return calibrate(np.concatenate(said), np.concatenate(true), _HELD_OUT)


def _labels(cubes: Sequence[Mapping[str, Any]], images: Mapping[str, Embedding]) -> dict[str, NDArray[np.int32]]:
    return {str(cube["name"]): read_labels(cube["labels"], images[str(cube["name"])].shape[:2])[0].astype(np.int32) for cube in cubes}
