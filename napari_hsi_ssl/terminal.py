"""How a verb runs on a terminal: it draws its progress, prints its report, and turns errors into exit codes.

With ``--json`` the last line of standard output is one JSON object; everything else goes to standard error.
Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import functools
import inspect
import json
import logging
import warnings
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from typer.core import TyperGroup

from napari_hsi_ssl import files
from napari_hsi_ssl.errors import CancelledError, ChoiceError, HsiError
from napari_hsi_ssl.progress import Progress, Steps, run

Report = dict[str, Any]


class _Verbs(TyperGroup):
    """The verbs; with ``--json`` wrong usage, too, ends in a JSON object."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - click's context, or typer's copy of it, by version
        ctx.meta["json"] = "--json" in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - as above
        try:
            return super().invoke(ctx)
        except Exception as error:
            if ctx.meta["json"] and hasattr(error, "format_message"):
                typer.echo(json.dumps({"error": error.format_message()}))
            raise


app = typer.Typer(
    cls=_Verbs,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From raw hyperspectral cubes to trusted classification maps, training the model on the way.",
)
_errors = Console(stderr=True, highlight=False, soft_wrap=True)
logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong with a file is told in one sentence


def verb(function: Callable[..., Report | Steps[Report]]) -> Callable[..., None]:
    """Register a command that runs a step, draws its progress, prints its report, and turns errors into exit codes."""

    @functools.wraps(function)
    def command(*args: object, as_json: bool = False, debug: bool = False, **options: object) -> None:
        warnings.showwarning = lambda message, *_, **__: _errors.print(f"warning: {_shown(message)}", style="yellow", markup=False)
        try:
            report = function(*args, **options)
            if not isinstance(report, dict):
                report = watch(report)
        except typer.BadParameter:
            raise
        except KeyboardInterrupt as interrupt:
            message = str(interrupt) or "interrupted; what was finished is safe on disk."
            _errors.print(message, markup=False)
            if as_json:
                typer.echo(json.dumps({"error": message}))
            raise typer.Exit(130) from None
        except Exception as error:  # noqa: BLE001 - the last resort: one sentence for the user, the traceback with --debug
            _fail(error, as_json=as_json, debug=debug)
        try:
            if as_json:
                typer.echo(json.dumps(files.plain(report), allow_nan=False))
            else:
                _print(files.plain(report))
        except BrokenPipeError:
            raise
        except OSError as error:
            _errors.print(f"error: the report cannot be written to standard output ({error.strerror}); what it tells of is done.", style="red", markup=False)
            raise typer.Exit(1) from None

    signature = inspect.signature(function, eval_str=True)
    extra = {
        "as_json": (bool, typer.Option("--json", help="one JSON object on the last line of standard output")),
        "debug": (bool, typer.Option("--debug", help="show where an error came from")),
    }
    parameters = [
        *signature.parameters.values(),
        *(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[kind, option]) for name, (kind, option) in extra.items()),
    ]
    command.__signature__ = signature.replace(parameters=parameters, return_annotation=None)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    app.command(function.__name__)(command)
    return command


def watch(steps: Steps[Report]) -> Report:
    """Run a step to its end and draw its progress."""
    columns = TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn()
    # In a file a bar leaves an empty line beside the one sentence of an error.
    bars = Bars(*columns, console=_errors, transient=True, disable=not _errors.is_terminal)
    with bars:
        task = bars.add_task("", total=None)

        def draw(progress: Progress) -> None:
            if progress.warning:
                _errors.print(f"warning: {_shown(progress.message)}", style="yellow", markup=False)
            elif progress.data.get("type") == "audit":
                _errors.print(_shown(progress.message), markup=False)
            else:
                bars.update(task, completed=progress.done, total=progress.total or None, description=_shown(progress.message))

        return run(steps, draw)


def _fail(error: Exception, *, as_json: bool, debug: bool) -> NoReturn:
    if debug:
        raise error
    message = str(error)
    if isinstance(error, MemoryError):
        message = "there is not enough memory for this; use a smaller crop, batch or window."
    elif isinstance(error, OSError):
        message = f"{error.filename or 'a file'} cannot be read or written ({error.strerror or error}); permit it, or free space, then try again."
    elif not isinstance(error, HsiError):
        message = f"unexpected {type(error).__name__} ({message}); this is a fault of the program: please report it with what --debug shows."
    _errors.print(f"error: {_shown(message)}", style="red", markup=False)
    if as_json:
        report: Report = {"error": message}
        if isinstance(error, ChoiceError):
            report["candidates"] = list(error.candidates)
        typer.echo(json.dumps(report))
    raise typer.Exit(130 if isinstance(error, CancelledError) else 1)


def _shown(text: object) -> str:
    """Return a text for a terminal: names come from files, and what controls a terminal is no part of a name."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else "\N{REPLACEMENT CHARACTER}" for sign in str(text))


def _print(report: object, indent: str = "") -> None:
    if not isinstance(report, dict):
        typer.echo(_shown(f"{indent}{report}"))
        return
    for key, value in report.items():
        if key in {"rows", "notes"} and "table" in report:
            continue  # the table says the same, to be read
        if key == "table":
            typer.echo(_shown(f"\n{value}"))
        elif isinstance(value, dict) and value:
            typer.echo(_shown(f"{indent}{key}:"))
            _print(value, indent + "  ")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            typer.echo(f"{indent}{key}:")
            for item in value:
                typer.echo(_shown(indent + "  " + "  ".join(f"{name}={_short(part)}" for name, part in item.items())))
        else:
            typer.echo(_shown(f"{indent}{key}: {_short(value)}"))


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list) and len(value) > 12:
        return f"[{', '.join(_short(item) for item in value[:6])}, … {len(value)} values]"
    if isinstance(value, list):
        return f"[{', '.join(_short(item) for item in value)}]"
    return str(value)
