"""The training process: what it leaves, how it is interrupted, and what it says of bad input."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from napari_hsi_ssl import files
from napari_hsi_ssl.learning.checkpoint import load_model
from napari_hsi_ssl.learning.pretraining import Pretraining
from napari_hsi_ssl.runs import train
from napari_hsi_ssl.runs.folder import RunFolder
from tests.learning.made_runs import write_distil_run, write_pretrain_run

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture
def train_here(monkeypatch):
    """Train in this process, which spares the start of another; leaves signals, environment and threads as they were."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def call(folder: RunFolder, *arguments: str) -> int:
        monkeypatch.delenv("NAPARI_HSI_SSL_RANKS", raising=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Lightning, about things like the number of data workers
            return train.main([str(folder.path), *arguments])

    yield call
    monkeypatch.delenv("NAPARI_HSI_SSL_RANKS", raising=False)
    torch.set_num_threads(threads)
    torch.set_default_dtype(torch.float32)


def start(folder: RunFolder, *arguments: str, module: str = "napari_hsi_ssl.runs.train") -> subprocess.Popen[bytes]:
    with folder.log_path.open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", module, str(folder.path), *arguments], env=ENVIRONMENT, stdout=log, stderr=log)


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    assert process.wait() == -signal.SIGKILL


def wait_for(folder: RunFolder, kind: str, seconds: float = 90) -> float:
    begun = time.monotonic()
    while folder.last(kind) is None:
        assert time.monotonic() - begun < seconds, f"no event '{kind}': {folder.log_path.read_text()[-2000:]}"
        time.sleep(0.02)
    return time.monotonic() - begun


def events(folder: RunFolder, kind: str) -> list[dict]:
    return [event for event in folder.history() if event["type"] == kind]


def test_pretraining_learns_and_leaves_all_it_promises(tmp_path, train_here):
    folder = write_pretrain_run(tmp_path / "runs" / "p", epochs=6)
    assert train_here(folder) == 0
    assert folder.state == "finished"
    assert not (folder.path / "lock.json").exists()
    (begun,) = events(folder, "started")
    assert (begun["total_steps"], begun["epochs"], begun["ranks"], begun["batch_size"]) == (42, 6, 1, 16)
    losses = [event["loss"] for event in events(folder, "epoch")]
    assert len(losses) == 6
    assert losses[-1] < losses[0] - 0.2
    assert events(folder, "epoch")[-1]["knn_accuracy"] > 0.8
    step = events(folder, "step")[-1]
    assert step["step"] == 42
    assert {"epoch", "loss", "learning_rate", "throughput", "seconds_left"} <= step.keys()
    assert 50 << 20 < step["memory"] < 8 << 30
    assert folder.result["loss"] == losses[-1]
    model, card = load_model(folder.model_path)
    assert model.embed(torch.zeros(3, 6, 8, 8)).shape == (3, 12)
    assert (card["kind"], card["channels"], card["window"], card["input"]["background"]) == ("pretrain", 6, 8, "mean")
    assert card["inlet_sha256"] == folder.config.inlet_sha256
    np.testing.assert_allclose(card["input"]["gain"], np.sqrt(np.linspace(1, 0.1, 6)), rtol=1e-6)
    assert train_here(folder, "--resume") == 0  # a finished run is left alone
    assert len(events(folder, "finished")) == 1
    assert train_here(folder) == 1
    assert "is finished" in folder.last("failed")["message"]


@pytest.mark.parametrize(
    "changes", [{"neighbour": 2, "whiten": True, "trunk": {"widths": (8, 12), "stem_stride": 1, "stride": 1, "pool": "centre"}}, {"precision": "bf16"}]
)
def test_other_settings_train_too(tmp_path, train_here, changes):
    folder = write_pretrain_run(tmp_path / "runs" / "p", epochs=3, **changes)
    assert train_here(folder) == 0
    losses = [event["loss"] for event in events(folder, "epoch")]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("direction", ["both", "none"])
def test_distillation_learns_every_exit_and_judges_them_on_validation(tmp_path, train_here, direction):
    folder = write_distil_run(tmp_path / "runs" / "d", epochs=12, direction=direction)
    assert train_here(folder) == 0
    assert min(folder.result["validation"]) > 0.8
    assert len(folder.result["validation"]) == 2
    model, card = load_model(folder.model_path)
    assert card["classes"]["numbers"] == [2, 5, 9]
    assert card["exits"] == 2
    assert [tuple(each.shape) for each in model(torch.zeros(4, 6, 5, 5))] == [(4, 3), (4, 3)]


def test_a_pretrained_trunk_is_carried_over_and_may_be_frozen(tmp_path, train_here):
    before = write_pretrain_run(tmp_path / "runs" / "p", epochs=1)
    assert train_here(before) == 0
    folder = write_distil_run(tmp_path / "runs" / "d", init=before, epochs=2, freeze=True, validation=False)
    assert train_here(folder) == 0
    theirs, ours = load_file(before.model_path), load_file(folder.model_path)
    trunk = [name for name in theirs if name.startswith("trunk.")]
    assert trunk
    for name in trunk:
        np.testing.assert_array_equal(ours[name], theirs[name])
    assert events(folder, "epoch")[-1]["exits"]
    other = write_distil_run(tmp_path / "runs" / "e", init=before)
    config = json.loads(other.config_path.read_text())
    files.write_npz(tmp_path / "runs" / "inputs" / "pca.npz", variance=np.linspace(2, 0.1, 6))
    config["inlet_sha256"] = files.file_hash(tmp_path / "runs" / "inputs" / "pca.npz")
    other.config_path.write_text(json.dumps(config))
    assert train_here(other) == 1
    assert "was trained on another inlet" in other.last("failed")["message"]


def test_killed_three_times_cancelled_and_resumed_ends_in_the_same_bytes(tmp_path, train_here, capsys):
    """The run that is killed at random moments and while it saves, then cancelled, must be the one that was never interrupted."""
    settings = {"epochs": 80, "checkpoint_minutes": 0.001, "augment": {"drop": 0.2}}
    calm = write_pretrain_run(tmp_path / "calm" / "runs" / "p", **{**settings, "checkpoint_minutes": 5})
    assert train_here(calm) == 0
    folder = write_pretrain_run(tmp_path / "rough" / "runs" / "p", **settings)

    process = start(folder)
    time.sleep(random.uniform(0, 2.5))  # anywhere: before the lock, while torch is imported, in the first steps
    kill(process)

    process = start(folder, "--resume")
    wait_for(folder, "checkpoint")
    time.sleep(random.uniform(0, 0.3))
    kill(process)
    assert folder.state == "stopped"

    process = start(folder, "--resume", module="tests.runs.killed_while_saving")
    assert process.wait(timeout=90) == -signal.SIGKILL
    assert list(folder.checkpoints.glob(".step-*")), "it was to die with half of a state on disk"
    assert folder.last("resumed")["step"] > 0

    count = len(folder.events()[0])
    process = start(folder, "--resume")
    while not any(event["type"] == "resumed" for event in folder.events()[0][count:]):
        time.sleep(0.02)
    if process.poll() is None:  # a second trainer on a live run is refused, and says nothing in the log of the first
        assert train_here(folder, "--resume") == 1
        assert "is being trained by process" in capsys.readouterr().err
    assert folder.last("failed") is None
    folder.request_cancel()
    assert wait_for(folder, "cancelling", 2) < 2
    assert process.wait(timeout=20) == 0
    assert folder.state == "cancelled"
    assert 0 < folder.last("cancelled")["step"] < 80 * 7

    folder.clear_cancel()
    assert train_here(folder, "--resume") == 0
    assert folder.model_path.read_bytes() == calm.model_path.read_bytes()
    assert [event["epoch"] for event in events(folder, "epoch")] == list(range(1, 81))
    np.testing.assert_array_equal([e["loss"] for e in events(folder, "epoch")], [e["loss"] for e in events(calm, "epoch")])
    assert len(list(folder.checkpoints.iterdir())) == 2  # the half of a state is gone too


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2 if hasattr(os, "sched_getaffinity") else False, reason="needs two cores")
def test_two_ranks_train_the_same_as_one_process(tmp_path, train_here):
    """50 steps in float64: global negatives, views drawn for the whole batch, averaged gradients, no batch statistics."""
    settings = {"epochs": 10, "max_steps": 50, "precision": "64", "neighbour": 1}
    two = write_pretrain_run(tmp_path / "two" / "runs" / "p", devices=2, **settings)
    process = start(two)
    one = write_pretrain_run(tmp_path / "one" / "runs" / "p", **settings)
    assert train_here(one) == 0
    assert process.wait(timeout=180) == 0, two.log_path.read_text()[-3000:]
    assert two.result["ranks"] == 2
    assert len(events(two, "started")) == 1  # only rank 0 speaks
    assert [e["loss"] for e in events(two, "epoch")] == pytest.approx([e["loss"] for e in events(one, "epoch")], abs=1e-8)
    theirs, ours = load_file(one.model_path), load_file(two.model_path)
    for name, expected in theirs.items():
        np.testing.assert_allclose(ours[name], expected, atol=1e-8, rtol=0)


