"""Training curves: what events become, resumes, several runs, and how long a redraw takes."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_hsi_ssl.gui.plots.run_curves import RunCurves, duration, smooth, thin
from napari_hsi_ssl.gui.plots.theme import Theme
from napari_hsi_ssl.gui.plots.training import TrainingPlot


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


def test_reset_begins_anew():
    curves = curves_of([step(1), {"type": "reset"}])
    assert len(curves.loss) == 0
    assert not curves.heard


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
    assert len(plot.loss_plot.listDataItems()) == 2
    plot.show_run("one", False)
    assert len(plot.loss_plot.listDataItems()) == 1
    colours = plot.colours()
    assert colours["one"] != colours["two"]


def test_a_run_whose_events_are_not_here_is_asked_for(plot, qtbot):
    plot.set_runs({"old": "finished"})
    with qtbot.waitSignal(plot.run_asked) as heard:
        plot.show_run("old")
    assert heard.args == ["old"]
    plot.add_events("old", [{"type": "reset"}, step(1), {"type": "finished", "seconds": 3}])
    plot.redraw()
    assert "finished" in plot.status.text()


def test_a_killed_run_does_not_seem_to_be_running(plot):
    plot.add_events("one", [step(1)])
    plot.set_runs({"one": "stopped"})
    assert "stopped" in plot.status.text()


def test_accuracies_are_drawn_in_percent(plot):
    plot.add_events("one", [{"type": "epoch", "epoch": 1, "step": 10, "knn_accuracy": 0.934}])
    plot.redraw()
    (curve,) = plot.accuracy_plot.listDataItems()
    assert curve.getData()[1].tolist() == pytest.approx([93.4])


def test_epoch_ticks_stand_at_the_epochs_ends_and_have_room(plot):
    plot.add_events("one", [{"type": "epoch", "epoch": e, "step": 20 * e, "knn_accuracy": 0.5} for e in range(1, 101)])
    plot.redraw()
    axis = plot._epoch_axes[0]
    ((_, places),) = axis.tickValues(0, 2000, 200)
    assert len(places) <= 5
    strings = axis.tickStrings(places, 1.0, 0.0)
    assert strings[0].startswith("epoch ")
    assert [int(text.split()[-1]) * 20 for text in strings] == places


def test_events_are_drawn_without_being_asked_for(plot, qtbot):
    plot.add_events("one", [step(1), step(2)])
    qtbot.waitUntil(lambda: len(plot.loss_plot.listDataItems()) == 1, timeout=3000)


def test_100_thousand_events_do_not_hold_the_window(plot, qtbot):
    plot.resize(900, 300)
    plot.show()
    qtbot.waitExposed(plot)
    rng = np.random.default_rng(0)
    plot.add_events("big", [step(n, loss) for n, loss in enumerate(rng.random(100_000).tolist())])
    plot.redraw()
    times = []
    for number in range(3):
        plot.add_events("big", [step(100_000 + number)])
        start = time.perf_counter()
        plot.redraw()
        times.append(time.perf_counter() - start)
    assert min(times) < 2, "every event would be drawn"
    x = plot.loss_plot.listDataItems()[0].getData()[0]
    assert len(x) < 5000
    assert x[-1] >= 99_000
