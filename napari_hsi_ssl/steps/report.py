"""One page about one map: how it looks, how good it is and what that is worth, what it covers, how it was made and how to make it again."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from napari_hsi_ssl import __version__, files
from napari_hsi_ssl.config import read_json
from napari_hsi_ssl.cubes.cube import Classes, ClassMap
from napari_hsi_ssl.cubes.writers import load_map
from napari_hsi_ssl.errors import ConfigError, LabelError
from napari_hsi_ssl.explore import page
from napari_hsi_ssl.explore.charts import class_bars, confusion_matrix, reliability_chart
from napari_hsi_ssl.explore.page import Page
from napari_hsi_ssl.explore.thumbnails import thumbnail
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps.areas import areas
from napari_hsi_ssl.steps.judge import score
from napari_hsi_ssl.steps.learned_from import in_words
from napari_hsi_ssl.steps.project_splits import held_out_labels

_SIDE = 420
"""Longest side of the pictures, about; small maps are enlarged, large ones thinned."""
_NAMES = {
    "cube": "Cube", "run": "Run", "method": "Method", "cube_hash": "Cube (hash)", "model_sha256": "Model (SHA-256)", "config_hash": "Settings (hash)",
    "embedding": "Embedding (hash)", "settings": "Settings", "train": "Training labels", "labels_sha256": "Training labels (SHA-256)",
    "calibration": "Calibration", "typicality": "Unlike training", "chain": "Preprocessing",
}  # fmt: skip
_LEFT_OUT = {"command", "geotags", "map_info", "cubes", "stamp"}


def report(
    project: Project,
    map_path: Path,
    out: Path,
    labels: Path | None = None,
    *,
    train: Path | None = None,
    window: int | None = None,
    baselines: Path | None = None,
) -> Steps[dict[str, Any]]:
    """Write a page about a map that holds all it shows, to be read anywhere and printed.

    Parameters
    ----------
    map_path : Path
        A map of the project.
    out : Path
        Ends in .html.
    labels : Path, optional
        What it is scored with; without them the page shows the map, what it covers and how it was made.
    train, window : optional
        As `steps.judge.score` has them, where the map's provenance does not lead to its training labels.
    baselines : Path, optional
        A table that ``baselines --out FILE.json`` wrote, on the same split.

    Returns
    -------
    dict
        ``to``, ``map``, ``labels``, and with labels ``oa``, ``aa``, ``kappa`` and ``worth`` (what the accuracy is worth, in words).

    Raises
    ------
    ConfigError
        When ``out`` does not end in .html, or ``baselines`` is no such table.
    LabelError
        When the map is not whole, or labels and map do not fit each other.
    """
    if out.suffix.lower() not in {".html", ".htm"}:
        raise ConfigError(f"--out is {out.name}, but a report is a page; choose a name that ends in .html.")
    table = _baselines(baselines)
    yield Progress(0, 3, f"reading {map_path.name}")
    found = load_map(map_path)
    cube = str(found.provenance.get("cube", map_path.stem.split("--")[0]))
    if cube not in project.entries:
        raise LabelError(f"{map_path} is of cube '{cube}', which the project does not have; give a map of one of its cubes.")
    scored = (yield from score(map_path, labels, train, window)) if labels is not None else None
    covered = (yield from areas(map_path, labels)) if labels is not None and _judges(scored) else None
    yield Progress(1, 3, "pictures")
    made = Page(f"Map of {cube}: {found.provenance.get('run', '?')}, {found.provenance.get('method', '?')}")
    made.add(page.paragraph(f"Written {time.strftime('%Y-%m-%d %H:%M')} by napari-hsi-ssl {__version__} from {map_path.name}.", "quiet"))
    if scored is not None:
        _accuracy(made, scored, labels)
    made.add(page.heading("The map"), _pictures(project, cube, found), _areas(found))
    if scored is not None:
        _classes(made, scored)
        _trust(made, scored)
    if covered is not None:
        _adjusted(made, covered)
    if table is not None:
        _rivals(made, table)
    _provenance(made, found)
    files.write_bytes(out, made.text().encode())
    yield Progress(3, 3, f"{out.name} is written")
    told = {} if scored is None else {key: scored[key] for key in ("oa", "aa", "kappa")} | {"worth": in_words(scored)}
    return {"to": str(out), "map": str(map_path), "labels": None if labels is None else str(labels), **told}


def report_held_out(project: Project, map_path: Path, cube: str, out: Path) -> Steps[dict[str, Any]]:
    """Write a page about a map of the project, scored with the test labels of its split, else with the cube's labels, else with none."""
    yield Progress(message="looking for the labels it learned from")
    labels = held_out_labels(project, map_path, cube)
    own = project.labels_path(cube)
    return (yield from report(project, map_path, out, labels or (own if own.exists() else None)))


