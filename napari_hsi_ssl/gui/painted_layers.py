"""The layers of painting: strokes, the map that follows them, its confidence, and outlines of where to paint next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.layers import Image, Labels, Shapes
from numpy.typing import NDArray

from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.gui.layers import add_layer, cube_of, find, role_of, swap, title_of
from napari_hsi_ssl.gui.mask_layers import class_colours, class_names, dress

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_hsi_ssl.mapping.suggest import Suggestion

OURS: Final = ("painted", "sureness", "strokes", "next")
NEXT_COLOUR: Final = "#ffffff"
_COVERING: Final = ("map", "confidence", "mask", "labels", "grid", "heat", "clusters", "pcs")
"""Roles that would lie over what is painted on, or be mistaken for its map."""


def show_strokes(viewer: Viewer, cube: str, strokes: NDArray[np.unsignedinteger], classes: Classes) -> Labels:
    """Put strokes (y, x) over the image, to be painted on; anything else that lies over it is hidden."""
    for other in viewer.layers:
        if role_of(other) in _COVERING:
            other.visible = False
    layer = find(viewer, "strokes", cube)
    if layer is None:
        layer = Labels(strokes, name=title_of("strokes", cube), opacity=0.9)
        add_layer(viewer, layer, "strokes", cube)
    else:
        swap(layer, strokes)
        layer._reset_history()  # what is taken back next must not be of other strokes
    dress(layer, classes)
    layer.visible = True
    return layer


def show_painted(viewer: Viewer, cube: str, labels: NDArray[np.unsignedinteger], classes: Classes) -> Labels:
    """Show the map (y, x) that follows the strokes; the one that is there is changed in place."""
    layer = find(viewer, "painted", cube)
    if layer is None:
        look = {"colormap": class_colours(classes), "features": class_names(classes)}
        layer = add_layer(viewer, Labels(labels.copy(), name=title_of("painted", cube), opacity=0.55, **look), "painted", cube, classes=classes)
        layer.editable = False
    else:
        swap(layer, labels)
    return layer


def show_sureness(viewer: Viewer, cube: str, confidence: NDArray[np.float32]) -> Image:
    """Show how sure the map is of every pixel (y, x), from 0 to 1."""
    layer = find(viewer, "sureness", cube)
    if layer is None:
        layer = Image(confidence.copy(), name=title_of("sureness", cube), colormap="viridis", contrast_limits=(0, 1), opacity=0.75)
        add_layer(viewer, layer, "sureness", cube)
    else:
        swap(layer, confidence)
    return layer


def show_next(viewer: Viewer, cube: str, suggestions: Sequence[Suggestion]) -> None:
    """Outline and number the regions to paint next, and no others."""
    layer = find(viewer, "next", cube)
    if layer is None:
        if not suggestions:
            return
        layer = Shapes(None, ndim=2, name=title_of("next", cube), opacity=0.9)
        add_layer(viewer, layer, "next", cube)
        layer.editable = False
    told = tuple((one.number, one.outline.tobytes()) for one in suggestions)
    if layer.metadata["hsi"].get("told") == told:
        return
    layer.metadata["hsi"]["told"] = told
    # Closed lines, for napari triangulates the face of a polygon even where nobody sees it; and one refresh instead of four.
    with layer._block_refresh():
        layer.data = []
        if suggestions:
            look = {"edge_color": NEXT_COLOUR, "face_color": "transparent", "edge_width": _edge(viewer)}
            layer.add([np.vstack((one.outline, one.outline[:1])) for one in suggestions], shape_type="path", **look)
            layer.text = {"string": [str(one.number) for one in suggestions], "color": NEXT_COLOUR, "size": 11, "anchor": "upper_left"}
    layer.refresh(thumbnail=False, extent=False, highlight=False)


def _edge(viewer: Viewer) -> float:
    """Return a width of lines in pixels of the image that is seen as about one and a half on the screen."""
    return float(max(0.2, 1.5 / max(viewer.scene.camera.zoom, 1e-3)))


def hide_painting(viewer: Viewer, cube: str) -> None:
    """Take the layers of painting out of sight; they stay, for taking a layer away costs napari a quarter of a second."""
    for layer in viewer.layers:
        if role_of(layer) in OURS and cube_of(layer) == cube:
            layer.visible = False


def redress(viewer: Viewer, cube: str, classes: Classes) -> None:
    """Give strokes and map the colours and names of classes."""
    for role in ("strokes", "painted"):
        layer = find(viewer, role, cube)
        if layer is not None:
            dress(layer, classes)


def looked_at(layer: Any) -> tuple[slice, slice]:  # noqa: ANN401 - a layer of an image (y, x)
    """Return rows and columns of an image's layer that the canvas shows; all where it shows none."""
    height, width = layer.data.shape[-2:]
    (top, left), (bottom, right) = (tuple(int(place) for place in corner[-2:]) for corner in np.asarray(layer.corner_pixels))
    rows, columns = slice(max(0, top), min(height, bottom + 1)), slice(max(0, left), min(width, right + 1))
    empty = rows.stop <= rows.start or columns.stop <= columns.start
    return (slice(0, height), slice(0, width)) if empty else (rows, columns)
