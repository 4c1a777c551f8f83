"""A folder of cubes is added with one save, and what came before a bad cube stays."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hsi_ssl.errors import HsiError
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import cubes


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "field"
    made.mkdir()
    for number in range(5):
        np.save(made / f"cube{number}.npy", np.ones((6, 5, 4), dtype=np.uint16))
    return made


def test_a_folder_of_cubes_is_saved_once(folder, tmp_path, monkeypatch):
    project, saves = Project.create(tmp_path / "project"), []
    original = Project._save
    monkeypatch.setattr(Project, "_save", lambda self: saves.append(len(self.entries)) or original(self))
    run(cubes.add(project, folder))
    assert saves == [5]
    assert list(Project.open(project.folder).entries) == [f"cube{number}" for number in range(5)]


def test_cubes_before_a_bad_one_are_in(folder, tmp_path, monkeypatch):
    project = Project.create(tmp_path / "project")
    original = cubes.read_cube

    def read(path, **how):
        if path.stem == "cube3":
            raise HsiError("torn")
        return original(path, **how)

    monkeypatch.setattr(cubes, "read_cube", read)
    with pytest.raises(HsiError, match="torn"):
        run(cubes.add(project, folder))
    assert list(Project.open(project.folder).entries) == ["cube0", "cube1", "cube2"]


def test_cubes_before_a_cancel_are_in(folder, tmp_path):
    project = Project.create(tmp_path / "project")
    adding = cubes.add(project, folder)
    for progress in adding:
        if progress.done == 2:
            adding.close()
            break
    assert list(Project.open(project.folder).entries) == ["cube0", "cube1"]
