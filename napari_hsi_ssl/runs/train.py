"""The one entry that trains: ``python -m napari_hsi_ssl.runs.train RUN_FOLDER [--resume]``.

It reads the run folder alone, takes its lock before anything slow, and says whatever it has to say in the folder's event log.
With several devices Lightning Fabric starts this same command again for the other ranks; those write nothing.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

from napari_hsi_ssl import files
from napari_hsi_ssl.config import RunConfig
from napari_hsi_ssl.errors import HsiError, RunError
from napari_hsi_ssl.runs.folder import RunFolder
from napari_hsi_ssl.runs.slurm import AGAIN

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_MARK: Final = "NAPARI_HSI_SSL_RANKS"
"""Set by rank 0 for the ranks it starts: their environment is meant, a surrounding job's is not."""
_FOREIGN: Final = ("LOCAL_RANK", "RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def main(arguments: list[str] | None = None) -> int:
    """Train a run; returns the exit code: 0 when it finished or was cancelled, 1 when it failed."""
    parser = argparse.ArgumentParser(prog="python -m napari_hsi_ssl.runs.train", description="Train the run of a run folder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--slurm", action="store_true", help="one rank of a job step: Slurm has started the others")
    given = parser.parse_args(arguments)
    folder = RunFolder(given.folder.absolute())
    if given.slurm:
        if os.environ.get("SLURM_PROCID", "0") != "0":
            return _follow_rank_0(folder, cluster=True)
    elif os.environ.get(_MARK) == str(folder.path):
        return _follow_rank_0(folder)
    else:
        for name in _FOREIGN:
            os.environ.pop(name, None)
        os.environ[_MARK] = str(folder.path)
    # Read by OpenMP when torch is imported. Threads that spin while they wait cost a step up to four times as much, and the
    # window its fluency, as soon as another program wants the same cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        if folder.result is not None and given.resume:
            return 0
        with folder.locked() as leave:
            return _lead(folder, leave, given.resume, given.slurm)
    except HsiError as error:  # the lock is another's, or cannot be written: the events are not ours to write
        sys.stderr.write(f"{error}\n")
        return 1


def _lead(folder: RunFolder, leave: threading.Event, resume: bool, cluster: bool) -> int:
    """Train as rank 0, and tell how it ended."""
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: leave.set())
    try:
        config = folder.config
        if folder.result is not None:
            raise RunError(f"run '{folder.name}' is finished; choose another name for a new run.")  # noqa: TRY301 - told like all others
        if not resume and any(folder.checkpoints.glob("step-*.pt")):
            raise RunError(f"run '{folder.name}' has checkpoints; continue it with --resume, or choose another name for a new run.")  # noqa: TRY301
        verify_inputs(config, folder)
        again = _train(folder, config, leave, anew=folder.last("step", "epoch") is None, cluster=cluster)
    except HsiError as error:
        _end_other_ranks()
        return _failed(folder, str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, watchers must be told
        traceback.print_exc()
        _end_other_ranks()
        return _failed(folder, f"training broke off: {type(error).__name__}: {error}; {folder.log_path} has the details.")
    return AGAIN if again else 0


def _end_other_ranks() -> None:
    """End what rank 0 has started: a rank that is frozen or waits for the others would stay for ever."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.kill()


def _failed(folder: RunFolder, message: str) -> int:
    with suppress(OSError):  # the log is on the same disk, which may be full
        sys.stderr.write(f"{message}\n")
    with suppress(HsiError):  # on a full disk the log alone has it
        folder.emit("failed", message=message)
    return 1


def _follow_rank_0(folder: RunFolder, *, cluster: bool = False) -> int:
    """Train as another rank; rank 0 decides when to leave."""
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, signal.SIG_IGN)
    try:
        again = _train(folder, folder.config, threading.Event(), anew=True, cluster=cluster)
    except HsiError:  # rank 0 meets the same and tells it
        return 1
    return AGAIN if again else 0


def verify_inputs(config: RunConfig, folder: RunFolder) -> None:
    """Raise `RunError` when an input of the run is gone or is no longer the one it was started with."""
    pinned = [(cube.path, cube.sha256) for cube in config.cubes] + [(label.path, label.sha256) for label in config.labels]
    named = (
        (config.inlet, config.inlet_sha256),
        (config.patches, config.patches_sha256),
        (config.init, config.init_sha256),
        (config.start, config.start_sha256),
    )
    pinned += [(path, sha256) for path, sha256 in named if path is not None and sha256 is not None]
    for name, sha256 in pinned:
        path = folder.resolve(name)
        try:
            found = files.file_hash(path)
        except OSError as error:
            raise RunError(f"{path}, an input of run '{folder.name}', cannot be read ({error.strerror}); put it back, or start another run.") from error
        if found != sha256:
            raise RunError(f"{path} has changed since run '{folder.name}' was made; put the old file back, or start another run.")


def _train(folder: RunFolder, config: RunConfig, leave: threading.Event, *, anew: bool, cluster: bool) -> bool:
    """Train, and return whether the run was only interrupted and wants to go on."""
    from napari_hsi_ssl.learning.devices import SILENCE, make_fabric, rank_lost

    fabric = make_fabric(config.trainer, cluster=cluster)
    try:
        return _train_on(fabric, folder, config, leave, anew=anew, cluster=cluster)
    except RuntimeError as error:
        if fabric.world_size == 1 or not rank_lost(error):
            raise
        silence = f"has ended or did not answer for {SILENCE.total_seconds():.0f} s"
        raise RunError(f"another of the {fabric.world_size} ranks {silence}; see {folder.log_path}, then continue with --resume.") from None


def _train_on(fabric: Fabric, folder: RunFolder, config: RunConfig, leave: threading.Event, *, anew: bool, cluster: bool) -> bool:
    from napari_hsi_ssl.learning.checkpoint import States, save_model
    from napari_hsi_ssl.learning.devices import describe
    from napari_hsi_ssl.learning.distillation import Distillation
    from napari_hsi_ssl.learning.loop import fit
    from napari_hsi_ssl.learning.setup import prepare
    from napari_hsi_ssl.learning.trials import out_of_memory, too_large

    fabric.launch()
    prepared = prepare(config, folder.resolve, fabric.world_size)
    objective, card = prepared.objective, prepared.card
    facts: dict[str, Any] = {
        "device": describe(fabric),
        "ranks": fabric.world_size,
        "precision": str(fabric.strategy.precision.precision),
        "parameters": card["parameters"],
        "multiply_adds": card["multiply_adds"],
        "patches": objective.windows,
    }
    if fabric.is_global_zero:
        files.write_json(folder.path / "model.json", card)  # so that checkpoints can be looked at before there is a model
    states = States(folder.checkpoints, config.trainer.keep_checkpoints, folder.resolve(config.start) if config.start else None)
    outcome = None
    try:
        outcome = fit(fabric, objective, config.trainer, states, folder.emit, leave.is_set, facts, anew=anew)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
    if outcome is None:  # only here nothing holds the tensors of the failed step any more
        raise RunError(too_large(fabric, objective, fabric.world_size))
    again = outcome.cancelled and cluster and not folder.cancel_requested
    if fabric.is_global_zero:
        if again:
            folder.emit("requeued", step=outcome.step, message=f"the time is up: saved at step {outcome.step}, and queued again.")
        elif outcome.cancelled:
            folder.emit("cancelled", step=outcome.step, message=f"saved at step {outcome.step}; continue with --resume.")
        else:
            result = {**facts, "kind": config.kind, "loss": outcome.loss, "steps": outcome.step, "epochs": -(-outcome.step // objective.steps_per_epoch)}
            result |= {
                "seconds": outcome.seconds,
                "throughput": outcome.throughput,
                "batch_size": objective.batch,
                "final": objective.judge(config.trainer.epochs),
            }
            if isinstance(objective, Distillation):
                if prepared.validation is not None:
                    result["validation"] = objective.accuracies(prepared.validation)
                result["representation"] = objective.representation()
            save_model(folder.path, objective.model, card)
            folder.finish(result)
            folder.emit("finished", seconds=outcome.seconds)
    fabric.barrier()
    return again


if __name__ == "__main__":
    sys.exit(main())
