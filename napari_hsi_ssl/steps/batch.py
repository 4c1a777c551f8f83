"""Maps of many cubes: side by side, gone on with where they were stopped, and put together on one sheet and in one table."""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.config import BatchConfig, ClassifyConfig
from napari_hsi_ssl.cubes.map_sheet import thumbnail, write_areas, write_sheet
from napari_hsi_ssl.cubes.writers import confidence_path, load_map
from napari_hsi_ssl.errors import ConfigError, HsiError, LabelError
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.progress import run as drive
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps.classify import areas_of, classify
from napari_hsi_ssl.steps.stamps import made_already

_ANSWER_SECONDS: Final = 10
_POLL_SECONDS: Final = 0.2
_SHARES: Final = 4
"""Parts of the work for each worker: what all cubes of a part need is made once for it."""


def classify_many(
    project: Project,
    run: str,
    config: ClassifyConfig,
    cubes: Sequence[str] | None = None,
    train: Mapping[str, Path] | None = None,
    *,
    batch: BatchConfig | None = None,
    sheet: Path | None = None,
    areas: Path | None = None,
) -> Steps[dict[str, Any]]:
    """Make the maps of many cubes; those that are there already and would come out the same are left as they are.

    A cube that cannot be mapped does not keep the others from it. Stopped, it leaves the maps that are finished, and the finished tiles of
    the embedding that was being made.

    Parameters
    ----------
    run, config, cubes, train
        As `steps.classify.classify` has them.
    batch : BatchConfig, optional
        One after another in this process by default.
    sheet : Path, optional
        Where to write all maps as one picture (PNG).
    areas : Path, optional
        Where to write the areas by class and cube (CSV).

    Returns
    -------
    dict
        ``maps``, a row each in the order of the cubes, with ``kept`` where it was there already; ``failed``: why, by cube; ``sheet`` and
        ``areas`` where they were asked for; ``seconds``.

    Raises
    ------
    ConfigError
        When no scheduler answers at the cluster's address, or the package for it is missing.
    HsiError
        What was wrong with the first cube, when none could be mapped.
    """
    begun, chosen = time.monotonic(), batch or BatchConfig()
    names = list(cubes or project.entries)
    for name in names:
        project.entry(name)
    kept = [] if chosen.again else [name for name in names if made_already(project, run, config, name, train)]
    pending = [name for name in names if name not in kept]
    if kept:
        what = "All maps are" if not pending else f"{len(kept)} of {len(names)} maps are"
        yield Progress(len(kept), len(names), f"{what} there already and would come out the same, so they are kept.", warning=True)
    made: dict[str, dict[str, Any]] = {}
    failed: dict[str, str] = {}
    if pending:
        beside = chosen.workers > 1 or chosen.cluster is not None
        steps = _side_by_side(project, run, config, pending, train, chosen) if beside else _in_turn(project, run, config, pending, train, chosen)
        made, failed = yield from _counted(steps, len(kept), len(names))
    if failed and not made and not kept:
        raise HsiError(next(iter(failed.values())))
    rows = [made.get(name) or {**_row(project, run, config, name), "kept": True} for name in names if name not in failed]
    report: dict[str, Any] = {"run": run, "method": config.method, "maps": rows, "kept": kept, "failed": failed}
    paths = {row["cube"]: Path(row["path"]) for row in rows}
    if sheet is not None:
        write_sheet(sheet, _labels(paths))
        report["sheet"] = str(sheet)
    if areas is not None:
        write_areas(areas, {row["cube"]: row["areas"] for row in rows})
        report["areas"] = str(areas)
    return {**report, "seconds": time.monotonic() - begun}


Outcome = tuple[dict[str, dict[str, Any]], dict[str, str]]
"""The rows of the maps that were made, and why others were not, by cube."""


def _counted(work: Steps[Outcome], before: int, total: int) -> Steps[Outcome]:
    """Count the cubes that were kept into the progress of the others."""
    while True:
        try:
            progress = next(work)
        except StopIteration as stop:
            outcome: Outcome = stop.value
            return outcome
        share = progress.done / progress.total if progress.total else 0.0
        yield Progress(before + share * (total - before), total, progress.message, progress.warning)


