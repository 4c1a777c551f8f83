"""A run is started, followed, cancelled, killed and resumed; nothing of it depends on the process that watches."""

import json
import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from napari_hsi_ssl.config import PretrainConfig, RunConfig
from napari_hsi_ssl.errors import CancelledError, RunError
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.runs import launch, story
from napari_hsi_ssl.runs.folder import RunFolder
from tests.runs.test_compute import REPOSITORY, wait_until


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "_TRAINER", "tests.runs.fake_trainer")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    made = RunFolder.create(tmp_path / "run-1", RunConfig(kind="pretrain", pretrain=PretrainConfig()))
    yield made
    launch.stop(made, force_after=0)


def behave(folder, **how):
    (folder.path / "behave.json").write_text(json.dumps(how))


def until_locked(folder):
    assert wait_until(lambda: folder.owner is not None)
    return folder.owner["pid"]


def test_a_run_is_followed_to_its_result(folder):
    behave(folder)
    launch.start(folder)
    seen = []
    assert run(launch.follow(folder), seen.append) == {"loss": 4.0}
    assert "epoch 1 of 2 · loss 4.212 · 512 patches/s · 3 min left" in [progress.message for progress in seen]
    last = [progress for progress in seen if progress.data.get("type") == "step"][-1]
    assert (last.done, last.total) == (5, 5)
    assert folder.state == "finished"
    assert not folder.alive
    # Who comes later sees the same story and result.
    again = []
    assert run(launch.follow(folder), again.append) == {"loss": 4.0}
    assert {progress.data["step"] for progress in again if progress.data.get("type") == "step"} == {1, 2, 3, 4, 5}
    _, end = folder.events()
    assert [progress.data["type"] for progress in launch_events(folder, since=end)] == []
    launch.start(folder, resume=True)
    assert not folder.alive
    with pytest.raises(RunError, match="finished; choose another name"):
        launch.start(folder)


def launch_events(folder, since):
    found = []
    run(launch.follow(folder, since=since), found.append)
    return found


def test_events_before_the_given_offset_are_not_told_again(folder):
    folder.emit("started", total_steps=2, epochs=1)
    folder.emit("step", step=1, epoch=1, loss=1.0)
    _, offset = folder.events()
    folder.emit("step", step=2, epoch=1, loss=0.5)
    folder.finish({"loss": 0.5})
    told = launch_events(folder, since=offset)
    assert [progress.data.get("step") for progress in told] == [2]
    assert told[0].total == 2


def test_a_trainer_that_has_not_taken_its_lock_yet_is_not_gone(folder):
    behave(folder, before_lock=1.0)
    launch.start(folder)
    steps = launch.follow(folder)
    begin = time.monotonic()
    while time.monotonic() - begin < 0.6:
        next(steps)
    assert folder.owner is None
    assert folder.state == "running"
    with pytest.raises(RunError, match="trained already"):
        launch.start(folder)
    assert run(steps) == {"loss": 4.0}


def test_a_trainer_that_has_ended_leaves_no_process_behind(folder):
    """In a window that is open for a day every training would stay in the system's table, until the next one is started."""
    behave(folder)
    launch.start(folder)
    pid = folder.last("launched")["pid"]
    run(launch.follow(folder))
    assert wait_until(lambda: not psutil.pid_exists(pid), 30)


def test_a_second_start_is_refused_and_harms_nothing(folder):
    behave(folder, pause=0.1)
    launch.start(folder)
    until_locked(folder)
    with pytest.raises(RunError, match="run 'run-1' is being trained already"):
        launch.start(folder, resume=True)
    assert run(launch.follow(folder)) == {"loss": 4.0}


def test_a_failure_is_told_in_the_trainers_words(folder):
    behave(folder, fail="the loss became NaN at step 5; lower the learning rate.")
    launch.start(folder)
    with pytest.raises(RunError, match=r"^the loss became NaN at step 5; lower the learning rate\.$"):
        run(launch.follow(folder))
    assert folder.state == "failed"
    with pytest.raises(RunError, match="the loss became NaN"):  # also for one who asks for later news alone
        run(launch.follow(folder, since=folder.events()[1]))
    # An old failure does not spoil a new start.
    behave(folder)
    launch.start(folder, resume=True)
    assert run(launch.follow(folder)) == {"loss": 4.0}


def test_dying_at_once_is_told_with_the_last_words(folder):
    folder.log_path.write_text("words of an earlier start\n")
    behave(folder, complain="ImportError: no such thing")
    launch.start(folder)
    with pytest.raises(RunError, match=r'without a word.*its log ends with "ImportError: no such thing".*--resume'):
        run(launch.follow(folder))
    assert folder.state == "stopped"
    assert folder.log_path.read_text().startswith("words of an earlier start\n")


