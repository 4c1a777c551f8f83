"""Bad input on the command line: exit code, one sentence, one JSON object, and nothing lost. No training here."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import tifffile
from typer.testing import CliRunner

from napari_hsi_ssl import files
from napari_hsi_ssl.cli import app
from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.errors import ProjectError
from napari_hsi_ssl.metrics.scores import report
from napari_hsi_ssl.project import Project

SIDE, BANDS = 24, 8


def command(*words: object, code: int = 0) -> dict:
    """Run one verb; with code 1 both streams must hold the one sentence and nothing else."""
    result = CliRunner().invoke(app, [*map(str, words), "--json"], catch_exceptions=False)
    assert result.exit_code == code, result.output
    lines = result.stdout.splitlines()
    assert len(lines) == 1, "one JSON object and nothing else on standard output"
    answer = json.loads(lines[0])
    if code == 1:
        warnings = [line for line in result.stderr.splitlines() if not line.startswith("warning: ")]
        assert warnings == [f"error: {answer['error']}"]
        assert ".);" not in answer["error"], "one sentence, not one within another"
    return answer


def write_cube(path: Path, *, interleave: str = "bsq", bands: int = BANDS, seed: int = 0, size: int | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    fields = f"samples = {SIDE}\nlines = {SIDE}\nbands = {bands}\ndata type = 4\ninterleave = {interleave}\nbyte order = 0\n"
    path.with_suffix(".hdr").write_text(f"ENVI\n{fields}")
    values = np.random.default_rng(seed).random((max(bands, 1), SIDE, SIDE), dtype=np.float32).tobytes()
    path.with_suffix(".img").write_bytes((values * 2)[: size or len(values)])
    return path.with_suffix(".hdr")


@pytest.fixture
def project(tmp_path) -> Path:
    write_cube(tmp_path / "cubes" / "a" / "one.hdr")
    write_cube(tmp_path / "cubes" / "b" / "two.hdr", seed=1)
    command("new", tmp_path / "project", "--cubes", tmp_path / "cubes")
    return tmp_path / "project"


@pytest.fixture
def labels(tmp_path) -> Path:
    np.save(tmp_path / "labels.npy", (np.indices((SIDE, SIDE)).sum(axis=0) // 6 % 2 + 1).astype(np.uint8))
    return tmp_path / "labels.npy"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"interleave": "bzq"}, "'interleave' is 'bzq', expected bsq, bil or bip"),
        ({"bands": 0}, "'bands' is '0'"),
        ({"size": 100}, "shorter than its header says: 100 bytes found"),
        ({"size": SIDE * SIDE * BANDS * 4 + 9}, "longer than its header says"),
    ],
)
def test_a_broken_envi_cube_is_named_alone_and_in_a_folder(tmp_path, project, change, words):
    header = write_cube(tmp_path / "bad" / "bad.hdr", **change)
    before = (project / "project.json").read_bytes()
    assert words in command("info", header, code=1)["error"]
    assert words in command("add", project, header, code=1)["error"]
    assert words in command("new", tmp_path / "other", "--cubes", tmp_path / "bad", code=1)["error"]
    assert not (tmp_path / "other").exists()
    assert (project / "project.json").read_bytes() == before


def test_a_header_without_data_is_named(tmp_path):
    header = write_cube(tmp_path / "bad" / "bad.hdr")
    header.with_suffix(".img").unlink()
    assert "no data file beside it" in command("info", header, code=1)["error"]
    assert "no data file beside it" in command("new", tmp_path / "other", "--cubes", tmp_path / "bad", code=1)["error"]


def test_one_band_masks_but_has_no_pca_and_can_be_removed(tmp_path, project):
    command("add", project, write_cube(tmp_path / "c" / "flat.hdr", bands=1))
    command("mask", project, "--cube", "flat")
    assert "'flat' has one usable band" in command("pca", project, "--components", 3, code=1)["error"]
    command("remove", project, "--cube", "flat")
    assert command("pca", project, "--components", 3)["cubes"] == ["one", "two"]
    assert (project / "masks" / "flat.tif").exists()


def test_a_mask_of_another_shape_is_named(project):
    (project / "masks").mkdir()
    tifffile.imwrite(project / "masks" / "one.tif", np.ones((5, 6), dtype=np.uint8))
    for verb in (["pca", project, "--components", 3], ["patches", project, "--size", 8]):
        assert "shape is (5, 6), expected (24, 24)" in command(*verb, code=1)["error"]


def test_an_empty_mask_neither_labels_nor_trains(project, labels):
    """A whole cube labelled through an empty mask used to replace its labels by nothing."""
    command("labels", project, "--cube", "one", "--from", labels)
    command("mask", project, "--method", "threshold", "--low", 9)
    assert "no used pixel" in command("labels", project, "--cube", "one", "--class", "x", code=1)["error"]
    assert (Project.open(project).labels("one") == np.load(labels)).all()
    assert "lies in the mask and crop" in command("distil", project, code=1)["error"]
    assert "every mask is empty" in command("pca", project, code=1)["error"]
    assert "is empty" in command("patches", project, "--size", 8, code=1)["error"]
    assert not (project / "runs").exists()


def test_labels_without_a_labelled_pixel_replace_nothing(project, labels, tmp_path):
    command("labels", project, "--cube", "one", "--from", labels)
    np.save(tmp_path / "zero.npy", np.zeros((SIDE, SIDE), dtype=np.uint8))
    assert "as before" in command("labels", project, "--cube", "one", "--from", tmp_path / "zero.npy", code=1)["error"]
    assert Project.open(project).labels("one").any()


def test_what_cannot_be_trained_leaves_no_run_behind(project, labels, tmp_path):
    """Half a run folder would take the run's name."""
    command("pca", project, "--components", 3)
    command("patches", project, "--size", 8, "--coverage", 0)
    assert "batch_size is 5000" in command("pretrain", project, "--batch-size", 5000, "--run", "big", code=1)["error"]
    assert "no run 'nobody'" in command("distil", project, "--train", f"one={labels}", "--init", "nobody", "--run", "d", code=1)["error"]
    np.save(tmp_path / "same.npy", np.ones((SIDE, SIDE), dtype=np.uint8))
    assert "one class (1)" in command("distil", project, "--train", f"one={tmp_path / 'same.npy'}", "--run", "d", code=1)["error"]
    assert "(24, 24)" in command("distil", project, "--train", f"one={_saved(tmp_path / 'small.npy', np.ones((3, 3)))}", "--run", "d", code=1)["error"]
    assert not (project / "runs").exists()


