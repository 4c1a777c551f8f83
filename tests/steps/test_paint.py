"""Strokes become maps, labels and suggestions, by the command line as by the step that the window runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from napari_hsi_ssl.cli import app
from napari_hsi_ssl.config import PaintConfig
from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.cubes.writers import load_map
from napari_hsi_ssl.errors import CancelledError, LabelError
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import classes, cubes, recipe
from napari_hsi_ssl.steps.paint import paint, strokes_as_labels
from napari_hsi_ssl.steps.painting import follow, prepare_ground
from tests.gui.conftest import write_cube

SHAPE = (40, 36)


def command(*words: object, code: int = 0) -> dict:
    result = CliRunner().invoke(app, [*map(str, words), "--json"], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two cubes of one camera with a bright disc each, one with other bands."""
    paths = [write_cube(tmp_path / "raw" / "one" / f"{name}.hdr", (*SHAPE, 12), seed=seed) for seed, name in enumerate(("a", "b"))]
    paths.append(write_cube(tmp_path / "raw" / "two" / "c.hdr", (*SHAPE, 9), seed=5))
    run(cubes.new(tmp_path / "project", paths))
    return Project.open(tmp_path / "project")


def disc() -> np.ndarray:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (y - SHAPE[0] / 2) ** 2 + (x - SHAPE[1] / 2) ** 2 < (min(SHAPE) / 3) ** 2


def strokes(*numbers: int) -> np.ndarray:
    """Return a stroke inside of the disc and one outside."""
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[18:22, 16:21] = numbers[0]
    drawn[1:4, 2:30] = numbers[-1]
    return drawn


def test_two_strokes_make_the_map_of_the_whole_cube(project, tmp_path):
    tifffile.imwrite(tmp_path / "s.tif", strokes(1, 2))
    report = command("paint", project.folder, "--cube", "a", "--strokes", tmp_path / "s.tif")
    (row,) = report["maps"]
    found = load_map(Path(row["path"]))
    assert ((found.labels == 1) == disc()).mean() > 0.98
    assert row["areas"] == {"class 1": int((found.labels == 1).sum()), "class 2": int((found.labels == 2).sum())}
    assert all(0.5 < share <= 1 for share in row["sure"].values())
    assert report["painted"] == {"a": int((strokes(1, 2) > 0).sum())}
    assert Path(row["path"]).name == "a--training-free--painted.tif"
    assert found.provenance["head"] == "logistic"
    assert found.provenance["painted"] == report["painted"]
    assert project.strokes("a") is None, "a file that is given is not taken for what was painted in the window"
    for one in report["suggestions"]:
        assert not strokes(1, 2)[one["y"], one["x"]]
        assert 0 < one["doubt"] < 1


@pytest.mark.parametrize("head", ["logistic", "prototype", "knn"])
def test_the_window_shows_the_map_that_the_command_saves(project, head):
    config = PaintConfig(head=head)
    project.save_strokes("a", strokes(3, 7))
    run(paint(project, "a", config))
    saved = load_map(project.map_path("a", "training-free", "painted"))
    ground = run(prepare_ground(project, "a"))
    shown = run(follow(ground, strokes(3, 7), config))
    assert shown.complete
    assert (shown.map.labels == saved.labels).mean() > 0.999
    np.testing.assert_allclose(shown.map.confidence, saved.confidence, atol=1e-3)
    assert shown.pixels[3] == (shown.map.labels == 3).sum()
    assert shown.painted[[3, 7]].tolist() == [20, 84]
    assert {one.number for one in shown.suggestions} <= set(range(1, 6))


def test_the_command_in_the_card_makes_the_same_map_again(project):
    project.save_strokes("a", strokes(1, 2))
    run(paint(project, "a"))
    path = project.map_path("a", "training-free", "painted")
    first = load_map(path)
    command(*first.provenance["command"].split()[1:])
    np.testing.assert_array_equal(load_map(path).labels, first.labels)


def test_a_head_is_applied_to_all_cubes(project):
    project.save_strokes("a", strokes(1, 2))
    report = command("paint", project.folder, "--cube", "a", "--all")
    assert [row["cube"] for row in report["maps"]] == ["a", "b", "c"]
    found = load_map(project.map_path("b", "training-free", "painted"))
    assert ((found.labels == 1) == disc()).mean() > 0.95, "a cube of the same camera that nobody painted on"
    assert found.provenance["cube"] == "b"


def test_what_is_painted_on_another_cube_counts_too(project):
    """Else one has to paint every class on every cube."""
    project.save_strokes("a", strokes(1, 2))
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[18:22, 16:21] = 3
    project.save_strokes("b", drawn)
    ground = run(prepare_ground(project, "b"))
    assert ground.painted == {"a": int((strokes(1, 2) > 0).sum())}
    shown = run(follow(ground, drawn, PaintConfig()))
    assert set(np.unique(shown.map.labels)) <= {1, 2, 3}
    assert (shown.map.labels[~disc()] == 2).mean() > 0.95
    alone = run(prepare_ground(project, "b", others=False))
    with pytest.raises(LabelError, match=r"only one class \('class 3'\) is painted on cube 'b'"):
        run(follow(alone, drawn, PaintConfig()))
    assert "only one class" in command("paint", project.folder, "--cube", "b", "--no-others", code=1)["error"]


def test_strokes_become_training_labels_beside_those_that_are_there(project):
    old = np.zeros(SHAPE, np.int32)
    old[30:34, 5:9] = 5
    old[18, 16] = 5
    project.save_labels("a", old, {5: "stone"})
    project.save_strokes("a", strokes(1, 2))
    report = command("paint", project.folder, "--cube", "a", "--as-labels")
    assert report["labels"]["replaced"] == 1
    labels = project.labels("a")
    assert (labels[30:34, 5:9] == 5).all()
    np.testing.assert_array_equal(labels[strokes(1, 2) > 0], strokes(1, 2)[strokes(1, 2) > 0])
    assert project.classes.named == {1: "class 1", 2: "class 2", 5: "stone"}


