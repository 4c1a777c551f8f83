"""The command line as a user meets it: one small project of three cameras from raw cubes to scored maps."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile
from typer.testing import CliRunner

from napari_hsi_ssl.cli import app
from napari_hsi_ssl.cubes.samples import laboratory
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.folder import RunFolder

DOMAINS = {"coffee": 256, "paper": 288, "grapes": 160}


def command(*words: object, code: int = 0) -> dict:
    """Run one verb in this process and return its JSON object."""
    result = CliRunner().invoke(app, [*map(str, words), "--json"], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout.splitlines()[-1])


def fails(*words: object) -> str:
    """Run one verb that must fail with exit code 1 and one sentence; returns the sentence."""
    message = command(*words, code=1)["error"]
    assert message.endswith((".", ")")) or "\n" not in message
    assert "\n" not in message, "an error is one sentence"
    return message


@pytest.fixture(scope="module")
def laboratory_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("laboratory")
    run(laboratory(folder, size=64, cubes_per_domain=3, seed=1))
    for other in folder.iterdir():
        if other.is_dir() and other.name not in DOMAINS:
            shutil.rmtree(other)
    return folder


@pytest.fixture(scope="module")
def project(laboratory_folder, tmp_path_factory) -> Path:
    """A project with masks, PCA, patches, labels and a pretrained and a distilled run."""
    folder = tmp_path_factory.mktemp("work") / "project"
    command("new", folder, "--cubes", laboratory_folder)
    command("mask", folder)
    for name in Project.open(folder).entries:
        labels = next(laboratory_folder.rglob(f"{name}_labels.tif"))
        command("labels", folder, "--cube", name, "--from", labels)
    command("pca", folder, "--components", 12)
    command("patches", folder, "--size", 16, "--stride", 8)
    command("pretrain", folder, "--batch-size", 16, "--epochs", 1, "--max-steps", 5, "--run", "simclr", "--precision", "32")
    command("distil", folder, "--window", 5, "--epochs", 2, "--max-steps", 150, "--run", "sd", "--precision", "32")
    return folder


def test_info_tells_shape_bands_and_wavelengths(laboratory_folder):
    report = command("info", next(laboratory_folder.rglob("paper_1.hdr")))
    assert report["shape"] == [64, 64, 288]
    assert report["bands"] == 288
    assert report["quantity"] == "reflectance"
    low, high = report["wavelength_range_nm"]
    assert 300 < low < high < 3000


def test_new_finds_domains_and_skips_label_files(laboratory_folder, tmp_path):
    report = command("new", tmp_path / "p", "--cubes", laboratory_folder)
    assert {cube["domain"] for cube in report["cubes"]} == set(DOMAINS)
    assert len(report["cubes"]) == 9
    assert any("labels" in row["path"] for row in report["skipped"])
    bands = {cube["domain"]: cube["shape"][2] for cube in report["cubes"]}
    assert bands == DOMAINS


def test_masks_follow_the_true_foreground(project, laboratory_folder):
    opened = Project.open(project)
    for name in opened.entries:
        truth = tifffile.imread(next(laboratory_folder.rglob(f"{name}_labels.tif"))) > 0
        found = opened.mask(name)
        assert found is not None
        overlap = (found & truth).sum() / (found | truth).sum()
        assert overlap > 0.5, name


def test_pca_files_have_the_promised_content(project):
    opened = Project.open(project)
    folder = opened.inlet_folder()
    with np.load(folder / "pca.npz") as content:
        assert content["mean"].shape == (256,)
        assert content["components"].shape == (12, 256)
        assert content["variance"].shape == (12,)
        assert content["grid"].shape == (256,)
        assert (np.diff(content["variance"]) <= 0).all()
    scores = np.load(folder / "coffee_1.npy")
    assert scores.dtype == np.float16
    assert scores.shape == (64, 64, 12)


def test_an_older_inlet_survives_a_new_pca(project, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(project, copy)
    before = Project.open(copy).inlet
    report = command("pca", copy, "--components", 6)
    assert report["inlet"] != before
    assert (copy / "inlets" / before / "pca.npz").exists()


def test_patches_count_every_domain_and_split(project):
    report = json.loads((project / "preprocessing.json").read_text())["patches"]
    assert set(report["per_domain"]) == set(DOMAINS)
    for counts in report["per_domain"].values():
        assert counts["train"] > 0
        assert counts["test"] > 0


def test_evaluate_prints_ours_beside_random_and_plain_rows(project):
    report = command("evaluate", project, "--run", "simclr", "--k", 5)
    for key in ("knn_accuracy", "linear_probe", "random_knn_accuracy", "random_linear_probe"):
        assert 0 <= report[key] <= 1, key
    assert {"mean_spectrum", "mean_pca"} <= set(report["simple"])
    assert report["n_train"] > report["n_test"] > 0
    assert report["gain"] is not None


@pytest.mark.parametrize(("method", "run_name"), [("knn", "simclr"), ("linear", "simclr"), ("distil", "sd")])
def test_a_map_uses_the_class_numbers_of_its_labels(project, laboratory_folder, tmp_path, method, run_name):
    out = tmp_path / "map.tif"
    report = command("classify", project, "--cube", "coffee_1", "--run", run_name, "--method", method, "--out", out)
    found = tifffile.imread(out)
    opened = Project.open(project)
    assert found.shape == (64, 64)
    assert np.issubdtype(found.dtype, np.integer)
    assert set(np.unique(found)) - {0} <= set(opened.classes.numbers)
    assert ((found > 0) == opened.area("coffee_1")).all(), "every used pixel has a class, no other has"
    saved = Path(report["maps"][0]["path"])
    assert (tifffile.imread(saved) == found).all()
    confidence = tifffile.imread(report["maps"][0]["confidence"])
    assert confidence.shape == (64, 64)
    assert (confidence[found > 0] > 0).all()
    assert (confidence <= 1).all()
    card = json.loads(saved.with_suffix(".json").read_text())
    assert card["provenance"]["run"] == run_name
    assert "napari-hsi-ssl classify" in card["provenance"]["command"]
    scored = command("score", saved, "--labels", next(laboratory_folder.rglob("coffee_1_labels.tif")))
    assert {"oa", "aa", "kappa", "per_class", "confusion", "n"} <= set(scored)
    assert scored["oa"] > 0.35, "chance is about a fifth"


def test_a_map_tells_how_far_to_believe_it(project, laboratory_folder, tmp_path):
    truth = next(laboratory_folder.rglob("coffee_1_labels.tif"))
    options = ("--unknown", 0.1, "--layer", "entropy", "--layer", "disagreement")
    (row,) = command("classify", project, "--cube", "coffee_1", "--run", "sd", *options)["maps"]
    assert set(row["layers"]) == {"entropy", "disagreement", "typicality"}
    found, typical = tifffile.imread(row["path"]), tifffile.imread(row["layers"]["typicality"])
    card = json.loads(Path(row["path"]).with_suffix(".json").read_text())
    assert card["classes"]["names"][-1] == "unlike training"
    unlike = found == card["classes"]["numbers"][-1]
    assert (unlike == ((found > 0) & (typical <= np.float32(0.1)))).all()
    assert row["areas"]["unlike training"] == unlike.sum()
    for name in ("entropy", "disagreement"):
        image = tifffile.imread(row["layers"][name])
        assert ((image >= 0) & (image <= 1)).all()
        assert image[found > 0].max() > 0
    assert card["provenance"]["typicality"]["unknown"] == 0.1
    assert "--unknown 0.1 --layer entropy --layer disagreement" in card["provenance"]["command"]
    told = card["provenance"]["calibration"]  # this run held nothing out
    kept = json.loads((project / "runs" / "sd" / "calibration.json").read_text())
    assert kept["calibration"] is None
    assert told == "none: too few labelled pixels were held out"
    command("export", row["path"], "--to", tmp_path / "map.hdr")
    assert "unlike training" in (tmp_path / "map.hdr").read_text()
    assert 0 <= command("score", row["path"], "--labels", truth)["ece"] <= 1
    report = command("areas", row["path"], "--labels", truth, "--pixel-size", 30, "--to", tmp_path / "areas.csv")
    assert report["unit"] == "ha"
    assert (tmp_path / "areas.csv").read_text().startswith("class,name,mapped_pixels,labels,share")
    (near,) = command("classify", project, "--cube", "coffee_1", "--run", "simclr", "--method", "linear", "--calibrate", "near")["maps"]
    told = json.loads(Path(near["path"]).with_suffix(".json").read_text())["provenance"]["calibration"]
    assert told["temperature"] > 0
    assert "at random" in told["source"]
    assert "calibrate" in fails("classify", project, "--cube", "coffee_1", "--run", "sd", "--calibrate", "perhaps")


def test_a_distilled_map_tells_what_leaving_early_saved(project):
    report = command("classify", project, "--cube", "coffee_1", "--run", "sd", "--exit-at", 0.9)
    (row,) = report["maps"]
    assert sum(row["early"]["left"]) == pytest.approx(1)
    assert row["early"]["threshold"] == 0.9
    card = json.loads(Path(row["path"]).with_suffix(".json").read_text())
    assert card["provenance"]["early"] == row["early"]
    assert "--exit-at 0.9" in card["provenance"]["command"]
    for options in (("--exits", "mean"), ("--turns",)):
        command("classify", project, "--cube", "coffee_1", "--run", "sd", *options)
        card = json.loads(Path(row["path"]).with_suffix(".json").read_text())
        assert " ".join(options) in card["provenance"]["command"]
    assert "exit_at asks one exit after another" in fails("classify", project, "--cube", "coffee_1", "--run", "sd", "--exit-at", 0.9, "--turns")


def test_a_distilled_run_tells_how_far_apart_its_classes_lie(project):
    options = ("--window", 3, "--max-steps", 20, "--direction", "past", "--ramp-up", 0.5, "--balance", "sampling", "--schedule", "linear", "--warm-up", 0.2)
    report = command("distil", project, *options, "--augment", "noise=0.1", "--run", "past", "--precision", "32")
    assert report["representation"]["pixels"] == "training"
    assert report["representation"]["separability"] > 0
    stored = Project.open(project).run_folder("past").config.distil
    assert (stored.direction, stored.ramp_up, stored.balance, stored.schedule, stored.warm_up) == ("past", 0.5, "sampling", "linear", 0.2)
    assert (stored.augment.noise, stored.augment.gain) == (0.1, 0.0)


def test_compare_split_audit_export(project, laboratory_folder, tmp_path):
    truth = next(laboratory_folder.rglob("coffee_1_labels.tif"))
    for method, run_name in (("knn", "simclr"), ("distil", "sd")):
        command("classify", project, "--cube", "coffee_1", "--run", run_name, "--method", method)
    maps = [project / "maps" / f"coffee_1--{stem}.tif" for stem in ("simclr--knn", "sd--distil")]
    report = command("compare", *maps, "--labels", truth)
    assert 0 <= report["agreement"] <= 1
    assert "mcnemar" in report
    assert command("compare", maps[0], maps[0])["agreement"] == 1
    where = command("compare", *maps, "--labels", truth, "--block", 8, "--out", tmp_path / "where.tif")
    assert where["difference"]["block"] == 8
    assert (tifffile.imread(tmp_path / "where.tif") > 0).sum() == sum(row["pixels"] for row in where["differences"])

    command("split", truth, "--kind", "blocks", "--block", 16, "--guard", 2, "--folds", 2, "--out", tmp_path / "folds")
    train, test = tmp_path / "folds" / "fold1_train.tif", tmp_path / "folds" / "fold1_test.tif"
    assert not ((tifffile.imread(train) > 0) & (tifffile.imread(test) > 0)).any()
    assert command("audit", "--train", train, "--test", test, "--window", 3)["overlap_share"] == 0
    assert command("audit", "--train", train, "--test", test, "--window", 32)["overlap_share"] > 0

    for name in ("map.hdr", "map.png", "map.csv", "map.tif"):
        command("export", maps[0], "--to", tmp_path / name)
        assert (tmp_path / name).stat().st_size > 0
    command("export", project / "runs" / "simclr", "--to", tmp_path / "model.safetensors")
    assert (tmp_path / "model.safetensors").read_bytes() == (project / "runs" / "simclr" / "model.safetensors").read_bytes()
    assert "pretrain" in (tmp_path / "model.json").read_text()


def test_runs_lists_what_is_there_and_a_finished_resume_does_nothing(project):
    rows = {row["run"]: row for row in command("runs", project)["runs"]}
    assert rows["simclr"]["state"] == "finished"
    before = (project / "runs" / "simclr" / "model.safetensors").read_bytes()
    report = command("pretrain", project, "--run", "simclr", "--resume")
    assert report["state"] == "finished"
    assert (project / "runs" / "simclr" / "model.safetensors").read_bytes() == before
    assert "epochs" in fails("pretrain", project, "--run", "simclr", "--resume", "--epochs", 7)


def test_the_config_of_a_finished_run_starts_it_again(project):
    config = project / "runs" / "simclr" / "config.json"
    command("pretrain", project, "--config", config, "--run", "again")
    first, second = (project / "runs" / name / "model.safetensors" for name in ("simclr", "again"))
    assert first.read_bytes() == second.read_bytes(), "the same configuration gives the same weights"
    command("runs", project, "--delete", "again")
    assert not second.exists()


def test_a_crop_and_a_mask_limit_the_map(project, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(project, copy)
    # Runs point to the inlet by relative paths, so a copied project is complete.
    command("crop", copy, "--cube", "grapes_1", "--box", "8,8,40,48")
    command("classify", copy, "--cube", "grapes_1", "--run", "sd", "--out", tmp_path / "map.tif")
    rows, columns = np.nonzero(tifffile.imread(tmp_path / "map.tif"))
    assert 8 <= rows.min() <= rows.max() < 40
    assert 8 <= columns.min() <= columns.max() < 48


def test_kill_9_leaves_a_run_that_resumes(project):
    """A trainer that is killed must leave a run that its last checkpoint continues."""
    report = command("pretrain", project, "--batch-size", 16, "--epochs", 40, "--run", "killed", "--detach", "--precision", "32")
    folder = RunFolder(report["folder"])
    deadline = time.monotonic() + 90
    while not any(event["type"] == "checkpoint" for event in folder.events()[0]):
        assert time.monotonic() < deadline, folder.log_path.read_text()
        time.sleep(0.1)
    assert "being trained" in fails("pretrain", project, "--run", "killed", "--resume")
    psutil.Process(folder.owner["pid"]).kill()
    deadline = time.monotonic() + 10
    while folder.owner is not None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert folder.state == "stopped"
    resumed = command("pretrain", project, "--run", "killed", "--resume")
    assert resumed["state"] == "finished"
    kinds = [event["type"] for event in folder.events()[0]]
    assert "resumed" in kinds


def test_interrupt_saves_the_run_and_says_where(project):
    """Ctrl-C on a training verb must save, say how to go on, and exit with 130."""
    words = ["pretrain", str(project), "--batch-size", "16", "--epochs", "4000", "--run", "interrupted", "--precision", "32", "--json"]
    listen = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # whoever runs the tests in the background has it ignored
    program = [sys.executable, "-m", "napari_hsi_ssl", *words]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=listen)  # noqa: PLW1509
    folder = RunFolder(project / "runs" / "interrupted")
    deadline = time.monotonic() + 90
    while not any(event["type"] == "step" for event in folder.events()[0]):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    process.send_signal(2)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in json.loads(output.splitlines()[-1])["error"]
    assert folder.owner is None
    assert folder.state == "cancelled"
    assert any(folder.checkpoints.iterdir())


def test_bad_input_gets_one_sentence(project, tmp_path):
    """Every message names what was found and what to do; nothing is written."""
    assert "does not exist" in fails("info", tmp_path / "none.hdr")
    assert "project.json" in fails("mask", tmp_path)
    assert "nobody" in fails("mask", project, "--cube", "nobody")
    assert "bands" in fails("pca", project, "--bands", 1)
    assert "box" in fails("crop", project, "--cube", "coffee_1", "--box", "0,0,900,900")
    np.save(tmp_path / "labels.npy", np.ones((5, 5), dtype=np.uint8))
    assert "(64, 64)" in fails("labels", project, "--cube", "coffee_1", "--from", tmp_path / "labels.npy")
    np.save(tmp_path / "one.npy", np.ones((64, 64), dtype=np.uint8))
    assert "two" in fails("distil", project, "--train", f"coffee_1={tmp_path / 'one.npy'}")
    assert "already" in fails("new", project)
    assert "batch" in fails("pretrain", project, "--batch-size", 100000, "--run", "big")
    (tmp_path / "table.csv").write_text("cube,kind\ncoffee_1,a\n")
    assert "class" in fails("labels", project, "--table", tmp_path / "table.csv")
    np.savez(tmp_path / "two.npz", a=np.zeros((4, 4, 8)), b=np.zeros((4, 4, 9)))
    report = command("add", project, tmp_path / "two.npz", code=1)
    assert set(report["candidates"]) == {"a", "b"}
    assert "two" not in Project.open(project).entries


def test_usage_errors_exit_with_2(project):
    for words in (["classify", project, "--run", "sd"], ["crop", project, "--cube", "coffee_1", "--box", "1,2"], ["labels", project], ["nonsense"]):
        assert CliRunner().invoke(app, list(map(str, words))).exit_code == 2, words


def test_an_unwritable_project_says_so(project, tmp_path):
    """A full or read-only disk must be named, and the old file must survive."""
    target = tmp_path / "file"
    target.write_text("not a folder")
    assert "cannot be written" in fails("new", target / "project")


def test_the_program_starts_without_torch_and_reports_usage():
    code = "import sys; from napari_hsi_ssl import cli; sys.exit(int(any(name in sys.modules for name in ('torch', 'napari', 'qtpy'))))"
    assert subprocess.run([sys.executable, "-c", code], check=False, env={**os.environ}).returncode == 0


def test_a_run_whose_projection_is_gone_says_so(project, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(project, copy)
    shutil.rmtree(Project.open(copy).inlet_folder())
    for words in (["evaluate", copy, "--run", "simclr"], ["classify", copy, "--cube", "coffee_1", "--run", "simclr"]):
        assert "is gone; put it back" in fails(*words)


def test_a_cube_of_another_inlet_cannot_start_a_distilled_network(project, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(project, copy)
    command("pca", copy, "--components", 6)
    assert "12 channels" in fails("distil", copy, "--init", "simclr", "--max-steps", 2)