def _saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def test_one_array_of_a_file_of_several_is_chosen_by_name(tmp_path):
    """The official Houston split is two arrays of one file: `audit` has no room for two keys."""
    train, test = np.zeros((2, SIDE, SIDE), dtype=np.uint8)
    train[:4, :6], train[:4, 6:] = 1, 2
    test[12:, :6], test[12:, 6:] = 1, 2
    scipy.io.savemat(tmp_path / "split.mat", {"tr": train, "te": test})
    asked = command("audit", "--train", tmp_path / "split.mat", "--test", tmp_path / "split.mat", code=1)
    assert set(asked["candidates"]) == {"tr", "te"}
    assert "split.mat#NAME" in asked["error"]
    answer = command("audit", "--train", f"{tmp_path / 'split.mat'}#tr", "--test", f"{tmp_path / 'split.mat'}#te", "--window", 3)
    assert (answer["n_train"], answer["n_test"], answer["overlap_share"]) == (96, 288, 0)
    assert "no array 'va'" in command("audit", "--train", f"{tmp_path / 'split.mat'}#va", "--test", "x", code=1)["error"]


def test_the_published_indian_pines_split_is_called_a_leak(shared_data):
    answer = command("audit", "--train", shared_data / "splits" / "IndianTR123_temp123.tif", "--test", shared_data / "splits" / "IndianTE123_temp123.tif")
    assert {"centre_share", "overlap_share", "position_oa", "position_aa", "verdict"} <= set(answer)
    assert answer["position_oa"] == pytest.approx(0.9183, abs=5e-4)
    assert answer["position_aa"] == pytest.approx(0.9589, abs=5e-4)


