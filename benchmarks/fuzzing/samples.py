"""Small valid files of every format, drawn at random: what fuzzing starts from. Each maker writes into a folder and returns the entry's name."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
import tifffile
import xarray as xr
from numpy.typing import NDArray
from PIL import Image
from scipy.io import netcdf_file

from napari_hsi_ssl.cubes.cube import Classes, ClassMap
from napari_hsi_ssl.cubes.envi import TYPES
from napari_hsi_ssl.cubes.writers import save_map, write_envi_classification

SHAPE = (4, 5)
"""Lengths of y and x of labels and of the cubes of a project."""


def _one(random: np.random.Generator, *choices: Any) -> Any:
    return choices[int(random.integers(len(choices)))]


def _cube(random: np.random.Generator, kinds: str = "u1 i2 u2 i4 f4 f8") -> NDArray[Any]:
    shape = tuple(int(side) for side in random.integers(1, 7, 3))
    kind = np.dtype(_one(random, *kinds.split()))
    values = random.integers(0, 200, shape).astype(kind)
    if kind.kind == "f" and random.random() < 0.3:
        values.flat[0] = _one(random, np.nan, np.inf, -9999, 1e30)
    return values


def _centres(random: np.random.Generator, bands: int) -> NDArray[np.float64]:
    centres = np.sort(np.round(random.uniform(400, 2500, bands), 2))
    return random.permutation(centres) if random.random() < 0.3 else centres


def _braced(values: Any, random: np.random.Generator) -> str:
    return "{" + _one(random, ", ", ",", " ,\n ", ",\n;comment\n").join(map(str, values)) + _one(random, "}", " }", "\n}", "} ; end")


def envi(folder: Path, random: np.random.Generator) -> str:
    """Write an ENVI header beside its data."""
    cube = _cube(random)
    number = _one(random, *TYPES)
    interleave = _one(random, "bsq", "bil", "bip")
    axes = {"bsq": (2, 0, 1), "bil": (0, 2, 1), "bip": (0, 1, 2)}[interleave]
    big, offset = int(random.integers(2)), int(_one(random, 0, 0, 1, 16))
    with np.errstate(invalid="ignore", over="ignore"):
        stored = cube.transpose(axes).astype((">" if big else "<") + TYPES[number])
    (folder / _one(random, "cube", "cube.img", "cube.raw", "cube.dat")).write_bytes(bytes(offset) + stored.tobytes())
    height, width, bands = cube.shape
    fields: dict[str, Any] = {"description": _braced(["some reflectance"], random), "samples": width, "lines": height, "bands": bands}
    fields |= {"header offset": offset, "file type": "ENVI Standard", "data type": number, "interleave": interleave, "byte order": big}
    micro = random.random() < 0.5
    centres = _centres(random, bands) / (1000 if micro else 1)
    extra: dict[str, Any] = {
        "wavelength": _braced(centres, random),
        "wavelength units": "Micrometers" if micro else _one(random, "Nanometers", "Unknown", "Wavenumber", "nm"),
        "fwhm": _braced([0.01] * bands, random),
        "bbl": _braced(random.integers(0, 2, bands), random),
        "band names": _braced([f"Band {index} ({value:g})" for index, value in enumerate(centres)], random),
        "default bands": _braced([1, 1, bands], random),
        "data ignore value": _one(random, 0, -9999, "nan", 65535),
        "reflectance scale factor": _one(random, 1, 10000, 0.5),
        "map info": "{UTM, 1.0, 1.0, 500000.0, 4000000.0, 30.0, 30.0, 13, North, WGS-84}",
        "sensor type": "Unknown",
        "exposure": "12.5 ms",
    }
    fields |= {key: value for key, value in extra.items() if random.random() < 0.6}
    lines = [f"{key.title() if random.random() < 0.1 else key} = {value}" for key, value in fields.items()]
    end = _one(random, "\n", "\n", "\r\n")
    (folder / "cube.hdr").write_bytes(end.join(["ENVI", *lines, ""]).encode())
    return "cube.hdr"


def tiff(folder: Path, random: np.random.Generator) -> str:
    """Write a TIFF as tifffile, ImageJ or GDAL write it."""
    cube = _cube(random, "u1 i2 u2 i4 f4 f8")
    cube = np.tile(cube, (_one(random, 1, 1, 5), _one(random, 1, 1, 5), 2))  # tifffile knows no samples of a pixel where there is but one
    options: dict[str, Any] = {
        "compression": _one(random, None, None, "zlib", "lzw", "zstd"),
        "byteorder": _one(random, "<", ">"),
        "bigtiff": random.random() < 0.2,
    }
    if options["compression"] and cube.dtype.kind in "iu" and random.random() < 0.3:
        options["predictor"] = 2
    if random.random() < 0.3:
        options["tile"] = (16, 16)
    array, extra = _one(
        random,
        (cube, {"photometric": "minisblack", "planarconfig": "contig"}),
        (cube.transpose(2, 0, 1), {"photometric": "minisblack", "planarconfig": "separate"}),
        (cube.transpose(2, 0, 1), {"metadata": {"axes": "CYX"}}),
        (cube.transpose(2, 0, 1), {"metadata": None}),
        (cube, {"photometric": "minisblack", "metadata": {"wavelength": [400.0 + band for band in range(cube.shape[2])]}}),
    )
    items = "".join(f'<Item name="wavelength" sample="{band}">{400 + 10 * band}</Item>' for band in range(cube.shape[2]))
    tags = [
        (42112, 2, None, f"<GDALMetadata>{items}<Item name='wavelength_units'>nm</Item></GDALMetadata>", True),
        (42113, 2, None, _one(random, "0", "-9999", "nan"), True),
        (33550, 12, 3, (30.0, 30.0, 0.0), True),
        (33922, 12, 6, (0.0, 0.0, 0.0, 5e5, 4e6, 0.0), True),
    ]
    kept = [tag for tag in tags if random.random() < 0.5]
    tifffile.imwrite(folder / "cube.tif", array, **options, **extra, extratags=kept)
    return "cube.tif"


def mat5(folder: Path, random: np.random.Generator) -> str:
    """Write a MATLAB file of version 5."""
    cube = _cube(random)
    content: dict[str, Any] = {_one(random, "cube", "X", "paviaU"): cube, "text": "a word", "cells": [[1, "a"]], "mask": cube > 1}
    if random.random() < 0.5:
        content["wavelength"] = _centres(random, cube.shape[2])
    if random.random() < 0.3:
        content = {"Y": cube.reshape(-1, cube.shape[2]), "nRow": cube.shape[0], "nCol": cube.shape[1]}
    if random.random() < 0.2:
        content["second"] = cube[..., :1]
    scipy.io.savemat(folder / "cube.mat", content, do_compression=random.random() < 0.5)
    return "cube.mat"


def mat73(folder: Path, random: np.random.Generator) -> str:
    """Write a MATLAB file of version 7.3, which is HDF5 behind a block of 512 bytes."""
    cube = _cube(random)
    with h5py.File(folder / "cube.mat", "w", userblock_size=512) as file:
        for name, values in {"cube": cube, "wavelength": _centres(random, cube.shape[2])[None, :]}.items():
            data = file.create_dataset(name, data=values.T, compression=_one(random, None, None, "gzip"))
            data.attrs["MATLAB_class"] = np.bytes_({"f8": "double", "f4": "single"}.get(values.dtype.str[1:], values.dtype.name))
    with (folder / "cube.mat").open("rb+") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    return "cube.mat"


def numpy_file(folder: Path, random: np.random.Generator) -> str:
    """Write an array in .npy, or several in .npz."""
    cube = _cube(random, "u1 >u2 i4 f2 f4 f8 >f4")
    if random.random() < 0.5:
        np.save(folder / "cube.npy", np.asfortranarray(cube) if random.random() < 0.3 else cube)
        return "cube.npy"
    save = _one(random, np.savez, np.savez_compressed)
    save(folder / "cube.npz", cube=cube, wavelength=_centres(random, cube.shape[2]), note=np.array("word"))
    return "cube.npz"


def hdf5(folder: Path, random: np.random.Generator) -> str:
    """Write an HDF5 file with named axes, attributes and vectors beside its cube."""
    cube = _cube(random, "u1 >u2 i2 f4 f8 f2")
    with h5py.File(folder / "cube.h5", "w") as file:
        group = file.create_group("scene/data") if random.random() < 0.3 else file
        options = {"compression": _one(random, None, "gzip"), "chunks": _one(random, None, True), "shuffle": random.random() < 0.3}
        data = group.create_dataset("cube", data=cube, **(options if random.random() < 0.6 else {}))
        names = _one(random, ("y", "x", "wavelength"), ("lines", "samples", "bands"), ("", "", ""))
        for axis, name in enumerate(names):
            data.dims[axis].label = name
        centres = group.create_dataset("wavelength", data=_centres(random, cube.shape[2]))
        centres.attrs["units"] = _one(random, "nm", "um", "eV", "", 5)
        _attributes(data.attrs, cube.shape[2], random)
    return "cube.h5"


def _attributes(attrs: Any, bands: int, random: np.random.Generator) -> None:
    told = {
        "scale_factor": _one(random, 0.5, 2, np.nan, 0, "x", [1, 2]),
        "add_offset": _one(random, 0, 1.5, np.inf, "x"),
        "_FillValue": _one(random, 0, -1, np.nan, 255, "x", 1e40),
        "units": _one(random, "reflectance", 1, ["a", "b"]),
        "long_name": _one(random, "surface reflectance", b"\xff", 3),
        "description": _one(random, "", "a\nb", np.zeros(0)),
        "fwhm": _one(random, [10.0] * bands, "x", 3, [np.nan] * bands),
        "bad_bands": _one(random, [1] * bands, "x", [2]),
        "wavelengths": _one(random, [500.0 + band for band in range(bands)], "x"),
        "wavelength_units": "nm",
    }
    for label, value in told.items():
        if random.random() < 0.25:
            attrs[label] = value


def hspy(folder: Path, random: np.random.Generator) -> str:
    """Write a signal as HyperSpy keeps it."""
    cube = _cube(random)
    with h5py.File(folder / "cube.hspy", "w") as file:
        group = file.create_group("Experiments/scan")
        group.create_dataset("data", data=cube, chunks=_one(random, None, True))
        for number, side in enumerate(cube.shape):
            axis = group.create_group(f"axis-{number}")
            told = {"name": "xyz"[number], "size": side, "scale": 1.0, "offset": 0.0, "units": "px", "navigate": number < 2}
            if number == 2:
                told |= {"name": _one(random, "Wavelength", "Energy", "Raman shift"), "units": _one(random, "nm", "eV", "µm", "1/cm"), "offset": 500.0}
                if random.random() < 0.3:
                    axis.create_dataset("axis", data=_centres(random, side))
            for label, value in told.items():
                if random.random() < 0.95:
                    axis.attrs[label] = value
    return "cube.hspy"


def netcdf3(folder: Path, random: np.random.Generator) -> str:
    """Write a NetCDF file of version 3, with or without records."""
    cube = _cube(random, "i2 i4 f4 f8")
    with netcdf_file(folder / "cube.nc", "w", version=_one(random, 1, 2)) as file:
        names = _one(random, ("y", "x", "band"), ("rows", "cols", "wavelength"))
        for name, side in zip(names, cube.shape, strict=True):
            file.createDimension(name, None if name == "y" and random.random() < 0.4 else side)
        variable = file.createVariable("reflectance", cube.dtype, names)
        variable[:] = cube
        for label, value in {"scale_factor": 0.5, "add_offset": 1.0, "_FillValue": -1, "units": "1", "long_name": "radiance"}.items():
            if random.random() < 0.3:
                setattr(variable, label, value)
        centres = file.createVariable("wavelength", "f8", names[2:])
        centres[:] = _centres(random, cube.shape[2])
        centres.units = "nm"
    return "cube.nc"


def netcdf4(folder: Path, random: np.random.Generator) -> str:
    """Write a NetCDF file of version 4 as xarray writes it."""
    cube = _cube(random, "i2 i4 f4 f8")
    found = xr.Dataset(
        {"radiance": (("y", "x", "wavelength"), cube, {"long_name": "radiance"})},
        {"wavelength": ("wavelength", _centres(random, cube.shape[2]), {"units": "nm"})},
    )
    options = {"zlib": True, "scale_factor": 0.5, "_FillValue": -1} if cube.dtype.kind == "f" and random.random() < 0.3 else {}
    found.to_netcdf(folder / "cube.nc", engine="h5netcdf", encoding={"radiance": options})
    return "cube.nc"


def zarr_store(folder: Path, random: np.random.Generator) -> str:
    """Write a Zarr store of version 2 or 3."""
    import zarr

    cube = _cube(random)
    version = _one(random, 2, 3)
    group = zarr.open_group(folder / "cube.zarr", mode="w", zarr_format=version)
    names = ["y", "x", "wavelength"]
    options: dict[str, Any] = {"dimension_names": names} if version == 3 else {"attributes": {"_ARRAY_DIMENSIONS": names}}
    packers = {
        2: (None, __import__("numcodecs").Zlib(), __import__("numcodecs").Blosc()),
        3: (None, zarr.codecs.GzipCodec(), zarr.codecs.BloscCodec(), zarr.codecs.ZstdCodec()),
    }
    chunks = tuple(int(random.integers(1, side + 1)) for side in cube.shape)
    array = group.create_array("reflectance", shape=cube.shape, dtype=cube.dtype, chunks=chunks, compressors=_one(random, *packers[version]), **options)
    array[:] = cube
    centres = group.create_array("wavelength", data=_centres(random, cube.shape[2]))
    centres.attrs["units"] = "nm"
    for label, value in {
        "_FillValue": 0,
        "scale_factor": 0.1,
        "quantity": "radiance",
        "default_bands": [0],
        "geotags": {"33550": [12, 3, [1.0, 1.0, 0.0]]},
    }.items():
        if random.random() < 0.3:
            array.attrs[label] = value
    if random.random() < 0.3:
        zarr.consolidate_metadata(folder / "cube.zarr")
    return "cube.zarr"


def band_folder(folder: Path, random: np.random.Generator) -> str:
    """Write a folder of images that are a band each."""
    cube = _cube(random, "u1 u2")
    inner = folder / "scene"
    inner.mkdir()
    ending = _one(random, "png", "tif", "bmp" if cube.dtype == np.uint8 else "png")
    bands = max(2, cube.shape[2])
    for band in range(bands):
        image = np.ascontiguousarray(cube[:, :, band % cube.shape[2]])
        name = inner / f"band_{400 + 10 * band}{_one(random, 'nm', 'nm', '')}.{ending}"
        if ending == "tif":
            tifffile.imwrite(name, image, compression=_one(random, None, "zlib"))
        else:
            Image.fromarray(image).save(name)
    if random.random() < 0.5:
        rows = [f"{400 + 10 * band}" for band in range(bands)]
        (inner / _one(random, "wavelengths.txt", "wavelengths.csv")).write_text(
            "\n".join(_one(random, rows, ["wavelength_nm", *rows], ["band,nm", *(f"{i},{r}" for i, r in enumerate(rows))]))
        )
    return "scene"


def envi_library(folder: Path, random: np.random.Generator) -> str:
    """Write an ENVI spectral library."""
    count, bands = int(random.integers(1, 5)), int(random.integers(1, 8))
    (folder / "lib.sli").write_bytes(random.random((count, bands)).astype("<f4").tobytes())
    fields = {
        "samples": bands,
        "lines": count,
        "bands": 1,
        "header offset": 0,
        "file type": "ENVI Spectral Library",
        "data type": 4,
        "interleave": "bsq",
        "byte order": 0,
    }
    extra = {
        "spectra names": _braced([f"s {n}" for n in range(count)], random),
        "wavelength": _braced(_centres(random, bands), random),
        "wavelength units": "Nanometers",
    }
    extra |= {"reflectance scale factor": 100, "z plot titles": "{Wavelength, Reflectance [*10000]}"}
    fields |= {key: value for key, value in extra.items() if random.random() < 0.7}
    (folder / "lib.hdr").write_text("ENVI\n" + "".join(f"{key} = {value}\n" for key, value in fields.items()))
    return "lib.sli"


def csv_library(folder: Path, random: np.random.Generator) -> str:
    """Write spectra in a table."""
    separator = _one(random, ",", ";", "\t")
    count, bands = int(random.integers(1, 5)), int(random.integers(1, 8))
    rows = [[_one(random, "wavelength_nm", "wavelength (um)", "band"), *(f"soil {n}" for n in range(count))]]
    rows += [[f"{400 + 10 * band}", *(f"{value:.4g}" for value in random.random(count))] for band in range(bands)]
    (folder / "lib.csv").write_text("\n".join(separator.join(row) for row in rows) + "\n")
    return "lib.csv"


def plain_numbers(folder: Path, random: np.random.Generator) -> str:
    """Write numbers without a header, which are read with the shape given."""
    (folder / "cube.bin").write_bytes(random.integers(0, 255, 60 * int(_one(random, 1, 2, 4, 8)), dtype=np.uint8).tobytes())
    return "cube.bin"


def labels(folder: Path, random: np.random.Generator) -> str:
    """Write class numbers of a cube's pixels, in any kind of file."""
    image = random.integers(0, 4, SHAPE).astype(_one(random, "u1", "u2", "i4", "f4"))
    kind = _one(random, "tif", "npy", "npz", "mat", "png", "hdr", "map")
    if kind == "tif":
        tifffile.imwrite(
            folder / "labels.tif", image, compression=_one(random, None, "zlib"), extratags=[(42113, 2, None, _one(random, "0", "nan", "3"), True)]
        )
    elif kind == "npy":
        np.save(folder / "labels.npy", image)
    elif kind == "npz":
        np.savez(folder / "labels.npz", labels=image)
    elif kind == "mat":
        scipy.io.savemat(folder / "labels.mat", {"gt": image}, do_compression=random.random() < 0.5)
    elif kind == "png":
        Image.fromarray(image.astype(np.uint8)).save(folder / "labels.png")
    elif kind == "hdr":
        write_envi_classification(folder / "labels.hdr", image.astype(np.uint8), Classes.of(range(4)))
    else:
        classes = Classes.of([1, 2, 3], {1: "grass"})
        save_map(
            folder / "labels.tif", ClassMap(image.astype(np.int32), classes, np.ones(SHAPE, np.float32), {"run": "a"}, {"entropy": np.zeros(SHAPE, np.float32)})
        )
        return "labels.tif"
    if random.random() < 0.3:
        (folder / "classes.json").write_text(json.dumps(Classes.of([1, 2, 3]).to_json()))
    return f"labels.{kind}"


