"""Forked workers that try inputs one after another: whatever one of them does, the others go on."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Final

import dask
import psutil

from benchmarks.fuzzing.targets import drawn
from benchmarks.fuzzing.trial import HANG_SECONDS, Outcome, limit_memory, tried

_SLEEP_SECONDS: Final = 300.0
"""On the clock: a worker that has not answered for so long is ended even where it takes no processor time, as one that waits for ever."""
_MEMORY_DISK: Final = Path("/dev/shm")
"""Where waiting for the disk costs nothing."""
_LIFE: Final = 400
"""Inputs that a worker tries before a fresh one takes its place, so that caches never add up to the limit of memory."""


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    number: int = -1
    since: float = 0.0
    spent: float = 0.0
    left: int = _LIFE

    @property
    def processor_seconds(self) -> float:
        """What its process has taken so far."""
        with contextlib.suppress(psutil.Error):
            times = psutil.Process(self.process.pid).cpu_times()
            return float(times.user + times.system)
        return self.spent

    @property
    def hangs(self) -> bool:
        """Whether it will hardly answer any more."""
        return self.number >= 0 and (self.processor_seconds - self.spent > 2 * HANG_SECONDS or time.monotonic() - self.since > _SLEEP_SECONDS)


def outcomes(name: str, seed: int, numbers: Iterator[int], count: int) -> Iterator[tuple[int, Outcome]]:
    """Try the inputs of a target with these numbers, ``count`` at a time; a worker that dies or hangs is replaced."""
    context = multiprocessing.get_context("fork")
    workers: list[_Worker] = []
    ended = False
    try:
        while True:
            while not ended and len(workers) < count:
                ours, theirs = context.Pipe()
                process = context.Process(target=_work, args=(name, seed, theirs), daemon=True)
                process.start()
                theirs.close()
                worker = _Worker(process, ours)
                ended = not _give(worker, numbers)
                workers.append(worker)
            busy = [worker for worker in workers if worker.number >= 0]
            if not busy:
                return
            for pipe in wait([worker.pipe for worker in busy], timeout=1.0):
                worker = next(one for one in busy if one.pipe is pipe)
                number = worker.number
                try:
                    yield number, worker.pipe.recv()
                except (EOFError, ConnectionError):
                    worker.process.join()
                    yield number, Outcome("crash", f"the process ended with {worker.process.exitcode}", f"process ended with {worker.process.exitcode}")
                    worker.left = 0
                worker.number = -1
                if worker.left <= 0:
                    _end(worker, workers)
                else:
                    ended = ended or not _give(worker, numbers)
            for worker in [one for one in workers if time.monotonic() - one.since > HANG_SECONDS and one.hangs]:
                yield worker.number, Outcome("hang", "it was ended", f"no answer {name}")
                _end(worker, workers)
    finally:
        for worker in list(workers):
            _end(worker, workers)


def _give(worker: _Worker, numbers: Iterator[int]) -> bool:
    number = next(numbers, None)
    if number is None:
        worker.number = -1
        return False
    worker.number, worker.since, worker.spent, worker.left = number, time.monotonic(), worker.processor_seconds, worker.left - 1
    worker.pipe.send(number)
    return True


def _end(worker: _Worker, workers: list[_Worker]) -> None:
    worker.pipe.close()
    if worker.process.is_alive():
        worker.process.kill()
    worker.process.join()
    workers.remove(worker)


def _work(name: str, seed: int, pipe: Connection) -> None:
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # libraries in C tell of damaged files on standard error
        os.dup2(silence, stream)
    logging.disable(logging.CRITICAL)
    if _MEMORY_DISK.is_dir():
        tempfile.tempdir = str(_MEMORY_DISK)
    limit_memory()
    with contextlib.suppress(EOFError, KeyboardInterrupt), dask.config.set(scheduler="synchronous"):
        while True:
            pipe.send(tried(name, *drawn(name, seed, pipe.recv())))
