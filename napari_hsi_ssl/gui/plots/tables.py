"""Reports of the steps as tables: what a reader sees, copies and saves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from napari_hsi_ssl import files
from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.mapping.baselines.rows import row_of

_SIMPLE = {"mean_spectrum": "Mean spectrum", "mean_pca": "Mean PCA spectrum", "mean_pca_spectrum": "Mean PCA spectrum", "mean_scores": "Mean PCA spectrum"}
_WORDS = {
    "agreement agreement": "Agreement",
    "agreement kappa": "Agreement beyond chance (κ)",
    "agreement n": "Pixels compared",
    "mcnemar only_a": "Right in the first map only",
    "mcnemar only_b": "Right in the second map only",
    "mcnemar n": "Labelled pixels",
    "mcnemar statistic": "McNemar χ²",
    "mcnemar p": "McNemar p",
    "mcnemar test": "Test",
    "centre_share": "Test windows that hold a training pixel",
    "overlap_share": "Test windows that share pixels with training windows",
    "position_oa": "OA of position alone",
    "position_aa": "AA of position alone",
    "majority": "Largest class",
    "nearest_distance": "Median distance to training (pixels)",
    "n_train": "Training pixels",
    "n_test": "Test pixels",
    "window": "Window (pixels)",
    "absent": "Classes without training pixels",
    "verdict": "Verdict",
}
_FRACTIONS = {"oa", "aa", "agreement", "centre_share", "overlap_share", "position_oa", "position_aa", "majority"}


@dataclass(frozen=True)
class Table:
    """Words and numbers in rows.

    Attributes
    ----------
    columns : tuple of str
    rows : tuple of tuples
        Text, or a number; None is an empty cell.
    formats : tuple of str
        How the numbers of each column are written: "percent" (of a fraction, one decimal), "count", "number", or "text".
    colours : tuple of str
        One a row, ``#rrggbb`` or "".
    note : str
        What must be known to read the table.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    formats: tuple[str, ...]
    colours: tuple[str, ...] = ()
    note: str = ""

    def text(self, row: int, column: int) -> str:
        """Return a cell as a reader sees it."""
        return written(self.rows[row][column], self.formats[column])

    def csv(self) -> str:
        """Return the table as CSV with plain numbers: fractions stay fractions."""
        return files.csv_text([self.columns, *(["" if cell is None else cell for cell in row] for row in self.rows)])


def written(value: object, how: str) -> str:
    """Return a value as a reader sees it; an en dash where there is none."""
    if value is None:
        return "–"
    if isinstance(value, str) or how == "text":
        return str(value)
    number = float(value)  # type: ignore[arg-type]  # whatever JSON carries that is no text is a number here
    if how == "percent":
        return f"{100 * number:.1f} %"
    return f"{number:,.0f}" if how == "count" else f"{number:.4g}"


def accuracy_table(report: Mapping[str, Any]) -> Table:
    """Return the judgement of a pretrained backbone: a row for it, for a random one, and for each plain rival."""
    rows: list[tuple[Any, ...]] = [
        ("Pretrained backbone", report.get("knn_accuracy"), report.get("linear_probe")),
        ("Random backbone", report.get("random_knn_accuracy"), report.get("random_linear_probe")),
    ]
    for name, row in (report.get("simple") or {}).items():
        rows.append((_SIMPLE.get(name, name.replace("_", " ").capitalize()), row.get("knn_accuracy"), row.get("linear_probe")))
    parts = [f"{report['n_train']:,} patches to learn from" if "n_train" in report else "", f"{report['n_test']:,} held out" if "n_test" in report else ""]
    parts += [str(report.get("split") or ""), f"largest class {written(report['chance'], 'percent')}" if report.get("chance") is not None else ""]
    note = " · ".join(part for part in parts if part)
    left_out = report.get("not_scored") or {}
    if left_out:
        note += "\nNot scored: " + "; ".join(f"{name} ({entry['why']})" for name, entry in left_out.items())
    return Table(("Features", f"kNN (k = {report.get('k', 20)})", "Linear probe"), tuple(rows), ("text", "percent", "percent"), note=note)


