"""A run's folder: the only thing a trainer and its watchers share.

``config.json  events.jsonl  checkpoints/  model.safetensors  model.json  result.json  log.txt  lock.json  cancel``
"""

from __future__ import annotations

import json
import math
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal

import psutil
from pydantic_core import from_json

from napari_hsi_ssl import files, trust
from napari_hsi_ssl.config import RunConfig, read_json
from napari_hsi_ssl.errors import DAMAGE, HsiError, RunError

HEARTBEAT_SECONDS = 2.0
STALE_SECONDS = 60.0
_POLL_SECONDS = 0.2
_SETTLE_SECONDS = 0.05
_MOST_EVENT_BYTES = 2**30
_MOST_EVENTS = 4_000_000
"""A trainer says something five times a second at most: more than a week."""
_BLOCK_BYTES = 2**18

State = Literal["new", "queued", "running", "finished", "cancelled", "failed", "stopped"]


class RunFolder:
    """One training run on disk.

    Parameters
    ----------
    path : Path
        The run's folder; `create` makes one.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @classmethod
    def create(cls, path: Path, config: RunConfig) -> RunFolder:
        """Make the folder and write its configuration.

        Raises
        ------
        RunError
            When there is a run of that name already.
        """
        folder = cls(path)
        if folder.config_path.exists():
            raise RunError(f"there is a run '{folder.name}' already; continue it with --resume, or choose another name with --run.")
        files.write_json(folder.config_path, config.model_dump(mode="json"))
        return folder

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.name

    @property
    def config_path(self) -> Path:
        """Where the configuration is."""
        return self.path / "config.json"

    @property
    def config(self) -> RunConfig:
        """The configuration, read anew."""
        return RunConfig.read(self.config_path)

    @property
    def model_path(self) -> Path:
        """Where the finished weights are; ``model.json`` beside them is their card."""
        return self.path / "model.safetensors"

    @property
    def log_path(self) -> Path:
        """Where the trainer's own output goes."""
        return self.path / "log.txt"

    @property
    def checkpoints(self) -> Path:
        """The folder of resume states."""
        return self.path / "checkpoints"

    def resolve(self, path: str) -> Path:
        """Return a path of the configuration as an absolute one; relative ones start at the run folder.

        Raises
        ------
        UntrustedError
            When it leads out of the project that the run lies in, and nobody gave that file to the project on this computer.
        """
        found = Path(os.path.normpath(self.path.absolute() / path))
        if self.home is not None:
            trust.require(self.home, found)
        return found

    @property
    def home(self) -> Path | None:
        """The folder of the project that the run lies in; None where it lies in none."""
        folder = self.path.absolute().parent
        return folder.parent if folder.name == "runs" and (folder.parent / "project.json").exists() else None

    def inputs(self) -> list[Path]:
        """Return the files that the configuration names, allowed or not."""
        config = self.config
        named = [name for cube in config.cubes for name in (cube.path, cube.mask)] + [label.path for label in config.labels]
        named += [config.inlet, config.patches, config.init, config.start]
        return [Path(os.path.normpath(self.path.absolute() / name)) for name in named if name]

    @property
    def result(self) -> dict[str, Any] | None:
        """What the finished run wrote, or None before."""
        path = self.path / "result.json"
        return read_json(path) if path.exists() else None

    @property
    def vanished(self) -> str:
        """The sentence for a folder that is gone while it is needed."""
        return f"run folder {self.path} has vanished: it was deleted, or its share is no longer there; bring it back, then continue with --resume."

    def finish(self, result: dict[str, Any]) -> None:
        """Write the result; from then on the run is finished."""
        files.write_json(self.path / "result.json", result)

    # -- events: the only channel from trainer to watcher -----------------------------------------------------------

    def emit(self, kind: str, **fields: Any) -> None:  # noqa: ANN401 - fields are whatever JSON carries
        """Append one event; a line is written in one call, so a reader sees it whole or torn at the end."""
        event = files.plain({"type": kind, "time": time.time(), **fields})
        line = json.dumps(event, allow_nan=False) + "\n"
        path = self.path / "events.jsonl"
        try:
            torn = path.exists() and not _ends_a_line(path)
            with path.open("a", encoding="utf-8") as stream:
                stream.write("\n" + line if torn else line)
        except OSError as error:
            if not self.config_path.exists():
                raise RunError(self.vanished) from error
            raise RunError(f"{path} cannot be written ({error.strerror}); free space or permit writing there, then continue with --resume.") from error

    def events(self, offset: int = 0, end: int | None = None) -> tuple[list[dict[str, Any]], int]:
        """Read the whole events between two byte offsets of the log; returns them and the offset to go on from.

        Torn or unreadable lines are skipped.
        """
        path = self.path / "events.jsonl"
        if not path.exists():
            return [], offset
        self._check_log(path)
        with path.open("rb") as stream:
            stream.seek(offset)
            content = stream.read(-1 if end is None else max(0, end - offset))
        if content.count(b"\n") > _MOST_EVENTS:
            raise RunError(f"{path} holds more than {_MOST_EVENTS:,} events, expected the log of one run; move it away to look at the run without it.")
        whole = content.rfind(b"\n") + 1
        found = [event for line in content[:whole].split(b"\n") if (event := _event(line)) is not None]
        return found, offset + whole

    def last(self, *kinds: str) -> dict[str, Any] | None:
        """Return the last event of one of the given types, or None."""
        path = self.path / "events.jsonl"
        if not path.exists():
            return None
        self._check_log(path)
        marks = [f'"{kind}"'.encode() for kind in kinds]
        for line in _lines_backwards(path):
            if any(mark in line for mark in marks):  # a long log is not decoded line by line
                event = _event(line)
                if event is not None and event["type"] in kinds:
                    return event
        return None

    def _check_log(self, path: Path) -> None:
        if not path.is_file() or path.stat().st_size > _MOST_EVENT_BYTES:
            raise RunError(f"{path} is no log of one run (a device, or more than {_MOST_EVENT_BYTES:,} bytes); move it away to look at the run without it.")

    def history(self) -> list[dict[str, Any]]:
        """Return the events that count: those of steps undone by a later resume are left out."""
        kept: list[dict[str, Any]] = []
        for event in self.events()[0]:
            if event["type"] == "resumed":
                start = event.get("step", 0)
                kept = [old for old in kept if old.get("step") is None or old["step"] <= start]
            kept.append(event)
        return kept

    # -- cancel -----------------------------------------------------------------------------------------------------

    def request_cancel(self) -> None:
        """Ask the trainer to save and leave."""
        files.write_bytes(self.path / "cancel", b"cancel\n")

    def clear_cancel(self) -> None:
        """Take a cancel request back, before a new start."""
        (self.path / "cancel").unlink(missing_ok=True)

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody asked the trainer to leave."""
        return (self.path / "cancel").exists()

    # -- lock -------------------------------------------------------------------------------------------------------

    @property
    def owner(self) -> dict[str, Any] | None:
        """The lock of the live trainer, or None when there is none or it is stale."""
        try:
            lock = json.loads((self.path / "lock.json").read_text(encoding="utf-8"))
            return lock if still_there(lock) else None
        except DAMAGE:
            return None

    @property
    def launched(self) -> dict[str, Any] | None:
        """The event of a process that was started for this run, has not said that it ended, and lives; None without one.

        Between its start and its lock a trainer is known by this alone.
        """
        event = self.last("launched", *_ENDINGS)
        try:
            return event if event is not None and event["type"] == "launched" and still_there(event) else None
        except DAMAGE:
            return None

    @property
    def alive(self) -> bool:
        """Whether a process trains here or is about to."""
        return self.owner is not None or self.launched is not None

    def emit_launched(self, pid: int, **fields: Any) -> None:  # noqa: ANN401 - fields are whatever JSON carries
        """Tell watchers that a process was started for this run."""
        self.emit("launched", **identity(pid), **fields)

    @contextmanager
    def locked(self) -> Iterator[threading.Event]:
        """Hold the run's lock with a heartbeat; gives an event that is set once a cancel is asked for.

        The request is acknowledged with an event ``cancelling`` at once, whatever the trainer is doing.

        Raises
        ------
        RunError
            When another live process trains here.
        """
        self._take_lock()
        cancelled, leaving = threading.Event(), threading.Event()

        def beat() -> None:
            last = 0.0
            while not leaving.wait(_POLL_SECONDS):
                try:
                    if not cancelled.is_set() and self.cancel_requested:
                        cancelled.set()
                        self.emit("cancelling", message="cancel seen; saving")
                    if time.time() - last >= HEARTBEAT_SECONDS:
                        last = time.time()
                        self._write_lock()
                except (HsiError, OSError):  # a full disk or a share that hangs must not end the heartbeat: the next beat may succeed
                    continue

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield cancelled
        finally:
            leaving.set()
            thread.join()
            with suppress(OSError):  # the share is gone, or read-only by now: the lock goes stale by itself
                (self.path / "lock.json").unlink(missing_ok=True)

    def _take_lock(self) -> None:
        owner = self.owner
        if owner is None:
            self._write_lock()
            time.sleep(_SETTLE_SECONDS)  # of two that start at once the later writer wins, and the other one sees it here
            owner = self.owner
            if owner is not None and owner["pid"] == os.getpid() and owner["host"] == socket.gethostname():
                return
        who = f"process {owner['pid']} on {owner['host']}" if owner else "another process"
        raise RunError(f"run '{self.name}' is being trained by {who}; wait for it, or cancel it first.")

    def _write_lock(self) -> None:
        if not self.config_path.exists():  # a folder that is gone must not come back with nothing but a lock
            raise RunError(self.vanished)
        files.write_json(self.path / "lock.json", {**identity(os.getpid()), "heartbeat": time.time()})

    # -- state ------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the run stands: ``queued`` on a cluster; ``stopped`` means it ended without a word and can be resumed."""
        if self.result is not None:
            return "finished"
        if self.alive:
            return "running"
        last = self.last("submitted", "requeued", "launched", "started", "resumed", *_ENDINGS)
        if last is None:
            return "stopped" if (self.path / "events.jsonl").exists() else "new"
        return "queued" if last["type"] in {"submitted", "requeued"} else _ENDINGS.get(last["type"], "stopped")