def message(folder: RunFolder, train_here, *arguments: str) -> str:
    assert train_here(folder, *arguments) == 1
    assert folder.state == "failed"
    said = folder.last("failed")["message"]
    assert "Traceback" not in said
    assert said.endswith(".")
    return said


def test_fewer_patches_than_a_batch(tmp_path, train_here):
    folder = write_pretrain_run(tmp_path / "runs" / "p", batch_size=500)
    assert message(folder, train_here) == "there are 121 training patches, but batch_size is 500; cut more patches or lower the batch size."


def test_more_devices_than_there_are(tmp_path, train_here):
    assert "this computer has" in message(write_pretrain_run(tmp_path / "runs" / "p", devices=999), train_here)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_where_one_was_asked_for(tmp_path, train_here):
    assert "torch sees none" in message(write_pretrain_run(tmp_path / "runs" / "p", accelerator="gpu"), train_here)
    assert "only GPUs" in message(write_pretrain_run(tmp_path / "runs" / "q", precision="16"), train_here)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_trains_and_goes_on(tmp_path, train_here):
    folder = write_pretrain_run(tmp_path / "runs" / "p", accelerator="gpu", precision="auto", epochs=6, checkpoint_minutes=1e-4)
    assert train_here(folder) == 0
    losses = [event["loss"] for event in events(folder, "epoch")]
    assert losses[-1] < losses[0] - 0.2
    (folder.path / "result.json").unlink()
    folder.checkpoints.joinpath("step-000000042.pt").unlink()
    assert train_here(folder, "--resume") == 0
    assert events(folder, "resumed")[0]["step"] == 41