def baselines_table(report: Mapping[str, Any]) -> Table:
    """Return a table of rivals (`steps.table`): accuracies, with 95 % intervals and differences from the reference where they were repeated."""
    rows = report["rows"]
    repeated = any(row.get("oa_interval") for row in rows)
    columns, formats = ["Row", "OA", "AA", "κ"], ["text", "percent", "percent", "number"]
    if repeated:
        reference = row_of(report["reference"]).label
        columns = ["Row", "OA", "95 %", "AA", "95 %", "κ", "OA − reference", "95 %", "p"]
        formats = ["text", "percent", "text", "percent", "text", "number", "percent", "text", "number"]

    def cells(row: Mapping[str, Any]) -> tuple[Any, ...]:
        kappa, seconds = None if row["kappa"] is None else round(row["kappa"], 3), round(row["seconds"], 1)
        if not repeated:
            return row_of(row["key"]).label, row["oa"], row["aa"], kappa, seconds
        spans = [_span(row.get(f"{name}_interval")) for name in ("oa", "aa", "difference")]
        plain = (row_of(row["key"]).label, row["oa"], spans[0], row["aa"], spans[1], kappa)
        return *plain, row.get("difference"), spans[2], row.get("p"), seconds

    note = report.get("notes", "")
    if repeated:
        note = f"Reference: {reference}. {note}"
    return Table((*columns, "Seconds"), tuple(cells(row) for row in rows), (*formats, "number"), note=note)


def _span(interval: Sequence[float] | None) -> str | None:
    return None if interval is None else f"{100 * interval[0]:.1f} … {100 * interval[1]:.1f}"


def area_table(areas: Mapping[str, int], classes: Classes, confidence: float | None = None) -> Table:
    """Return the area of every class of a map, in pixels and as a share of what was classified."""
    total = sum(areas.values())
    colours = dict(zip(classes.names, classes.colours, strict=True))
    rows = tuple((name, pixels, pixels / total if total else None) for name, pixels in areas.items())
    note = f"{total:,} pixels classified" + (f" · mean confidence {100 * confidence:.1f} %" if confidence is not None else "")
    return Table(("Class", "Pixels", "Share"), rows, ("text", "count", "percent"), tuple(colours.get(name, "") for name in areas), note)


def class_table(report: Mapping[str, Any]) -> Table:
    """Return accuracy, precision and F1 of every class of a scored map."""
    per_class = report["per_class"]
    rows = tuple((row["name"], row["n"], row.get("accuracy"), row.get("precision"), row.get("f1")) for row in per_class.values())
    columns = ("Class", "Labelled pixels", "Accuracy", "Precision", "F1")
    return Table(columns, rows, ("text", "count", "percent", "percent", "percent"), note=score_words(report))


def confusion_csv(report: Mapping[str, Any]) -> str:
    """Return the confusion matrix as CSV: a row a true class, a column a class of the map."""
    rows = ([name, *row] for name, row in zip(report["names"], report["confusion"], strict=True))
    return files.csv_text([["true \\ map", *report["names"]], *rows])


def score_words(report: Mapping[str, Any]) -> str:
    """Return the figures of a scored map, one a line."""
    interval = report.get("oa_interval")
    spread = f"\n95 %: {100 * interval[0]:.1f}–{100 * interval[1]:.1f}" if interval else ""
    return (
        f"OA {100 * report['oa']:.1f} %{spread}\nAA {100 * report['aa']:.1f} %\nκ {report['kappa']:.3f}\n{report['n']:,} labelled pixels"
        + (f"\nECE {100 * report['ece']:.1f} %" if "ece" in report else "")
        + _leak_words(report)
    )  # fmt: skip


def _leak_words(report: Mapping[str, Any]) -> str:
    """Return how many of the scored pixels were trained on, what the others give, and how many of their windows hold training pixels."""
    audit, held = report.get("audit"), report.get("held_out")
    words = f"\ntrained on: {report['trained_on']:,}" if report.get("trained_on") else ""
    words += f"\nothers: OA {100 * held['oa']:.1f} %" if held else ""
    return words + (f"\nwindows with training\npixels: {100 * audit['centre_share']:.0f} %" if audit else "")


def plain_table(report: Mapping[str, Any]) -> Table:
    """Return any other report: a row a figure, nested ones with their path."""
    rows = tuple((_WORDS.get(name, name), written(value, "percent" if name.split(" ")[-1] in _FRACTIONS else "number")) for name, value in _flat(report))
    return Table(("Figure", "Value"), rows, ("text", "text"))


def _flat(report: Mapping[str, Any], path: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in report.items():
        where = f"{path} {name}".strip()
        if isinstance(value, Mapping):
            found += _flat(value, where)
        elif isinstance(value, bool) or not isinstance(value, list | tuple | int | float | str | None):
            found.append((where, str(value)))
        elif isinstance(value, list | tuple):
            found.append((where, ", ".join(written(item, "number") for item in value) if len(value) <= 12 else f"{len(value)} values"))
        else:
            found.append((where, value))
    return found
