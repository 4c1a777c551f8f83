"""Who decides in a self-distillation network: its deepest exit, all exits, or the first that is sure."""

from __future__ import annotations

from typing import Any, Final

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QLabel, QVBoxLayout, QWidget

from napari_hsi_ssl.gui.forms.pieces import row

_SURE: Final = 0.95
_WAYS: Final = {
    "deepest": ("the deepest exit", "The exit after the last stage of the network"),
    "mean": ("all exits", "The mean of what all exits say"),
    "first": ("the first sure exit", "Pixels leave the network at the first exit that is as sure as that; the deepest decides the rest"),
}


class ExitChoice(QWidget):
    """Edits the fields ``exits``, ``exit_at`` and ``turns`` of a `ClassifyConfig`."""

    def __init__(self) -> None:
        super().__init__()
        self.way = QComboBox()
        for key, (words, hint) in _WAYS.items():
            self.way.addItem(words, key)
            self.way.setItemData(self.way.count() - 1, hint, Qt.ItemDataRole.ToolTipRole)
        self.way.setToolTip("Which exit of the self-distillation network decides about a pixel")
        self.sure = QDoubleSpinBox()
        self.sure.setRange(1, 100)
        self.sure.setDecimals(1)
        self.sure.setSuffix(" %")
        self.sure.setValue(100 * _SURE)
        self.sure.setToolTip("How sure an exit must be of a class for a pixel to leave there")
        self.turns = QCheckBox("Mean over turned windows")
        self.turns.setToolTip("Every window is also asked turned by quarters and mirrored, at eight times the cost")
        self.way.currentIndexChanged.connect(self._follow)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row(QLabel("Decides"), self.way, self.sure, None))
        layout.addWidget(self.turns)
        self._follow()

    def value(self, method: str) -> dict[str, Any]:
        """Return the fields, for a method of classification."""
        if method != "distil":
            return {}
        first = self.way.currentData() == "first"
        return {
            "exits": "mean" if self.way.currentData() == "mean" else "deepest",
            "exit_at": self.sure.value() / 100 if first else None,
            "turns": self.turns.isChecked() and not first,
        }

    def _follow(self) -> None:
        first = self.way.currentData() == "first"
        self.sure.setVisible(first)
        self.turns.setVisible(not first)


def told(early: dict[str, Any]) -> str:
    """Say in a few words what leaving early did (`mapping.leaving.Leaver.report`)."""
    if not early["left"]:
        return ""
    shares = ", ".join(f"{share:.0%}" for share in early["left"])
    left = f"{shares} of the pixels left at exits 1 to {len(early['left'])}"
    return f" {left}: {early['saved']:.0%} of the multiply-adds saved, {early['agreement']:.1%} classified as by the deepest exit."
