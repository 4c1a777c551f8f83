"""Formulas as MathML, written while the site is built: browsers draw it themselves, without a script and without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator


def _visit(translator: HTML5Translator, node: nodes.Element, *, block: bool) -> None:
    markup = tex2mathml(node.astext(), as_block=block)
    translator.body.append(f'<div class="formula">{markup}</div>' if block else markup)
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer under the name ``mathml``."""
    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(lambda translator, node: _visit(translator, node, block=False), None),
        block_renderers=(lambda translator, node: _visit(translator, node, block=True), None),
    )
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True}