def polygons(folder: Path, random: np.random.Generator) -> str:
    """Write GeoJSON polygons in pixels."""
    ring = [[0, 0], [3, 0], [3, 2.5], [0, 2.5], [0, 0]]
    hole = [[1, 1], [2, 1], [2, 2]]
    features = [
        {"type": "Feature", "properties": {"class": 2, "name": "soil"}, "geometry": {"type": "Polygon", "coordinates": [ring, hole]}},
        {"type": "Feature", "properties": {"classification": {"name": "leaf"}}, "geometry": {"type": "MultiPolygon", "coordinates": [[ring], [ring]]}},
        {"type": "Feature", "properties": {"label": "3"}, "geometry": {"type": "Polygon", "coordinates": [ring]}},
    ]
    chosen = features[: int(random.integers(1, 4))]
    (folder / "labels.geojson").write_text(json.dumps(_one(random, {"type": "FeatureCollection", "features": chosen}, chosen, chosen[0])))
    return "labels.geojson"


def roi(folder: Path, random: np.random.Generator) -> str:
    """Write the text that ENVI exports of regions of interest."""
    points = [[(1, 1), (2, 1)], [(5, 4), (3, 3), (1, 2)]][: int(random.integers(1, 3))]
    lines = ["; ENVI Output of ROIs", f"; Number of ROIs: {len(points)}", "; File Dimension: 5 x 4", ";"]
    for number, some in enumerate(points, start=1):
        lines += [f"; ROI name: region {number}", "; ROI rgb value: {255, 0, 0}", f"; ROI npts: {len(some)}"]
    lines += ["; ID X Y B1"]
    lines += [f"{number} {x} {y} 0.5" for number, some in enumerate(points, start=1) for x, y in some]
    (folder / "labels.roi").write_text("\n".join(lines) + "\n")
    return "labels.roi"


def big_endian_mat5(folder: Path, random: np.random.Generator) -> str:
    """Write a MATLAB file of version 5 by a machine of the other byte order, which SciPy cannot write."""
    cube = _cube(random, ">f8 >u2")
    name = b"cube"
    kind, mx = (9, 6) if cube.dtype.kind == "f" else (4, 11)
    body = cube.tobytes(order="F")
    parts = struct.pack(">4I", 6, 8, mx, 0) + struct.pack(">2I3i4x", 5, 12, *cube.shape)
    parts += struct.pack(">2I", 1, len(name)) + name.ljust(8, b"\0") + struct.pack(">2I", kind, len(body)) + body + bytes(-len(body) % 8)
    (folder / "cube.mat").write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI" + struct.pack(">2I", 14, len(parts)) + parts)
    return "cube.mat"
