"""Files that claim or unfold to more than a computer holds: one sentence, and a memory that stays as it was."""

from __future__ import annotations

import gzip
import json
import os
import struct
import subprocess
import sys
import zipfile
import zlib

import h5py
import numpy as np
import psutil
import pytest
import tifffile
import torch

from napari_hsi_ssl import limits
from napari_hsi_ssl.config import read_json
from napari_hsi_ssl.cubes.rasters import read_raster
from napari_hsi_ssl.cubes.readers import read_cube
from napari_hsi_ssl.errors import ConfigError, CubeError, HsiError, ProjectError, RunError
from napari_hsi_ssl.learning.checkpoint import build_model, load_model, load_state, save_model
from napari_hsi_ssl.patches.index import PatchIndex
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.folder import RunFolder
from napari_hsi_ssl.steps import cubes

SIDE, MOST = 64, 256 * 2**20
CARD = {"format": 1, "kind": "pretrain", "channels": 4, "window": 8, "architecture": {"trunk": {"widths": [8, 8]}, "projection": 4}}


@pytest.fixture
def small_computer(monkeypatch):
    """A computer with 64 MiB of memory, of which 32 are free."""
    memory = psutil.virtual_memory()._replace(available=32 * 2**20, total=64 * 2**20)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)


def sentence(caught) -> str:
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text
    return text


# -- texts ----------------------------------------------------------------------------------------------------------------------


def test_a_json_text_of_a_gigabyte_is_not_read(tmp_path):
    path = tmp_path / "project.json"
    with path.open("wb") as stream:
        stream.truncate(2**30)  # a file with a hole: no disk is filled by this test
    with pytest.raises(ConfigError, match="restore it from a copy") as caught:
        read_json(path)
    sentence(caught)
    with pytest.raises(HsiError):
        Project.open(tmp_path)


def test_a_json_text_of_very_many_values_is_not_read(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'{"a": [' + b"[]," * 4_000_001 + b"0]}")
    with pytest.raises(ConfigError, match="more than 4,000,000 values"):
        read_json(path)


@pytest.mark.parametrize("name", ["project.json", "preprocessing.json"])
def test_a_json_file_that_is_a_pipe_is_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(ConfigError, match="a device or a pipe"):
        read_json(tmp_path / name)


def test_a_log_of_gigabytes_is_not_read(tmp_path):
    folder = RunFolder(tmp_path)
    with (tmp_path / "events.jsonl").open("wb") as stream:
        stream.truncate(3 * 2**30)
    for ask in (folder.events, folder.history, lambda: folder.last("step")):
        with pytest.raises(RunError, match="move it away") as caught:
            ask()
        sentence(caught)


def test_of_a_long_log_the_last_event_is_found_from_the_end(tmp_path):
    folder = RunFolder(tmp_path)
    lines = [json.dumps({"type": "step" if number % 7 else "epoch", "step": number, "pad": "x" * (number % 900)}) for number in range(3000)]
    (tmp_path / "events.jsonl").write_text("\n".join(lines) + "\n" + '{"type": "epoch", "step": 9999, "torn')
    for kinds in (("epoch",), ("step",), ("epoch", "step"), ("none",)):
        found = [event for line in reversed(lines) if (event := json.loads(line))["type"] in kinds]
        assert folder.last(*kinds) == (found[0] if found else None)
    (tmp_path / "events.jsonl").write_text('{"type": "epoch", "step": 1}\n' + "x" * 3_000_000 + "\n")
    assert folder.last("epoch")["step"] == 1
    (tmp_path / "events.jsonl").write_text("x" * 3_000_000 + '{"type": "epoch", "step": 1}')
    assert folder.last("epoch") is None


# -- claims ---------------------------------------------------------------------------------------------------------------------


def test_a_project_that_claims_a_vast_cube_makes_no_room_for_it(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((4, 4, 4)))
    run(cubes.new(tmp_path / "project", [tmp_path / "a.npy"]))
    path = tmp_path / "project" / "project.json"
    content = json.loads(path.read_text())
    content["cubes"][0]["shape"] = [10**8, 10**7, 4]
    path.write_text(json.dumps(content))
    with pytest.raises(HsiError, match="claims 100000000 × 10000000 pixels") as caught:
        Project.open(tmp_path / "project").area("a")
    sentence(caught)


