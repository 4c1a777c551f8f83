"""The simple rivals: known figures on a published split, and no look at test spectra."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_hsi_ssl.errors import ConfigError, LabelError
from napari_hsi_ssl.mapping.baselines.judge import baselines, judge, validate
from napari_hsi_ssl.mapping.baselines.plain import local_mean
from napari_hsi_ssl.mapping.baselines.rows import QUICK, ROWS, row_of, rows_of
from napari_hsi_ssl.mapping.baselines.task import make_task
from napari_hsi_ssl.progress import run

FAST = ("position", "knn", "svm", "lda", "svm-means")


def scene(seed=0, side=36, bands=40):
    """Three materials in stripes, noisy spectra; left half to train, right half to test."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(side) // 4 % 3 + 4, side).reshape(side, side)
    spectra = np.sin(np.linspace(0, 6, bands) + np.arange(3)[:, None])
    cube = 100 + 10 * spectra[labels - 4] + generator.normal(0, 5, (side, side, bands))
    train, test = labels.copy(), labels.copy()
    train[:, side // 2 :], test[:, : side // 2] = 0, 0
    return cube, train, test


def test_figures_known_for_indian_pines(shared_data):
    """README of the data: kNN 57.95 / 66.12, SVM 73.54 / 82.75, SVM on PCs and means 90.40 / 95.24, position 91.83 / 95.89."""
    datasets = pytest.importorskip("tensorly.datasets", reason="tensorly carries Indian Pines and is not installed")
    cube = np.asarray(datasets.load_indian_pines().tensor)
    train, test = (tifffile.imread(shared_data / "splits" / f"Indian{side}123_temp123.tif") for side in ("TR", "TE"))
    found = {row["key"]: (round(row["oa"], 4), round(row["aa"], 4)) for row in run(baselines(cube, train, test, which=FAST, tune=False))}
    assert found["position"] == (0.9183, 0.9589)
    assert found["knn"] == pytest.approx((0.5795, 0.6612), abs=5e-4)
    assert found["svm"] == pytest.approx((0.7354, 0.8275), abs=5e-4)
    assert found["svm-means"] == pytest.approx((0.9040, 0.9524), abs=0.01)
    assert found["lda"][0] > 0.75


def test_every_baseline_learns_a_plain_scene():
    cube, train, test = scene()
    watched = []
    rows = run(baselines(cube, train, test, which=[key for key in QUICK if key != "forest"]), watched.append)
    assert [row["key"] for row in rows] == [key for key in QUICK if key != "forest"]
    assert [progress.done for progress in watched] == list(range(len(rows) + 1))
    for row in rows:
        assert row["oa"] > 0.8, row
        assert row["aa"] == pytest.approx(row["oa"], abs=0.1)
        assert row["kappa"] == pytest.approx(1.5 * row["oa"] - 0.5, abs=0.02)  # three equal classes
        assert row["seconds"] > 0
        assert row["name"] == ROWS[row["key"]].words


def test_forest_follows_the_seed():
    cube, train, test = scene(bands=6)
    first, again, other = (run(baselines(cube + 0, train, test, seed, which=["forest"]))[0]["oa"] for seed in (0, 0, 1))
    assert first == again
    assert 0.5 < other <= 1


def test_spectra_of_test_pixels_teach_nothing():
    """A scaler or a PCA fitted on test pixels would change the predictions for the others."""
    cube, train, test = scene()
    few = np.zeros_like(test)
    few[:, -1] = test[:, -1]
    spoiled = cube.copy()
    # Beyond the reach (7 pixels) of the widest local mean around the last column, and not in train.
    spoiled[:, 19:27] *= 50
    for key in ("knn", "svm", "lda", "svm-means", "trees"):
        before, after = (run(baselines(image, train * (np.arange(36) < 10), few, which=[key]))[0]["oa"] for image in (cube, spoiled))
        assert before == after, key


def test_local_mean_is_the_mean_of_the_window():
    image = np.random.default_rng(0).normal(size=(9, 11, 2)).astype(np.float32)
    mirrored = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="symmetric")
    expected = [[mirrored[y : y + 5, x : x + 5].mean(axis=(0, 1)) for x in range(11)] for y in range(9)]
    np.testing.assert_allclose(local_mean(image, 5), expected, atol=1e-5)


def test_unmeasured_pixels_and_classes_of_one_pixel_do_no_harm():
    cube, train, test = scene()
    cube[3, 3:30] = np.nan
    cube[20, 20, 7] = np.inf
    train[0, 0] = 9
    rows = run(baselines(cube, train, test, which=FAST))
    assert all(row["oa"] > 0.75 for row in rows)


def test_bad_input_is_named():
    cube, train, test = scene()
    with pytest.raises(LabelError, match=r"labels have shape \(36, 36\) and the cube \(35, 36, 40\)"):
        run(baselines(cube[1:], train, test))
    with pytest.raises(LabelError, match="labelled in both"):
        run(baselines(cube, train, train))
    with pytest.raises(LabelError, match=r"one class \(4\)"):
        run(baselines(cube, np.where(train == 4, 4, 0), test))
    with pytest.raises(LabelError, match="no training pixel was measured"):
        run(baselines(np.full_like(cube, np.nan), train, test))
    with pytest.raises(ConfigError, match="no baseline 'cnn', expected some of position, knn"):
        run(baselines(cube, train, test, which=["cnn"]))


