"""Two maps of one cube compared by eye: a line that is drawn across the canvas, left of it one map and right of it the other; or both in turn.

Both maps are put together in one Labels layer of small codes. When the line moves, only the columns that it passes are copied,
in place, and one lean refresh follows: as cheap as a map gets in napari, whatever the maps hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QObject, QPointF, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from qtpy.QtWidgets import QWidget

from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.gui.farewell import when_destroyed
from napari_hsi_ssl.gui.layers import add_layer, canvas_widget, cube_of
from napari_hsi_ssl.gui.mask_layers import label_colours

if TYPE_CHECKING:
    from napari.viewer import Viewer

BLINK_MS = 700
_EVERY_MS = 30
_GRIP = 11
_STEP, _SMALL_STEP = 12, 1


class Comparison(QObject):
    """Swipe and blink of two maps of one viewer.

    Attributes
    ----------
    mode : {"", "swipe", "blink"}
    changed : Signal()
        It began, ended, or shows the other map.
    """

    changed = Signal()

    def __init__(self, viewer: Viewer, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = ref(viewer)
        self.mode = ""
        self.maps: tuple[Labels, Labels] | None = None
        self.shown = 0
        """While blinking: which of the two is seen."""
        self._codes: tuple[NDArray[np.integer], NDArray[np.integer]] | None = None
        self._layer: Labels | None = None
        self._column = 0
        self.handle: Handle | None = None
        self._blinker = QTimer(self, interval=BLINK_MS)
        self._blinker.timeout.connect(self.flip)
        # Moves of the mouse and of the camera come faster than a canvas is drawn: the latest place counts.
        self._mover = QTimer(self, singleShot=True, interval=_EVERY_MS)
        self._mover.timeout.connect(self._move)
        this = ref(self)
        watched = [
            (viewer.layers.events.removing, partial(_tell, this, "_layer_going")),
            (viewer.scene.camera.events.zoom, partial(_tell, this, "_later")),
            (viewer.scene.camera.events.center, partial(_tell, this, "_later")),
        ]
        for event, slot in watched:
            event.connect(slot)
        when_destroyed(self, partial(_leave, watched))

    # -- begin and end ----------------------------------------------------------------------------------------------------

    def swipe(self, first: Labels, second: Labels) -> None:
        """Show the first map left of a line and the second one right of it."""
        self.end()
        viewer = self._viewer()
        native = None if viewer is None else canvas_widget(viewer)
        if viewer is None:
            return
        self.maps, self.mode = (first, second), "swipe"
        codes, colours, names = _coded(first, second)
        self._codes = codes
        self._column = first.data.shape[1] // 2
        start = codes[1].copy()
        start[:, : self._column] = codes[0][:, : self._column]
        layer = Labels(start, name=f"{cube_of(first)} swipe", opacity=first.opacity, colormap=label_colours(colours))
        layer.features = {"index": [0, *colours], "class": ["unlabelled", *names]}
        self._layer = add_layer(viewer, layer, "swipe", cube_of(first), maps=(first.name, second.name))
        first.visible = second.visible = False
        if native is not None:
            self.handle = Handle(native)
            self.handle.moved.connect(self._later)
            self.handle.left.connect(self._leave)
            self.handle.show()
            self._move()
        self.changed.emit()

    def blink(self, first: Labels, second: Labels) -> None:
        """Show both maps in turn."""
        self.end()
        self.maps, self.mode, self.shown = (first, second), "blink", 1
        self.flip()
        self._blinker.start()

    def flip(self) -> None:
        """While blinking: show the other map."""
        if self.maps is not None and self.mode == "blink":
            self.shown = 1 - self.shown
            # The new one first, so that no frame is without a map.
            self.maps[self.shown].visible = True
            self.maps[1 - self.shown].visible = False
            self.changed.emit()

    def end(self, *, restore: bool = True) -> None:
        """Leave the first map alone over the image; without ``restore``, whatever has been shown meanwhile."""
        if not self.mode:
            return
        maps, layer, handle, viewer = self.maps, self._layer, self.handle, self._viewer()
        self.mode, self.maps, self._layer, self._codes, self.handle = "", None, None, None, None
        self._blinker.stop()
        self._mover.stop()
        if handle is not None:
            handle.hide()
            handle.deleteLater()
        if viewer is not None:
            if restore and maps is not None and all(one in viewer.layers for one in maps):
                maps[0].visible, maps[1].visible = True, False
            if layer is not None and layer in viewer.layers:
                viewer.layers.remove(layer)
        self.changed.emit()

    def _leave(self) -> None:
        self.end()

    def _layer_going(self, event: Any) -> None:  # noqa: ANN401 - an event of napari
        viewer = self._viewer()
        going = viewer.layers[event.index] if viewer is not None else None
        if self.maps is not None and (going in self.maps or going is self._layer):
            if going is self._layer:
                self._layer = None
            self.end()

    # -- the line ---------------------------------------------------------------------------------------------------------

    @property
    def column(self) -> int:
        """How many columns of pixels are of the first map."""
        return self._column

    def _later(self, *_: object) -> None:
        if self.mode == "swipe" and not self._mover.isActive():
            self._mover.start()

    def _move(self) -> None:
        viewer = self._viewer()
        if viewer is not None and self.handle is not None and self._layer is not None:
            self.to_column(column_at(viewer, self._layer, self.handle.place))

    def to_column(self, column: int) -> None:
        """Give the first map this many columns."""
        layer, codes = self._layer, self._codes
        if layer is None or codes is None:
            return
        column = min(max(column, 0), layer.data.shape[1])
        low, high = sorted((self._column, column))
        if low == high:
            return
        layer.data[:, low:high] = codes[0 if column > self._column else 1][:, low:high]
        self._column = column
        layer.refresh(thumbnail=False, extent=False, highlight=False)


def column_at(viewer: Viewer, layer: Labels, place: float) -> int:
    """Return how many columns of a layer's pixels lie left of a place, in pixels from the left edge of the canvas."""
    native = canvas_widget(viewer)
    width = native.width() if native is not None else 0
    world = [float(step) for step in viewer.dims.point]
    world[-2], world[-1] = viewer.scene.camera.center[-2], viewer.scene.camera.center[-1] + (place - width / 2) / viewer.scene.camera.zoom
    return round(float(layer.world_to_data(world[-layer.ndim :])[-1]) + 0.5)


