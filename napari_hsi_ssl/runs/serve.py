"""The child's half of the compute process (`runs.compute`): takes requests, runs jobs, answers."""

from __future__ import annotations

import importlib
import json
import os
import queue
import signal
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from napari_hsi_ssl import files
from napari_hsi_ssl.errors import HsiError
from napari_hsi_ssl.progress import Steps

_ORPHAN_SECONDS: Final = 1.5
_PROGRESS_SECONDS: Final = 0.05

Message = dict[str, Any]


class Channel:
    """The child's end: requests in, answers out, on copies of the standard streams that no job can reach."""

    def __init__(self) -> None:
        self._input = os.fdopen(os.dup(0), encoding="utf-8")
        self._output = os.fdopen(os.dup(1), "w", encoding="utf-8")
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)  # what a job or a library prints goes where errors go
        self.requests: queue.Queue[Message | None] = queue.Queue()
        self.cancelled: set[int] = set()
        self.orphaned = threading.Event()
        self._writing = threading.Lock()
        threading.Thread(target=self._read, name="requests", daemon=True).start()

    def _read(self) -> None:
        for line in self._input:
            message = json.loads(line)
            if "cancel" in message:
                self.cancelled.add(message["cancel"])
            else:
                self.requests.put(message)
        self.orphaned.set()
        self.requests.put(None)
        time.sleep(_ORPHAN_SECONDS)
        # A job that will not leave may leave its temporary file behind, never half of a real one.
        os._exit(0)

    def send(self, message: Message) -> None:
        """Write one answer as a line."""
        line = json.dumps(files.plain(message)) + "\n"
        with self._writing, suppress(BrokenPipeError):  # the parent is gone: `orphaned` says so
            self._output.write(line)
            self._output.flush()


def serve(module: str) -> None:
    """Run the jobs of a module, one after another, until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then cancels
    channel = Channel()
    try:
        importlib.import_module(module)
    except Exception:  # noqa: BLE001 - told with the first request
        traceback.print_exc()
    channel.send({"ready": True})
    while (request := channel.requests.get()) is not None:
        number, job = request["id"], request["job"]
        try:
            jobs: dict[str, Callable[..., Steps[dict[str, Any]]]] = importlib.import_module(module).JOBS
            if job not in jobs:
                known = ", ".join(sorted(jobs))
                raise HsiError(f"there is no job '{job}', only {known}; update the program.")  # noqa: TRY301 - answered like any other error
            answer = _work(channel, number, jobs[job](**request["arguments"]))
        except Exception as error:  # noqa: BLE001 - every error is the parent's to show
            traceback.print_exc()
            answer = {"error": {"type": type(error).__name__, "message": str(error), "trace": traceback.format_exc()}}
        channel.send({"id": number, **answer})


def _work(channel: Channel, number: int, steps: Steps[dict[str, Any]]) -> Message:
    told = 0.0
    while True:
        if number in channel.cancelled or channel.orphaned.is_set():
            steps.close()
            return {"cancelled": True}
        try:
            progress = next(steps)
        except StopIteration as stop:
            return {"result": stop.value}
        now = time.monotonic()
        if progress.warning or now - told >= _PROGRESS_SECONDS:
            told = now
            channel.send({"id": number, "progress": vars(progress)})
