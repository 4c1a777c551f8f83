"""Drive napari-clusters-plotter: its plotter widget on a points layer, one point a pixel, whose features are the scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import common
import numpy as np


def _scatter(folder: Path, answer: Path, points: str) -> dict[str, Any]:
    import pandas as pd
    from napari_clusters_plotter._new_plotter_widget import PlotterWidget

    viewer = common.window()
    scores = common.scores(folder, points)
    height, width, _ = scores.shape
    places = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), axis=-1).reshape(-1, 2)
    features = pd.DataFrame({"PC 1": scores[..., 0].ravel(), "PC 2": scores[..., 1].ravel()})
    layer = viewer.add_points(places, features=features, size=1, border_width=0)
    widget = PlotterWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Plotter", area="right")
    viewer.layers.selection = {layer}
    common.rest(0.5)
    widget._selectors["x"].blockSignals(True)
    widget.x_axis, widget.y_axis = "PC 1", "PC 1"
    widget._selectors["x"].blockSignals(False)
    common.canvas_drawn(viewer)

    def draw() -> None:
        widget.y_axis = "PC 2"
        common.painted(widget.plotting_widget.canvas)
        common.canvas_drawn(viewer)

    _, seconds = common.timed(draw)
    found = {"draw_s": seconds}
    if points == "large":
        return found
    lasso = widget.plotting_widget.selectors["LASSO"]
    common.rest(0.5)

    def select() -> None:
        lasso.on_select(common.polygon(folder))
        lasso.apply_selection()
        common.painted(widget.plotting_widget.canvas)
        common.canvas_drawn(viewer)

    _, found["lasso_s"] = common.timed(select)
    np.save(answer, np.asarray(layer.features["MANUAL_CLUSTER_ID"]).astype(int).reshape(height, width) > 0)
    return found


if __name__ == "__main__":
    common.main(
        {
            "scatter": lambda folder, answer: _scatter(folder, answer, "small"),
            "scatter-large": lambda folder, answer: _scatter(folder, answer, "large"),
        }
    )
