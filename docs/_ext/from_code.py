"""Tables that are read from the code while the site is built: settings with their defaults, verbs with their options.

Between fences in a page, ``{settings} PcaConfig`` is a table of the fields of a settings class, ``{commands}`` a section for each verb of the
command line.
"""

from __future__ import annotations

from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args, get_origin

from sphinx.util.docutils import SphinxDirective
from typer.main import get_command

from napari_hsi_ssl import config
from napari_hsi_ssl.cli import app as command_line
from napari_hsi_ssl.config import Settings

if TYPE_CHECKING:
    from docutils.nodes import Node
    from pydantic.fields import FieldInfo
    from sphinx.application import Sphinx


def settings_table(name: str) -> str:
    """Return the fields of a settings class as a Markdown table."""
    model: type[Settings] = getattr(config, name)
    lines = ["| setting | default | values | is |", "| --- | --- | --- | --- |"]
    for field, info in model.model_fields.items():
        lines.append(f"| `{field}` | {_default(info)} | {_values(info)} | {_cell(info.description or '')} |")
    return "\n".join(lines)


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "needed"
    value = info.default
    if isinstance(value, Settings):
        return "see there"
    if value is None or value == ():
        return "–"
    return f"`{'yes' if value is True else 'no' if value is False else ', '.join(map(str, value)) if isinstance(value, tuple) else value}`"


def _values(info: FieldInfo) -> str:
    kinds = [_kind(kind) for kind in (get_args(info.annotation) if isinstance(info.annotation, UnionType) else (info.annotation,)) if kind is not NoneType]
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    limits = [f"{sign} {getattr(rule, name):g}" for rule in info.metadata for name, sign in signs.items() if hasattr(rule, name)]
    return ", ".join([*kinds, *limits])


def _kind(kind: Any) -> str:  # noqa: ANN401 - any annotation of a field
    if get_origin(kind) is Literal:
        return " ".join(f"`{value}`" for value in get_args(kind))
    if get_origin(kind) is tuple:
        first, *rest = get_args(kind)
        if rest != [...]:
            return f"({', '.join(_kind(part) for part in (first, *rest))})"
        return f"{_kind(first)}s" if first in {int, float, str} else f"any number of {_kind(first)}"
    if isinstance(kind, type) and issubclass(kind, Settings):
        return f"settings {kind.__name__}"
    return {bool: "yes or no", int: "whole number", float: "number", str: "text"}.get(kind, "values")


def command_sections(depth: int = 2) -> str:
    """Return a section of Markdown for each verb of the command line."""
    return "\n\n".join(f"{'#' * depth} `{name}`\n\n{_verb(name, verb)}" for name, verb in get_command(command_line).commands.items())


def _verb(name: str, verb: Any) -> str:  # noqa: ANN401 - click's command, or typer's copy of it, by version
    arguments = [parameter for parameter in verb.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in verb.params if parameter.param_type_name == "option" and parameter.name not in {"as_json", "debug", "help"}]
    words = [_metavar(argument) if argument.required else f"[{_metavar(argument)}]" for argument in arguments]
    parts = [_text(verb.help), f"```bash\nnapari-hsi-ssl {' '.join([name, *words, *(['[OPTIONS]'] if options else [])])}\n```"]
    rows = [f"| `{_metavar(each)}` |  | {_cell(each.help or '')} |" for each in arguments]
    rows += [f"| {_names(each)} | {_standard(each)} | {_cell(each.help or '')}{' (needed)' if each.required else ''} |" for each in options]
    if rows:
        parts.append("\n".join(["| argument or option | default | is |", "| --- | --- | --- |", *rows]))
    return "\n\n".join(parts)


def _metavar(parameter: Any) -> str:  # noqa: ANN401 - as above
    return f"{parameter.name.upper()} …" if parameter.nargs == -1 else str(parameter.metavar or parameter.name.upper())


def _names(option: Any) -> str:  # noqa: ANN401 - as above
    value = "" if option.is_flag else f" {option.metavar or 'VALUE'}"
    return " ".join(f"`{name}{value}`".replace("|", "\\|") for name in (*option.opts, *option.secondary_opts))


def _standard(option: Any) -> str:  # noqa: ANN401 - as above
    value = option.default
    if value is None or value == [] or value is False:
        return ""
    return "yes" if value is True else f"`{value}`"


def _text(words: str | None) -> str:
    return " ".join((words or "").split())


def _cell(words: str) -> str:
    return _text(words).replace("|", "\\|").replace("<", "\\<").replace("*", "\\*").replace("_", "\\_")


class SettingsTable(SphinxDirective):
    """The fields of one settings class."""

    required_arguments: ClassVar = 1

    def run(self) -> list[Node]:
        """Parse the table as if it stood in the page."""
        return self.parse_text_to_nodes(settings_table(self.arguments[0]))


class CommandSections(SphinxDirective):
    """Every verb of the command line."""

    def run(self) -> list[Node]:
        """Parse the sections as if they stood in the page."""
        return self.parse_text_to_nodes(command_sections(), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register both directives."""
    app.add_directive("settings", SettingsTable)
    app.add_directive("commands", CommandSections)
    return {"parallel_read_safe": True}
