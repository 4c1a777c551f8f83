"""Rivals on the split in use, in the Classify form: what a map's accuracy must be compared with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget

from napari_hsi_ssl.config import TableConfig
from napari_hsi_ssl.errors import HsiError
from napari_hsi_ssl.gui.forms.pieces import plain_button, row
from napari_hsi_ssl.mapping.baselines.rows import QUICK, ROWS
from napari_hsi_ssl.steps import recipe
from napari_hsi_ssl.steps.baselines import baselines
from napari_hsi_ssl.steps.project_splits import chosen_split

if TYPE_CHECKING:
    from napari_hsi_ssl.gui.forms.base import Form

_CNNS: Final = tuple(key for key, found in ROWS.items() if found.kind == "cnn")
_CHOICES: Final = {
    "quick": ("the quick ones", QUICK, "Position alone, kNN, SVMs, forests and LDA: seconds to a minute or so"),
    "networks": ("with plain CNNs", (*QUICK, *_CNNS), "A 1-D, a 2-D and a 3-D CNN as well: minutes"),
    "all": ("with all networks", (*QUICK, *_CNNS, "none", "distil", "random"), "Self-distillation with and without its soft targets as well: many minutes"),
}
_WHAT: Final = "Score simple classifiers on the split in use, whose test pixels a map must beat; the table appears in Results, and what is finished is kept"
_NO_SPLIT: Final = "Needs a split with a test part: divide the labels first."


class Rivals(QWidget):
    """A button that scores rivals, and how many of them.

    Parameters
    ----------
    form : Form
        Runs the step and shows its words.
    """

    def __init__(self, form: Form) -> None:
        super().__init__(form)
        self._form = form
        self.button = form.needs_project(plain_button("Baselines", _WHAT))
        self.button.clicked.connect(self.score)
        self.which = QComboBox()
        for name, (words, _, hint) in _CHOICES.items():
            self.which.addItem(words, name)
            self.which.setItemData(self.which.count() - 1, hint, Qt.ItemDataRole.ToolTipRole)
        self.which.setToolTip("Which classifiers are scored")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row(self.button, self.which, None))

    def refresh(self) -> None:
        """Offer the button where there is a split to score on."""
        there = "test" in self._split()
        self.button.setEnabled(self.button.isEnabled() and there)
        self.button.setToolTip(_WHAT if there else _NO_SPLIT)

    def score(self) -> None:
        """Score the chosen rivals on the split in use."""
        form, project, split = self._form, self._form.project, self._split()
        if project is None or "test" not in split:
            form.say(_NO_SPLIT, "warning")
            return
        config = TableConfig(rows=_CHOICES[self.which.currentData()][1])
        form.done = recipe.baselines(project.folder, split["train"], split["test"], config)
        form.run(baselines(project, split["train"], split["test"], config), self._scored, "scoring baselines", writes=False)

    def _split(self) -> dict[str, dict[str, Path]]:
        """Return the label files of the split in use, by role and cube; empty where there is none that can be read."""
        try:
            return chosen_split(self._form.project) if self._form.project is not None else {}
        except HsiError:
            return {}

    def _scored(self, report: dict[str, Any]) -> None:
        best = max(report["rows"], key=lambda found: found["oa"])
        position = report["position"]["oa"]
        self._form.say(f"Best on {report['n_test']:,} test pixels: {best['name']}, OA {best['oa']:.1%}. Position alone, without any spectrum: {position:.1%}.")
        shared, window = report["audit"]["overlap_share"], report["audit"]["window"]
        if shared > 0:
            said = f"{shared:.0%} of the {window}×{window} test windows share a pixel with a training window"
            self._form.warn(f"{said}: part of these accuracies is interpolation.")
        self._form.desk.result_made.emit("baselines", report)
        self._form.desk.plot_wanted.emit("results")
