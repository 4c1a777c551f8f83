"""Two windows, or a window and a command, on one project: nothing is overwritten unseen, reading stays possible, and the dead block nobody."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from napari_hsi_ssl import files
from napari_hsi_ssl.errors import HsiWarning, ProjectChangedError, ProjectError
from napari_hsi_ssl.project import CubeEntry, Project
from napari_hsi_ssl.project_lock import Presence, holder, stamp_of, writing
from napari_hsi_ssl.runs.folder import identity


@pytest.fixture
def project(tmp_path) -> Project:
    np.save(tmp_path / "a.npy", np.zeros((4, 5, 6), dtype=np.uint16))
    project = Project.create(tmp_path / "project")
    project.put(CubeEntry("a", "coffee", tmp_path / "a.npy", (4, 5, 6)))
    return project


@pytest.fixture
def stranger():
    """A live process that is not this one."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.communicate(b"\n")


def take(project, **lock) -> None:
    files.write_json(project.folder / "lock.json", {"token": "theirs", "since": time.time(), "heartbeat": time.time(), **lock})


def test_what_another_has_written_is_not_overwritten_and_is_read_again(project):
    other = Project.open(project.folder)
    other.set_crop("a", (1, 1, 3, 4))
    with pytest.raises(ProjectChangedError, match=r"project.json has been changed by another window or command since .* repeat what you did\."):
        project.inlet = "abc"
    assert Project.open(project.folder).inlet is None
    assert project.entry("a").crop == (1, 1, 3, 4)
    project.inlet = "abc"  # repeated, now that it has seen the other's work
    again = Project.open(project.folder)
    assert (again.inlet, again.entry("a").crop) == ("abc", (1, 1, 3, 4))
    with pytest.raises(ProjectChangedError):
        other.remove("a")
    assert "a" in other.entries, "what was refused did not happen here either"


def test_notes_of_two_are_put_together(project):
    other = Project.open(project.folder)
    threads = [
        threading.Thread(target=one.note, args=(f"{name}{number}", {"n": number})) for number in range(8) for name, one in (("x", project), ("y", other))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(json.loads((project.folder / "preprocessing.json").read_text())) == 16


def test_a_project_that_is_gone_does_not_come_back_by_a_write(project):
    (project.folder / "project.json").unlink()
    for write in (lambda: setattr(project, "inlet", "abc"), lambda: project.note("mask", {}), lambda: project.save_mask("a", np.ones((4, 5), dtype=bool))):
        with pytest.raises(ProjectError, match="is gone"):
            write()
    assert not (project.folder / "project.json").exists()
    assert not (project.folder / "masks").exists()


def test_a_command_is_told_of_a_window_once_and_writes_all_the_same(project, stranger):
    take(project, **identity(stranger.pid))

    def write() -> None:
        project.note("mask", {})
        project.save_mask("a", np.ones((4, 5), dtype=bool))
        project.inlet = "abc"

    with pytest.warns(HsiWarning, match=rf"project is open in a window \(process {stranger.pid} on .*, since \d\d:\d\d\); what is changed") as told:
        write()
    assert len(told) == 1
    assert Project.open(project.folder).inlet == "abc"


def test_the_dead_and_the_silent_hold_nothing(project):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for lock in (identity(gone.pid), {"host": "elsewhere", "pid": 1, "started": 0.0, "heartbeat": time.time() - 100}, {"pid": 1}):
        take(project, **lock)
        assert holder(project.folder) is None
    (project.folder / "lock.json").write_text("{")
    assert holder(project.folder) is None
    take(project, host="elsewhere", pid=1, started=0.0)
    assert holder(project.folder)["host"] == "elsewhere"


def test_a_window_holds_the_project_until_it_leaves_and_the_second_looks_on(project, monkeypatch):
    monkeypatch.setattr("napari_hsi_ssl.project_lock._BEAT_SECONDS", 0.02)
    first = Presence(project.folder)
    assert first.other is None
    second = Presence(project.folder)
    assert second.other["pid"] == os.getpid()
    before = stamp_of(project.folder / "lock.json")
    deadline = time.monotonic() + 10
    while stamp_of(project.folder / "lock.json") == before:
        assert time.monotonic() < deadline, "no heartbeat"
        time.sleep(0.01)
    first.release()
    while holder(project.folder) is None:  # the second takes over
        assert time.monotonic() < deadline
        time.sleep(0.01)
    second.release()
    assert not (project.folder / "lock.json").exists()


def test_a_folder_that_is_gone_does_not_come_back_with_a_lock(project, tmp_path):
    Presence(tmp_path / "elsewhere").release()
    assert not (tmp_path / "elsewhere").exists()


def test_writers_take_turns_and_one_that_was_killed_is_passed_over(project, monkeypatch):
    path = project.folder / ".writing"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    path.write_text(f"{socket.gethostname()} {gone.pid}")
    with writing(project.folder):
        assert path.exists()
        monkeypatch.setattr("napari_hsi_ssl.project_lock._WAIT_SECONDS", 0.1)
        with pytest.raises(ProjectError, match="another process has been writing to project project"), writing(project.folder):
            pass
    assert not path.exists()
