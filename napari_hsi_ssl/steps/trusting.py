"""What makes a map believable: the temperature of its confidence, kept with the run, and what labelled pixels look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl import files
from napari_hsi_ssl.config import SCHEMA_VERSION, ClassifyConfig, read_json
from napari_hsi_ssl.cubes.cube import Classes, ClassMap, row_blocks
from napari_hsi_ssl.cubes.rasters import read_labels
from napari_hsi_ssl.errors import ProjectError
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.compute import shared_process
from napari_hsi_ssl.runs.folder import RunFolder
from napari_hsi_ssl.steps.bands import as_learnt, inputs_of

if TYPE_CHECKING:
    from napari_hsi_ssl.mapping.maps import Embedding, Method
    from napari_hsi_ssl.mapping.unknown import Clouds

UNKNOWN: Final = "unlike training"
_GREY: Final = "#808080"
_REACH: Final = 9
"""What the training-free embedding sees beyond two pixels it compares: twice the filter's radius, and a neighbour."""
_APART: Final = 4
"""Pixels between parts of labels whose spectra are compared one by one: neighbours share light and sensor."""
Inputs = list[dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Trust:
    """What is known before a map is made.

    Attributes
    ----------
    calibration : dict or None
        A `mapping.trust.Calibration`; None where no labelled pixel was held out.
    clouds : Path or Clouds or None
        From which unlike pixels are told.
    told : dict
        What the map's provenance says of both.
    """

    calibration: dict[str, Any] | None = None
    clouds: Any = None
    told: dict[str, Any] | None = None

    @property
    def temperature(self) -> float | None:
        """By which logarithms of probabilities are divided; None leaves confidence as the classifier says it."""
        return float(self.calibration["temperature"]) if self.calibration is not None else None


def wanted_layers(config: ClassifyConfig) -> tuple[str, ...]:
    """Return the layers that are kept of a map; what is marked as unlike training can be looked at too."""
    layers = dict.fromkeys([*config.layers, *(["typicality"] if config.unknown is not None else [])])
    return tuple(name for name in layers if name != "disagreement" or config.method == "distil")


def network_inputs(project: Project, folder: RunFolder, name: str, scratch: Path) -> Steps[dict[str, Any]]:
    """Return what a computation must know of a cube; bands that a run takes as they are, are written into a scratch folder."""
    distil = folder.config.distil
    if distil is None or distil.input != "bands":
        return (yield from inputs_of(project, folder, name))
    path = scratch / f"{name}.bands.npy"
    if not path.exists():
        prepared = project.prepared(name, folder.config.chain, as_learnt(project, folder, name))
        out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=prepared.shape)
        for rows, block in row_blocks(prepared):
            out[rows] = block
            files.let_go(out)
            yield Progress(rows.stop, len(out), f"bands of {name}")
    return {"name": name, "scores": str(path)}


def labelled_inputs(project: Project, folder: RunFolder, labels: Mapping[str, NDArray[np.int32]], scratch: Path, role: str) -> Steps[Inputs]:
    """Return `network_inputs` of labelled cubes with their labels; a labelled pixel is looked at whatever the mask says."""
    found = []
    for cube, image in labels.items():
        path, area = scratch / f"{cube}.{role}.tif", scratch / f"{cube}.{role}.area.tif"
        files.write_tiff(path, image)
        files.write_tiff(area, (project.area(cube) | (image > 0)).astype(np.uint8) * 255)
        inputs = yield from network_inputs(project, folder, cube, scratch)
        found.append({**inputs, "labels": str(path), "area": str(area)})
    return found


def trust_of_run(project: Project, folder: RunFolder, config: ClassifyConfig, references: Inputs, scratch: Path, memory: int | None = None) -> Steps[Trust]:
    """Return what a run's maps can be believed by; the temperature of a self-distillation run is kept in its ``calibration.json``.

    Parameters
    ----------
    references : list of dict
        Labelled cubes that teach kNN or the linear head; a self-distillation run brings its own.
    scratch : Path
        Folder for what only this map needs.
    memory : int, optional
        Bytes that a tile may take on its way through the network.
    """
    own = config.method == "distil"
    kept = _kept(folder, config) if own else None
    with_clouds = "typicality" in wanted_layers(config)
    wanted = config.calibrate != "no"
    need = wanted and kept is None
    if not (need or with_clouds):
        return _trust(kept if wanted else None, None, config, {"kept": "calibration.json"} if own else {})
    validation: Inputs = []
    if own:
        references = yield from _own(project, folder, scratch, "train")
        validation = yield from _own(project, folder, scratch, "validation")
    clouds = scratch / "clouds.npz"
    found = yield from shared_process().call(
        "trust",
        model=str(folder.model_path),
        inlet=str(folder.resolve(folder.config.inlet or "")),
        references=references,
        validation=validation,
        settings=config.model_dump(mode="json"),
        cache=str(project.folder / "embeddings"),
        calibration=need,
        clouds=str(clouds) if with_clouds else None,
        memory=memory,
    )
    if own and need:
        files.write_json(folder.path / "calibration.json", {"schema_version": SCHEMA_VERSION, **_answers(folder, config), "calibration": found["calibration"]})
    kept = {"calibration": found["calibration"]} if need else kept
    return _trust(kept if wanted else None, clouds if with_clouds else None, config, {"kept": "calibration.json"} if own else {}, found)