def test_a_changed_input_is_named(tmp_path, train_here):
    folder = write_pretrain_run(tmp_path / "runs" / "p")
    with (tmp_path / "runs" / "inputs" / "c0.npy").open("ab") as stream:
        stream.write(b"x")
    assert "c0.npy has changed since run 'p' was made" in message(folder, train_here)
    (tmp_path / "runs" / "inputs" / "c0.npy").unlink()
    assert "cannot be read" in message(folder, train_here)


def test_other_bands_than_the_inlet(tmp_path, train_here):
    folder = write_pretrain_run(tmp_path / "runs" / "p")
    config = json.loads(folder.config_path.read_text())
    files.write_npz(tmp_path / "runs" / "inputs" / "pca.npz", variance=np.ones(9))
    config["inlet_sha256"] = files.file_hash(tmp_path / "runs" / "inputs" / "pca.npz")
    folder.config_path.write_text(json.dumps(config))
    assert "has 9 components, but the scores have 6" in message(folder, train_here)


def test_one_class_only(tmp_path, train_here):
    folder = write_distil_run(tmp_path / "runs" / "d", validation=False)
    path = tmp_path / "runs" / "inputs" / "c0.train.tif"
    labels = np.zeros((40, 40), dtype=np.int32)
    labels[3, 4:20] = 5
    files.write_tiff(path, labels)
    config = json.loads(folder.config_path.read_text())
    config["labels"][0]["sha256"] = files.file_hash(path)
    folder.config_path.write_text(json.dumps(config))
    assert "hold 1 class, expected at least two" in message(folder, train_here)


