"""Self-distillation: what its loss is made of, what it remembers, and that a resumed training is the same one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_hsi_ssl.errors import LabelError, RunError
from napari_hsi_ssl.learning.checkpoint import States
from napari_hsi_ssl.learning.devices import make_fabric
from napari_hsi_ssl.learning.distillation import Distillation
from napari_hsi_ssl.learning.loop import Share, fit, total_steps
from napari_hsi_ssl.learning.setup import prepare
from napari_hsi_ssl.metrics.separability import separability
from tests.learning.made_runs import write_distil_run

ONE = Share(16, 0, 1, torch.device("cpu"))


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def objective(path, **settings):
    folder = write_distil_run(path / "runs" / "d", **settings)
    return prepare(folder.config, folder.resolve, 1).objective, folder.config.distil


def trained(made, config, states, leave=lambda: False):
    fabric = make_fabric(config)
    fabric.launch()
    fit(fabric, made, config, states, lambda *_, **__: None, leave, {})
    return made.model.state_dict()


@pytest.mark.parametrize(
    "changes", [{"direction": "past", "ramp_up": 0.5}, {"balance": "sampling"}, {"balance": "weights", "schedule": "linear", "warm_up": 0.3}]
)
def test_a_training_that_was_interrupted_ends_in_the_same_bytes(tmp_path, changes):
    whole = trained(*objective(tmp_path, epochs=6, **changes), States(tmp_path / "whole", 2))
    for sitting in (1, 30):  # within the first epoch, when nothing is remembered of most windows, and in the middle of a later one
        states = States(tmp_path / f"parts{sitting}", 2)
        steps = iter(range(1000))
        trained(*objective(tmp_path / f"{sitting}a", epochs=6, **changes), states, lambda steps=steps, sitting=sitting: next(steps) == sitting)
        resumed = trained(*objective(tmp_path / f"{sitting}b", epochs=6, **changes), states)
        assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_the_past_is_what_the_deepest_exit_said_when_the_window_was_last_seen(tmp_path):
    made, _ = objective(tmp_path, direction="past", distil_weight=0.7, feature_weight=0.0)
    plain, _ = objective(tmp_path / "plain", direction="none")
    plain.model.load_state_dict(made.model.state_dict())
    steps = made.steps_per_epoch
    assert made.loss(made.model, 0, ONE).item() == plain.loss(plain.model, 0, ONE).item(), "in the first epoch nothing is known"
    for step in range(1, steps):
        made.loss(made.model, step, ONE)
    said = made.memory()["past"].clone()
    assert torch.isfinite(said).all(dim=1).sum() == steps * 16
    with torch.no_grad():
        for parameter in made.model.parameters():
            parameter.mul_(1.1)
    plain.model.load_state_dict(made.model.state_dict())
    taught = made.loss(made.model, steps, ONE) - plain.loss(plain.model, steps, ONE)
    assert taught.item() > 0
    changed = (made.memory()["past"] != said).any(dim=1) & torch.isfinite(made.memory()["past"]).all(dim=1)
    assert changed.sum() == 16, "what is said now takes the place of what was said"


def test_two_devices_remember_the_same(tmp_path):
    """Each computes its own half of a batch; what is remembered must not depend on who computed it."""
    made, _ = objective(tmp_path, direction="past")
    rows = np.arange(16)
    logits = torch.arange(48.0).reshape(16, 3)
    made._replaced(rows, ONE, logits)
    whole = made.memory()["past"].clone()
    for rank in range(2):
        made._past.fill_(torch.nan)
        share = Share(16, rank, 2, torch.device("cpu"), lambda mine: logits)
        before = made._replaced(rows, share, logits[share.rows])
        assert torch.isnan(before).all()
        assert before.shape == (8, 3)
        torch.testing.assert_close(made.memory()["past"], whole, equal_nan=True)


def test_a_state_of_other_labels_is_refused(tmp_path):
    made, _ = objective(tmp_path, direction="past")
    with pytest.raises(RunError, match=r"earlier outputs of 2 pixels and 3 classes, expected \d+ pixels and 3 classes"):
        made.remember({"past": torch.zeros(2, 3)})
    made.remember({})  # of a run that another direction taught
    assert torch.isnan(made.memory()["past"]).all()


def test_soft_targets_rise(tmp_path):
    made, config = objective(tmp_path, direction="deep", ramp_up=1.0, epochs=10)
    full, _ = objective(tmp_path / "full", direction="deep", epochs=10)
    none, _ = objective(tmp_path / "none", direction="none", epochs=10)
    last = total_steps(made, config) - 1
    for step, share in ((0, 0.0067), (last, 0.9999)):
        base, top, risen = (each.loss(each.model, step, ONE).item() for each in (none, full, made))
        assert (risen - base) / (top - base) == pytest.approx(share, abs=2e-3)


def test_weights_and_draws_make_rare_classes_count(tmp_path):
    made, _ = objective(tmp_path, balance="sampling")
    rows = made._order(3)
    assert np.ptp(np.bincount(made._training.labels[rows])) <= 1
    weighed, _ = objective(tmp_path / "weighed", balance="weights", direction="none")
    plain, _ = objective(tmp_path / "plain", direction="none")
    assert weighed.loss(weighed.model, 0, ONE).item() != plain.loss(plain.model, 0, ONE).item()


@pytest.mark.parametrize("validation", [True, False])
def test_the_representation_is_measured_on_pixels_that_were_held_out_where_there_are_any(tmp_path, validation):
    made, _ = objective(tmp_path, validation=validation)
    told = made.representation()
    windows = made._judges
    assert told["pixels"] == ("validation" if validation else "training")
    assert told["count"] == len(windows)
    inputs = made._scale(windows.tensor(np.arange(len(windows)), torch.device("cpu"))).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = separability(made.model.embed(inputs).numpy(), windows.labels + 1)
    assert told["compactness"] == pytest.approx(expected.compactness, rel=1e-4)
    assert told["separability"] == pytest.approx(expected.separability, rel=1e-4)


def test_the_loss_is_the_weighted_sum_of_its_parts(tmp_path):
    """Labels, soft targets and features, each with its own weight."""
    parts = {"distil_weight": 0.0, "feature_weight": 0.0}
    made = {
        name: objective(tmp_path / name, **{"direction": "both", **parts, **settings})[0]
        for name, settings in {
            "plain": {"direction": "none"},
            "soft": {"distil_weight": 0.5},
            "near": {"feature_weight": 2.0},
            "all": {"distil_weight": 0.5, "feature_weight": 2.0},
        }.items()
    }
    loss = {name: each.loss(each.model, 3, ONE).item() for name, each in made.items()}
    assert loss["soft"] > loss["plain"] < loss["near"]
    assert loss["all"] - loss["plain"] == pytest.approx(loss["soft"] + loss["near"] - 2 * loss["plain"], rel=1e-4)
    double, _ = objective(tmp_path / "double", direction="both", distil_weight=1.0, feature_weight=0.0)
    assert double.loss(double.model, 3, ONE).item() - loss["plain"] == pytest.approx(2 * (loss["soft"] - loss["plain"]), rel=1e-4)


def test_each_device_takes_its_rows_of_the_batch_and_they_average_to_the_whole(tmp_path):
    made, _ = objective(tmp_path, direction="both", balance="weights")
    halves = [made.loss(made.model, 5, Share(16, rank, 2, torch.device("cpu"))).item() for rank in range(2)]
    assert np.mean(halves) == pytest.approx(made.loss(made.model, 5, ONE).item(), rel=1e-5)
    assert halves[0] != halves[1]


def test_accuracies_are_the_share_of_right_pixels(tmp_path):
    made, _ = objective(tmp_path)
    windows = made._judges
    inputs = made._scale(windows.tensor(np.arange(len(windows)), torch.device("cpu"))).permute(0, 3, 1, 2)
    with torch.no_grad():
        _, logits = made.model(inputs, features=True)
    right = [each.argmax(1).numpy() == windows.labels for each in logits]
    assert made.accuracies(windows) == pytest.approx([hits.mean() for hits in right])
    rows = np.arange(0, len(windows), 5)
    assert made.accuracies(windows, rows) == pytest.approx([hits[rows].mean() for hits in right])


@pytest.mark.parametrize(("epochs", "judged"), [(7, range(1, 8)), (40, range(2, 41, 2)), (45, [*range(2, 45, 2), 45])])
def test_exits_are_judged_about_twenty_times_and_at_the_end(tmp_path, epochs, judged, monkeypatch):
    made, _ = objective(tmp_path, epochs=epochs)
    monkeypatch.setattr(Distillation, "accuracies", lambda _, windows, rows: [windows is made._judges, rows.tolist()])
    found = {epoch: made.judge(epoch) for epoch in range(1, epochs + 1)}
    assert [epoch for epoch, said in found.items() if said] == list(judged)
    judges, rows = found[epochs]["exits"]
    assert judges
    assert len(set(rows)) == min(1024, len(made._judges))
    assert found[judged[0]] == found[epochs], "always the same pixels"


def test_frozen_networks_learn_their_exits_alone(tmp_path):
    frozen, _ = objective(tmp_path, freeze=True)
    free, _ = objective(tmp_path / "free")
    assert all(parameter.requires_grad for parameter in free.model.parameters())
    assert {name.split(".")[0] for name, parameter in frozen.model.named_parameters() if parameter.requires_grad} == {"exits"}
    assert not all(parameter.requires_grad for parameter in frozen.model.parameters())


@pytest.mark.parametrize(("asked", "ranks", "batch"), [(16, 1, 16), (64, 1, 33), (64, 2, 32), (1000, 100, 100)])
def test_few_labels_make_small_batches(tmp_path, asked, ranks, batch):
    """A pass over 169 windows is five steps at least: with 64 at a time it would be two, too few to learn in."""
    made, config = objective(tmp_path)
    assert made.windows == 169
    few = Distillation(made.model, made._training, None, made._scale, np.ones(6), config.model_copy(update={"batch_size": asked}), ranks)
    assert (few.batch, few.steps_per_epoch) == (batch, 169 // batch)


def test_what_cannot_be_learned_from_is_one_sentence(tmp_path):
    made, config = objective(tmp_path)
    given = (made.model, made._training, None, made._scale, np.ones(6), config)
    assert Distillation(*given)._judges is made._training
    with pytest.raises(RunError, match=rf"there are {made.windows} labelled pixels for {made.windows + 1} devices"):
        Distillation(*given, ranks=made.windows + 1)
    assert Distillation(*given, ranks=made.windows).batch == config.batch_size
    assert Distillation(*given[:-1], config.model_copy(update={"batch_size": 1000}), ranks=7).batch == made.windows // 5 // 7 * 7
    made._training.labels[:] = 1
    with pytest.raises(LabelError, match="the training labels hold 1 class, expected at least two"):
        Distillation(*given)


def test_validation_pixels_of_one_class_are_not_compared(tmp_path):
    made, _ = objective(tmp_path)
    made._judges.labels[:] = 1
    assert made.representation() == {"pixels": "validation", "count": len(made._judges)}
