"""What there is to train on, and what a training would cost there."""

from __future__ import annotations

import pytest
import torch

from napari_hsi_ssl.learning.loop import total_steps
from napari_hsi_ssl.learning.pretraining import Pretraining
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.runs import choices as module
from napari_hsi_ssl.runs.choices import Choice, choices, devices
from tests.learning.made_runs import write_distil_run, write_pretrain_run


@pytest.fixture
def halves(monkeypatch):
    """A CPU with bfloat16 and GPUs without."""
    monkeypatch.setattr(module, "precision_of", lambda _, on_gpu: "16-mixed" if on_gpu else "bf16-mixed")


def test_a_computer_without_a_gpu_trains_on_its_cpu_in_either_precision(halves):
    assert choices(0, 64) == [Choice("cpu", 1, "32"), Choice("cpu", 1, "bf16", True)]


def test_every_device_and_all_gpus_together_can_be_chosen(halves):
    found = choices(8, 64)
    assert found[2:] == [Choice("gpu", 1, "32"), Choice("gpu", 1, "16"), Choice("gpu", 8, "16", True)]
    assert choices(8, 60)[-1] == Choice("gpu", 6, "16", True), "as many as share the batch evenly"
    assert choices(2, 7)[-1] == Choice("gpu", 1, "16", True)
    for gpus, batch in ((0, 64), (1, 64), (8, 64), (8, 60), (2, 7), (3, 0)):
        assert sum(choice.automatic for choice in choices(gpus, batch)) == 1


@pytest.fixture
def few_steps(monkeypatch):
    threads = torch.get_num_threads()
    monkeypatch.setattr("napari_hsi_ssl.learning.trials._ENOUGH_SECONDS", 0.0)
    yield
    assert torch.get_num_threads() == threads, "a trial leaves the process as it was"


@pytest.mark.parametrize("write", [write_pretrain_run, write_distil_run])
def test_a_run_is_tried_on_every_choice_and_left_alone(tmp_path, few_steps, write):
    folder = write(tmp_path / "runs" / "p", epochs=3)
    before = sorted(folder.path.rglob("*"))
    report = run(devices(run=str(folder.path)))
    assert report["gpus"] == []
    assert report["cpu"]["cores"] >= 1
    assert "32" in report["cpu"]["precisions"]
    assert len(report["choices"]) == len(report["cpu"]["precisions"])
    for row in report["choices"]:
        assert row["device"].startswith("CPU, ")
        assert 50 << 20 < row["memory"] < 8 << 30
        assert row["patches_per_second"] == pytest.approx(16 / row["seconds_per_step"])
    assert sorted(folder.path.rglob("*")) == before


def test_the_time_is_that_of_all_steps(tmp_path, few_steps):
    folder = write_pretrain_run(tmp_path / "runs" / "p", epochs=3)
    first = run(devices(run=str(folder.path)))["choices"][0]
    assert first["seconds"] == pytest.approx(3 * 7 * first["seconds_per_step"])
    assert total_steps(type("Objective", (), {"steps_per_epoch": 7})(), folder.config.trainer) == 21


def test_a_batch_that_does_not_fit_is_told_in_its_row(tmp_path, few_steps, monkeypatch):
    real = Pretraining.loss

    def short_of_memory(self, model, step, share):
        if share.batch > 5:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(self, model, step, share)

    monkeypatch.setattr(Pretraining, "loss", short_of_memory)
    rows = run(devices(run=str(write_pretrain_run(tmp_path / "runs" / "p").path)))["choices"]
    assert all("the largest that fits is 5" in row["problem"] and "seconds" not in row for row in rows)


def test_without_a_run_the_devices_alone_are_listed():
    report = run(devices())
    assert all(set(row) == {"accelerator", "devices", "precision", "automatic", "device"} for row in report["choices"])
