"""The run folder survives torn lines, stale locks and two trainers at once."""

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_hsi_ssl import files
from napari_hsi_ssl.config import PretrainConfig, RunConfig
from napari_hsi_ssl.errors import ProjectError, RunError
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.runs import folder as folder_module
from napari_hsi_ssl.runs import launch
from napari_hsi_ssl.runs.folder import RunFolder


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "run-1", RunConfig(kind="pretrain", pretrain=PretrainConfig()))


def test_a_name_is_given_once_and_the_configuration_survives(folder):
    assert folder.config == RunConfig(kind="pretrain", pretrain=PretrainConfig())
    with pytest.raises(RunError, match="there is a run 'run-1' already"):
        RunFolder.create(folder.path, folder.config)


def test_paths_of_the_configuration_start_at_the_run_folder(folder):
    assert folder.resolve("../inlets/a/pca.npz") == folder.path.parent / "inlets" / "a" / "pca.npz"
    assert folder.resolve(str(folder.path / "x")) == folder.path / "x"


@given(cut=st.integers(0, 200), junk=st.binary(max_size=20))
def test_a_torn_last_line_costs_no_other_event(tmp_path_factory, cut, junk):
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    for step in range(3):
        folder.emit("step", step=step, loss=float("nan"))
    path = folder.path / "events.jsonl"
    whole = path.read_bytes()
    kept = whole[: max(0, len(whole) - cut)]
    complete = kept.count(b"\n")
    path.write_bytes(kept + junk.replace(b"\n", b""))
    assert [event["step"] for event in folder.events()[0]] == [0, 1, 2][:complete]
    folder.emit("step", step=9)
    steps = [event["step"] for event in folder.events()[0]]
    assert steps[-1] == 9
    assert steps[:complete] == [0, 1, 2][:complete]
    assert all(event.get("loss") is None for event in folder.events()[0])


def test_reading_goes_on_where_it_stopped(folder):
    folder.emit("step", step=1)
    first, offset = folder.events()
    assert [event["step"] for event in first] == [1]
    assert folder.events(offset) == ([], offset)
    with (folder.path / "events.jsonl").open("a") as stream:
        stream.write('{"type": "step", "st')
    assert folder.events(offset) == ([], offset)
    with (folder.path / "events.jsonl").open("a") as stream:
        stream.write('ep": 2}\n[1]\nnonsense\n')
    second, end = folder.events(offset)
    assert [event["step"] for event in second] == [2]
    assert folder.events(0, end=offset)[0] == first
    assert end == (folder.path / "events.jsonl").stat().st_size


def test_a_resume_voids_the_steps_after_it(folder):
    for step in (1, 2, 3):
        folder.emit("step", step=step)
    folder.emit("resumed", step=1)
    folder.emit("step", step=2, loss=0.5)
    assert [(event["type"], event["step"]) for event in folder.history()] == [("step", 1), ("resumed", 1), ("step", 2)]


def test_the_last_event_of_a_kind_is_found_whatever_its_text_says(folder):
    assert folder.last("step") is None
    folder.emit("checkpoint", step=3)
    folder.emit("warning", message='a "checkpoint" in words')
    last = folder.last("checkpoint")
    assert last is not None
    assert last["step"] == 3


def test_states_follow_the_events(folder):
    assert folder.state == "new"
    folder.emit("launched", host=socket.gethostname(), pid=2**22 + 5, started=0.0)
    assert folder.state == "stopped"
    folder.emit("started")
    assert folder.state == "stopped"
    folder.emit("failed", message="x")
    assert folder.state == "failed"
    folder.emit("started")
    folder.emit("cancelled", step=3)
    assert folder.state == "cancelled"
    with folder.locked():
        assert folder.state == "running"
    folder.finish({"loss": 1.0, "nothing": float("nan")})
    assert folder.state == "finished"
    assert folder.result == {"loss": 1.0, "nothing": None}


def test_a_live_lock_refuses_a_second_trainer_and_goes_with_the_first(folder):
    with folder.locked():
        with pytest.raises(RunError, match=f"is being trained by process {os.getpid()} on"), folder.locked():
            pass
        assert folder.owner is not None
    assert folder.owner is None
    assert not (folder.path / "lock.json").exists()


def test_of_two_trainers_that_start_at_once_one_trains(folder, monkeypatch):
    """The other process writes its lock after we looked and before we are sure."""
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    write = folder._write_lock

    def write_then_be_overtaken():
        write()
        files.write_json(folder.path / "lock.json", {**folder_module.identity(other.pid), "heartbeat": time.time()})

    monkeypatch.setattr(folder, "_write_lock", write_then_be_overtaken)
    try:
        with pytest.raises(RunError, match=f"being trained by process {other.pid}"), folder.locked():
            pass
        assert (folder.path / "lock.json").exists()
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize(
    ("lock", "alive"),
    [
        ({"host": "here", "pid": os.getpid(), "started": 0.0, "heartbeat": 0.0}, False),  # the number was given to another process
        ({"host": "here", "pid": 2**22 + 5, "started": 0.0, "heartbeat": 1e12}, False),  # no such process
        ({"host": "elsewhere", "pid": 1, "started": 0.0, "heartbeat": -5.0}, True),
        ({"host": "elsewhere", "pid": 1, "started": 0.0, "heartbeat": -300.0}, False),  # silent for five minutes
        ({"host": "here"}, False),
        ({}, False),
    ],
)
def test_stale_locks_are_recognised(folder, lock, alive):
    if lock.get("host") == "here":
        lock = {**lock, "host": socket.gethostname()}
    if lock.get("heartbeat", 0.0) < 0:
        lock = {**lock, "heartbeat": time.time() + lock["heartbeat"]}
    (folder.path / "lock.json").write_text(json.dumps(lock))
    assert (folder.owner is not None) is alive