class Handle(QWidget):
    """An upright line over a canvas, to be dragged, or moved by the arrow keys.

    Parameters
    ----------
    canvas : QWidget

    Attributes
    ----------
    moved, left : Signal()
        It stands elsewhere; Esc was pressed.
    """

    moved = Signal()
    left = Signal()

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self._share = 0.5
        self.setCursor(Qt.CursorShape.SplitHCursor)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setToolTip("Drag, or ← → (Shift: a pixel at a time): left of the line one map, right of it the other. Esc ends")
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        canvas.installEventFilter(self)
        self._lay_out()
        self.setFocus()

    @property
    def place(self) -> float:
        """Where the line is, in pixels from the left edge of the canvas."""
        return self._share * self._canvas.width()

    def put(self, place: float) -> None:
        """Move the line."""
        self._share = min(max(place / max(1, self._canvas.width()), 0.0), 1.0)
        self._lay_out()
        self.moved.emit()

    def _lay_out(self) -> None:
        self.setGeometry(round(self.place) - _GRIP // 2, 0, _GRIP, self._canvas.height())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keep the height of the canvas."""
        if event.type() == QEvent.Type.Resize:
            self._lay_out()
            self.moved.emit()
        return super().eventFilter(watched, event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw a white line with a dark rim, and a grip in its middle."""
        painter = QPainter(self)
        middle, height = _GRIP // 2, self.height()
        painter.fillRect(middle - 1, 0, 3, height, QColor("#202020"))
        painter.fillRect(middle, 0, 1, height, QColor("#ffffff"))
        grip = QColor("#ffb000") if self.hasFocus() else QColor("#ffffff")
        painter.fillRect(0, height // 2 - 18, _GRIP, 36, QColor("#202020"))
        painter.fillRect(1, height // 2 - 17, _GRIP - 2, 34, grip)
        for line in (-6, 0, 6):
            painter.fillRect(3, height // 2 + line, _GRIP - 6, 2, QColor("#202020"))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take the line."""
        self.setFocus()
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag the line."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self.put(self.x() + _position(event).x())
        event.accept()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Leave the line."""
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Move the line by the arrows; Esc ends."""
        step = _SMALL_STEP if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else _STEP
        ways = {Qt.Key.Key_Left: -step, Qt.Key.Key_Right: step}
        if event.key() in ways:
            self.put(self.place + ways[event.key()])
        elif event.key() == Qt.Key.Key_Escape:
            self.left.emit()
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: Any) -> None:  # noqa: ANN401 - QFocusEvent
        """Show that the arrows are for the line."""
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: Any) -> None:  # noqa: ANN401 - QFocusEvent
        """Show that they no longer are."""
        super().focusOutEvent(event)
        self.update()


def _position(event: QMouseEvent) -> QPointF:
    return event.position() if hasattr(event, "position") else event.localPos()


def _coded(first: Labels, second: Labels) -> tuple[tuple[NDArray[np.integer], NDArray[np.integer]], dict[int, str], list[str]]:
    """Return two maps in codes that tell their classes apart, the colours of the codes, and their names."""
    known: list[tuple[int, str, str]] = []  # of all maps: the number in its map, colour, name
    spans: list[Sequence[int]] = []
    for layer in (first, second):
        classes: Classes = layer.metadata["hsi"].get("classes", Classes((), (), ()))
        start = len(known)
        known += list(zip(classes.numbers, classes.colours, classes.names, strict=True))
        spans.append(range(start, len(known)))
    kind = np.uint8 if len(known) < 255 else np.uint16
    coded = []
    for layer, span in zip((first, second), spans, strict=True):
        labels = np.asarray(layer.data)
        table = np.zeros(max(int(labels.max(initial=0)), *(known[place][0] for place in span), 0) + 1, dtype=kind)
        for place in span:
            table[known[place][0]] = place + 1
        coded.append(table[np.maximum(labels, 0)])
    return (coded[0], coded[1]), {place + 1: colour for place, (_, colour, _) in enumerate(known)}, [name for *_, name in known]


def _tell(comparison: ref[Comparison], slot: str, event: object = None) -> None:
    this = comparison()
    if this is not None:
        getattr(this, slot)(event)


def _leave(watched: list[tuple[Any, Any]], *_: object) -> None:
    for event, slot in watched:
        event.disconnect(slot)
