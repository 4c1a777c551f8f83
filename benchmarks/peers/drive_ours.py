"""Drive this project through its window: the workbench, the canvas, the scatter and its lasso, and the functions behind them."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import common
import numpy as np

TEMPORARY = Path(tempfile.mkdtemp(prefix="ours-"))
os.environ.update(HSI_PROJECTS=str(TEMPORARY), HSI_SETTINGS=str(TEMPORARY / "window.json"), HSI_BROWSING_CACHE=str(TEMPORARY / "browsing"))


def _project(*cubes: Path) -> Any:
    from napari_hsi_ssl import Project, run
    from napari_hsi_ssl.steps.cubes import new

    run(new(TEMPORARY / "project", list(cubes)))
    return Project.open(TEMPORARY / "project")


def _workbench(project: Any) -> tuple[Any, Any]:
    from napari_hsi_ssl.gui.canvas import canvas_for
    from napari_hsi_ssl.gui.workbench import open_workbench

    viewer = common.window()
    workbench = open_workbench(viewer)
    workbench.desk.open_project(project)
    common.wait(lambda: canvas_for(workbench.desk).picture is not None)
    common.rest(1.5)
    return viewer, workbench


def _cube(folder: Path, answer: Path, layout: str) -> dict[str, Any]:
    from napari_hsi_ssl.gui.canvas import canvas_for

    np.save(TEMPORARY / "first.npy", np.random.default_rng(0).integers(0, 900, (64, 64, 20), dtype=np.uint16))
    viewer, workbench = _workbench(_project(TEMPORARY / "first.npy", folder / f"{layout}.hdr"))
    canvas = canvas_for(workbench.desk)
    seen: list[bool] = []
    canvas.looked.connect(lambda made: seen.append(made.cube == layout))

    def show() -> float:
        begin = time.perf_counter()
        workbench.desk.set_cube(layout)
        common.wait(lambda: any(seen))
        common.canvas_drawn(viewer)
        first = time.perf_counter() - begin
        common.wait(lambda: canvas.composite is not None and canvas.composite.complete)
        return first

    (first, filled), peak = common.peak_mb(lambda: common.timed(show))
    return {"open_s": first, "filled_s": filled, "peak_mb": peak}


def _scatter(folder: Path, answer: Path, points: str) -> dict[str, Any]:
    from napari_hsi_ssl import run
    from napari_hsi_ssl.config import PcaConfig
    from napari_hsi_ssl.gui import layers
    from napari_hsi_ssl.gui.plots.explorer import ExplorerDock
    from napari_hsi_ssl.steps.pca import fit_pca

    wanted = common.scores(folder, points)
    source = TEMPORARY / "scene.npy"
    np.save(source, np.random.default_rng(0).random((*wanted.shape[:2], 3), dtype=np.float32))
    project = _project(source)
    run(fit_pca(project, PcaConfig(bands=3, components=2)))
    kept = np.lib.format.open_memmap(project.inlet_folder(project.inlet) / "scene.npy", mode="r+")
    kept[...] = (wanted / project.projection().scale).astype(np.float16)  # the scores that the peers are given
    kept.flush()
    viewer, workbench = _workbench(project)
    explorer = viewer.window._qt_window.findChild(ExplorerDock)
    explorer.show_plot("spectra")
    common.rest(0.5)
    shown = explorer.scatter
    if shown.image.image is not None:
        msg = "the scatter was drawn before it was asked for, so its drawing cannot be timed"
        raise RuntimeError(msg)

    def draw() -> None:
        explorer.show_plot("scatter")
        common.wait(lambda: shown.image.image is not None)
        common.painted(shown.plot.viewport())

    _, seconds = common.timed(draw)
    common.rest(0.5)
    desk = workbench.desk
    heart = common.Heart()

    def select() -> None:
        shown.view.drawn.emit(common.polygon(folder), "new")
        common.wait(lambda: desk.selection is not None and layers.find(viewer, "selection", desk.cube) is not None)
        common.canvas_drawn(viewer)

    (_, lasso), gap = heart.longest_gap(lambda: common.timed(select))
    np.save(answer, desk.selection)
    return {"draw_s": seconds, "lasso_s": lasso, "lasso_gap_ms": gap}


def numbers(folder: Path, answer: Path) -> dict[str, Any]:
    """PCA and spectral angle map, each by its functions alone and by the buttons of the window."""
    from napari_hsi_ssl import run
    from napari_hsi_ssl.config import AnglesConfig, PcaConfig
    from napari_hsi_ssl.cubes.cube import as_cube
    from napari_hsi_ssl.explore.match import angle_map
    from napari_hsi_ssl.explore.pca import Source, fit_projection, project_cube
    from napari_hsi_ssl.explore.spectra import MeanSpectrum
    from napari_hsi_ssl.gui import layers
    from napari_hsi_ssl.gui.canvas import canvas_for
    from napari_hsi_ssl.gui.plots.explorer import ExplorerDock
    from napari_hsi_ssl.steps.angles import pinned_angles

    values, ends = common.small_cube(folder), common.endmembers(folder)
    config = PcaConfig(bands=values.shape[-1], components=common.COMPONENTS)

    def fit(rows: slice) -> Any:
        source = Source("cube", "bench", as_cube(values[rows], name="cube"), np.ones(values[rows].shape[:2], dtype=bool))
        projection = run(fit_projection([source], config))
        return projection, run(project_cube(projection, source))

    fit(slice(0, 50))
    (projection, _), pca_s, pca_mb = common.repeated(lambda: fit(slice(None)))
    found, sam_s, sam_mb = common.repeated(lambda: run(angle_map(as_cube(values, name="cube"), ends, np.pi)))
    np.savez(answer, components=projection.components, labels=found.nearest)

    viewer, workbench = _workbench(_project(folder / "small.npy"))
    desk, explore = workbench.desk, workbench.forms["explore"]
    explorer, canvas = viewer.window._qt_window.findChild(ExplorerDock), canvas_for(desk)
    workbench.open("explore")
    common.rest(0.5)
    heart = common.Heart()

    def fit_in_window() -> None:
        explore.fields.setValue(explore.fields.value().model_copy(update={"components": common.COMPONENTS, "bands": values.shape[-1]}))
        done: list[bool] = []
        desk.inlet_changed.connect(lambda: done.append(True))
        explore.fit_pca()
        common.wait(lambda: done)
        if layers.find(viewer, "pcs", desk.cube) is None:
            canvas.show_components()
        common.wait(lambda: layers.find(viewer, "pcs", desk.cube) is not None)
        common.canvas_drawn(viewer)

    spectra = [MeanSpectrum(f"end {number}", (desk.cube,), 1, spectrum, None, None, None, "unknown") for number, spectrum in enumerate(ends.astype(float), 1)]

    def angle_in_window() -> None:
        shown: list[str] = []
        canvas.map_shown.connect(shown.append)
        steps = pinned_angles(desk.project, desk.cube, spectra, AnglesConfig(max_angle=3.14))
        explorer.jobs.start(steps, lambda report: desk.map_made.emit(str(report["maps"][0]["path"])), label="map by angle")
        common.wait(lambda: shown)
        common.canvas_drawn(viewer)

    (_, pca_window), pca_gap = heart.longest_gap(lambda: common.timed(fit_in_window))
    (_, sam_window), sam_gap = heart.longest_gap(lambda: common.timed(angle_in_window))
    return {
        "pca_s": pca_s,
        "pca_mb": pca_mb,
        "sam_s": sam_s,
        "sam_mb": sam_mb,
        "pca_window_s": pca_window,
        "sam_window_s": sam_window,
        "pca_gap_ms": pca_gap,
        "sam_gap_ms": sam_gap,
    }


def knn(folder: Path, answer: Path) -> dict[str, Any]:
    """Classify every pixel by its nearest labelled spectra."""
    from napari_hsi_ssl.metrics.neighbours import knn_vote

    cube, (spectra, classes) = common.small_cube(folder), common.references(folder)
    pixels = cube.reshape(-1, cube.shape[-1])
    (labels, _), seconds, mb = common.repeated(lambda: knn_vote(spectra, classes, pixels, common.NEIGHBOURS, "euclidean"))
    np.savez(answer, labels=labels.reshape(cube.shape[:2]))
    return {"knn_s": seconds, "knn_mb": mb}


if __name__ == "__main__":
    tasks: dict[str, common.Task] = {
        "knn": knn,
        "numbers": numbers,
        "scatter": lambda folder, answer: _scatter(folder, answer, "small"),
        "scatter-large": lambda folder, answer: _scatter(folder, answer, "large"),
    }
    for kind in ("bsq", "bil", "bip"):
        tasks[f"open-{kind}"] = lambda folder, answer, kind=kind: _cube(folder, answer, kind)
    common.main(tasks)
