"""The one way in: any file that holds a cube, opened lazily."""

from __future__ import annotations

import io
import math
import os
import re
import warnings
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl import limits
from napari_hsi_ssl.cubes import band_folder, envi, hdf, matlab, netcdf, tiff, zarr_store
from napari_hsi_ssl.cubes.lazy import DATA_ENDINGS, MappedFile, build_cube, cube_name
from napari_hsi_ssl.errors import DAMAGE, ChoiceError, CubeError
from napari_hsi_ssl.files import there

SUPPORTED: Final = (
    "ENVI (.hdr with .dat, .img, .raw, …), TIFF (.tif), Zarr (.zarr), NetCDF (.nc), HDF5 (.h5, .hdf5, .he5), HyperSpy (.hspy), MATLAB (.mat), "
    "NumPy (.npy, .npz), a folder of band images, and plain numbers with --shape Y,X,B"
)
FILTERS: Final = (
    "*.hdr",
    "*.mat",
    "*.npy",
    "*.npz",
    "*.tif",
    "*.tiff",
    "*.img",
    "*.raw",
    "*.dat",
    "*.bil",
    "*.bip",
    "*.bsq",
    "*.nc",
    "*.nc4",
    "*.h5",
    "*.hdf5",
    "*.he5",
    "*.hspy",
)
"""Names that file dialogs and napari offer to open."""

TIFF_ENDINGS: Final = {".tif", ".tiff", ".gtif", ".gtiff"}
_NUMPY_HEADER_BYTES: Final = 2**16
_RAW_TYPES: Final = {1: "<u1", 2: "<u2", 4: "<f4", 8: "<f8"}
# Files that nobody would take for a cube are not worth a word.
_DOCUMENTS: Final = {
    "", ".md", ".txt", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".geojson", ".xml", ".yaml", ".yml", ".toml", ".log",
    ".pdf", ".html", ".htm", ".py", ".m", ".sta",
}  # fmt: skip
_LABELS = re.compile(r"(^|[_\-. ])(masks?|labels?|gt|ground[_\-. ]?truth|classification|classes|roi|annotations?)($|[_\-. \d])")
_LABEL_FOLDERS: Final = {"labels", "masks", "label", "mask", "gt", "ground_truth", "groundtruth"}
_REFERENCE = re.compile(
    r"^(white|dark)[_\-. ]?(ref|reference|frame|current|panel)|[_\-. ](white|dark)([_\-. ]?(ref|reference|frame|current|panel))?$"
    r"|[_\-. ](white|dark)[_\-. ]?(ref|reference|frame|current)|^(white|dark)\d*$"
)


def read_cube(
    path: str | Path, key: str | None = None, *, shape: tuple[int, int, int] | None = None, order: str = "C", name: str | None = None
) -> xr.DataArray:
    """Open a cube (y, x, band) without reading its values where the format allows.

    Parameters
    ----------
    path : path
        An ENVI header or its data file, .mat (5 and 7.3), .npy, .npz, TIFF, HDF5, NetCDF, .hspy, plain numbers when ``shape`` is
        given, or a folder: a Zarr store, or one of images that are a band each.
    key : str, optional
        Which array of a file of several.
    shape : tuple of int, optional
        Lengths of y, x and band where the file does not tell them: plain little-endian numbers (whose type follows from the
        file's size: uint8, uint16, float32 or float64), and two-dimensional arrays (band, pixel) or (pixel, band).
    order : {"C", "F"}
        How ``shape`` lies in memory: C has the last axis fastest, F the first.
    name : str, optional
        Name of the cube, the file's stem by default.

    Raises
    ------
    ChoiceError
        When several arrays could be the cube and no key says which.
    CubeError
        When the file is no usable cube.
    """
    path = _existing(path)
    ending = path.suffix.lower()
    if shape is not None:
        shape = _checked_shape(path, shape)
    if zarr_store.is_store(path):
        return zarr_store.read_zarr(path, key, shape, name)
    if path.is_dir():
        if key is not None or shape is not None:
            raise CubeError(f"{path} is a folder of band images, which tells its shape and holds one cube only; leave --key and --shape out.")
        return band_folder.read_bands(path, name)
    if ending in netcdf.ENDINGS:
        return netcdf.read_netcdf(path, key, shape, name)
    if ending in hdf.ENDINGS or ending == ".hspy":
        return hdf.read_hdf(path, key, shape, name)
    if ending == ".mat":
        return matlab.read_mat(path, key, shape, order, name)
    if ending in TIFF_ENDINGS:
        return tiff.read_tiff(path, key, shape, name)
    if ending in {".npy", ".npz"}:
        return _read_numpy(path, key, shape, order, name)
    if key not in {None, cube_name(path)}:
        raise CubeError(f"{path} holds one array only, but the key '{key}' is given; leave it out.")
    if shape is not None and (ending != ".hdr" and envi.find_header(path) is None):
        return _read_plain(path, shape, order, name)
    if is_envi(path):
        return envi.read_envi(path, name)
    raise _unsupported(path)


