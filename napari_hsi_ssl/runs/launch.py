"""Start a trainer as a process of its own, follow it, stop it: nothing here computes, and nothing imports torch."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import psutil

from napari_hsi_ssl.errors import CancelledError, RunError
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.runs import slurm
from napari_hsi_ssl.runs.folder import RunFolder
from napari_hsi_ssl.runs.queue import Queue
from napari_hsi_ssl.runs.story import Story

_TRAINER = "napari_hsi_ssl.runs.train"
_POLL_SECONDS: Final = 0.1
_LEAVING_SECONDS: Final = 5.0
_children: list[subprocess.Popen[bytes]] = []
"""Trainers started by this process, kept so that the system can forget them once they have ended."""


def start(folder: RunFolder, *, background: bool = False, resume: bool = False) -> None:
    """Start training in a process that outlives this one; what it prints goes to the run's log.

    Parameters
    ----------
    folder : RunFolder
        A run with its configuration.
    background : bool
        Run at low priority, as while a window is open.
    resume : bool
        Go on from the last checkpoint; a finished run is left alone.

    Raises
    ------
    RunError
        When the run is being trained already, or is finished and ``resume`` is False.
    """
    if folder.alive:
        owner = folder.owner or folder.launched or {}
        where = f"process {owner.get('pid')} on {owner.get('host')}"
        raise RunError(f"run '{folder.name}' is being trained already ({where}); follow it, or cancel it before starting it again.")
    if folder.result is not None:
        if resume:
            return
        raise RunError(f"run '{folder.name}' is finished; choose another name with --run, or delete it first.")
    if not folder.config_path.exists():
        raise RunError(folder.vanished)
    command = [sys.executable, "-m", _TRAINER, str(folder.path.absolute())] + (["--resume"] if resume else [])
    try:
        folder.clear_cancel()
        with folder.log_path.open("ab") as log:
            begin = log.seek(0, os.SEEK_END)
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=child_environment(), **_apart())
    except OSError as error:
        raise RunError(f"{folder.log_path} cannot be written or {sys.executable} cannot be started ({error}); permit it, then try again.") from error
    if background:
        lower_priority(process.pid)
    _children.append(process)
    # The system keeps the entry of a child until somebody has waited for it.
    threading.Thread(target=process.wait, name=f"trainer {process.pid}", daemon=True).start()
    folder.emit_launched(process.pid, log=begin)


def follow(folder: RunFolder, *, since: int = 0) -> Steps[dict[str, Any]]:
    """Watch a run until it ends; leaving early leaves the run alone.

    Parameters
    ----------
    folder : RunFolder
        A run that was started, here or by another process.
    since : int
        Byte offset of the event log (second result of `RunFolder.events`) after which events are yielded; earlier
        ones are read for their figures alone.

    Yields
    ------
    Progress
        One an event, with the event as ``data``; the last one again while there is nothing new.

    Returns
    -------
    dict
        The run's result.

    Raises
    ------
    RunError
        When training failed, or its process is gone without a word.
    CancelledError
        When somebody cancelled it.
    """
    ended = 0.0
    story, queue = Story(), Queue(folder)
    progress = Progress(message="starting")
    earlier, offset = folder.events(0, end=since)
    for event in earlier:
        story.note(event)
    if earlier:
        progress = replace(story.tell(earlier[-1]), data={})  # its words, but not as news
    while True:
        # Whether anybody trains is asked before the log is read, so that the last words of one who has left are not missed.
        _reap()
        alive = folder.alive or queue.has_it()
        events, offset = folder.events(offset)
        for event in events:
            progress = story.tell(event)
            yield progress
        ended = (ended or time.monotonic()) if story.ending else 0.0
        # Who has said that it ended still holds the lock for a moment; it can be started again only after that.
        if not alive or (ended and time.monotonic() - ended > _LEAVING_SECONDS):
            return _outcome(folder, story.ending)
        if queue.news:
            told = {"type": "queue", "message": queue.news}
            progress = Progress(progress.done, progress.total, queue.news, warning=queue.silent, data=told)
            queue.news = ""
            yield progress
        elif not events:
            yield progress
        time.sleep(_POLL_SECONDS)


def _outcome(folder: RunFolder, ending: dict[str, Any] | None) -> dict[str, Any]:
    result = folder.result
    if result is not None:
        return result
    kind = ending["type"] if ending else None
    if ending is not None and kind == "failed":
        raise RunError(str(ending.get("message") or f"run '{folder.name}' failed; see {folder.log_path}."))
    if ending is not None and kind == "cancelled":
        raise CancelledError(_cancelled(folder, ending.get("step")))
    raise RunError(_vanished(folder))


def stop(folder: RunFolder, force_after: float = 10.0) -> bool:
    """Ask a run to save and leave, wait for it, and end it by force when it does not.

    Parameters
    ----------
    folder : RunFolder
    force_after : float
        Seconds after which the trainer and every process it started are killed.

    Returns
    -------
    bool
        True when it left by itself (or had left before), False when it was killed.

    Raises
    ------
    RunError
        When it does not leave and runs on another computer, where it cannot be killed from here.
    """
    job = slurm.queued(folder)
    if job is not None and not folder.alive:
        folder.request_cancel()  # seen by a trainer that starts just now
        slurm.cancel(job)
        _say_cancelled(folder)
        return True
    if not folder.alive:
        return True
    folder.request_cancel()
    deadline = time.monotonic() + force_after
    while time.monotonic() < deadline:
        _reap()
        if not folder.alive:
            return True
        time.sleep(_POLL_SECONDS / 2)
    if job is not None:
        slurm.cancel(job)
        _say_cancelled(folder)
        return False
    for process in (folder.owner, folder.launched):
        if process is not None and process["host"] != socket.gethostname():
            raise RunError(f"run '{folder.name}' was asked to stop but has not yet, and it runs on {process['host']}; wait for it, or end it there.")
        if process is not None:
            _kill(process["pid"])
    _reap()
    _say_cancelled(folder)
    return False


def _say_cancelled(folder: RunFolder) -> None:
    last = folder.last("checkpoint") or {}
    folder.emit("cancelled", step=last.get("step"), message=_cancelled(folder, last.get("step")))


def lower_priority(pid: int) -> None:
    """Let every other program go first."""
    try:
        psutil.Process(pid).nice(psutil.BELOW_NORMAL_PRIORITY_CLASS if sys.platform == "win32" else 19)
    except psutil.Error:
        return  # it has ended already, or the system forbids it: then it runs as it is


def child_environment() -> dict[str, str]:
    """Return the environment of a child process.

    Unbuffered, blind to modules that lie in the user's folder, and with threads that sleep while they wait: threads that spin
    make both sides many times slower as soon as another program wants the same cores.
    """
    return {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1"}


def _apart() -> dict[str, Any]:
    """Arguments that put a process into a session of its own: Ctrl-C in a terminal or closing the window does not reach it."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def _kill(pid: int) -> None:
    """End a process, its descendants and, where the system knows them, the rest of its session's group."""
    try:
        leader = psutil.Process(pid)
        doomed = [*leader.children(recursive=True), leader]
    except psutil.Error:
        doomed = []
    if sys.platform != "win32":
        try:
            if os.getpgid(0) != pid:
                os.killpg(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # it leads no group: its descendants are listed above
    for process in doomed:
        try:
            process.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(doomed, timeout=5)


def _reap() -> None:
    _children[:] = [process for process in _children if process.poll() is None]


@atexit.register
def _let_go() -> None:
    """Trainers outlive this program on purpose: `subprocess` need not warn that nobody waits for them."""
    _reap()
    for process in _children:
        process.returncode = 0


def _cancelled(folder: RunFolder, step: int | None) -> str:
    saved = "before its first checkpoint" if step is None else f"and is saved at step {step}"
    return f"run '{folder.name}' was cancelled {saved}; continue it with --resume."


def _vanished(folder: RunFolder) -> str:
    if not folder.config_path.exists():
        return folder.vanished
    begin = (folder.last("launched") or {}).get("log", 0)
    words = last_line(folder.log_path, begin)
    job = slurm.job_of(folder)
    ended = f" (Slurm says that job {job} is {slurm.state(job).lower() or 'gone'})" if job else ""
    said = f'its log ends with "{words}"' if words else "its log says nothing"
    if not (folder.path / "events.jsonl").exists():
        return f"run '{folder.name}' has not been started; start it with --resume."
    return f"run '{folder.name}' stopped without a word{ended} ({said}); continue it from its last checkpoint with --resume."


def last_line(path: Path, begin: int = 0) -> str:
    """Return the last line with anything on it after ``begin`` bytes of a text file, at most 300 characters of it."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(begin, size - 8192))
            lines = stream.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip()[-300:] for line in reversed(lines) if line.strip()), "")
