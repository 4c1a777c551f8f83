"""What the next training starts from, where it is the checkpoint of another run."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QWidget

from napari_hsi_ssl.gui.forms.pieces import Elided, plain_button, row


class BranchRow(QWidget):
    """A run and one of its checkpoints; hidden while training starts anew."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.run = ""
        self.words = Elided()
        self.steps = QComboBox()
        self.steps.setToolTip("The step of the checkpoint; a run keeps its last few")
        self.leave = plain_button("No branch", "Forget the checkpoint: the next training starts anew")
        self.leave.clicked.connect(self.clear)
        layout = row(self.words, self.steps, self.leave)
        layout.setStretch(0, 1)
        self.setLayout(layout)
        self.hide()

    @property
    def step(self) -> int | None:
        """The step of the chosen checkpoint; None where no run is."""
        return self.steps.currentData() if self.run else None

    def choose(self, run: str, steps: Sequence[int]) -> None:
        """Start the next training from a run; ``steps`` are those of its checkpoints, ascending."""
        self.run = run
        self.words.setText(f"From {run}, step")
        self.words.setToolTip(f"The next training is a new run that goes on from a checkpoint of {run}")
        self.steps.clear()
        for step in reversed(steps):
            self.steps.addItem(f"{step:,}", step)
        self.show()
        self.changed.emit()

    def clear(self) -> None:
        """Start the next training anew."""
        if self.run:
            self.run = ""
            self.hide()
            self.changed.emit()
