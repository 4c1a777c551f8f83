"""Pick pixels of the current cube on the canvas: by a click of the mouse, or with arrow keys and Enter."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, ref

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import QWidget

from napari_hsi_ssl.gui import mask_layers
from napari_hsi_ssl.gui.desk import Desk
from napari_hsi_ssl.gui.farewell import when_destroyed
from napari_hsi_ssl.gui.layers import canvas_widget

if TYPE_CHECKING:
    from napari.viewer import Viewer

_FAR = 10
_STILL = 3.0
"""Screen pixels that the mouse may move in a click; farther is a drag, which moves the image."""
_ARROWS = {Qt.Key.Key_Up: (-1, 0), Qt.Key.Key_Down: (1, 0), Qt.Key.Key_Left: (0, -1), Qt.Key.Key_Right: (0, 1)}


class PixelPicker(QObject):
    """Lets the user point at pixels while it is on.

    Parameters
    ----------
    desk : Desk
    parent : QObject

    Attributes
    ----------
    picked : Signal(int, int, bool)
        y and x of a pixel of the current cube, and whether Shift was held.
    left : Signal()
        Escape was pressed: the user has done.
    cursor : (int, int) or None
        Where the keyboard's cursor stands.
    marked : list of (int, int)
        Pixels that are marked on the image beside the cursor.
    """

    picked = Signal(int, int, bool)
    left = Signal()

    def __init__(self, desk: Desk, parent: QObject) -> None:
        super().__init__(parent)
        self.desk = desk
        self.cursor: tuple[int, int] | None = None
        self.marked: list[tuple[int, int]] = []
        self.on = False
        self._native: QWidget | None = None
        self._pressed = partial(_on_press, ref(self))
        when_destroyed(self, partial(_leave, ref(desk.viewer), self._pressed))

    def start(self, keyboard: bool = True) -> None:
        """Begin: the next clicks on the image pick. With ``keyboard`` the canvas takes the keys as well."""
        viewer = self.desk.viewer
        if not self.on:
            self.on = True
            viewer.mouse_drag_callbacks.append(self._pressed)
            active = viewer.layers.selection.active
            if active is not None and hasattr(active, "mode"):
                active.mode = "pan_zoom"  # a brush in the hand would paint where a pixel is picked
        native = canvas_widget(viewer)
        if native is not None:
            if self._native is None:
                native.installEventFilter(self)
                self._native = native
            if keyboard:
                native.setFocus()

    def stop(self) -> None:
        """End: clicks move the image again."""
        if self.on:
            self.on = False
            self.cursor = None
            _leave(ref(self.desk.viewer), self._pressed)
            if self._native is not None:
                self._native.removeEventFilter(self)
                self._native = None
            self.mark(self.marked)

    def mark(self, pixels: list[tuple[int, int]]) -> None:
        """Mark these pixels on the image, and no others."""
        self.marked = list(pixels)
        if self.desk.alive:
            mask_layers.show_picks(self.desk.viewer, self.marked, self.cursor)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Move the cursor with the arrows (ten pixels with Shift), pick with Enter, leave with Escape."""
        if not self.on or event.type() not in {QEvent.Type.KeyPress, QEvent.Type.ShortcutOverride} or not self.desk.cube:
            return super().eventFilter(watched, event)
        key, shift = event.key(), bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if key not in _ARROWS and key not in {Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Escape}:
            return super().eventFilter(watched, event)
        if event.modifiers() & (Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier):
            return super().eventFilter(watched, event)
        if event.type() == QEvent.Type.ShortcutOverride:
            event.accept()
            return True
        if key in _ARROWS:
            self._move(*_ARROWS[key], _FAR if shift else 1)
        elif key == Qt.Key.Key_Escape:
            self.left.emit()
        elif self.cursor is not None:
            self.picked.emit(*self.cursor, shift)
        return True

    def _move(self, down: int, right: int, far: int) -> None:
        height, width = self._shape()
        if not height:
            return
        if self.cursor is None:
            centre = self.desk.viewer.camera.center
            self.cursor = (min(height - 1, max(0, round(centre[-2]))), min(width - 1, max(0, round(centre[-1]))))
        else:
            y, x = self.cursor
            self.cursor = (min(height - 1, max(0, y + far * down)), min(width - 1, max(0, x + far * right)))
        mask_layers.show_picks(self.desk.viewer, self.marked, self.cursor)

    def _shape(self) -> tuple[int, int]:
        project = self.desk.project
        return (0, 0) if project is None or not self.desk.cube else project.entry(self.desk.cube).shape[:2]

    def pick(self, position: Any, shift: bool = False) -> None:  # noqa: ANN401 - napari's place in the world
        """Pick the pixel at a place of the world, when it lies in the cube."""
        height, width = self._shape()
        y, x = (round(float(value)) for value in position[-2:])
        if 0 <= y < height and 0 <= x < width:
            self.picked.emit(y, x, shift)


def picks(viewer: Viewer) -> bool:
    """Tell whether clicks on a viewer's image pick pixels now, so that they mean nothing else."""
    return any(getattr(callback, "func", None) is _on_press for callback in viewer.mouse_drag_callbacks)


def _on_press(picker: ReferenceType[PixelPicker], _viewer: object, event: Any) -> Iterator[None]:  # noqa: ANN401 - napari's mouse event
    """Pick where the mouse is released, unless it was dragged."""
    begun = tuple(event.pos)
    if event.button != 1:
        return
    yield
    while event.type == "mouse_move":
        yield
    alive = picker()
    if alive is not None and alive.on and max(abs(a - b) for a, b in zip(begun, event.pos, strict=False)) <= _STILL:
        alive.pick(event.position, "Shift" in {getattr(key, "name", str(key)) for key in event.modifiers})


def _leave(viewer: ReferenceType[Any], pressed: Any) -> None:  # noqa: ANN401 - a callback
    alive = viewer()
    if alive is not None and pressed in alive.mouse_drag_callbacks:
        alive.mouse_drag_callbacks.remove(pressed)