def trust_of_features(images: Mapping[str, Embedding], labels: Mapping[str, NDArray[np.int32]], config: ClassifyConfig, *, standardised: bool) -> Trust:
    """Return what maps by spectra or training-free features can be believed by."""
    from napari_hsi_ssl.mapping.maps import Vote
    from napari_hsi_ssl.mapping.trust import calibrate_head
    from napari_hsi_ssl.mapping.unknown import fit_clouds

    method: Method = "linear" if config.method == "linear" else "knn"
    how = (images, labels, method, config.k)
    vote = Vote.of(config)
    wanted, near = config.calibrate != "no", config.calibrate == "near"
    found = calibrate_head(*how, standardised=standardised, vote=vote, guard=_REACH, near=near, seed=config.seed) if wanted else None
    clouds: Clouds | None = None
    if "typicality" in wanted_layers(config):
        clouds = fit_clouds(images, labels, guard=_APART if standardised else _REACH, seed=config.seed)
    told = {"typicality": {"held_out": int(clouds.held_out.size), "source": clouds.source}} if clouds is not None else {}
    return _trust({"calibration": found.to_json() if found is not None else None} if wanted else None, clouds, config, {}, told)


def marked(found: ClassMap, config: ClassifyConfig) -> ClassMap:
    """Give pixels that are unlike training a class of their own, the number after the last; their confidence is 0, for no class is claimed.

    Parameters
    ----------
    found : ClassMap
        With the layer "typicality".
    config : ClassifyConfig
        Its ``unknown`` is the share of held-out labelled pixels that would be marked too.
    """
    if config.unknown is None:
        return found
    known = found.classes
    number = max(known.numbers) + 1
    unlike = (found.labels != 0) & (found.layers["typicality"] <= config.unknown)
    classes = Classes((*known.numbers, number), (*known.names, UNKNOWN), (*known.colours, _GREY))
    return replace(found, labels=np.where(unlike, number, found.labels), classes=classes, confidence=np.where(unlike, np.float32(0), found.confidence))


def _trust(kept: Mapping[str, Any] | None, clouds: object, config: ClassifyConfig, where: Mapping[str, Any], found: Mapping[str, Any] | None = None) -> Trust:
    told: dict[str, Any] = {}
    calibration = None
    if kept is not None:
        calibration = kept["calibration"]
        told["calibration"] = {**calibration, **where} if calibration is not None else "none: too few labelled pixels were held out"
    if clouds is not None:
        told["typicality"] = {**(found or {})["typicality"], **({"unknown": config.unknown, "name": UNKNOWN} if config.unknown is not None else {})}
    return Trust(calibration, clouds, told)


def _answers(folder: RunFolder, config: ClassifyConfig) -> dict[str, Any]:
    """Return whose answers are calibrated: those of this network, asked in this way."""
    return {"model_sha256": files.file_hash(folder.model_path), "exits": config.exits, "exit_at": config.exit_at, "turns": config.turns}


def _kept(folder: RunFolder, config: ClassifyConfig) -> dict[str, Any] | None:
    path = folder.path / "calibration.json"
    content = read_json(path) if path.exists() else {}
    whole = "calibration" in content and all(content.get(name) == value for name, value in _answers(folder, config).items())
    return {"calibration": content["calibration"]} if whole else None


def _own(project: Project, folder: RunFolder, scratch: Path, role: str) -> Steps[Inputs]:
    """Return the labelled cubes of a self-distillation run, those that are still in the project."""
    here: Sequence[Any] = [label for label in folder.config.labels if label.role == role and label.cube in project.entries]
    labels = {label.cube: read_labels(folder.resolve(label.path), project.entry(label.cube).shape[:2])[0].astype(np.int32) for label in here}
    labels = {cube: image for cube, image in labels.items() if image.any()}
    if role == "train" and not labels:
        raise ProjectError(f"the cubes that run '{folder.name}' learned from are no longer in the project, so nothing can be told unlike them; add them again.")
    return (yield from labelled_inputs(project, folder, labels, scratch, role))
