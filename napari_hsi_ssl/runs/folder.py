"""A run's folder: the only thing a trainer and its watchers share.

``config.json  events.jsonl  checkpoints/  model.safetensors  model.json  result.json  log.txt  lock.json  cancel``
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import psutil

from napari_hsi_ssl import files
from napari_hsi_ssl.config import RunConfig, read_json
from napari_hsi_ssl.errors import RunError

HEARTBEAT_SECONDS = 2.0
STALE_SECONDS = 60.0
_POLL_SECONDS = 0.2

State = Literal["new", "running", "finished", "cancelled", "failed", "stopped"]


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
        """Return a path of the configuration as an absolute one; relative ones start at the run folder."""
        return Path(os.path.normpath(self.path.absolute() / path))

    @property
    def result(self) -> dict[str, Any] | None:
        """What the finished run wrote, or None before."""
        path = self.path / "result.json"
        return read_json(path) if path.exists() else None

    def finish(self, result: dict[str, Any]) -> None:
        """Write the result; from then on the run is finished."""
        files.write_json(self.path / "result.json", result)

    # -- events: the only channel from trainer to watcher -----------------------------------------------------------

    def emit(self, kind: str, **fields: Any) -> None:  # noqa: ANN401 - fields are whatever JSON carries
        """Append one event; a line is written in one call, so a reader sees it whole or torn at the end."""
        event = files.plain({"type": kind, "time": time.time(), **fields})
        line = json.dumps(event, allow_nan=False) + "\n"
        path = self.path / "events.jsonl"
        torn = path.exists() and not _ends_a_line(path)
        with path.open("a", encoding="utf-8") as stream:
            stream.write("\n" + line if torn else line)

    def events(self, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Read the whole events after ``offset`` bytes; returns them and the offset to go on from.

        Torn or unreadable lines are skipped.
        """
        path = self.path / "events.jsonl"
        if not path.exists():
            return [], offset
        with path.open("rb") as stream:
            stream.seek(offset)
            content = stream.read()
        end = content.rfind(b"\n") + 1
        found = []
        for line in content[:end].splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and "type" in event:
                found.append(event)
        return found, offset + end

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
            return lock if _alive(lock) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @contextmanager
    def locked(self) -> Iterator[threading.Event]:
        """Hold the run's lock with a heartbeat; gives an event that is set once a cancel is asked for.

        The request is acknowledged with an event ``cancelling`` at once, whatever the trainer is doing.

        Raises
        ------
        RunError
            When another live process trains here.
        """
        owner = self.owner
        if owner is not None:
            raise RunError(f"run '{self.name}' is being trained by process {owner['pid']} on {owner['host']}; wait for it, or cancel it first.")
        cancelled, leaving = threading.Event(), threading.Event()

        def beat() -> None:
            last = 0.0
            while not leaving.wait(_POLL_SECONDS):
                if not cancelled.is_set() and self.cancel_requested:
                    cancelled.set()
                    self.emit("cancelling", message="cancel seen; saving")
                if time.time() - last >= HEARTBEAT_SECONDS:
                    last = time.time()
                    try:
                        self._write_lock()
                    except Exception:  # noqa: BLE001 - a full disk must not end training from here
                        continue

        self._write_lock()
        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield cancelled
        finally:
            leaving.set()
            thread.join()
            (self.path / "lock.json").unlink(missing_ok=True)

    def _write_lock(self) -> None:
        process = psutil.Process()
        lock = {"host": socket.gethostname(), "pid": process.pid, "started": process.create_time(), "heartbeat": time.time()}
        files.write_json(self.path / "lock.json", lock)

    # -- state ------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the run stands: ``stopped`` means it ended without a word and can be resumed."""
        if self.result is not None:
            return "finished"
        if self.owner is not None:
            return "running"
        last = next((event["type"] for event in reversed(self.events()[0]) if event["type"] in _ENDINGS), None)
        if last is None:
            return "stopped" if (self.path / "events.jsonl").exists() else "new"
        return _ENDINGS[last]


_ENDINGS: dict[str, State] = {"cancelled": "cancelled", "failed": "failed", "started": "stopped", "resumed": "stopped"}


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as stream:
        if stream.seek(0, os.SEEK_END) == 0:
            return True
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"


def _alive(lock: dict[str, Any]) -> bool:
    if lock["host"] != socket.gethostname():
        return bool(time.time() - lock["heartbeat"] < STALE_SECONDS)
    try:
        process = psutil.Process(lock["pid"])
        same = abs(process.create_time() - lock["started"]) < 1.0
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
