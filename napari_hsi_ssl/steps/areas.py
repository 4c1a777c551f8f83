"""How much each class covers, with what the map's own errors say of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from napari_hsi_ssl import files
from napari_hsi_ssl.cubes import places
from napari_hsi_ssl.cubes.rasters import read_labels
from napari_hsi_ssl.cubes.writers import load_map
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.steps.export import place_of
from napari_hsi_ssl.steps.judge import read_map

_HECTARE: Final = 10_000.0
_NOTE: Final = (
    "Error-adjusted by stratified estimation (Olofsson et al. 2014). It holds for labels that the map was not taught by and that are a random sample "
    "within each class of the map; labels drawn as whole fields vary more than the intervals say."
)
_COLUMNS: Final = ("mapped_pixels", "labels", "share", "share_error", "area", "area_error", "mapped_area", "user", "user_error", "producer", "producer_error")


def areas(map_path: Path, labels_path: Path, pixel_size: float | None = None, to: Path | None = None) -> Steps[dict[str, Any]]:
    """Estimate the area of each class from a map and labels that it was not taught by.

    Parameters
    ----------
    map_path, labels_path : Path
    pixel_size : float, optional
        Side of a pixel in metres; by default as the cube of the map says, else areas are in pixels.
    to : Path, optional
        Also write the table to this .csv.

    Returns
    -------
    dict
        ``unit`` ("ha" or "pixels"), ``pixel_size`` (width and height in metres, or None), ``rows``: by class ``number``, ``name``,
        ``mapped_pixels``, ``mapped_area``, ``labels`` (labelled pixels mapped as it), ``area`` ± ``area_error``, ``share`` ± ``share_error`` (of
        what labels can judge), ``user`` and ``producer`` accuracy ± their errors (None where no label tells); ``overall`` ±
        ``overall_error``: accuracy over the area; ``judged_share``: of the map, what labels can judge; ``note``. Errors are half widths of 95 % intervals.
    """
    from napari_hsi_ssl.metrics.area import adjusted_areas

    if pixel_size is not None and pixel_size <= 0:
        raise ConfigError(f"the pixel size is {pixel_size:g} m, expected a positive number of metres.")
    if to is not None and to.suffix.lower() != ".csv":
        raise ConfigError(f"--to is {to.name}, but areas are written as a table; choose a name that ends in .csv.")
    yield Progress(0, 1, f"areas of {map_path.name}")
    predicted, classes = read_map(map_path)
    truth, named = read_labels(labels_path, predicted.shape)
    used = (truth > 0) & (predicted != 0)
    numbers = np.union1d(np.unique(predicted[predicted != 0]), np.unique(truth[used]))
    confusion = np.zeros((numbers.size, numbers.size), dtype=np.int64)
    np.add.at(confusion, (np.searchsorted(numbers, predicted[used]), np.searchsorted(numbers, truth[used])), 1)
    mapped = np.array([int((predicted == number).sum()) for number in numbers])
    found = adjusted_areas(confusion, mapped.tolist())
    size = (pixel_size, pixel_size) if pixel_size is not None else _pixel_size(map_path)
    unit = "pixels" if size is None else "ha"
    factor = 1.0 if size is None else size[0] * size[1] / _HECTARE
    judged = float(mapped[found.judged].sum())
    known = {**named, **dict(zip(classes.numbers, classes.names, strict=True))}
    rows = []
    for place, number in enumerate(numbers.tolist()):
        figures = {
            "mapped_pixels": int(mapped[place]),
            "mapped_area": float(mapped[place] * factor),
            "labels": int(confusion[place].sum()),
            "area": float(found.share[place] * judged * factor),
            "area_error": float(found.share_error[place] * judged * factor),
            "share": float(found.share[place]),
            "share_error": float(found.share_error[place]),
            **{key: _known(getattr(found, key)[place]) for key in ("user", "user_error", "producer", "producer_error")},
        }
        rows.append({"number": number, "name": known.get(number, f"class {number}"), **figures})
    if to is not None:
        files.write_bytes(to, _table(rows, unit).encode())
    yield Progress(1, 1, f"areas of {map_path.name}")
    return {
        "map": map_path.stem,
        "unit": unit,
        "pixel_size": list(size) if size is not None else None,
        "rows": rows,
        "overall": found.overall,
        "overall_error": found.overall_error,
        "judged_share": judged / float(mapped.sum()),
        "n": int(used.sum()),
        "note": _NOTE,
        **({"to": str(to)} if to is not None else {}),
    }


def _pixel_size(path: Path) -> tuple[float, float] | None:
    if not (path.suffix == ".tif" and path.with_suffix(".json").exists()):
        return None
    return places.pixel_metres(*place_of(path, load_map(path)))


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _table(rows: list[dict[str, Any]], unit: str) -> str:
    header = ["class", "name", *(f"{name}_{unit}" if "area" in name else name for name in _COLUMNS)]
    return files.csv_text([header, *([row["number"], row["name"], *("" if row[name] is None else row[name] for name in _COLUMNS)] for row in rows)])
