"""The ways out: class maps for this program and for others; cubes are written by `cube_writers`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from napari_hsi_ssl import files
from napari_hsi_ssl.config import SCHEMA_VERSION, read_json
from napari_hsi_ssl.cubes.cube import Classes, ClassMap
from napari_hsi_ssl.cubes.cube_writers import write_cube, write_envi_cube
from napari_hsi_ssl.cubes.envi import braced, header_text, plain_item
from napari_hsi_ssl.cubes.rasters import read_raster
from napari_hsi_ssl.errors import CubeError, LabelError

__all__ = [
    "confidence_path", "layer_path", "load_layer", "load_map", "map_layers", "save_map", "write_areas_csv", "write_cube", "write_envi_classification",
    "write_envi_cube", "write_geotiff", "write_png",
]  # fmt: skip
LAYERS = ("entropy", "disagreement", "typicality")
"""What a map may have beside its confidence."""
_LEGEND_SIDE = 480


# -- maps of the project ---------------------------------------------------------------------------------------------------


def layer_path(path: Path, name: str) -> Path:
    """Return where an image that goes with a map is: its "confidence", "entropy", "disagreement" or "typicality"."""
    return path.with_suffix(f".{name}.tif")


def confidence_path(path: Path) -> Path:
    """Return where the confidence of a map is."""
    return layer_path(path, "confidence")


def save_map(path: Path, found: ClassMap) -> None:
    """Save a map: labels (y, x) at ``path``, confidence and other layers beside it, and last the .json that says the map is whole."""
    named = [name for name in LAYERS if name in found.layers]
    content = {"schema_version": SCHEMA_VERSION, "classes": found.classes.to_json(), "layers": named, "provenance": found.provenance}
    images = {path: found.labels.astype(np.int32), confidence_path(path): found.confidence.astype(np.float32)}
    images |= {layer_path(path, name): found.layers[name].astype(np.float32) for name in named}
    with files.atomic_paths(*images, path.with_suffix(".json")) as (*temporaries, card):
        for temporary, image in zip(temporaries, images.values(), strict=True):
            files.dump_tiff(temporary, image)
        card.write_bytes(files.json_bytes(content))
    for name in set(LAYERS) - set(named):
        layer_path(path, name).unlink(missing_ok=True)  # of an older map


def load_map(path: Path, *, layers: bool = False) -> ClassMap:
    """Read what `save_map` wrote.

    Parameters
    ----------
    layers : bool
        Also the layers other than confidence.

    Raises
    ------
    LabelError
        When a part is missing or does not fit the others.
    """
    card, beside = path.with_suffix(".json"), confidence_path(path)
    for part in (path, card, beside):
        if not part.exists():
            raise LabelError(f"{path} is no whole map: {part.name} is missing; make the map again.")
    content = read_json(card)
    labels, confidence = read_raster(path), read_raster(beside)
    if labels.dtype.kind not in "iu" or confidence.shape != labels.shape:
        raise LabelError(f"{beside} has shape {confidence.shape} and the map {labels.shape} {labels.dtype}, expected integers of one shape; make it again.")
    try:
        classes = Classes.from_json(content["classes"])
        provenance = dict(content["provenance"])
    except (KeyError, TypeError, ValueError) as error:
        raise LabelError(f"{card} lacks classes or provenance ({error}), expected the card of a map; make the map again.") from error
    found = {name: load_layer(path, name, labels.shape) for name in map_layers(path)} if layers else {}
    return ClassMap(labels, classes, confidence.astype(np.float32), provenance, found)


def map_layers(path: Path) -> tuple[str, ...]:
    """Return the names of the layers that a saved map has besides its confidence."""
    named = read_json(path.with_suffix(".json")).get("layers", [])
    return tuple(name for name in LAYERS if name in named) if isinstance(named, list) else ()


def load_layer(path: Path, name: str, shape: tuple[int, ...] | None = None) -> NDArray[np.float32]:
    """Read one layer (y, x) of a saved map.

    Raises
    ------
    LabelError
        When the file is missing or of another shape than the map.
    """
    beside = layer_path(path, name)
    if not beside.exists():
        raise LabelError(f"{path} is no whole map: {beside.name} is missing; make the map again.")
    image = read_raster(beside)
    if shape is not None and image.shape != shape:
        raise LabelError(f"{beside} has shape {image.shape} and the map {shape}, expected the same; make the map again.")
    return image.astype(np.float32)


# -- for other programs ----------------------------------------------------------------------------------------------------


def write_envi_classification(path: Path, labels: NDArray[np.integer], classes: Classes, map_info: str | None = None) -> None:
    """Write class numbers (y, x) as an ENVI classification with names and colours; ``path`` is the header, the data get ``.img``.

    ENVI numbers classes without gaps, so numbers that are not used are listed as ``unused``.

    Raises
    ------
    LabelError
        When a class number is negative or above 65535.
    """
    path = _header_name(path)
    highest = max([int(labels.max()), *classes.numbers])
    if labels.min() < 0 or highest > np.iinfo(np.uint16).max:
        raise LabelError(f"{path}: class numbers go from {labels.min()} to {highest}, expected 0 to 65535 for ENVI; renumber the classes.")
    kind = np.dtype(np.uint8 if highest < 256 else "<u2")
    names, colours = _tables(classes, highest)
    height, width = labels.shape
    fields = {
        "description": braced([path.stem]),
        "samples": width,
        "lines": height,
        "bands": 1,
        "header offset": 0,
        "file type": "ENVI Classification",
        "data type": 1 if kind.itemsize == 1 else 12,
        "interleave": "bsq",
        "byte order": 0,
        "classes": highest + 1,
        "class names": braced([plain_item(name) for name in names]),
        "class lookup": braced(colours.ravel().tolist()),
        "band names": braced(["classes"]),
        **({"map info": braced([map_info])} if map_info else {}),
    }
    with files.atomic_paths(path.with_suffix(".img"), path) as (data, header):
        data.write_bytes(np.ascontiguousarray(labels, dtype=kind).tobytes())
        header.write_bytes(header_text(fields))


def _tables(classes: Classes, highest: int) -> tuple[list[str], NDArray[np.uint8]]:
    """Return names and colours (class, 3) for every number from 0 to the highest."""
    names = ["not classified"] + ["unused"] * highest
    colours = np.zeros((highest + 1, 3), dtype=np.uint8)
    for number, name, colour in zip(classes.numbers, classes.names, classes.colours, strict=True):
        if 0 < number <= highest:
            names[number], colours[number] = name, ImageColor.getrgb(colour)[:3]
    return names, colours


def _header_name(path: Path) -> Path:
    path = Path(path)
    if path.suffix.lower() != ".hdr":
        raise CubeError(f"{path} does not end in .hdr, expected the name of an ENVI header; choose such a name.")
    return path


def write_geotiff(path: Path, found: ClassMap, geotags: dict[int, tuple[int, int, Any]] | None = None) -> None:
    """Write a map as TIFF in class numbers, with its colours where 255 classes suffice, and its place on the earth where known.

    Parameters
    ----------
    geotags : dict, optional
        ``attrs["geotags"]`` of the cube the map was made of: number of the tag to (type, count, value). By default those that
        the map's provenance keeps under ``geotags``, as JSON has them.
    """
    labels = found.labels
    highest = max([int(labels.max()), *found.classes.numbers])
    options: dict[str, Any] = {"photometric": "minisblack"}
    kind: Any = np.uint8 if highest < 256 and labels.min() >= 0 else np.int32
    if kind is np.uint8:
        colours = _tables(found.classes, highest)[1]
        table = np.zeros((3, 256), dtype=np.uint16)
        table[:, : highest + 1] = colours.T.astype(np.uint16) * 257
        options = {"photometric": "palette", "colormap": table}
    tags = geotags or found.provenance.get("geotags") or {}
    extra = [(int(code), dtype, count, tuple(value) if isinstance(value, list) else value, True) for code, (dtype, count, value) in tags.items()]
    with files.atomic_path(Path(path)) as temporary:
        tifffile.imwrite(temporary, labels.astype(kind), compression="zlib", extratags=extra, metadata=None, **options)


def write_png(path: Path, labels: NDArray[np.integer], classes: Classes) -> None:
    """Write a picture of a map in its class colours with a legend at its right; small maps are enlarged by a whole factor."""
    height, width = labels.shape
    numbers = np.asarray([0, *classes.numbers])
    colours = np.asarray([(0, 0, 0), *(ImageColor.getrgb(colour)[:3] for colour in classes.colours)], dtype=np.uint8)
    position = np.searchsorted(numbers, labels).clip(max=len(numbers) - 1)
    picture = np.where((numbers[position] == labels)[..., None], colours[position], np.uint8(128))
    factor = max(1, _LEGEND_SIDE // max(height, width))
    picture = picture.repeat(factor, axis=0).repeat(factor, axis=1)
    font = ImageFont.load_default(14)
    line, margin = 22, 10
    text_width = max((int(font.getlength(name)) for name in classes.names), default=0)
    rows = max(picture.shape[0], line * len(classes.names) + 2 * margin)
    canvas = Image.new("RGB", (picture.shape[1] + (text_width + 20 + 3 * margin if classes.names else 0), rows), "white")
    canvas.paste(Image.fromarray(picture), (0, 0))
    draw = ImageDraw.Draw(canvas)
    for index, (name, colour) in enumerate(zip(classes.names, classes.colours, strict=True)):
        left, top = picture.shape[1] + margin, margin + line * index
        draw.rectangle((left, top, left + 16, top + 16), fill=colour, outline="black")
        draw.text((left + 26, top), name, fill="black", font=font)
    buffer = io.BytesIO()
    canvas.save(buffer, format="PNG")
    files.write_bytes(Path(path), buffer.getvalue())


def write_areas_csv(path: Path, found: ClassMap) -> None:
    """Write how many pixels each class covers; ``share`` is of the classified pixels."""
    total = int(np.count_nonzero(found.labels))
    rows: list[list[object]] = [["class", "name", "colour", "pixels", "share"]]
    for number, name, colour in zip(found.classes.numbers, found.classes.names, found.classes.colours, strict=True):
        pixels = int(np.count_nonzero(found.labels == number))
        rows.append([number, name, colour, pixels, f"{pixels / total:.6f}" if total else "0.000000"])
    files.write_bytes(Path(path), files.csv_text(rows).encode())