def _in_turn(project: Project, run: str, config: ClassifyConfig, names: Sequence[str], train: Mapping[str, Path] | None, batch: BatchConfig) -> Steps[Outcome]:
    """Make maps one after another, here: all at once, for what they all need is then made once, and singly from where that went wrong."""
    made: dict[str, dict[str, Any]] = {}
    failed: dict[str, str] = {}
    parts = [list(names)]
    while parts:
        part, started = parts.pop(0), time.time()
        try:
            report = yield from classify(project, run, config, part, train, memory=batch.memory)
            made |= {row["cube"]: row for row in report["maps"]}
        except HsiError as error:
            if len(part) == 1:
                failed[part[0]] = str(error)
                yield Progress(len(made) + len(failed), len(names), f"{part[0]}: {error}", warning=True)
                continue
            done = [name for name in part if _finished_since(project, run, config, name, started)]
            made |= {name: _row(project, run, config, name) for name in done}
            parts = [[name] for name in part if name not in done]
    return made, failed


def _finished_since(project: Project, run: str, config: ClassifyConfig, name: str, started: float) -> bool:
    card = project.map_path(name, run, config.method).with_suffix(".json")
    return card.exists() and card.stat().st_mtime >= started


def _row(project: Project, run: str, config: ClassifyConfig, name: str) -> dict[str, Any]:
    """Say what is in a map that is there."""
    path = project.map_path(name, run, config.method)
    return {"cube": name, "path": str(path), "confidence": str(confidence_path(path)), "areas": areas_of(load_map(path))}


def _labels(paths: Mapping[str, Path]) -> Iterator[tuple[str, Any, Any]]:
    for name, path in paths.items():
        found = load_map(path)
        yield name, found.labels, found.classes


# -- all maps on one sheet ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class SheetMap:
    """A map as it is put before the eye.

    Attributes
    ----------
    cube : str
    path : Path
    picture : uint8 array (h, w, 3)
    areas : dict of str to int
        Pixels by class.
    """

    cube: str
    path: Path
    picture: NDArray[np.uint8]
    areas: dict[str, int]


def sheet_maps(project: Project, run: str, method: str) -> Steps[list[SheetMap]]:
    """Return the maps of all cubes by a run and a method as thumbnails.

    Raises
    ------
    LabelError
        When there is none.
    """
    found = []
    paths = _paths(project, run, method)
    for number, (name, path) in enumerate(paths.items(), start=1):
        made = load_map(path)
        found.append(SheetMap(name, path, thumbnail(made.labels, made.classes), areas_of(made)))
        yield Progress(number, len(paths), f"reading the map of {name}")
    return found


def save_sheet(project: Project, run: str, method: str, to: Path) -> Steps[dict[str, Any]]:
    """Write the maps of all cubes by a run and a method as one picture (.png), or their areas by class and cube as a table (.csv)."""
    if to.suffix.lower() not in {".png", ".csv"}:
        raise ConfigError(f"{to.name} ends in neither .png nor .csv, expected .png for a picture of all maps or .csv for their areas; choose one of them.")
    paths = _paths(project, run, method)
    yield Progress(0, 1, f"writing {to.name}")
    if to.suffix.lower() == ".png":
        write_sheet(to, _labels(paths))
    else:
        write_areas(to, {name: areas_of(load_map(path)) for name, path in paths.items()})
    yield Progress(1, 1, f"{to.name} written")
    return {"to": str(to), "maps": len(paths)}


def _paths(project: Project, run: str, method: str) -> dict[str, Path]:
    there = set(project.maps())
    paths = {name: path for name in project.entries if (path := project.map_path(name, run, method)) in there}
    if not paths:
        raise LabelError(f"there is no map by {run} and {method} yet; make some, then look at them together.")
    return paths


# -- side by side -----------------------------------------------------------------------------------------------------------