def test_a_header_that_claims_a_quadrillion_pixels_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("cube", (2**25, 2**25, 4), chunks=(16, 16, 4), dtype="u1")
    with pytest.raises(CubeError, match="claims 33554432 × 33554432 pixels") as caught:
        read_cube(tmp_path / "a.h5", shape=(2**25, 2**25, 4))
    sentence(caught)


@pytest.mark.parametrize("change", [{"channels": 10**9}, {"channels": "4"}, {"window": 10**9}, {"channels": 0}, {"trunk": {"widths": [60000] * 3}},
                                    {"trunk": {"widths": [8], "blocks": 10**9}}, {"trunk": {"widths": [8] * 1000}}, {"projection": 10**9}])  # fmt: skip
def test_a_card_that_describes_a_vast_network_makes_no_room_for_it(tmp_path, change):
    save_model(tmp_path, build_model(CARD, 0), CARD)
    inner = {key: change[key] for key in ("trunk", "projection") if key in change}
    card = {**CARD, **{key: value for key, value in change.items() if key not in inner}, "architecture": {**CARD["architecture"], **inner}}
    (tmp_path / "model.json").write_text(json.dumps(card))
    with pytest.raises(RunError) as caught:
        load_model(tmp_path / "model.safetensors")
    sentence(caught)


def test_weights_far_larger_than_their_card_are_not_read(tmp_path):
    save_model(tmp_path, build_model(CARD, 0), CARD)
    with (tmp_path / "model.safetensors").open("r+b") as stream:
        stream.truncate(2**33)
    with pytest.raises(RunError, match="far more than the network of its card needs"):
        load_model(tmp_path / "model.safetensors")


@pytest.mark.parametrize("length", [2**62, 10**8, 7])
def test_a_safetensors_header_that_claims_too_much_is_one_sentence(tmp_path, length):
    save_model(tmp_path, build_model(CARD, 0), CARD)
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", length) + b"{}" * 10)
    with pytest.raises(RunError, match="is not a whole safetensors file"):
        load_model(tmp_path / "model.safetensors")


# -- what is packed -------------------------------------------------------------------------------------------------------------


def zeros_npz(path, megabytes, name="cube.npy"):
    header = np.zeros((1, 1, megabytes * 2**20), np.uint8)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(name, "w", force_zip64=True) as member:
        np.lib.format.write_array_header_1_0(member, np.lib.format.header_data_from_array_1_0(header))
        for _ in range(megabytes):
            member.write(bytes(2**20))
    return path


def test_an_npz_cube_that_does_not_fit_is_refused_before_it_is_unpacked(tmp_path, small_computer):
    with pytest.raises(CubeError, match="once it is unpacked") as caught:
        read_cube(zeros_npz(tmp_path / "a.npz", 40))
    sentence(caught)


def test_an_npz_of_the_program_that_unpacks_to_gigabytes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "_UNPACKED_BYTES", 2**20)
    with pytest.raises(ProjectError, match="unpacks to"):
        PatchIndex.load(zeros_npz(tmp_path / "a.npz", 2, "cube.npy"))


def test_a_training_state_that_unfolds_is_refused(tmp_path):
    torch.save({"model": {}, "optimizer": {}, "step": 1}, tmp_path / "good.pt")
    assert load_state(tmp_path / "good.pt")["step"] == 1
    with zipfile.ZipFile(tmp_path / "good.pt") as good, zipfile.ZipFile(tmp_path / "bad.pt", "w", zipfile.ZIP_DEFLATED) as bad:
        for name in good.namelist():
            bad.writestr(name, good.read(name))
        bad.writestr("archive/data/0", bytes(2**22))
    with pytest.raises(RunError, match="unpacks to more than it has bytes"):
        load_state(tmp_path / "bad.pt")


class Malicious:
    def __reduce__(self):
        return (os.system, ("touch owned",))


def test_a_state_or_model_that_is_a_pickle_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": {}, "optimizer": {}, "step": Malicious()}, "state.pt")
    np.save("cube.npy", np.array([[[Malicious()]]], dtype=object), allow_pickle=True)
    np.savez("cube.npz", cube=np.array([[[Malicious()]]], dtype=object))
    for read, path in ((load_state, "state.pt"), (read_cube, "cube.npy"), (read_cube, "cube.npz"), (read_raster, "cube.npy"), (PatchIndex.load, "cube.npz")):
        with pytest.raises(HsiError):
            read(tmp_path / path)
    assert not (tmp_path / "owned").exists()


