"""What a training step takes of this device: short trials of real steps.

A trial talks to no other device: the rows that the others would send are stood in for by its own, which take the same room.
"""

from __future__ import annotations

import copy
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch
from lightning_fabric import Fabric
from torch import Tensor

from napari_hsi_ssl.learning.devices import alone, describe, memory_in_use
from napari_hsi_ssl.learning.encoder import channels_last
from napari_hsi_ssl.learning.loop import Objective, Share
from napari_hsi_ssl.progress import Progress, Steps

_SAMPLE_SECONDS: Final = 0.005
_WARM_UP, _LEAST, _MOST = 2, 3, 20
"""Steps of a trial: those that do not count, and how many do."""
_ENOUGH_SECONDS: Final = 3.0


@dataclass(frozen=True)
class Cost:
    """What training takes.

    Attributes
    ----------
    seconds : float
        Of a step, the median of a few.
    memory : int
        Bytes at the peak: of the device, or of the process where the device is the CPU.
    """

    seconds: float
    memory: int


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory is short; torch's allocator for the CPU says so in words alone."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))


def too_large(fabric: Fabric, objective: Objective, ranks: int) -> str:
    """Return the sentence for a batch that did not fit on so many devices, with the largest one that does.

    Call it when nothing holds the tensors of the failed step any more, not while its error is handled.
    """
    here = alone(fabric)
    spare = [torch.empty_like(parameter) for parameter in objective.model.parameters() for _ in range(3 if ranks > 1 else 2)]
    model = here.setup_module(objective.model)

    def fits(batch: int) -> bool:
        try:
            here.backward(_of_batch(objective, batch).loss(model, 0, _stand_in(batch, ranks, here.device)))
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            return False
        finally:
            objective.model.zero_grad()
        return True

    largest = largest_batch(lambda batch: _cleared(here.device) and fits(batch), objective.batch, ranks)
    del spare  # the moments of AdamW and the buckets of the gradients, which a first step may have lacked
    found = f"batch_size {objective.batch} does not fit into the memory of {describe(fabric)}"
    if largest:
        return f"{found}; the largest that fits is {largest}, found by trial: start another run with batch_size {largest}."
    return f"{found}, and no smaller one does; close other programs, choose smaller windows or another device, then start another run."


def largest_batch(fits: Callable[[int], bool], batch: int, ranks: int = 1) -> int:
    """Return the largest batch that fits below one that does not, by halving and then bisecting; 0 when none does.

    Parameters
    ----------
    fits : callable
        Tries a batch.
    batch : int
        Does not fit.
    ranks : int
        Devices, of which each takes the same number of windows.
    """
    least = 1 if ranks > 1 else 2  # one window has no negatives
    low, high = 0, batch // ranks
    while not low and high > least:
        size = max(high // 2, least)
        low, high = (size, high) if fits(size * ranks) else (0, size)
    while low and high - low > 1:
        size = (low + high) // 2
        low, high = (size, high) if fits(size * ranks) else (low, size)
    return low * ranks


def cost(fabric: Fabric, objective: Objective, ranks: int = 1) -> Steps[Cost]:
    """Train a copy of the network for a few steps on one device and return what they took.

    Parameters
    ----------
    fabric : Fabric
        One device, launched.
    objective : Objective
    ranks : int
        Devices that share the batch; the trial does the part of one.

    Raises
    ------
    torch.OutOfMemoryError, MemoryError, RuntimeError
        When a step does not fit (`out_of_memory`).
    """
    network = copy.deepcopy(objective.model)
    channels_last(network)
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    model, optimizer = fabric.setup(network, torch.optim.AdamW(learned, fused=True))
    share = _stand_in(objective.batch, ranks, fabric.device)
    times: list[float] = []
    begun = time.monotonic()
    with _peak(fabric.device) as peak:
        for step in range(_WARM_UP + _MOST):
            yield Progress(step, _WARM_UP + _MOST, f"trying {describe(fabric)}")
            start = time.monotonic()
            loss = objective.loss(model, step % objective.steps_per_epoch, share)
            fabric.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            loss.item()  # a GPU has finished only when its answer is here
            times.append(time.monotonic() - start)
            if len(times) >= _WARM_UP + _LEAST and time.monotonic() - begun > _ENOUGH_SECONDS:
                break
    return Cost(statistics.median(times[_WARM_UP:]), peak())


def _of_batch(objective: Objective, batch: int) -> Objective:
    part = copy.copy(objective)
    part.batch = batch
    return part


def _stand_in(batch: int, ranks: int, device: torch.device) -> Share:
    def gather(mine: Tensor) -> Tensor:
        return torch.cat([mine] * ranks)

    return Share(batch, 0, ranks, device, gather if ranks > 1 else None)


def _cleared(device: torch.device) -> bool:
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return True


@contextmanager
def _peak(device: torch.device) -> Iterator[Callable[[], int]]:
    """Measure the most memory in use within the block."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        yield lambda: torch.cuda.max_memory_reserved(device)
        return
    most, leaving = [memory_in_use(device)], threading.Event()

    def sample() -> None:
        while not leaving.wait(_SAMPLE_SECONDS):
            most[0] = max(most[0], memory_in_use(device))

    thread = threading.Thread(target=sample, name="memory", daemon=True)
    thread.start()
    try:
        yield lambda: most[0]
    finally:
        leaving.set()
        thread.join()