def test_a_torn_lock_is_no_lock(folder):
    (folder.path / "lock.json").write_text('{"host": "he')
    assert folder.owner is None


def test_the_heartbeat_beats_and_cancel_is_seen_while_the_trainer_is_busy(folder, monkeypatch):
    monkeypatch.setattr(folder_module, "HEARTBEAT_SECONDS", 0.1)
    with folder.locked() as cancelled:
        first = json.loads((folder.path / "lock.json").read_text())["heartbeat"]
        assert not cancelled.is_set()
        begin = time.monotonic()
        folder.request_cancel()
        assert cancelled.wait(2)
        assert time.monotonic() - begin < 2
        threading.Event().wait(0.5)
        assert json.loads((folder.path / "lock.json").read_text())["heartbeat"] > first
    assert folder.last("cancelling") is not None
    folder.clear_cancel()
    assert not folder.cancel_requested


def test_a_full_disk_neither_ends_the_heartbeat_nor_hides(folder, monkeypatch):
    monkeypatch.setattr(folder_module, "HEARTBEAT_SECONDS", 0.0)
    with folder.locked() as cancelled:
        real = files.write_json

        def full(path, value):
            raise ProjectError("no space left")

        monkeypatch.setattr(files, "write_json", full)
        threading.Event().wait(0.5)
        monkeypatch.setattr(files, "write_json", real)
        folder.request_cancel()
        assert cancelled.wait(2)
    (folder.path / "events.jsonl").unlink()
    (folder.path / "events.jsonl").mkdir()
    with pytest.raises(RunError, match=r"events\.jsonl cannot be written"):
        folder.emit("step", step=1)


def test_a_vanished_folder_is_named_and_does_not_come_back_as_half_of_one(folder, monkeypatch):
    monkeypatch.setattr(folder_module, "HEARTBEAT_SECONDS", 0.0)
    with folder.locked():
        shutil.rmtree(folder.path)
        time.sleep(0.5)
        with pytest.raises(RunError, match=r"run folder .*run-1 has vanished.*--resume\.$"):
            folder.emit("step", step=1)
    assert not folder.path.exists()
    for act in (launch.start, lambda gone: run(launch.follow(gone))):
        with pytest.raises(RunError, match="has vanished"):
            act(folder)


def test_a_read_only_folder_is_named(folder, monkeypatch):
    def read_only(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "touch", read_only)
    with pytest.raises(ProjectError, match=r"lock\.json cannot be written \(Read-only file system\)"), folder.locked():
        pass
    monkeypatch.setattr(type(folder.log_path), "open", read_only)
    for act in (lambda: folder.emit("step", step=1), lambda: launch.start(folder)):
        with pytest.raises(RunError, match=r"cannot be written .*Read-only file system"):
            act()


def test_a_lock_of_a_share_that_is_gone_ends_no_training(folder, monkeypatch):
    """Who has trained to the end must not fail because its lock cannot be taken away."""

    def stale(*_, **__):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    with folder.locked():
        monkeypatch.setattr(type(folder.path), "unlink", stale)
    monkeypatch.undo()
    assert (folder.path / "lock.json").exists()


def test_a_long_log_is_read_in_one_go(folder):
    line = json.dumps({"type": "step", "time": 1.0, "epoch": 1, "step": 1, "loss": 4.2, "throughput": 500.0, "seconds_left": 100.0})
    (folder.path / "events.jsonl").write_text((line + "\n") * 100_000)
    begin = time.perf_counter()
    assert len(folder.history()) == 100_000
    assert folder.state == "stopped"
    assert time.perf_counter() - begin < 20, "the log is read more than once"


def test_a_clock_that_is_set_ends_no_lock(folder, monkeypatch):
    """The system reckons the start of a process from its own, which moves with the clock: a second trainer could have started."""
    with folder.locked():
        ticks, real = psutil.Process().create_time(), psutil.boot_time()
        monkeypatch.setattr(psutil, "boot_time", lambda: real + 3600)
        monkeypatch.setattr(psutil.Process, "create_time", lambda _self: ticks + 3600)
        assert folder.owner is not None
        monkeypatch.setattr(psutil, "boot_time", lambda: real + 90)
        assert folder.owner is None, "another process that was given the same number"
