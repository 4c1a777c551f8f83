"""What the options of several verbs have in common, and how their texts become values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

ProjectFolder = Annotated[Path, typer.Argument(metavar="PROJECT", help="the project folder")]
CubeName = Annotated[str | None, typer.Option("--cube", help="a cube's name")]
Pairs = Annotated[list[str] | None, typer.Option(metavar="CUBE=LABELS", help="a cube's name and its label file; may be repeated")]
RunName = Annotated[str | None, typer.Option("--run", help="a run's name")]
Epochs = Annotated[int | None, typer.Option(help="passes over the training data")]
BatchSize = Annotated[int | None, typer.Option(help="over all devices")]
Seed = Annotated[int | None, typer.Option(help="every random draw follows from it")]
Devices = Annotated[str | None, typer.Option(help="a number, or auto")]
Precision = Annotated[str | None, typer.Option(help="auto, 32, 16 or bf16")]
Resume = Annotated[bool, typer.Option("--resume", help="go on from the last checkpoint")]
Detach = Annotated[bool, typer.Option("--detach", help="return once the trainer has started")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="the config.json of a run: starts it again")]


def numbers(text: str | None, count: int, option: str) -> tuple[int, ...] | None:
    """Return whole numbers separated by commas."""
    if text is None:
        return None
    try:
        values = tuple(int(part) for part in text.replace("x", ",").split(","))
    except ValueError as error:
        raise typer.BadParameter(f"'{text}' is not {count} whole numbers separated by commas", param_hint=option) from error
    if len(values) != count:
        raise typer.BadParameter(f"'{text}' holds {len(values)} numbers, expected {count}", param_hint=option)
    return values


def pairs(texts: list[str] | None, option: str) -> dict[str, Path]:
    """Return the files of ``CUBE=LABELS`` texts by cube."""
    pairs = {}
    for text in texts or []:
        cube, sign, path = text.partition("=")
        if not (cube and sign and path):
            raise typer.BadParameter(f"'{text}' is not of the form CUBE=LABELS", param_hint=option)
        pairs[cube] = Path(path)
    return pairs


def options_given(**options: object) -> dict[str, Any]:
    """Return the options that were given."""
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if isinstance(given.get("devices"), str) and given["devices"].isdigit():
        given["devices"] = int(given["devices"])
    return given


def axis_order(text: str) -> str:
    """Return C or F."""
    if text not in {"C", "F"}:
        raise typer.BadParameter(f"'{text}' is not C or F", param_hint="--order")
    return text
