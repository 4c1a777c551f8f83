"""The pixel under the pointer: from napari's mouse to a spectrum, without ever waiting for a disk."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
import xarray as xr
from napari.utils.events import Event
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from napari_hsi_ssl.cubes.pixels import PixelReader
from napari_hsi_ssl.gui import layers
from napari_hsi_ssl.gui.canvas import canvas_for
from napari_hsi_ssl.gui.desk import Desk
from napari_hsi_ssl.gui.farewell import when_destroyed
from napari_hsi_ssl.gui.jobs import Jobs
from napari_hsi_ssl.gui.picking import picks
from napari_hsi_ssl.gui.pictures import CubePicture

if TYPE_CHECKING:
    from napari.viewer import Viewer

EVERY_MS = 40
"""Between two reads: more than 20 spectra a second. A docked plot can be redrawn 30 times, and the canvas needs its share."""
STALLED_MS = 200
"""A read that takes longer waits for a disk; the next is begun beside it."""
_MOST_READS = 3
_A_CLICK = 3.0
"""Pixels of the screen by which a mouse may move between press and release of a click."""


class PixelPointer(QObject):
    """Reads the spectrum under the pointer of a desk's viewer in a worker: the latest place counts, and a stalled read holds up no other.

    Attributes
    ----------
    following : bool
        Whether moves of the mouse are followed; a hidden plot needs none.
    pinning : bool
        Whether a plain click pins; a click with Shift always does. Clicks that pick pixels for a mask never do.
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
        self._reads = _Reads()
        desk.project_left.connect(self._forget)
        self._place: tuple[int, int] | None = None
        self._asked = self._shown = 0
        self._begun: dict[int, float] = {}
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
        """Return the pixel (y, x) of the current cube at a place of the world, or None outside; whichever layer is selected or on top."""
        viewer, picture = self.desk.viewer, canvas_for(self.desk).picture
        layer = layers.find(viewer, "cube", self.desk.cube) or layers.find(viewer, "rgb", self.desk.cube)
        if picture is None or layer is None or viewer.dims.ndisplay != 2:
            return None
        y, x = (round(float(value)) for value in (*(0.0,) * (3 - len(position)), *position)[-2:])
        if len(position) >= layer.ndim:
            corner = layer.world_to_data(position)
            step = layer.metadata["hsi"].get("step", 1)  # of a very large image every n-th pixel is shown
            y, x = (round(float(value) * step + (step - 1) / 2) for value in (corner[:2] if getattr(layer, "rgb", False) else corner[-2:]))
        height, width, _ = picture.cube.shape
        return (y, x) if 0 <= y < height and 0 <= x < width else None

    def _forget(self) -> None:
        self._jobs.forget()
        self._reads = _Reads()

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
            done = partial(self.pinned.emit, picture.name, *place)
            self._jobs.call(self._reads, picture.cube, *place, on_result=done, label="spectrum", on_error=self._failed)

    def _read(self) -> None:
        now = time.monotonic()
        if self._begun and (len(self._begun) >= _MOST_READS or 1000 * (now - max(self._begun.values())) < STALLED_MS):
            self._again = True  # what was passed over meanwhile is not worth reading
            self._timer.start(STALLED_MS)
            return
        self._again = False
        picture = canvas_for(self.desk).picture
        if self._place is None or picture is None:
            self._shown = self._asked
            self.moved.emit(None)
            return
        self._asked += 1
        self._last = self._begun[self._asked] = now
        arrived = partial(self._arrived, self._asked, ref(picture))
        job = self._jobs.call(self._reads, picture.cube, *self._place, on_result=arrived, label="spectrum", on_error=self._failed)
        job.ended.connect(partial(self._done, self._asked))

    def _arrived(self, number: int, picture: ref[CubePicture], values: NDArray[np.float32]) -> None:
        # A read that was stalled may come after a later one, or after the cube was changed.
        if number > self._shown and picture() is canvas_for(self.desk).picture:
            self._shown = number
            self.moved.emit(values)

    def _done(self, number: int) -> None:
        self._begun.pop(number, None)
        if self._again:
            self._read()

    def _failed(self, _error: BaseException, sentence: str, _details: str) -> None:
        self.following = False  # one word is enough, not twenty a second
        self.desk.message.emit(sentence, "error")


class _Reads:
    """Unwraps each cube once; made in the worker, for even opening a file may wait for a disk."""

    def __init__(self) -> None:
        self._known: tuple[xr.DataArray, PixelReader] | None = None

    def __call__(self, cube: xr.DataArray, y: int, x: int) -> NDArray[np.float32]:
        known = self._known
        if known is None or known[0] is not cube:
            known = self._known = (cube, PixelReader(cube))
        return known[1](y, x)


def _on_move(pointer: ref[PixelPointer], _viewer: Viewer, event: Event) -> None:
    this = pointer()
    if this is not None:
        this.move(tuple(event.position))


def _on_press(pointer: ref[PixelPointer], viewer: Viewer, event: Event) -> Iterator[None]:
    this = pointer()
    wanted = this is not None and event.button == 1 and (this.pinning or "Shift" in event.modifiers) and not picks(viewer)
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
