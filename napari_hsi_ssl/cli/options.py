"""What the options of several verbs have in common, and how their texts become values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, overload

import typer

from napari_hsi_ssl.config import AugmentConfig, SlurmConfig

if TYPE_CHECKING:
    from napari_hsi_ssl.steps.train import Cluster

Word = TypeVar("Word", bound=str)

ProjectFolder = Annotated[Path, typer.Argument(metavar="PROJECT", help="the project folder")]
CubeName = Annotated[str | None, typer.Option("--cube", help="a cube's name")]
Pairs = Annotated[list[str] | None, typer.Option(metavar="CUBE=LABELS", help="a cube's name and its label file; may be repeated")]
RunName = Annotated[str | None, typer.Option("--run", help="a run's name")]
Epochs = Annotated[int | None, typer.Option(help="passes over the training data")]
BatchSize = Annotated[int | None, typer.Option(help="over all devices")]
Seed = Annotated[int | None, typer.Option(help="every random draw follows from it")]
Accelerator = Annotated[str | None, typer.Option(help="auto, cpu or gpu")]
Devices = Annotated[str | None, typer.Option(help="a number, or auto")]
Precision = Annotated[str | None, typer.Option(help="auto, 32, 16 or bf16")]
Compiled = Annotated[bool | None, typer.Option("--compiled", help="on a GPU, compile the network first: a slow start, then often faster steps")]
Resume = Annotated[bool, typer.Option("--resume", help="go on from the last checkpoint")]
Branch = Annotated[str | None, typer.Option(metavar="RUN", help="a new run from this one's checkpoint, with the settings given here changed")]
Step = Annotated[int | None, typer.Option(help="with --branch: of the checkpoint (the newest)")]
Detach = Annotated[bool, typer.Option("--detach", help="return once the trainer has started")]
Submit = Annotated[str | None, typer.Option(metavar="slurm", help="hand the run to a Slurm cluster instead of training here")]
Partition = Annotated[str | None, typer.Option(help="slurm: the cluster's default when not given")]
Account = Annotated[str | None, typer.Option(help="slurm: who pays")]
TimeLimit = Annotated[str | None, typer.Option(metavar="H:MM:SS", help="slurm: limit of one job (24:00:00); a longer run is queued again")]
Gpus = Annotated[int | None, typer.Option(help="slurm: on each node (1); 0 trains on CPUs")]
Nodes = Annotated[int | None, typer.Option(help="slurm: computers (1)")]
Tasks = Annotated[int | None, typer.Option(help="slurm: ranks on each node when there is no GPU (1)")]
Cpus = Annotated[int | None, typer.Option(help="slurm: cores a rank (4)")]
Memory = Annotated[str | None, typer.Option(metavar="32G", help="slurm: a node")]
Setup = Annotated[str | None, typer.Option(metavar="COMMAND", help="slurm: shell commands before training, such as 'module load cuda'")]
Print = Annotated[bool, typer.Option("--print", help="slurm: write and show the job script, submit nothing")]
Strengths = Annotated[list[str] | None, typer.Option("--augment", metavar="VIEW=STRENGTH", help=f"{', '.join(AugmentConfig.model_fields)}; may be repeated")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="the config.json of a run: starts it again")]


@overload
def numbers(text: str | None, count: Literal[3], option: str) -> tuple[int, int, int] | None: ...
@overload
def numbers(text: str | None, count: Literal[4], option: str) -> tuple[int, int, int, int] | None: ...
@overload
def numbers(text: str | None, count: int, option: str) -> tuple[int, ...] | None: ...
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


def several(text: str | None, option: str) -> tuple[int, ...] | None:
    """Return any number of whole numbers separated by commas; none of an empty text."""
    return () if text == "" else None if text is None else numbers(text, text.count(",") + 1, option)


def panel_given(text: str | None) -> float | Path | None:
    """Return a fraction, or the file that the text names."""
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return Path(text)


def times_given(text: str | None) -> tuple[float | None, float | None, float | None] | None:
    """Return the exposure times of cube, white and dark; None where one is left empty."""
    if text is None:
        return None
    try:
        times = [float(part) if part.strip() else None for part in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"'{text}' is not two or three numbers separated by commas", param_hint="--exposure") from error
    if not 2 <= len(times) <= 3:
        raise typer.BadParameter(f"'{text}' holds {len(times)} numbers, expected CUBE,WHITE or CUBE,WHITE,DARK", param_hint="--exposure")
    return times[0], times[1], times[2] if len(times) == 3 else None


def pairs(texts: list[str] | None, option: str) -> dict[str, Path]:
    """Return the files of ``CUBE=LABELS`` texts by cube."""
    pairs = {}
    for text in texts or []:
        cube, sign, path = text.partition("=")
        if not (cube and sign and path):
            raise typer.BadParameter(f"'{text}' is not of the form CUBE=LABELS", param_hint=option)
        pairs[cube] = Path(path)
    return pairs


def strengths(texts: list[str] | None) -> dict[str, str] | None:
    """Return the strengths of ``VIEW=STRENGTH`` texts by view; the settings check them."""
    found = {}
    for text in texts or []:
        view, sign, value = text.partition("=")
        if not (view and sign and value):
            raise typer.BadParameter(f"'{text}' is not of the form VIEW=STRENGTH", param_hint="--augment")
        found[view] = value
    return found or None


def options_given(**options: object) -> dict[str, Any]:
    """Return the options that were given."""
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if isinstance(given.get("devices"), str) and given["devices"].isdecimal():
        given["devices"] = int(given["devices"])
    return given


def source_given(branch: str | None, step: int | None, resume: bool, config: Path | None) -> bool:
    """Return whether a new run is to branch off another one."""
    if branch is None and step is not None:
        raise typer.BadParameter("--step is of the checkpoint to branch from: give --branch RUN too")
    if branch is not None and (resume or config is not None):
        raise typer.BadParameter("--branch starts a new run from another one's checkpoint: leave out --resume and --config")
    return branch is not None


def one_of(text: str, words: tuple[Word, ...], option: str) -> Word:
    """Return the word that an option gives, which must be among those it takes."""
    for word in words:
        if word == text:
            return word
    raise typer.BadParameter(f"'{text}' is not {', '.join(words[:-1])} or {words[-1]}", param_hint=option)


def cluster_given(submit: str | None, show: bool, **options: object) -> Cluster | None:
    """Return how a run goes to a cluster, or None when it trains here; without Slurm options its job script stays as it is."""
    from napari_hsi_ssl.steps.train import Cluster

    given = options_given(**options)
    if submit not in {None, "slurm"}:
        raise typer.BadParameter(f"'{submit}' is not slurm", param_hint="--submit")
    if submit is None and not show:
        if given:
            raise typer.BadParameter(f"--{next(iter(given))} is for a cluster: give --submit slurm too")
        return None
    return Cluster(SlurmConfig.parse(given, "slurm") if given else None, submit=not show)
