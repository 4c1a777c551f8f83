"""The report of the suite: what became worse since the last record, and the tables and figures of the documentation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ImageColor
from rows import Row

from napari_hsi_ssl.explore.figure import Figure

BEGIN, END = "<!-- the suite: written by benchmarks/suite.py -->", "<!-- end of the suite -->"
WORSE = 0.1
"""A ratio that is smaller by more than this share is told."""
QUANTITIES = {
    "pixels": "pixels", "bands": "bands", "classes": "classes or references", "references": "references of a kNN search",
    "pixels of a map from disk": "pixels of a map from scores on disk", "cores": "cores",
}  # fmt: skip
Report = Mapping[str, Any]


# -- comparing ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """A ratio that is worse than the one recorded.

    Attributes
    ----------
    what, rival : str
    before, now : float or None
        Ratios; ``now`` is None where it was not measured.
    real : bool
        Whether the quartiles of both runs lie apart, so that the spread does not explain it.
    words : str
    """

    what: str
    rival: str
    before: float
    now: float | None
    real: bool
    words: str


def recorded(folder: Path) -> dict[str, Any] | None:
    """Return the last record, or None without any."""
    found = sorted(folder.glob("*.json"))
    return json.loads(found[-1].read_text()) if found else None


def record(report: Report, folder: Path) -> Path:
    """Keep a report by its date; a second one of a day takes the place of the first."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{report['date'][:10]}.json"
    path.write_text(json.dumps(report, indent=1) + "\n")
    return path


def compare(now: Report, before: Report | None) -> list[Change]:
    """Return the ratios that are more than a tenth worse than before, and those that are missing though their task was run."""
    if before is None:
        return []
    rows = {(row.task, row.what, row.rival): row for row in map(Row.of_json, now["rows"])}
    whole = not now.get("quick") and {task["task"] for task in now["tasks"]} >= {task["task"] for task in before["tasks"]}
    changes = []
    for past in map(Row.of_json, before["rows"]):
        row, old = rows.get((past.task, past.what, past.rival)), past.ratio
        if old is None:
            continue
        if row is None or row.ratio is None:
            if row is not None or whole:
                why = row.reason if row is not None and row.reason else "its task failed or was left out"
                changes.append(Change(past.what, past.rival, old, None, True, f"not measured: {why}"))
        elif row.ratio < (1 - WORSE) * old:
            once = min(one["count"] for side in (row, past) for one in (side.ours, side.theirs) if one) < 2
            apart = not once and row.band[1] < past.band[0]  # type: ignore[index]
            words = "measured once, so its spread is not known" if once else "beyond the spread of both runs" if apart else "within the spread of both runs"
            changes.append(Change(past.what, past.rival, old, row.ratio, apart, words))
    return changes


# -- telling ----------------------------------------------------------------------------------------------------------------


def told(report: Report, changes: Sequence[Change]) -> str:
    """Return the tables and the changes as text for a terminal."""
    lines = [*tables(report), ""]
    if not changes:
        lines.append("No ratio is more than a tenth worse than the last recorded one.")
    for change in changes:
        figures = f"{change.before:.2f} → {change.now:.2f}" if change.now is not None else f"{change.before:.2f} before"
        lines.append(f"{'WORSE' if change.real else 'noise?'}: {change.what}, {change.rival}: {figures} ({change.words})")
    return "\n".join(lines)


