"""How long the window takes to show a run that has told 100,000 events: reading, curves, drawing.

xvfb-run -a python benchmarks/reattach.py [--events 100000]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from qtpy.QtWidgets import QApplication

from napari_hsi_ssl.config import PretrainConfig, RunConfig
from napari_hsi_ssl.gui.plots.run_curves import RunCurves
from napari_hsi_ssl.gui.plots.theme import Theme
from napari_hsi_ssl.gui.plots.training import TrainingPlot
from napari_hsi_ssl.runs.folder import RunFolder

_STEPS_AN_EPOCH = 500


def write_events(folder: RunFolder, count: int) -> None:
    """Write a log as a trainer does: steps, and every 500 of them the end of an epoch."""
    losses = np.random.default_rng(0).gamma(2.0, 1.0, count).tolist()
    with (folder.path / "events.jsonl").open("w", encoding="utf-8") as log:
        for step, loss in enumerate(losses, start=1):
            epoch = 1 + step // _STEPS_AN_EPOCH
            figures = {
                "loss": loss,
                "learning_rate": 1e-3 * (1 - step / count),
                "throughput": 500.0 + loss,
                "seconds_left": 0.1 * (count - step),
                "memory": 10**9,
            }
            log.write(json.dumps({"type": "step", "time": 1.7e9 + step, "epoch": epoch, "step": step, **figures}) + "\n")
            if step % _STEPS_AN_EPOCH == 0:
                found = {"loss": loss, "knn_accuracy": 0.9, "alignment": 0.3, "uniformity": -2.0}
                log.write(json.dumps({"type": "epoch", "time": 1.7e9 + step, "epoch": epoch, "step": step, **found}) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=100_000)
    count = parser.parse_args().events
    app = QApplication([])
    with tempfile.TemporaryDirectory() as place:
        folder = RunFolder.create(Path(place) / "run", RunConfig(kind="pretrain", pretrain=PretrainConfig()))
        write_events(folder, count)
        plot = TrainingPlot(Theme.named("dark"))
        plot.resize(900, 280)
        plot.show()
        app.processEvents()
        marks = [time.perf_counter()]
        events, _ = folder.events()
        marks.append(time.perf_counter())
        curves = RunCurves("run")
        curves.add(events)
        marks.append(time.perf_counter())
        plot.take(curves)
        plot.redraw()
        plot.grab()  # paints the whole plot
        marks.append(time.perf_counter())
    points = sum(len(item.getData()[0]) for page in (plot.curves.loss_plot, plot.curves.accuracy_plot) for item in page.listDataItems())
    read, made, drawn = np.diff(marks)
    print(f"{len(events):,} events, {points:,} points drawn")
    print(f"worker: log read in {read:.2f} s, curves made in {made:.2f} s; window: drawn in {drawn:.2f} s; in all {marks[-1] - marks[0]:.2f} s")


if __name__ == "__main__":
    main()
