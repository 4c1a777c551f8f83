"""Cubes for other programs: ENVI, GeoTIFF and Zarr, written as they are read, so that a cube larger than memory passes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

import numpy as np
import tifffile
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl import files
from napari_hsi_ssl.cubes import envi, places
from napari_hsi_ssl.cubes.cube import row_blocks, wavelengths
from napari_hsi_ssl.cubes.envi import TYPES, braced
from napari_hsi_ssl.cubes.spectral_units import stated_quantity
from napari_hsi_ssl.errors import CubeError
from napari_hsi_ssl.progress import Progress, Steps, run

FORMATS: Final = {".hdr": "ENVI", ".tif": "GeoTIFF", ".tiff": "GeoTIFF", ".zarr": "Zarr"}
"""Endings that a cube is written with."""

_TYPE_NUMBERS: Final = {np.dtype(kind): number for number, kind in TYPES.items()}
_WIDENED: Final = {"bool": "u1", "int8": "i2", "float16": "f4", "float128": "f8", "longdouble": "f8"}
_UNITS: Final = {"radiance": "Radiance", "dn": "Digital number"}
_GDAL_METADATA, _GDAL_NODATA, _ASCII = 42112, 42113, 2
_CLASSIC_BYTES = 2**32 - 2**25
_STRIP_BYTES = 2**20
_BLOCK_BYTES = 64 * 2**20
_CHUNK_SIDE, _CHUNK_BANDS = 128, 16


def write_cube(path: Path, cube: xr.DataArray) -> None:
    """Write a cube in the format that the name's ending says: .hdr (ENVI), .tif (GeoTIFF) or .zarr.

    Raises
    ------
    CubeError
        When the ending is another, or the cube would be written over its own file.
    """
    run(cube_steps(path, cube))


def cube_steps(path: Path, cube: xr.DataArray) -> Steps[None]:
    """Write a cube as `write_cube` does, with progress; ended between two blocks it leaves the old file or none."""
    writers = {"ENVI": envi_steps, "GeoTIFF": geotiff_steps, "Zarr": zarr_steps}
    kind = FORMATS.get(Path(path).suffix.lower())
    if kind is None:
        listed = ", ".join(f"{ending} ({name})" for ending, name in FORMATS.items() if ending != ".tiff")
        raise CubeError(f"{path} ends in '{Path(path).suffix}', but a cube is written as one of {listed}; choose one of these endings.")
    yield from writers[kind](Path(path), cube)


def write_envi_cube(path: Path, cube: xr.DataArray) -> None:
    """Write a cube as ENVI, bil, little-endian: ``path`` is the header (.hdr), the data lie beside it (.dat).

    Rows are written as they are read, so that a cube larger than memory passes. Values are those of the cube: a reflectance
    that was scaled on reading is written as floats with scale factor 1. float16 becomes float32, int8 int16.

    Raises
    ------
    CubeError
        When the name does not end in .hdr, or the data would be written over the cube's own file.
    """
    run(envi_steps(path, cube))


def _progress(rows: slice, cube: xr.DataArray, path: Path) -> Progress:
    return Progress(rows.stop, cube.sizes["y"], f"writing {path.name}")


def _stored_type(path: Path, cube: xr.DataArray) -> np.dtype[Any]:
    kind = np.dtype(_WIDENED.get(cube.dtype.name, cube.dtype)).newbyteorder("=")
    if kind not in _TYPE_NUMBERS:
        raise CubeError(f"{path}: the cube holds {cube.dtype} values, expected a numeric type of at most 8 bytes; convert it first.")
    return kind.newbyteorder("<")


def _not_itself(path: Path, cube: xr.DataArray, *written: Path) -> None:
    for label in ("data_file", "source"):
        own = cube.attrs.get(label)
        if own is None:
            continue
        own = Path(own).resolve()
        if any(own == target.resolve() or target.resolve() in own.parents for target in (path, *written)):
            raise CubeError(f"{path} is the file the cube is read from; choose another name.")
        if own.is_dir() and own in path.resolve().parents:
            raise CubeError(f"{path} lies in the folder the cube is read from; choose another place.")


# -- ENVI ------------------------------------------------------------------------------------------------------------------


def envi_steps(path: Path, cube: xr.DataArray) -> Steps[None]:
    """Write a cube as `write_envi_cube` does, with progress."""
    if path.suffix.lower() != ".hdr":
        raise CubeError(f"{path} does not end in .hdr, expected the name of an ENVI header; choose such a name.")
    data_path = path.with_suffix(".dat")
    _not_itself(path, cube, data_path)
    little = _stored_type(path, cube)
    height, width, bands = cube.shape
    description = envi.plain_text(str(cube.attrs.get("description") or cube.name or path.stem))
    fields: dict[str, object] = {
        "description": braced([description]),
        "samples": width,
        "lines": height,
        "bands": bands,
        "header offset": 0,
        "file type": "ENVI Standard",
        "data type": _TYPE_NUMBERS[little.newbyteorder("=")],
        "interleave": "bil",
        "byte order": 0,
        **_spectral_fields(cube),
    }
    if cube.attrs["quantity"] == "unknown" and stated_quantity(description) != "unknown":
        fields["data units"] = "Unknown"  # whoever reads the description must not know better
    with files.atomic_paths(data_path, path) as (data, header):
        header.write_bytes(envi.header_text(fields))
        with data.open("wb") as stream:
            for rows, block in row_blocks(cube):
                stream.write(np.ascontiguousarray(block.transpose(0, 2, 1), dtype=little).tobytes())
                yield _progress(rows, cube, path)


def _spectral_fields(cube: xr.DataArray) -> dict[str, object]:
    attrs = cube.attrs
    fields: dict[str, object] = {}
    if attrs["quantity"] == "reflectance":
        fields["reflectance scale factor"] = "1.0"
    elif attrs["quantity"] in _UNITS:
        fields["data units"] = _UNITS[attrs["quantity"]]
    if attrs.get("sensor"):
        fields["sensor type"] = envi.plain_text(str(attrs["sensor"]))
    if attrs.get("nodata") is not None:
        fields["data ignore value"] = repr(float(attrs["nodata"]))
    if attrs.get("default_bands"):
        fields["default bands"] = braced([band + 1 for band in attrs["default_bands"]])
    centres = wavelengths(cube)
    if centres is not None:
        fields |= {"wavelength units": "Nanometers", "wavelength": braced(centres.tolist())}
    if attrs.get("fwhm") is not None:
        fields["fwhm"] = braced(np.asarray(attrs["fwhm"], dtype=np.float64).tolist())
    bad = _bad_bands(cube)
    if bad is not None:
        fields["bbl"] = braced([int(not one) for one in bad])
    map_info = attrs.get("map_info") or places.map_info(attrs.get("geotags"))
    for key, value in (("map info", map_info), ("coordinate system string", attrs.get("coordinate_system"))):
        if value:
            fields[key] = braced([envi.plain_text(str(value))])
    return fields


def _bad_bands(cube: xr.DataArray) -> NDArray[np.bool_] | None:
    bad = cube.attrs.get("bad_bands")
    return None if bad is None else np.asarray(bad, dtype=bool)


# -- GeoTIFF ---------------------------------------------------------------------------------------------------------------


def geotiff_steps(path: Path, cube: xr.DataArray) -> Steps[None]:
    """Write a cube as GeoTIFF, one plane a band, with progress.

    Wavelengths, widths and bad bands go into GDAL's metadata as EnMAP products have them, the ignore value into GDAL's tag, the
    place on the earth into the tags it came with. Above 4 GB it is a BigTIFF.
    """
    _not_itself(path, cube)
    little = _stored_type(path, cube)
    height, width, bands = cube.shape
    tags = cube.attrs.get("geotags") or places.geotags(cube.attrs.get("map_info")) or {}
    extra = [(int(code), dtype, count, tuple(value) if isinstance(value, list) else value, True) for code, (dtype, count, value) in tags.items()]
    extra.append((_GDAL_METADATA, _ASCII, None, _gdal_metadata(cube), True))
    if cube.attrs.get("nodata") is not None:
        extra.append((_GDAL_NODATA, _ASCII, None, f"{cube.attrs['nodata']:.17g}", True))
    row_bytes = width * little.itemsize
    with files.atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary,
            shape=(bands, height, width),
            dtype=little,
            byteorder="<",
            bigtiff=bands * height * row_bytes > _CLASSIC_BYTES,
            photometric="minisblack",
            planarconfig="separate" if bands > 1 else None,
            rowsperstrip=max(1, min(height, _STRIP_BYTES // row_bytes)),
            metadata=None,
            extratags=extra,
        )
        with tifffile.TiffFile(temporary) as made:
            begin = int(made.pages.first.dataoffsets[0])
        with temporary.open("rb+") as stream:
            for rows, planes, block in _blocks(cube):
                for index, band in enumerate(range(bands)[planes]):
                    stream.seek(begin + (band * height + rows.start) * row_bytes)
                    stream.write(np.ascontiguousarray(block[:, :, index], dtype=little).tobytes())
                done = rows.stop * len(range(bands)[planes]) + height * planes.start if planes.stop < bands or planes.start else rows.stop * bands
                yield Progress(done, height * bands, f"writing {path.name}")


def _blocks(cube: xr.DataArray) -> Iterator[tuple[slice, slice, NDArray[np.generic]]]:
    """Yield ``(rows, bands, block)`` in the order that suits how the cube lies in its file: whole bands where these lie together."""
    height, width, bands = cube.shape
    data = cube.data
    plane = height * width * cube.dtype.itemsize
    if isinstance(data, np.ndarray) and data.strides[2] == max(data.strides) and plane <= _BLOCK_BYTES:
        step = max(1, _BLOCK_BYTES // plane)
        for start in range(0, bands, step):
            part = slice(start, min(bands, start + step))
            for _, block in row_blocks(cube[:, :, part], budget=16 * _BLOCK_BYTES):
                yield slice(0, height), part, block
        return
    for rows, block in row_blocks(cube):
        yield rows, slice(0, bands), block


def _gdal_metadata(cube: xr.DataArray) -> str:
    """Return GDAL's XML of a cube: one set of items a band."""
    attrs, centres = cube.attrs, wavelengths(cube)
    items = [f'<Item name="quantity">{attrs["quantity"]}</Item>'] if attrs["quantity"] != "unknown" else []
    fwhm, bad = attrs.get("fwhm"), _bad_bands(cube)
    for band in range(cube.sizes["band"]):
        values: dict[str, object] = {}
        if bad is not None:
            values["bbl"] = int(not bad[band])
        if fwhm is not None:
            values["fwhm"] = float(fwhm[band])
        if centres is not None:
            values |= {"wavelength": float(centres[band]), "wavelength_units": "Nanometers"}
        items += [f'<Item name="{label}" sample="{band}">{escape(str(value))}</Item>' for label, value in values.items()]
        roles = {"OFFSET": ("offset", attrs.get("gdal_offset")), "SCALE": ("scale", attrs.get("gdal_scale"))}
        items += [f'<Item name="{label}" sample="{band}" role="{role}">{float(value)}</Item>' for label, (role, value) in roles.items() if value is not None]
        words = f"band {band + 1}" + (f" ({centres[band]:.6g} Nanometers)" if centres is not None else "")
        items.append(f'<Item name="DESCRIPTION" sample="{band}" role="description">{words}</Item>')
    return "<GDALMetadata>\n  " + "\n  ".join(items) + "\n</GDALMetadata>\n"


