"""The process that does a window's torch work: one child, started on first need, that answers in JSON lines.

Parent and child speak over the child's standard input and output, one JSON object a line:

- ``{"id": 1, "job": NAME, "arguments": {…}}`` and ``{"cancel": 1}`` go down;
- ``{"id": 1, "progress": {…}}``, then one of ``{"id": 1, "result": {…}}``, ``{"id": 1, "error": {…}}`` and
  ``{"id": 1, "cancelled": true}`` come up.

Arrays travel through files. Only the child (`runs.serve`) imports torch; it leaves when its standard input ends, so it never outlives its parent.
"""

from __future__ import annotations

import atexit
import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import IO, Any, Final

from napari_hsi_ssl import errors, files
from napari_hsi_ssl.errors import HsiError
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.runs.launch import child_environment, lower_priority

_JOBS: Final = "napari_hsi_ssl.runs.jobs"
_POLL_SECONDS: Final = 0.1
_CANCEL_SECONDS: Final = 2.0

Message = dict[str, Any]


class ComputeProcess:
    """A child process that runs the jobs of a module, one at a time.

    Parameters
    ----------
    background : bool
        Run at low priority, as while a window is open.
    jobs : str
        Module whose dictionary ``JOBS`` maps a job's name to a generator function.
    """

    def __init__(self, background: bool = False, jobs: str = _JOBS) -> None:
        self.background = background
        self._jobs = jobs
        self._turn = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[Message | None] = queue.Queue()
        self._ready = threading.Event()
        self._errors: IO[bytes] | None = None
        self._number = 0

    @property
    def pid(self) -> int | None:
        """The child's process number, or None while there is none."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def call(self, job: str, **arguments: Any) -> Steps[dict[str, Any]]:  # noqa: ANN401 - whatever JSON carries
        """Run a job in the child; closing the generator cancels it.

        Parameters
        ----------
        job : str
        **arguments
            Values that JSON can carry; paths are sent as text.

        Yields
        ------
        Progress
            What the job says; the last one again at least every 0.1 s, so that a watcher can leave at any time.

        Returns
        -------
        dict
            The job's result.

        Raises
        ------
        HsiError
            What the job raised, of the same class and with the same sentence, or that the child ended without an answer.
        """
        progress = Progress(message="waiting for another computation")
        while not self._turn.acquire(timeout=_POLL_SECONDS):
            yield progress
        try:
            number = self._send(job, arguments)
            progress = Progress(message="starting")
            try:
                while True:
                    try:
                        answer = self._answers.get(timeout=_POLL_SECONDS)
                    except queue.Empty:
                        yield progress
                        continue
                    if answer is None:
                        raise self._broken(job)
                    if answer.get("id") != number:
                        continue
                    if "progress" in answer:
                        progress = Progress(**answer["progress"])
                        yield progress
                        progress = replace(progress, warning=False)  # told once
                        continue
                    number = 0
                    if "error" in answer:
                        raise _as_error(job, answer["error"])
                    result: dict[str, Any] = answer["result"]
                    return result
            finally:
                if number:
                    self._cancel(number)
        finally:
            self._turn.release()

    def close(self) -> None:
        """End the child; the next call starts a new one."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            with suppress(OSError):  # it has ended already, with something unread
                process.stdin.close()
        try:
            process.wait(_CANCEL_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._errors is not None:
            self._errors.close()
            self._errors = None

    def _send(self, job: str, arguments: dict[str, Any]) -> int:
        self._number += 1
        line = json.dumps(files.plain({"id": self._number, "job": job, "arguments": arguments})) + "\n"
        for attempt in (1, 2):
            if self._process is None or self._process.poll() is not None:
                self.close()
                self._start()
            try:
                self._write(line)
            except OSError:
                self.close()
                if attempt == 2:
                    raise self._broken(job) from None
            else:
                break
        return self._number

    def _write(self, line: str) -> None:
        if self._process is None or self._process.stdin is None:
            raise BrokenPipeError
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def _start(self) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        flags: dict[str, Any] = {}
        if sys.platform == "win32":
            flags["creationflags"] = subprocess.CREATE_NO_WINDOW
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "napari_hsi_ssl.runs.compute", self._jobs],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                encoding="utf-8",
                env=child_environment(),
                **flags,
            )
        except OSError as error:
            raise HsiError(f"{sys.executable} cannot be started for the computation ({error}); free memory, then try again.") from error
        if self.background:
            lower_priority(process.pid)
        self._process = process
        self._answers, self._ready = queue.Queue(), threading.Event()
        threading.Thread(target=_listen, args=(process, self._answers, self._ready), name="compute-answers", daemon=True).start()

    def _cancel(self, number: int) -> None:
        if self.pid is None:
            return
        try:
            self._write(json.dumps({"cancel": number}) + "\n")
        except OSError:
            return
        if not self._ready.is_set():
            return  # still importing; it will find the request cancelled once it is ready
        deadline = time.monotonic() + _CANCEL_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            try:
                answer = self._answers.get(timeout=left)
            except queue.Empty:
                break
            if answer is None or (answer.get("id") == number and "progress" not in answer):
                return
        if self._process is not None:  # it does not listen, deep in one long call
            self._process.kill()
        self.close()

    def _broken(self, job: str) -> HsiError:
        process = self._process
        code = process.wait() if process is not None else None
        words = ""
        if self._errors is not None:
            self._errors.seek(0)
            lines = self._errors.read()[-8192:].decode(errors="replace").splitlines()
            words = next((line.strip() for line in reversed(lines) if line.strip()), "")
        self.close()
        said = f'its last words: "{words[-300:]}"' if words else "without a word"
        reason = "killed, perhaps for want of memory" if code in {-9, 137} else f"exit code {code}"
        return HsiError(f"the compute process ended during '{job}' ({reason}; {said}); try again, and close other programs if memory is short.")


_shared: list[ComputeProcess] = []
_sharing = threading.Lock()


def shared_process(background: bool | None = None) -> ComputeProcess:
    """Return the one compute process of this program; it is made on the first call and ended with the program.

    Parameters
    ----------
    background : bool, optional
        Set the priority of children started from now on: a window says True once.
    """
    with _sharing:
        if not _shared:
            _shared.append(ComputeProcess())
            atexit.register(_shared[0].close)
        if background is not None:
            _shared[0].background = background
        return _shared[0]


def _listen(process: subprocess.Popen[str], answers: queue.Queue[Message | None], ready: threading.Event) -> None:
    stream = process.stdout
    if stream is None:
        return
    with stream:
        for line in stream:
            answer = json.loads(line)
            if "ready" in answer:
                ready.set()
            else:
                answers.put(answer)
    answers.put(None)


def _as_error(job: str, error: Message) -> HsiError:
    kind = getattr(errors, error["type"], None)
    if isinstance(kind, type) and issubclass(kind, HsiError):
        if kind.__init__ is not HsiError.__init__:  # it is built from more than its sentence
            kind = kind.__mro__[1]
        made: HsiError = kind(error["message"])
        return made
    found = HsiError(f"'{job}' failed in a way that was not foreseen ({error['type']}: {error['message']}); please report it with the details of --debug.")
    found.add_note(error.get("trace", ""))
    return found


if __name__ == "__main__":
    from napari_hsi_ssl.runs.serve import serve

    serve(sys.argv[1])