def bomb(path, kind):
    """Write a cube of 64 × 64 × 64 whose chunk unfolds to more than it should."""
    content, shape = bytes(MOST), (SIDE, SIDE, SIDE)
    if kind == "hdf":
        with h5py.File(path, "w") as file:
            data = file.create_dataset("cube", shape, chunks=shape, dtype="u1", compression="gzip")
            packer = zlib.compressobj(1)
            data.id.write_direct_chunk((0, 0, 0), b"".join(packer.compress(content) for _ in range(3)) + packer.flush())
        return path
    import zarr
    from numcodecs.zstd import Zstd

    codec = zarr.codecs.GzipCodec() if kind == "gzip" else zarr.codecs.ZstdCodec()
    zarr.create_array(str(path), shape=shape, chunks=shape, dtype="u1", compressors=[codec])[:] = 1
    chunk = next(part for part in path.rglob("*") if part.is_file() and part.name != "zarr.json")
    chunk.write_bytes(gzip.compress(content * 2, 1) if kind == "gzip" else Zstd().encode(content))
    return path


def test_a_chunk_that_unfolds_to_more_than_it_should_is_refused(tmp_path):
    paths = [bomb(tmp_path / name, kind) for kind, name in (("hdf", "a.h5"), ("gzip", "b.zarr"), ("zstd", "c.zarr"))]
    program = (
        "import resource, sys; from napari_hsi_ssl.cubes.readers import read_cube; from napari_hsi_ssl.errors import CubeError\n"
        "cubes = [read_cube(path, shape=(64, 64, 64)) for path in sys.argv[1:]]; before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for cube in cubes:\n"
        "    try: cube.data[:2].compute(); print('read')\n"
        "    except CubeError as error: print(error)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    *said, megabytes = subprocess.run([sys.executable, "-c", program, *map(str, paths)], capture_output=True, text=True, check=True).stdout.splitlines()
    assert ["unfolds to" in line for line in said] == [True, True, True]
    assert int(megabytes) < 100


def test_chunks_packed_twice_are_refused(tmp_path):
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_chunk((4, 4, 4))
    made.set_deflate(1)
    made.set_deflate(1)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        h5py.h5d.create(file.id, b"cube", h5py.h5t.NATIVE_UINT8, h5py.h5s.create_simple((4, 4, 4)), made)
    with pytest.raises(CubeError, match="packed twice"):
        np.asarray(read_cube(tmp_path / "a.h5", shape=(4, 4, 4)).data)


@pytest.mark.parametrize("codec", ["bz2", "lzma", "pickle"])
def test_codecs_that_fill_a_memory_from_nothing_or_run_programs_are_refused(tmp_path, codec):
    store = tmp_path / "a.zarr"
    store.mkdir()
    told = {
        "zarr_format": 2,
        "shape": [2, 2, 2],
        "chunks": [2, 2, 2],
        "dtype": "<f4",
        "compressor": {"id": codec},
        "fill_value": 0,
        "order": "C",
        "filters": None,
    }
    (store / ".zarray").write_text(json.dumps(told))
    with pytest.raises(CubeError, match=f"packed by '{codec}'"):
        read_cube(store)


def test_an_image_that_does_not_fit_is_refused_before_it_is_unpacked(tmp_path, small_computer):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5000, 5000), np.uint8), compression="zlib")
    with pytest.raises(CubeError, match="once it is unpacked"):
        read_raster(tmp_path / "a.tif")


def test_a_mask_of_another_frame_is_not_unpacked(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", np.ones((4, 4, 4)))
    run(cubes.new(tmp_path / "project", [tmp_path / "a.npy"]))
    project = Project.open(tmp_path / "project")
    (project.folder / "masks").mkdir()
    tifffile.imwrite(project.mask_path("a"), np.zeros((400, 400), np.uint8), compression="zlib")
    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", lambda *_, **__: pytest.fail("it was unpacked"))
    with pytest.raises(ProjectError, match="shape is"):
        project.mask("a")
