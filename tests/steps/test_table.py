"""The table of rivals on a project: one split, folds, several cubes, a pretrained run; kept results, cancelling, files."""

from __future__ import annotations

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from napari_hsi_ssl import Project, run
from napari_hsi_ssl.config import PatchConfig, PcaConfig, PretrainConfig, SplitConfig, TableConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.writers import write_envi_cube
from napari_hsi_ssl.errors import ConfigError, LabelError, ProjectError
from napari_hsi_ssl.steps import recipe
from napari_hsi_ssl.steps.baselines import baselines, markdown
from napari_hsi_ssl.steps.cubes import new
from napari_hsi_ssl.steps.folds import read_folds
from napari_hsi_ssl.steps.patches import cut_patches
from napari_hsi_ssl.steps.pca import fit_pca
from napari_hsi_ssl.steps.splits import split
from napari_hsi_ssl.steps.train import pretrain
from tests.test_cli import command, fails

SIDE, BANDS = 36, 12


def scene(seed):
    """Three materials in fields of 6 pixels, spectra with noise; class numbers 2, 5 and 9."""
    generator = np.random.default_rng(seed)
    fields = np.kron(generator.integers(0, 3, (SIDE // 6, SIDE // 6)), np.ones((6, 6), dtype=int))
    spectra = 5 + np.random.default_rng(99).normal(0, 1, (3, BANDS))
    values = spectra[fields] + generator.normal(0, 0.4, (SIDE, SIDE, BANDS))
    return values.astype(np.float32), np.array([2, 5, 9], dtype=np.int32)[fields]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A project of one cube, its labels as files, folds by blocks, and another project of four cubes."""
    folder = tmp_path_factory.mktemp("table")
    for number in range(4):
        values, labels = scene(number)
        cube = as_cube(values, np.linspace(450, 900, BANDS), "radiance", f"tile{number}")
        write_envi_cube(folder / f"tile{number}.hdr", cube.assign_attrs(bad_bands=np.arange(BANDS) == 3))
        tifffile.imwrite(folder / f"tile{number}.tif", labels)
    labels = scene(0)[1]
    for side, part in (("train", np.arange(SIDE) < SIDE // 2), ("test", np.arange(SIDE) >= SIDE // 2)):
        tifffile.imwrite(folder / f"{side}.tif", np.where(part, labels, 0))
    run(new(folder / "one", [folder / "tile0.hdr"]))
    run(new(folder / "four", [folder / f"tile{number}.hdr" for number in range(4)]))
    four = Project.open(folder / "four")
    for number in range(4):
        four.save_labels(f"tile{number}", scene(number)[1])
    run(split(folder / "tile0.tif", folder / "folds", SplitConfig(kind="blocks", block=12, guard=2, folds=3)))
    return SimpleNamespace(folder=folder, one=folder / "one", four=folder / "four", train={"tile0": folder / "train.tif"}, test={"tile0": folder / "test.tif"})


def test_one_split_by_command_line(work):
    """The keys of old are there: cube, rows with key, name, oa, aa, kappa and seconds, n_train and n_test."""
    report = command("baselines", work.one, "--train", f"tile0={work.train['tile0']}", "--test", f"tile0={work.test['tile0']}", "--rows", "position,knn,lda")
    assert report["cube"] == "tile0"
    assert report["n_train"] == report["n_test"] == SIDE * SIDE // 2
    assert [row["key"] for row in report["rows"]] == ["position", "knn", "lda"]
    assert {"key", "name", "oa", "aa", "kappa", "seconds"} <= report["rows"][0].keys()
    assert report["rows"][1]["oa"] > 0.9
    assert report["position"]["oa"] == report["rows"][0]["oa"]
    assert report["audit"]["window"] == 5
    assert 0 < report["audit"]["overlap_share"] < 1
    assert "results" not in report


def test_folds_have_intervals_and_paired_tests_and_are_kept(work, tmp_path):
    words = ("baselines", work.one, "--folds", work.folder / "folds", "--rows", "knn,position,cnn1d", "--seeds", 2, "--steps", 20, "--reference", "knn")
    report = command(*words, "--out", tmp_path / "table.json")
    assert report["folds"] == ["fold1", "fold2", "fold3"]
    known, alone, drawn = report["rows"]
    assert known["oa_interval"][0] <= known["oa"] <= known["oa_interval"][1]
    assert known["difference"] is None
    assert alone["difference"] < 0
    assert alone["difference_interval"][0] < alone["difference"] < alone["difference_interval"][1]
    assert (known["seeds"], drawn["seeds"]) == (1, 2)
    results = json.loads((tmp_path / "table.json").read_text())["results"]
    assert len(results) == 3 + 3 + 6
    assert len({result["oa"] for result in results if result["key"] == "cnn1d"}) > 1
    before = {path: path.stat().st_mtime_ns for path in (work.one / "tables").glob("*.json")}
    again = command(*words, "--out", tmp_path / "table.csv")
    assert again["rows"] == report["rows"]
    assert {path: path.stat().st_mtime_ns for path in (work.one / "tables").glob("*.json")} == before
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert float(rows[1]["difference_low"]) == pytest.approx(alone["difference_interval"][0])
    assert float(rows[2]["oa"]) == pytest.approx(drawn["oa"])


def test_an_interrupted_table_goes_on(work):
    """What was finished when it was left is not made again, and nothing half done is kept."""
    project, config = Project.open(work.one), TableConfig(rows=("forest", "svm"), seed=7)
    before = set((work.one / "tables").glob("*.json"))
    steps = baselines(project, work.train, work.test, config)
    for progress in steps:
        if "SVM" in progress.message:
            break
    steps.close()
    kept = set((work.one / "tables").glob("*.json")) - before
    assert [json.loads(path.read_text())["result"]["key"] for path in kept] == ["forest"]
    times = {path: path.stat().st_mtime_ns for path in kept}
    report = run(baselines(project, work.train, work.test, config))
    assert [row["key"] for row in report["rows"]] == ["forest", "svm"]
    assert {path: path.stat().st_mtime_ns for path in kept} == times


def test_input_and_rival_are_chosen_without_the_test_labels(work, tmp_path):
    """With the test labels shuffled the choice is the same, and so is what was made for it."""
    project = Project.open(work.one)
    config = TableConfig(rows=("outside",), max_steps=10)
    chosen = []
    truth = tifffile.imread(work.test["tile0"])
    for number in (0, 1):
        asked = truth.copy()
        if number:
            asked[asked > 0] = np.random.default_rng(0).permutation(asked[asked > 0])
        tifffile.imwrite(tmp_path / "test.tif", asked)
        report = run(baselines(project, work.train, {"tile0": tmp_path / "test.tif"}, config))
        chosen.append(report["rows"][0]["chosen"])
    assert chosen[0] == chosen[1] != {}
    tried = [
        content["made_from"]["row"] for path in (work.one / "tables").glob("*.json") if (content := json.loads(path.read_text()))["made_from"]["validation"]
    ]
    assert {"knn", "svm", "forest", "lda", "trees", "svm-means", "cnn1d", "cnn2d", "cnn3d"} == set(tried)


def test_the_network_without_distillation_takes_what_was_chosen_with_it(work):
    report = run(baselines(Project.open(work.one), work.train, work.test, TableConfig(rows=("distil:chosen", "none:chosen"), max_steps=8)))
    with_it, without = (row["chosen"]["split"] for row in report["rows"])
    assert with_it.replace("distil", "none") == without
    assert report["reference"] == "distil:chosen"


def test_whole_cubes_are_held_out(work, tmp_path):
    folds = {f"f{number}": [f"tile{number}", f"tile{(number + 1) % 4}"] for number in range(3)}
    (tmp_path / "tiles.json").write_text(json.dumps(folds))
    report = command("baselines", work.four, "--folds", tmp_path, "--rows", "position,svm", "--only", "f0,f2")
    assert report["folds"] == ["f0", "f2"]
    assert report["cubes"] == [f"tile{number}" for number in range(4)]
    assert report["audit"]["overlap_share"] == 0
    assert report["n_test"] == 2 * SIDE * SIDE
    assert report["rows"][1]["oa"] > 0.9 > report["rows"][0]["oa"]
    both = read_folds(Project.open(work.four), tmp_path)
    assert [name for name, image in both[0].test.items() if image.any()] == ["tile0", "tile1"]
    assert not any((fold.train[name] & fold.test[name]).any() for fold in both for name in fold.train)


def test_folders_of_one_file_a_cube_are_folds_too(work, tmp_path):
    labels = {f"tile{number}": work.folder / f"tile{number}.tif" for number in range(4)}
    run(split(labels, tmp_path, SplitConfig(kind="cubes", folds=2)))
    folds = read_folds(Project.open(work.four), tmp_path)
    assert [fold.name for fold in folds] == ["fold1", "fold2"]
    held_out = [{name for name, image in fold.test.items() if image.any()} for fold in folds]
    assert held_out[0] | held_out[1] == set(labels)
    assert not held_out[0] & held_out[1]


def test_classes_without_training_pixels_are_listed_not_scored(work, tmp_path):
    train = tifffile.imread(work.train["tile0"])
    tifffile.imwrite(tmp_path / "train.tif", np.where(train == 9, 0, train))
    lost = int((tifffile.imread(work.test["tile0"]) == 9).sum())
    report = run(baselines(Project.open(work.one), {"tile0": tmp_path / "train.tif"}, work.test, TableConfig(rows=("knn",))))
    assert report["not_scored"] == {"split": {"9": lost}}
    assert report["n_test"] == SIDE * SIDE // 2 - lost
    assert report["rows"][0]["oa"] > 0.9
    assert f"9 ({lost})" in report["table"]


def test_a_pretrained_run_has_its_rows(work):
    project = Project.open(work.one)
    run(fit_pca(project, PcaConfig(bands=BANDS, components=5)))
    run(cut_patches(project, PatchConfig(size=8, stride=4)))
    run(pretrain(project, PretrainConfig.from_recipe("pixel", epochs=1, max_steps=2, batch_size=16, precision="32"), run="small"))
    report = command(
        "baselines", work.one, "--train", f"tile0={work.train['tile0']}", "--test", f"tile0={work.test['tile0']}",
        "--run", "small", "--rows", "random,pretrained,tuned", "--steps", 40,
    )  # fmt: skip
    assert [row["key"] for row in report["rows"]] == ["random", "pretrained", "tuned"]
    assert all(row["oa"] > 0.5 for row in report["rows"]), report["rows"]
    with pytest.raises(ProjectError, match="has no run 'lost'"):
        run(baselines(project, work.train, work.test, TableConfig(rows=("pretrained",)), run="lost"))


def test_a_random_trunk_needs_no_run(work):
    report = run(baselines(Project.open(work.one), work.train, work.test, TableConfig(rows=("random",))))
    assert report["rows"][0]["oa"] > 0.7


def test_text_has_a_row_a_rival_and_says_what_must_be_known(work):
    report = run(baselines(Project.open(work.one), work.train, work.test, TableConfig(rows=("position", "knn"))))
    lines = markdown(report).splitlines()
    assert len({len(line) for line in lines[:4]}) == 1, "columns stand below each other"
    assert lines[3].startswith("| kNN (k = 5) on standardised spectra")
    assert f"{100 * report['rows'][1]['oa']:.1f}" in lines[3]
    assert "Position alone, without any spectrum" in lines[-1]


def test_copied_texts_make_the_same_table(work):
    config = TableConfig(rows=("position", "cnn1d"), seeds=2, seed=3, max_steps=5)
    made = recipe.baselines(work.one, work.train, work.test, config)
    first = command(*made.words)
    space = {"__name__": "__main__"}
    exec(compile(made.python, "copied", "exec"), space)
    assert space["report"]["rows"][1]["oa"] == first["rows"][1]["oa"]
    assert first["rows"][1]["seeds"] == 2
    assert "--steps 5" in made.command


def test_bad_input_is_told_in_one_sentence(work, tmp_path):
    sides = ("--train", f"tile0={work.train['tile0']}", "--test", f"tile0={work.test['tile0']}")
    assert "there is no baseline 'cnn'" in fails("baselines", work.one, *sides, "--rows", "cnn")
    assert "names no row" in fails("baselines", work.one, *sides, "--rows", "distil:bands/x")
    assert "needs a pretrained run" in fails("baselines", work.one, *sides, "--rows", "pretrained")
    assert "is no row of this table" in fails("baselines", work.one, *sides, "--reference", "distil")
    assert "expected .csv, .md or .json" in fails("baselines", work.one, *sides, "--out", tmp_path / "table.xls")
    assert "one split (--train and --test) or a folder of folds" in fails("baselines", work.one)
    assert "--test names none" in fails("baselines", work.one, *sides[:2])
    assert "holds no fold" in fails("baselines", work.one, "--folds", tmp_path)
    assert "say whose they are with --cube" in fails("baselines", work.four, "--folds", work.folder / "folds")
    assert "has no fold 'r9'" in fails("baselines", work.one, "--folds", work.folder / "folds", "--only", "r9")
    assert "labelled in both" in fails("baselines", work.one, *sides[:2], "--test", f"tile0={work.folder / 'tile0.tif'}")
    assert "larger than the smallest cube" in fails("baselines", work.one, *sides, "--rows", "distil:bands/99")
    (tmp_path / "tiles.json").write_text(json.dumps({"f0": ["tile9"]}))
    with pytest.raises(LabelError, match="tests on cube 'tile9'"):
        read_folds(Project.open(work.four), tmp_path)
    with pytest.raises(ConfigError, match="max_steps"):
        TableConfig.parse({"max_steps": 0})