def _side_by_side(
    project: Project, run: str, config: ClassifyConfig, names: Sequence[str], train: Mapping[str, Path] | None, batch: BatchConfig
) -> Steps[Outcome]:
    """Make maps by the workers of a dask cluster: one of this computer's own, or the one at an address."""
    yield Progress(0, len(names), "starting workers" if batch.cluster is None else f"asking {batch.cluster}")
    with _client(batch) as client:
        count = batch.workers if batch.cluster is None else _workers(client, project, batch.cluster)
        # The first is made alone: what all of them need, such as the embedding of labelled cubes, is then kept and made once.
        made, failed = yield from _in_turn(project, run, config, names[:1], train, batch)
        rest, parts = list(names[1:]), min(len(names) - 1, _SHARES * count)
        shares = [rest[number::parts] for number in range(parts)]
        files_of = {cube: str(path.absolute()) for cube, path in (train or {}).items()}
        threads = None if batch.cluster else max(1, (os.cpu_count() or 1) // batch.workers)
        settings = [made.model_dump(mode="json") for made in (config, batch)]
        waiting = {client.submit(work, str(project.folder), run, *settings, share, files_of, threads, pure=False): share for share in shares}
        try:
            while waiting:
                for future in [future for future in waiting if future.done()]:
                    share = waiting.pop(future)
                    outcome = _answer(future, share)
                    made, failed = made | outcome[0], failed | outcome[1]
                    for name, why in outcome[1].items():
                        yield Progress(len(made) + len(failed), len(names), f"{name}: {why}", warning=True)
                yield Progress(len(made) + len(failed), len(names), f"{len(made)} of {len(names)} maps made by {count} workers")
                time.sleep(_POLL_SECONDS if waiting else 0)
        finally:
            client.cancel(list(waiting), force=True)
    return made, failed


def work(folder: str, run: str, config: dict[str, Any], batch: dict[str, Any], names: list[str], train: dict[str, str], threads: int | None) -> Outcome:
    """Make some maps in the process of a worker."""
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    labels = {cube: Path(path) for cube, path in train.items()}
    settings = ClassifyConfig.parse(config, "classify"), BatchConfig.parse(batch, "classify")
    return drive(_in_turn(Project.open(folder), run, settings[0], names, labels, settings[1]))


def _answer(future: Any, share: Sequence[str]) -> Outcome:  # noqa: ANN401 - dask's own
    try:
        outcome: Outcome = future.result()
    except Exception as error:  # noqa: BLE001 - whatever ended a worker is told with its cubes
        return {}, {name: f"its worker ended ({type(error).__name__}: {error}); try it again with fewer workers." for name in share}
    return outcome


@contextmanager
def _client(batch: BatchConfig) -> Iterator[Any]:
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ConfigError('several workers need the package distributed, which is not installed; run `pip install "napari-hsi-ssl[cluster]"`.') from error
    if batch.cluster is None:
        here = {"n_workers": batch.workers, "threads_per_worker": 1, "processes": True, "dashboard_address": None, "memory_limit": None}
        with LocalCluster(**here, silence_logs=logging.CRITICAL) as cluster, Client(cluster) as client:
            yield client
        return
    client = None
    with suppress(OSError, ValueError, TimeoutError):
        client = Client(batch.cluster, timeout=_ANSWER_SECONDS)
    if client is None:
        # One that found no scheduler can only be closed by being collected, and not within the start of the next: distributed would wait for itself.
        gc.collect()
        wrong = f"no dask scheduler answers at {batch.cluster} within {_ANSWER_SECONDS} s"
        raise ConfigError(f"{wrong}; check the address, such as tcp://10.0.0.1:8786, or leave --cluster out to compute here.")
    with client:
        yield client


def _workers(client: Any, project: Project, address: str) -> int:  # noqa: ANN401
    """Return how many workers a cluster has; all of them must see the project."""
    there = client.scheduler_info(n_workers=-1)["workers"]
    if not there:
        raise ConfigError(f"the dask cluster at {address} has no worker; start some with `dask worker {address}`, then try again.")
    seen = client.run(_sees, str(project.folder))
    blind = [worker for worker, sees in seen.items() if not sees]
    if blind:
        raise ConfigError(
            f"worker {blind[0]} of the cluster at {address} does not find {project.folder}; put the project and its cubes into a folder that all of them share."
        )
    return len(there)


def _sees(folder: str) -> bool:
    return (Path(folder) / "project.json").exists()