# -- Zarr ------------------------------------------------------------------------------------------------------------------


def zarr_steps(path: Path, cube: xr.DataArray) -> Steps[None]:
    """Write a cube as a Zarr store of version 2 as xarray reads it, with progress.

    The array is called like its quantity (``cube`` where that is unknown) with the dimensions y, x and band; ``wavelength`` and
    ``fwhm`` (nm) are arrays beside it. Every chunk is written, also one of zeros, so that a store that was cut off is known by its
    missing chunks.
    """
    import zarr

    _not_itself(path, cube)
    little = _stored_type(path, cube)
    height, width, bands = cube.shape
    rows = int(np.clip(_BLOCK_BYTES // (width * bands * little.itemsize), 1, min(height, _CHUNK_SIDE)))
    attrs = cube.attrs
    name = attrs["quantity"] if attrs["quantity"] != "unknown" else "cube"
    vectors = {"wavelength": wavelengths(cube), "fwhm": attrs.get("fwhm")}
    beside = {label: np.asarray(values, dtype=np.float64) for label, values in vectors.items() if values is not None}
    kept = {key: attrs[key] for key in ("quantity", "description", "sensor", "map_info", "coordinate_system", "default_bands", "geotags") if attrs.get(key)}
    bad = _bad_bands(cube)
    if bad is not None:
        kept["bad_bands"] = [int(one) for one in bad]
    nodata = attrs.get("nodata")
    if nodata is not None and little.kind in "iu" and not float(nodata).is_integer():
        nodata = None
    with files.atomic_folder(path) as temporary:
        group = zarr.open_group(temporary, mode="w", zarr_format=2)
        array = group.create_array(
            name,
            shape=cube.shape,
            chunks=(rows, min(width, _CHUNK_SIDE), min(bands, _CHUNK_BANDS)),
            dtype=little,
            fill_value=None if nodata is None else little.type(nodata).item(),
            attributes={"_ARRAY_DIMENSIONS": ["y", "x", "band"], **({"coordinates": " ".join(beside)} if beside else {}), **_json(kept)},
            config={"write_empty_chunks": True},
        )
        for label, values in beside.items():
            vector = group.create_array(label, shape=values.shape, chunks=values.shape, dtype="<f8", fill_value=None, config={"write_empty_chunks": True})
            vector.attrs.update({"_ARRAY_DIMENSIONS": ["band"], "units": "nm"})
            vector[:] = values
        for part, block in row_blocks(cube, budget=rows * 8 * width * bands):
            array[part] = np.ascontiguousarray(block, dtype=little)
            yield _progress(part, cube, path)
        zarr.consolidate_metadata(temporary, zarr_format=2)


def _json(values: dict[str, Any]) -> dict[str, Any]:
    plain = files.plain(values)
    return plain if isinstance(plain, dict) else {}