def test_classes_without_training_pixels_are_not_scored():
    cube, train, test = scene()
    task = make_task({"a": cube}, {"a": np.where(train == 5, 0, train)}, {"a": test})
    assert task.absent == {5: int((test == 5).sum())}
    assert 5 not in task.truth
    assert run(judge(task, row_of("knn")))["oa"] > 0.9
    with pytest.raises(LabelError, match="none of the test classes 5 has a training pixel"):
        make_task({"a": cube}, {"a": np.where(train == 5, 0, train)}, {"a": np.where(test == 5, 5, 0)})


def test_parts_are_held_out_as_the_test_is():
    """Choices made on parts that lie nearer than the test would favour what interpolates."""
    y, x = np.mgrid[:90, :90]
    labels = 1 + (y // 6 + x // 6) % 2
    cube = np.random.default_rng(0).normal(size=(90, 90, 3)) + labels[..., None]
    far = make_task({"a": cube}, {"a": np.where(x < 55, labels, 0)}, {"a": np.where(x > 62, labels, 0)})
    assert far.gap == 9  # columns 54 and 63
    assert len(far.inner) == 3
    for part in far.inner:
        assert part.gap >= 9
        assert not ((part.train["a"] != 0) & (part.test["a"] != 0)).any()
        assert not ((part.train["a"] + part.test["a"])[x >= 55] != 0).any(), "the test labels play no part"
    among = make_task({"a": cube}, {"a": np.where((y + x) % 2, labels, 0)}, {"a": np.where((y + x) % 2, 0, labels)})
    assert among.gap == 1
    assert all(part.gap <= 2 for part in among.inner)
    tiles = {f"t{number}": cube for number in range(6)}
    train = {f"t{number}": labels for number in range(5)}
    apart = make_task(tiles, train, {"t5": labels})
    assert apart.gap is None
    for part in apart.inner:
        assert not any(part.train[name].any() and part.test[name].any() for name in tiles), "whole cubes are held out"


def test_labels_too_few_to_hold_any_out_leave_the_defaults():
    cube, train, test = scene()
    few = np.zeros_like(train)
    for number in (4, 5, 6):
        few.ravel()[np.flatnonzero(train == number)[0]] = number
    task = make_task({"a": cube}, {"a": few}, {"a": test})
    assert task.inner == ()
    assert run(validate(task, row_of("knn")))["accuracies"] == []
    answer = run(judge(task, row_of("svm")))
    assert answer["C"] == 100
    assert "validation" not in answer


def test_position_of_a_cube_without_training_pixels_is_the_largest_class():
    cube, train, test = scene()
    larger = np.where(train == 4, 4, np.where(np.arange(36) < 6, train, 0))
    task = make_task({"a": cube, "b": cube}, {"a": larger}, {"b": test})
    assert run(judge(task, row_of("position")))["oa"] == pytest.approx((test[test != 0] == 4).mean())


def test_several_cubes_teach_and_judge_together():
    cube, train, test = scene()
    other, _, judged = scene(seed=1)
    both = make_task({"a": cube, "b": other}, {"a": train}, {"a": test, "b": judged})
    assert both.truth.size == (test != 0).sum() + (judged != 0).sum()
    for key in ("knn", "svm-means"):
        assert run(judge(both, row_of(key)))["oa"] > 0.85


@pytest.mark.parametrize("key", ["cnn1d", "cnn2d", "cnn3d", "none:bands/3", "distil:bands/1", "distil:pcs/5", "random"])
def test_networks_learn_a_plain_scene_and_see_no_test_spectra(key):
    """A scaler, components or a mean fitted on test pixels would change what is said of the others."""
    cube, train, test = scene(side=24, bands=20)
    row, train = row_of(key), train * (np.arange(24) < 8)
    few = test * (np.arange(24) == 23)
    spoiled = cube.copy()
    spoiled[:, 12:18] *= 50  # more than half a window from either side
    answers = []
    for image in (cube, spoiled):
        task = make_task({"a": image}, {"a": train}, {"a": few}, max_steps=40)
        answers.append(run(judge(task, row)))
    assert answers[0]["oa"] > 0.8
    assert answers[0]["per_class"] == pytest.approx(answers[1]["per_class"], abs=1e-6)


def test_rows_are_named_by_key_and_variant():
    row = row_of("none:pcs/9")
    assert (row.key, row.base, row.window, row.input, row.label) == ("none:pcs/9", "none", 9, "pcs", "No distillation, pcs/9")
    assert row_of("distil:bands").window == 0
    chosen = row_of("none:chosen")
    assert {candidate.base for candidate in chosen.candidates} == {"distil"}
    assert chosen.settled("distil:bands/3").key == "none:bands/3"
    assert row_of("outside").settled("svm").key == "svm"
    assert [row.key for row in rows_of(("quick", "svm", "cnn1d"), run=False)] == [*QUICK, "cnn1d"]
    assert "pretrained" in {row.key for row in rows_of(("all",), run=True)}
    assert "pretrained" not in {row.key for row in rows_of(("all",), run=False)}
    for wrong in ("svm:bands", "distil:bands/0", "distil:bands/", "distil:rgb"):
        with pytest.raises(ConfigError, match="names no row"):
            row_of(wrong)
