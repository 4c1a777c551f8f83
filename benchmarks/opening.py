"""How soon a cube is seen, what that costs in memory, and how its bands follow a slider; then a cube of 20 GB by every usual step.

A 1 GB ENVI cube of each interleave is written into a temporary folder. For each of them a child process opens a real napari window with
the workbench, then asks for the cube and waits until its composite is on the canvas: once with the file's pages thrown out of the system's
cache before (``POSIX_FADV_DONTNEED``), once with them in it. Memory that counts is what no file backs (``RssAnon``); mapped pages are told
beside it. Three bands by a bare memory map of the `spectral` library, stretched, are timed in the same run.

The 20 GB cube is a sparse file with data in some of its rows; every step on it runs in a child process whose peak is told.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/opening.py [--large] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SHAPE = (1600, 1600, 200)
LARGE = (20_000, 5_000, 100)
LAYOUTS = ("bsq", "bil", "bip")
PATIENCE = 120.0


# -- cubes ----------------------------------------------------------------------------------------------------------------


def header(path: Path, shape: tuple[int, int, int], layout: str, first: float = 400.0, last: float = 1000.0) -> None:
    height, width, bands = shape
    centres = ", ".join(f"{nm:.2f}" for nm in np.linspace(first, last, bands))
    path.write_text(
        f"ENVI\nsamples = {width}\nlines = {height}\nbands = {bands}\nheader offset = 0\ndata type = 12\ninterleave = {layout}\n"
        f"byte order = 0\nwavelength units = Nanometers\nwavelength = {{{centres}}}\n"
    )


def write_cube(path: Path, shape: tuple[int, int, int], layout: str) -> None:
    """Write a cube of smooth objects with noise, a few rows at a time."""
    height, width, bands = shape
    header(path.with_suffix(".hdr"), shape, layout)
    file_shape = {"bsq": (bands, height, width), "bil": (height, bands, width), "bip": (height, width, bands)}[layout]
    values = np.memmap(path, dtype="<u2", mode="w+", shape=file_shape)
    cube = values.transpose({"bsq": (1, 2, 0), "bil": (0, 2, 1), "bip": (0, 1, 2)}[layout])
    generator = np.random.default_rng(0)
    curves = 500 + 2000 * generator.random((4, 1)) * (1 + np.sin(np.linspace(0, 6, bands)[None] + generator.random((4, 1)) * 6))
    x = np.arange(width)
    for y in range(0, height, 32):
        rows = np.arange(y, min(height, y + 32))
        kind = ((rows[:, None] // 100) + (x[None] // 130)) % 4
        cube[rows] = (curves[kind] + generator.integers(0, 60, (len(rows), width, bands), dtype=np.int16)).astype(np.uint16)
    values.flush()


def write_sparse(path: Path, shape: tuple[int, int, int], layout: str) -> None:
    """Write a cube of which only a part of the rows holds numbers; the rest is a hole in the file that reads as zero."""
    height, width, bands = shape
    header(path.with_suffix(".hdr"), shape, layout)
    with path.open("wb") as stream:
        stream.truncate(2 * height * width * bands)
    file_shape = {"bsq": (bands, height, width), "bil": (height, bands, width), "bip": (height, width, bands)}[layout]
    values = np.memmap(path, dtype="<u2", mode="r+", shape=file_shape)
    cube = values.transpose({"bsq": (1, 2, 0), "bil": (0, 2, 1), "bip": (0, 1, 2)}[layout])
    generator = np.random.default_rng(0)
    curve = (1500 + 1000 * np.sin(np.linspace(0, 6, bands))).astype(np.uint16)
    for y in range(0, height - 49, max(50, height // 20)):
        block = curve + generator.integers(0, 200, (50, 2000, bands), dtype=np.uint16)
        cube[y : y + 50, 1000:3000] = block + (np.arange(2000)[None, :, None] // 4).astype(np.uint16)
    values.flush()


def make_cold(path: Path) -> None:
    """Throw the pages of a file out of the system's cache, where the system allows it."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def make_warm(path: Path) -> None:
    """Read a file once."""
    with path.open("rb", buffering=0) as stream:
        while stream.read(16 * 2**20):
            pass


