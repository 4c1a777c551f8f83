"""A second window on one project is told so; what it may not overwrite it reads again."""

from __future__ import annotations

import json
import subprocess
import sys
import time

from napari_hsi_ssl import files
from napari_hsi_ssl.gui.desk import desk_for
from napari_hsi_ssl.gui.forms.cubes import CubesForm
from napari_hsi_ssl.gui.presence import claim_for
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.folder import identity
from napari_hsi_ssl.steps.cubes import crop


def test_a_window_claims_the_project_and_leaves_it_for_the_next(viewer, project, tmp_path, qtbot):
    desk = desk_for(viewer)
    assert claim_for(desk) is claim_for(desk)
    desk.open_project(project)
    lock = project.folder / "lock.json"
    qtbot.waitUntil(lock.exists, timeout=5000)
    assert json.loads(lock.read_text())["host"]
    desk.open_project(Project.create(tmp_path / "next"))
    qtbot.waitUntil(lambda: not lock.exists() and (tmp_path / "next" / "lock.json").exists(), timeout=5000)


def test_a_second_window_is_told_who_has_the_project_open(viewer, project, qtbot):
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        files.write_json(project.folder / "lock.json", {**identity(other.pid), "token": "theirs", "since": time.time(), "heartbeat": time.time()})
        desk = desk_for(viewer)
        claim_for(desk)
        said = []
        desk.message.connect(lambda words, level: said.append((words, level)))
        desk.open_project(project)
        qtbot.waitUntil(lambda: bool(said), timeout=5000)
        assert f"is open in another window (process {other.pid} on" in said[0][0]
        assert said[0][1] == "warning"
        assert json.loads((project.folder / "lock.json").read_text())["token"] == "theirs"
    finally:
        other.communicate(b"\n")


def test_what_another_changed_is_shown_when_a_step_is_refused(viewer, project, qtbot):
    form = CubesForm(viewer)
    viewer.window.add_dock_widget(form)
    form.desk.open_project(project)
    name = next(iter(project.entries))
    Project.open(project.folder).remove(name)
    changed = []
    form.desk.project_changed.connect(lambda: changed.append(True))
    form.run(crop(project, next(reversed(project.entries)), (0, 0, 4, 4)), None, "cropping")
    qtbot.waitUntil(lambda: not form.running, timeout=5000)
    assert "has been changed by another window or command" in form.words.text()
    assert changed
    assert name not in form.desk.project.entries
    assert form.desk.cube in form.desk.project.entries
