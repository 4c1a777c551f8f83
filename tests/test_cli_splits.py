"""`split` and `audit` on the command line: what they write, what they say, and one sentence for every input that is no split."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import tifffile

from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.rasters import read_labels
from napari_hsi_ssl.cubes.writers import write_envi_cube
from tests.patches.test_splits import chebyshev_gap, field_image
from tests.test_bad_input import command


def saved(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return path


@pytest.fixture
def labels(tmp_path) -> Path:
    return saved(tmp_path / "scene.npy", field_image(1, side=96))


def read(folder: Path, name: str) -> np.ndarray:
    return tifffile.imread(folder / f"{name}.tif").astype(int)


def test_the_plain_split_has_the_plain_names(labels, tmp_path):
    out = tmp_path / "split"
    answer = command("split", labels, "--kind", "blocks", "--block", 20, "--guard", 3, "--folds", 3, "--out", out)
    files = {f"fold{number}_{role}.tif" for number in (1, 2, 3) for role in ("test", "train")}
    assert {path.name for path in out.iterdir()} == {*files, "split.json"}
    assert len(answer["folds"]) == 3
    for number, row in enumerate(answer["folds"], start=1):
        assert row["train"] == str(out / f"fold{number}_train.tif")
        assert row["n_train"] == np.count_nonzero(read(out, f"fold{number}_train"))
        assert row["n_test"] == np.count_nonzero(read(out, f"fold{number}_test"))
        assert chebyshev_gap(read(out, f"fold{number}_train"), read(out, f"fold{number}_test")) > 3
    kept = json.loads((out / "split.json").read_text())
    assert kept["folds"][0]["train"] == "fold1_train.tif"
    assert (kept["block"], kept["guard"], kept["one_place"]) == (20, 3, [])


def test_repeats_validation_and_the_guard_of_a_window(labels, tmp_path):
    out = tmp_path / "split"
    options = ("--block", 24, "--window", 5, "--folds", 3, "--repeats", 2, "--validation", "--per-class", 30, "--test-per-class", 40)
    answer = command("split", labels, *options, "--out", out)
    assert answer["guard"] == 4
    assert [Path(row["validation"]).name for row in answer["folds"]] == [f"repeat{r}_fold{k}_validation.tif" for r in (1, 2) for k in (1, 2, 3)]
    for row in answer["folds"]:
        for role in ("test", "validation"):
            seen = command("audit", "--train", row["train"], "--test", row[role], "--window", 5)
            assert seen["overlap_share"] == 0
        assert max(np.unique(tifffile.imread(row["train"]), return_counts=True)[1][1:]) <= 30
        assert max(np.unique(tifffile.imread(row["test"]), return_counts=True)[1][1:]) == 40


def test_few_labels_a_class_drawn_ten_times(labels, tmp_path):
    answer = command("split", labels, "--kind", "random", "--per-class", 10, "--repeats", 10, "--out", tmp_path / "split")
    assert [Path(row["train"]).name for row in answer["folds"]] == [f"repeat{number}_fold1_train.tif" for number in range(1, 11)]
    truth = np.load(labels)
    trains = [tifffile.imread(row["train"]) for row in answer["folds"]]
    for row, train in zip(answer["folds"], trains, strict=True):
        assert (np.unique(train[train != 0], return_counts=True)[1] == 10).all()
        np.testing.assert_array_equal(train + tifffile.imread(row["test"]), truth)
    assert len({train.tobytes() for train in trains}) == 10


def test_a_share_of_random_pixels(labels, tmp_path):
    (row,) = command("split", labels, "--kind", "random", "--share", 0.9, "--out", tmp_path / "split")["folds"]
    assert row["n_train"] / (row["n_train"] + row["n_test"]) == pytest.approx(0.1, abs=0.01)


def test_a_class_of_one_place_is_listed_and_not_scored(tmp_path):
    image = field_image(6)
    image[2:5, 2:5] = 99
    answer = command("split", saved(tmp_path / "one.npy", image), "--block", 20, "--guard", 2, "--out", tmp_path / "split")
    assert answer["one_place"] == [99]
    (alone,) = [row for row in answer["folds"] if row["only_in_test"]]
    assert alone["not_scored"] == {"99": 9}
    assert all((tifffile.imread(row["test"]) != 99).all() for row in answer["folds"])


@pytest.mark.parametrize("kind", ["cubes", "tiles"])
def test_whole_cubes_are_dealt_by_file(tmp_path, kind):
    paths = [saved(tmp_path / "tiles" / f"tile{number}.npy", field_image(number, side=24)) for number in range(6)]
    answer = command("split", *paths[:-1], f"last={paths[-1]}", "--kind", kind, "--folds", 3, "--validation", "--out", tmp_path / "split")
    names = {*(path.stem for path in paths[:-1]), "last"}
    assert answer["kind"] == "cubes"
    for row in answer["folds"]:
        assert row["train"].keys() | row["test"].keys() | row["validation"].keys() == names
        for role in ("train", "test", "validation"):
            for cube, path in row[role].items():
                assert Path(path) == tmp_path / "split" / f"fold{row['fold']}_{role}" / f"{cube}.tif"
                source = paths[-1] if cube == "last" else tmp_path / "tiles" / f"{cube}.npy"
                assert set(np.unique(tifffile.imread(path))) <= set(np.unique(np.load(source)))
    assert sorted(name for row in answer["folds"] for name in row["test"]) == sorted(names)


def test_names_of_classes_go_with_the_folds(tmp_path):
    saved(tmp_path / "scene.npy", field_image())
    (tmp_path / "classes.json").write_text(json.dumps({"numbers": [3, 6], "names": ["wood", "stone"]}))
    command("split", tmp_path / "scene.npy", "--block", 20, "--guard", 1, "--out", tmp_path / "split")
    assert read_labels(tmp_path / "split" / "fold1_train.tif", (80, 80))[1] == {3: "wood", 6: "stone"}


# -- the audit ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def scene(tmp_path) -> dict[str, Path]:
    """A cube whose spectra tell the classes, and a split of its labels by halves."""
    truth = np.where(np.arange(60)[:, None] < 30, 1, 2) * np.ones((1, 50), dtype=int)
    values = truth[..., None] * 100 + np.random.default_rng(0).normal(0, 5, (60, 50, 4))
    write_envi_cube(tmp_path / "raw" / "scene.hdr", as_cube(values.astype(np.float32)))
    sides = {"train": np.where(np.arange(50) < 20, truth, 0), "test": np.where(np.arange(50) >= 23, truth, 0)}
    return {"cube": tmp_path / "raw" / "scene.hdr", **{name: saved(tmp_path / f"{name}.npy", image) for name, image in sides.items()}}


def test_the_audit_tells_spectra_and_a_map_by_distance(scene, tmp_path):
    wrong = saved(tmp_path / "wrong.npy", 3 - np.load(scene["test"]) * (np.load(scene["test"]) > 0))
    answer = command("audit", "--train", scene["train"], "--test", scene["test"], "--window", 3, "--cube", scene["cube"], "--map", wrong)
    assert answer["overlap_share"] == 0
    assert {row["spectra"] for row in answer["by_distance"]} == {1}
    assert {row["map"] for row in answer["by_distance"]} == {0}
    assert sum(row["n"] for row in answer["by_distance"]) == answer["n_test"]
    assert set(answer["falls"]) == {"position", "spectra", "map"}


def test_a_project_audits_several_cubes(scene, tmp_path):
    other = np.full((60, 50, 4), 100, dtype=np.float32)
    other[:, 25:] = 200
    write_envi_cube(tmp_path / "raw" / "other.hdr", as_cube(other))
    command("new", tmp_path / "project", "--cubes", tmp_path / "raw")
    truth = saved(tmp_path / "truth.npy", np.where(np.arange(50) < 25, 1, 2) * np.ones((60, 1), dtype=int))
    answer = command("audit", tmp_path / "project", "--train", f"scene={scene['train']}", "--test", f"other={truth}", "--window", 9)
    assert (answer["centre_share"], answer["overlap_share"], answer["nearest_distance"]) == (0, 0, None)
    assert answer["by_distance"] == [{"from": None, "to": None, "n": 3000, "position": 0.5, "spectra": 1.0}]
    both = command("audit", tmp_path / "project", "--train", f"scene={scene['train']}", "--test", f"other={truth}", "--test", f"scene={scene['test']}")
    assert both["n_test"] == 3000 + 27 * 60
    assert "no cube 'x'" in command("audit", tmp_path / "project", "--train", f"x={truth}", "--test", f"other={truth}", code=1)["error"]


PUBLISHED = [
    ("IndianTR123_temp123.tif", "IndianTE123_temp123.tif", 695, 9671),
    ("TRpavia_fixed.mat", "TSpavia_fixed.mat", 3921, 40002),
    ("houston_gt.mat#houston_gt_tr", "houston_gt.mat#houston_gt_te", 2832, 12197),
]


@pytest.mark.parametrize(("train", "test", "n_train", "n_test"), PUBLISHED)
def test_published_splits_load_as_they_are(shared_data, train, test, n_train, n_test):
    answer = command("audit", "--train", shared_data / "splits" / train, "--test", shared_data / "splits" / test)
    assert (answer["n_train"], answer["n_test"]) == (n_train, n_test)
    assert answer["falls"]["position"]["distance"] is not None


def test_every_label_map_can_be_split_or_says_which_arrays_it_holds(shared_data, tmp_path):
    several = []
    for path in sorted((shared_data / "splits").iterdir()):
        options = ("--kind", "random", "--per-class", 5, "--out", tmp_path / path.stem)
        if path.name in {"houston_gt.mat"}:
            asked = command("split", path, *options, code=1)
            several.append(path.name)
            assert {"houston_gt_tr", "houston_gt_te"} <= set(asked["candidates"])
            assert f"{path.name}#NAME" in asked["error"]
            path = path.with_name(f"{path.name}#{asked['candidates'][0]}")  # noqa: PLW2901 - the same file, one array of it
        assert command("split", path, *options)["folds"][0]["n_train"] > 0
    assert several == ["houston_gt.mat"]


# -- what is no split -----------------------------------------------------------------------------------------------------


def test_labels_that_are_no_split_are_one_sentence_each(labels, tmp_path):
    truth = np.load(labels).astype(int)
    half = {side: saved(tmp_path / f"{side}.npy", np.where((np.arange(96) < 48) == (side == "train"), truth, 0)) for side in ("train", "test")}

    def audited(train, test, *options):
        return command("audit", "--train", train, "--test", test, *options, code=1)["error"]

    assert f"{np.count_nonzero(truth)} pixel(s) are labelled in both train and test" in audited(labels, labels)
    assert "(96, 96) and test labels (96, 95)" in audited(half["train"], saved(tmp_path / "narrow.npy", truth[:, 1:]))
    assert "a window of 97 pixels is larger than the image of 96×96" in audited(half["train"], half["test"], "--window", 97)
    assert "the window is 0 pixels" in audited(half["train"], half["test"], "--window", 0)
    assert "the test labels hold no labelled pixel" in audited(half["train"], saved(tmp_path / "none.npy", truth * 0))
    nan = saved(tmp_path / "nan.npy", np.where(truth == 3, np.nan, truth))
    assert "no numbers (NaN or infinite)" in audited(half["train"], nan)
    assert "no numbers (NaN or infinite)" in command("split", nan, "--out", tmp_path / "x", code=1)["error"]
    assert "(96, 96)" in audited(half["train"], half["test"], "--map", saved(tmp_path / "map.npy", truth[1:]))
    lacking = saved(tmp_path / "lacking.npy", np.where(np.load(half["train"]) == 3, 0, np.load(half["train"])))
    assert "classes 3 have no training pixel and cannot be found" in command("audit", "--train", lacking, "--test", half["test"], "--window", 9)["verdict"]


def test_labels_that_train_and_judge_a_distillation_are_refused(scene, tmp_path):
    command("new", tmp_path / "project", "--cubes", tmp_path / "raw")
    given = ("distil", tmp_path / "project", "--train", f"scene={scene['train']}", "--validation")
    assert "1200 pixel(s) of 'scene' are labelled in both train and validation" in command(*given, f"scene={scene['train']}", code=1)["error"]
    other = saved(tmp_path / "other.npy", np.load(scene["test"]) * 9)
    assert "none of the classes 9, 18 of the validation labels is trained" in command(*given, f"scene={other}", code=1)["error"]
    assert "no numbers (NaN or infinite)" in command(*given, f"scene={saved(tmp_path / 'nan.npy', np.full((60, 50), np.nan))}", code=1)["error"]
    assert not (tmp_path / "project" / "runs").exists()


@pytest.mark.parametrize(
    ("image", "options", "words"),
    [
        (np.diag([7, 0, 0, 0, 0, 0, 0, 0, 0]), (), "1 labelled pixel(s)"),
        (np.ones((9, 9), dtype=int), (), "one class (1)"),
        (np.zeros((9, 9), dtype=int), (), "0 labelled pixel(s)"),
        (field_image(), ("--guard", 90), "guard of 90 pixels leaves no training pixel in fold 1"),
        (field_image(), ("--window", 81), "guard of 80 pixels leaves no training pixel in fold 1"),
        (field_image(), ("--folds", 1), "one fold has nothing to train on"),
        (field_image(), ("--share", 0.5), "kind 'random' alone"),
        (field_image(), ("--per-class", 0), "per_class"),
        (field_image(), ("--kind", "cubes"), "1 label file(s) hold labels, expected at least one cube for each of 4 folds"),
        (field_image(), ("--block", 500), "lie in 1 blocks"),
        (np.ones((4, 4, 4)), (), "expected an image (y, x)"),
    ],
)
def test_what_cannot_be_split_is_one_sentence_and_writes_nothing(tmp_path, image, options, words):
    assert words in command("split", saved(tmp_path / "scene.npy", image), *options, "--out", tmp_path / "split", code=1)["error"]
    assert not (tmp_path / "split").exists()


def test_two_files_of_one_name_need_names(tmp_path):
    paths = [saved(tmp_path / folder / "gt.npy", field_image(number)) for number, folder in enumerate("ab")]
    assert "both called 'gt'" in command("split", *paths, "--kind", "cubes", "--folds", 2, "--out", tmp_path / "x", code=1)["error"]
    answer = command("split", f"one={paths[0]}", f"two={paths[1]}", "--kind", "cubes", "--folds", 2, "--out", tmp_path / "x")
    assert answer["labels"] == {"one": str(paths[0]), "two": str(paths[1])}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["split", "x.npy", "--out", "y", "--kind", "circles"], "not random, blocks, fields, cubes or tiles"),
        (["split", "x.npy", "--out", "y", "--guard", 3, "--window", 9], "give one of the two"),
        (["split", "x.npy", "--out", "y", "--window", 0], "not at least 1"),
        (["audit", "--train", "a", "--train", "b", "--test", "c"], "give PROJECT"),
        (["audit", "--test", "c"], "--train"),
    ],
)
def test_wrong_usage(words, told):
    assert told in command(*words, code=2)["error"]


def test_a_mat_file_of_one_label_image_needs_no_key(tmp_path):
    scipy.io.savemat(tmp_path / "one.mat", {"gt": field_image(), "name": "scene"})
    assert command("split", tmp_path / "one.mat", "--block", 20, "--guard", 1, "--out", tmp_path / "x")["labels"] == {"one": str(tmp_path / "one.mat")}
