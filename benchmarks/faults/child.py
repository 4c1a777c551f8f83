"""Processes forked from one that has imported everything: starting and killing hundreds of them is cheap."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

ALONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "PYTHONUNBUFFERED": "1"}
"""Only a process without threads can be forked, and one thread gives the same sums everywhere."""


def become_single() -> None:
    """Start this program again with one thread, unless that is done."""
    if any(os.environ.get(name) != value for name, value in ALONE.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ALONE})


class Child:
    """A forked process, in a session of its own.

    Parameters
    ----------
    work : callable
        What it does; its result is the exit code, None is 0.
    log : Path
        Where both its streams are appended.
    """

    def __init__(self, work: Callable[[], int | None], log: Path) -> None:
        self.begun = time.monotonic()
        self.code: int | None = None
        """As of `subprocess`: negative where a signal ended it."""
        self.pid = os.fork()
        if self.pid == 0:
            _live(work, log)

    def wait(self, seconds: float = 120.0) -> int:
        """Wait for its end, killing it when it does not come, and return its code."""
        if self.ended_within(seconds) and self.code is not None:
            return self.code
        self.kill()
        raise TimeoutError(f"process {self.pid} did not end within {seconds:.0f} s")

    def ended_within(self, seconds: float) -> bool:
        """Whether it ends within so many seconds from now."""
        deadline = time.monotonic() + seconds
        while self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                return False
            else:
                time.sleep(0.001)
        return True

    def kill(self) -> bool:
        """Kill it; returns whether it was still alive."""
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code == -signal.SIGKILL

    def killed_at(self, age: float) -> bool:
        """Kill it once it is so many seconds old; returns False when it had ended before."""
        return not self.ended_within(max(0.0, self.begun + age - time.monotonic())) and self.kill()


def _live(work: Callable[[], int | None], log: Path) -> None:
    code = 70
    try:
        os.setsid()
        nothing, told = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        for stream, handle in ((0, nothing), (1, told), (2, told)):
            os.dup2(handle, stream)
        code = work() or 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:  # noqa: BLE001 - nothing may get back into the parent's code
        traceback.print_exc()
    finally:
        for text in (sys.stdout, sys.stderr):
            text.flush()
        os._exit(code)
