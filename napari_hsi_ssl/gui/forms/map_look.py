"""How the map over the image looks: opacity, confidence, legend."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QLabel, QListWidget, QListWidgetItem, QSlider, QVBoxLayout, QWidget

from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.gui import result_layers
from napari_hsi_ssl.gui.canvas import Canvas
from napari_hsi_ssl.gui.desk import Desk
from napari_hsi_ssl.gui.forms.labels import swatch
from napari_hsi_ssl.gui.forms.pieces import listen, row


class MapLook(QWidget):
    """Opacity and legend of the map that lies over the image, and its confidence instead of its classes.

    Parameters
    ----------
    desk : Desk
    canvas : Canvas
    """

    def __init__(self, desk: Desk, canvas: Canvas) -> None:
        super().__init__()
        self.desk = desk
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(0, 100)
        self.opacity.setValue(70)
        self.opacity.setToolTip("Opacity of the maps over the image")
        self.opacity.valueChanged.connect(self._set_opacity)
        self.confidence = QCheckBox("Confidence")
        self.confidence.setToolTip("Show how sure the classifier is of every pixel, from 0 to 1, instead of the classes")
        self.confidence.toggled.connect(self._set_confidence)
        self.legend = QListWidget()
        self.legend.setMaximumHeight(150)
        self.legend.setToolTip("Classes of the map over the image, and the share of the classified pixels that each covers")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row(QLabel("Opacity"), self.opacity, self.confidence))
        layout.addWidget(self.legend)
        canvas.map_shown.connect(self._map_shown)
        listen(desk.viewer.layers.events.removed, self, "refresh")

    def _set_opacity(self, value: int) -> None:
        for layer in result_layers.map_layers(self.desk.viewer):
            layer.opacity = value / 100

    def _set_confidence(self, on: bool) -> None:
        layer = result_layers.shown_map(self.desk.viewer, self.desk.cube)
        sure = result_layers.confidence_of(self.desk.viewer, layer) if layer is not None else None
        if layer is not None and sure is not None:
            sure.visible, layer.visible = on, not on

    def _map_shown(self, _path: str) -> None:
        blocked = self.confidence.blockSignals(True)
        self.confidence.setChecked(False)
        self.confidence.blockSignals(blocked)
        self.refresh()

    def refresh(self) -> None:
        """Show the classes that the map over the image holds, and their shares."""
        self.legend.clear()
        shown = result_layers.shown_map(self.desk.viewer, self.desk.cube)
        self.legend.setVisible(shown is not None)
        if shown is None:
            return
        classes: Classes = shown.metadata["hsi"].get("classes", Classes((), (), ()))
        counts = np.bincount(np.asarray(shown.data).ravel(), minlength=max(classes.numbers, default=0) + 1)
        total = max(1, int(counts[1:].sum()))
        for number, name, colour in zip(classes.numbers, classes.names, classes.colours, strict=True):
            if not counts[number]:
                continue
            self.legend.addItem(QListWidgetItem(swatch(colour), f"{name}  ·  {counts[number] / total:.1%}"))
