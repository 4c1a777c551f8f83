"""The table of rivals: every row on every fold with every seed, each result kept in the project, so that an interrupted table goes on.

Results lie in ``PROJECT/tables/KEY.json``, KEY made from everything a result depends on. All work is done by the compute process.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from napari_hsi_ssl import files
from napari_hsi_ssl.config import DistilConfig, TableConfig, digest, read_json
from napari_hsi_ssl.cubes.cube import row_blocks, valid_pixels
from napari_hsi_ssl.errors import ConfigError, LabelError
from napari_hsi_ssl.explore.sources import band_use
from napari_hsi_ssl.mapping.baselines.rows import Row, row_of, rows_of
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.compute import shared_process
from napari_hsi_ssl.steps.bands import inputs_of
from napari_hsi_ssl.steps.evaluate import need_model
from napari_hsi_ssl.steps.folds import Fold

VERSION: Final = 2
"""Raised when a row would give another result for the same data, so that kept ones are made anew."""


@dataclass
class _Work:
    """What all results of a table have in common.

    Attributes
    ----------
    cubes : dict of str to str
        Files of the bands.
    content : dict
        What names them.
    trunk : dict, optional
        The pretrained run, for the job.
    """

    project: Project
    config: TableConfig
    scratch: Path
    cubes: dict[str, str] = field(default_factory=dict)
    content: dict[str, Any] = field(default_factory=dict)
    trunk: dict[str, Any] | None = None
    trunk_hash: str | None = None


def table(project: Project, folds: Sequence[Fold], config: TableConfig, run: str | None = None) -> Steps[dict[str, Any]]:
    """Score rivals on folds and compare them.

    Parameters
    ----------
    folds : sequence of Fold
        Of the same cubes.
    config : TableConfig
    run : str, optional
        A finished pretraining run, for the rows that need one; it also describes the trunk of row ``random``.

    Returns
    -------
    dict
        ``rows`` (as `metrics.repeated.summarise` returns them), ``reference`` (key of the row compared with), ``position`` (``oa`` and ``aa`` of position
        alone), ``audit`` (of the widest window in the table: ``window``, ``overlap_share``, ``centre_share``, ``verdict``), ``n_train`` and ``n_test`` (means
        over the folds), ``not_scored`` (test pixels of classes without a training pixel, by fold), ``cubes``, ``folds``, ``seeds``,
        ``results`` (every result by itself).

    Raises
    ------
    LabelError, ConfigError
        When a fold is no split, or a row is unknown or needs a run.
    """
    from napari_hsi_ssl.metrics.repeated import summarise

    if not folds:
        raise LabelError("there is no fold to score rivals on; give at least one.")
    rows = rows_of(config.rows, run is not None)
    reference = _reference(rows, config.reference)
    with tempfile.TemporaryDirectory() as scratch:
        work = _Work(project, config, Path(scratch))
        yield from _gather(work, list(dict.fromkeys(name for fold in folds for name in fold.train)))
        if run is not None:
            yield from _open_run(work, run)
        results: list[dict[str, Any]] = []
        beside: list[dict[str, Any]] = []
        for number, fold in enumerate(folds):
            at = number / len(folds), 1 / len(folds)
            own = yield from _fold(work, fold, rows, at)
            alone = next((result for result in own if result["key"] == "position"), None)
            beside.append(alone if alone is not None else (yield from _kept(work, fold, row_of("position"), config.seed, at)))
            results += own
    windows = [max(row_of(result.get("chosen", result["key"])).window, int(result.get("window", 0))) for result in results]
    report = {
        "cubes": list(work.cubes),
        "rows": summarise(results, reference),
        "reference": reference,
        "position": {figure: float(np.mean([result[figure] for result in beside])) for figure in ("oa", "aa")},
        "audit": _audit(folds, max(windows)),
        "n_train": round(float(np.mean([result["n_train"] for result in beside]))),
        "n_test": round(float(np.mean([result["n_test"] for result in beside]))),
        "not_scored": {result["fold"]: result["not_scored"] for result in beside if result["not_scored"]},
        "folds": [fold.name for fold in folds],
        "seeds": config.seeds,
        "results": results,
    }
    yield Progress(1, 1, "table done")
    return report


def _reference(rows: Sequence[Row], wanted: str | None) -> str:
    keys = [row.key for row in rows]
    if wanted is None:
        return next((row.key for row in rows if row.base == "distil"), keys[0])
    if wanted not in keys:
        raise ConfigError(f"the reference '{wanted}' is no row of this table, which has {', '.join(keys)}; choose one of them, or add it to the rows.")
    return wanted


def _gather(work: _Work, names: Sequence[str]) -> Steps[None]:
    """Write the used bands of the prepared cubes, NaN where not measured."""
    project, chain = work.project, work.project.chain
    cubes = {name: project.prepared(name) for name in names}
    sizes = {name: int(cube.shape[2]) for name, cube in cubes.items()}
    if len(set(sizes.values())) > 1:
        raise LabelError(f"the cubes have {', '.join(f'{count} bands ({name})' for name, count in sizes.items())}, expected the same; compare one camera's.")
    use = np.logical_and.reduce([band_use(cube) for cube in cubes.values()])
    for name, cube in cubes.items():
        bands = np.empty((*cube.shape[:2], int(use.sum())), dtype=np.float32)
        for rows, block in row_blocks(cube):
            values = np.asarray(block[..., use], dtype=np.float32)
            values[~valid_pixels(values, cube.attrs.get("nodata"))] = np.nan
            bands[rows] = values
            yield Progress(message=f"reading {name}")
        path = work.scratch / f"{len(work.cubes)}.npy"
        files.write_npy(path, bands)
        work.cubes[name] = str(path)
        work.content[name] = files.digest_bytes(bands.tobytes())
    work.content["chain"] = chain.texts()


def _open_run(work: _Work, run: str) -> Steps[None]:
    folder = need_model(work.project, run, "pretrain")
    cubes = {}
    for name in work.cubes:
        cubes[name] = yield from inputs_of(work.project, folder, name)
    work.trunk = {"model": str(folder.model_path), "inlet": str(folder.resolve(folder.config.inlet or "")), "cubes": cubes}
    work.trunk_hash = files.file_hash(folder.model_path)


def _fold(work: _Work, fold: Fold, rows: Sequence[Row], at: tuple[float, float]) -> Steps[list[dict[str, Any]]]:
    """Return the results of all rows on one fold; ``at`` is where its share of the whole begins, and how large it is."""
    found = []
    begin, share = at
    for number, row in enumerate(rows):
        here = begin + share * number / len(rows), share / len(rows)
        settled, chosen = row, None
        if row.kind == "choice":
            chosen = yield from _choose(work, fold, row, here)
            settled = row.settled(chosen)
        for seed in range(work.config.seed, work.config.seed + (work.config.seeds if settled.seeded else 1)):
            result = yield from _kept(work, fold, settled, seed, here)
            found.append({**result, "key": row.key, "name": row.words, **({"chosen": settled.key} if chosen is not None else {})})
    return found


def _choose(work: _Work, fold: Fold, row: Row, at: tuple[float, float]) -> Steps[str]:
    """Return the key of the candidate that does best on parts of the training labels; the first where nothing can be held out."""
    tried = {}
    for candidate in row.candidates:
        record = yield from _kept(work, fold, candidate, work.config.seed, at, validation=True)
        if record["accuracies"]:
            tried[candidate.key] = float(np.average(record["accuracies"], weights=record["pixels"]))  # parts differ in size
    return max(tried, key=lambda key: tried[key]) if tried else row.candidates[0].key


def _kept(work: _Work, fold: Fold, row: Row, seed: int, at: tuple[float, float], *, validation: bool = False) -> Steps[dict[str, Any]]:
    """Return one result: the one that is kept, or made and kept now."""
    made_from = {
        "version": VERSION,
        "content": work.content,
        "fold": fold.digest,
        "row": row.key,
        "seed": seed if row.seeded else 0,
        "max_steps": None if row.kind == "plain" else work.config.max_steps,
        "validation": validation,
        "trunk": work.trunk_hash if row.kind == "trunk" else None,
        "settings": DistilConfig().digest() if row.kind in ("distil", "trunk") else None,  # other defaults give other results
    }
    path = work.project.folder / "tables" / f"{digest(made_from)}.json"
    if path.exists():
        result = read_json(path)["result"]
    else:
        words = f"{fold.name}, seed {seed}: {row.words}"
        yield Progress(at[0], 1, words)
        labels = work.scratch / f"{fold.name}.npz"
        if not labels.exists():
            files.write_npz(labels, **{f"{side}/{name}": image for side in ("train", "test") for name, image in getattr(fold, side).items()})
        asked = {"cubes": {name: work.cubes[name] for name in fold.train}, "labels": str(labels), "row": row.key, "seed": made_from["seed"]}
        steps = shared_process().call(
            "rival", **asked, max_steps=work.config.max_steps, validation=validation, trunk=work.trunk if row.kind == "trunk" else None
        )
        result = yield from _within(steps, at, words)
        files.write_json(path, {"made_from": made_from, "result": result})
    return {**result, "fold": fold.name, "seed": seed}


def _within(steps: Steps[dict[str, Any]], at: tuple[float, float], words: str) -> Steps[dict[str, Any]]:
    """Say of a job where it stands in the whole."""
    begin, share = at
    while True:
        try:
            progress = next(steps)
        except StopIteration as stop:
            result: dict[str, Any] = stop.value
            return result
        yield Progress(begin + share * (progress.done / progress.total if progress.total else 0), 1, words)


def _audit(folds: Sequence[Fold], window: int) -> dict[str, Any]:
    """Return how far test windows of this side see training pixels, on the mean over folds, and what the worst of them is worth in words."""
    from napari_hsi_ssl.patches.audit import audit_cubes

    found = []
    for fold in folds:
        fits = min([window, *(min(image.shape) for image in fold.test.values() if image.any())])
        found.append(audit_cubes(fold.train, fold.test, fits))
    shares = {key: float(np.mean([figures[key] for figures in found])) for key in ("overlap_share", "centre_share")}
    return {"window": window, **shares, "verdict": max(found, key=lambda figures: figures["overlap_share"])["verdict"]}
