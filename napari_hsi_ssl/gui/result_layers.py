"""The layers of results: component images, patches and how they cover, maps and their confidence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image, Labels, Points
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
        if other is not layer and role_of(other) in {"map", "confidence", "differences"}:
            other.visible = False  # of a stack of maps only the topmost would be seen, whichever was asked for
    if layer is None:
        look = {"colormap": class_colours(classes), "features": class_names(classes)}
        layer = add_layer(viewer, Labels(labels.astype(np.int32), name=name, opacity=0.7, **look), "map", cube, classes=classes)
    else:
        layer.metadata["hsi"].pop("whole", None)
        forget_layers(viewer, layer)
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


def compared_maps(viewer: Viewer, cube: str) -> list[Labels]:
    """Return the two maps of a swipe, left and right; none where there is no swipe."""
    layer = find(viewer, "swipe", cube)
    names = layer.metadata["hsi"]["maps"] if layer is not None else ()
    return [one for name in names for one in map_layers(viewer, cube) if one.name == name]


def show_why(viewer: Viewer, pixel: tuple[int, int], neighbours: Sequence[tuple[int, int]], colours: Sequence[str]) -> None:
    """Mark a pixel (y, x) with a cross and those like it with discs in the colours of their classes."""
    layer = find(viewer, "why")
    if layer is None:
        layer = Points(np.zeros((0, 2)), ndim=2, name="why this class")
        layer.canvas_size_limits = (9, 13)  # on the screen: as large on a small cube as on a large one
        layer.editable = False
        add_layer(viewer, layer, "why", "")
    layer.data = np.array([*neighbours, pixel], dtype=np.float64)
    layer.symbol = ["disc"] * len(neighbours) + ["cross"]
    layer.size = 2
    layer.face_color = [*colours, "#ffffff"]
    layer.border_color = ["#000000"] * len(neighbours) + ["#ffffff"]
    layer.border_width = 0.15  # of the size
    layer.selected_data = set()
    layer.visible = True


def hide_why(viewer: Viewer) -> None:
    """Take the marks of an explanation off the image."""
    layer = find(viewer, "why")
    if layer is not None and layer.visible:
        layer.visible = False


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


LOOKS: dict[str, tuple[str, tuple[float, float], str]] = {
    "confidence": ("viridis", (0, 1), "How sure the classifier is of every pixel, from 0 to 1"),
    "entropy": ("magma", (0, 1), "How undecided the classifier is between all classes, from 0 (one class alone) to 1 (all alike)"),
    "disagreement": ("magma", (0, 0.5), "How far the exits of the network disagree: 0 where all say the same, however unsure they are"),
    "typicality": ("inferno", (0.8, 1), "What is unlike training: bright where fewer than 5 % of held-out labelled pixels look as strange"),
}
"""How the layers of a map are shown: colours, limits, and what they say."""


def show_layer(viewer: Viewer, layer: Labels, name: str, image: NDArray[np.float32] | None = None) -> None:
    """Show one image (y, x) of a map in place of its classes; "" shows the classes again.

    Parameters
    ----------
    name : str
        Of `LOOKS`.
    image : float32 array (y, x), optional
        Where it is not on the canvas yet. Of typicality, what is shown is how strange a pixel is: 1 less it.
    """
    if name and layer_of(viewer, layer, name) is None and image is not None:
        colours, limits, _ = LOOKS[name]
        shown = np.where(image > 0, 1 - image, 0).astype(np.float32) if name == "typicality" else image
        look = {"colormap": colours, "contrast_limits": limits, "opacity": 0.8, "visible": False}
        add_layer(viewer, Image(shown, name=f"{layer.name} {name}", **look), "confidence", cube_of(layer))
    wanted = layer_of(viewer, layer, name) if name else None
    for other in LOOKS:
        shown_one = layer_of(viewer, layer, other)
        if shown_one is not None and shown_one is not wanted:
            shown_one.visible = False
    if wanted is not None:
        wanted.visible = True
    layer.visible = wanted is None


def layer_of(viewer: Viewer, layer: Labels, name: str) -> Image | None:
    """Return the image of a map that is called so, when it is on the canvas."""
    return next((other for other in viewer.layers if role_of(other) == "confidence" and other.name == f"{layer.name} {name}"), None)


def forget_layers(viewer: Viewer, layer: Labels) -> None:
    """Take away the images of a map that was made anew, but its confidence, which is updated in place."""
    for name in LOOKS:
        old = layer_of(viewer, layer, name) if name != "confidence" else None
        if old is not None:
            viewer.layers.remove(old)


def show_differences(viewer: Viewer, cube: str, found: NDArray[np.int32], classes: Classes, name: str) -> Labels:
    """Show where two maps differ and who says what, in place of both, whose colours mean something else; an older one is updated in place."""
    for other in viewer.layers:
        if role_of(other) in {"map", "confidence", "swipe"}:
            other.visible = False
    layer = find(viewer, "differences", cube)
    if layer is None:
        look = {"colormap": class_colours(classes), "features": class_names(classes)}
        layer = add_layer(viewer, Labels(found, name=name, opacity=0.9, **look), "differences", cube, classes=classes)
    else:
        swap(layer, found)
        dress(layer, classes)
        layer.name = name
    layer.visible = True
    return layer


def map_layers(viewer: Viewer, cube: str | None = None) -> list[Labels]:
    """Return the class maps on the canvas, the topmost first."""
    return [layer for layer in reversed(viewer.layers) if role_of(layer) == "map" and (cube is None or cube_of(layer) == cube)]


def shown_map(viewer: Viewer, cube: str) -> Labels | None:
    """Return the map of a cube that is seen, itself or by its confidence; None when none is."""
    for layer in map_layers(viewer, cube):
        images = (layer_of(viewer, layer, name) for name in LOOKS)
        if layer.visible or any(image is not None and image.visible for image in images):
            return layer
    return None


def confidence_of(viewer: Viewer, layer: Labels) -> Image | None:
    """Return the confidence layer of a map."""
    return layer_of(viewer, layer, "confidence")
