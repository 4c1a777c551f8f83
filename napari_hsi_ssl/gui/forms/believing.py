"""What is made beside a map so that it can be believed: the images that go with it, and the class of what is unlike training."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QVBoxLayout, QWidget

from napari_hsi_ssl.gui.forms.pieces import row

_SHARE = 0.05


class Believing(QWidget):
    """Edits the fields ``unknown`` and ``layers`` of a `ClassifyConfig`; entropy is kept of every map, for it costs nothing."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.unknown = QCheckBox("Mark what is unlike training")
        self.unknown.setToolTip(
            "Pixels unlike all labelled ones get a class of their own, “unlike training”. The threshold: this share of labelled pixels that were held out "
            "would be marked too, wrongly"
        )
        self.share = QDoubleSpinBox()
        self.share.setRange(0.1, 50)
        self.share.setDecimals(1)
        self.share.setSuffix(" %")
        self.share.setValue(100 * _SHARE)
        self.share.setToolTip("False alarms: share of held-out labelled pixels that would be marked")
        self.share.setEnabled(False)
        self.unknown.toggled.connect(self.share.setEnabled)
        self.unknown.toggled.connect(lambda _on: self.changed.emit())
        self.share.valueChanged.connect(lambda _value: self.changed.emit())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row(self.unknown, self.share, None))

    def value(self, method: str) -> dict[str, Any]:
        """Return the fields, for a method of classification."""
        unknown = self.share.value() / 100 if self.unknown.isChecked() else None
        return {"unknown": unknown, "layers": ("entropy", *(["disagreement"] if method == "distil" else []))}

    def setValue(self, unknown: float | None) -> None:
        """Show a share of false alarms, or that nothing is marked."""
        if unknown is not None:
            self.share.setValue(100 * unknown)
        self.unknown.setChecked(unknown is not None)
