"""Drive napari-sediment: its main widget opens a cube as after a choice in its file dialog."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import common
import numpy as np


def _with_torchvision() -> None:
    """Let the tab of the pixel classifier be made: no compiled operator fits torch's build here, no weights are fetched; opening uses neither."""
    import torch

    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

    plain = torchvision.models.vgg16
    torchvision.models.vgg16 = lambda *_, **__: plain(weights=None)


def _cube(folder: Path, answer: Path, layout: str) -> dict[str, Any]:
    _with_torchvision()
    from napari_sediment.widgets.sediment_widget import SedimentWidget

    viewer = common.window()
    widget = SedimentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Sediment", area="right")
    common.rest(0.5)

    def show() -> None:
        widget._on_click_select_imhdr(imhdr_path=folder / f"{layout}.hdr")
        common.canvas_drawn(viewer)

    (_, seconds), peak = common.peak_mb(lambda: common.timed(show))
    spectrum = [float(np.asarray(widget.imagechannels.channel_array[band])[100, 200]) for band in widget.rgb_widget.rgb_ch]
    return {"open_s": seconds, "peak_mb": peak, "bands": [int(band) for band in widget.rgb_widget.rgb_ch], "pixel": spectrum}


if __name__ == "__main__":
    common.main({f"open-{layout}": lambda folder, answer, layout=layout: _cube(folder, answer, layout) for layout in ("bsq", "bil", "bip")})