# -- memory ---------------------------------------------------------------------------------------------------------------


def memory() -> dict[str, float]:
    """Return what this process holds in MB: memory that no file backs, and pages of files."""
    found = {}
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(("RssAnon", "RssFile")):
            key, value = line.split(":")
            found[{"RssAnon": "private", "RssFile": "mapped"}[key]] = int(value.split()[0]) / 1024
    return found


class Peak:
    """Watches private memory from a thread."""

    def __init__(self) -> None:
        import threading

        self.start = self.highest = memory()["private"]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self.highest = max(self.highest, memory()["private"])

    def end(self) -> dict[str, float]:
        """Return how far private memory rose, and what of it stayed, in MB."""
        self._stop.set()
        self._thread.join()
        return {"peak_added": self.highest - self.start, "kept_added": memory()["private"] - self.start}


# -- what children do -------------------------------------------------------------------------------------------------------


def bare(path: Path) -> dict[str, float]:
    """Three bands by the spectral library's memory map, stretched to 8 bits."""
    import spectral

    start = time.perf_counter()
    image = spectral.open_image(str(path.with_suffix(".hdr")))
    mapped = image.open_memmap()
    planes = []
    for band in (80, 50, 20):
        plane = np.asarray(mapped[:, :, band], dtype=np.float32)
        low, high = np.percentile(plane[::8, ::8], (2, 98))
        planes.append((np.clip((plane - low) / (high - low), 0, 1) * 255).astype(np.uint8))
    np.stack(planes, axis=-1)
    return {"seconds": time.perf_counter() - start}


def without_window(path: Path) -> dict[str, float]:
    """Take the steps of a first view without a window."""
    from napari_hsi_ssl.cubes.readers import read_cube
    from napari_hsi_ssl.gui.pictures import composing, picture
    from napari_hsi_ssl.progress import run

    start = time.perf_counter()
    cube = read_cube(path.with_suffix(".hdr"))
    opened = time.perf_counter()
    shown = picture("cube", cube, quick=True)
    seen = time.perf_counter()
    if not shown.complete:
        run(composing("cube", cube, shown.look, shown.step, shown.composite))
    return {"open": opened - start, "glance": seen - opened, "filled": time.perf_counter() - seen}


def in_window(path: Path, cold: bool, browse: bool) -> dict[str, Any]:
    """Time from asking for a cube to its composite in a napari window, the longest pause of the event loop meanwhile, and memory."""
    from heartbeat import Heart, rest, wait, window
    from napari.qt import get_qapp

    from napari_hsi_ssl import Project, run
    from napari_hsi_ssl.gui import layers
    from napari_hsi_ssl.gui.canvas import canvas_for
    from napari_hsi_ssl.gui.workbench import open_workbench
    from napari_hsi_ssl.steps.cubes import new

    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(HSI_PROJECTS=folder, HSI_SETTINGS=f"{folder}/window.json", HSI_BROWSING_CACHE=f"{folder}/browsing")
        small = Path(folder) / "small.npy"
        np.save(small, np.random.default_rng(0).integers(0, 900, (145, 145, 60), dtype=np.uint16))
        run(new(Path(folder) / "project", [small, path.with_suffix(".hdr")]))
        project = Project.open(Path(folder) / "project")
        get_qapp()
        heart = Heart()
        bare_gap = _bare_gap(heart, project, window, rest)
        with window() as viewer:
            desk = open_workbench(viewer).desk
            desk.open_project(project)  # the first layer ever costs napari its lazy imports, whoever adds it
            canvas = canvas_for(desk)
            wait(lambda: canvas.composite is not None and canvas.composite.complete)
            rest(1.5)
            (make_cold if cold else make_warm)(path)
            name = path.stem
            drawn: list[float] = []
            canvas.looked.connect(lambda made: drawn.append(time.perf_counter()) if made.cube == name else None)
            peak = Peak()
            rest(0.1)  # throwing the pages out is no part of the program's pauses
            heart.gaps()
            start = time.perf_counter()
            desk.set_cube(name)
            wait(lambda: drawn)
            # The composite counts once it has been painted.
            viewer.window._qt_viewer.canvas.native.repaint()
            seen = time.perf_counter() - start
            wait(lambda: canvas.composite.cube == name and canvas.composite.complete)
            filled = time.perf_counter() - start
            rest(1.0)
            gap = heart.gaps()["longest"]
            found: dict[str, Any] = {"seen": seen, "filled": filled, "gap_ms": gap, "bare_gap_ms": bare_gap, **peak.end()}
            if browse:
                found |= _browse(viewer, canvas, layers.find(viewer, "cube", name), wait, rest, heart)
    return found


