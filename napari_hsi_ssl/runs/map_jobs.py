"""What the compute process does for maps: embeddings and classifications of whole cubes; paths in, files and figures out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl import files
from napari_hsi_ssl.config import ClassifyConfig
from napari_hsi_ssl.cubes.rasters import read_labels
from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.explore.pca import Projection
from napari_hsi_ssl.learning.checkpoint import Card
from napari_hsi_ssl.learning.data import component_gain, open_scores
from napari_hsi_ssl.learning.distil import DistilNetwork
from napari_hsi_ssl.mapping.device_neighbours import finder_on
from napari_hsi_ssl.mapping.exits import ExitsDiffer, OwnMap
from napari_hsi_ssl.mapping.maps import Decided, Vote, choose_references, decide_map, decider
from napari_hsi_ssl.mapping.unknown import Clouds, Scaled, typicality_map
from napari_hsi_ssl.metrics.calibration import entropy, tempered
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.runs.embeddings import Leafed, answers_file, discard, embedding_file
from napari_hsi_ssl.runs.job_inputs import Model, area_of, open_model, stored

_CHUNK_BYTES: Final = 64 * 2**20


def embed(*, model: str, inlet: str, cube: Mapping[str, Any], cache: str, memory: int | None = None) -> Steps[dict[str, Any]]:
    """Make the embedding of a cube, or find the one that is there; returns its ``path``, ``shape`` and whether it was ``made``."""
    network, card = open_model(model, inlet)
    path, made = yield from embedding_file(network, card, Path(model), cube, Path(cache), memory)
    return {"path": str(path), "shape": list(open_scores(path).shape), "made": made}


def classify(
    *,
    model: str,
    inlet: str,
    cube: Mapping[str, Any],
    references: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    cache: str,
    labels: str,
    confidence: str,
    layers: Mapping[str, str] | None = None,
    temperature: float | None = None,
    clouds: str | None = None,
    memory: int | None = None,
) -> Steps[dict[str, Any]]:
    """Map a cube: by the nearest references, by a linear head on them, or by the self-distillation network itself.

    Parameters
    ----------
    model, inlet : str
    cube : dict
        ``name``, ``area`` and ``scores`` of the cube to map, or ``bands`` and ``domain`` where the inlets are learned.
    references : sequence of dict
        The same and ``labels`` of each cube to learn from; none for a self-distillation network.
    settings : dict
        A `ClassifyConfig`.
    cache : str
        Folder of cached embeddings.
    labels, confidence : str
        Where the map is written: ``.npy`` files (y, x) of class numbers (int32; 0 = not classified) and of confidence (float32).
    layers : dict of str to str, optional
        Where ``entropy``, ``disagreement`` (of a self-distillation network) and ``typicality`` are written, those that are wanted.
    temperature, clouds : float and str, optional
        What `runs.trust_jobs.trust` found; typicality needs the clouds.
    memory : int, optional
        Bytes that a tile may take on its way through the network.

    Returns
    -------
    dict
        ``references``: how many pixels decide, by class number; ``pixels``: how many were classified; ``early``: what was saved by leaving
        at the first exit that is sure (`mapping.leaving.Leaver.report`), where that was asked for.
    """
    config = ClassifyConfig.parse(dict(settings), "the settings of classify")
    network, card = open_model(model, inlet)
    wanted = dict(layers or {})
    used: dict[str, int] = {}
    early: dict[str, Any] = {}
    unfinished: list[Path] = []
    if config.method == "distil":
        answers, early = yield from own_answers(network, card, Path(model), cube, Path(cache), config, memory)
        unfinished = [answers]
        decided = _decided(open_scores(answers), card, temperature)
        if "disagreement" in wanted:
            source = ExitsDiffer(_with_exits(network), card, memory=memory)
            differ = yield from answers_file(source, "disagreement", network, card, Path(model), cube, Path(cache))
            unfinished.append(differ)
            files.write_npy(Path(wanted["disagreement"]), np.nan_to_num(Leafed(open_scores(differ))[..., 0]))
    else:
        features, numbers = yield from _references(network, card, Path(model), references, Path(cache), config, memory)
        used = {str(number): int(count) for number, count in zip(*np.unique(numbers, return_counts=True), strict=True)}
        path, _ = yield from embedding_file(network, card, Path(model), cube, Path(cache), memory)
        yield Progress(message="fitting")
        embedding = Leafed(open_scores(path))
        finder = finder_on(next(network.parameters()).device)
        decide = decider(config.method, features, numbers, config.k, vote=Vote.of(config), finder=finder)
        decided = yield from decide_map(embedding, area_of(cube["area"], embedding.shape[:2]), decide, temperature)
    if "typicality" in wanted and clouds is not None:
        image = seen(network, card, inlet, cube)
        files.write_npy(Path(wanted["typicality"]), (yield from typicality_map(Clouds.read(Path(clouds)), image, area_of(cube["area"], image.shape[:2]))))
    if "entropy" in wanted:
        files.write_npy(Path(wanted["entropy"]), decided.entropy)
    files.write_npy(Path(confidence), decided.confidence)
    files.write_npy(Path(labels), decided.labels)
    for path in unfinished:
        discard(path)
    return {"references": used, "pixels": int((decided.labels != 0).sum()), **early}


def _references(
    network: Model, card: Card, model: Path, references: Sequence[Mapping[str, Any]], cache: Path, config: ClassifyConfig, memory: int | None
) -> Steps[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Return features (n, d) and class numbers (n,) of the labelled pixels that decide."""
    paths = []
    for reference in references:
        path, _ = yield from embedding_file(network, card, model, reference, cache, memory)
        paths.append(path)
    embeddings = [Leafed(open_scores(path)) for path in paths]
    labels = []
    for reference, embedding in zip(references, embeddings, strict=True):
        image, _ = read_labels(reference["labels"], embedding.shape[:2])
        labels.append(_measured(image, embedding))
    chosen = choose_references(labels, config.references, config.seed)
    features = np.concatenate([np.asarray(embedding[which], dtype=np.float32) for embedding, which in zip(embeddings, chosen, strict=True)])
    numbers = np.concatenate([image[which] for image, which in zip(labels, chosen, strict=True)])
    return features, numbers.astype(np.int64)


