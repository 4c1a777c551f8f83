"""What the drivers of all peers share: a window, the moment at which something is painted, memory, and gaps of the event loop.

It runs in the environment of every peer, so it needs nothing but NumPy and, for what has a window, Qt and napari.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PATIENCE = 110.0
COMPONENTS, NEIGHBOURS = 10, 5
Task = Callable[[Path, Path], dict[str, Any]]


def private_mb() -> float:
    """Return the memory of this process that no file backs, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return float("nan")


def peak_mb(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a call returns and the highest private memory beyond that at its start, looked at every 5 ms from a thread."""
    import threading

    start, highest, ended = private_mb(), [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.005):
            highest[0] = max(highest[0], private_mb())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        found = call()
    finally:
        ended.set()
        thread.join()
    return found, max(highest[0], private_mb()) - start


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a call returns and the seconds that it took."""
    begin = time.perf_counter()
    found = call()
    return found, time.perf_counter() - begin


def repeated(call: Callable[[], Any], times: int = 3) -> tuple[Any, list[float], float]:
    """Return what a call returns, the seconds of several turns, and the private memory that a turn before them added at its peak, in MB."""
    _, mb = peak_mb(call)
    seconds = []
    for _ in range(times):
        found, taken = timed(call)
        seconds.append(taken)
    return found, seconds, mb


# -- the window -----------------------------------------------------------------------------------------------------------


def window() -> Any:
    """Open a shown napari viewer of the usual size, with the lazy imports of its first layers already paid."""
    import napari

    viewer = napari.Viewer()
    viewer.window.resize(1500, 950)
    rest(0.5)
    for data in (np.zeros((4, 4, 3), np.uint8), np.zeros((2, 4, 4), np.float32)):
        viewer.add_image(data)
    viewer.add_labels(np.zeros((4, 4), np.int32))
    rest(0.3)
    viewer.layers.clear()
    rest(0.5)
    return viewer


def wait(done: Callable[[], Any], seconds: float = PATIENCE) -> None:
    """Let the event loop run until something is so."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            msg = f"nothing happened in {seconds:.0f} s"
            raise TimeoutError(msg)
        QApplication.processEvents()
        time.sleep(0.0005)


def rest(seconds: float) -> None:
    """Let the event loop run for a while."""
    end = time.monotonic() + seconds
    wait(lambda: time.monotonic() >= end)


def canvas_drawn(viewer: Any) -> None:
    """Wait until napari's canvas has been drawn once more; what was changed before is then on the screen."""
    canvas = viewer.window._qt_viewer.canvas._scene_canvas
    drawn: list[bool] = []

    def note(_event: object = None) -> None:
        drawn.append(True)

    canvas.events.draw.connect(note, position="last")
    canvas.update()
    wait(lambda: drawn)
    canvas.events.draw.disconnect(note)


def painted(widget: Any) -> None:
    """Wait until a widget has been painted once more: the event loop paints it before it comes back."""
    from qtpy.QtCore import QEvent, QObject

    class Painted(QObject):
        def __init__(self) -> None:
            super().__init__()
            self.seen = False

        def eventFilter(self, _watched: Any, event: Any) -> bool:
            self.seen = self.seen or event.type() == QEvent.Type.Paint
            return False

    look = Painted()
    widget.installEventFilter(look)
    widget.update()
    wait(lambda: look.seen)
    widget.removeEventFilter(look)


class Heart:
    """Beats every 5 ms in the event loop and remembers when."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self.beats: list[float] = []
        self.timer = QTimer()
        self.timer.setTimerType(Qt.TimerType.PreciseTimer)
        self.timer.timeout.connect(lambda: self.beats.append(time.perf_counter()))
        self.timer.start(5)

    def longest_gap(self, call: Callable[[], Any]) -> tuple[Any, float]:
        """Return what a call returns and the longest gap in ms from shortly before it to half a second after it."""
        rest(0.2)
        self.beats = self.beats[-1:]
        found = call()
        rest(0.5)
        return found, float(np.diff(self.beats).max() * 1000)


# -- the files ------------------------------------------------------------------------------------------------------------


def small_cube(folder: Path) -> np.ndarray:
    """Return the cube of 610 × 340 × 103 float32, in memory, as (y, x, band)."""
    return np.load(folder / "small.npy")


def endmembers(folder: Path) -> np.ndarray:
    """Return nine spectra (9, band)."""
    return np.load(folder / "endmembers.npy")


def references(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return 900 spectra (n, band) of the small cube and their classes (n,) 1 to 9."""
    kept = np.load(folder / "references.npz")
    return kept["spectra"], kept["classes"]


def scores(folder: Path, points: str) -> np.ndarray:
    """Return scores (y, x, 2) float32."""
    return np.load(folder / f"scores-{points}.npy")


def polygon(folder: Path) -> np.ndarray:
    """Return the lasso (n, 2)."""
    return np.load(folder / "lasso.npy")


def main(tasks: dict[str, Task]) -> None:
    """Do one task and print what it gives as one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=sorted(tasks))
    parser.add_argument("folder", type=Path)
    parser.add_argument("answer", type=Path, help="where arrays go that are compared")
    given = parser.parse_args()
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            found = tasks[given.task](given.folder, given.answer)
    except Exception as error:  # noqa: BLE001 - every failure of a peer is told, not raised
        import traceback

        traceback.print_exc()
        found = {"failed": f"{type(error).__name__}: {error}"[:300]}
    print("RESULT " + json.dumps(found), flush=True)
    import os

    os._exit(0)  # a viewer that is taken down wrongly must not spoil what was measured
