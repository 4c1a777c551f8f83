"""Cubes that have moved are found by what they hold, never by their name alone."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from napari_hsi_ssl import Project, run
from napari_hsi_ssl.errors import ProjectError
from napari_hsi_ssl.steps.cubes import new
from napari_hsi_ssl.steps.relink import relink


@pytest.fixture
def moved(tmp_path):
    """A project of two cubes of the same name, moved away; another file of that name lies beside them."""
    generator = np.random.default_rng(0)
    for domain in ("coffee", "sugar"):
        (tmp_path / "old" / domain).mkdir(parents=True)
        np.save(tmp_path / "old" / domain / "cube.npy", generator.random((6, 5, 4)))
    run(new(tmp_path / "project", [tmp_path / "old"]))
    shutil.move(tmp_path / "old", tmp_path / "disk" / "new")
    (tmp_path / "disk" / "aaa").mkdir()
    np.save(tmp_path / "disk" / "aaa" / "cube.npy", generator.random((6, 5, 4)))
    return Project.open(tmp_path / "project"), tmp_path


def test_each_cube_finds_its_own_file(moved):
    project, folder = moved
    before = {name: entry.domain for name, entry in project.entries.items()}
    report = run(relink(project, folder / "disk"))
    assert (set(report["found"]), report["other"], report["missing"]) == (set(before), {}, [])
    for name, entry in Project.open(project.folder).entries.items():
        assert entry.path == folder / "disk" / "new" / before[name] / "cube.npy"
        assert Project.open(project.folder).cube(name).shape == (6, 5, 4)


def test_a_file_of_that_name_with_other_content_is_told_and_not_taken(moved):
    project, folder = moved
    before = project.entries
    report = run(relink(project, folder / "disk" / "aaa"))
    assert report["found"] == {}
    assert set(report["other"]) == set(report["missing"]) == set(before)
    assert Project.open(project.folder).entries == before


def test_cubes_in_their_place_are_left_alone(moved):
    project, folder = moved
    run(relink(project, folder / "disk"))
    assert run(relink(project, folder / "disk" / "aaa")) == {"found": {}, "other": {}, "missing": []}


def test_no_folder_is_one_sentence(moved):
    project, folder = moved
    with pytest.raises(ProjectError, match="is no folder"):
        run(relink(project, folder / "nowhere"))
