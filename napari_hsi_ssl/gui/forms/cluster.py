"""Where a run trains: on this computer, or on a Slurm cluster that shares its folder, by a script that can be read and edited first."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtGui import QFontDatabase
from qtpy.QtWidgets import QComboBox, QFormLayout, QPlainTextEdit, QVBoxLayout, QWidget

from napari_hsi_ssl import files
from napari_hsi_ssl.config import SlurmConfig
from napari_hsi_ssl.gui.forms.fields import ConfigFields, tidy
from napari_hsi_ssl.gui.forms.pieces import boxed, plain_button, row
from napari_hsi_ssl.steps.train import Cluster

_HERE, _SLURM = range(2)


class WherePanel(QWidget):
    """Chooses the machine of the next run.

    Attributes
    ----------
    changed : Signal()
        Another machine was chosen.
    script_wanted : Signal()
        The user wants to see the job script before anything is submitted.
    submit_wanted : Signal(str)
        The user wants the script of this run submitted as it stands in the editor.
    """

    changed = Signal()
    script_wanted = Signal()
    submit_wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._run = ""
        self._path: Path | None = None
        self.where = QComboBox()
        self.where.addItems(["this computer", "a Slurm cluster"])
        self.where.setToolTip("A cluster must share the project's folder; otherwise carry the run there with `runs --pack`")
        self.where.currentIndexChanged.connect(self._changed)
        choice = tidy(QFormLayout())
        choice.addRow("Train on", self.where)
        self.fields = ConfigFields(
            SlurmConfig,
            ("partition", "account", "time", "nodes", "gpus"),
            ("tasks", "cpus", "memory", "setup", "python"),
            labels={"gpus": "GPUs on a node", "tasks": "Ranks without a GPU", "cpus": "Cores a rank", "time": "Time limit"},
            hints={"account": "Who pays for the time; the cluster's default when empty", "nodes": "Computers"},
        )
        self.look = plain_button("Look at the script first", "Write the job script into the run's folder and show it here; nothing is submitted yet")
        self.look.clicked.connect(self.script_wanted)
        self.editor = QPlainTextEdit()
        self.editor.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.editor.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.editor.setMinimumHeight(150)
        self.editor.setToolTip("The job script of the run; what is changed here is kept in its folder when it is submitted")
        self.submit = plain_button("Submit this script", "Keep the script as it stands here and hand it to Slurm")
        self.submit.clicked.connect(self._submit)
        self.forget = plain_button("Close the script", "Hide the script; the run stays, and can be resumed later")
        self.forget.clicked.connect(self.hide_script)
        script = QVBoxLayout()
        script.addWidget(self.editor)
        script.addLayout(row(self.submit, self.forget, None))
        self.script = boxed(script)
        inside = QVBoxLayout()
        inside.addWidget(self.fields)
        inside.addLayout(row(self.look, None))
        inside.addWidget(self.script)
        self.slurm = boxed(inside)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(choice)
        layout.addWidget(self.slurm)
        self.hide_script()
        self._changed()

    def _changed(self, _index: int = 0) -> None:
        self.slurm.setVisible(self.where.currentIndex() == _SLURM)
        self.changed.emit()

    def cluster(self, *, submit: bool = True) -> Cluster | None:
        """Return how the next run goes to the cluster, or None when it trains here.

        Raises
        ------
        ConfigError
            When a field of the cluster is wrong.
        """
        return Cluster(self.fields.value(), submit) if self.where.currentIndex() == _SLURM else None

    def show_script(self, run: str, path: Path, text: str) -> None:
        """Show the job script that was written for a run."""
        self._run, self._path = run, path
        self.editor.setPlainText(text)
        self.script.show()

    def hide_script(self) -> None:
        """Take the script away."""
        self._run, self._path = "", None
        self.script.hide()

    def _submit(self) -> None:
        if self._path is not None:
            files.write_bytes(self._path, self.editor.toPlainText().encode())
            run = self._run
            self.hide_script()
            self.submit_wanted.emit(run)
