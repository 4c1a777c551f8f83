"""What napari writes through the manifest: cubes and classes of its layers as ENVI (File → Save Selected Layers)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_hsi_ssl.cubes.cube import Classes, as_cube
from napari_hsi_ssl.cubes.writers import write_envi_classification, write_envi_cube
from napari_hsi_ssl.errors import CubeError, LabelError


def write_bands(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:  # noqa: ANN401 - whatever a layer holds
    """Write an Image layer (band, y, x) as an ENVI cube, with its wavelengths where it has them.

    Raises
    ------
    CubeError
        When the layer is no stack of bands.
    """
    if np.ndim(data) != 3 or attributes.get("rgb"):
        raise CubeError(f"the layer {attributes.get('name')} has {np.ndim(data)} dimensions, expected the three of a cube: band, y, x; save it as TIFF or PNG.")
    header = Path(path)
    centres = attributes.get("metadata", {}).get("wavelengths")
    write_envi_cube(header, as_cube(np.moveaxis(np.asarray(data), 0, -1), centres, "unknown", header.stem))
    return [path]


def write_classes(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:  # noqa: ANN401 - as above
    """Write a Labels layer (y, x) as an ENVI classification, with names and colours where it has them.

    Raises
    ------
    LabelError
        When the layer is no image of class numbers.
    """
    labels = np.asarray(data)
    if labels.ndim != 2:
        raise LabelError(f"the layer {attributes.get('name')} has {labels.ndim} dimensions, expected the two of an image: y, x; save it as TIFF.")
    features = attributes.get("features")
    named = {} if features is None or "class" not in features else dict(zip(features["index"], features["class"], strict=True))
    known = attributes.get("metadata", {}).get("hsi", {}).get("classes")
    numbers = np.unique(labels).tolist()
    write_envi_classification(Path(path), labels, Classes.of(numbers, named) if known is None else known.chosen(numbers))
    return [path]