def _bare_gap(heart: Any, project: Any, window: Callable[..., Any], rest: Callable[[float], None]) -> float:
    """Return the longest pause (ms) of a bare napari that makes the same layer calls for pictures that lie ready in memory."""
    from napari_hsi_ssl import run
    from napari_hsi_ssl.gui import layers
    from napari_hsi_ssl.gui.pictures import composing, picture

    small, large = project.entries
    shown = {name: picture(name, project.cube(name), quick=True) for name in (small, large)}
    whole = shown[large].composite.copy()
    run(composing(large, project.cube(large), shown[large].look, shown[large].step, whole))
    with window() as viewer:
        layers.show_cube(viewer, shown[small], lambda _band: None)
        rest(1.5)
        heart.gaps()
        layers.show_cube(viewer, shown[large], lambda _band: None)
        viewer.window._qt_viewer.canvas.native.repaint()
        rest(0.2)
        layers.show_composite(viewer, large, whole, shown[large].composite_bands, shown[large].step)
        rest(1.0)
        return float(heart.gaps()["longest"])


def _browse(viewer: Any, canvas: Any, layer: Any, wait: Callable[..., None], rest: Callable[[float], None], heart: Any) -> dict[str, Any]:
    """Move the band slider: the first bands as the file gives them, then once it is in order."""
    peak = Peak()

    def go(band: int) -> float:
        start = time.perf_counter()
        viewer.dims.set_current_step(0, band)
        wait(lambda: band in layer.data._kept)
        return time.perf_counter() - start

    layer.visible = True
    rest(0.2)
    first = go(20)
    before_order = go(60)
    rest(0.5)
    wait(lambda: not canvas._jobs.running)
    heart.gaps()
    later = [go(band) for band in (30, 31, 90, 150, 5, 77)]
    return {
        "first_band": first, "band_meanwhile": before_order, "band_in_order": statistics.median(later), "slider_gap_ms": heart.gaps()["longest"],
        "browse_peak_added": peak.end()["peak_added"],
    }  # fmt: skip


def large_step(what: str, folder: Path) -> dict[str, Any]:
    """One step on the large cube."""
    from napari_hsi_ssl import Project, run
    from napari_hsi_ssl.config import MaskConfig, PcaConfig, ViewConfig

    project = Project.open(folder / "project")
    name = next(iter(project.entries))
    if what == "view":
        from napari_hsi_ssl.steps.view import view

        return dict(run(view(project.cube(name), ViewConfig(), folder / "view.png", step=4)))
    if what == "mask":
        from napari_hsi_ssl.steps.mask import make_masks

        return dict(run(make_masks(project, MaskConfig())))
    if what == "spectra":
        from napari_hsi_ssl.cubes.pixels import PixelReader

        reader = PixelReader(project.cube(name))
        start = time.perf_counter()
        for n in range(200):
            reader(n * 97 % LARGE[0], n * 31 % LARGE[1])
        return {"each_ms": 1000 * (time.perf_counter() - start) / 200}
    if what in {"pca", "pca sampled"}:
        from napari_hsi_ssl.steps.pca import fit_pca

        report = run(fit_pca(project, PcaConfig(components=5, bands=100, sample=200_000 if what == "pca sampled" else None)))
        return {"explained": report["explained"][:3]}
    raise SystemExit(what)


