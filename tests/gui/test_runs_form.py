"""What the training form does with runs: branch, stop, delete, and reattach to a long one."""

from __future__ import annotations

import json

import pytest

from napari_hsi_ssl.config import PretrainConfig, RunConfig
from napari_hsi_ssl.gui.desk import desk_for
from napari_hsi_ssl.gui.forms.runs_table import TwiceButton
from napari_hsi_ssl.gui.forms.train import TrainForm
from napari_hsi_ssl.gui.jobs import Jobs, Update
from napari_hsi_ssl.gui.plots.theme import Theme
from napari_hsi_ssl.gui.plots.training import TrainingPlot
from napari_hsi_ssl.gui.plots.training_control import TrainingControl
from napari_hsi_ssl.progress import Progress
from napari_hsi_ssl.runs.folder import RunFolder


def past_run(project, name="pretrain-1", **settings):
    config = PretrainConfig.from_recipe("pixel", epochs=9, **settings)
    folder = RunFolder.create(project.folder / "runs" / name, RunConfig(kind="pretrain", pretrain=config))
    folder.emit("started", total_steps=90, epochs=9, patches=640)
    folder.emit("step", step=30, epoch=3, loss=4.0)
    folder.emit("cancelled", step=30, message="saved at step 30")
    folder.checkpoints.mkdir()
    for step in (20, 30):
        (folder.checkpoints / f"step-{step:09d}.pt").write_bytes(b"state")
    return folder


@pytest.fixture
def form(viewer, project, qtbot):
    past_run(project)
    widget = TrainForm(viewer)
    viewer.window.add_dock_widget(widget)
    widget.desk.open_project(project)
    qtbot.waitUntil(lambda: widget.table.rowCount() == 1, timeout=5000)
    return widget


def test_a_branch_takes_over_the_runs_settings_and_starts_from_the_checkpoint(form, monkeypatch, qtbot):
    started = []

    def branch(_project, run, kind, **how):
        started.append((run, kind, how))
        yield Progress()
        return {"run": "pretrain-1", "folder": ""}

    monkeypatch.setattr("napari_hsi_ssl.gui.forms.train.branching.branch", branch)
    assert not form.start.isEnabled()  # there is neither PCA nor patches, and a branch needs none: the run has pinned its own
    form.branching.click()
    assert form.branch.isVisibleTo(form)
    assert [form.branch.steps.itemData(index) for index in range(2)] == [30, 20]
    assert form.config() == PretrainConfig.from_recipe("pixel", epochs=9)
    form.pretrain.setValue(form.pretrain.value().model_copy(update={"epochs": 20}))
    form.branch.steps.setCurrentIndex(1)
    assert form.recipe().words[2:] == ("--branch", "pretrain-1", "--step", "20", "--epochs", "20")
    assert form.start.isEnabled()
    form.start.click()
    qtbot.waitUntil(lambda: bool(started), timeout=5000)
    run, kind, how = started[0]
    assert (run, kind, how["step"], how["changes"]) == ("pretrain-1", "pretrain", 20, {"epochs": 20})
    qtbot.waitUntil(lambda: not form.branch.run, timeout=5000)


def test_the_next_training_can_start_anew_again(form):
    form.branching.click()
    form.kinds.setCurrentIndex(1)
    form.start.setEnabled(True)
    form.start.click()
    assert "another kind" in form.words.text()
    form.branch.leave.click()
    assert not form.branch.isVisibleTo(form)
    assert not form.start.isEnabled()


def test_a_run_without_checkpoints_says_so(form):
    for path in form.project.run_folder("pretrain-1").checkpoints.iterdir():
        path.unlink()
    form.branching.click()
    assert "no checkpoint yet" in form.words.text()
    assert not form.branch.isVisibleTo(form)


def test_stop_is_acknowledged_at_once_and_stays_so(form, project, monkeypatch):
    monkeypatch.setattr("napari_hsi_ssl.gui.forms.runs_panel.cancel_run", lambda *_: iter(()))
    form.watch.latest["pretrain-1"] = Update(Progress(3, 9, "epoch 3 of 9 · 3 min left · 1.2 GB"))
    form.refresh()
    assert "1.2 GB" in form.live.text.text()
    form.live.cancel.click()
    assert form.live.text.text() == "pretrain-1 saves and stops …"
    # The step that was on its way is told after it; it must not take the words away or offer Stop again.
    form.desk.run_events.emit("pretrain-1", [{"type": "step", "step": 31, "epoch": 4, "loss": 1.0}])
    assert form.live.text.text() == "pretrain-1 saves and stops …"
    assert not form.live.cancel.isEnabled()
    form.watch.latest.clear()


