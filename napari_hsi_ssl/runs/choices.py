"""What there is to train on, and what a run would cost there; imported by the compute process alone, because it imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import psutil
import torch

from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.learning.devices import cores, has_bf16, make_fabric, precision_of
from napari_hsi_ssl.learning.loop import Objective, total_steps
from napari_hsi_ssl.learning.setup import prepare
from napari_hsi_ssl.learning.trials import Cost, cost, out_of_memory, too_large
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.runs.folder import RunFolder

Accelerator = Literal["cpu", "gpu"]
_SHORT: Final = {"32-true": "32", "16-mixed": "16", "bf16-mixed": "bf16"}


@dataclass(frozen=True)
class Choice:
    """One way to train.

    Attributes
    ----------
    accelerator : {"cpu", "gpu"}
    devices : int
        Of these, each with the same share of a batch.
    precision : {"32", "16", "bf16"}
    automatic : bool
        Whether it is what the settings ``auto`` come to.
    """

    accelerator: Accelerator
    devices: int
    precision: str
    automatic: bool = False


def devices(*, run: str | None = None) -> Steps[dict[str, Any]]:
    """Return what there is to train on and, given a run folder that nobody trains, what its training would cost there.

    Returns
    -------
    dict
        ``cpu``: ``cores``, ``memory``, ``free`` (bytes), ``precisions``; ``gpus``: ``name``, ``memory``, ``free``, ``precisions`` of each;
        ``choices``: a row for each `Choice`, with ``device`` in words and, given a run, ``memory`` (bytes at the peak of a trial, of each
        device), ``seconds_per_step``, ``patches_per_second``, ``seconds`` (all steps; the exchange between several GPUs comes on top), or
        ``problem``, why it cannot be.
    """
    memory = psutil.virtual_memory()
    cpu = {"cores": cores(), "memory": memory.total, "free": memory.available, "precisions": _precisions("cpu")}
    gpus = [_gpu(number) for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)]
    folder = None if run is None else RunFolder(Path(run))
    batch = 0 if folder is None else folder.config.trainer.batch_size
    rows = [{**vars(choice), "device": _words(choice, cpu, gpus)} for choice in choices(len(gpus), batch)]
    if folder is not None:
        objective = prepare(folder.config, folder.resolve, 1).objective
        for row in rows:
            row.update((yield from _cost(folder, objective, row)))
    return {"cpu": cpu, "gpus": gpus, "choices": rows}


def choices(gpus: int, batch: int) -> list[Choice]:
    """Return the ways to train on this computer: every precision that the CPU and one GPU have units for, and all GPUs together.

    Parameters
    ----------
    gpus : int
        How many there are.
    batch : int
        All GPUs share it evenly or are no choice; 0 when it is not known.
    """
    best = {on_gpu: _SHORT[precision_of("auto", on_gpu)] for on_gpu in (False, True) if gpus or not on_gpu}
    together = next((count for count in range(gpus, 1, -1) if batch % count == 0), 1)
    found = [Choice("cpu", 1, precision, not gpus and precision == best[False]) for precision in dict.fromkeys(("32", best[False]))]
    if gpus:
        found += [Choice("gpu", 1, precision, together == 1 and precision == best[True]) for precision in dict.fromkeys(("32", best[True]))]
    return [*found, *([Choice("gpu", together, best[True], True)] if together > 1 else [])]


def _cost(folder: RunFolder, objective: Objective, row: dict[str, Any]) -> Steps[dict[str, Any]]:
    threads, ranks = torch.get_num_threads(), row["devices"]
    settings = folder.config.trainer.model_copy(update={"devices": 1, "accelerator": row["accelerator"], "precision": row["precision"]})
    found: Cost | None = None
    try:
        fabric = make_fabric(settings)
        fabric.launch()
        try:
            found = yield from cost(fabric, objective, ranks)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        if found is None:
            return {"problem": too_large(fabric, objective, ranks)}
    except RunError as error:
        return {"problem": str(error)}
    finally:
        torch.set_num_threads(threads)
    seconds = found.seconds * total_steps(objective, settings)
    return {"memory": found.memory, "seconds_per_step": found.seconds, "patches_per_second": objective.batch / found.seconds, "seconds": seconds}


def _precisions(accelerator: Accelerator) -> list[str]:
    """Return what the device has units for."""
    on_gpu = accelerator == "gpu"
    return ["32", *(["16"] if on_gpu else []), *(["bf16"] if has_bf16(on_gpu) else [])]


def _gpu(number: int) -> dict[str, Any]:
    free, total = torch.cuda.mem_get_info(number)
    return {"name": torch.cuda.get_device_name(number), "memory": total, "free": free, "precisions": _precisions("gpu")}


def _words(choice: Choice, cpu: dict[str, Any], gpus: list[dict[str, Any]]) -> str:
    if choice.accelerator == "cpu":
        return f"CPU, {cpu['cores']} core{'s' * (cpu['cores'] != 1)}"
    return f"{choice.devices} × {gpus[0]['name']}" if choice.devices > 1 else str(gpus[0]["name"])
