"""Trials of real steps: which batch fits, and what a step takes."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_hsi_ssl.config import TrainerConfig
from napari_hsi_ssl.learning.devices import make_fabric, memory_in_use
from napari_hsi_ssl.learning.trials import cost, largest_batch, out_of_memory, too_large
from napari_hsi_ssl.progress import run


class Greedy:
    """An objective that needs a given memory a window, and has room for some windows on each device."""

    steps_per_epoch = 4

    def __init__(self, batch: int, room: int = 10**9, error: Exception | None = None) -> None:
        self.model = torch.nn.Linear(3, 2)
        self.batch, self.room = batch, room
        self.error = error or torch.OutOfMemoryError("CUDA out of memory")
        self.tried: list[int] = []

    def loss(self, model, step, share):
        rows = share.rows.stop - share.rows.start
        self.tried.append(share.batch)
        if rows > self.room:
            raise self.error
        z = model(torch.ones(rows, 3))
        assert share.gather is None or share.gather(z).shape == (share.batch, 2)
        return z.sum()

    def judge(self, epoch):
        return {}


@pytest.fixture
def fabric():
    threads = torch.get_num_threads()
    made = make_fabric(TrainerConfig(accelerator="cpu", devices=1, precision="32"))
    made.launch()
    yield made
    torch.set_num_threads(threads)


@given(batch=st.integers(2, 5000), room=st.integers(0, 5000), ranks=st.sampled_from([1, 2, 8]))
def test_the_largest_batch_that_fits_is_found_in_few_trials(batch, room, ranks):
    batch = max(batch // ranks, 1) * ranks
    tried = []

    def fits(size):
        tried.append(size)
        return size <= room

    allowed = [size for size in range(ranks, batch, ranks) if size >= 2 and size <= room]
    assert largest_batch(fits, batch, ranks) == max(allowed, default=0)
    assert all(size % ranks == 0 and 2 <= size < batch for size in tried)
    assert len(tried) <= 2 * np.log2(batch) + 1


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        MemoryError("Unable to allocate 2 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
    ],
)
def test_a_batch_that_does_not_fit_is_answered_with_the_largest_that_does(fabric, error):
    assert out_of_memory(error)
    said = too_large(fabric, Greedy(64, room=21, error=error), 1)
    assert said.startswith("batch_size 64 does not fit into the memory of CPU")
    assert said.endswith("the largest that fits is 21, found by trial: start another run with batch_size 21.")
    assert "no smaller one does" in too_large(fabric, Greedy(64, room=1, error=error), 1)


def test_another_error_in_a_trial_is_not_taken_for_want_of_memory(fabric):
    assert not out_of_memory(RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"):
        too_large(fabric, Greedy(64, room=0, error=RuntimeError("shapes cannot be multiplied")), 1)


def test_torch_says_in_these_words_that_the_computers_memory_is_short():
    with pytest.raises(RuntimeError) as found:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert out_of_memory(found.value)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space as Linux does")
def test_a_real_lack_of_memory_is_met_and_survived():
    """A window takes 8 MiB here, and 400 MiB are left."""
    command = [sys.executable, "-m", "tests.learning.memory_limit"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    found = re.fullmatch(r"batch_size 512 does not fit into the memory of CPU, 1 thread; the largest that fits is (\d+), found by trial: .*", done.stdout)
    assert found is not None, done.stdout
    assert 25 <= int(found[1]) <= 50


def test_a_trial_tells_time_and_memory_of_a_step(fabric):
    class Large(Greedy):
        def loss(self, model, step, share):
            ballast = torch.ones(1 << 26) * float(share.batch)  # 256 MiB
            return super().loss(model, step, share) + 0 * ballast[0]

    idle = memory_in_use(torch.device("cpu"))
    found = run(cost(fabric, Large(8)))
    assert found.seconds > 0
    assert 200 << 20 < found.memory - idle < 800 << 20


def test_a_trial_of_one_of_several_devices_does_its_share(fabric):
    objective = Greedy(8)
    run(cost(fabric, objective, ranks=4))  # the fixture's loss checks the rows and what is gathered
    assert set(objective.tried) == {8}