def _measured(labels: NDArray[np.integer], embedding: Leafed) -> NDArray[np.integer]:
    """Return labels (y, x) without those of pixels that have no embedding."""
    found = labels.copy()
    for row in np.flatnonzero(labels.any(axis=1)):
        there = np.flatnonzero(labels[row])
        found[row, there[~np.isfinite(embedding[row, there, 0])]] = 0
    return found


def own_answers(
    network: Model, card: Card, model: Path, cube: Mapping[str, Any], cache: Path, config: ClassifyConfig, memory: int | None = None
) -> Steps[tuple[Path, dict[str, Any]]]:
    """Return the file of what a self-distillation network says of a cube, class probabilities (y, x, c), NaN where it says nothing, and what they took."""
    source = OwnMap(_with_exits(network), card, config, memory=memory)
    path = yield from answers_file(source, "map", network, card, model, cube, cache)
    return path, source.told()


def _with_exits(network: Model) -> DistilNetwork:
    if not isinstance(network, DistilNetwork):
        raise RunError("this run was pretrained without labels, so it has no classes of its own; use --method knn or linear.")
    return network


def _decided(probabilities: NDArray[np.float32], card: Card, temperature: float | None) -> Decided:
    numbers = np.asarray(card["classes"]["numbers"], dtype=np.int32)
    height, width, classes = probabilities.shape
    labels = np.zeros((height, width), dtype=np.int32)
    confidence, undecided = np.zeros((height, width), dtype=np.float32), np.zeros((height, width), dtype=np.float32)
    step = max(1, _CHUNK_BYTES // (4 * width * classes))
    for rows in (slice(top, top + step) for top in range(0, height, step)):
        image = np.array(probabilities[rows])
        files.let_go(probabilities)
        inside = np.isfinite(image[..., 0])
        said: NDArray[np.floating] = image[inside]
        best = said.argmax(axis=-1)
        if temperature is not None:
            said = tempered(np.log(np.maximum(said, np.finfo(np.float32).tiny)), temperature)
        labels[rows][inside], confidence[rows][inside], undecided[rows][inside] = numbers[best], said.max(axis=-1), entropy(said)
    return Decided(labels, confidence, undecided)


def seen(network: Model, card: Card, inlet: str, cube: Mapping[str, Any]) -> Scaled:
    """Return what a network gets to see of every pixel, components in their true proportions even where it sees them whitened."""
    offset, gain = (np.asarray(card["input"][name], dtype=np.float32) for name in ("offset", "gain"))
    if card["input"]["source"] == "pcs" and "bands" not in cube:
        gain = component_gain(Projection.load(Path(inlet)).variance, whiten=False).astype(np.float32)
    return Scaled(stored(network, cube), offset, gain)
