"""What must hold of whatever is read: a sentence where it is refused, and no contradiction where it is accepted."""

from __future__ import annotations

import re
import tempfile
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import dask
import numpy as np
import xarray as xr

from napari_hsi_ssl.cubes.cube import QUANTITIES, band_image, spectrum
from napari_hsi_ssl.cubes.cube_writers import write_cube
from napari_hsi_ssl.cubes.library import read_library, write_library
from napari_hsi_ssl.cubes.pixels import PixelReader
from napari_hsi_ssl.cubes.rasters import read_labels
from napari_hsi_ssl.cubes.readers import candidates, find_cubes, read_cube
from napari_hsi_ssl.cubes.writers import load_map, map_layers
from napari_hsi_ssl.errors import ChoiceError, HsiError

LABELLED: Final = (4, 5)
_SMALL: Final = 200_000
"""Values of a cube that is read whole and written again; of a larger one its corners are read."""


class Wrong(AssertionError):
    """What was read contradicts itself or the file."""


def hold(condition: bool, what: str) -> None:
    """Raise `Wrong` unless a condition holds."""
    if not condition:
        raise Wrong(what)


def all_of(*calls: Callable[[], Any]) -> None:
    """Make all calls; where every one of them is refused, so is the whole."""
    refusals = []
    for call in calls:
        try:
            call()
        except HsiError as error:
            check_sentence(error)
            refusals.append(error)
    if len(refusals) == len(calls):
        raise refusals[0]


def check_sentence(error: HsiError) -> None:
    """Raise `Wrong` unless an error is one sentence on one line."""
    text = str(error)
    hold(bool(text) and text == text.strip() and "\n" not in text and "\r" not in text, f"the error is not one line: {text[:200]!r}")
    hold(text.endswith("."), f"the error does not end as a sentence: {text[-120:]!r}")
    hold(len(text) < 2000, f"the error is {len(text)} characters long: {text[:120]!r}")


# -- cubes -----------------------------------------------------------------------------------------------------------------


def cube(path: Path) -> None:
    """Open all cubes of a file, and look for contradictions in each."""
    names = candidates(path)
    hold(len(set(names)) == len(names) > 0, f"candidates are {names}")
    try:
        found = read_cube(path)
        hold(len(names) == 1, f"one of {names} was taken without a word")
        consistent(path, found)
    except ChoiceError as error:
        check_sentence(error)
        hold(len(names) > 1, f"a choice is asked for, of {names}")
        for name in names[:3]:
            consistent(path, read_cube(path, key=name))
    cubes, skipped = find_cubes(path.parent)
    hold(path.is_dir() or path in cubes or path in dict(skipped), "a cube is neither found in its folder nor skipped with a word")


def plain_numbers(path: Path) -> None:
    """Read plain numbers with a shape, and see that both orders hold the same numbers."""
    first = read_cube(path, shape=(3, 4, 5))
    hold(first.shape == (3, 4, 5), f"shape {first.shape}")
    consistent(path, first, (3, 4, 5))
    other = read_cube(path, shape=(5, 4, 3), order="F")
    hold(_same(np.asarray(first.data), np.asarray(other.data).transpose(2, 1, 0)), "C and F order are not each other's mirror")


def consistent(path: Path, found: xr.DataArray, shape: tuple[int, int, int] | None = None) -> None:
    """Raise `Wrong` where a cube contradicts itself, its header, or what is written of it and read again."""
    height, width, bands = found.shape
    hold(found.dims == ("y", "x", "band") and min(found.shape) > 0, f"dimensions {found.dims} {found.shape}")
    hold(found.dtype.kind in "iuf", f"type {found.dtype}")
    _spectral(found, bands)
    _as_the_header_says(path, found)
    y, x, band = height // 2, width - 1, bands // 2
    parts = [found.data[y, x]]
    if found.size <= _SMALL:
        again = read_cube(path, key=found.attrs.get("key"), shape=shape).data
        parts += [found.data, found.data[y], found.data[:, :, band], found.data[::-1, ::2], again]
    else:
        parts += [found.data[:2, :2, :2]]
    pixel, whole, *others = map(np.asarray, dask.compute(*parts))  # one computation costs little more than each alone would
    if not others:
        hold(whole.shape == tuple(min(2, side) for side in found.shape), f"a corner has shape {whole.shape}")
    else:
        hold(
            whole.shape == found.shape and whole.dtype.newbyteorder("=") == found.dtype.newbyteorder("="),
            f"values {whole.shape} {whole.dtype} of {found.dtype}",
        )
        wanted = (whole[y], whole[:, :, band], whole[::-1, ::2], whole)
        for part, one, what in zip(others, wanted, ("a row", "a band", "a part with steps", "the cube, read once more,"), strict=True):
            hold(_same(part, one), f"{what} is not that of the whole")
        hold(_same(pixel, whole[y, x]), "a pixel is not that of the whole")
    with np.errstate(over="ignore", invalid="ignore"):
        hold(_same(PixelReader(found)(y, x), pixel.astype(np.float32)), "the pixel reader gives another spectrum")
        if others and zlib.crc32(whole.tobytes()) % 3 == 0:  # the dearest of all checks
            hold(_same(spectrum(found, y, x), pixel.astype(np.float32)), "the spectrum of a pixel is another")
            hold(_same(band_image(found, band), whole[:, :, band].astype(np.float32)), "a band's image is another")
            _written_again(found, whole)


