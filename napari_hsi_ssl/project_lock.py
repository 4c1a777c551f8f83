"""Who has a project open in a window, and that no window or command overwrites what another one has written meanwhile.

``lock.json`` names the window that has the project open, as runs are locked. It stops nobody: reading is always possible, and so is writing what
nobody else has changed. What is refused is writing ``project.json`` over a version that was never read, for that would undo another's work.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import psutil

from napari_hsi_ssl import files
from napari_hsi_ssl.config import read_json
from napari_hsi_ssl.errors import DAMAGE, HsiError, HsiWarning, ProjectError
from napari_hsi_ssl.runs.folder import STALE_SECONDS, identity, still_there

_BEAT_SECONDS: Final = 15.0
_WAIT_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.02

Stamp = tuple[int, int, int] | None
"""What tells one version of a file from the next; None of a file that is not there."""


def stamp_of(path: Path) -> Stamp:
    """Return the stamp of a file; every atomic write gives another one."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    return state.st_ino, state.st_mtime_ns, state.st_size


def holder(folder: Path, token: str = "") -> dict[str, Any] | None:
    """Return the lock of the live window that has a project open; None when none has, its process is gone, or it is the window with this ``token``."""
    try:
        lock = read_json(folder / "lock.json")
        return lock if lock["token"] != token and still_there(lock) and who(lock) else None
    except (HsiError, *DAMAGE):
        return None


def who(lock: dict[str, Any]) -> str:
    """Return the holder of a lock in words."""
    since = time.strftime("%H:%M", time.localtime(float(lock.get("since", 0.0))))
    return f"process {lock['pid']} on {lock['host']}, since {since}"


def warn_of_window(folder: Path) -> bool:
    """Warn whoever writes to a project that a window of another process has it open; returns whether there is one."""
    lock = holder(folder)
    if lock is None or (lock["host"], lock["pid"]) == tuple(identity(os.getpid())[part] for part in ("host", "pid")):
        return False
    message = f"project {folder.name} is open in a window ({who(lock)}); what is changed here is seen there once the project is opened again."
    warnings.warn(message, HsiWarning, stacklevel=4)
    return True


class Presence:
    """A window's claim on a project, kept up by a heartbeat in a thread.

    Parameters
    ----------
    folder : Path
        Of the project.

    Attributes
    ----------
    other : dict or None
        The lock of another live window that had the project open before; the claim is then its, and this one only looks on.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock.json"
        self._token = uuid.uuid4().hex
        self._since = time.time()
        self._leaving = threading.Event()
        self.other = holder(folder)
        if self.other is None:
            self._write()
        self._thread = threading.Thread(target=self._keep, name="project lock", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Give the claim up."""
        self._leaving.set()
        self._thread.join()
        with suppress(HsiError, OSError, KeyError):  # a share that is gone or read-only by now: the lock goes stale by itself
            if read_json(self._path)["token"] == self._token:
                self._path.unlink(missing_ok=True)

    def _keep(self) -> None:
        while not self._leaving.wait(_BEAT_SECONDS):
            if holder(self._path.parent, self._token) is None:  # also once the window before has gone
                self._write()

    def _write(self) -> None:
        if not (self._path.parent / "project.json").exists():
            return  # a folder that is gone must not come back with nothing but a lock
        with suppress(HsiError, OSError):  # a project may be read where it cannot be written
            files.write_json(self._path, {**identity(os.getpid()), "token": self._token, "since": self._since, "heartbeat": time.time()})


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Let one process at a time look whether a file of the project has changed and write it.

    Raises
    ------
    ProjectError
        When another process does not come to an end, or the folder cannot be written.
    """
    path = folder / ".writing"
    begun = time.monotonic()
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            break
        except FileExistsError:
            _drop_old(path)
        except OSError as error:
            raise ProjectError(f"{folder} cannot be written ({error.strerror}); free space or permit writing there, then try again.") from error
        if time.monotonic() - begun > _WAIT_SECONDS:
            raise ProjectError(f"another process has been writing to project {folder.name} for {_WAIT_SECONDS:.0f} s; wait for it, or delete {path}.")
        time.sleep(_POLL_SECONDS)
    try:
        with suppress(OSError):  # on a full disk it is known by its age alone
            os.write(handle, f"{socket.gethostname()} {os.getpid()}".encode())
        os.close(handle)
        yield
    finally:
        path.unlink(missing_ok=True)


def _drop_old(path: Path) -> None:
    """Take away what a process left that was killed while it wrote; a live one takes a fraction of a second."""
    with suppress(OSError):
        host, _, pid = path.read_text(encoding="utf-8").rpartition(" ")
        ended = host == socket.gethostname() and not psutil.pid_exists(int(pid))
        if ended or time.time() - path.stat().st_mtime > STALE_SECONDS:
            path.unlink(missing_ok=True)
