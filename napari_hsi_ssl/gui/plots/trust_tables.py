"""How far maps agree and what they cover, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_hsi_ssl.gui.plots.tables import Table, written

_PAIRS = 12


def agreement_table(report: Mapping[str, Any]) -> Table:
    """Return the report of `steps.judge.compare`: a row a class, then a row a pair of classes on which the maps differ, the most frequent first."""
    rows: list[tuple[Any, ...]] = [(row["name"], row["first"], row["second"], row["both"], row["overlap"]) for row in report["per_class"]]
    rows += [(f"differ: {row['first']} → {row['second']}", None, None, row["pixels"], None) for row in report["differences"][:_PAIRS]]
    note = f"The maps agree on {written(report['agreement'], 'percent')} of {report['n']:,} pixels (κ {report['kappa']:.3f})."
    test, gain = report.get("mcnemar"), report.get("difference")
    if test and gain:
        note += (
            f"\nOn {test['n']:,} labelled pixels: {written(gain['first'], 'percent')} and {written(gain['second'], 'percent')}, "
            f"difference {100 * gain['difference']:+.1f} points{_interval(gain)}. McNemar p = {test['p']:.2g}.\n{report['note']}"
        )
    return Table(("Class", "First map", "Second map", "Both", "Overlap"), tuple(rows), ("text", "count", "count", "count", "percent"), note=note)


def _interval(gain: Mapping[str, Any]) -> str:
    if gain["low"] is None:
        return f" (labels in {gain['blocks']} blocks of {gain['block']} pixels: too few for an interval)"
    return f" (95 %: {100 * gain['low']:+.1f} to {100 * gain['high']:+.1f}, {gain['blocks']} blocks of {gain['block']} pixels)"


def areas_table(report: Mapping[str, Any]) -> Table:
    """Return the report of `steps.areas.areas`: a row a class, mapped and error-adjusted area with half its 95 % interval."""
    unit = report["unit"]
    rows = tuple(
        (row["name"], row["labels"], row["mapped_area"], row["area"], row["area_error"], row["share"], row["user"], row["producer"]) for row in report["rows"]
    )
    columns = ("Class", "Labels", f"Mapped, {unit}", "Adjusted", "± 95 %", "Share", "User's", "Producer's")
    judged = f"Labels judge {written(report['judged_share'], 'percent')} of the map. " if report["judged_share"] < 1 else ""
    overall = f"{written(report['overall'], 'percent')} ± {100 * report['overall_error']:.1f}"
    note = f"User's and producer's accuracy by area; over all of it {overall}. {judged}{report['note']}"
    how = "count" if unit == "pixels" else "number"
    return Table(columns, rows, ("text", "count", how, how, how, "percent", "percent", "percent"), note=note)