_ENDINGS: dict[str, State] = {"cancelled": "cancelled", "failed": "failed", "finished": "finished"}
"""Events that end a run, and the state they leave."""
_FIGURES: Final = {
    "time", "step", "total_steps", "epoch", "epochs", "loss", "throughput", "seconds_left", "seconds", "memory", "heartbeat",
    "knn_accuracy", "validation_accuracy", "accuracy", "alignment", "uniformity",
}  # fmt: skip
_BEYOND: Final = 1e300


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = from_json(line)  # five times as fast as `json` on a log of 100,000 lines
    except ValueError:
        return None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        return None
    return event if all(_is_figure(event[name]) for name in _FIGURES & event.keys()) and _are_figures(event.get("exits")) else None


def _is_figure(value: object) -> bool:
    """Whether a value is a number that can be reckoned with and shown, or none; NaN is neither."""
    return value is None or (isinstance(value, int | float) and abs(value) < _BEYOND)


def _are_figures(values: object) -> bool:
    return values is None or (isinstance(values, list) and all(map(_is_figure, values)))


def _lines_backwards(path: Path) -> Iterator[bytes]:
    """Yield the whole lines of a log, last one first; of a long log the end is read alone."""
    with path.open("rb") as stream:
        end, kept = stream.seek(0, os.SEEK_END), b""
        torn = True  # what stands behind the last line break is no line yet
        while end > 0:
            begin = stream.seek(max(0, end - _BLOCK_BYTES))
            kept, *lines = (stream.read(end - begin) + kept).split(b"\n")
            end = begin
            if lines and torn:
                lines.pop()
                torn = False
            yield from reversed(lines)
            if len(kept) > 4 * _BLOCK_BYTES:  # no event is so long
                kept, torn = b"", True
        if not torn:
            yield kept


def identity(pid: int) -> dict[str, Any]:
    """Return what tells a process from all others: its number may be given again, its start time may not."""
    try:
        started = psutil.Process(pid).create_time()
    except psutil.Error:  # it has ended already
        started = 0.0
    return {"host": socket.gethostname(), "pid": pid, "started": started, "after_boot": started - psutil.boot_time()}


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as stream:
        if stream.seek(0, os.SEEK_END) == 0:
            return True
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"


def still_there(lock: dict[str, Any]) -> bool:
    """Whether the process that took a lock lives; of another computer its heartbeat tells."""
    if lock["host"] != socket.gethostname():
        return bool(time.time() - lock.get("heartbeat", lock.get("time", 0.0)) < STALE_SECONDS)
    try:
        process = psutil.Process(lock["pid"])
        started = process.create_time()
        # Where a clock is set, the system says that its start, and that of every process, was at another time.
        same = min(abs(started - lock["started"]), abs(started - psutil.boot_time() - lock.get("after_boot", -math.inf))) < 1.0
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
