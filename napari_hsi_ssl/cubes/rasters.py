"""Images of one value a pixel: masks, labels and class maps of any kind of file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_hsi_ssl import limits
from napari_hsi_ssl.cubes import envi, matlab, polygons, readers, tiff
from napari_hsi_ssl.errors import DAMAGE, ChoiceError, CubeError, LabelError
from napari_hsi_ssl.files import Bounded, there

SUPPORTED: Final = "TIFF, NumPy (.npy, .npz), MATLAB (.mat), PNG and ENVI classifications"

_PICTURES: Final = {".png", ".bmp", ".gif"}
_LARGEST: Final = int(np.iinfo(np.int32).max)


def read_raster(path: str | Path, key: str | None = None) -> NDArray[Any]:
    """Read an image of one value a pixel.

    Parameters
    ----------
    path : path
        TIFF, .npy, .npz, .mat, PNG (grey or palette: the palette's numbers) or ENVI (header or data file). ``FILE#NAME`` is the
        array NAME of a file of several, for where there is no room for a key.
    key : str, optional
        Which array of a file of several.

    Returns
    -------
    array (y, x)
        Integers or floats as the file has them; truth values become 0 and 1.

    Raises
    ------
    ChoiceError
        When several arrays could be the image and no key says which.
    CubeError
        When the file is damaged or is no image of two axes.
    """
    path, key = _parted(Path(path), key)
    if not there(path) or not path.is_file():
        raise CubeError(f"{path} does not exist; check the path.")
    ending = path.suffix.lower()
    if ending == ".mat":
        image = _from_mat(path, key)
    elif ending in {".npy", ".npz"}:
        image = _from_numpy(path, key)
    elif ending in readers.TIFF_ENDINGS:
        with tiff.opened(path) as file:
            tiff.check_whole(path, file, file.series[0])
            limits.require_memory(path, int(file.series[0].size) * np.dtype(file.series[0].dtype).itemsize, "its image")
            image = np.asarray(file.series[0].asarray())
    elif ending in _PICTURES:
        image = _from_picture(path)
    elif readers.is_envi(path):
        image = np.array(envi.open_envi(path).data.open())
    else:
        raise CubeError(f"{path} is of no supported kind ('{ending or 'no ending'}'), expected {SUPPORTED}; convert it to one of these.")
    if image.ndim > 2:
        image = image.reshape([side for side in image.shape if side > 1] if min(image.shape) == 1 else image.shape)
    if image.ndim != 2 or image.size == 0:
        raise CubeError(f"{path} holds an array of shape {image.shape}, expected an image (y, x) of one value a pixel; choose another file.")
    if image.dtype == bool:
        return image.astype(np.uint8)
    if image.dtype.kind not in "iuf":
        raise CubeError(f"{path} holds {image.dtype} values, expected numbers; convert them first.")
    return image.astype(image.dtype.newbyteorder("="), copy=False)


def read_labels(path: str | Path, shape: tuple[int, ...], key: str | None = None) -> tuple[NDArray[np.int32], dict[int, str]]:
    """Read the class numbers of a cube's pixels from a raster, from GeoJSON polygons or from an exported ENVI ROI.

    Parameters
    ----------
    path : path
        What `read_raster` reads, ``.geojson`` or ``.json`` (see `polygons.from_geojson`), or ``.txt`` or ``.roi`` (`polygons.from_roi`).
    shape : tuple of int
        Lengths of y and x of the cube.
    key : str, optional
        Which array of a file of several.

    Returns
    -------
    labels : int32 array (y, x)
        Class numbers as the file has them, 0 = unlabelled. The nodata value of a TIFF or an ENVI file is read as 0.
    names : dict of int to str
        Names of the classes, where the file (or the ``.json`` of a map, or ``classes.json`` in the same folder) has them.

    Raises
    ------
    LabelError
        When the labels have another shape than the cube, or are not whole numbers of at least 0.
    CubeError
        When the file is damaged.
    """
    path, key = _parted(Path(path), key)
    ending = path.suffix.lower()
    height, width = int(shape[0]), int(shape[1])
    if ending in {".geojson", ".json"}:
        return polygons.from_geojson(path, (height, width))
    if ending in {".txt", ".roi"}:
        return polygons.from_roi(path, (height, width))
    image = read_raster(path, key)
    if image.shape != (height, width):
        turned = " (it fits when transposed)" if image.shape == (width, height) else ""
        raise LabelError(f"{path} has shape {image.shape}, expected {(height, width)} (y, x) as the cube{turned}; use labels made for this cube.")
    return _whole(path, image), _names(path)


def _parted(path: Path, key: str | None) -> tuple[Path, str | None]:
    """Return file and key of ``FILE#NAME``; a file whose name holds the sign is that file."""
    if key is not None or "#" not in path.name or path.exists():
        return path, key
    file, _, name = str(path).rpartition("#")
    return Path(file), name or None


def _whole(path: Path, image: NDArray[Any]) -> NDArray[np.int32]:
    nodata = _nodata(path)
    if nodata is not None:
        image = np.where(np.isnan(image) if np.isnan(nodata) else image == nodata, 0, image)
    if image.dtype.kind == "f":
        bad = ~np.isfinite(image)
        if bad.any():
            raise LabelError(f"{path} holds {int(bad.sum())} values that are no numbers (NaN or infinite), expected class numbers; set them to 0.")
        fractions = image != np.round(image)
        if fractions.any():
            raise LabelError(f"{path} holds the value {image[fractions][0]:g}, expected whole class numbers; use labels, not a continuous image.")
    if image.min() < 0 or image.max() > _LARGEST:
        raise LabelError(f"{path} holds values from {image.min():g} to {image.max():g}, expected class numbers from 0 to {_LARGEST}; use 0 for unlabelled.")
    return image.astype(np.int32)


def _nodata(path: Path) -> float | None:
    if path.suffix.lower() in readers.TIFF_ENDINGS:
        with tiff.opened(path) as file:
            return tiff.nodata_of(file.pages.first)
    if readers.is_envi(path) and path.suffix.lower() not in {".mat", ".npy", ".npz", *_PICTURES}:
        return envi.nodata_of(envi.open_envi(path))
    return None


def _names(path: Path) -> dict[int, str]:
    if readers.is_envi(path) and path.suffix.lower() not in {".mat", ".npy", ".npz", *_PICTURES, *readers.TIFF_ENDINGS}:
        listed = envi.split_list(envi.open_envi(path).header.get("class names", ""))
        return {number: name for number, name in enumerate(listed) if number > 0 and name}
    for beside in (path.with_suffix(".json"), path.with_name("classes.json")):
        try:
            content = json.loads(limits.json_bytes(beside, CubeError))
            classes = content.get("classes", content)
            return {int(number): str(name) for number, name in zip(classes["numbers"], classes["names"], strict=True)}
        except (*DAMAGE, CubeError):
            continue  # a file of that name that is none of ours, or none at all
    return {}


def _from_mat(path: Path, key: str | None) -> NDArray[Any]:
    arrays, _ = matlab.list_arrays(path)
    shapes = {array.name: array.shape for array in arrays}
    images = [name for name, sides in shapes.items() if len(sides) == 2 and min(sides) > 1]
    listed = ", ".join(map(str, arrays)) or "no numeric array"
    if key is None:
        if not images:
            raise CubeError(f"{path} holds no image of two axes ({listed}), expected labels or a mask (y, x); choose another file.")
        if len(images) > 1:
            raise ChoiceError(path, tuple(images), "the image")
        key = images[0]
    if key not in shapes:
        raise CubeError(f"{path} holds no array '{key}', only {listed}; choose one of them.")
    return matlab.read_array(path, key)


def _from_numpy(path: Path, key: str | None) -> NDArray[Any]:
    headers = readers.numpy_headers(path)
    if path.suffix.lower() == ".npz" and key is None:
        images = [name for name, (sides, dtype) in headers.items() if len(sides) == 2 and min(sides) > 1 and dtype.kind in "iufb"]
        if len(images) > 1:
            raise ChoiceError(path, tuple(images), "the image")
        key = images[0] if images else next(iter(headers), None)
    return np.array(readers.load_numpy(path, key))


def _from_picture(path: Path) -> NDArray[Any]:
    try:
        with Bounded(path) as stream, Image.open(stream) as picture:
            image = np.asarray(picture)
    except (*DAMAGE, Image.DecompressionBombError) as error:
        raise CubeError(f"{path} cannot be read as a picture ({error}); save it again or restore it from a copy.") from error
    if image.ndim == 3:
        colours = image[..., :3] if image.shape[2] >= 3 else image[..., :1]
        if not (colours == colours[..., :1]).all():
            raise CubeError(f"{path} is a colour picture, expected one class number a pixel (grey or with a palette); export the labels, not their picture.")
        image = colours[..., 0]
    return image