def candidates(path: str | Path) -> tuple[str, ...]:
    """Return the names of the arrays in a file that could be cubes, best guess first, without reading values.

    Raises
    ------
    CubeError
        When the file is damaged, holds none, or is of no supported kind.
    """
    path = _existing(path)
    ending = path.suffix.lower()
    if zarr_store.is_store(path):
        return zarr_store.cube_names(path)
    if path.is_dir():
        return (str(band_folder.read_bands(path).name),)
    if ending in netcdf.ENDINGS:
        return netcdf.cube_names(path)
    if ending in hdf.ENDINGS or ending == ".hspy":
        return hdf.cube_names(path)
    if ending == ".mat":
        found = matlab.cube_names(path)
        shapes = "" if found else ", ".join(map(str, matlab.list_arrays(path)[0]))
    elif ending in TIFF_ENDINGS:
        found = tiff.cube_names(path)
        shapes = "" if found else tiff.describe(path)
    elif ending in {".npy", ".npz"}:
        headers = numpy_headers(path)
        usable = [label for label, (sides, dtype) in headers.items() if len(sides) == 3 and 0 not in sides and dtype.kind in "iuf"]
        found = tuple(sorted(usable, key=lambda label: -np.prod(headers[label][0])))
        shapes = ", ".join(f"{label} {sides}" for label, (sides, _) in headers.items())
    elif is_envi(path):
        file = envi.open_envi(path)
        if "classification" in file.header.get("file type", "").lower():
            raise CubeError(f"{file.header_path} is an ENVI classification, expected a cube; use it as labels.")
        return (cube_name(file.header_path),)
    else:
        raise _unsupported(path)
    if not found:
        raise CubeError(f"{path} holds no array of three axes ({shapes or 'no numeric array'}), expected a cube (y, x, band); choose another file.")
    return found


