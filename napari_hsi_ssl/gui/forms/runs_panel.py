"""The runs of the project in the training form: how the live one goes, all of them in a table, and what can be done with one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_hsi_ssl.gui.forms.pieces import ProgressRow, heading, plain_button, row
from napari_hsi_ssl.gui.forms.runs_table import RunsTable, TwiceButton
from napari_hsi_ssl.gui.live_map import LiveMap
from napari_hsi_ssl.steps.runs import cancel_run, delete_run

if TYPE_CHECKING:
    from napari_hsi_ssl.gui.forms.base import Form


class RunsPanel(QWidget):
    """Watches, stops and deletes runs itself; going on with one is up to the form.

    Parameters
    ----------
    form : Form
        Runs the steps, and tells what went wrong.

    Attributes
    ----------
    resume_wanted, branch_wanted : Signal(str)
        The user wants to go on with this run, or from a checkpoint of it in a new run.
    """

    resume_wanted = Signal(str)
    branch_wanted = Signal(str)

    def __init__(self, form: Form) -> None:
        super().__init__()
        self._form, self._watch = form, form.watch
        self._select = ""
        self._stopping: set[str] = set()
        self.live = ProgressRow()
        self.live.cancel.setText("Stop")
        self.live.cancel.setToolTip("Save and stop; the run can be resumed later")
        self.live.cancel.clicked.connect(self.stop)
        self.live.hide()
        self.mapping = QCheckBox("Map of this cube at every checkpoint")
        self.mapping.setToolTip(
            "While a run trains: a rough class map of the current cube by its newest checkpoint and the project's labels (kNN on a grid of pixels), "
            "at low priority and rarely enough that the training loses a few per cent at most"
        )
        self.mapping.hide()
        self.live_map = LiveMap(form, self)
        self.mapping.toggled.connect(self.live_map.look)
        self.table = RunsTable()
        self.table.itemSelectionChanged.connect(self._chosen)
        self.resume = plain_button("Resume", "Go on with the chosen run from its last checkpoint")
        self.branching = plain_button("Branch", "Go on from a checkpoint of the chosen run in a new run, with more epochs or other settings")
        self.curves = plain_button("Curves", "Bring the training curves to the front, below the image")
        self.delete = TwiceButton("Delete", "Delete the chosen run's folder; maps made from it stay")
        self.resume.clicked.connect(lambda: self.resume_wanted.emit(self.table.chosen()))
        self.branching.clicked.connect(lambda: self.branch_wanted.emit(self.table.chosen()))
        self.curves.clicked.connect(lambda: form.desk.plot_wanted.emit("training"))
        self.delete.confirmed.connect(self._delete)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.live)
        layout.addWidget(self.mapping)
        layout.addWidget(heading("Runs"))
        layout.addWidget(self.table)
        layout.addLayout(row(self.resume, self.branching, self.curves, None, self.delete))
        form.desk.run_events.connect(self._heard)

    def choose(self, run: str) -> None:
        """Choose a run as soon as it is listed."""
        self._select = run

    def refresh(self) -> None:
        """Bring table, buttons and live bar up to date with the desk."""
        runs = self._form.desk.runs
        chosen = self.table.chosen()
        if any(run["run"] == self._select for run in runs):
            chosen, self._select = self._select, ""
        self.table.show_runs(runs, chosen)
        self._show_buttons()
        self._show_live()

    def shown_live(self) -> str:
        """Return the live run that the bar shows; "" when none is."""
        live, chosen = self._watch.live, self.table.chosen()
        return chosen if chosen in live else (live[-1] if live else "")

    def stop(self) -> None:
        """Ask the live run that the bar shows to save and leave; after ten seconds it is forced."""
        run, project = self.shown_live(), self._form.project
        if project is not None and run:
            self._stopping.add(run)
            self._show_live()
            self._form.jobs.start(cancel_run(project, run), lambda _: self._watch.refresh(), label=f"stopping {run}", on_error=self._cannot)

    def _delete(self) -> None:
        run, project = self.table.chosen(), self._form.project
        if project is not None and run:
            self._form.run(delete_run(project, run), lambda _: self._watch.refresh(), f"deleting {run}")

    def _cannot(self, _error: BaseException, sentence: str, _details: str) -> None:
        self._form.say(sentence, "error")
        self._watch.refresh()

    def _chosen(self) -> None:
        self.delete.disarm()
        self._show_buttons()
        if self.table.chosen():
            self._watch.load(self.table.chosen())
        self._show_live()

    def _show_buttons(self) -> None:
        run = next((run for run in self._form.desk.runs if run["run"] == self.table.chosen()), None)
        free = run is not None and not self._form.desk.busy
        over = run is not None and run["run"] not in self._watch.live
        self.resume.setEnabled(free and over and run is not None and run["state"] != "finished")
        self.branching.setEnabled(free and run is not None and run["epoch"] is not None)
        self.delete.setEnabled(free and over)

    def _heard(self, run: str, events: list[dict[str, Any]]) -> None:
        step = next((event for event in reversed(events) if event.get("loss") is not None), None)
        if step is not None and run in self._watch.live:
            self.table.tell(run, step)
        if run == self.shown_live():
            self._show_live()

    def _show_live(self) -> None:
        run = self.shown_live()
        self._stopping &= set(self._watch.live)  # also when none is live: a run of this name may be resumed, or be another project's
        self.live.setVisible(bool(run))
        self.mapping.setVisible(bool(run))
        if not run and "in the background" in self._form.words.text():
            self._form.say("")  # how it ended stands above the forms
        if run:
            self.live.show_update(self._watch.latest[run])
            self.live.cancel.setEnabled(run not in self._stopping)
            self.live.setToolTip(run)
            if run in self._stopping:
                self.live.note(f"{run} saves and stops …")
            elif len(self._watch.live) > 1:
                self.live.note(f"{run}: {self.live.text.text()}")
