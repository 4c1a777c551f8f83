"""What stands between the desk and the training plot: events as they come, pictures and comparisons as they are wanted."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject

from napari_hsi_ssl.gui.desk import Desk
from napari_hsi_ssl.gui.jobs import Jobs
from napari_hsi_ssl.gui.plots.run_curves import RunCurves
from napari_hsi_ssl.gui.plots.training import TrainingPlot
from napari_hsi_ssl.gui.watch import watch_for
from napari_hsi_ssl.steps.comparison import compare_runs
from napari_hsi_ssl.steps.snapshots import read_embedding


class TrainingControl(QObject):
    """Keeps the training plot up to date with a desk, and reads what its pages ask for in a worker.

    Parameters
    ----------
    desk : Desk
    plot : TrainingPlot
    jobs : Jobs
    parent : QObject
    """

    def __init__(self, desk: Desk, plot: TrainingPlot, jobs: Jobs, parent: QObject) -> None:
        super().__init__(parent)
        self.desk, self.plot, self.jobs = desk, plot, jobs
        desk.runs_changed.connect(self.runs_changed)
        desk.run_read.connect(self._read)
        desk.run_events.connect(self._events)
        desk.labels_changed.connect(self._labels_changed)
        plot.run_asked.connect(watch_for(desk).load)
        plot.embedding_asked.connect(self._embedding_asked)
        plot.comparison_asked.connect(self._comparison_asked)

    def runs_changed(self) -> None:
        """List the runs as the desk knows them."""
        rows = self.desk.runs
        self.plot.set_runs({row["run"]: row["state"] for row in rows})
        if rows and not self.plot.shown:
            self.plot.show_run(rows[-1]["run"])

    def _read(self, curves: RunCurves) -> None:
        self.plot.take(curves)

    def _events(self, run: str, events: list[dict[str, Any]]) -> None:
        self.plot.add_events(run, events)

    def _labels_changed(self, _name: str) -> None:
        if self.plot.page == "embedding":
            self._embedding_asked(self.plot.current)

    def _embedding_asked(self, run: str) -> None:
        project = self.desk.project
        if project is None or not run:
            self.plot.embedding.show_embedding(None)
            return
        self.jobs.call(read_embedding, project, run, on_result=self.plot.embedding.show_embedding, slot="embedding", on_error=self._failed)

    def _comparison_asked(self, runs: list[str]) -> None:
        project = self.desk.project
        if project is None or len(runs) < 2:
            self.plot.comparison.show_report(None)
            return
        self.jobs.call(compare_runs, project, runs, on_result=self.plot.comparison.show_report, slot="comparison", on_error=self._failed)

    def _failed(self, _error: BaseException, sentence: str, _details: str) -> None:
        self.desk.message.emit(sentence, "error")