def test_a_learning_rate_that_bursts_is_named_with_its_step(tmp_path, train_here):
    said = message(write_distil_run(tmp_path / "runs" / "d", learning_rate=1e38, epochs=30), train_here)
    assert said.startswith(("the loss became NaN at step", "the loss became infinite at step"))
    assert "learning rate" in said


def test_a_place_that_cannot_be_written_is_named(tmp_path, train_here):
    folder = write_pretrain_run(tmp_path / "runs" / "p")
    folder.checkpoints.write_text("in the way")
    assert "cannot be written" in message(folder, train_here)


def test_a_batch_too_large_for_the_memory_is_answered_with_the_largest_that_fits(tmp_path, train_here, monkeypatch):
    real = Pretraining.loss

    def short_of_memory(self, model, step, share):
        if share.batch > 11:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(self, model, step, share)

    monkeypatch.setattr(Pretraining, "loss", short_of_memory)
    said = message(write_pretrain_run(tmp_path / "runs" / "p"), train_here)
    assert said.startswith("batch_size 16 does not fit into the memory of CPU")
    assert "the largest that fits is 11" in said


def test_a_run_folder_that_vanishes_ends_the_training_and_stays_away(tmp_path):
    folder = write_pretrain_run(tmp_path / "runs" / "p", epochs=5000, checkpoint_minutes=0.001)
    log = tmp_path / "log.txt"
    with log.open("wb") as stream:
        process = subprocess.Popen([sys.executable, "-m", "napari_hsi_ssl.runs.train", str(folder.path)], env=ENVIRONMENT, stderr=stream)
    wait_for(folder, "checkpoint")
    folder.path.rename(tmp_path / "elsewhere")
    assert process.wait(timeout=60) == 1
    assert f"run folder {folder.path} has vanished" in log.read_text()
    assert not folder.path.exists()


def test_a_run_with_checkpoints_is_not_started_over(tmp_path, train_here):
    folder = write_pretrain_run(tmp_path / "runs" / "p")
    folder.checkpoints.mkdir()
    torch.save({"model": {}}, folder.checkpoints / "step-000000003.pt")
    assert "continue it with --resume" in message(folder, train_here)
    assert train_here(folder, "--resume") == 0  # the damaged one is passed over with a word
    assert "lacks parts of a training state" in folder.last("warning")["message"]


@pytest.mark.parametrize(
    ("name", "shape", "words"), [("trunk.stem.weight", (8, 9, 3, 3), "is 8 × 9 × 3 × 3, expected 8 × 6 × 3 × 3"), ("exits.0.weight", (3, 3), "exits.0.weight")]
)
def test_a_checkpoint_of_other_bands_or_another_network_is_refused(tmp_path, train_here, name, shape, words):
    folder = write_pretrain_run(tmp_path / "runs" / "p")
    assert train_here(folder) == 0
    (folder.path / "result.json").unlink()
    for path in folder.checkpoints.iterdir():
        state = torch.load(path, weights_only=True)
        torch.save({**state, "model": {**state["model"], name: torch.zeros(shape)}}, path)
    said = message(folder, train_here, "--resume")
    assert "is of another network or other bands than this run" in said
    assert words in said


def test_the_lock_is_taken_before_anything_slow_is_imported():
    """Importing torch takes seconds, in which a watcher must see a live run and a cancel must be seen."""
    code = "import sys, napari_hsi_ssl.runs.train; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
