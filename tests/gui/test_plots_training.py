"""Training in the explorer: what events become, resumes, several runs, the embedding, runs side by side, and how much a redraw draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from qtpy.QtWidgets import QApplication

from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.gui.plots.run_curves import RunCurves, duration, smooth, thin
from napari_hsi_ssl.gui.plots.theme import Theme
from napari_hsi_ssl.gui.plots.training import TrainingPlot
from napari_hsi_ssl.patches.snapshot import Snapshot
from napari_hsi_ssl.steps.snapshots import Embedding


def step(number, loss=1.0, **more):
    return {"type": "step", "epoch": 1 + number // 10, "step": number, "loss": loss, "throughput": 500.0, "seconds_left": 70.0, **more}


@pytest.fixture(params=["dark", "light"])
def plot(request, qtbot):
    widget = TrainingPlot(Theme.named(request.param))
    qtbot.addWidget(widget)
    return widget


def curves_of(events):
    curves = RunCurves("run")
    curves.add(events)
    return curves


def test_a_resumed_run_forgets_the_steps_it_makes_anew():
    # Otherwise the curve would run back and forth over the steps after the checkpoint.
    curves = curves_of([step(n, 5.0) for n in range(1, 31)] + [{"type": "epoch", "epoch": 3, "step": 30, "knn_accuracy": 0.5}])
    curves.add([{"type": "resumed", "step": 20}, step(21, 1.0)])
    assert curves.loss.steps.tolist() == list(range(1, 22))
    assert curves.loss.values[-1] == 1.0
    assert len(curves.accuracies["kNN"]) == 0
    assert curves.epochs_at == {}


def test_exits_and_knn_become_curves_of_their_own():
    curves = curves_of([{"type": "epoch", "epoch": 1, "step": 10, "exits": [0.5, 0.7], "knn_accuracy": 0.6}])
    assert {name: curve.values.tolist() for name, curve in curves.accuracies.items()} == {"exit 1": [0.5], "exit 2": [0.7], "kNN": [0.6]}


def test_a_loss_that_is_null_leaves_a_gap():
    assert np.isnan(curves_of([step(1, None)]).loss.values).all()


def test_the_line_says_state_epoch_speed_and_time_left():
    curves = curves_of([{"type": "started", "total_steps": 4000, "epochs": 100}, step(1200, 3.2104)])
    assert curves.status() == "run · running · epoch 121 of 100 · step 1,200 of 4,000 · loss 3.210 · 500 patches/s · 1 min 10 s left"
    curves.add([{"type": "finished", "seconds": 7500}])
    assert curves.status().startswith("run · finished")
    assert curves.status().endswith("took 2 h 5 min")


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "0 s"), (59.4, "59 s"), (250, "4 min 10 s"), (7500, "2 h 5 min")])
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words


@given(arrays(np.float64, st.integers(1, 40), elements=st.floats(-100, 100) | st.just(np.nan)), st.integers(1, 10))
def test_smoothing_is_the_mean_of_the_last_values(values, window):
    expected = []
    for index in range(len(values)):
        part = values[max(0, index - window + 1) : index + 1]
        part = part[np.isfinite(part)]
        expected.append(part.mean() if len(part) else np.nan)
    np.testing.assert_allclose(smooth(values, window), expected, atol=1e-9)


@given(arrays(np.float64, st.integers(1, 500), elements=st.floats(-100, 100)), st.integers(4, 60))
def test_a_thinned_curve_keeps_its_extremes_and_invents_nothing(values, points):
    steps = np.arange(len(values), dtype=np.float64)
    x, y = thin(steps, values, points)
    assert len(x) <= points
    np.testing.assert_array_equal(values[x.astype(int)], y)
    assert (np.diff(x) > 0).all()
    assert y.max() == values.max()
    assert y.min() == values.min()


def test_runs_are_overlaid_and_hidden_by_name(plot, qtbot):
    plot.add_events("one", [step(n) for n in range(5)])
    plot.add_events("two", [step(n) for n in range(5)])
    plot.redraw()
    assert plot.runs.texts() == ["one", "two"]
    assert len(plot.curves.loss_plot.listDataItems()) == 2
    plot.show_run("one", False)
    assert len(plot.curves.loss_plot.listDataItems()) == 1
    colours = plot.colours()
    assert colours["one"] != colours["two"]


def test_a_run_whose_events_are_not_here_is_asked_for(plot, qtbot):
    plot.set_runs({"old": "finished"})
    with qtbot.waitSignal(plot.run_asked) as heard:
        plot.show_run("old")
    assert heard.args == ["old"]
    plot.add_events("old", [step(1), {"type": "finished", "seconds": 3}])
    plot.redraw()
    assert "finished" in plot.status.text()


def test_a_killed_run_does_not_seem_to_be_running(plot):
    plot.add_events("one", [step(1)])
    plot.set_runs({"one": "stopped"})
    assert "stopped" in plot.status.text()


def test_accuracies_are_drawn_in_percent(plot):
    plot.add_events("one", [{"type": "epoch", "epoch": 1, "step": 10, "knn_accuracy": 0.934}])
    plot.redraw()
    (curve,) = plot.curves.accuracy_plot.listDataItems()
    assert curve.getData()[1].tolist() == pytest.approx([93.4])


def test_the_legend_names_an_accuracy_once_whatever_runs_are_shown(plot):
    for name in ("one", "two"):
        plot.add_events(name, [{"type": "epoch", "epoch": 1, "step": 10, "knn_accuracy": 0.9, "exits": [0.5]}])
    plot.redraw()
    legend = plot.curves.accuracy_plot.legend
    assert [label.text for _, label in legend.items] == ["exit 1", "kNN"]
    assert len(plot.curves.accuracy_plot.listDataItems()) == 4
    plot.show_run("one", False)
    assert [label.text for _, label in legend.items] == ["exit 1", "kNN"]


def test_epoch_ticks_stand_at_the_epochs_ends_and_have_room(plot):
    plot.add_events("one", [{"type": "epoch", "epoch": e, "step": 20 * e, "knn_accuracy": 0.5} for e in range(1, 101)])
    plot.redraw()
    axis = plot.curves._epoch_axes[0]
    ((_, places),) = axis.tickValues(0, 2000, 200)
    assert len(places) <= 5
    strings = axis.tickStrings(places, 1.0, 0.0)
    assert strings[0].startswith("epoch ")
    assert [int(text.split()[-1]) * 20 for text in strings] == places


def test_events_are_drawn_without_being_asked_for(plot, qtbot):
    plot.add_events("one", [step(1), step(2)])
    qtbot.waitUntil(lambda: len(plot.curves.loss_plot.listDataItems()) == 1, timeout=3000)


def test_a_step_on_its_way_does_not_hide_that_the_run_is_leaving():
    curves = curves_of([step(1), {"type": "cancelling", "message": "cancel seen; saving"}, step(2)])
    assert curves.status().startswith("run · cancelling")
    assert curves.status().endswith("saving")
    curves.add([{"type": "cancelled", "step": 2}])
    assert curves.status().startswith("run · cancelled")


def test_memory_and_time_left_are_in_the_line():
    assert curves_of([step(1, memory=12_400_000_000)]).status().endswith("1 min 10 s left · 12.4 GB")
    assert curves_of([step(1, memory=850_000_000)]).status().endswith("850 MB")


EPOCHS = [{"type": "epoch", "epoch": e, "step": 10 * e, "knn_accuracy": 0.5, "alignment": 1 / e, "uniformity": -0.1 * e} for e in range(1, 6)]


@pytest.mark.parametrize(
    ("quantity", "last"),
    [("alignment", {"alignment": 0.2, "uniformity": -0.5}), ("learning_rate", {None: 1e-3}), ("throughput", {None: 500.0}), ("memory", {None: 2.0})],
)
def test_another_quantity_is_drawn_beside_the_loss(plot, quantity, last):
    plot.add_events("one", [step(n, learning_rate=1e-3, memory=2e9) for n in range(5)] + EPOCHS)
    plot.quantity.setCurrentIndex(plot.quantity.findData(quantity))
    drawn = {item.name(): item.getData()[1][-1] for item in plot.curves.other_plot.listDataItems()}
    assert drawn == pytest.approx(last)
    assert plot.curves.other_plot.isVisible()


def test_the_chosen_quantity_is_seen_in_a_narrow_dock_too(plot, qtbot):
    plot.resize(600, 220)
    plot.show()
    qtbot.waitExposed(plot)
    assert plot.curves.accuracy_plot.isVisible()
    plot.quantity.setCurrentIndex(plot.quantity.findData("learning_rate"))
    assert plot.curves.other_plot.isVisible()
    assert not plot.curves.accuracy_plot.isVisible()
    plot.resize(1300, 220)
    qtbot.waitUntil(plot.curves.accuracy_plot.isVisible)


def test_the_history_of_a_run_takes_the_place_of_what_was_known(plot):
    plot.add_events("one", [step(1), step(2)])
    plot.take(curves_of_run("one", [step(1), step(2), step(3)]))
    plot.redraw()
    assert plot.curves.loss_plot.listDataItems()[0].getData()[0].tolist() == [1, 2, 3]
    assert plot.current == "one"


def curves_of_run(name, events):
    curves = RunCurves(name)
    curves.add(events)
    return curves


def test_drawing_100_thousand_events_draws_a_few_thousand_points(plot, qtbot):
    # Counted, not timed: what a redraw hands to the canvas does not grow with the history.
    loss = np.random.default_rng(0).random(100_000).tolist()
    plot.take(curves_of_run("big", [step(n, value, memory=1e9, learning_rate=1e-3) for n, value in enumerate(loss)]))
    for quantity in ("accuracy", "learning_rate", "throughput", "memory"):
        plot.quantity.setCurrentIndex(plot.quantity.findData(quantity))
        drawn = [item.getData()[0] for page in plot.curves._plots for item in page.listDataItems()]
        assert sum(map(len, drawn)) < 10_000
        assert all(x[-1] >= 99_000 for x in drawn)
    assert max(plot.curves.loss_plot.listDataItems()[0].getData()[1]) == max(loss)


# -- the embedding and the comparison -----------------------------------------------------------------------------------------


def embedding(run="one", epoch=5):
    cube = np.array([0, 0, 1, 1], dtype=np.int32)
    places = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=np.float32)
    snapshot = Snapshot(places, 0.8, epoch, ("a", "b"), ("left", "right"), cube, cube, cube, cube, 8)
    return Embedding(run, snapshot, np.array([0, 3, 7, 7]), Classes((3, 7), ("corn", "oats"), ("#e69f00", "#56b4e9")))


def test_the_embedding_is_coloured_by_domain_or_class(plot):
    view = plot.embedding
    view.show_embedding(embedding())
    assert view.legend.texts() == ["left (2)", "right (2)"]
    brushes = [point.brush().color().name() for point in view.points.points()]
    assert len(set(brushes)) == 2
    assert brushes[0] == brushes[1]
    view.by.setCurrentIndex(view.by.findData("class"))
    assert view.legend.texts() == ["no class (1)", "corn (1)", "oats (2)"]
    view.legend.toggled.emit("oats", False)
    assert len(view.points.points()) == 2
    assert "epoch 5" in view.note.text()


def test_the_embedding_is_asked_for_anew_after_every_epoch_while_it_is_seen(plot):
    asked = []
    plot.embedding_asked.connect(asked.append)
    plot.add_events("one", [step(1), *EPOCHS])
    assert asked == []
    plot.page_box.setCurrentIndex(1)
    plot.add_events("one", [step(60)])
    assert asked == ["one"]
    plot.add_events("one", [{"type": "epoch", "epoch": 6, "step": 60}])
    assert asked == ["one", "one"]
    plot.embedding.show_embedding(None)
    assert "No picture yet" in plot.embedding.note.text()


def test_ticked_runs_are_asked_for_and_shown_side_by_side(plot):
    asked = []
    plot.comparison_asked.connect(asked.append)
    plot.add_events("one", [step(1)])
    plot.page_box.setCurrentIndex(2)
    plot.add_events("two", [step(1)])
    plot.show_run("two")
    assert asked[-1] == ["one", "two"]
    figures = {"knn_accuracy": [0.5, None], "seconds": [250.0, 60.0], "memory": [2e9, None], "parameters": [1200, 1300]}
    plot.comparison.show_report({"runs": ["one", "two"], "settings": {"batch_size": [64, 32]}, "figures": figures, "notes": ["Beware."]})
    grid = plot.comparison.grid
    rows = [[grid.item(row, column).text() for column in range(3)] for row in range(grid.rowCount())]
    assert rows[0] == ["Batch size", "64", "32"]
    assert rows[1][1:] == ["50.0 %", "–"]
    assert [row[1] for row in rows[2:]] == ["4 min 10 s", "2.0 GB", "1,200"]
    assert plot.comparison.note.text() == "Beware."
    plot.comparison.copy()
    assert QApplication.clipboard().text().splitlines()[1] == "Batch size\t64\t32"


def test_a_click_on_a_ticked_run_asks_for_its_embedding(plot):
    asked = []
    plot.embedding_asked.connect(asked.append)
    for name in ("one", "two"):
        plot.add_events(name, [step(1), {"type": "finished"}])
    plot.redraw()
    plot.page_box.setCurrentIndex(1)
    plot.runs.itemClicked.emit(plot.runs.item(0))
    assert plot.current == "one"
    assert plot.status.text().startswith("one")
    plot.runs.itemClicked.emit(plot.runs.item(1))
    assert asked[-1] == "two"
    plot.show_run("one", False)
    plot.runs.itemClicked.emit(plot.runs.item(0))
    assert plot.current == "two", "what is not shown has no line"
