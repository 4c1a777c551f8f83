"""Scatter and lasso in a real window: `xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/scatter.py`.

A project with one cube of each size is made with random scores (float16, 30 components, as a PCA leaves them on disk). In a window with the
explorer in front, the time is taken from the request to the scatter on the screen (first with nothing kept, then another pair), and from
the end of a lasso to the highlighted pixels, with the longest gap of a 5 ms heartbeat in the event loop. In the same run, on the same
machine: `numpy.histogram2d`, pyqtgraph's ScatterPlotItem, a test of every point by scikit-image, and the gaps that bare napari
leaves when a Labels layer of the same shape is added and when it is given new data.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

SIZES = {"207400": (610, 340), "10000000": (3125, 3200)}
COMPONENTS = 30


def make_project(folder: Path, shape: tuple[int, int]):
    """Return a project with one cube whose scores are a few clusters."""
    from napari_hsi_ssl.cubes.cube import as_cube
    from napari_hsi_ssl.cubes.writers import write_envi_cube
    from napari_hsi_ssl.explore.projection import Projection
    from napari_hsi_ssl.progress import run
    from napari_hsi_ssl.project import Project
    from napari_hsi_ssl.steps import cubes

    generator = np.random.default_rng(0)
    folder.mkdir()
    write_envi_cube(folder / "cube.hdr", as_cube(np.zeros((*shape, 3), dtype=np.uint8), None, "dn", "cube"))
    run(cubes.new(folder / "project", [folder / "cube.hdr"]))
    project = Project.open(folder / "project")
    inlet = project.folder / "inlets" / "bench"
    inlet.mkdir(parents=True)
    eye, ones = np.eye(COMPONENTS), np.ones(COMPONENTS)
    Projection(
        mean=0 * ones, components=eye, variance=ones * np.arange(COMPONENTS, 0, -1), grid=np.linspace(0, 1, COMPONENTS), total_variance=500.0,
        grid_kind="index", method="pca", scaling="none", domains=("a",), domain_mean=0 * ones[None], domain_std=ones[None],
        domain_pixels=np.array([1]), patterns=eye,
    ).save(inlet / "pca.npz")  # fmt: skip
    scores = np.lib.format.open_memmap(inlet / "cube.npy", mode="w+", dtype=np.float16, shape=(*shape, COMPONENTS))
    centres = generator.normal(0, 2, (12, COMPONENTS)).astype(np.float32)
    noise = generator.normal(0, 0.6, (2**17, COMPONENTS)).astype(np.float32)
    for row in range(0, shape[0], 32):
        count = min(32, shape[0] - row) * shape[1]
        kinds = generator.integers(0, 12, count)
        scores[row : row + 32] = (centres[kinds] + noise[generator.integers(0, len(noise), count)]).reshape(-1, shape[1], COMPONENTS)
    project.inlet = "bench"
    return project


class Heart:
    """A 5 ms heartbeat; its longest pause is what a user feels."""

    def __init__(self) -> None:
        from qtpy.QtCore import QTimer

        self.longest, self._last = 0.0, time.perf_counter()
        self._timer = QTimer(interval=5)
        self._timer.timeout.connect(self._beat)
        self._timer.start()

    def _beat(self) -> None:
        now = time.perf_counter()
        self.longest, self._last = max(self.longest, now - self._last), now

    def reset(self) -> None:
        """Forget the pauses so far."""
        self.longest, self._last = 0.0, time.perf_counter()


def spin(done: Callable[[], bool], seconds: float = 120) -> None:
    """Run the event loop until something is so."""
    from qtpy.QtWidgets import QApplication

    end = time.perf_counter() + seconds
    while not done() and time.perf_counter() < end:
        QApplication.processEvents()
        time.sleep(0.0005)


def rest(seconds: float) -> None:
    """Let the window come to rest."""
    begin = time.perf_counter()
    spin(lambda: time.perf_counter() - begin > seconds)


def in_window(project, shape: tuple[int, int]) -> dict[str, float]:
    """Return the figures of one size."""
    from napari import Viewer

    from napari_hsi_ssl.gui import layers
    from napari_hsi_ssl.gui.desk import desk_for
    from napari_hsi_ssl.gui.workbench import open_explorer, open_workbench

    viewer = Viewer(show=True)
    viewer.window._qt_window.resize(1500, 900)
    open_workbench(viewer)
    explorer, desk = open_explorer(viewer), desk_for(viewer)
    rest(4.0)
    explorer.show_plot("spectra")
    heart = Heart()
    viewer.add_image(np.zeros((*shape, 3), dtype=np.uint8), rgb=True)
    rest(1.0)
    heart.reset()
    bare = viewer.add_labels(np.zeros(shape, dtype=np.uint8))  # the very first one, as the first lasso's is
    rest(1.0)
    added = heart.longest
    heart.reset()
    bare.data = np.random.default_rng(0).integers(0, 2, shape, dtype=np.uint8)
    rest(0.5)
    found = {"bare_added_gap_s": added, "bare_labels_gap_s": heart.longest}
    viewer.layers.clear()
    desk.open_project(project)
    spin(lambda: layers.find(viewer, "rgb", "cube") is not None)
    rest(1.5)
    control, plot = explorer.brushing, explorer.scatter
    drawn: list[float] = []
    control.drawn.connect(lambda: (plot.plot.viewport().repaint(), drawn.append(time.perf_counter())))

    def timed(act: Callable[[], object], done: Callable[[], bool], name: str) -> None:
        heart.reset()
        begin = time.perf_counter()
        act()
        spin(done)
        found[f"{name}_s"] = (drawn[-1] if name.startswith("draw") else time.perf_counter()) - begin
        rest(0.4)
        found[f"{name}_gap_s"] = heart.longest

    timed(lambda: explorer.show_plot("scatter"), lambda: len(drawn) >= 1, "draw_first")
    rest(0.5)
    timed(lambda: control.ask(2, 5), lambda: len(drawn) >= 2, "draw_other_pair")
    timed(lambda: control.ask(2, 5), lambda: len(drawn) >= 3, "draw_again")
    (x0, x1), (y0, y1) = control.view.plane.limits
    turn = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    wave = 0.22 + 0.05 * np.sin(7 * turn)
    polygon = np.column_stack((x0 + (x1 - x0) * (0.5 + wave * np.cos(turn)), y0 + (y1 - y0) * (0.5 + wave * np.sin(turn))))
    for name in ("lasso_first", "lasso"):  # the first one makes the layer
        desk.set_selection(None, "form")
        rest(0.6)
        timed(lambda: control.lassoed(polygon, "new"), lambda: desk.selection is not None, name)
    found["lasso_pixels"] = float(np.count_nonzero(desk.selection))
    rest(0.5)
    viewer.close()
    return found


def compared(project, polygon_points: int = 200) -> dict[str, float]:
    """Return what plain libraries take for the same, outside of any window but for the plot."""
    import pyqtgraph as pg
    from skimage.measure import points_in_poly

    scores = project.scores("cube")
    begin = time.perf_counter()
    x, y = (np.asarray(scores[..., number], dtype=np.float32).ravel() for number in (0, 1))
    found = {"read_columns_s": time.perf_counter() - begin}
    begin = time.perf_counter()
    np.histogram2d(x, y, bins=512)
    found["histogram2d_s"] = time.perf_counter() - begin
    turn = np.linspace(0, 2 * np.pi, polygon_points, endpoint=False)
    polygon = np.column_stack((1.5 * np.cos(turn), 1.5 * np.sin(turn)))
    some = min(len(x), 500_000)
    begin = time.perf_counter()
    points_in_poly(np.column_stack((x[:some], y[:some])).astype(float), polygon)
    found["every_point_s"] = (time.perf_counter() - begin) * len(x) / some
    if len(x) <= 1_000_000:
        plot = pg.PlotWidget()
        plot.resize(700, 250)
        plot.show()
        rest(0.5)
        begin = time.perf_counter()
        plot.addItem(pg.ScatterPlotItem(x=x.astype(float), y=y.astype(float), size=3, pen=None))
        plot.viewport().repaint()
        found["scatter_plot_item_s"] = time.perf_counter() - begin
        plot.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", choices=list(SIZES), action="append", help="both by default")
    parser.add_argument("--folder", type=Path, help="where the projects go for the time of the run")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    given = parser.parse_args()
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        os.environ["HSI_SETTINGS"] = str(Path(name) / "window.json")  # a plot remembered from another day would be drawn at once
        for size in given.pixels or SIZES:
            project = make_project(Path(name) / size, SIZES[size])
            figures[size] = in_window(project, SIZES[size]) | compared(project)
            print(size)
            for key, value in figures[size].items():
                print(f"{key:>24}  {value:.4g}", flush=True)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
