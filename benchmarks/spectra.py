"""Spectra: reading the one under the pointer, drawing it in a real window, and means of regions.

Writes a cube of 1 GB in each interleave, reads single spectra from it warm and cold, moves the mouse over it in a real window and
counts what is drawn and how long the event loop waits beside bare napari with the same moves; then measures a mask's mean. In the suite the
reading of warm spectra stands beside the `spectral` library's. The spectral angle mapper is measured with the peers.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/spectra.py [--folder FOLDER] [--lines 2000] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from heartbeat import Heart, rest, wait, window
from napari.qt import get_qapp
from napari.utils._proxies import ReadOnlyWrapper
from napari.utils.interactions import mouse_move_callbacks
from qtpy.QtCore import QEvent, QObject
from rows import Row, Taken, compared, spread

from napari_hsi_ssl import Project, run
from napari_hsi_ssl.cubes.pixels import PixelReader
from napari_hsi_ssl.cubes.readers import read_cube
from napari_hsi_ssl.explore.spectra import region_means
from napari_hsi_ssl.gui import layers
from napari_hsi_ssl.gui.canvas import canvas_for
from napari_hsi_ssl.gui.plots.explorer import ExplorerDock
from napari_hsi_ssl.gui.workbench import open_workbench
from napari_hsi_ssl.steps.cubes import new

WIDTH, BANDS = 1250, 200
READS = 500
SECONDS = 5.0


def write_cubes(folder: Path, lines: int) -> dict[str, Path]:
    """Write one cube of random 16-bit numbers in each interleave."""
    rng = np.random.default_rng(0)
    found = {}
    for layout in ("bsq", "bil", "bip"):
        path = folder / layout / f"{layout}.hdr"
        path.parent.mkdir(parents=True, exist_ok=True)
        centres = ", ".join(f"{value:.1f}" for value in np.linspace(400, 2400, BANDS))
        path.write_text(
            f"ENVI\nsamples = {WIDTH}\nlines = {lines}\nbands = {BANDS}\nheader offset = 0\ndata type = 12\ninterleave = {layout}\nbyte order = 0\n"
            f"wavelength units = Nanometers\nwavelength = {{{centres}}}\n"
        )
        with path.with_suffix(".dat").open("wb") as stream:
            block = rng.integers(100, 4000, WIDTH * BANDS * 10, dtype=np.uint16)
            for number in range(lines // 10):
                stream.write(np.roll(block, number).tobytes())
            stream.flush()
            os.fsync(stream.fileno())
        found[layout] = path
    return found


def warm(path: Path) -> None:
    with path.with_suffix(".dat").open("rb") as stream:
        while stream.read(1 << 24):
            pass


def cold(path: Path) -> None:
    """Ask the system to forget the file."""
    with path.with_suffix(".dat").open("rb") as stream:
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def release(cube: Any, pointer: Any = None) -> None:
    """Let go of the pages that this process has mapped: what is mapped stays in memory."""
    mapped = getattr(cube.data, "_mmap", None)
    if mapped is not None:
        mapped.madvise(mmap.MADV_DONTNEED)
    if pointer is not None:
        pointer._reads = type(pointer._reads)()


def read_many(read: Callable[[int, int], Any], shape: tuple[int, ...], count: int = READS) -> tuple[list[float], np.ndarray]:
    """Return the milliseconds of single spectra at random places, and the spectra (n, band)."""
    rng = np.random.default_rng(1)
    times, found = [], []
    for y, x in zip(rng.integers(0, shape[0], count).tolist(), rng.integers(0, shape[1], count).tolist(), strict=True):
        start = time.perf_counter()
        spectrum = read(y, x)
        times.append(1000 * (time.perf_counter() - start))
        found.append(np.asarray(spectrum, dtype=np.float32))
    return times, np.array(found)


def reads(read: Callable[[int, int], Any], shape: tuple[int, ...]) -> dict[str, float]:
    """Time single spectra at random places, in milliseconds."""
    times, _ = read_many(read, shape)
    return {"median": float(np.median(times)), "p99": float(np.quantile(times, 0.99)), "longest": max(times)}


class Painted(QObject):
    """Counts how often a widget is painted."""

    def __init__(self, widget: Any) -> None:
        super().__init__(widget)
        self.count = 0
        widget.installEventFilter(self)

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        """Count, and let it pass."""
        self.count += event.type() == QEvent.Type.Paint
        return False


def moves(viewer: Any, shape: tuple[int, ...], seconds: float = SECONDS) -> int:
    """Move the mouse over the image about 200 times a second, through napari's own dispatcher."""
    rng = np.random.default_rng(2)
    end, count = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        place = (0.0, float(rng.uniform(0, shape[0] - 1)), float(rng.uniform(0, shape[1] - 1)))
        event = SimpleNamespace(type="mouse_move", position=place, pos=np.zeros(2), modifiers=(), button=1, is_dragging=False, handled=False)
        mouse_move_callbacks(viewer, ReadOnlyWrapper(event, exceptions=("handled",)))
        viewer.cursor.position = place
        count += 1
        rest(0.005)
    return count


