"""The rivals on one split or on folds: the table, and how it is written."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from napari_hsi_ssl import files
from napari_hsi_ssl.config import TableConfig
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps.folds import Fold, fold_of, read_folds
from napari_hsi_ssl.steps.table import table

_COLUMNS: Final = (
    "key", "name", "oa", "oa_low", "oa_high", "aa", "aa_low", "aa_high", "kappa", "kappa_low", "kappa_high", "difference", "difference_low", "difference_high",
    "p", "aa_difference", "aa_difference_low", "aa_difference_high", "aa_p", "seconds", "folds", "seeds",
)  # fmt: skip


def baselines(
    project: Project,
    train: Mapping[str, Path] | None = None,
    test: Mapping[str, Path] | None = None,
    config: TableConfig | None = None,
    *,
    folds: Path | None = None,
    cube: str | None = None,
    only: Sequence[str] | None = None,
    run: str | None = None,
    out: Path | None = None,
) -> Steps[dict[str, Any]]:
    """Score rivals on one split, or on folds, and compare them.

    Parameters
    ----------
    train, test : mapping of cube name to label file, optional
        One split.
    config : TableConfig, optional
        The quick rows once by default.
    folds : Path, optional
        A folder of folds, instead of ``train`` and ``test`` (`steps.folds.read_folds`).
    cube, only
        Whose the folds are, and which of them.
    run : str, optional
        A finished pretraining run.
    out : Path, optional
        Where the table is written: ``.csv`` (fractions), ``.md``, or ``.json`` with every result by itself.

    Returns
    -------
    dict
        As `steps.table.table` returns it, without the single results, with ``notes`` (what must be known to read it) and ``table``: the same
        as text. ``cube`` names the only cube.

    Raises
    ------
    ConfigError
        When both or neither of a split and folds are given, or ``out`` ends otherwise.
    """
    if out is not None and out.suffix.lower() not in {".csv", ".md", ".json"}:
        raise ConfigError(f"{out.name} ends in '{out.suffix}', expected .csv, .md or .json for a table; choose another name.")
    if (folds is None) == (not train and not test):
        raise ConfigError("baselines need one split (--train and --test) or a folder of folds (--folds), not both; give one of them.")
    chosen: list[Fold] = [fold_of(project, train or {}, test or {})] if folds is None else read_folds(project, folds, cube, only)
    report = yield from table(project, chosen, config or TableConfig(), run)
    results = report.pop("results")
    report["notes"] = notes(report)
    report["table"] = markdown(report)
    if len(report["cubes"]) == 1:
        report = {"cube": report["cubes"][0], **report}
    if out is not None:
        content = {".csv": csv_text, ".md": markdown}.get(out.suffix.lower())
        if content is None:
            files.write_json(out, {**report, "results": results})
        else:
            files.write_bytes(out, content(report).encode())
        report["file"] = str(out)
    return report


def markdown(report: Mapping[str, Any]) -> str:
    """Return a table as text that is also Markdown: percent, with 95 % intervals and what each row lies above or below the reference."""
    rows = report["rows"]
    reference = report["reference"]
    repeated = any(row["oa_interval"] for row in rows)
    head = ["row", "OA", "AA", "κ", *([f"OA − {reference}", "p", f"AA − {reference}", "p"] if repeated else []), "seconds"]
    lines = [head]
    for row in rows:
        line = [row["name"], *(_percent(row, figure) for figure in ("oa", "aa")), f"{row['kappa']:.3f}" if row["kappa"] is not None else "–"]
        if repeated:
            line += [_difference(row, ""), _p(row["p"]), _difference(row, "aa_"), _p(row["aa_p"])]
        lines.append([*line, f"{row['seconds']:.1f}"])
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    padded = [[line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))] for line in lines]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    body = "\n".join(f"| {' | '.join(line)} |" for line in (padded[0], rule, *padded[1:]))
    return f"{body}\n\n{report['notes']}\n"


def notes(report: Mapping[str, Any]) -> str:
    """Return what must be known to read a table, in sentences."""
    position, audit, folds = report["position"], report["audit"], report["folds"]
    count = f"{len(folds)} folds" if len(folds) > 1 else "one split"
    words = [f"{count}, {report['n_train']:,} training and {report['n_test']:,} test pixels" + (" on the mean" if len(folds) > 1 else "") + "."]
    words.append(f"Position alone, without any spectrum: OA {100 * position['oa']:.1f} %, AA {100 * position['aa']:.1f} %.")
    words.append(f"{100 * audit['overlap_share']:.0f} % of the {audit['window']}×{audit['window']} test windows share a pixel with a training window.")
    if any(row["oa_interval"] for row in report["rows"]):
        how = "corrected resampled t-test over folds" if len(folds) > 1 else "t-test over seeds of this one split"
        words.append(f"In brackets 95 % intervals; differences by the {how}.")
    if report["not_scored"]:
        by_fold = {fold: ", ".join(f"{number} ({pixels})" for number, pixels in classes.items()) for fold, classes in report["not_scored"].items()}
        missing = "; ".join(f"{fold}: {classes}" for fold, classes in by_fold.items())
        words.append(f"Not scored, for without training pixels: classes (test pixels) {missing}.")
    return " ".join(words)


def csv_text(report: Mapping[str, Any]) -> str:
    """Return a table as CSV: fractions, intervals in two columns."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in report["rows"]:
        ends = {
            f"{name.removesuffix('_interval')}_{end}": value[place] if value else None
            for name, value in row.items()
            if name.endswith("_interval")
            for place, end in enumerate(("low", "high"))
        }
        writer.writerow({**row, **ends})
    return stream.getvalue()


def _percent(row: Mapping[str, Any], figure: str) -> str:
    interval = row[f"{figure}_interval"]
    return f"{100 * row[figure]:.1f}" + (f" ({100 * interval[0]:.1f} … {100 * interval[1]:.1f})" if interval else "")


def _difference(row: Mapping[str, Any], prefix: str) -> str:
    value, interval = row[f"{prefix}difference"], row[f"{prefix}difference_interval"]
    return "–" if value is None else f"{100 * value:+.1f} ({100 * interval[0]:+.1f} … {100 * interval[1]:+.1f})"


def _p(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}" if value >= 0.0005 else "< 0.001"
