"""The loop around a step: when it saves, what it keeps, what it says, and how it goes on."""

from __future__ import annotations

import errno
import os

import pytest
import torch

from napari_hsi_ssl.config import TrainerConfig
from napari_hsi_ssl.errors import ProjectError, RunError
from napari_hsi_ssl.learning import loop
from napari_hsi_ssl.learning.checkpoint import States
from napari_hsi_ssl.learning.devices import compiled, make_fabric
from napari_hsi_ssl.learning.loop import fit

STEPS = 10
"""Of an epoch."""


class Line:
    """Fits a line, a batch a step."""

    batch, steps_per_epoch = 4, STEPS

    def __init__(self, clock=None, nan_at: int | None = None) -> None:
        torch.manual_seed(0)
        self.model, self.clock, self.nan_at = torch.nn.Linear(1, 1, dtype=torch.float32), clock, nan_at

    def loss(self, model, step, share):
        if self.clock is not None:
            self.clock.now += 1.0
        x = torch.rand(4, 1, generator=torch.Generator().manual_seed(step), dtype=self.model.weight.dtype)
        return (model(x) - 3 * x - 1).square().mean() * (torch.nan if step + 1 == self.nan_at else 1)

    def judge(self, epoch):
        return {}


class Clock:
    """Stands still but for what steps take."""

    def __init__(self, monkeypatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(loop.time, "monotonic", lambda: self.now)


@pytest.fixture
def train(tmp_path):
    threads, told = torch.get_num_threads(), []

    def call(objective, leave=lambda: False, folder="run", **settings):
        told.clear()
        config = TrainerConfig(**{"accelerator": "cpu", "devices": 1, "precision": "32", "epochs": 3, "batch_size": 4, **settings})
        fabric = make_fabric(config)
        fabric.launch()
        (tmp_path / folder).mkdir(exist_ok=True)
        states = States(tmp_path / folder / "checkpoints", keep=2)
        outcome = fit(fabric, objective, config, states, lambda kind, **fields: told.append({"type": kind, **fields}), leave, {})
        return outcome, told, states

    yield call
    torch.set_num_threads(threads)
    torch.set_default_dtype(torch.float32)


def saved(told):
    return [event["step"] for event in told if event["type"] == "checkpoint"]


def test_states_are_saved_by_time_within_an_epoch_and_at_the_end_of_each(train, monkeypatch):
    """A step takes a second here: every fourth is due by the clock, every tenth ends an epoch."""
    _, told, states = train(Line(Clock(monkeypatch)), checkpoint_minutes=4 / 60)
    assert saved(told) == [4, 8, 10, 14, 18, 20, 24, 28, 30]
    assert [path.name for path in states.paths()] == ["step-000000028.pt", "step-000000030.pt"]


def test_saving_that_takes_long_is_left_to_the_clock(train, monkeypatch):
    """An epoch of ten seconds must not spend one of them on saving."""
    clock = Clock(monkeypatch)
    real = States.save

    def slow(self, state):
        clock.now += 1.0
        return real(self, state)

    monkeypatch.setattr(States, "save", slow)
    _, told, _ = train(Line(clock), checkpoint_minutes=25 / 60)
    assert saved(told) == [10, 30]  # the end of the second epoch is passed over; the clock is not yet due


def test_a_full_disk_ends_with_a_sentence_and_the_last_good_state_goes_on_to_the_same_weights(train, monkeypatch):
    expected = Line()
    train(expected, folder="calm", max_steps=20)
    real, count = os.fsync, iter(range(100))

    def full_after_ten(handle):
        if next(count) >= 10:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", full_after_ten)
    with pytest.raises(ProjectError, match=r"step-000000011\.pt cannot be written \(No space left on device\)"):
        train(Line(), max_steps=20, checkpoint_minutes=1e-9)
    monkeypatch.undo()
    objective = Line()
    _, told, states = train(objective, max_steps=20)
    assert [event["step"] for event in told if event["type"] == "resumed"] == [10]
    torch.testing.assert_close(objective.model.weight, expected.model.weight, rtol=0, atol=0)
    assert not list(states.folder.glob(".step-*"))


def test_a_loss_that_is_no_number_stops_with_the_step_and_the_likely_cause(train):
    with pytest.raises(RunError, match=r"the loss became NaN at step 7 \(learning rate .*; probably the learning rate is too high\)"):
        train(Line(nan_at=7))
    with pytest.raises(RunError, match=r"the loss became NaN at step 1 .*a value in the inputs is too large"):
        train(Line(nan_at=1), folder="other")


def test_a_state_follows_the_weights_to_where_they_have_gone(train):
    """As on a GPU: weights that the device's set-up has moved, here to float64, need moments of their own kind."""
    whole, resumed = Line(), Line()
    train(whole, folder="whole", max_steps=20, precision="64")
    steps = iter(range(100))
    train(Line(), leave=lambda: next(steps) == 7, max_steps=20, precision="64")
    _, told, states = train(resumed, max_steps=20, precision="64")
    assert [event["step"] for event in told if event["type"] == "resumed"] == [8]
    assert resumed.model.weight.dtype == torch.float64
    torch.testing.assert_close(resumed.model.weight, whole.model.weight, rtol=0, atol=0)
    moments = states.newest()[0]["optimizer"]["state"][0]["exp_avg"]
    assert moments.dtype == torch.float64


def test_who_is_asked_to_leave_saves_first(train):
    outcome, told, states = train(Line(), leave=lambda: True)
    assert outcome.cancelled
    assert saved(told) == [1]
    assert states.newest()[0]["step"] == 1


def test_the_scale_of_half_precision_gradients_is_saved_and_comes_back(train, monkeypatch):
    """Without it a resumed float16 training would take other steps than one that was never interrupted."""
    kept = []
    monkeypatch.setattr("lightning_fabric.plugins.precision.Precision.state_dict", lambda _: {"scale": 512.0, "growth_tracker": 7})
    monkeypatch.setattr("lightning_fabric.plugins.precision.Precision.load_state_dict", lambda _, state: kept.append(state))
    train(Line(), max_steps=5)
    assert kept == []
    train(Line(), max_steps=6)
    assert kept == [{"scale": 512.0, "growth_tracker": 7}]


def test_compiled_steps_are_for_gpus_and_change_nothing_elsewhere(train, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda model: pytest.fail("a CPU compiles nothing"))
    plain, asked = Line(), Line()
    train(plain, folder="plain", max_steps=5)
    _, told, _ = train(asked, max_steps=5, compiled=True)
    assert [event["message"] for event in told if event["type"] == "warning"] == ["steps are compiled for GPUs alone; this run trains without."]
    torch.testing.assert_close(asked.model.weight, plain.model.weight, rtol=0, atol=0)


def test_on_a_gpu_the_network_is_compiled_where_that_is_wanted(monkeypatch):
    model = torch.nn.Linear(1, 1)
    monkeypatch.setattr(torch, "compile", lambda model: ("compiled", model))
    assert compiled(model, True, torch.device("cuda")) == ("compiled", model)
    assert compiled(model, False, torch.device("cuda")) is model