def in_window(paths: dict[str, Path], folder: Path, seconds: float = SECONDS, states: tuple[str, ...] = ("warm", "cold")) -> dict[str, Any]:
    """Move the mouse over bare napari, then over every cube in the workbench."""
    heart = Heart()
    found: dict[str, Any] = {}
    shape = read_cube(next(iter(paths.values()))).shape
    with window() as viewer:
        layers.show_composite(viewer, "scene", np.zeros((*shape[:2], 3), dtype=np.uint8), (0, 1, 2))
        rest(1.0)
        heart.gaps()
        moves(viewer, shape, seconds)
        found["bare napari"] = {"gap_ms": heart.gaps()["longest"]}
    run(new(folder / "project", list(paths.values())))
    with window() as viewer:
        desk = open_workbench(viewer).desk
        desk.open_project(Project.open(folder / "project"))
        for layout, path in paths.items():
            desk.set_cube(layout)
            wait(lambda layout=layout: canvas_for(desk).picture is not None and layers.find(viewer, "cube", layout) is not None)
            dock = viewer.window._qt_window.findChild(ExplorerDock)
            dock.show_plot("spectra")
            rest(2.0)
            for state in states:
                release(canvas_for(desk).picture.cube, dock.pointer)
                {"warm": warm, "cold": cold}[state](path)
                rest(0.3)
                heard: list[float] = []
                hear = lambda values, heard=heard: heard.append(time.perf_counter()) if values is not None else None  # noqa: E731 - connected and disconnected
                dock.pointer.moved.connect(hear)
                painted = Painted(dock.spectra.plot.viewport())
                heart.gaps()
                start = time.perf_counter()
                made = moves(viewer, shape, seconds)
                taken = time.perf_counter() - start
                gaps = heart.gaps()
                dock.pointer.moved.disconnect(hear)
                found[f"{layout} {state}"] = {
                    "moves": made,
                    "spectra_per_s": len(heard) / taken,
                    "paints_per_s": painted.count / taken,
                    "gap_ms": gaps["longest"],
                    "gap_p99_ms": gaps["p99"],
                }
                painted.deleteLater()
    return found


def best(work: Callable[[], Any], times: int = 5) -> tuple[float, Any]:
    """Return the shortest of some times in seconds, and the last result."""
    taken, result = [], None
    for _ in range(times):
        start = time.perf_counter()
        result = work()
        taken.append(time.perf_counter() - start)
    return min(taken), result


def measure(work: Path, *, layouts: tuple[str, ...] = ("bsq", "bil", "bip"), count: int = READS, seconds: float = SECONDS) -> list[Row]:
    """Read warm spectra of the suite's cubes beside the `spectral` library, and follow a mouse in a window beside bare napari."""
    import spectral

    rows = []
    for layout in layouts:
        path = work / "files" / f"{layout}.hdr"
        warm(path)
        cube, image = read_cube(path), spectral.open_image(str(path))
        mapped = image.open_memmap()
        ways = {"ours": PixelReader(cube), "spectral read_pixel": image.read_pixel, "spectral memmap": lambda y, x, mapped=mapped: np.array(mapped[y, x])}
        taken = {}
        for name, way in ways.items():
            read_many(way, cube.shape, count)  # the first time makes pages known to this process
            times, found = read_many(way, cube.shape, count)
            taken[name] = Taken(found, times)
        rows += compared(
            "spectrum under the pointer", f"one spectrum of 1 GB {layout.upper()}, warm", taken.pop("ours"), taken,
            lambda ours, theirs: {"same spectra": float((ours == theirs).all(axis=1).mean())}, unit="ms",
        )  # fmt: skip
    if seconds:
        get_qapp()
        with tempfile.TemporaryDirectory(dir=work) as folder:
            os.environ.update(HSI_PROJECTS=folder, HSI_SETTINGS=f"{folder}/settings.json", HSI_BROWSING_CACHE=f"{folder}/browsing")
            layout = layouts[-1]
            found = in_window({layout: work / "files" / f"{layout}.hdr"}, Path(folder), seconds, states=("warm",))
        ours, bare = found[f"{layout} warm"], found["bare napari"]
        where = f"under a moving mouse, 1 GB {layout.upper()}"
        rows.append(Row("spectrum under the pointer", f"longest pause of the event loop {where}", "bare napari",
                        spread([ours["gap_ms"]]), spread([bare["gap_ms"]]), unit="ms", agreement={"spectra a second": ours["spectra_per_s"]}))  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--lines", type=int, default=2000, help="of 0.5 MB each")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        os.environ["HSI_PROJECTS"] = str(folder)
        os.environ["HSI_SETTINGS"] = str(folder / "settings.json")
        paths = write_cubes(folder, options.lines)
        for layout, path in paths.items():
            warm(path)
            cube = read_cube(path)
            result[f"{layout} warm read, ms"] = reads(PixelReader(cube), cube.shape)
            release(cube)
            cold(path)
            result[f"{layout} cold read, ms"] = reads(PixelReader(cube), cube.shape)
            warm(path)
            part, whole = cube[200:600, 200:600], np.ones(cube.shape[:2], dtype=np.uint8)
            result[f"{layout} mean of 160,000 pixels, s"] = best(lambda part=part, whole=whole: run(region_means(part, whole[:400, :400], (1,))), 3)[0]
            result[f"{layout} mean of all pixels, s"] = best(lambda cube=cube, whole=whole: run(region_means(cube, whole, (1,))), 1)[0]
            for key in list(result)[-4:]:
                print(key, result[key])
        get_qapp()
        for key, row in in_window(paths, folder).items():
            result[key] = row
            print(key, row)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
