"""Strokes are kept, become labels, or become the maps of one cube or of all."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_hsi_ssl import files
from napari_hsi_ssl.config import PaintConfig, digest
from napari_hsi_ssl.cubes.cube import Classes, ClassMap
from napari_hsi_ssl.cubes.rasters import read_labels
from napari_hsi_ssl.cubes.writers import confidence_path, save_map
from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.mapping.training_free import NAME as TRAINING_FREE
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps.features import as_they_are
from napari_hsi_ssl.steps.painting import Strokes, check_painted, embeddings_of, examples, painted_beside

if TYPE_CHECKING:
    from napari_hsi_ssl.mapping.painted import PaintedMap

METHOD: Final = "painted"
"""Of the maps, in their files' names."""


# -- strokes --------------------------------------------------------------------------------------------------------------


def strokes_as_labels(project: Project, cube: str, strokes: Strokes | None = None) -> Steps[dict[str, Any]]:
    """Make strokes training labels of a cube, by default those that are saved; labels beside them stay, those beneath give way.

    Returns
    -------
    dict
        ``cube``, ``labelled`` (pixels that have a class now), ``painted``, ``replaced`` (pixels that had another class).
    """
    image = project.strokes(cube) if strokes is None else strokes
    if image is None or not image.any():
        raise LabelError(f"nothing is painted on cube '{cube}' yet, so there are no strokes to learn from; paint some.")
    old = project.labels(cube)
    before = np.zeros(image.shape, dtype=np.int32) if old is None else old
    labels = np.where(image != 0, image, before).astype(np.int32)
    yield Progress(1, 1, f"strokes of {cube} become labels")
    project.save_labels(cube, labels)
    replaced = int(((image != 0) & (before != 0) & (before != image)).sum())
    return {"cube": cube, "labelled": int(np.count_nonzero(labels)), "painted": int(np.count_nonzero(image)), "replaced": replaced}


# -- maps as files ----------------------------------------------------------------------------------------------------------


def paint(
    project: Project,
    cube: str,
    config: PaintConfig | None = None,
    *,
    run: str = TRAINING_FREE,
    strokes: Path | None = None,
    every: bool = False,
    as_labels: bool = False,
) -> Steps[dict[str, Any]]:
    """Train a head on strokes and save the map of a cube, or of every cube of the project.

    Parameters
    ----------
    cube : str
        Painted on, and mapped.
    run : str
        As in `steps.classify.classify`.
    strokes : Path, optional
        A raster of class numbers, 0 = not painted; by default the strokes saved in the project, those of other cubes among them where
        the settings say so.
    every : bool
        Map all cubes of the project.
    as_labels : bool
        Also make the strokes of the cube its training labels.

    Returns
    -------
    dict
        ``maps``, a row each with ``areas`` and ``confidence`` by class; ``painted``: pixels by cube; ``suggestions``: where to paint next;
        ``seconds``.

    Raises
    ------
    LabelError
        When there are no strokes, they hold one class, or lie outside of the mask.
    """
    from napari_hsi_ssl.mapping.heads import fit_head
    from napari_hsi_ssl.mapping.painted import Basis, stream_map
    from napari_hsi_ssl.mapping.suggest import suggest

    begun, config = time.monotonic(), config or PaintConfig()
    images = _images(project, cube, config, strokes)
    names = list(project.entries) if every else [cube]
    found, areas, told = yield from embeddings_of(project, run, dict.fromkeys([cube, *images, *names]))
    basis = Basis.of(found[cube], areas[cube], standardised=not as_they_are(run))
    x, y, counts, outside = examples(found, areas, images, basis)
    check_painted(y, outside, cube, project.classes)
    head = fit_head(config.head, x, y)
    classes = project.classes.chosen(head.numbers.tolist())
    provenance = {
        "run": run,
        "method": METHOD,
        "head": config.head,
        "config_hash": digest(config.model_dump(mode="json")),
        "strokes": {name: files.digest_bytes(np.ascontiguousarray(image, dtype=np.int32).tobytes()) for name, image in images.items()},
        "painted": counts,
        **told,
    }
    maps, suggestions = [], []
    for number, name in enumerate(names):
        yield Progress(number, len(names), f"mapping {name}")
        made = yield from stream_map(found[name], areas[name], basis, head)
        command = _command(project, name if not every else cube, run, config, strokes, every)
        card = {**provenance, "cube": name, "cube_hash": (project.entry(name).fingerprint or {}).get("hash"), "command": command}
        path = project.map_path(name, run, METHOD)
        save_map(path, ClassMap(made.labels, classes, made.confidence, card))
        maps.append({"cube": name, "path": str(path), "confidence": str(confidence_path(path)), **_areas(made, classes)})
        if name == cube and config.suggestions:
            drawn = images.get(cube, np.zeros(made.labels.shape, dtype=np.int32))
            suggestions = [one.to_json() for one in suggest(made.confidence, made.labels != 0, drawn, config.suggestions)]
    report = {"run": run, "head": config.head, "maps": maps, "painted": counts, "outside": outside, "suggestions": suggestions}
    if as_labels:
        report["labels"] = yield from strokes_as_labels(project, cube, images.get(cube))
    return {**report, "seconds": time.monotonic() - begun}


def _images(project: Project, cube: str, config: PaintConfig, path: Path | None) -> dict[str, Strokes]:
    """Return the strokes (y, x) to learn from, by cube."""
    shape = project.entry(cube).shape[:2]
    if path is not None:
        images: dict[str, Strokes] = {cube: read_labels(path, shape)[0]}
    else:
        names = [cube, *(painted_beside(project, cube) if config.others else ())]
        images = {name: image for name in names if (image := project.strokes(name)) is not None}
    images = {name: image for name, image in images.items() if image.any()}
    if not images:
        where = f"{path} holds no stroke (all pixels are 0)" if path is not None else f"nothing is painted on cube '{cube}' yet"
        raise LabelError(f"{where}, expected strokes of at least two classes; paint in the window, or give --strokes FILE.")
    return images


def _areas(made: PaintedMap, classes: Classes) -> dict[str, dict[str, float]]:
    pixels, sure = made.counts()
    rows = [(name, number) for number, name in classes.named.items()]
    return {
        "areas": {name: int(pixels[number]) if number < pixels.size else 0 for name, number in rows},
        "sure": {name: float(sure[number]) if number < sure.size else 0.0 for name, number in rows},
    }


def _command(project: Project, cube: str, run: str, config: PaintConfig, strokes: Path | None, every: bool) -> str:
    parts = ["napari-hsi-ssl", "paint", str(project.folder), "--cube", cube, "--run", run, "--head", config.head]
    parts += ["--strokes", str(strokes)] if strokes is not None else ([] if config.others else ["--no-others"])
    return shlex.join([*parts, *(["--all"] if every else [])])