def find_cubes(folder: str | Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Look through a folder and those below it for cubes, by headers and shapes alone.

    Returns
    -------
    cubes : list of Path
        Cube files, sorted; an ENVI cube by its header. A file with several candidates is among them. A Zarr store is one cube, and
        so is a folder of band images (`band_folder.is_band_folder`), also where the given folder is such a one itself.
    skipped : list of (Path, str)
        Files that look like images but are not taken, with the reason: labels, masks, white and dark references by their
        usual names, two-dimensional images, colour pictures, formats that are not read, and broken files with their error.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CubeError(f"{folder} is no folder; give a folder, or add the file itself.")
    if is_cube_folder(folder):
        return [folder], []
    cubes: list[Path] = []
    skipped: list[tuple[Path, str]] = []
    for parent, files in _walk(folder):
        taken: set[Path] = set()
        if parent != folder and is_cube_folder(parent):
            files = [parent]  # noqa: PLW2901 - the folder stands for what is in it
        by_name: dict[str, list[Path]] = defaultdict(list)
        for path in files:
            for name in {path.name, path.stem}:
                by_name[name].append(path)
        for path in sorted(files, key=lambda entry: (entry.suffix.lower() != ".hdr", entry.name)):
            if path in taken or (path.suffix.lower() in _DOCUMENTS and path != parent):
                continue
            if path.suffix.lower() == ".hdr":
                # Its data, whether they fit or not: what is wrong is said once, of the header.
                others = TIFF_ENDINGS | netcdf.ENDINGS | hdf.ENDINGS | {".mat", ".npy", ".npz", ".hdr", ".hspy"}
                taken.update(entry for entry in by_name[path.name[:-4]] if entry.suffix.lower() not in others)
            reason = _reason_to_skip(path, folder)
            if reason is None:
                cubes.append(path)
            else:
                skipped.append((path, reason))
    return sorted(cubes), sorted(skipped)


def is_cube_folder(folder: Path) -> bool:
    """Tell whether a folder is one cube: a Zarr store, or images that are a band each with no other cube beside them."""
    if zarr_store.is_store(folder):
        return True
    if not folder.is_dir() or "project.json" in os.listdir(folder):
        return False
    others = {".hdr", ".mat", ".npy", ".npz", *hdf.ENDINGS, *netcdf.ENDINGS, ".hspy"}
    if any(path.suffix.lower() in others or (path.is_dir() and path.suffix.lower() == ".zarr") for path in folder.iterdir()):
        return False
    return _LABELS.search(folder.name.lower()) is None and folder.name.lower() not in _LABEL_FOLDERS and band_folder.is_band_folder(folder)


def _walk(folder: Path) -> Iterator[tuple[Path, list[Path]]]:
    for parent, folders, names in os.walk(folder):
        if "project.json" in names and Path(parent) != folder:
            folders.clear()  # what a project holds was made from cubes
            continue
        if zarr_store.is_store(Path(parent)):
            folders.clear()  # what a store holds are its chunks
        folders[:] = sorted(label for label in folders if not label.startswith("."))
        yield Path(parent), [Path(parent) / label for label in names if not label.startswith(".")]


def is_reference(path: Path) -> bool:
    """Whether a file's name says that it is a white or dark reference."""
    return bool(_REFERENCE.search(cube_name(path).lower()))


def _reason_to_skip(path: Path, folder: Path) -> str | None:
    stem = cube_name(path).lower()
    parents = [part.lower() for part in path.relative_to(folder).parts[:-1]]
    if _LABELS.search(stem) or any(part in _LABEL_FOLDERS for part in parents):
        return "its name says that it holds labels or a mask"
    if is_reference(path):
        return "its name says that it is a white or dark reference"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            candidates(path)
            if path.suffix.lower() in TIFF_ENDINGS and tiff.is_picture(path):
                return "it is a colour picture"
    except CubeError as error:
        return str(error)
    return None


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not there(path):
        raise CubeError(f"{path} does not exist; check the path.")
    if not path.is_file() and not path.is_dir():  # a pipe would be waited for
        raise CubeError(f"{path} is a device or a pipe, expected a file or a folder; copy the cube into a file first.")
    return path


def _checked_shape(path: Path, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    if len(shape) != 3 or not all(isinstance(side, int | np.integer) and side > 0 for side in shape):
        raise CubeError(f"{path}: the given shape is {tuple(shape)}, expected three lengths of at least 1 (y, x, band); correct --shape.")
    height, width, bands = (int(side) for side in shape)
    return height, width, bands


def is_envi(path: Path) -> bool:
    """Tell whether a file is an ENVI header, or data with a header beside it or a name that needs one."""
    known = path.suffix.lower() in {*DATA_ENDINGS, ".hdr", ".sli"} - {""}
    return known or envi.find_header(path) is not None


def _unsupported(path: Path) -> CubeError:
    return CubeError(f"{path} is of no supported kind ('{path.suffix or 'no ending'}'), expected {SUPPORTED}; convert it to one of these.")


def _read_plain(path: Path, shape: tuple[int, int, int], order: str, name: str | None) -> xr.DataArray:
    if order not in ("C", "F"):
        raise CubeError(f"{path}: order is '{order}', expected C or F; choose one of them.")
    values = shape[0] * shape[1] * shape[2]
    size = path.stat().st_size
    kind = _RAW_TYPES.get(size // values) if size % values == 0 else None
    if kind is None:
        raise CubeError(f"{path} has {size} bytes, but {values} values of shape {shape} need 1, 2, 4 or 8 bytes each; correct --shape.")
    height, width, bands = shape
    source = MappedFile(path, np.dtype(kind), 0, shape, (0, 1, 2)) if order == "C" else MappedFile(path, np.dtype(kind), 0, (bands, width, height), (2, 1, 0))
    return build_cube(source, path=path, name=name, layout=f"plain numbers, order {order}")


def numpy_headers(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Return shape and type of every array in a .npy or .npz file without reading values.

    Raises
    ------
    CubeError
        When the file is damaged.
    """
    try:
        if path.suffix.lower() == ".npy":
            with path.open("rb") as stream:
                shape, dtype, begin = _npy_header(stream)
            expected = begin + math.prod(shape) * dtype.itemsize
            if dtype.kind in "iufb" and path.stat().st_size < expected:
                raise CubeError(f"{path} is cut off: {path.stat().st_size} bytes found, {expected} expected for shape {shape} {dtype}; copy it again.")
            return {path.stem: (shape, dtype)}
        headers = {}
        with zipfile.ZipFile(path) as archive:
            for label in archive.namelist():
                if label.endswith(".npy"):
                    with archive.open(label) as stream:
                        headers[label[:-4]] = _npy_header(stream)[:2]
    except DAMAGE as error:
        raise _damaged(path, error) from error
    return headers


def _npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Return shape, type and where the values begin."""
    head = io.BytesIO(stream.read(_NUMPY_HEADER_BYTES))  # whatever length a damaged header gives itself, no more is read
    version = np.lib.format.read_magic(head)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(head)
    return shape, dtype, head.tell()


def _damaged(path: Path, error: Exception) -> CubeError:
    reason = str(error).split("\n")[0] or type(error).__name__
    return CubeError(f"{path} cannot be read as a NumPy file ({reason}), expected .npy or .npz without pickled objects; save it again.")


def load_numpy(path: Path, key: str | None) -> NDArray[Any]:
    """Return one array: mapped from a .npy file, read from a .npz file."""
    try:
        if path.suffix.lower() == ".npy":
            mapped: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
            return mapped
        with np.load(path, allow_pickle=False) as archive:
            limits.require_memory(path, archive.zip.getinfo(f"{key}.npy").file_size, f"array '{key}'")  # zipfile gives no more than that
            return np.asarray(archive[key])
    except DAMAGE as error:
        raise _damaged(path, error) from error


def _read_numpy(path: Path, key: str | None, shape: tuple[int, int, int] | None, order: str, name: str | None) -> xr.DataArray:
    headers = numpy_headers(path)
    if path.suffix.lower() == ".npy":
        if key not in {None, path.stem}:
            raise CubeError(f"{path} holds one array only, but the key '{key}' is given; leave it out.")
        key = path.stem
    elif key is None:
        names = candidates(path) if shape is None else tuple(headers)
        if len(names) > 1:
            raise ChoiceError(path, names)
        key = names[0]
    if key not in headers:
        raise CubeError(f"{path} holds no array '{key}', only {', '.join(headers) or 'none'}; choose one of them.")
    if headers[key][1].kind not in "iuf":
        raise CubeError(f"{path}: array '{key}' holds {headers[key][1]} values, expected real numbers; convert it first.")
    array = load_numpy(path, key)
    if shape is not None:
        array = matlab.reshape(array, shape, order, f"{path}: array '{key}'")
    elif array.ndim != 3:
        raise CubeError(f"{path}: array '{key}' has shape {array.shape}, expected three axes (y, x, band); choose another, or give its --shape Y,X,B.")
    if 0 in array.shape:
        raise CubeError(f"{path}: array '{key}' is empty (shape {array.shape}), expected at least one pixel and one band; check the file.")
    vectors = [label for label, (sides, _) in headers.items() if matlab.is_wavelength_name(label) and sides == array.shape[2:]]
    centres = matlab.wavelength_of(load_numpy(path, vectors[0])) if len(vectors) == 1 else None
    return build_cube(array, path=path, name=name, wavelength=centres, layout="NumPy", key=key)