def _spectral(found: xr.DataArray, bands: int) -> None:
    if "wavelength" in found.coords:
        centres = np.asarray(found.wavelength.values)
        hold(centres.shape == (bands,) and centres.dtype == np.float64 and bool(np.isfinite(centres).all()), f"wavelengths {centres}")
        hold(bool((np.diff(centres) >= 0).all()), f"wavelengths are not in order: {centres}")
        hold(bool((centres > 0).all()), f"wavelengths are not above 0: {centres}")
    if "source_band" in found.coords:
        hold(sorted(found.source_band.values.tolist()) == list(range(bands)), f"source_band {found.source_band.values}")
    told = found.attrs
    hold(told["quantity"] in QUANTITIES, f"quantity {told['quantity']}")
    hold("nodata" not in told or (isinstance(told["nodata"], float | int) and np.isfinite(told["nodata"])), f"nodata {told.get('nodata')}")
    for label in ("fwhm", "bad_bands"):
        hold(label not in told or np.asarray(told[label]).shape == (bands,), f"{label} {told.get(label)}")
    hold(all(0 <= one < bands for one in told.get("default_bands", ())), f"default bands {told.get('default_bands')}")


def _as_the_header_says(path: Path, found: xr.DataArray) -> None:
    """Compare the shape with that of an ENVI header, where each length stands in it once and plainly."""
    if path.suffix != ".hdr":
        return
    text = path.read_bytes().decode("utf-8", "replace")
    for key, side in zip(("lines", "samples", "bands"), found.shape, strict=True):
        stated = re.findall(rf"^\s*{key}\s*=(.*)$", text, re.MULTILINE | re.IGNORECASE)
        if len(stated) == 1 and text.count("{") == text.count("}") and re.fullmatch(r"\s*[1-9]\d*\s*", stated[0], re.ASCII):
            hold(int(stated[0]) == side, f"the header says {key} = {stated[0].strip()}, the cube has {side}")


def _written_again(found: xr.DataArray, whole: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.hdr"
        write_cube(copy, found)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the doubts were told of the first one
            again = read_cube(copy)
        kept = whole.astype(again.dtype)  # some types are widened on writing
        hold(_same(np.asarray(again.data), kept), f"written and read again, it is another ({whole.dtype} → {again.dtype})")
        hold(("wavelength" in again.coords) == ("wavelength" in found.coords), "wavelengths came or went in writing")
        if "wavelength" in found.coords:
            hold(bool(np.allclose(again.wavelength, found.wavelength, rtol=1e-6)), f"wavelengths {found.wavelength.values} became {again.wavelength.values}")
        hold(again.attrs["quantity"] == found.attrs["quantity"], f"quantity {found.attrs['quantity']} became {again.attrs['quantity']}")


def _same(one: Any, other: Any) -> bool:
    return bool(np.shape(one) == np.shape(other) and np.array_equal(one, other, equal_nan=np.asarray(one).dtype.kind == "f"))


# -- spectra and labels ------------------------------------------------------------------------------------------------------


def library(path: Path) -> None:
    """Read a spectral library, write it in both formats, and read it again."""
    found = read_library(path)
    hold(found.spectra.ndim == 2 and found.spectra.shape[0] == len(found.names) == len(found), f"spectra {found.spectra.shape}, names {found.names}")
    if found.wavelengths is not None:
        hold(found.wavelengths.shape == found.spectra.shape[1:] and bool((np.diff(found.wavelengths) >= 0).all()), f"wavelengths {found.wavelengths}")
        hold(bool((found.wavelengths > 0).all()), f"wavelengths are not above 0: {found.wavelengths}")
    with tempfile.TemporaryDirectory() as folder:
        write_library(Path(folder) / "copy.sli", found)
        again = read_library(Path(folder) / "copy.sli")
        hold(_same(again.spectra, found.spectra), "spectra written and read again are others")
        hold((again.wavelengths is None) == (found.wavelengths is None), "wavelengths came or went in writing")
        hold(again.quantity == found.quantity, f"quantity {found.quantity} became {again.quantity}")
        hold(len(again.names) == len(found.names), f"names {found.names} became {again.names}")


def labels(path: Path) -> None:
    """Read labels of a cube of a known size."""
    image, names = read_labels(path, LABELLED)
    hold(image.shape == LABELLED and image.dtype == np.int32 and int(image.min()) >= 0, f"labels {image.shape} {image.dtype} from {image.min()}")
    hold(all(isinstance(number, int) and isinstance(name, str) for number, name in names.items()), f"names {names}")
    if path.with_name(f"{path.stem}.confidence.tif").exists():
        all_of(lambda: _map(path), lambda: map_layers(path))


def _map(path: Path) -> None:
    found = load_map(path, layers=True)
    hold(found.labels.ndim == 2 and found.confidence.shape == found.labels.shape, f"labels {found.labels.shape}, confidence {found.confidence.shape}")
    hold(len(found.classes.numbers) == len(found.classes.names) == len(found.classes.colours), f"classes {found.classes}")
    hold(all(layer.shape == found.labels.shape for layer in found.layers.values()), "a layer has another shape")