def test_kill_nine_is_told_and_the_run_resumes(folder):
    behave(folder, pause=0.2, steps=50)
    launch.start(folder)
    pid = until_locked(folder)
    steps = launch.follow(folder)
    while next(steps).data.get("type") != "step":
        pass
    psutil.Process(pid).kill()
    begin = time.monotonic()
    with pytest.raises(RunError, match=r"stopped without a word.*--resume"):
        run(steps)
    assert time.monotonic() - begin < 2
    assert folder.owner is None
    behave(folder)
    launch.start(folder, resume=True)
    assert run(launch.follow(folder)) == {"loss": 4.0}
    assert [event["step"] for event in folder.history() if event["type"] == "step"] == [1, 4, 5]


def test_cancel_is_acknowledged_within_two_seconds_and_the_run_can_start_again_at_once(folder):
    behave(folder, pause=0.1, steps=100)
    launch.start(folder)
    until_locked(folder)
    begin = time.time()
    assert launch.stop(folder)
    acknowledged = folder.last("cancelling")
    assert acknowledged is not None
    assert acknowledged["time"] - begin < 2
    with pytest.raises(CancelledError, match=r"run 'run-1' was cancelled.*--resume"):
        run(launch.follow(folder))
    assert folder.state == "cancelled"
    behave(folder)
    launch.start(folder, resume=True)
    assert run(launch.follow(folder)) == {"loss": 4.0}


def test_a_trainer_that_does_not_leave_is_killed_with_its_ranks(folder):
    behave(folder, deaf=True, pause=0.1, steps=1000, rank=True)
    launch.start(folder)
    pid = until_locked(folder)
    assert wait_until(lambda: (folder.path / "rank").exists() and (folder.path / "rank").read_text())
    rank = psutil.Process(int((folder.path / "rank").read_text()))
    assert not launch.stop(folder, force_after=0.6)
    assert wait_until(lambda: not psutil.pid_exists(pid), 30)
    assert wait_until(lambda: not rank.is_running() or rank.status() == psutil.STATUS_ZOMBIE)
    assert folder.state == "cancelled"
    with pytest.raises(CancelledError, match="before its first checkpoint"):
        run(launch.follow(folder))


def test_leaving_the_watcher_leaves_the_run(folder):
    behave(folder, pause=0.1)
    launch.start(folder)
    steps = launch.follow(folder)
    while next(steps).data.get("type") != "step":
        pass
    steps.close()
    assert folder.alive
    assert run(launch.follow(folder)) == {"loss": 4.0}


@pytest.mark.skipif(not hasattr(os, "nice"), reason="niceness and sessions are POSIX")
def test_it_runs_apart_and_in_the_background(folder):
    behave(folder, pause=0.1)
    launch.start(folder, background=True)
    pid = until_locked(folder)
    assert psutil.Process(pid).nice() == 19
    assert os.getsid(pid) == pid != os.getsid(0)
    run(launch.follow(folder))
    assert "fake trainer here" in folder.log_path.read_text()


def test_a_run_on_another_computer_is_not_killed_from_here(folder):
    lock = {"host": "elsewhere", "pid": os.getpid(), "started": 0.0, "heartbeat": time.time()}
    (folder.path / "lock.json").write_text(json.dumps(lock))
    with pytest.raises(RunError, match="runs on elsewhere"):
        launch.stop(folder, force_after=0.2)
    (folder.path / "lock.json").unlink()


def test_a_run_never_started_says_so(folder):
    with pytest.raises(RunError, match="has not been started"):
        run(launch.follow(folder))
    assert launch.stop(folder)


@pytest.mark.parametrize(("seconds", "words"), [(-1, "0 s"), (42.4, "42 s"), (200, "3 min"), (7500, "2 h 5 min")])
def test_durations_in_words(seconds, words):
    assert story.duration(seconds) == words


def test_the_last_line_of_a_log(tmp_path: Path):
    log = tmp_path / "log.txt"
    assert launch.last_line(log) == ""
    log.write_bytes(b"first\n" + b"x" * 9000 + b"\nlast \xff word\n\n")
    assert launch.last_line(log) == "last � word"
    assert launch.last_line(log, begin=log.stat().st_size) == ""


def test_the_watcher_needs_the_interpreter_it_runs_in(folder, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(folder.path / "no-python"))
    with pytest.raises(RunError, match="cannot be started"):
        launch.start(folder)
    assert folder.state == "new"
