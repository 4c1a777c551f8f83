"""Damaged files: whatever byte is wrong, the outcome is a cube or one sentence."""

from __future__ import annotations

import json
import logging
import warnings

import numpy as np
import pytest
import scipy.io
import tifffile
from PIL import Image

from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.cubes.rasters import read_labels
from napari_hsi_ssl.cubes.readers import candidates, read_cube
from napari_hsi_ssl.cubes.writers import write_envi_classification
from napari_hsi_ssl.errors import HsiError
from tests.cubes.envi_files import braces, write

CUBE = np.arange(60, dtype="u2").reshape(3, 4, 5)
LABELS = np.arange(12, dtype="u1").reshape(3, 4)
RING = [[0, 0], [2, 0], [2, 2], [0, 2]]

MAKERS = {
    "cube.hdr": lambda path: write(path.parent, CUBE, name="cube", wavelength=braces([1, 3, 2, 4, 5]), bbl=braces([1] * 5), data_ignore_value=0),
    "cube.mat": lambda path: scipy.io.savemat(path, {"cube": CUBE, "wavelength": np.arange(5) + 400.0}),
    "packed.mat": lambda path: scipy.io.savemat(path, {"Y": np.zeros((5, 6)), "nRow": 2, "nCol": 3}, do_compression=True),
    "cube.npy": lambda path: np.save(path, CUBE),
    "cube.npz": lambda path: np.savez_compressed(path, cube=CUBE, wl=np.arange(5) + 1),
    "cube.tif": lambda path: tifffile.imwrite(path, CUBE, photometric="minisblack", planarconfig="contig", extratags=[(42113, 2, None, "0", True)]),
    "packed.tif": lambda path: tifffile.imwrite(path, CUBE, photometric="minisblack", compression="zlib"),
    "labels.png": lambda path: Image.fromarray(LABELS).save(path),
    "labels.tif": lambda path: tifffile.imwrite(path, LABELS),
    "labels.hdr": lambda path: write_envi_classification(path, LABELS, Classes.of(range(12))),
    "labels.geojson": lambda path: path.write_text(
        json.dumps({"features": [{"properties": {"class": 1}, "geometry": {"type": "Polygon", "coordinates": [RING]}}]})
    ),
}


def damaged(content, random):
    """Change, drop or insert a few bytes near the beginning, where the description of the data is."""
    result = bytearray(content)
    reach = min(len(result), int(random.choice([64, 300, 3000])))
    for _ in range(random.integers(1, 5)):
        place = int(random.integers(reach))
        match random.integers(4):
            case 0 if place < len(result):
                result[place] = random.integers(256)
            case 1:
                del result[place : place + int(random.integers(1, 9))]
            case 2:
                result[place:place] = bytes(random.choice([b"0", b"9", b"-", b"{", b"}", b",", b"\n", b"=", b"\x00", b"nan"]))
            case _:
                del result[place:]
    return bytes(result)


@pytest.mark.parametrize("name", MAKERS)
def test_damage_gives_a_cube_or_one_sentence(tmp_path, name, caplog):
    """Else a damaged file would end in a traceback of another library."""
    path = tmp_path / name
    MAKERS[name](path)
    content = path.read_bytes()
    random = np.random.default_rng(len(name))
    caplog.set_level(logging.CRITICAL, "tifffile")
    sentences = set()
    for _ in range(60):
        path.write_bytes(damaged(content, random))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                if name.startswith("labels"):
                    assert read_labels(path, (3, 4))[0].shape == (3, 4)
                else:
                    candidates(path)
                    np.asarray(read_cube(path).data[0, 0])
            except HsiError as error:
                sentences.add(str(error))
    assert sentences, "no damage was noticed at all"
    assert all("\n" not in sentence and name.split(".")[0] in sentence and sentence.endswith(".") for sentence in sentences)
