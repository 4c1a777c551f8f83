"""Drive napari-musa: its widgets as `napari_musa.main.run_napari_app` makes them, by the slots of its buttons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import common
import numpy as np

MODE = "Reflectance"


def _open() -> tuple[Any, Any, Any, Any]:
    from napari_musa.modules.data import Data
    from napari_musa.modules.plot import Plot
    from napari_musa.Widget_DataManager import DataManager
    from napari_musa.Widgets_EndmembersExtraction import EndmembersExtraction
    from napari_musa.Widgets_PCA import PCA

    viewer = common.window()
    data = Data()
    manager = DataManager(viewer, data)
    pca = PCA(viewer, data, Plot(viewer=viewer, data=data))
    ends = EndmembersExtraction(viewer, data, Plot(viewer=viewer, data=data))
    docks = [viewer.window.add_dock_widget(widget, name=type(widget).__name__, area="right") for widget in (manager, ends, pca)]
    viewer.window._qt_window.tabifyDockWidget(docks[0], docks[1])
    viewer.window._qt_window.tabifyDockWidget(docks[1], docks[2])
    pca.modes_combobox.value = ends.modes_combobox.value = MODE
    common.rest(0.5)
    docks[2].raise_()  # not before the tabs have been laid out
    common.rest(0.5)
    return viewer, data, pca, ends


def _scatter(folder: Path, answer: Path, points: str, colours: bool) -> dict[str, Any]:
    from qtpy.QtWidgets import QScrollArea

    viewer, data, pca, _ = _open()
    scores = common.scores(folder, points)
    data.pca_maps[MODE] = scores
    data.hypercubes[MODE] = np.zeros((*scores.shape[:2], 1), np.float32)
    data.rgb[MODE] = np.random.default_rng(0).random((*scores.shape[:2], 3))
    pca.n_components.value = scores.shape[2]
    pca.PCA_colorRGB.value = colours

    pca.findChild(QScrollArea).ensureWidgetVisible(pca.pca_plot)  # out of sight it would never be painted
    common.rest(0.5)

    def draw() -> None:
        pca.PCA_show_plot_btn_f()
        common.painted(pca.pca_plot.viewport())

    _, seconds = common.timed(draw)
    found = {"draw_s": seconds}
    if points == "large":
        return found
    pca.plot.polygon_selection(pca.pca_plot)
    pca.plot.poly_roi.setPoints(common.polygon(folder).tolist())
    common.rest(0.5)

    def select() -> None:
        pca.handle_selection()
        common.canvas_drawn(viewer)

    _, found["lasso_s"] = common.timed(select)
    np.save(answer, viewer.layers[-1].data > 0)
    return found


def numbers(folder: Path, answer: Path) -> dict[str, Any]:
    """PCA and spectral angle map, each by its function alone and by the button in the window."""
    from napari_musa.modules.functions import PCA_analysis, sam_analysis

    cube, ends = common.small_cube(folder), common.endmembers(folder)
    PCA_analysis(cube[:50], common.COMPONENTS)
    (_, components), pca_s, pca_mb = common.repeated(lambda: PCA_analysis(cube, common.COMPONENTS))
    angles, sam_s, sam_mb = common.repeated(lambda: sam_analysis(cube, ends.T, np.pi))
    np.savez(answer, components=components, labels=np.argmin(angles, axis=-1) + 1)
    viewer, data, pca, form = _open()
    data.hypercubes[MODE] = cube
    form.selected_basis = ends.T
    pca.n_components.value = common.COMPONENTS
    heart = common.Heart()

    def fit() -> None:
        pca.PCA_perform_btn_f()
        common.canvas_drawn(viewer)

    def angle() -> None:
        form.run_sam()
        common.canvas_drawn(viewer)

    (_, pca_window), pca_gap = heart.longest_gap(lambda: common.timed(fit))
    (_, sam_window), sam_gap = heart.longest_gap(lambda: common.timed(angle))
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


if __name__ == "__main__":
    common.main(
        {
            "numbers": numbers,
            "scatter": lambda folder, answer: _scatter(folder, answer, "small", colours=False),
            "scatter-colours": lambda folder, answer: _scatter(folder, answer, "small", colours=True),
            "scatter-large": lambda folder, answer: _scatter(folder, answer, "large", colours=False),
        }
    )
