"""Drive napari-sediment: its main widget opens a cube as after a choice in its file dialog."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import common
import numpy as np


def _without_torchvision() -> None:
    """Let the tab of the pixel classifier be made though torchvision's wheel does not fit the processor's build of torch; opening never uses it."""
    import importlib.machinery
    from unittest.mock import MagicMock

    for name in ("torchvision", "torchvision.models", "torchvision.transforms", "torchvision.transforms.functional"):
        sys.modules[name] = MagicMock(__spec__=importlib.machinery.ModuleSpec(name, None), __version__="0")


def _cube(folder: Path, answer: Path, layout: str) -> dict[str, Any]:
    _without_torchvision()
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