# -- sections -------------------------------------------------------------------------------------------------------------


def _accuracy(made: Page, scored: Mapping[str, Any], labels: Path | None) -> None:
    low, high = scored["oa_interval"]
    named = {
        f"overall accuracy ({low:.1%} to {high:.1%})": f"{scored['oa']:.1%}",
        "average accuracy": f"{scored['aa']:.1%}",
        "kappa": "–" if scored["kappa"] is None or np.isnan(scored["kappa"]) else f"{scored['kappa']:.3f}",
        "labelled pixels": f"{scored['n']:,}",
    }
    if scored.get("ece") is not None:
        named["calibration error (ECE)"] = f"{scored['ece']:.1%}"
    made.add(page.heading("How good it is"), page.figures(named), page.paragraph(in_words(scored), "verdict"))
    left = f" {scored['not_classified']:,} of them the map leaves out, which counts as wrong." if scored["not_classified"] else ""
    made.add(page.paragraph(f"Scored with {labels}.{left} The interval takes pixels as independent, which neighbours are not.", "quiet"))
    audit = scored.get("audit")
    if audit:
        shares = {
            "Test windows that hold a training pixel": "centre_share",
            "Test windows that share pixels with training windows": "overlap_share",
            "OA of position alone": "position_oa",
            "AA of position alone": "position_aa",
        }
        rows = [(name, f"{audit[key]:.1%}") for name, key in shares.items() if audit.get(key) is not None]
        made.add(page.table(("Audit of the split", ""), rows), page.paragraph(str(audit.get("verdict", ""))))


def _pictures(project: Project, cube: str, found: ClassMap) -> str:
    drawn = [page.picture(_png(_coloured(found.labels, found.classes)), "Classes")]
    sure = np.where(found.labels != 0, np.clip(found.confidence, 0, 1), 0)
    drawn.append(page.picture(_png(np.rint(255 * sure).astype(np.uint8)), "Confidence: black 0, white 1"))
    if project.entry(cube).path not in project.outside() and project.entry(cube).path.exists():
        drawn.insert(0, page.picture(_png(thumbnail(project.cube(cube), _SIDE)), "The cube in three bands"))
    return page.beside(*drawn)


def _areas(found: ClassMap) -> str:
    total = max(1, int(np.count_nonzero(found.labels)))
    counts = [int(np.count_nonzero(found.labels == number)) for number in found.classes.numbers]
    rows = [
        (name, str(number), f"{count:,}", f"{count / total:.1%}")
        for number, name, count in zip(found.classes.numbers, found.classes.names, counts, strict=True)
    ]
    return page.table(("Class", "Number", "Pixels", "Share"), rows, colours=found.classes.colours)


def _classes(made: Page, scored: Mapping[str, Any]) -> None:
    per_class = list(scored["per_class"].values())
    made.add(page.heading("Every class"), page.drawing(class_bars(per_class), "Recall: found of what is there. Precision: right of what is mapped."))
    columns = ("Class", "Labelled pixels", "Recall", "Precision", "F1")
    made.add(
        page.table(columns, [(str(row["name"]), f"{row['n']:,}", *(_share(row.get(key)) for key in ("accuracy", "precision", "f1"))) for row in per_class])
    )
    made.add(page.heading("Which classes are mistaken for which"))
    for shares, words in ((False, "Labelled pixels; shaded by their share of the row"), (True, "Percent of the labelled pixels of each class")):
        made.add(page.drawing(confusion_matrix([str(name) for name in scored["names"]], scored["confusion"], shares=shares), words))