def tables(report: Report) -> list[str]:
    """Return Markdown: one table a task, then what was not measured."""
    lines: list[str] = []
    rows = [Row.of_json(one) for one in report["rows"]]
    order = list(dict.fromkeys(row.task for row in rows))
    for task, group in groupby(sorted(rows, key=lambda row: order.index(row.task)), key=lambda row: row.task):
        lines += [
            "",
            f"**{task}**",
            "",
            "| what | this project | rival | rival's | times | added memory, MB | answers |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        lines += [_line(row) for row in group]
    missing = [task for task in report["tasks"] if task["status"] != "done"]
    if missing:
        lines += ["", "Not measured: " + "; ".join(f"{task['task']} ({task['status']}: {task['reason']})" for task in missing) + "."]
    return lines


def _line(row: Row) -> str:
    memory = " / ".join(f"{row.memory_mb[name]:.0f}" if name in row.memory_mb else "–" for name in ("ours", "theirs")) if row.memory_mb else ""
    resident = row.memory_mb.get("ours, pages of mapped files counted")
    if resident is not None:
        memory = f"{row.memory_mb['ours']:.0f}; {resident:.0f} with mapped pages"
    agreement = "; ".join(f"{name} {value:.4g}" for name, value in row.agreement.items())
    ratio = "" if row.ratio is None else f"**{row.ratio:.3g}**"
    reason = row.reason.split("\n")[0].replace("|", "/")
    theirs = _figure(row.theirs, row.unit) or reason
    return f"| {row.what.replace('|', ' then ')} | {_figure(row.ours, row.unit) or reason} | {row.rival} | {theirs} | {ratio} | {memory} | {agreement} |"


def _figure(figure: Mapping[str, float] | None, unit: str) -> str:
    if figure is None:
        return ""
    ends = f" ({figure['q1']:.3g}–{figure['q3']:.3g})" if figure["count"] > 1 else " (once)"
    return f"{figure['median']:.3g}{ends} {unit}"


# -- the documentation ------------------------------------------------------------------------------------------------------


def write_docs(report: Report, path: Path) -> None:
    """Write tables and figures between the markers of a page; everything else in it stays as it is.

    Raises
    ------
    SystemExit
        When the page has no markers.
    """
    text = path.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise SystemExit(f"{path} must hold the lines '{BEGIN}' and '{END}' once each, in this order; put them where the suite's section belongs.")
    head, _, rest = text.partition(BEGIN)
    tail = rest.partition(END)[2]
    path.write_text("\n".join([head + BEGIN, *section(report, path.parent / "images"), END]) + tail)


def section(report: Report, images: Path) -> list[str]:
    """Return the section of the documentation, its figures written into a folder."""
    about = report["machine"]
    lines = [
        "",
        f"{report['date'][:10]}, {about['cores']} cores ({about['processor']}), {about['memory_gb']} GB, Python {about['python']}, torch {about['torch']}, "
        f"napari {about['napari']}; {report['seconds'] / 60:.0f} minutes in all, load {report['load_at_start']:.1f} at the start. Medians with quartiles; "
        "*times* is the rival's median over this project's (above 1 this project is faster); added memory is private memory at the peak of the first turn, "
        "beyond what the process held and could use again.",
        *tables(report),
    ]
    series = report["series"]
    if series:
        words = "seconds at growing sizes, the exponent of the power law through all, and between the last two (1 = linear; for cores −1 is ideal)"
        lines += ["", f"**Growth**: {words}.", ""]
        lines += ["| what grows | task | seconds | exponent | at the end |", "| --- | --- | --- | --- | --- |", *map(_growth_line, series), ""]
    for quantity in dict.fromkeys(one["quantity"] for one in series if one["quantity"] != "cores"):
        name = f"growth-{quantity.replace(' ', '-')}.png"
        images.mkdir(exist_ok=True)
        figure([one for one in series if one["quantity"] == quantity], QUANTITIES[quantity]).image.save(images / name, optimize=True)
        lines += [f"![seconds over {QUANTITIES[quantity]}, both logarithmic](images/{name})", ""]
    return lines


def _growth_line(one: Mapping[str, Any]) -> str:
    figures = "; ".join(f"{size:,.0f}: {seconds:.3g}" for size, seconds in zip(one["x"], one["seconds"], strict=True))
    slopes = np.diff(np.log(one["seconds"])) / np.diff(np.log(one["x"]))
    end = slopes[-1] if slopes.size else np.nan
    memory = f"; {max(one['resident_mb']):.0f} MB at most, mapped pages counted" if one["resident_mb"] else ""
    return f"| {QUANTITIES[one['quantity']]} | {one['task']}, {one['who']} | {figures}{memory} | {one['exponent']:.2f} | {end:.2f} |"


def figure(series: Sequence[Mapping[str, Any]], name: str) -> Figure:
    """Return a picture of series over one quantity, both axes logarithmic, with the exponents in its legend."""
    x = np.concatenate([one["x"] for one in series])
    y = np.concatenate([one["seconds"] for one in series])
    drawn = Figure((x.min() / 1.2, x.max() * 1.2), (y.min() / 1.5, y.max() * 1.5), (name, "seconds"), log=True)
    entries = []
    for one, colour in zip(series, _colours(len(series)), strict=True):
        drawn.curve(np.asarray(one["x"]), np.asarray(one["seconds"]), colour, marks=True)
        who = "" if one["who"] == "this project" else f", {one['who']}"
        entries.append((f"{one['task']}{who}: {one['exponent']:.2f}", colour))
    drawn.legend(entries)
    return drawn


def _colours(count: int) -> Iterable[str]:
    for number in range(count):
        red, green, blue = ImageColor.getrgb(f"hsv({360 * number // max(count, 1)}, 85%, {80 - 25 * (number % 2)}%)")[:3]
        yield f"#{red:02x}{green:02x}{blue:02x}"
