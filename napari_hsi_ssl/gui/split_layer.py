"""The layer that shows how labels are divided: train, test, validation and what is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_hsi_ssl.gui.layers import add_layer, find, swap, title_of
from napari_hsi_ssl.gui.mask_layers import label_colours
from napari_hsi_ssl.steps.project_splits import CODES

if TYPE_CHECKING:
    from napari.viewer import Viewer

SPLIT_COLOURS = {"train": "#0072b2", "test": "#e69f00", "validation": "#009e73", "left out": "#9a9a9a"}
"""Of the parts, apart for colour-blind eyes too (Okabe and Ito 2008)."""


def show_split(viewer: Viewer, cube: str, picture: NDArray[np.uint8]) -> Labels:
    """Show the parts (y, x) that labels are divided into, in place of the labels themselves."""
    layer = find(viewer, "split", cube)
    if layer is None:
        colours = label_colours({code: SPLIT_COLOURS[part] for part, code in CODES.items()})
        layer = Labels(picture.copy(), name=title_of("split", cube), opacity=0.85, colormap=colours)
        layer.features = {"index": [0, *CODES.values()], "part": ["unlabelled", *CODES]}
        add_layer(viewer, layer, "split", cube)
    else:
        swap(layer, picture)
    for role in ("labels", "mask"):
        under = find(viewer, role, cube)
        if under is not None:
            under.visible = False
    layer.visible = True
    return layer


def hide_split(viewer: Viewer, cube: str) -> None:
    """Take the parts off the image, and show the labels again."""
    layer, labels = (find(viewer, role, cube) for role in ("split", "labels"))
    if layer is not None and layer.visible:
        layer.visible = False
        if labels is not None:
            labels.visible = True
