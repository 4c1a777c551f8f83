"""Atomic writing: whatever happens, the old file or the new one is there, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from napari_hsi_ssl import files
from napari_hsi_ssl.errors import ProjectError


def test_a_writer_that_fails_leaves_the_old_file_and_no_rubbish(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"old": 1})

    def fail_half_way() -> None:
        with files.atomic_path(path) as temporary:
            temporary.write_text("half")
            msg = "half way"
            raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way()
    assert json.loads(path.read_text()) == {"old": 1}
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_full_disk_is_told_in_one_sentence():
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with pytest.raises(ProjectError, match="cannot be written") as error, files.atomic_path(Path("/proc/hsi/a.json")):
        pass
    assert "\n" not in str(error.value)


def test_no_space_left_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    files.write_bytes(path, b"old")

    def full(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ProjectError, match="No space left"):
        files.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"


def test_json_takes_arrays_and_turns_nan_into_null(tmp_path):
    files.write_json(tmp_path / "a.json", {"a": np.arange(3), "b": float("nan"), "c": np.float32(1.5), "d": Path("x"), 4: (np.bool_(True),)})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [0, 1, 2], "b": None, "c": 1.5, "d": "x", "4": [True]}


def test_a_fingerprint_sees_size_and_content_of_a_large_sparse_file(tmp_path):
    path = tmp_path / "large.raw"
    with path.open("wb") as stream:
        stream.truncate(1 << 32)
    first = files.fingerprint(path)
    assert files.fingerprint(path) == first
    with path.open("r+b") as stream:
        stream.write(b"changed")
    assert files.fingerprint(path) != first


def test_a_large_array_is_spooled_to_a_file_that_goes_with_it(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert not isinstance(files.spool((3, 4), np.float32), np.memmap)
    monkeypatch.setattr(files, "_SPOOL_BYTES", 40)
    array = files.spool((3, 4), np.float32)
    assert isinstance(array, np.memmap)
    array[1] = 7
    files.let_go(array)
    np.testing.assert_array_equal(array, [[0] * 4, [7] * 4, [0] * 4])
    del array
    assert not list(tmp_path.iterdir())


def test_what_a_map_let_go_of_is_on_disk(tmp_path):
    array = files.empty_npy(tmp_path / "a.npy", (5, 6))
    array[2] = 3
    files.let_go(array)
    assert np.load(tmp_path / "a.npy")[2, 0] == 3
    assert array[2, 5] == 3
    files.let_go(np.zeros(3))  # of no file: nothing to do


KILLED = """
import os, signal, sys
from pathlib import Path
from napari_hsi_ssl import files
{body}
"""


def killed(body: str) -> None:
    """Run lines in a process of its own, which are to end in its death."""
    process = subprocess.run([sys.executable, "-c", KILLED.format(body=body)], check=False, capture_output=True, text=True)
    assert process.returncode == -signal.SIGKILL, process.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_the_next_writer_sweeps_what_a_killed_one_left_and_nothing_else(tmp_path):
    """Half of a large file would else take its room on the disk for ever."""
    killed(f"with files.atomic_path(Path({str(tmp_path / 'a.npy')!r})) as half: half.write_bytes(b'half'); os.kill(os.getpid(), signal.SIGKILL)")
    assert len(os.listdir(tmp_path)) == 1
    (tmp_path / ".b.json.0123abcd-1.00112233.json").write_text("of another computer, just now")
    (tmp_path / ".hidden").write_text("somebody else's")
    with files.atomic_path(tmp_path / "c.json") as mine:
        files.write_json(tmp_path / "b.json", {})
        assert mine.exists(), "its process lives"
    assert set(os.listdir(tmp_path)) == {"b.json", "c.json", ".b.json.0123abcd-1.00112233.json", ".hidden"}
    os.utime(tmp_path / ".b.json.0123abcd-1.00112233.json", (0, 0))
    files.sweep(tmp_path)
    assert set(os.listdir(tmp_path)) == {"b.json", "c.json", ".hidden"}


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_store_that_was_away_when_its_writer_was_killed_comes_back(tmp_path):
    store = tmp_path / "a.zarr"
    store.mkdir()
    (store / ".zgroup").write_text("old")
    body = (
        "real = Path.replace\n"
        "Path.replace = lambda one, other: (real(one, other), os.kill(os.getpid(), signal.SIGKILL))\n"
        f"with files.atomic_folder(Path({str(store)!r})) as half: (half / '.zgroup').write_text('new')"
    )
    killed(body)
    assert not store.exists()
    files.write_json(tmp_path / "other.json", {})
    assert (store / ".zgroup").read_text() == "old"
    assert set(os.listdir(tmp_path)) == {"a.zarr", "other.json"}


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("moves", [0, 1, 2, 3])
def test_files_that_belong_together_change_together_whenever_their_writer_is_killed(tmp_path, moves):
    """A header of one version beside the data of another would be read without a word; without a header there would be nothing."""
    data, header = tmp_path / "a.dat", tmp_path / "a.hdr"
    for path in (data, header):
        path.write_text("old")
    body = (
        "from itertools import count\n"
        "real, moved = Path.replace, count()\n"
        f"Path.replace = lambda *paths: real(*paths) if next(moved) < {moves} else os.kill(os.getpid(), signal.SIGKILL)\n"
        f"with files.atomic_paths(Path({str(data)!r}), Path({str(header)!r})) as halves: [half.write_text('new') for half in halves]\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed(body)
    assert not header.exists() or data.read_text() == header.read_text()
    files.sweep(tmp_path)
    assert data.read_text() == header.read_text() == ("new" if moves else "old")
    assert set(os.listdir(tmp_path)) == {"a.dat", "a.hdr"}