def large_window(folder: Path) -> dict[str, Any]:
    """Open the large cube in a window, wait for its composite, look at a band."""
    from heartbeat import rest, wait, window
    from napari.qt import get_qapp

    from napari_hsi_ssl import Project
    from napari_hsi_ssl.gui import layers
    from napari_hsi_ssl.gui.canvas import canvas_for
    from napari_hsi_ssl.gui.workbench import open_workbench

    os.environ.update(HSI_PROJECTS=str(folder), HSI_SETTINGS=str(folder / "window.json"), HSI_BROWSING_CACHE=str(folder / "browsing"))
    project = Project.open(folder / "project")
    get_qapp()
    with window() as viewer:
        desk = open_workbench(viewer).desk
        canvas = canvas_for(desk)
        start = time.perf_counter()
        desk.open_project(project)
        wait(lambda: canvas.composite is not None)
        seen = time.perf_counter() - start
        wait(lambda: canvas.composite.complete)
        filled = time.perf_counter() - start
        rest(1.0)
        layer = layers.find(viewer, "cube", desk.cube)
        layer.visible = True
        viewer.dims.set_current_step(0, 70)
        wait(lambda: 70 in layer.data._kept)
        rest(1.0)
    return {"seen": seen, "filled": filled}


# -- the run ----------------------------------------------------------------------------------------------------------------


def child(*arguments: str) -> dict[str, Any]:
    """Run one measurement in a process of its own and add its peak."""
    done = subprocess.run([sys.executable, __file__, "--child", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-3:]}
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def as_child(arguments: list[str]) -> None:
    what, path = arguments[0], Path(arguments[1])
    if what == "bare":
        found: dict[str, Any] = bare(path)
    elif what == "steps":
        found = without_window(path)
    elif what == "window":
        found = in_window(path, arguments[2] == "cold", arguments[3] == "browse")
    elif what == "large window":
        peak = Peak()
        found = {**large_window(path), **peak.end()}
    else:
        start, peak = time.perf_counter(), Peak()
        report = large_step(what.removeprefix("large "), path)
        found = {"seconds": time.perf_counter() - start, **peak.end(), "report": str(report)[:200]}
    found["process_peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found))
    sys.stdout.flush()
    os._exit(0)  # a window's threads may still be at work; nothing of this process is needed any more


def opening(folder: Path, shape: tuple[int, int, int]) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for layout in LAYOUTS:
        path = folder / f"cube.{layout}"
        write_cube(path, shape, layout)
        for state in ("cold", "warm"):
            prepare = make_cold if state == "cold" else make_warm
            prepare(path)
            plain = child("bare", str(path))
            prepare(path)
            steps = child("steps", str(path))
            found = {"bare": plain.get("seconds"), "steps": steps, **child("window", str(path), state, "browse")}
            found["ratio_to_bare"] = found["seen"] / found["bare"] if "seen" in found else None
            rows[f"{layout} {state}"] = found
            tell(f"{layout} {state}", found)
        path.unlink()
    return rows


def tell(name: str, found: dict[str, Any]) -> None:
    words = "  ".join(f"{key} {value:.3g}" for key, value in found.items() if isinstance(value, float))
    print(f"{name:10s} {words} {found.get('steps', '')} {found.get('failed', '')} {found.get('report', '')}", flush=True)


def large(folder: Path, layout: str) -> dict[str, Any]:
    from napari_hsi_ssl import run
    from napari_hsi_ssl.steps.cubes import new

    path = folder / f"large.{layout}"
    write_sparse(path, LARGE, layout)
    run(new(folder / "project", [path.with_suffix(".hdr")]))
    rows = {}
    for what in ("large window", "large view", "large spectra", "large mask", "large pca sampled", "large pca"):
        rows[what] = child(what, str(folder))
        tell(f"{layout} {what}", rows[what])
    path.unlink()
    return rows


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        as_child(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", choices=LAYOUTS, help="the 20 GB cube instead, in this layout")
    parser.add_argument("--folder", type=Path, help="where the cubes are written for the time being")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rows = large(Path(folder), options.large) if options.large else opening(Path(folder), SHAPE)
    if options.json:
        options.json.write_text(json.dumps({"shape": LARGE if options.large else SHAPE, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
