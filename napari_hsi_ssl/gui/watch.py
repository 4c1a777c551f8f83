"""Watches the runs of the open project: lists them, follows the live ones, and asks before the window closes on one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QMessageBox, QWidget

from napari_hsi_ssl.gui.desk import Desk
from napari_hsi_ssl.gui.jobs import Jobs, Update
from napari_hsi_ssl.gui.plots.run_curves import RunCurves
from napari_hsi_ssl.progress import Progress
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps.runs import list_runs
from napari_hsi_ssl.steps.train import follow_run

_EVERY_SECONDS = 1.0
"""Each word of a run repaints the window, which takes the processor from a trainer on the CPU."""

Answer = Literal["keep", "stop", "stay"]


class RunWatch(QObject):
    """The runs of a desk. One a desk: use `watch_for`.

    Attributes
    ----------
    latest : dict of str to Update
        The last word of every run that is being followed.
    ask : callable
        Asks what becomes of live runs when the window closes: keep training, stop them, or stay; tests replace it.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.desk = desk
        self.latest: dict[str, Update] = {}
        self.ask: Callable[[QWidget, list[str]], Answer] = ask_about_runs
        self._jobs = Jobs(self)
        desk.project_changed.connect(self.refresh)
        window = getattr(getattr(desk.viewer, "window", None), "_qt_window", None)  # napari tells plugins nowhere else that it closes
        if window is not None:
            window.installEventFilter(self)
        if desk.project is not None:
            self.refresh()

    def refresh(self) -> None:
        """List the runs again, in a worker, and follow those that are live."""
        project = self.desk.project
        if project is None:
            self._jobs.stop()
            self.latest.clear()
            return
        self._jobs.call(_list, project, on_result=self._listed, slot="list", label="listing the runs", on_error=self._failed)

    def _listed(self, found: tuple[Project, list[dict[str, Any]]]) -> None:
        project, rows = found
        if project is not self.desk.project:
            return
        self.desk.runs = rows
        for row in rows:
            if row["state"] in {"running", "queued"} and row["run"] not in self.latest:
                self.follow(row["run"])
        self.desk.runs_changed.emit()

    def follow(self, run: str) -> None:
        """Read what a run has told so far, then watch it; one that has died already says so."""
        project = self.desk.project
        if project is None or run in self.latest:
            return
        self.latest[run] = Update(progress=Progress(message=f"waiting for {run}"))
        self._jobs.call(
            _read, project, run, on_result=partial(self._follow_on, project), on_error=lambda _error, sentence, _details: self._ended(run, "error", sentence)
        )

    def _follow_on(self, project: Project, found: tuple[RunCurves, int]) -> None:
        curves, end = found
        run = curves.name
        if project is not self.desk.project:
            return
        self.desk.run_read.emit(curves)
        self._jobs.start(
            follow_run(project, run, since=end),
            partial(self._ended, run, "info", f"run '{run}' has finished"),
            label=f"watching {run}",
            quiet=True,
            every=_EVERY_SECONDS,
            on_update=partial(self._heard, run),
            on_error=lambda _error, sentence, _details: self._ended(run, "error", sentence),
            on_cancelled=lambda words: self._ended(run, "info", words.replace("continue it with --resume", "form 5 resumes it")),
        )

    def _heard(self, run: str, update: Update) -> None:
        before = self.latest.get(run)
        self.latest[run] = update
        if update.events or before is None or before.progress.message != update.progress.message:
            self.desk.run_events.emit(run, list(update.events))

    def _ended(self, run: str, level: str, words: str, _result: object = None) -> None:
        self.latest.pop(run, None)
        if words:
            self.desk.message.emit(words, level)
        self.refresh()

    def load(self, run: str) -> None:
        """Send the history of a run that is over to the plots."""
        project = self.desk.project
        if project is not None and run not in self.latest:
            self._jobs.call(_read, project, run, on_result=lambda found: self.desk.run_read.emit(found[0]), slot=f"history {run}", on_error=self._failed)

    @property
    def live(self) -> list[str]:
        """Names of the runs that are being trained, as far as is known."""
        return list(self.latest)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Ask about live runs before the main window closes."""
        if event.type() == QEvent.Type.Close and self.live and isinstance(watched, QWidget) and watched.isVisible():
            answer = self.ask(watched, self.live)
            if answer == "stay":
                event.ignore()
                return True
            if answer == "stop" and self.desk.project is not None:
                for run in self.live:
                    # The trainer sees the file within a fraction of a second, saves and leaves; nobody need wait for it here.
                    self.desk.project.run_folder(run).request_cancel()
        return False

    def _failed(self, _error: BaseException, sentence: str, _details: str) -> None:
        self.desk.message.emit(sentence, "error")


def watch_for(desk: Desk) -> RunWatch:
    """Return the watch of a desk, the same one at every call."""
    return desk.findChild(RunWatch) or RunWatch(desk)


def ask_about_runs(window: QWidget, runs: list[str]) -> Answer:
    """Ask what becomes of live runs."""
    box = QMessageBox(window)
    box.setWindowTitle("Training goes on")
    several = len(runs) > 1
    box.setText(f"{', '.join(runs)} {'are' if several else 'is'} being trained.")
    box.setInformativeText("Keep training without the window, or save and stop? Opening the project again shows the run as it stands.")
    keep = box.addButton("Keep training", QMessageBox.ButtonRole.AcceptRole)
    stop = box.addButton("Save and stop", QMessageBox.ButtonRole.DestructiveRole)
    box.addButton("Back to the window", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(keep)
    box.exec_() if hasattr(box, "exec_") else box.exec()
    clicked = box.clickedButton()
    return "keep" if clicked is keep else "stop" if clicked is stop else "stay"


def _list(project: Project) -> tuple[Project, list[dict[str, Any]]]:
    return project, list_runs(project)


def _read(project: Project, run: str) -> tuple[RunCurves, int]:
    """Return what a run has told so far, and where its log goes on; in a worker, for a long log takes a moment."""
    events, end = project.run_folder(run).events()
    curves = RunCurves(run)
    curves.add(events)
    return curves, end
