"""What the compute process does: paths in, files and figures out. Imported by the child alone, because it imports torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl import files
from napari_hsi_ssl.config import ChainConfig, EvaluateConfig, PretrainConfig
from napari_hsi_ssl.cubes.calibrate import resampling_matrix
from napari_hsi_ssl.cubes.cube import wavelengths
from napari_hsi_ssl.cubes.preprocess import preprocess
from napari_hsi_ssl.cubes.rasters import read_labels
from napari_hsi_ssl.cubes.readers import read_cube
from napari_hsi_ssl.cubes.references import calibrated
from napari_hsi_ssl.errors import LabelError, ProjectError, RunError
from napari_hsi_ssl.explore.pca import Projection
from napari_hsi_ssl.explore.sources import band_use
from napari_hsi_ssl.learning.checkpoint import build_model
from napari_hsi_ssl.learning.data import open_scores
from napari_hsi_ssl.learning.sample_views import sample_views
from napari_hsi_ssl.mapping.classifiers import judge_features
from napari_hsi_ssl.mapping.embed import embed_patches
from napari_hsi_ssl.mapping.plain import patch_classes, patch_means
from napari_hsi_ssl.patches.index import PatchIndex
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.runs.choices import devices
from napari_hsi_ssl.runs.explain_jobs import exits
from napari_hsi_ssl.runs.job_inputs import Area, area_of, open_model, place, stored, told
from napari_hsi_ssl.runs.live_jobs import glance
from napari_hsi_ssl.runs.map_jobs import classify, embed
from napari_hsi_ssl.runs.rival_jobs import rival
from napari_hsi_ssl.runs.trust_jobs import trust

AGREEMENT: Final = 0.5
"""A patch has the class of most of its labelled pixels, when at least this share of them agrees; else it is not used."""


def evaluate(
    *, model: str, inlet: str, patches: str, cubes: Sequence[Mapping[str, Any]], settings: Mapping[str, Any], class_names: Mapping[str, str]
) -> Steps[dict[str, Any]]:
    """Judge a backbone on the held-out patches, beside a random one and the plain rows.

    Parameters
    ----------
    model, inlet, patches : str
        ``model.safetensors``, ``pca.npz`` and the patch index of the run.
    cubes : sequence of dict
        ``name``, ``domain``, ``file``, ``key``, ``raw``, ``calibration`` (with the ``folder`` of its paths),
        ``bad_bands``, ``chain``, ``scores``, ``mask`` and ``labels`` (or None) of each cube, and ``bands`` where the inlets are learned.
    settings : dict
        An `EvaluateConfig`.
    class_names : dict
        Names by class number.

    Returns
    -------
    dict
        ``knn_accuracy``, ``linear_probe``, ``random_knn_accuracy``, ``random_linear_probe``; ``gain`` (linear probe over that of the
        random backbone) and ``knn_gain``; ``simple``: ``mean_spectrum`` (mean of the patch's foreground, bands brought to the
        common grid, nothing else) and ``mean_pca`` (mean scores), each with ``knn_accuracy`` and ``linear_probe``; ``n_train``,
        ``n_test``, ``chance``, ``classes`` (names of what was scored), ``not_scored``, ``split`` (in words). Fractions.
        With class labels a patch has the class of most of its labelled pixels, if at least half of them agree.
    """
    config = EvaluateConfig.parse(dict(settings), "the settings of evaluate")
    network, card = open_model(model, inlet)
    index = PatchIndex.load(Path(patches))
    by_name = {cube["name"]: cube for cube in cubes}
    areas, scores = {}, {}
    for name in index.cubes:
        if name not in by_name:
            raise RunError(f"the patches of this run lie in cube '{name}', which the project no longer has; add it again.")
        scores[name] = open_scores(Path(by_name[name]["scores"]))
        areas[name] = area_of(by_name[name]["mask"], scores[name].shape[:2])
        _fits(index, name, scores[name].shape[:2])
    labels, names = _patch_labels(index, by_name, scores, config, class_names)
    used = labels != 0
    index, labels = index.subset(used), labels[used]
    if not len(index):
        raise LabelError("no patch has a class: no window holds labels of which half agree; label more, or judge with --labels domain.")
    features: dict[str, NDArray[np.floating]] = {}
    entered = {name: stored(network, by_name[name]) for name in index.cubes}
    # A random backbone has no inlets worth the name: it gets the projection's scores.
    rows = {"pretrained": (network, entered), "random": (place(build_model(card, config.seed).eval()), scores)}
    for title, (backbone, images) in rows.items():
        features[title] = yield from told(embed_patches(backbone, card, images, areas, index), f"{title} backbone")
    features["mean_spectrum"] = yield from _mean_spectra(index, by_name, areas, Projection.load(Path(inlet)))
    features["mean_pca"] = yield from _means(index, scores, areas, "mean scores")
    yield Progress(message="kNN and linear probe")
    report = judge_features(features, labels, index.split, k=config.k, minimum=config.minimum, names=names)
    pretrained, random = report["rows"]["pretrained"], report["rows"]["random"]
    return {
        **pretrained,
        **{f"random_{key}": value for key, value in random.items()},
        "gain": pretrained["linear_probe"] - random["linear_probe"],
        "knn_gain": pretrained["knn_accuracy"] - random["knn_accuracy"],
        "simple": {title: report["rows"][title] for title in ("mean_spectrum", "mean_pca")},
        "n_train": report["n_train"],
        "n_test": report["n_test"],
        "chance": report["chance"],
        "classes": [names[number] for number in report["scored"]],
        "not_scored": report["not_scored"],
        "split": _split_words(index),
    }


def views(
    *, inlet: str, region: str, corner: Sequence[int], size: int, domain: str, settings: Mapping[str, Any], pairs: int, bands: Sequence[int], out: str
) -> Steps[dict[str, Any]]:
    """Make views of one patch (`learning.sample_views`) and write them into ``out``: ``colours`` (n, w, w, 3) of three bands, ``spectra`` (n, G)."""
    yield Progress(message="views of the patch")
    config = PretrainConfig.parse(dict(settings), "the settings of the training")
    y, x = corner
    space, found = sample_views(np.load(region, allow_pickle=False), (y, x), size, Projection.load(Path(inlet)), domain, config, pairs)
    files.write_npz(Path(out), colours=space.spectra(found, 0, list(bands)), spectra=space.spectra(found[:, size // 2, size // 2], 0))
    return {}


JOBS: dict[str, Callable[..., Steps[dict[str, Any]]]] = {
    "evaluate": evaluate, "embed": embed, "classify": classify, "views": views, "devices": devices, "exits": exits,
    "trust": trust, "rival": rival, "glance": glance,
}  # fmt: skip


def _fits(index: PatchIndex, name: str, shape: tuple[int, ...]) -> None:
    here = index.cube == index.cubes.index(name)
    if here.any() and (index.y[here].max() + index.size > shape[0] or index.x[here].max() + index.size > shape[1]):
        raise ProjectError(f"patches reach beyond cube '{name}' of {shape[0]}×{shape[1]} pixels: they were cut from another cube; cut them again.")


# -- evaluate -------------------------------------------------------------------------------------------------------------


def _patch_labels(
    index: PatchIndex, cubes: Mapping[str, Mapping[str, Any]], scores: Mapping[str, NDArray[Any]], config: EvaluateConfig, class_names: Mapping[str, str]
) -> tuple[NDArray[np.int64], dict[int, str]]:
    """Return the number of each patch's domain (from 1) or class, and their names."""
    if config.labels == "domain":
        return index.domain.astype(np.int64) + 1, {number + 1: name for number, name in enumerate(index.domains)}
    labels = np.zeros(len(index), dtype=np.int64)
    for number, name in enumerate(index.cubes):
        path = cubes[name]["labels"]
        if path is not None:
            image, _ = read_labels(path, scores[name].shape[:2])
            here = index.cube == number
            labels[here] = patch_classes(image, index.y[here], index.x[here], index.size, agreement=AGREEMENT)
    if not any(cubes[name]["labels"] for name in index.cubes):
        raise LabelError("no cube of this run has labels; give some with `napari-hsi-ssl labels`, or judge with --labels domain.")
    numbers = np.unique(labels[labels != 0]).tolist()
    return labels, {number: class_names.get(str(number), f"class {number}") for number in numbers}


