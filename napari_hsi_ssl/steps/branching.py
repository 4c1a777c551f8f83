"""Branch: a new run that goes on from a checkpoint of another one, with changed settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from napari_hsi_ssl.config import DistilConfig, PretrainConfig
from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.folder import RunFolder
from napari_hsi_ssl.steps.train import Cluster, start_again

_NETWORK: Final = ("recipe", "inlet", "trunk", "projection", "whiten", "window", "input", "widths", "blocks")
"""Settings that weights are made for, so that a branch keeps them."""


def branch(
    project: Project,
    run: str,
    kind: str,
    *,
    step: int | None = None,
    changes: Mapping[str, Any] | None = None,
    name: str | None = None,
    detach: bool = False,
    background: bool = False,
    cluster: Cluster | None = None,
) -> Steps[dict[str, Any]]:
    """Train a new run that starts from the exact state of another one at a checkpoint: weights, optimiser, step.

    The learning rate follows the schedule of the new length, so a finished run goes on with more epochs as a branch of it; with
    unchanged settings a branch ends with the very weights of its parent. The parent is left as it is.

    Parameters
    ----------
    run : str
        Whose checkpoint; it may be live, finished, cancelled or dead.
    kind : {"pretrain", "distil"}
        What the run must be.
    step : int, optional
        Of the checkpoint; the newest by default.
    changes : mapping, optional
        Settings of the new run that differ, by name.
    name : str, optional
        Of the new run; the next free ``KIND-N`` by default.

    Raises
    ------
    RunError
        When there is no such checkpoint, the network itself would be another, or nothing would be left to train.
    """
    source = project.run_folder(run)
    config = source.config
    if config.kind != kind:
        raise RunError(f"run '{run}' is a {config.kind} run, expected {kind}; branch it with `napari-hsi-ssl {config.kind}`.")
    state = _checkpoint(source, step)
    trainer = config.trainer.changed(changes or {}, kind)
    had, wanted = config.trainer.model_dump(), trainer.model_dump()
    for field in _NETWORK:
        if had.get(field) != wanted.get(field):
            raise RunError(f"a branch of run '{run}' keeps {field} = {had[field]}, which its weights are made for; leave it as it is, or start another run.")
    _something_left(source, trainer, _step_of(state))
    return (
        yield from start_again(
            project, source.config_path, kind=kind, changes=changes, run=name, state=state, detach=detach, background=background, cluster=cluster
        )
    )


def checkpoint_steps(folder: RunFolder) -> list[int]:
    """Return the steps of the checkpoints that a run still has, ascending; only the last few are kept."""
    return sorted(_step_of(path) for path in folder.checkpoints.glob("step-*.pt"))


def _step_of(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def _checkpoint(folder: RunFolder, step: int | None) -> Path:
    steps = checkpoint_steps(folder)
    if not steps:
        raise RunError(f"run '{folder.name}' has no checkpoint, so nothing can go on from it; wait for its first one, or start another run.")
    if step is not None and step not in steps:
        raise RunError(f"run '{folder.name}' has no checkpoint of step {step}, only of {', '.join(map(str, steps))}; choose one of them.")
    return folder.checkpoints / f"step-{steps[-1] if step is None else step:09d}.pt"


def _something_left(folder: RunFolder, trainer: PretrainConfig | DistilConfig, step: int) -> None:
    said = folder.last("started", "resumed") or {}
    if "patches" not in said:
        return  # an older log does not say; a trainer with nothing to do ends at once
    an_epoch = max(1, said["patches"] // said.get("batch_size", trainer.batch_size))
    end = min(trainer.epochs * an_epoch, trainer.max_steps or trainer.epochs * an_epoch)
    if step >= end:
        more = f"set max_steps above {step}" if trainer.max_steps and trainer.max_steps <= step else f"give --epochs {step // an_epoch + 1} or more"
        raise RunError(f"the branch of run '{folder.name}' starts at step {step} and would end at step {end}, so nothing is left to train; {more}.")