def _trust(made: Page, scored: Mapping[str, Any]) -> None:
    if scored.get("reliability"):
        words = f"Expected calibration error {scored['ece']:.1%}. Right of the dashed line the map is surer than it is right."
        made.add(page.heading("How far its confidence can be believed"), page.drawing(reliability_chart(scored["reliability"]), words))


def _adjusted(made: Page, covered: Mapping[str, Any]) -> None:
    unit, decimals = covered["unit"], 0 if covered["unit"] == "pixels" else 2
    rows = []
    for row in covered["rows"]:
        area = f"{row['area']:,.{decimals}f} ± {row['area_error']:,.{decimals}f}"
        share = f"{row['share']:.1%} ± {100 * row['share_error']:.1f}"
        rows.append((str(row["name"]), f"{row['mapped_area']:,.{decimals}f}", area, share, _share(row["user"]), _share(row["producer"])))
    columns = ("Class", f"Mapped, {unit}", "Adjusted ± 95 %", "Share", "User's accuracy", "Producer's accuracy")
    made.add(page.heading("Areas, adjusted for the map's errors"), page.table(columns, rows), page.paragraph(str(covered["note"]), "quiet"))


def _rivals(made: Page, table: Mapping[str, Any]) -> None:
    def accuracy(row: Mapping[str, Any], key: str) -> str:
        interval = row.get(f"{key}_interval")
        return _share(row.get(key)) + (f" ({interval[0]:.1%} to {interval[1]:.1%})" if interval else "")

    rows = [(str(row.get("name", row.get("key", ""))), accuracy(row, "oa"), accuracy(row, "aa")) for row in table["rows"]]
    made.add(page.heading("Simple rivals on the same split"), page.table(("Row", "OA", "AA"), rows), page.paragraph(str(table.get("notes") or ""), "quiet"))


def _provenance(made: Page, found: ClassMap) -> None:
    told = {name: value for name, value in found.provenance.items() if name not in _LEFT_OUT and value is not None}
    rows = [(_NAMES.get(name, name), value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)) for name, value in told.items()]
    made.add(page.heading("How it was made"), page.pairs(rows))
    if found.provenance.get("command"):
        made.add(page.paragraph("The command that makes it again:"), page.code(str(found.provenance["command"])))


# -- small things ---------------------------------------------------------------------------------------------------------


def _baselines(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    table = read_json(path)
    if not (isinstance(table.get("rows"), list) and all(isinstance(row, dict) for row in table["rows"])):
        raise ConfigError(f"{path} holds no table of baselines; write one with `baselines … --out {path.stem}.json`.")
    return table


def _judges(scored: Mapping[str, Any] | None) -> bool:
    """Whether the labels can also say how far areas are wrong: none of them taught the map."""
    return scored is not None and scored.get("audit") is not None and not scored.get("trained_on")


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _coloured(labels: NDArray[np.integer], classes: Classes) -> NDArray[np.uint8]:
    """Return a map (y, x) in its colours (y, x, 3): white where it has no class, grey where it has one without a colour."""
    picture = np.full((*labels.shape, 3), 128, dtype=np.uint8)
    picture[labels == 0] = 255
    for number, colour in zip(classes.numbers, classes.colours, strict=True):
        picture[labels == number] = ImageColor.getrgb(page.safe_colour(colour))[:3]
    return picture


def _png(picture: NDArray[np.uint8]) -> bytes:
    longest = max(picture.shape[:2])
    step, factor = max(1, longest // (2 * _SIDE)), max(1, round(_SIDE / longest))
    shown = picture[::step, ::step].repeat(factor, axis=0).repeat(factor, axis=1)
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(shown)).save(stream, format="PNG", optimize=True)
    return stream.getvalue()
