"""The pixel under the pointer: from napari's mouse to a spectrum, without ever waiting for a disk."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

from napari.utils.events import Event
from qtpy.QtCore import QObject, QTimer, Signal

from napari_hsi_ssl.cubes.cube import spectrum
from napari_hsi_ssl.gui import layers
from napari_hsi_ssl.gui.canvas import canvas_for
from napari_hsi_ssl.gui.desk import Desk
from napari_hsi_ssl.gui.farewell import when_destroyed
from napari_hsi_ssl.gui.jobs import Jobs

if TYPE_CHECKING:
    from napari.viewer import Viewer

EVERY_MS = 48
"""Between two reads: some 20 spectra a second. A docked plot can be redrawn 30 times, and the canvas needs its share."""
_A_CLICK = 3.0
"""Pixels of the screen by which a mouse may move between press and release of a click."""


class PixelPointer(QObject):
    """Reads the spectrum under the pointer of a desk's viewer, one read at a time, the latest place last.

    Attributes
    ----------
    following : bool
        Whether moves of the mouse are followed; a hidden plot needs none.
    pinning : bool
        Whether a plain click pins; a click with Shift always does.
    """

    moved = Signal(object)
    """float32 spectrum (band,) under the pointer, or None when it left the cube."""
    pinned = Signal(str, int, int, object)
    """Cube, y, x and float32 spectrum (band,) of a clicked pixel."""

    def __init__(self, desk: Desk, parent: QObject) -> None:
        super().__init__(parent)
        self.desk = desk
        self.following = True
        self.pinning = False
        self._jobs = Jobs(self)
        self._place: tuple[int, int] | None = None
        self._reading = False
        self._again = False
        self._last = 0.0
        self._timer = QTimer(self, singleShot=True)
        self._timer.timeout.connect(self._read)
        viewer = desk.viewer
        # napari keeps these in plain lists: whoever adds a callback has to take it away.
        callbacks = (partial(_on_move, ref(self)), partial(_on_press, ref(self)))
        viewer.mouse_move_callbacks.append(callbacks[0])
        viewer.mouse_drag_callbacks.append(callbacks[1])
        when_destroyed(self, partial(_leave, ref(viewer), callbacks))

    def pixel(self, position: tuple[float, ...]) -> tuple[int, int] | None:
        """Return the pixel (y, x) of the current cube at a place of the world, or None outside."""
        viewer, picture = self.desk.viewer, canvas_for(self.desk).picture
        layer = layers.find(viewer, "cube", self.desk.cube)
        if picture is None or layer is None or viewer.dims.ndisplay != 2:
            return None
        y, x = (round(float(value)) for value in layer.world_to_data(position)[-2:])
        height, width, _ = picture.cube.shape
        return (y, x) if 0 <= y < height and 0 <= x < width else None

    def move(self, position: tuple[float, ...]) -> None:
        """Take a new place of the pointer."""
        if not self.following:
            return
        self._place = self.pixel(position)
        if not self._timer.isActive():
            since = 1000 * (time.monotonic() - self._last)
            self._timer.start(max(0, round(EVERY_MS - since)))

    def pin(self, position: tuple[float, ...]) -> None:
        """Read the spectrum at a place, to be kept."""
        place, picture = self.pixel(position), canvas_for(self.desk).picture
        if place is not None and picture is not None:
            self._jobs.call(spectrum, picture.cube, *place, on_result=partial(self.pinned.emit, picture.name, *place), label="spectrum", on_error=self._failed)

    def _read(self) -> None:
        if self._reading:  # a cold disk answers late; what was passed over meanwhile is not worth reading
            self._again = True
            return
        picture = canvas_for(self.desk).picture
        if self._place is None or picture is None:
            self.moved.emit(None)
            return
        self._reading = True
        self._last = time.monotonic()
        job = self._jobs.call(spectrum, picture.cube, *self._place, on_result=self.moved.emit, label="spectrum", on_error=self._failed)
        job.ended.connect(self._done)

    def _done(self) -> None:
        self._reading = False
        if self._again:
            self._again = False
            self._read()

    def _failed(self, _error: BaseException, sentence: str, _details: str) -> None:
        self.following = False  # one word is enough, not twenty a second
        self.desk.message.emit(sentence, "error")


def _on_move(pointer: ref[PixelPointer], _viewer: Viewer, event: Event) -> None:
    this = pointer()
    if this is not None:
        this.move(tuple(event.position))


def _on_press(pointer: ref[PixelPointer], _viewer: Viewer, event: Event) -> Iterator[None]:
    this = pointer()
    wanted = this is not None and event.button == 1 and (this.pinning or "Shift" in event.modifiers)
    start = tuple(event.pos)
    yield
    while event.type == "mouse_move":
        yield
    if wanted and this is not None and max(abs(event.pos[0] - start[0]), abs(event.pos[1] - start[1])) <= _A_CLICK:
        this.pin(tuple(event.position))


def _leave(viewer: ref[Viewer], callbacks: tuple[Any, ...], *_: object) -> None:
    alive = viewer()
    if alive is None:
        return
    for kept in (alive.mouse_move_callbacks, alive.mouse_drag_callbacks):
        for callback in callbacks:
            if callback in kept:
                kept.remove(callback)
