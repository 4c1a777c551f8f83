"""Drawings as inline SVG: bars of every class, a confusion matrix, confidence against accuracy. No script, no font, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from napari_hsi_ssl.explore.page import safe

FIGURES = {"accuracy": ("Recall", "#0072b2"), "precision": ("Precision", "#e69f00"), "f1": ("F1", "#6b7280")}
"""What is drawn of every class: name and colour."""
_BAR, _ROW, _NAMES, _WIDE, _TOP = 8, 32, 190, 420, 26
_CELL, _LEAST_CELL = 46, 24
_SIDE, _EDGE = 300, 44
_INK, _FAINT, _BLUE = "#1b1f24", "#d0d7de", (0, 114, 178)


def class_bars(classes: Sequence[Mapping[str, Any]]) -> str:
    """Return bars of recall, precision and F1 (fractions; None where there is none) of classes, each with its ``name``."""
    height = _TOP + _ROW * len(classes) + 24
    parts = [_grid(height)]
    for number, row in enumerate(classes):
        top = _TOP + _ROW * number + 3
        parts.append(_text(_NAMES - 8, top + 13, _short(str(row["name"]), 26), "end"))
        for place, (key, (name, colour)) in enumerate(FIGURES.items()):
            share = row.get(key)
            if share is not None:
                words = f"{row['name']}: {name} {share:.1%}"
                box = f'x="{_NAMES}" y="{top + _BAR * place + 1:g}" width="{_WIDE * share:.1f}" height="{_BAR - 1}" fill="{colour}"'
                parts.append(f"<rect {box}><title>{safe(words)}</title></rect>")
    for place, (name, colour) in enumerate(FIGURES.values()):
        left = _NAMES + 110 * place
        parts.append(f'<rect x="{left}" y="4" width="12" height="12" fill="{colour}"/>' + _text(left + 18, 14, name))
    return _svg(_NAMES + _WIDE + 40, height, parts, "Recall, precision and F1 of every class")


def _grid(height: int) -> str:
    lines = []
    for percent in (0, 25, 50, 75, 100):
        x = _NAMES + _WIDE * percent / 100
        lines.append(f'<line x1="{x:g}" y1="{_TOP}" x2="{x:g}" y2="{height - 22}" stroke="{_FAINT}"/>' + _text(x, height - 6, f"{percent} %", "middle"))
    return "".join(lines)


def confusion_matrix(names: Sequence[str], counts: Sequence[Sequence[int]], *, shares: bool) -> str:
    """Return a confusion matrix, true classes in rows: counts, or with ``shares`` percent of each row; shaded by share either way."""
    cell = max(_LEAST_CELL, min(_CELL, 700 // max(1, len(names))))
    left, top = _NAMES, 30
    parts = [_text(left + cell * len(names) / 2, 12, "Class in the map", "middle")]
    for row, (name, line) in enumerate(zip(names, counts, strict=True)):
        total = max(1, sum(line))
        parts.append(_text(left - 8, top + cell * row + cell / 2 + 4, f"{_short(name, 22)}  {row + 1}", "end"))
        parts.append(_text(left + cell * row + cell / 2, top - 5, str(row + 1), "middle"))
        for column, count in enumerate(line):
            share = count / total
            fill = "#{:02x}{:02x}{:02x}".format(*(round(255 + (channel - 255) * share**0.6) for channel in _BLUE))
            where = f'x="{left + cell * column}" y="{top + cell * row}" width="{cell}" height="{cell}"'
            words = safe(f"{name} mapped as {names[column]}: {count:,} of {total:,} ({share:.1%})")
            parts.append(f'<rect {where} fill="{fill}" stroke="#ffffff"><title>{words}</title></rect>')
            if count:
                said = f"{100 * share:.0f}" if shares else _brief(count)
                ink = "#ffffff" if share > 0.5 else _INK
                parts.append(_text(left + cell * column + cell / 2, top + cell * row + cell / 2 + 4, said, "middle", ink, 11 if cell >= 32 else 9))
    side = cell * len(names)
    return _svg(left + side + 12, top + side + 8, parts, "Confusion matrix")


def _brief(count: int) -> str:
    return str(count) if count < 10_000 else f"{count / 1000:.0f}k"


def reliability_chart(bins: Sequence[Mapping[str, Any]]) -> str:
    """Return accuracy against confidence of bins (``n``, ``confidence``, ``accuracy``): on the diagonal a confidence can be taken at its word."""
    size = _SIDE + _EDGE + 16
    parts = [f'<rect x="{_EDGE}" y="8" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="{_FAINT}"/>']
    parts.append(f'<line x1="{_EDGE}" y1="{8 + _SIDE}" x2="{_EDGE + _SIDE}" y2="8" stroke="#8b949e" stroke-dasharray="5 4"/>')
    for percent in (0, 50, 100):
        at = _SIDE * percent / 100
        parts += [_text(_EDGE + at, 8 + _SIDE + 16, f"{percent}", "middle"), _text(_EDGE - 6, 8 + _SIDE - at + 4, f"{percent}", "end")]
    parts.append(_text(_EDGE + _SIDE / 2, size + 6, "Confidence (%)", "middle"))
    parts.append(f'<g transform="rotate(-90 12 {8 + _SIDE / 2})">' + _text(12, 8 + _SIDE / 2, "Accuracy (%)", "middle") + "</g>")
    most = max((row["n"] for row in bins), default=1)
    places = [(_EDGE + _SIDE * row["confidence"], 8 + _SIDE * (1 - row["accuracy"]), row) for row in bins]
    parts.append(f'<polyline fill="none" stroke="#0072b2" stroke-width="2" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)}"/>')
    for x, y, row in places:
        words = safe(f"{row['n']:,} pixels: confidence {row['confidence']:.1%}, accuracy {row['accuracy']:.1%}")
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{3 + 4 * (row["n"] / most) ** 0.5:.1f}" fill="#0072b2"><title>{words}</title></circle>')
    return _svg(size, size + 14, parts, "Confidence against accuracy")


def _svg(width: float, height: float, parts: Sequence[str], words: str) -> str:
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    look = 'font-family="system-ui, DejaVu Sans, sans-serif" style="max-width:100%;height:auto"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{safe(words)}" {look}>{"".join(parts)}</svg>'


def _text(x: float, y: float, text: str, anchor: str = "start", ink: str = _INK, size: int = 12) -> str:
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{ink}" text-anchor="{anchor}">{safe(text)}</text>'


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
