"""How the map over the image looks: opacity, its classes or an image that says how far to believe them, how sure a pixel must be to be shown, legend."""

from __future__ import annotations

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QComboBox, QLabel, QListWidget, QListWidgetItem, QSlider, QVBoxLayout, QWidget

from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.gui import result_layers
from napari_hsi_ssl.gui.canvas import Canvas
from napari_hsi_ssl.gui.desk import Desk
from napari_hsi_ssl.gui.forms.labels import swatch
from napari_hsi_ssl.gui.forms.pieces import QUIET, Words, boxed, listen, row
from napari_hsi_ssl.gui.layers import find
from napari_hsi_ssl.gui.swipe import Comparison

_EVERY_MS = 30
_LEGEND_MS = 200
_IMAGES = {
    "": ("Classes", "The class of every pixel"),
    "confidence": ("Confidence", result_layers.LOOKS["confidence"][2]),
    "entropy": ("Entropy", result_layers.LOOKS["entropy"][2]),
    "disagreement": ("Disagreement", result_layers.LOOKS["disagreement"][2]),
    "typicality": ("Unlike training", result_layers.LOOKS["typicality"][2]),
}


class MapLook(QWidget):
    """Opacity and legend of the map that lies over the image, and what is shown in place of its classes.

    Parameters
    ----------
    desk : Desk
    canvas : Canvas
    comparison : Comparison
        Of two maps, while which the legend is that of the first one.
    """

    def __init__(self, desk: Desk, canvas: Canvas, comparison: Comparison) -> None:
        super().__init__()
        self.desk, self.canvas, self.comparison = desk, canvas, comparison
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(0, 100)
        self.opacity.setValue(70)
        self.opacity.setToolTip("Opacity of the maps over the image")
        self.opacity.valueChanged.connect(self._set_opacity)
        self.images = QComboBox()
        self.images.setToolTip("What is shown of the map: its classes, or an image that says how far to believe them")
        self.images.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.images.setMinimumContentsLength(11)
        self.images.activated.connect(self._show_image)
        self._offer(())
        self.sure = QSlider(Qt.Orientation.Horizontal)
        self.sure.setRange(0, 99)
        self.sure.setToolTip("Leave out pixels that the classifier is less sure of than this; all are shown at the left end")
        self.sure.valueChanged.connect(self._sure_changed)
        self.share = Words(QUIET)
        self.share.setWordWrap(False)
        self.share.setText("all shown")
        self.share.setToolTip("How many pixels of the map are shown")
        # The slider moves faster than a canvas is drawn, and counting classes costs more than leaving pixels out.
        self._soon = QTimer(self, singleShot=True, interval=_EVERY_MS)
        self._soon.timeout.connect(self._leave_out)
        self._later = QTimer(self, singleShot=True, interval=_LEGEND_MS)
        self._later.timeout.connect(self.refresh)
        self.legend = QListWidget()
        self.legend.setMaximumHeight(150)
        self.legend.setToolTip("Classes of the map over the image, and the share of the classified pixels that each covers")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row(QLabel("Opacity"), self.opacity, self.images))
        self.sure_row = boxed(row(QLabel("Sure from"), self.sure, self.share))
        layout.addWidget(self.sure_row)
        layout.addWidget(self.legend)
        canvas.map_shown.connect(self._map_shown)
        comparison.changed.connect(self._later.start)
        listen(desk.viewer.layers.events.removed, self, "refresh")

    def _set_opacity(self, value: int) -> None:
        for layer in result_layers.map_layers(self.desk.viewer):
            layer.opacity = value / 100

    def show_image(self, name: str) -> None:
        """Show an image that goes with the map in place of its classes, "" for the classes."""
        self.images.setCurrentIndex(max(0, self.images.findData(name)))
        layer = result_layers.shown_map(self.desk.viewer, self.desk.cube)
        if layer is not None:
            self.canvas.show_image_of_map(layer, str(self.images.currentData()))

    def _show_image(self, _index: int) -> None:
        self.show_image(str(self.images.currentData()))

    def _offer(self, images: tuple[str, ...]) -> None:
        """List the classes and the images that the map has."""
        self.images.clear()
        for name, (words, hint) in _IMAGES.items():
            if not name or name in images:
                self.images.addItem(words, name)
                self.images.setItemData(self.images.count() - 1, hint, Qt.ItemDataRole.ToolTipRole)
        self.images.setEnabled(self.images.count() > 1)

    def _sure_changed(self, _value: int) -> None:
        if not self._soon.isActive():
            self._soon.start()

    def _leave_out(self) -> None:
        layer = self._shown()
        if layer is None:
            return
        least = self.sure.value() / 100
        shown, whole = result_layers.show_sure(self.desk.viewer, layer, least)
        self.share.setText(f"{least:.2f}: {shown / max(1, whole):.0%} shown" if least else "all shown")
        self.share.setToolTip(f"{shown:,} of {whole:,} pixels of the map are shown")
        self._later.start()

    def _shown(self) -> Labels | None:
        maps, viewer, cube = self.comparison.maps, self.desk.viewer, self.desk.cube
        if maps is not None:
            return maps[0]
        differences = find(viewer, "differences", cube)
        return differences if differences is not None and differences.visible else result_layers.shown_map(viewer, cube)

    def _map_shown(self, _path: str) -> None:
        before = self.sure.blockSignals(True)
        self.sure.setValue(0)
        self.sure.blockSignals(before)
        self.share.setText("all shown")
        layer = self._shown()
        self._offer(layer.metadata["hsi"].get("images", ("confidence",)) if layer is not None else ())
        self.refresh()

    def refresh(self) -> None:
        """Show the classes that the map over the image holds, and their shares."""
        self.legend.clear()
        shown = self._shown()
        self.legend.setVisible(shown is not None)
        self.sure_row.setVisible(shown is not None)
        if shown is None:
            return
        classes: Classes = shown.metadata["hsi"].get("classes", Classes((), (), ()))
        counts = np.bincount(np.asarray(shown.data).ravel(), minlength=max(classes.numbers, default=0) + 1)
        total = max(1, int(counts[1:].sum()))
        for number, name, colour in zip(classes.numbers, classes.names, classes.colours, strict=True):
            if not counts[number]:
                continue
            self.legend.addItem(QListWidgetItem(swatch(colour), f"{name}  ·  {counts[number] / total:.1%}"))
