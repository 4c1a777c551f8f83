"""A branch starts from the exact state of a checkpoint, and says what it cannot change."""

from __future__ import annotations

import json

import pytest

from napari_hsi_ssl import files
from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs import launch
from napari_hsi_ssl.runs.folder import RunFolder
from napari_hsi_ssl.steps.branching import branch, checkpoint_steps
from napari_hsi_ssl.steps.train import start_again
from tests.learning.made_runs import write_pretrain_run
from tests.test_cli import command


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with one finished run of 3 epochs of 7 steps, all checkpoints kept."""
    made = Project.create(tmp_path_factory.mktemp("project") / "p")
    folder = write_pretrain_run(made.folder / "runs" / "parent", epochs=3, keep_checkpoints=9)
    launch.start(folder)
    run(launch.follow(folder))
    return made


def weights(folder):
    return (folder.path / "model.safetensors").read_bytes()


def test_a_branch_with_unchanged_settings_ends_with_the_very_weights_of_its_parent(project):
    parent = project.run_folder("parent")
    steps = checkpoint_steps(parent)
    assert steps[-1] == 21, "the end is not kept, so more epochs would go on from an earlier state"
    report = run(branch(project, "parent", "pretrain", step=steps[0], name="same"))
    same = project.run_folder("same")
    assert report["state"] == "finished"
    assert weights(same) == weights(parent)
    (begun,) = [event for event in same.history() if event["type"] == "resumed"]
    assert begun["step"] == steps[0]
    assert same.config.parent == "parent"
    # The branch can be started again from its own config.json, from the same state.
    run(start_again(project, same.config_path, kind="pretrain", run="same again"))
    assert weights(project.run_folder("same again")) == weights(parent)


def test_a_finished_run_goes_on_with_more_epochs(project):
    run(branch(project, "parent", "pretrain", changes={"epochs": 4, "learning_rate": 1e-4}, name="longer"))
    longer = project.run_folder("longer")
    assert longer.result["steps"] == 28
    assert [event["epoch"] for event in longer.history() if event["type"] == "epoch"] == [4]
    assert longer.config.trainer.learning_rate == 1e-4
    assert project.run_folder("parent").config.trainer.epochs == 3
    assert weights(longer) != weights(project.run_folder("parent"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kind": "distil"}, "is a pretrain run, expected distil"),
        ({"step": 5}, r"no checkpoint of step 5, only of 7, .*21"),
        ({"changes": {"projection": 16}}, "keeps projection = 8"),
        ({}, "starts at step 21 and would end at step 21.*--epochs 4 or more"),
        ({"changes": {"max_steps": 10, "epochs": 9}}, "max_steps above 21"),
    ],
)
def test_what_cannot_be_branched_is_said_in_a_sentence(project, arguments, words):
    before = {path.name for path in (project.folder / "runs").iterdir()}
    with pytest.raises(RunError, match=words):
        run(branch(project, "parent", **{"kind": "pretrain", **arguments}))
    assert {path.name for path in (project.folder / "runs").iterdir()} == before


def test_branch_and_comparison_from_the_command_line(project):
    report = command("pretrain", project.folder, "--branch", "parent", "--step", 21, "--epochs", 4, "--learning-rate", 2e-4, "--run", "typed")
    assert (report["run"], report["state"], report["steps"]) == ("typed", "finished", 28)
    found = command("runs", project.folder, "--compare", "parent", "typed")
    assert found["settings"] == {"epochs": [3, 4], "learning_rate": [3e-3, 2e-4]}
    assert found["figures"]["step"] == [21, 28]
    assert all(0 <= value <= 1 for value in found["figures"]["knn_accuracy"])
    written = command("runs", project.folder, "--embedding", "typed", "--to", project.folder / "typed.csv")
    assert len((project.folder / "typed.csv").read_text().splitlines()) == 1 + written["patches"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pretrain", "P", "--step", 3), "give --branch RUN too"),
        (("pretrain", "P", "--branch", "parent", "--resume"), "leave out --resume"),
        (("pretrain", "P", "--branch", "parent", "--init", "parent"), "leave out --init"),
        (("runs", "P", "parent"), "give --compare"),
    ],
)
def test_contrary_options_are_wrong_usage(project, words, said):
    typed = [project.folder if word == "P" else word for word in words]
    assert said in command(*typed, code=2)["error"]


def test_a_run_without_checkpoints_cannot_be_branched(project):
    write_pretrain_run(project.folder / "runs" / "fresh")
    with pytest.raises(RunError, match="has no checkpoint"):
        run(branch(project, "fresh", "pretrain"))


def test_a_start_that_has_changed_is_refused(project):
    """The state is an input like any other: pinned by its hash, never a pickle of somebody else's."""
    run(branch(project, "parent", "pretrain", step=checkpoint_steps(project.run_folder("parent"))[0], name="spoiled"))
    folder = project.run_folder("spoiled")
    config = json.loads(folder.config_path.read_text())
    start = folder.resolve(config["start"])
    start.write_bytes(start.read_bytes()[:-1])
    files.write_json(project.folder / "runs" / "spoiled 2" / "config.json", {**config, "start": "../spoiled/inputs/start.pt"})
    launch.start(RunFolder(project.folder / "runs" / "spoiled 2"))
    with pytest.raises(RunError, match=r"start\.pt has changed since"):
        run(launch.follow(RunFolder(project.folder / "runs" / "spoiled 2")))
