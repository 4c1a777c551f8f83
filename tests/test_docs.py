"""The documentation: links lead somewhere, commands and imports exist, settings are explained, and the site builds."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pkgutil
import re
from pathlib import Path

import pytest

import napari_hsi_ssl
from napari_hsi_ssl import config, steps
from napari_hsi_ssl.config import Settings
from tests.conftest import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", REPOSITORY / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
PAGES = [path for path in PAGES if "_build" not in path.parts]
NAMES = [path.relative_to(REPOSITORY).as_posix() for path in PAGES]
FENCED = re.compile(r"^( *)(`{3,})(.*?)\n(.*?)^\1\2 *$", re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    """Return a page without what stands between fences and backticks, where a bracket is no link."""
    return re.sub(r"`[^`\n]+`", "", FENCED.sub("", text))


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as forges and the site make them of their words."""
    found = set()
    for heading in re.findall(r"^#{1,4} +(.+?) *$", FENCED.sub("", path.read_text()), re.MULTILINE):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-"))
    return found


def generated_anchors(path: Path) -> set[str]:
    """Return the anchors of headings that the site makes from the code: one for each verb."""
    return verbs().keys() if "{commands}" in path.read_text() else set()


def verbs() -> dict:
    """Return the verbs of the command line by name."""
    from typer.main import get_command

    from napari_hsi_ssl.cli import app

    return get_command(app).commands


@pytest.mark.parametrize("page", NAMES)
def test_links_lead_to_a_page_and_to_a_heading_that_is_there(page):
    """A link to a page, a picture or a heading that is not there leaves its reader where they were."""
    path = REPOSITORY / page
    included = "{include}" in path.read_text()  # its links are those of the file that it shows
    for target in [] if included else re.findall(r"\]\((?!https?://|mailto:)([^)\s]+)\)", prose(path.read_text())):
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        assert there.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(there) | generated_anchors(there), f"{page}: {target} names no heading of {there.name}: {sorted(anchors(there))}"


def test_every_page_of_the_site_is_reached_from_the_front_page():
    """A page that no table of contents lists is never found."""
    reached, waiting = set(), [DOCS / "index.md"]
    while waiting:
        path = waiting.pop()
        reached.add(path)
        for block in re.findall(r"```\{toctree\}\n(.*?)```", path.read_text(), re.DOTALL):
            entries = [re.sub(r".*<(.*)>$", r"\1", line.strip()) for line in block.splitlines() if line.strip() and not line.startswith(":")]
            for entry in entries:
                pages = [page.resolve() for page in path.parent.glob(f"{entry}.md")]
                assert pages, f"{path.name}: {entry}"
                waiting += [page for page in pages if page not in reached]
    assert reached == set(DOCS.rglob("*.md")) - set((DOCS / "_build").rglob("*.md"))


def commands(path: Path) -> list[list[str]]:
    """Return the words of every command of the program that a page shows."""
    lines = [line.split("#")[0].strip() for line in path.read_text().splitlines()]
    found = [line.split()[1:] for line in lines if re.match(r"(\S*/)?napari-hsi-ssl [a-z]", line)]
    found += [words.split() for words in re.findall(r"`(?:\S*/)?napari-hsi-ssl ([a-z][^`]*)`", path.read_text())]
    table = lines.index("| verb | does |") if "| verb | does |" in lines else len(lines)
    rows = lines[table : lines.index("", table)] if table < len(lines) else []
    rows = [re.match(r"\| `([a-z]+)(.*)\|", line) for line in rows]
    return found + [[row[1], *re.findall(r"--[a-z-]+", row[2])] for row in rows if row]


@pytest.mark.parametrize("page", [name for name, path in zip(NAMES, PAGES, strict=True) if commands(path)])
def test_the_commands_in_the_pages_exist(page):
    """A page that names a verb or an option the program does not know sends its reader into an error."""
    known = verbs()
    for words in commands(REPOSITORY / page):
        assert words[0] in known, f"{page}: unknown verb in {' '.join(words)}"
        options = {name for parameter in known[words[0]].params for name in (*parameter.opts, *parameter.secondary_opts)}
        for word in words[1:]:
            if word.startswith("--"):
                assert word.partition("=")[0] in options, f"{page}: {words[0]} has no option {word}"


def test_every_verb_and_every_option_says_what_it_is():
    """The reference of the commands is made of these words alone."""
    for name, verb in verbs().items():
        assert verb.help, name
        silent = [parameter.opts for parameter in verb.params if parameter.param_type_name == "option" and not parameter.help]
        assert not silent, f"{name}: {silent}"


