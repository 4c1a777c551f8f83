"""Why a pixel of a map has its class: its spectrum beside those of the classes, the votes, and the labelled pixels most like it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl import files
from napari_hsi_ssl.config import ClassifyConfig
from napari_hsi_ssl.cubes.cube import Classes, ClassMap, wavelengths
from napari_hsi_ssl.cubes.pixels import PixelReader
from napari_hsi_ssl.cubes.rasters import read_labels
from napari_hsi_ssl.cubes.writers import load_map
from napari_hsi_ssl.errors import LabelError, RunError
from napari_hsi_ssl.explore.spectra import region_means
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.compute import shared_process
from napari_hsi_ssl.runs.folder import RunFolder
from napari_hsi_ssl.steps.bands import as_learnt, inputs_of
from napari_hsi_ssl.steps.evaluate import need_model
from napari_hsi_ssl.steps.features import as_they_are, features, is_run
from napari_hsi_ssl.steps.learned_from import label_hashes
from napari_hsi_ssl.steps.train import read_training_labels

if TYPE_CHECKING:
    from napari_hsi_ssl.mapping.explain import Explainer
    from napari_hsi_ssl.mapping.maps import Embedding, Method

_PIXELS_A_CLASS: Final = 1000
"""As many labelled pixels make the mean spectrum of a class at most."""
_SAME_NM: Final = 1.0
Labels = dict[str, NDArray[np.int32]]


@dataclass(frozen=True, eq=False)
class Case:
    """What all pixels of a map need to be explained; made once by `open_case`, which may take a while.

    Attributes
    ----------
    path : Path
        Of the map.
    cube : str
    found : ClassMap
    config : ClassifyConfig
        How it was made.
    labels : dict of str to int array (y, x)
        What it was learnt from.
    explainer : Explainer
    embedding : Embedding (y, x, d)
        Of the map's cube.
    means : list of dict
        ``number``, ``name``, ``colour``, ``n`` (pixels), ``mean`` and ``sd`` (lists, None in bad bands) of every class.
    run : RunFolder or None
        The self-distillation run, whose exits can be asked.
    temperature : float or None
        By which the map's confidence is calibrated.
    changed : bool
        Whether the labels are others now than those it was learned from.
    """

    path: Path
    cube: str
    found: ClassMap
    config: ClassifyConfig
    labels: Labels
    explainer: Explainer
    embedding: Embedding
    means: list[dict[str, Any]]
    run: RunFolder | None
    temperature: float | None
    changed: bool


def explain(project: Project, map_path: Path, y: int, x: int, neighbours: int = 8) -> Steps[dict[str, Any]]:
    """Explain one pixel of a map of the project; see `explain_pixel`."""
    case = yield from open_case(project, map_path)
    return (yield from explain_pixel(project, case, y, x, neighbours))


def open_case(project: Project, map_path: Path) -> Steps[Case]:
    """Bring together what explains the pixels of a map: labels, features of the labelled pixels, mean spectra of the classes.

    Raises
    ------
    LabelError
        When the map is none of this project, or was made in a way that leaves nothing to explain.
    ProjectError, RunError
        When what it was made from is gone.
    """
    from napari_hsi_ssl.mapping.explain import Explainer, References
    from napari_hsi_ssl.mapping.maps import Vote

    yield Progress(message=f"reading {map_path.name}")
    found = load_map(map_path)
    told = found.provenance
    cube, run, method = (str(told.get(key, "")) for key in ("cube", "run", "method"))
    if cube not in project.entries or method not in {"knn", "linear", "distil"} or not run:
        raise LabelError(
            f"{map_path} says it is of cube '{cube}' by run '{run}', method '{method}', expected knn, linear or distil of a cube of this project; "
            "explain a map that classify has made here."
        )
    config = ClassifyConfig.parse({**(told.get("settings") or {}), "method": method}, f"the settings of {map_path.name}")
    folder = need_model(project, run, "distil") if method == "distil" else None
    labels = _own_labels(project, folder) if folder is not None else read_training_labels(project, _files(project, told))
    embedded = yield from (_own_features(project, folder, cube, labels) if folder is not None else _features(project, run, told, cube, labels))
    embedding, images = embedded
    yield Progress(message="fitting")
    standardised = folder is not None or not as_they_are(run)
    references = References.of(images, labels, config.references, config.seed)
    calibration = told.get("calibration")  # words where it could not be done
    temperature = calibration["temperature"] if isinstance(calibration, dict) else None
    way: Method = "linear" if method == "linear" else "knn"
    explainer = Explainer(references, way, config.k, standardised=standardised, temperature=temperature, vote=Vote.of(config))
    means = yield from _class_means(project, cube, labels, found.classes)
    return Case(map_path, cube, found, config, labels, explainer, embedding, means, folder, temperature, _changed(project, told))


def explain_pixel(project: Project, case: Case, y: int, x: int, neighbours: int = 8) -> Steps[dict[str, Any]]:
    """Say why one pixel of a map has its class.

    Returns
    -------
    dict
        ``class`` (``number``, ``name``, ``colour``), ``confidence`` (both as the map has them), ``votes`` (a row a class: ``share`` of the
        neighbours' votes, or probability), ``exits`` (a row an exit with its own ``votes``; empty but for self-distillation),
        ``neighbours`` (``cube``, ``y``, ``x``, class, cosine ``distance`` of features), ``spectrum``, ``wavelengths``, ``bad`` (bands),
        ``means`` (see `Case`), ``note`` where the votes of now no longer give the map's class.

    Raises
    ------
    LabelError
        When the pixel is outside the map, or not classified.
    """
    found, classes = case.found, case.found.classes
    height, width = found.labels.shape
    if not (0 <= y < height and 0 <= x < width):
        raise LabelError(f"pixel {y},{x} is outside the map {case.path.name} of {height}×{width} pixels; give Y,X counted from 0.")
    if not found.labels[y, x]:
        raise LabelError(f"pixel {y},{x} is not classified in {case.path.name}: it is outside the mask or was not measured; choose another.")
    query = np.asarray(case.embedding[y : y + 1][0, x], dtype=np.float32)
    if not np.isfinite(query).all():
        raise LabelError(f"pixel {y},{x} has no features of its own any more: the mask of '{case.cube}' has changed; make the map again.")
    why = case.explainer.why(query, neighbours)
    votes = _shares(classes, why.numbers, why.shares)
    exits: list[dict[str, Any]] = []
    if case.run is not None:
        said = yield from _ask_exits(project, case.run, case.cube, y, x)
        answers = np.asarray(said["exits"])
        exits = [{"exit": number, "votes": _ranked(classes, said["numbers"], shares)} for number, shares in enumerate(answers, start=1)]
        votes = _ranked(classes, said["numbers"], _calibrated(_deciding(answers, case.config), case.temperature))
    references = case.explainer.references
    near = [
        {"cube": references.cubes[references.cube[row]], "y": int(references.y[row]), "x": int(references.x[row]),
         **_class(classes, int(references.numbers[row])), "distance": float(far)}
        for row, far in zip(why.nearest.tolist(), why.distances.tolist(), strict=True)
    ]  # fmt: skip
    cube = project.prepared(case.cube)
    yield Progress(1, 1, "explained")
    decided = int(found.labels[y, x])
    return {
        "map": str(case.path),
        "cube": case.cube,
        "y": y,
        "x": x,
        "method": case.config.method,
        "class": _class(classes, decided),
        "confidence": float(found.confidence[y, x]),
        "votes": votes,
        "exits": exits,
        "neighbours": near,
        "spectrum": _numbers(PixelReader(cube)(y, x)),
        "wavelengths": None if (centres := wavelengths(cube)) is None else _numbers(centres),
        "bad": np.flatnonzero(_bad(cube)).tolist(),
        "quantity": str(cube.attrs.get("quantity", "unknown")),
        "means": case.means,
        "note": _note(case, decided, votes),
    }


def _changed(project: Project, told: Mapping[str, Any]) -> bool:
    """Whether the project's own labels, where a map was learned from them, are others now."""
    before, now = told.get("labels_sha256") or {}, label_hashes(project)
    return any(now.get(cube) != value for cube, value in before.items())


def _note(case: Case, decided: int, votes: list[dict[str, Any]]) -> str:
    found = case.found
    unlike = found.provenance.get("typicality")
    unknown = unlike.get("name") if isinstance(unlike, dict) else None
    if unknown is not None and _class(found.classes, decided)["name"] == unknown:
        return "It is unlike the labelled pixels, so the map leaves it without one of their classes; the votes are what it would have been."
    if votes and votes[0]["number"] == decided and not case.changed:
        return ""
    return "Labels, mask or model have changed since the map was made: the votes are those of now."


# -- what the map was made from -------------------------------------------------------------------------------------------


def _files(project: Project, told: Mapping[str, Any]) -> dict[str, Path] | None:
    train = told.get("train")
    found = {str(cube): Path(str(path)) for cube, path in train.items()} if isinstance(train, dict) and train else None
    project.require(*(found or {}).values())
    return found


def _own_labels(project: Project, folder: RunFolder) -> Labels:
    """Return the labels that a self-distillation run was trained on, of cubes that the project still has."""
    found: Labels = {}
    for pinned in folder.config.labels:
        path = folder.resolve(pinned.path)
        if pinned.role == "train" and pinned.cube in project.entries:
            if not path.exists():
                raise RunError(f"run '{folder.name}' was trained on {path}, which is gone; put it back, or train again.")
            found[pinned.cube] = read_labels(path, project.entry(pinned.cube).shape[:2])[0]
    if not found:
        raise RunError(f"the project has none of the cubes that run '{folder.name}' was trained on; add them, or train again.")
    return found


def _features(project: Project, run: str, told: Mapping[str, Any], cube: str, labels: Labels) -> Steps[tuple[Embedding, Mapping[str, Embedding]]]:
    """Return the features of the map's cube and of the labelled ones, from the very areas that the map was made with."""
    beyond = {name: project.area(name) | (image > 0) for name, image in labels.items()}
    if is_run(run):
        mapped, _ = yield from features(project, run, {cube: project.area(cube)})
        images, _ = yield from features(project, run, beyond)
        for name, image in images.items():
            labels[name] = np.where(np.isfinite(image[..., 0]), labels[name], 0).astype(np.int32)
        return mapped[cube], images
    together = [name for name in told.get("cubes") or [cube] if name in project.entries]
    areas = {name: beyond.get(name, project.area(name)) for name in dict.fromkeys([*labels, *together, cube])}
    images, _ = yield from features(project, run, areas)
    return images[cube], images


def _own_features(project: Project, folder: RunFolder, cube: str, labels: Labels) -> Steps[tuple[Embedding, Mapping[str, Embedding]]]:
    """Return the features of a self-distillation network's deepest exit."""
    found: dict[str, Embedding] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in dict.fromkeys([*labels, cube]):
            inputs = yield from _inputs(project, folder, name, Path(scratch), labels.get(name))
            report = yield from shared_process().call("embed", **_model(folder), cube=inputs, cache=str(project.folder / "embeddings"))
            found[name] = np.load(report["path"], mmap_mode="r")
    for name, image in labels.items():
        labels[name] = np.where(np.isfinite(found[name][..., 0]), image, 0).astype(np.int32)
    return found[cube], found


def _ask_exits(project: Project, folder: RunFolder, cube: str, y: int, x: int) -> Steps[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as scratch:
        inputs = yield from _inputs(project, folder, cube, Path(scratch), None)
        return (yield from shared_process().call("exits", **_model(folder), cube=inputs, at=[y, x]))


def _model(folder: RunFolder) -> dict[str, str]:
    return {"model": str(folder.model_path), "inlet": str(folder.resolve(folder.config.inlet or ""))}


def _inputs(project: Project, folder: RunFolder, name: str, scratch: Path, labels: NDArray[np.int32] | None) -> Steps[dict[str, Any]]:
    """Return what a job must know of a cube that a self-distillation network looks at; the files that are made for it lie in ``scratch``."""
    area = project.area(name) | (labels > 0 if labels is not None else False)
    files.write_tiff(scratch / f"{name}.tif", area.astype(np.uint8) * 255)
    distil = folder.config.distil
    if distil is not None and distil.input == "bands":
        prepared = project.prepared(name, folder.config.chain, as_learnt(project, folder, name))
        files.write_npy(scratch / f"{name}.npy", np.asarray(prepared.data, dtype=np.float32))
        inputs = {"name": name, "scores": str(scratch / f"{name}.npy")}
    else:
        inputs = yield from inputs_of(project, folder, name)
    return {**inputs, "area": str(scratch / f"{name}.tif")}


# -- spectra --------------------------------------------------------------------------------------------------------------


def _class_means(project: Project, cube: str, labels: Labels, classes: Classes) -> Steps[list[dict[str, Any]]]:
    """Return mean and deviation of some labelled pixels of every class, from the map's cube where it has labels, else from the first of its bands."""
    here = project.prepared(cube)
    rows: dict[int, dict[str, Any]] = {}
    for name in sorted(labels, key=lambda name: name != cube):
        other = here if name == cube else project.prepared(name)
        missing = [number for number in np.unique(labels[name]).tolist() if number and number not in rows]
        if not missing or not _same_bands(here, other):
            continue
        found = yield from region_means(other, _thinned(labels[name], missing), missing)
        for number, (pixels, mean, sd) in found.items():
            rows[number] = {**_class(classes, number), "cube": name, "n": pixels, "mean": _numbers(mean), "sd": _numbers(sd)}
    return [rows[number] for number in sorted(rows)]


def _same_bands(one: xr.DataArray, other: xr.DataArray) -> bool:
    if one.shape[2] != other.shape[2]:
        return False
    centres, others = wavelengths(one), wavelengths(other)
    return centres is None or others is None or bool(np.abs(centres - others).max() <= _SAME_NM)


def _thinned(labels: NDArray[np.int32], numbers: list[int]) -> NDArray[np.int32]:
    """Keep evenly spread pixels of each class, so that a mean costs little."""
    kept = np.zeros_like(labels)
    for number in numbers:
        places = np.flatnonzero(labels == number)
        chosen = places[np.unique(np.linspace(0, places.size - 1, min(places.size, _PIXELS_A_CLASS)).astype(np.int64))]
        kept.reshape(-1)[chosen] = number
    return kept


def _bad(cube: xr.DataArray) -> NDArray[np.bool_]:
    bad = cube.attrs.get("bad_bands")
    return np.zeros(cube.shape[2], dtype=bool) if bad is None else np.asarray(bad, dtype=bool)


def _numbers(values: NDArray[Any]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def _class(classes: Classes, number: int) -> dict[str, Any]:
    known = {at: (name, colour) for at, name, colour in zip(classes.numbers, classes.names, classes.colours, strict=True)}
    name, colour = known.get(number, (f"class {number}", "#808080"))
    return {"number": number, "name": name, "colour": colour}


def _shares(classes: Classes, numbers: NDArray[np.integer], shares: NDArray[np.floating]) -> list[dict[str, Any]]:
    return [{**_class(classes, number), "share": share} for number, share in zip(numbers.tolist(), shares.tolist(), strict=True)]


def _ranked(classes: Classes, numbers: list[int], shares: NDArray[np.floating]) -> list[dict[str, Any]]:
    from napari_hsi_ssl.mapping.explain import ranked

    return _shares(classes, *ranked(np.asarray(numbers), shares))


def _deciding(answers: NDArray[np.float64], config: ClassifyConfig) -> NDArray[np.float64]:
    """Return the probabilities (c,) that decide, of those of every exit (e, c), by the settings of the map."""
    if config.exits == "mean":
        return np.asarray(answers.mean(axis=0))
    if config.exit_at is None or not (sure := answers.max(axis=1) >= config.exit_at).any():
        return np.asarray(answers[-1])
    return np.asarray(answers[sure.argmax()])


def _calibrated(shares: NDArray[np.float64], temperature: float | None) -> NDArray[np.float64]:
    from napari_hsi_ssl.metrics.calibration import tempered

    return shares if temperature is None else tempered(np.log(np.maximum(shares, np.finfo(np.float32).tiny)), temperature)