def test_a_map_with_holes_is_scored_over_the_classes_of_the_labels(tmp_path, labels):
    truth = np.load(labels)
    found = truth.copy()
    found[:6], found[6] = 0, 9
    answer = command("score", _saved(tmp_path / "map.npy", found), "--labels", labels)
    assert set(answer["per_class"]) == {"1", "2"}
    assert answer["not_classified"] == 6 * SIDE
    matrix = np.array(answer["confusion"])
    assert matrix.sum() == answer["n"] == truth.size
    assert np.trace(matrix) / truth.size == pytest.approx(answer["oa"]) == pytest.approx((found == truth).mean())
    rows = dict(zip(answer["numbers"], matrix.sum(axis=1), strict=True))
    for number, row in answer["per_class"].items():
        assert row["n"] == rows[int(number)]
    assert answer["aa"] == pytest.approx(np.mean([row["accuracy"] for row in answer["per_class"].values()]))


def test_a_map_that_holds_nothing_scores_zero():
    answer = report(np.array([1, 2]), np.array([0, 0]), Classes.of([1, 2]))
    assert (answer["oa"], answer["aa"], answer["not_classified"]) == (0, 0, 2)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nonsense"], "nonsense"),
        (["crop", ".", "--cube", "a", "--box", "1,2"], "expected 4"),
        (["score", "map.tif"], "--labels"),
        (["pca", ".", "--bands", "x"], "--bands"),
        (["runs", ".", "--nope"], "--nope"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_so_in_json(words, told):
    assert told in command(*words, code=2)["error"]


def test_a_folder_or_a_device_is_not_replaced_by_a_file(tmp_path):
    """An export to /dev/full, as root, must not turn the device into a file."""
    (tmp_path / "map.tif").mkdir()
    with pytest.raises(ProjectError, match="no ordinary file"):
        files.write_bytes(tmp_path / "map.tif", b"x")
    if Path("/dev/null").is_char_device():
        with pytest.raises(ProjectError, match="no ordinary file"):
            files.write_bytes(Path("/dev/null"), b"x")


def test_a_full_disk_is_one_sentence_and_leaves_no_half(project, monkeypatch):
    """Writing through a memory map into a full disk kills the process; the room must be taken by ordinary writes first."""
    real = files.empty_npy

    def full(path: Path, shape: tuple[int, ...]) -> np.ndarray:
        real(path, shape)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "empty_npy", full)
    assert "No space left on device" in command("pca", project, "--components", 3, code=1)["error"]
    assert Project.open(project).inlet is None
    assert not [path for path in (project / "inlets").rglob("*") if path.is_file()]


def test_the_room_of_a_memory_map_is_taken_at_once(tmp_path):
    made = files.empty_npy(tmp_path / "a.npy", (300, 50, 40))
    made[:] = 3
    made.flush()
    assert (np.load(tmp_path / "a.npy") == 3).all()
    if hasattr(os.stat_result, "st_blocks"):
        files.empty_npy(tmp_path / "b.npy", (300, 50, 40))
        assert (tmp_path / "b.npy").stat().st_blocks * 512 >= 300 * 50 * 40 * 2


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full here")
def test_a_full_standard_output_is_no_traceback(project):
    with Path("/dev/full").open("w") as full:
        process = subprocess.run(
            [sys.executable, "-m", "napari_hsi_ssl", "runs", project, "--json"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert process.returncode == 1
    assert process.stderr.splitlines() == ["error: the report cannot be written to standard output (No space left on device); what it tells of is done."]