def python_blocks() -> list[tuple[str, str]]:
    """Return page and code of every block of Python in the pages."""
    return [(name, block[3]) for name, path in zip(NAMES, PAGES, strict=True) for block in FENCED.findall(path.read_text()) if block[2] == "python"]


@pytest.mark.parametrize(("page", "code"), python_blocks())
def test_python_in_the_pages_runs(page, code):
    """Imports that have moved and names that are gone; what takes long stands in functions that are not called here."""
    exec(compile(code, page, "exec"), {"__name__": page})  # the pages are ours


def test_there_is_python_in_the_pages():
    assert python_blocks(), "else the test above has looked at nothing"


def classes_of_settings() -> list[type[Settings]]:
    """Return every settings class that the package names."""
    return [
        found for found in vars(config).values() if isinstance(found, type) and issubclass(found, Settings) and found not in {Settings, config.TrainerConfig}
    ]


@pytest.mark.parametrize("model", classes_of_settings(), ids=lambda model: model.__name__)
def test_every_setting_is_described_and_in_the_reference(model):
    """Tables of the documentation and tooltips of the window take their words from here."""
    assert not [name for name, field in model.model_fields.items() if not field.description]
    assert f"```{{settings}} {model.__name__}\n" in (DOCS / "reference" / "settings.md").read_text()


def test_the_reference_lists_every_public_name_and_every_verb_of_the_steps():
    pages = "\n".join(path.read_text() for path in (DOCS / "reference").rglob("*.md"))
    documented = set(re.findall(r"auto(?:function|class|exception|module):: ([\w.]+)", pages))
    names = set(napari_hsi_ssl.__all__) - {"__version__"}
    assert names <= documented
    for module in sorted(name for name in documented if name.startswith("napari_hsi_ssl.")):
        parent, _, last = module.rpartition(".")
        assert importlib.util.find_spec(module) if last.islower() else getattr(importlib.import_module(parent), last), module
    asked = {match for path in (REPOSITORY / "napari_hsi_ssl" / "cli").glob("*.py") for match in re.findall(r"napari_hsi_ssl\.steps\.(\w+)", path.read_text())}
    asked &= {module.name for module in pkgutil.iter_modules(steps.__path__)}
    missing = {name for name in asked if f"napari_hsi_ssl.steps.{name}" not in documented}
    assert not missing, "steps that the command line calls"


def test_the_gallery_shows_every_example_and_its_picture():
    page = (DOCS / "gallery.md").read_text()
    for path in sorted((DOCS / "examples").glob("*.py")):
        assert f"{{literalinclude}} examples/{path.name}" in page, path.name
        assert ast.get_docstring(ast.parse(path.read_text())) or "# %% [markdown]" in path.read_text(), f"{path.name} does not say what it is"
    for picture in (DOCS / "images" / "gallery").glob("*.png"):
        assert f"images/gallery/{picture.name}" in page, picture.name
        assert picture.stat().st_size <= 60_000, f"{picture.name} is too large for a page"


@pytest.fixture
def from_code(monkeypatch):
    """The site's extension that reads tables from the code."""
    pytest.importorskip("sphinx", reason="Sphinx is not installed; `make docs` installs it")
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    return importlib.import_module("from_code")


def test_tables_of_settings_hold_every_field_with_its_default(from_code):
    rows = from_code.settings_table("PcaConfig").splitlines()[2:]
    assert len(rows) == len(config.PcaConfig.model_fields)
    assert "| `components` | `30` | whole number, ≥ 1 | how many are kept |" in rows
    assert any(row.startswith("| `method` | `pca` | `pca` `mnf` |") for row in rows)


def test_sections_of_commands_hold_every_verb_and_option(from_code):
    text = from_code.command_sections()
    for name, verb in verbs().items():
        section = text.partition(f"## `{name}`\n")[2].partition("\n## ")[0]
        for parameter in verb.params:
            if parameter.param_type_name == "option" and not {"--json", "--debug", "--help"} & set(parameter.opts):
                assert all(f"`{option}" in section for option in (*parameter.opts, *parameter.secondary_opts)), f"{name}: {parameter.opts}"


def test_formulas_can_be_drawn():
    """The site draws them without a script; a sign that the converter does not know would break it."""
    converter = pytest.importorskip("docutils.utils.math.latex2mathml", reason="docutils is not installed; `make docs` installs it")
    formulas = [formula for path in PAGES for formula in re.findall(r"^\$\$\n(.*?)^\$\$$", path.read_text(), re.MULTILINE | re.DOTALL)]
    assert len(formulas) > 10
    for formula in formulas:
        assert "<math" in converter.tex2mathml(formula, as_block=True)
