"""The layers of results: component images, patches and how they cover, maps and their confidence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.gui.layers import add_layer, cube_of, find, role_of, swap, title_of
from napari_hsi_ssl.gui.mask_layers import class_colours, class_names, dress, label_colours

if TYPE_CHECKING:
    from napari.viewer import Viewer

GRID_COLOURS = {1: "#e69f00", 2: "#56b4e9"}
"""Of the outlines of training (1) and test (2) patches."""
_WORDS = {"PC": "PCs", "MNF": "MNF components"}


def show_components(viewer: Viewer, cube: str, images: NDArray[np.float32], word: str = "PC") -> Image:
    """Show component images (k, y, x) as one layer, called by their word ("PC" or "MNF"); its slider is the bands' one."""
    layer = find(viewer, "pcs", cube)
    if layer is not None:
        viewer.layers.remove(layer)
    first = images[0][np.isfinite(images[0])]
    low, high = np.percentile(first[:: max(1, first.size // 50_000)], (1, 99)) if first.size else (0.0, 1.0)
    layer = Image(
        images, name=f"{cube} {_WORDS[word]}", contrast_limits=(float(low), max(float(high), float(low) + 1e-6)), colormap="gray",
        axis_labels=("band", "y", "x"), multiscale=False, rgb=False,
    )  # fmt: skip
    add_layer(viewer, layer, "pcs", cube, word=word)
    viewer.dims.set_current_step(0, 0)
    return layer


def show_grid(viewer: Viewer, cube: str, outlines: NDArray[np.uint8]) -> Labels:
    """Show the outlines (y, x) of the patches: training and test ones in two colours."""
    layer = find(viewer, "grid", cube)
    if layer is None:
        colours = label_colours(GRID_COLOURS)
        layer = Labels(outlines, name=title_of("grid", cube), opacity=0.8, colormap=colours)
        layer.features = {"index": [0, 1, 2], "patch": ["", "train", "test"]}
        add_layer(viewer, layer, "grid", cube)
    else:
        swap(layer, outlines)
    layer.visible = True
    return layer


def show_heat(viewer: Viewer, cube: str, image: NDArray[np.float32], limits: tuple[float, float]) -> Image:
    """Lay a figure of every pixel (y, x) over the image, NaN where there is none; an older one is updated in place."""
    layer = find(viewer, "heat", cube)
    if layer is None:
        layer = Image(image, name=title_of("heat", cube), colormap="viridis", opacity=0.6, contrast_limits=limits, blending="translucent_no_depth")
        add_layer(viewer, layer, "heat", cube)
    else:
        swap(layer, image)
        layer.contrast_limits = limits
    layer.visible = True
    return layer


def show_map(viewer: Viewer, cube: str, labels: NDArray[np.integer], classes: Classes, name: str) -> Labels:
    """Show a class map (y, x); an older map of the same name is updated in place."""
    layer = next((old for old in viewer.layers if role_of(old) == "map" and old.name == name), None)
    for other in viewer.layers:
        if other is not layer and role_of(other) in {"map", "confidence"}:
            other.visible = False  # of a stack of maps only the topmost would be seen, whichever was asked for
    if layer is None:
        look = {"colormap": class_colours(classes), "features": class_names(classes)}
        layer = add_layer(viewer, Labels(labels.astype(np.int32), name=name, opacity=0.7, **look), "map", cube, classes=classes)
    else:
        layer.metadata["hsi"].pop("whole", None)
        swap(layer, labels.astype(np.int32))
        dress(layer, classes)
    layer.visible = True
    return layer


def show_sure(viewer: Viewer, layer: Labels, least: float) -> tuple[int, int]:
    """Leave out the pixels of a map that the classifier is less sure of than ``least``; 0 shows all.

    In place with one lean refresh; the whole map is kept beside the layer's data until a new one takes its place.

    Returns
    -------
    shown, classified : int
        Pixels.
    """
    sure = confidence_of(viewer, layer)
    whole = layer.metadata["hsi"].get("whole")
    if sure is None or (whole is None and least <= 0):
        count = int(np.count_nonzero(layer.data if whole is None else whole))
        return count, count
    if whole is None:
        whole = layer.metadata["hsi"]["whole"] = np.array(layer.data)
    kept = whole * (np.asarray(sure.data) >= least)
    swap(layer, kept)
    return int(np.count_nonzero(kept)), int(np.count_nonzero(whole))


def map_on_canvas(viewer: Viewer, path: Path) -> Labels | None:
    """Return the layer of a saved map, or None when it is not on the canvas."""
    return next((layer for layer in map_layers(viewer) if layer.name == map_title(path)), None)


def map_title(path: Path) -> str:
    """Return what the layer of a saved map is called."""
    return path.stem.replace("--", " · ")


def show_confidence(viewer: Viewer, cube: str, confidence: NDArray[np.float32], name: str) -> None:
    """Put the confidence (y, x) of a map beside it, hidden at first; an older one is updated in place."""
    title = f"{name} confidence"
    sure = next((old for old in viewer.layers if role_of(old) == "confidence" and old.name == title), None)
    if sure is None:
        add_layer(viewer, Image(confidence, name=title, colormap="viridis", contrast_limits=(0, 1), opacity=0.7, visible=False), "confidence", cube)
    else:
        swap(sure, confidence)


def map_layers(viewer: Viewer, cube: str | None = None) -> list[Labels]:
    """Return the class maps on the canvas, the topmost first."""
    return [layer for layer in reversed(viewer.layers) if role_of(layer) == "map" and (cube is None or cube_of(layer) == cube)]


def shown_map(viewer: Viewer, cube: str) -> Labels | None:
    """Return the map of a cube that is seen, itself or by its confidence; None when none is."""
    for layer in map_layers(viewer, cube):
        sure = confidence_of(viewer, layer)
        if layer.visible or (sure is not None and sure.visible):
            return layer
    return None


def confidence_of(viewer: Viewer, layer: Labels) -> Image | None:
    """Return the confidence layer of a map."""
    return next((other for other in viewer.layers if role_of(other) == "confidence" and other.name == f"{layer.name} confidence"), None)