def _means(index: PatchIndex, images: Mapping[str, Any], areas: Mapping[str, Area], what: str) -> Steps[NDArray[np.float64]]:
    parts: list[tuple[NDArray[np.bool_], NDArray[np.float64]]] = []
    for number, name in enumerate(index.cubes):
        here = index.cube == number
        yield Progress(number, len(index.cubes), f"{what} of {name}")
        if here.any():
            parts.append((here, patch_means(images[name], areas[name], index.y[here], index.x[here], index.size)))
    means = np.empty((len(index), parts[0][1].shape[1]))
    for here, values in parts:
        means[here] = values
    return means


def _mean_spectra(index: PatchIndex, cubes: Mapping[str, Mapping[str, Any]], areas: Mapping[str, Area], projection: Projection) -> Steps[NDArray[np.float64]]:
    """Average each patch in its cube's own bands, then bring the mean to the common grid: resampling is linear."""
    means = np.empty((len(index), projection.grid.size))
    for number, name in enumerate(index.cubes):
        here = np.flatnonzero(index.cube == number)
        yield Progress(number, len(index.cubes), f"mean spectra of {name}")
        entry, raw = cubes[name], cubes[name]["raw"] or {}
        cube = read_cube(entry["file"], key=entry["key"], shape=raw.get("shape"), order=raw.get("order", "C"), name=name)
        if entry.get("bad_bands") is not None:
            cube = cube.assign_attrs(bad_bands=np.isin(np.arange(cube.shape[2]), entry["bad_bands"]))
        cube = calibrated(cube, entry["calibration"], Path(entry.get("folder", "")))
        cube = preprocess(cube, ChainConfig.parse(dict(entry.get("chain", {})), f"the chain of cube '{name}'"))
        if tuple(cube.shape[:2]) != areas[name].shape:
            raise ProjectError(f"cube '{name}': {entry['file']} has {cube.shape[:2]} pixels, the run knows {areas[name].shape}; add the file again.")
        use, centres = band_use(cube), wavelengths(cube)
        bands = centres if projection.grid_kind == "wavelength" and centres is not None else cube.shape[2]
        matrix = resampling_matrix(bands, projection.grid, projection.grid_kind, bad=~use)[:, use]
        values = patch_means(_UsedBands(cube.data, use), areas[name], index.y[here], index.x[here], index.size, nodata=cube.attrs.get("nodata"))
        means[here] = values @ matrix.T
    return means


class _UsedBands:
    """A cube's data without its bad bands, read some rows at a time."""

    def __init__(self, data: Any, use: NDArray[np.bool_]) -> None:  # noqa: ANN401 - any array
        self._data, self._use = data, use
        self.shape = (*data.shape[:2], int(use.sum()))

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        block = np.asarray(self._data[rows])
        return block if self._use.all() else block[..., self._use]


def _split_words(index: PatchIndex) -> str:
    """Say how far apart training and test patches are."""
    held_out = [set(index.cube[index.split == code].tolist()) for code in (0, 1)]
    shared = held_out[0] & held_out[1]
    if not shared:
        return "whole cubes held out"
    if shared == held_out[0] | held_out[1]:
        return "blocks held out within every cube; no test window shares a pixel with a training window"
    return "whole cubes held out where a domain has several, blocks within the others; no test window shares a pixel with a training window"
