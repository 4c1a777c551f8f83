"""Which devices and which precision a run gets, and what is refused."""

from __future__ import annotations

import pytest
import torch

from napari_hsi_ssl.config import TrainerConfig
from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.learning import devices
from napari_hsi_ssl.learning.devices import make_fabric


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"devices": 9}, "devices is 9, but this computer has 8 CPU core(s); choose 1 to 8, or 'auto'."),
        ({"devices": 0}, "devices is 0, but this computer has 8 CPU core(s)"),
        ({"devices": 8, "batch_size": 4}, "batch_size is 4, which 8 devices cannot share evenly; choose a multiple of 8."),
        ({"devices": 3, "batch_size": 64}, "batch_size is 64, which 3 devices cannot share evenly; choose a multiple of 3."),
        ({"precision": "16"}, "precision is 16, which only GPUs compute in; choose bf16, 32 or auto."),
    ],
)
def test_what_the_computer_cannot_do_is_one_sentence(monkeypatch, settings, words):
    monkeypatch.setattr(devices, "cores", lambda: 8)
    with pytest.raises(RunError) as found:
        make_fabric(TrainerConfig(accelerator="cpu", **settings))
    assert words in str(found.value)


@pytest.mark.parametrize(("tasks", "nodes", "batch"), [(3, 1, 64), (3, 2, 63), (8, 2, 4)])
def test_a_batch_that_the_ranks_of_a_cluster_cannot_share_is_one_sentence(monkeypatch, tasks, nodes, batch):
    monkeypatch.setenv("SLURM_NTASKS", str(tasks))
    monkeypatch.setenv("SLURM_NNODES", str(nodes))
    with pytest.raises(RunError, match=f"batch_size is {batch}, which {tasks} ranks of Slurm cannot share evenly"):
        make_fabric(TrainerConfig(accelerator="cpu", batch_size=batch), cluster=True)


def graphics(monkeypatch, capability: tuple[int, int], built_for: list[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "Tesla V100-SXM2-16GB")
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: built_for)


@pytest.mark.parametrize(("capability", "precision"), [((7, 0), "16-mixed"), ((7, 5), "16-mixed"), ((8, 0), "bf16-mixed"), ((9, 0), "bf16-mixed")])
def test_a_gpu_computes_in_the_half_precision_that_its_chip_has(monkeypatch, capability, precision):
    """A V100 has no bfloat16: torch would emulate it, slower than float32."""
    graphics(monkeypatch, capability, ["sm_70", "sm_75", "sm_80", "sm_90"])
    assert devices.precision_of("auto", True) == precision


def test_a_gpu_that_this_torch_was_not_built_for_is_named_with_the_build_that_serves_it(monkeypatch):
    graphics(monkeypatch, (7, 0), ["sm_75", "sm_80", "sm_90"])
    with pytest.raises(RunError, match=r"Tesla V100.*compute capability 7\.0.*cu126"):
        make_fabric(TrainerConfig())


@pytest.mark.parametrize(
    ("capability", "built_for", "served"),
    [((7, 0), ["sm_70", "sm_80"], True), ((8, 6), ["sm_80"], True), ((8, 0), ["sm_86"], False), ((10, 0), ["sm_90", "compute_90"], True),
     ((10, 0), ["sm_90"], False), ((12, 0), ["sm_120a"], True), ((9, 0), ["gfx90a"], True)],
)  # fmt: skip
def test_code_serves_later_chips_of_its_generation_and_portable_code_all_later_ones(monkeypatch, capability, built_for, served):
    graphics(monkeypatch, capability, built_for)
    assert devices._built_for_gpu() is served


def test_bfloat16_where_there_is_none_is_one_sentence(monkeypatch):
    graphics(monkeypatch, (7, 0), ["sm_70"])
    with pytest.raises(RunError, match=r"precision is bf16, which Tesla V100-SXM2-16GB does not compute in; choose 16, 32 or auto\."):
        make_fabric(TrainerConfig(precision="bf16"))
