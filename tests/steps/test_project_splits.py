"""A split of a project's labels: previewed without a trace, written, noted, and found again when a map is scored."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_hsi_ssl.config import ClassifyConfig, DistilConfig, SplitConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.writers import write_envi_cube
from napari_hsi_ssl.errors import ConfigError, LabelError
from napari_hsi_ssl.files import plain
from napari_hsi_ssl.patches.audit import audit
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import cubes, recipe, run
from napari_hsi_ssl.steps.classify import classify
from napari_hsi_ssl.steps.judge import score
from napari_hsi_ssl.steps.project_splits import CODES, chosen_split, forget_split, held_out_labels, preview_split, split_project
from tests.patches.test_splits import field_image
from tests.test_bad_input import command

CONFIG = SplitConfig(block=16, guard=2, folds=3, validation=True)


@pytest.fixture
def project(tmp_path) -> Project:
    for number, name in enumerate(("one", "two", "three")):
        truth = field_image(number, side=64).astype(np.int32)
        values = truth[..., None] * [1.0, 2, 3] + np.random.default_rng(number).normal(0, 3, (64, 64, 3))
        write_envi_cube(tmp_path / "raw" / f"{name}.hdr", as_cube(values.astype(np.float32)))
    run(cubes.new(tmp_path / "project", [tmp_path / "raw"]))
    made = Project.open(tmp_path / "project")
    made.save_labels("one", field_image(0, side=64).astype(np.int32), {3: "wood", 6: "stone"})
    return made


def test_a_preview_shows_every_labelled_pixel_once_and_writes_nothing(project):
    before = sorted(path.name for path in project.folder.rglob("*"))
    seen = run(preview_split(project, CONFIG, number=2, window=3))
    labels, picture = project.labels("one"), seen.pictures["one"]
    np.testing.assert_array_equal(picture != 0, labels != 0)
    for role in ("train", "test", "validation"):
        np.testing.assert_array_equal(picture == CODES[role], getattr(seen.fold, role)["one"] != 0)
        assert seen.counts[role] == np.count_nonzero(picture == CODES[role])
    assert seen.counts["left out"] > 0
    assert seen.audit == audit(seen.fold.train["one"], seen.fold.test["one"], 3)
    assert (seen.folds, seen.fold.number) == (3, 2)
    assert run(preview_split(project, CONFIG, number=99)).fold.number == 3
    assert sorted(path.name for path in project.folder.rglob("*")) == before


def test_a_window_larger_than_the_cube_sees_all_of_it(project):
    assert run(preview_split(project, CONFIG, window=99)).audit["window"] == 64


def test_pixels_outside_the_mask_are_no_labels(project):
    mask = np.ones((64, 64), dtype=bool)
    mask[:, :20] = False
    project.save_mask("one", mask)
    assert (run(preview_split(project, CONFIG)).pictures["one"][:, :20] == 0).all()


def test_the_chosen_fold_is_noted_and_found_again(project):
    assert chosen_split(project) == {}
    report = run(split_project(project, CONFIG, number=2))
    again = Project.open(project.folder)
    found = chosen_split(again)
    assert set(found) == {"train", "test", "validation"}
    assert {role: {cube: str(path) for cube, path in part.items()} for role, part in found.items()} == {
        role: report["chosen"][role] for role in ("train", "test", "validation")
    }
    seen = run(preview_split(again, CONFIG, number=2))
    np.testing.assert_array_equal(tifffile.imread(found["train"]["one"]), seen.fold.train["one"])
    assert json.loads((found["train"]["one"].parent / "classes.json").read_text())["names"][:2] == ["wood", "stone"]
    run(forget_split(again))
    assert chosen_split(again) == {}
    run(split_project(project, CONFIG, number=1))
    found["train"]["one"].with_name("fold1_test.tif").unlink()
    assert chosen_split(project) == {}, "a file of it is gone"
    with pytest.raises(ConfigError, match="fold 4 is asked for, expected one of the 3"):
        run(split_project(project, CONFIG, number=4))


def test_other_labels_make_another_folder(project):
    first = run(split_project(project, CONFIG))["folder"]
    assert run(split_project(project, CONFIG))["folder"] == first
    project.save_labels("one", field_image(9, side=64).astype(np.int32))
    assert run(split_project(project, CONFIG))["folder"] != first


def test_a_map_is_scored_with_the_test_labels_of_its_split(project):
    report = run(split_project(project, CONFIG, number=2))
    train = chosen_split(project)["train"]
    made = run(classify(project, "spectra", ClassifyConfig(k=5), ["one"], train))
    path = project.folder / "maps" / f"{made['maps'][0]['cube']}--spectra--knn.tif"
    test = held_out_labels(project, path, "one")
    assert str(test) == report["folds"][1]["test"]
    assert run(score(path, test))["trained_on"] == 0
    made = run(classify(project, "spectra", ClassifyConfig(k=5), ["one"]))
    assert held_out_labels(project, path, "one") is None, "it has learned from all labels now"


def test_whole_cubes_of_a_project(project):
    for number, name in enumerate(("two", "three"), start=1):
        project.save_labels(name, field_image(number, side=64).astype(np.int32))
    seen = run(preview_split(project, SplitConfig(kind="cubes", folds=3)))
    assert {int(code) for picture in seen.pictures.values() for code in np.unique(picture)} == {0, 1, 2}
    assert seen.audit["overlap_share"] == 0
    report = run(split_project(project, SplitConfig(kind="cubes", folds=3), number=1))
    (tested,) = report["chosen"]["test"]
    assert set(report["chosen"]["train"]) == {"one", "two", "three"} - {tested}
    train = chosen_split(project)["train"]
    run(classify(project, "spectra", ClassifyConfig(k=5), [tested], train))
    found = held_out_labels(project, project.folder / "maps" / f"{tested}--spectra--knn.tif", tested)
    assert str(found) == report["chosen"]["test"][tested]


def test_a_project_without_labels_says_so(project):
    (project.folder / "labels" / "one.tif").unlink()
    with pytest.raises(LabelError, match="has no labels"):
        run(preview_split(project, CONFIG))


def test_the_command_line_splits_a_project(project):
    answer = command("split", project.folder, "--block", 16, "--guard", 2, "--folds", 3, "--validation")
    assert answer["folder"] == run(split_project(project, CONFIG))["folder"]
    assert "say where the folds go" in command("split", project.labels_path("one"), code=2)["error"]


def test_the_copied_command_and_script_do_what_the_window_does(project, capsys):
    config = CONFIG.model_copy(update={"per_class": 9, "test_per_class": 20, "repeats": 2, "seed": 3})
    made = recipe.split(project.folder, config)
    expected = run(split_project(project, config))
    assert command(*made.words)["folds"] == plain(expected["folds"])
    exec(made.python, {})
    assert expected["folder"] in capsys.readouterr().out


def test_a_distillation_on_a_split_is_copied_with_its_files(project):
    chosen = run(split_project(project, CONFIG, number=1))["chosen"]
    sides = {role: {cube: Path(path) for cube, path in chosen[role].items()} for role in ("train", "validation")}
    made = recipe.distil(project.folder, DistilConfig(window=9), None, **sides)
    assert f"--train one={chosen['train']['one']} --validation one={chosen['validation']['one']}" in made.command
    assert f"train={{'one': Path('{chosen['train']['one']}')}}" in made.python
    assert "--train" not in recipe.distil(project.folder, DistilConfig()).command
