"""The contract of a hyperspectral cube: what every other module may rely on.

A cube is an `xarray.DataArray` with dimensions exactly ``("y", "x", "band")``, backed by NumPy, a memory map or dask.
`as_cube` is the one gate: whatever has passed it needs no further check.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr
from numpy.lib.array_utils import byte_bounds
from numpy.typing import ArrayLike, NDArray

from napari_hsi_ssl import limits
from napari_hsi_ssl.errors import CubeError, LabelError

Quantity = Literal["dn", "radiance", "reflectance", "unknown"]
QUANTITIES: tuple[str, ...] = get_args(Quantity)
DIMS = ("y", "x", "band")
_BLOCK_BYTES = 64 * 2**20
_BANDS_AT_ONCE = 16
_AHEAD_BYTES = 2**20
_AHEAD_THREADS = 8

# Ten colours that stay apart for colour-blind readers (Okabe and Ito 2008, then Tol's muted set); classes beyond reuse them darker.
_PALETTE = (
    "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#882255", "#999933", "#aa4499",
)  # fmt: skip


def as_cube(
    data: ArrayLike | xr.DataArray,
    wavelength: Sequence[float] | NDArray[np.floating] | None = None,
    quantity: Quantity | None = None,
    name: str | None = None,
    **attrs: Any,  # noqa: ANN401 - attributes are whatever a file says
) -> xr.DataArray:
    """Return a checked cube, or say in one sentence why the data are none.

    Parameters
    ----------
    data : array (y, x, band) or DataArray
        Any real numeric type. A DataArray may have its dimensions in any order.
    wavelength : sequence of float, optional
        Band centres in nm, one a band.
    quantity : {"dn", "radiance", "reflectance", "unknown"}, optional
    name : str, optional
    **attrs
        Provenance: ``source``, ``nodata``, ``bad_bands`` (bool, band), ``fwhm`` (nm, band), ``default_bands``, …

    Returns
    -------
    DataArray (y, x, band)
        With the non-index coordinate ``wavelength`` (nm, float64) where known and ``quantity`` among its attributes.

    Raises
    ------
    CubeError
        When the data are not three-dimensional, not real numbers or empty, or the wavelengths do not fit.
    """
    label = name or getattr(data, "name", None) or "the array"
    if isinstance(data, xr.DataArray):
        if set(data.dims) != set(DIMS):
            raise CubeError(f"{label} has dimensions {tuple(data.dims)}, expected y, x and band; rename them first.")
        cube = data.transpose(*DIMS)
        if wavelength is None and "wavelength" in cube.coords:
            wavelength = np.asarray(cube.coords["wavelength"].values)
        attrs = {**cube.attrs, **attrs}
        array: Any = cube.data
    else:
        array = data if hasattr(data, "ndim") and hasattr(data, "dtype") else np.asarray(data)
    if array.ndim != 3:
        raise CubeError(f"{label} has {array.ndim} dimensions (shape {tuple(array.shape)}), expected 3 (y, x, band); choose another array.")
    if not (np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.floating)):
        raise CubeError(f"{label} holds {array.dtype} values, expected real numbers; convert it first.")
    if 0 in array.shape:
        raise CubeError(f"{label} is empty (shape {tuple(array.shape)}), expected at least one pixel and one band; check the file.")
    limits.require_frame(label, array.shape)
    quantity = quantity or attrs.pop("quantity", None) or "unknown"
    if quantity not in QUANTITIES:
        raise CubeError(f"{label}: quantity is '{quantity}', expected one of {', '.join(QUANTITIES)}; correct it.")
    attrs["quantity"] = quantity
    coords: dict[str, Any] = {}
    if wavelength is not None:
        values = np.asarray(wavelength, dtype=np.float64)
        if values.shape != (array.shape[2],):
            raise CubeError(f"{label} has {array.shape[2]} bands but {values.size} wavelengths, expected one a band; correct the header.")
        if not np.isfinite(values).all():
            raise CubeError(f"{label} has wavelengths that are not numbers, expected nm for every band; correct or remove them.")
        coords["wavelength"] = ("band", values, {"units": "nm"})
    if isinstance(data, xr.DataArray) and "source_band" in data.coords:
        coords["source_band"] = ("band", np.asarray(data.coords["source_band"].values))
    return xr.DataArray(array, dims=DIMS, coords=coords, name=name or getattr(data, "name", None), attrs=attrs)


def wavelengths(cube: xr.DataArray) -> NDArray[np.float64] | None:
    """Return the band centres (band,) in nm, or None when the cube has none."""
    if "wavelength" not in cube.coords:
        return None
    return np.asarray(cube.coords["wavelength"].values, dtype=np.float64)


def nearest_band(cube: xr.DataArray, wavelength: float) -> int:
    """Return the index of the band whose centre is nearest to ``wavelength`` (nm).

    Raises
    ------
    CubeError
        When the cube has no wavelengths.
    """
    centres = wavelengths(cube)
    if centres is None:
        raise CubeError(f"{cube.name} has no wavelengths, so no band is nearest to {wavelength} nm; give a band index instead.")
    return int(np.abs(centres - wavelength).argmin())


def band_image(cube: xr.DataArray, band: int) -> NDArray[np.float32]:
    """Return one band (y, x) as float32 in memory."""
    return np.asarray(cube.data[:, :, band], dtype=np.float32)


def spectrum(cube: xr.DataArray, y: int, x: int) -> NDArray[np.float32]:
    """Return the spectrum (band,) of one pixel as float32."""
    return np.asarray(cube.data[y, x], dtype=np.float32)


def row_blocks(cube: xr.DataArray, budget: int = _BLOCK_BYTES) -> Iterator[tuple[slice, NDArray[np.generic]]]:
    """Yield ``(rows, block)`` from top to bottom, each block (rows, x, band) in memory and at most ``budget`` bytes as float64."""
    height, width, bands = cube.shape
    rows = max(1, min(height, budget // (8 * width * bands)))
    for start in range(0, height, rows):
        part = slice(start, min(height, start + rows))
        yield part, _in_memory(cube.data[part])


def _in_memory(block: Any) -> NDArray[np.generic]:  # noqa: ANN401 - NumPy, a memory map or dask
    """Return a block (y, x, band) whose values no longer depend on a mapped file."""
    if getattr(block, "_mmap", None) is None:
        return np.asarray(block)
    copy: NDArray[np.generic] = np.empty_like(block, subok=False)
    bands = block.shape[2]
    # Where every band lies elsewhere in the file, each one costs up to 2 MiB of mapped pages, however few rows are read.
    step = _BANDS_AT_ONCE if block.strides[2] == max(block.strides) else bands
    for start in range(0, bands, step):
        copy[:, :, start : start + step] = block[:, :, start : start + step]
        let_go(block)
    return copy


def let_go(array: Any) -> None:  # noqa: ANN401 - NumPy, a memory map or dask
    """Hand back the pages of a mapped file that were read, so that streaming through it does not add up to the whole file in memory.

    They stay in the system's cache, and whoever looks at them again gets them from there. Windows has no such call, and needs none:
    it trims mapped pages itself.
    """
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and hasattr(mapped, "madvise"):
        mapped.madvise(mmap.MADV_DONTNEED)


def read_ahead(array: Any, rows: Sequence[int], bands: slice) -> None:  # noqa: ANN401 - NumPy, a memory map or dask
    """Bring some rows (and a range of their bands) of a mapped file (y, x, band) into the system's cache, many at a time.

    Page after page through a memory map, a cold disk answers ten to twenty times slower. Other arrays are left alone.
    """
    if getattr(array, "_mmap", None) is None or getattr(array, "filename", None) is None:
        return
    root = array
    while isinstance(root.base, np.memmap):
        root = root.base
    start = root.__array_interface__["data"][0]
    ends = [byte_bounds(array[row : row + 1, :, bands]) for row in rows]

    def read(low: int, high: int) -> None:
        with open(array.filename, "rb", buffering=0) as file:
            file.seek(root.offset + low - start)
            left = high - low
            while left > 0 and (part := file.read(min(left, _AHEAD_BYTES))):
                left -= len(part)

    with ThreadPoolExecutor(_AHEAD_THREADS) as pool:
        list(pool.map(read, *zip(*ends, strict=True)))


def valid_pixels(block: NDArray[np.generic], nodata: float | None = None) -> NDArray[np.bool_]:
    """Return which pixels of a block (…, band) are measured: every band finite, and not every band the ignore value."""
    valid = np.isfinite(block).all(axis=-1) if np.issubdtype(block.dtype, np.floating) else np.ones(block.shape[:-1], dtype=bool)
    if nodata is not None:
        valid &= (block != nodata).any(axis=-1)
    return valid


def palette(count: int) -> tuple[str, ...]:
    """Return ``count`` class colours as ``#rrggbb``, apart for colour-blind readers as far as that goes."""
    colours = []
    for index in range(count):
        base = _PALETTE[index % len(_PALETTE)]
        shade = 1.0 / (1 + 0.45 * (index // len(_PALETTE)))
        channels = (int(int(base[start : start + 2], 16) * shade) for start in (1, 3, 5))
        colours.append("#" + "".join(f"{channel:02x}" for channel in channels))
    return tuple(colours)


@dataclass(frozen=True)
class Classes:
    """The classes of a label image: the file's own numbers, with names and colours.

    Attributes
    ----------
    numbers : tuple of int
        Class numbers as they stand in label files, ascending, without 0.
    names, colours : tuple of str
        One a class, in the same order; colours as ``#rrggbb``.
    """

    numbers: tuple[int, ...]
    names: tuple[str, ...]
    colours: tuple[str, ...]

    @classmethod
    def of(cls, numbers: Sequence[int], names: dict[int, str] | None = None, colours: dict[int, str] | None = None) -> Classes:
        """Name and colour the given class numbers; unnamed ones are called ``class N``, uncoloured ones get colours that are not taken."""
        ordered = tuple(sorted({int(number) for number in numbers} - {0}))
        known, chosen = names or {}, {number: colour for number, colour in (colours or {}).items() if number in ordered}
        free = (colour for colour in palette(2 * len(ordered)) if colour not in chosen.values())
        dyed = tuple(chosen[number] if number in chosen else next(free, "#808080") for number in ordered)
        return cls(ordered, tuple(known.get(number, f"class {number}") for number in ordered), dyed)

    @property
    def named(self) -> dict[int, str]:
        """Names by number."""
        return dict(zip(self.numbers, self.names, strict=True))

    @property
    def coloured(self) -> dict[int, str]:
        """Colours by number."""
        return dict(zip(self.numbers, self.colours, strict=True))

    def chosen(self, numbers: Sequence[int]) -> Classes:
        """Return the classes of some numbers as they are named and coloured here; others are named and coloured anew."""
        return Classes.of(numbers, self.named, self.coloured)

    def to_json(self) -> dict[str, Any]:
        """Return the classes as JSON-able values."""
        return {"numbers": list(self.numbers), "names": list(self.names), "colours": list(self.colours)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Classes:
        """Read what `to_json` wrote.

        Raises
        ------
        LabelError
            When it is something else.
        """
        try:
            found = cls(tuple(int(n) for n in value["numbers"]), *(tuple(map(str, [*value[key]])) for key in ("names", "colours")))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise LabelError(f"the classes lack their numbers, names or colours ({type(error).__name__}: {error}); make or name them again.") from error
        if not len(found.numbers) == len(found.names) == len(found.colours):
            counts = f"{len(found.numbers)} numbers, {len(found.names)} names and {len(found.colours)} colours"
            raise LabelError(f"the classes have {counts}, expected as many of each; make or name them again.")
        return found


@dataclass(frozen=True)
class ClassMap:
    """A classification of every pixel of a cube, with what is needed to trust or remake it.

    Attributes
    ----------
    labels : int array (y, x)
        Class numbers as in the label files; 0 = not classified.
    classes : Classes
        Numbers, names and colours.
    confidence : float32 array (y, x)
        In [0, 1]; 0 where not classified.
    provenance : dict
        Run, configuration hash, cube hash, and the command that remakes the map.
    layers : dict of str to float32 array (y, x)
        What else is known of every pixel, in [0, 1], by its name: "entropy", "disagreement", "typicality".
    """

    labels: NDArray[np.integer]
    classes: Classes
    confidence: NDArray[np.float32]
    provenance: dict[str, Any] = field(default_factory=dict)
    layers: dict[str, NDArray[np.float32]] = field(default_factory=dict)
