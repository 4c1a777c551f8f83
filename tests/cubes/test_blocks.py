"""Streaming through a cube: every row once, in memory that does not grow with the file."""

from __future__ import annotations

import io

import numpy as np
import psutil
import pytest

from napari_hsi_ssl.cubes import cube as cube_module
from napari_hsi_ssl.cubes.cube import as_cube, row_blocks
from napari_hsi_ssl.cubes.readers import read_cube
from tests.cubes.envi_files import braces, write


@pytest.mark.parametrize("interleave", ["bsq", "bil", "bip"])
@pytest.mark.parametrize("factor", [None, 2])
def test_blocks_are_the_cube_row_by_row(tmp_path, interleave, factor):
    """Else streamed statistics would miss or repeat rows, or see the bands in another order."""
    values = np.random.default_rng(0).integers(0, 999, (7, 5, 40))
    cube = read_cube(write(tmp_path, values, interleave=interleave, reflectance_scale_factor=factor, wavelength=braces(range(400, 440))))
    parts = list(row_blocks(cube, budget=3 * 5 * 40 * 8))
    assert [part.stop - part.start for part, _ in parts] == [3, 3, 1]
    assert np.array_equal(np.concatenate([block for _, block in parts]), values / (factor or 1))
    assert np.array_equal(np.concatenate([block for _, block in row_blocks(as_cube(values), budget=1)]), values)


@pytest.mark.parametrize("interleave", ["bsq", "bil", "bip"])
def test_streaming_does_not_hold_the_file(tmp_path, interleave):
    """Else a pass over a cube would fill the memory with its mapped pages: 600 MB here."""
    header = write(tmp_path, np.zeros((2, 3, 4)), interleave=interleave)
    text = header.read_text().replace("samples = 3", "samples = 1000").replace("lines = 2", "lines = 1200").replace("bands = 4", "bands = 250")
    header.write_text(text)
    with (tmp_path / "image.dat").open("r+b") as stream:
        stream.truncate(1200 * 1000 * 250 * 2)
    process = psutil.Process()
    before = process.memory_info().rss
    most = 0
    for _, block in row_blocks(read_cube(header)):
        assert not block[0, 0].any()
        most = max(most, process.memory_info().rss - before)
    assert most < 200e6


@pytest.mark.parametrize("layout", ["bil", "bip"])
def test_rows_are_read_ahead_where_they_lie_in_the_file(tmp_path, monkeypatch, layout):
    height, width, bands, skip = 7, 5, 6, 64
    file_shape = (height, bands, width) if layout == "bil" else (height, width, bands)
    path = tmp_path / "cube.raw"
    path.write_bytes(bytes(skip) + np.arange(height * width * bands, dtype="<u2").tobytes())
    mapped = np.memmap(path, dtype="<u2", mode="r", offset=skip, shape=file_shape)
    array = mapped.transpose((0, 2, 1)) if layout == "bil" else mapped
    seen = []

    class Recorder(io.FileIO):
        def seek(self, place, *more):
            seen.append([place, 0])
            return super().seek(place, *more)

        def read(self, size=-1):
            part = super().read(size)
            seen[-1][1] += len(part)
            return part

    monkeypatch.setattr(cube_module, "_AHEAD_THREADS", 1)
    monkeypatch.setattr(cube_module, "open", lambda name, *_, **__: Recorder(name), raising=False)
    near = slice(2, 5) if layout == "bil" else slice(None)
    cube_module.read_ahead(array, [1, 4], near)
    row = 2 * width * bands
    first, length = (2 * 2 * width, 2 * 3 * width) if layout == "bil" else (0, row)
    assert seen == [[skip + y * row + first, length] for y in (1, 4)]
