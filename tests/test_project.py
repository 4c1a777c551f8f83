"""The project folder finds again what was put into it, also after a move."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.errors import ConfigError, ProjectError
from napari_hsi_ssl.project import CubeEntry, Project, unique_name


@pytest.fixture
def project(tmp_path) -> Project:
    np.save(tmp_path / "a.npy", np.arange(4 * 5 * 6, dtype=np.uint16).reshape(4, 5, 6))
    project = Project.create(tmp_path / "project")
    project.put(CubeEntry("a", "coffee", tmp_path / "a.npy", (4, 5, 6)))
    return project


def test_what_was_saved_is_there_on_opening(project):
    project.set_crop("a", (1, 1, 3, 4))
    again = Project.open(project.folder)
    assert again.entries == project.entries
    assert again.entry("a").crop == (1, 1, 3, 4)
    assert again.domains == ("coffee",)
    assert again.cube("a").shape == (4, 5, 6)


def test_a_project_that_moves_with_its_cubes_still_opens_them(project, tmp_path):
    assert json.loads((project.folder / "project.json").read_text())["cubes"][0]["path"] == "../a.npy"
    shutil.move(tmp_path / "a.npy", tmp_path / "b.npy")
    new = tmp_path / "elsewhere"
    new.mkdir()
    shutil.move(project.folder, new / "project")
    shutil.move(tmp_path / "b.npy", new / "a.npy")
    assert Project.open(new / "project").cube("a").shape == (4, 5, 6)


def test_the_area_is_the_mask_within_the_crop(project):
    assert project.area("a").all()
    mask = np.zeros((4, 5), dtype=bool)
    mask[:, :3] = True
    project.save_mask("a", mask)
    project.set_crop("a", (0, 1, 2, 5))
    expected = np.zeros((4, 5), dtype=bool)
    expected[0:2, 1:3] = True
    assert (project.area("a") == expected).all()


def test_masks_and_labels_of_another_shape_are_refused(project):
    with pytest.raises(ProjectError, match=r"\(4, 5\)"):
        project.save_mask("a", np.ones((5, 4), dtype=bool))
    with pytest.raises(ProjectError, match=r"\(2, 2\)"):
        project.save_labels("a", np.ones((2, 2), dtype=int))
    assert project.mask("a") is None


def test_class_numbers_and_names_are_kept(project):
    labels = np.zeros((4, 5), dtype=int)
    labels[0, 0], labels[1, 1] = 300, 7
    project.save_labels("a", labels, {7: "leaf"})
    assert (project.labels("a") == labels).all()
    assert project.classes.numbers == (7, 300)
    assert project.classes.names == ("leaf", "class 300")
    project.save_labels("a", labels * 0 + 9, {300: "stem"})
    assert project.classes.numbers == (7, 9, 300), "a class that is used elsewhere is not forgotten"
    assert project.classes.names == ("leaf", "class 9", "stem")


def test_a_cube_that_went_or_changed_is_named(project, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 5, 7)))
    with pytest.raises(ProjectError, match="add the file again"):
        project.cube("a")
    (tmp_path / "a.npy").unlink()
    with pytest.raises(ProjectError, match="gone"):
        project.cube("a")


@pytest.mark.parametrize(("content", "error"), [("{", ConfigError), ('{"schema_version": 9}', ProjectError), ('{"schema_version": 1}', ProjectError)])
def test_a_broken_project_file_is_named(tmp_path, content, error):
    (tmp_path / "project.json").write_text(content)
    with pytest.raises(error, match=r"project\.json"):
        Project.open(tmp_path)


def test_an_unknown_field_of_a_cube_is_refused(project):
    path = project.folder / "project.json"
    content = json.loads(path.read_text())
    content["cubes"][0]["surprise"] = 1
    path.write_text(json.dumps(content))
    with pytest.raises(ProjectError, match="surprise"):
        Project.open(project.folder)


def test_missing_steps_are_named_with_the_command_that_makes_them(project):
    with pytest.raises(ProjectError, match="napari-hsi-ssl pca"):
        project.scores("a")
    with pytest.raises(ProjectError, match="napari-hsi-ssl patches"):
        project.patch_index()
    with pytest.raises(ProjectError, match="no run"):
        project.run_folder("../runs")


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b", "a:b"])
def test_a_run_name_cannot_leave_the_project(project, name):
    with pytest.raises(ProjectError, match="name"):
        project.new_run_path("pretrain", name)


def test_names_are_made_unique_with_the_folder_then_a_number(project):
    assert unique_name("scan", "coffee", []) == "scan"
    assert unique_name("scan", "coffee", ["scan"]) == "coffee_scan"
    assert unique_name("scan", "coffee", ["scan", "coffee_scan"]) == "coffee_scan_2"
    project.put(replace(project.entry("a"), domain="tea"))
    assert project.domains == ("tea",)


def test_a_listed_folder_says_which_cubes_have_masks_labels_and_scores(project):
    name = next(iter(project.entries))
    assert project.masked == project.labelled == project.projected == set()
    project.save_mask(name, np.ones(project.entry(name).shape[:2], dtype=bool))
    project.save_mask(name, np.ones(project.entry(name).shape[:2], dtype=bool))
    (project.folder / "masks" / "of a removed cube.tif").touch()
    (project.folder / "labels").mkdir()
    (project.folder / "labels" / "classes.json").touch()
    assert project.masked == {name}
    assert project.labelled == set()
    os.utime(project.folder / "masks", (1, 1))  # long unchanged, so that what is found is kept
    assert project.masked == {name}
    project.mask_path(name).unlink()
    assert project.masked == set()


def test_strokes_are_kept_beside_the_labels(project):
    """Else what was painted is gone after closing the window, or takes the place of labels."""
    name = next(iter(project.entries))
    shape = project.entry(name).shape[:2]
    assert project.strokes(name) is None
    assert project.painted == set()
    strokes = np.zeros(shape, np.uint8)
    strokes[0, 1] = 3
    project.save_strokes(name, strokes)
    np.testing.assert_array_equal(project.strokes(name), strokes)
    assert project.painted == {name}
    assert project.labels(name) is None
    with pytest.raises(ProjectError, match="expected"):
        project.save_strokes(name, strokes[1:])


def test_colours_of_classes_outlive_new_labels(project):
    """Else every class changes its colour when another one is painted."""
    name = next(iter(project.entries))
    labels = np.zeros(project.entry(name).shape[:2], np.int32)
    labels[0, 0] = 5
    project.save_classes(Classes((5,), ("leaf",), ("#123456",)))
    labels[0, 1] = 2
    project.save_labels(name, labels, {2: "tray"})
    assert project.classes.coloured[5] == "#123456"
    assert project.classes.named == {2: "tray", 5: "leaf"}


def test_what_was_noted_of_another_projection_is_not_taken_for_the_current_one(project):
    """A PCA that is killed between its note and `project.json` would else pin the wrong chain in the next run."""
    project.note("pca", {"inlet": "old", "chain": {"steps": []}})
    project.inlet = "old"
    assert project.settled("pca")["inlet"] == "old"
    project.note("pca", {"inlet": "new"})
    with pytest.raises(ProjectError, match="making them was interrupted; run `napari-hsi-ssl pca"):
        Project.open(project.folder).settled("pca")
    project.inlet = "new"
    assert project.settled("pca")["inlet"] == "new"
    assert project.settled("patches") == {}


def test_half_a_map_of_a_killed_writer_is_no_map(project):
    """Its temporary card ends in .json too."""
    (project.folder / "maps").mkdir()
    (project.folder / "maps" / ".a--b--knn.json.0123abcd-1.00112233.json").write_text("{}")
    assert project.maps() == []
