"""One HTML page that holds everything it shows: text, tables, pictures and drawings, legible on a screen and in print.

Whatever comes from a file, above all the names of classes, is text here and never markup; the page forbids itself scripts and everything
from elsewhere.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_GREY = "#808080"
_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: #1b1f24; background: #fff; }
body { max-width: 1080px; margin: 24px auto; padding: 0 20px; }
h1 { font-size: 24px; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 30px 0 8px; border-bottom: 1px solid #c9ced4; padding-bottom: 3px; }
p { margin: 6px 0; max-width: 78ch; }
.quiet { color: #57606a; }
.verdict { border-left: 4px solid #9a5b00; background: #fff8ea; padding: 8px 12px; }
table { border-collapse: collapse; margin: 8px 0; font-size: 13.5px; }
th, td { padding: 3px 9px; border-bottom: 1px solid #d8dde2; text-align: left; }
th { font-weight: 600; vertical-align: bottom; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
td.n { white-space: nowrap; }
td.long { overflow-wrap: anywhere; max-width: 62ch; font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 12.5px; }
.scroll { overflow-x: auto; }
.swatch { display: inline-block; width: 12px; height: 12px; border: 1px solid #57606a; margin-right: 7px; vertical-align: -1px; }
.row { display: flex; flex-wrap: wrap; gap: 16px; align-items: flex-start; }
.row figure { flex: 1 1 200px; max-width: 420px; }
figure { margin: 8px 0; }
figcaption { font-size: 13px; color: #57606a; }
img { max-width: 100%; image-rendering: pixelated; border: 1px solid #c9ced4; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f5f7f9; padding: 8px; }
.figures { display: flex; flex-wrap: wrap; gap: 10px 34px; margin: 10px 0; }
.figures div { line-height: 1.2; color: #57606a; }
.figures b { display: block; font-size: 24px; color: #1b1f24; }
@media print {
  @page { margin: 14mm; }
  body { margin: 0; padding: 0; max-width: none; font-size: 10.5pt; }
  h2 { break-after: avoid; }
  figure, .row, .figures, tr { break-inside: avoid; }
  .scroll { overflow: visible; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
"""


@dataclass
class Page:
    """A page that grows from top to bottom.

    Attributes
    ----------
    title : str
    parts : list of str
        HTML.
    """

    title: str
    parts: list[str] = field(default_factory=list)

    def add(self, *parts: str) -> None:
        """Append HTML that the functions here have made; empty parts are left out."""
        self.parts += [part for part in parts if part]

    def text(self) -> str:
        """Return the whole page."""
        policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
        head = (
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{safe(self.title)}</title>",
            f"<style>{_STYLE}</style>",
        )
        body = (f"<h1>{safe(self.title)}</h1>", *self.parts)
        return "\n".join(("<!doctype html>", '<html lang="en">', "<head>", *head, "</head>", "<body>", *body, "</body>", "</html>", ""))


def safe(value: object) -> str:
    """Return a value as text that no browser takes for markup."""
    return html.escape(str(value), quote=True)


def safe_colour(colour: str) -> str:
    """Return a colour ``#rrggbb``; grey for anything else, which might be more than a colour."""
    return colour if _COLOUR.fullmatch(colour) else _GREY


def heading(text: str) -> str:
    """Return the heading of a section."""
    return f"<h2>{safe(text)}</h2>"


def paragraph(text: str, look: str = "") -> str:
    """Return a paragraph, of a class of the page's style; nothing without text."""
    return f"<p{_class(look)}>{safe(text)}</p>" if text else ""


def figures(named: Mapping[str, str]) -> str:
    """Return a few figures that everybody looks for, by name."""
    return '<div class="figures">' + "".join(f"<div><b>{safe(value)}</b>{safe(name)}</div>" for name, value in named.items()) + "</div>"


def swatch(colour: str) -> str:
    """Return a small square of one colour."""
    return f'<span class="swatch" style="background:{safe_colour(colour)}"></span>'


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, text: int = 1, colours: Sequence[str] = ()) -> str:
    """Return a table of texts, the first ``text`` columns aligned left, the others as numbers; ``colours`` go before the rows."""
    head = "".join(f"<th{_class('' if place < text else 'n')}>{safe(name)}</th>" for place, name in enumerate(columns))
    body = []
    for number, row in enumerate(rows):
        cells = [f"<td{_class('' if place < text else 'n')}>{safe(cell)}</td>" for place, cell in enumerate(row)]
        if colours:
            cells[0] = f"<td>{swatch(colours[number])}{safe(row[0])}</td>"
        body.append(f"<tr>{''.join(cells)}</tr>")
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def pairs(rows: Sequence[tuple[str, str]]) -> str:
    """Return names beside long values."""
    body = "".join(f'<tr><th>{safe(name)}</th><td class="long">{safe(value)}</td></tr>' for name, value in rows)
    return f"<table><tbody>{body}</tbody></table>"


def code(text: str) -> str:
    """Return text to be copied."""
    return f"<pre>{safe(text)}</pre>"


def picture(png: bytes, words: str) -> str:
    """Return a picture, held by the page itself, with words below."""
    data = base64.b64encode(png).decode()
    return f'<figure><img alt="{safe(words)}" src="data:image/png;base64,{data}"><figcaption>{safe(words)}</figcaption></figure>'


def drawing(svg: str, words: str) -> str:
    """Return a drawing of `explore.charts` with words below."""
    return f"<figure>{svg}<figcaption>{safe(words)}</figcaption></figure>"


def beside(*parts: str) -> str:
    """Return parts side by side where there is room."""
    return f'<div class="row">{"".join(part for part in parts if part)}</div>'


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""