def test_what_has_become_stale_is_given_up(project):
    ground = run(prepare_ground(project, "a"))
    with pytest.raises(CancelledError):
        run(follow(ground, strokes(1, 2), PaintConfig(), stale=lambda: True))


def test_painting_in_vain_is_said_in_a_sentence(project, tmp_path):
    def fails(*words: object) -> str:
        sentence = command("paint", project.folder, "--cube", "a", *words, code=1)["error"]
        assert sentence.count(". ") == 0
        return sentence

    assert "nothing is painted on cube 'a' yet" in fails()
    tifffile.imwrite(tmp_path / "none.tif", np.zeros(SHAPE, np.uint8))
    assert "holds no stroke" in fails("--strokes", tmp_path / "none.tif")
    tifffile.imwrite(tmp_path / "one.tif", strokes(4, 4))
    assert "only one class ('class 4')" in fails("--strokes", tmp_path / "one.tif")
    tifffile.imwrite(tmp_path / "small.tif", strokes(1, 2)[1:])
    assert "(39, 36)" in fails("--strokes", tmp_path / "small.tif")
    tifffile.imwrite(tmp_path / "two.tif", strokes(1, 2))
    assert "no run 'gone'" in fails("--strokes", tmp_path / "two.tif", "--run", "gone")
    mask = np.zeros(SHAPE, bool)
    mask[30:] = True
    project.save_mask("a", mask)
    assert "104 painted pixels of cube 'a' lie outside of its mask" in fails("--strokes", tmp_path / "two.tif")
    project.save_mask("a", np.zeros(SHAPE, bool))
    assert "has no used pixel" in fails("--strokes", tmp_path / "two.tif")
    with pytest.raises(LabelError, match="no strokes to learn from"):
        run(strokes_as_labels(project, "a"))


def test_a_cube_that_has_changed_is_embedded_anew(project, tmp_path):
    project.save_strokes("a", strokes(1, 2))
    run(paint(project, "a"))
    before = load_map(project.map_path("a", "training-free", "painted")).provenance["embedding"]
    write_cube(tmp_path / "raw" / "one" / "a.hdr", (*SHAPE, 12), seed=77)
    told: list[str] = []
    run(paint(Project.open(project.folder), "a"), lambda progress: told.append(progress.message) if progress.warning else None)
    assert len(told) == 1
    assert "'a' has changed since it was added" in told[0]
    assert load_map(project.map_path("a", "training-free", "painted")).provenance["embedding"] != before


# -- classes --------------------------------------------------------------------------------------------------------------


def test_classes_are_added_renamed_recoloured_and_merged_everywhere(project):
    project.save_strokes("a", strokes(1, 2))
    project.save_labels("b", strokes(2, 3))
    project.save_classes(Classes.of([1, 2, 3]))
    assert command("classes", project.folder, "--add", "leaf", "--colour", "#ABCDEF")["number"] == 4
    command("classes", project.folder, "--class", 1, "--name", "bean")
    command("classes", project.folder, "--class", 2, "--colour", "#010203")
    assert project.classes.named == {1: "bean", 2: "class 2", 3: "class 3", 4: "leaf"}
    assert project.classes.coloured[2] == "#010203"
    assert project.classes.coloured[4] == "#abcdef"
    report = command("classes", project.folder, "--class", 2, "--into", 1)
    assert report["cubes"] == ["a", "b"]
    assert report["pixels"] == 84 + 20
    assert set(np.unique(project.strokes("a"))) == {0, 1}
    assert set(np.unique(project.labels("b"))) == {0, 1, 3}
    assert project.classes.numbers == (1, 3, 4)
    assert command("classes", project.folder)["classes"]["names"] == ["bean", "class 3", "leaf"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda project: classes.change_class(project, 9, "x"), "no class number 9"),
        (lambda project: classes.change_class(project, 1, "class 2"), "called 'class 2' already"),
        (lambda project: classes.change_class(project, 1, colour="red"), "no colour of the form"),
        (lambda project: classes.merge_classes(project, 1, 1), "into itself"),
        (lambda project: classes.merge_classes(project, 1, 8), "no class number 8"),
    ],
)
def test_classes_that_cannot_be_are_refused(project, make, words):
    project.save_classes(Classes.of([1, 2]))
    with pytest.raises(LabelError, match=words):
        run(make(project))
    assert project.classes == Classes.of([1, 2])


def test_there_is_room_for_255_classes(project):
    project.save_classes(Classes.of([255]))
    with pytest.raises(LabelError, match="merge some"):
        run(classes.add_class(project))


@pytest.mark.parametrize("how", [{}, {"every": True, "as_labels": True}])
def test_what_is_copied_from_the_window_does_the_same(project, how):
    project.save_strokes("a", strokes(1, 2))
    config = PaintConfig(head="knn", others=False, suggestions=2)
    made = recipe.paint(project.folder, "a", config, "training-free", **how)
    report = command(*made.words)
    assert report["head"] == "knn"
    assert len(report["maps"]) == (3 if how else 1)
    assert len(report["suggestions"]) <= 2
    assert ("labels" in report) == bool(how)
    first = load_map(project.map_path("a", "training-free", "painted")).labels
    exec(made.python, {})
    np.testing.assert_array_equal(load_map(project.map_path("a", "training-free", "painted")).labels, first)