def test_a_run_that_was_stopped_can_be_stopped_again(form, monkeypatch):
    """Resumed, or of another project and called alike, it stood there as "saves and stops" for ever."""
    monkeypatch.setattr("napari_hsi_ssl.gui.forms.runs_panel.cancel_run", lambda *_: iter(()))
    live = Update(Progress(3, 9, "epoch 3 of 9"))
    form.watch.latest["pretrain-1"] = live
    form.refresh()
    form.live.cancel.click()
    form.watch.latest.clear()
    form.refresh()
    form.watch.latest["pretrain-1"] = live
    form.refresh()
    assert form.live.cancel.isEnabled()
    assert form.live.text.text() == "epoch 3 of 9"
    form.watch.latest.clear()


def test_one_press_deletes_nothing(qtbot):
    button = TwiceButton("Delete", "Delete it")
    qtbot.addWidget(button)
    done = []
    button.confirmed.connect(lambda: done.append(True))
    button.click()
    assert done == []
    assert button.text() == "Really?"
    button.disarm()
    button.click()
    assert done == []
    button.click()
    assert done == [True]
    assert button.text() == "Delete"


def test_reattaching_hands_a_long_history_over_as_numbers_not_as_events(viewer, project, qtbot):
    """100,000 events one by one would hold the window: it is given the curves, made in a worker, and then only what is new."""
    folder = past_run(project, "long")
    lines = [json.dumps({"type": "step", "time": 0.0, "epoch": 1, "step": n, "loss": 1.0}) for n in range(31, 20_031)]
    with (folder.path / "events.jsonl").open("a") as log:
        log.write(json.dumps({"type": "resumed", "step": 30}) + "\n" + "\n".join(lines) + "\n")
    plot = TrainingPlot(Theme.named(viewer.theme))
    qtbot.addWidget(plot)
    desk = desk_for(viewer)
    TrainingControl(desk, plot, Jobs(plot), plot)
    told = []
    desk.run_events.connect(lambda _run, events: told.extend(events))
    with folder.locked():
        desk.open_project(project)
        qtbot.waitUntil(lambda: plot.curves.loss_plot.listDataItems() != [] and "long" in plot.shown, timeout=10000)
        qtbot.waitUntil(lambda: len(plot._runs["long"].loss) == 20_001, timeout=10000)
        assert told == []
        folder.emit("step", step=20_031, epoch=1, loss=0.5)
        qtbot.waitUntil(lambda: bool(told), timeout=10000)
        assert [event["step"] for event in told] == [20_031]
        assert len(plot._runs["long"].loss) == 20_002
        folder.emit("cancelled", step=20_031)


def test_pretraining_can_start_from_the_trunk_of_another_run(form, project, monkeypatch, qtbot):
    (finished := past_run(project, "before")).finish({"loss": 1.0})
    finished.emit("finished")
    started = []

    def pretrain(_project, config, **how):
        started.append((config.recipe, how["init"]))
        yield Progress()
        return {"run": "pretrain-2", "folder": ""}

    monkeypatch.setattr("napari_hsi_ssl.gui.forms.train.steps.pretrain", pretrain)
    pretraining, distillation = form.kinds.inits
    assert pretraining.count() == 2  # pretrain-1 was cancelled: it has no model to start from
    form.watch.refresh()
    qtbot.waitUntil(lambda: pretraining.count() == 3, timeout=5000)
    assert [pretraining.itemText(row) for row in range(3)] == ["random weights", "pretrained", "before"]
    assert form.kinds.trunk() is None
    pretraining.setCurrentIndex(2)
    assert "--init before" in form.recipe().command
    form.refresh()
    assert form.kinds.trunk() == "before", "a refresh keeps the choice"
    assert distillation.currentIndex() == 0, "each kind has a start of its own"
    form.start_training()
    qtbot.waitUntil(lambda: bool(started), timeout=5000)
    assert started == [(form.pretrain.value().recipe, "before")]
