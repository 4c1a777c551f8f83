"""What a stranger's file may have shown, printed or exported: names are text, wherever they go."""

from __future__ import annotations

import os
import threading

import h5py
import numpy as np
import pytest

from napari_hsi_ssl import files, terminal
from napari_hsi_ssl.cubes.cube import Classes, ClassMap
from napari_hsi_ssl.cubes.envi import parse_header
from napari_hsi_ssl.cubes.matlab import read_array
from napari_hsi_ssl.cubes.readers import find_cubes, read_cube
from napari_hsi_ssl.cubes.writers import write_areas_csv
from napari_hsi_ssl.errors import CubeError, HsiError
from napari_hsi_ssl.explore.charts import class_bars, confusion_matrix
from napari_hsi_ssl.explore.page import Page, code, heading, pairs, paragraph, picture, table

NAME = "</td><script>alert(1)</script><img src=x onerror=alert(1)>"


def test_no_name_becomes_markup_of_a_page():
    page = Page(NAME)
    rows = [{"name": NAME, "accuracy": 0.5, "precision": 0.5, "f1": 0.5, "n": 3}]
    page.add(heading(NAME), paragraph(NAME), table([NAME], [[NAME]], colours=['"onload="x']), pairs([(NAME, NAME)]), code(NAME), picture(b"", NAME))
    page.add(class_bars(rows), confusion_matrix([NAME, NAME], [[1, 2], [3, 4]], shares=False))
    text = page.text()
    assert "<script" not in text
    assert "<img src=x" not in text
    assert 'onload="x' not in text
    assert "default-src 'none'" in text


@pytest.mark.parametrize("name", ["=cmd|'/C calc'!A0", "+1+cmd()", "-2+3", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_name_becomes_a_formula_of_a_spreadsheet(tmp_path, name):
    labels = np.ones((2, 2), np.int32)
    write_areas_csv(tmp_path / "areas.csv", ClassMap(labels, Classes.of([1], {1: name}), labels.astype(np.float32)))
    assert f"'{name}" in (tmp_path / "areas.csv").read_bytes().decode()


@pytest.mark.parametrize("value", [-1.5, "-1.5", "+3", "-1e-5", "-.5", "-inf", "corn-notill", "", 0, None])
def test_numbers_and_plain_names_stay_as_they_are(value):
    assert files.csv_text([[value, "x"]]) == f"{'' if value is None else value},x\n"


@pytest.mark.parametrize("signs", ["\x1b]0;owned\x07", "\x1b[2J", "\x9b31m", "a\rb", "\u202e"])
def test_no_name_controls_the_terminal(signs, capsys):
    terminal._print({"name": signs, "rows": [{"name": signs}], "deep": {signs: signs}})
    printed = capsys.readouterr().out
    assert all(sign.isprintable() or sign in "\n\t" for sign in printed)
    assert all(sign.isprintable() for sign in str(HsiError(f"cube {signs}.")))


# -- what no reader waits for or follows ----------------------------------------------------------------------------------------


def in_time(function, *arguments):
    """Return what a call raises; it must come back within five seconds."""
    found = []

    def call():
        try:
            function(*arguments)
        except HsiError as error:
            found.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive(), "it waits"
    return found[0] if found else None


@pytest.mark.parametrize("ending", [".npy", ".npz", ".mat", ".tif", ".h5", ".nc", ".hdr", ".dat", ".hspy", ".zarr"])
def test_a_pipe_is_not_waited_for(tmp_path, ending):
    os.mkfifo(tmp_path / f"cube{ending}")
    assert isinstance(in_time(read_cube, tmp_path / f"cube{ending}"), CubeError)
    in_time(find_cubes, tmp_path)


def test_a_pipe_beside_data_is_no_header(tmp_path):
    (tmp_path / "cube.dat").write_bytes(bytes(8))
    os.mkfifo(tmp_path / "CUBE.HDR")
    assert isinstance(in_time(read_cube, tmp_path / "cube.dat"), CubeError)
    assert isinstance(in_time(parse_header, tmp_path / "CUBE.HDR"), CubeError)


def test_a_device_is_no_cube():
    assert "a device or a pipe" in str(in_time(read_cube, "/dev/zero"))


@pytest.fixture
def secret(tmp_path):
    (tmp_path / "secret.bin").write_bytes(b"secret" * 100)
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["cube"] = np.ones((3, 4, 5))
    return tmp_path


@pytest.mark.parametrize("ending", [".h5", ".nc", ".mat", ".hspy"])
@pytest.mark.parametrize("kind", ["external storage", "virtual", "link"])
def test_an_hdf5_file_reads_no_other_file(secret, kind, ending):
    path = secret / f"cube{ending}"
    name = "Experiments/one/data" if ending == ".hspy" else "cube"
    with h5py.File(path, "w") as file:
        if kind == "external storage":
            file.create_dataset(name, (3, 4, 5), "u1", external=[(str(secret / "secret.bin"), 0, 60)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout((3, 4, 5), "f8")
            layout[:] = h5py.VirtualSource(str(secret / "secret.h5"), "cube", (3, 4, 5))
            file.create_virtual_dataset(name, layout)
        else:
            file[name] = h5py.ExternalLink(str(secret / "secret.h5"), "cube")
    with pytest.raises(CubeError):
        np.asarray(read_cube(path, shape=(3, 4, 5)).data)
    if ending == ".mat" and kind != "link":
        with pytest.raises(CubeError, match="lie in other files"):
            read_array(path, "cube")


def test_an_envi_header_names_no_other_data_file(secret):
    fields = "samples = 4\nlines = 2\nbands = 2\ndata type = 1\ninterleave = bsq\nbyte order = 0\n"
    (secret / "cube.hdr").write_text(f"ENVI\n{fields}data file = secret.bin\nfile name = {secret}/secret.bin\n")
    with pytest.raises(CubeError, match="no data file beside it"):
        read_cube(secret / "cube.hdr")


@pytest.mark.parametrize("name", ["x.vrt", "/vsicurl/http://localhost:1/x.tif", "http://localhost:1/x.zarr", "s3://x/y.zarr"])
def test_no_reader_leaves_the_computer(tmp_path, name, monkeypatch):
    import socket

    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("it asked the network"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.vrt").write_text('<VRTDataset rasterXSize="1" rasterYSize="1"/>')
    with pytest.raises(CubeError):
        read_cube(name)


def test_a_zarr_array_has_no_key_that_leads_out(tmp_path):
    import zarr

    zarr.create_array(str(tmp_path / "secret.zarr"), shape=(2, 2, 2), chunks=(2, 2, 2), dtype="f4")[:] = 1
    zarr.create_group(str(tmp_path / "open.zarr"))
    for key in ("../secret.zarr", str(tmp_path / "secret.zarr")):
        with pytest.raises(CubeError):
            read_cube(tmp_path / "open.zarr", key=key)
