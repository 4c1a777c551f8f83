"""Settings of the documentation site: `make docs` builds it into docs/_build/html."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from napari_hsi_ssl import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "napari-hsi-ssl"
copyright = "the napari-hsi-ssl developers"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "from_code", "mathml"]
exclude_patterns = ["_build", "_ext", "examples"]
nitpicky = True
nitpick_ignore_regex = [("py:class", r".*"), ("py:exc", r"torch\..*")]  # types in docstrings are words, such as "float array (n, d)", not classes

# Pages are plain Markdown that a forge shows as well; what only the site knows are directives between fences.
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
highlight_language = "none"

# Docstrings say shapes and units; annotations would say NDArray a hundred times.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "exclude-members": "model_config"}
default_role = "code"  # single backticks in docstrings name modules and settings
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_param = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Yields", "returns_style")]

html_theme = "pydata_sphinx_theme"
html_title = "napari-hsi-ssl"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "napari-hsi-ssl"},
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_prev_next": True,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {page: [] for page in ("start", "tutorial", "gallery")}
copybutton_exclude = ".linenos, .gp, .go"


def setup(app: Sphinx) -> None:
    """Lead links between the files at the top of the repository to the pages that include them."""

    def lead(_app: Sphinx, _path: Path, _page: str, text: list[str]) -> None:
        text[0] = text[0].replace("](CONTRIBUTING.md", "](contributing.md").replace("](CHANGELOG.md", "](changelog.md")

    app.connect("include-read", lead)
