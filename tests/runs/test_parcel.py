"""A run carried to another computer and back, and files that must not be believed."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile

import pytest

from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.runs.folder import RunFolder
from napari_hsi_ssl.runs.parcel import pack, unpack
from tests.learning.made_runs import write_distil_run, write_pretrain_run


def train(folder: RunFolder, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "napari_hsi_ssl.runs.train", str(folder.path), *arguments], check=True, capture_output=True, timeout=120)


@pytest.mark.parametrize("write", [write_pretrain_run, write_distil_run])
def test_a_run_is_trained_elsewhere_and_comes_back_with_its_paths_as_they_were(tmp_path, write):
    here = write(tmp_path / "home" / "runs" / "r", epochs=1)
    before = here.config
    run(pack(here, tmp_path / "there.tar"))
    run(unpack(tmp_path / "there.tar", tmp_path / "cluster" / "runs"))
    there = RunFolder(tmp_path / "cluster" / "runs" / "r")
    hidden = tmp_path / "hidden"
    shutil.move(tmp_path / "home", hidden)  # the cluster has nothing but what was packed
    train(there)
    shutil.move(hidden, tmp_path / "home")
    run(pack(there, tmp_path / "back.tar"))
    report = run(unpack(tmp_path / "back.tar", tmp_path / "home" / "runs"))
    assert report["state"] == "finished"
    assert here.config == before
    assert here.model_path.read_bytes() == there.model_path.read_bytes()
    with pytest.raises(RunError, match=r"'r' has got further here than in there\.tar"):
        run(unpack(tmp_path / "there.tar", tmp_path / "home" / "runs"))


def test_the_packed_inputs_are_the_pinned_ones(tmp_path):
    folder = write_pretrain_run(tmp_path / "runs" / "r")
    scores = folder.resolve(folder.config.cubes[0].path)
    scores.write_bytes(scores.read_bytes()[:-2] + b"xx")
    with pytest.raises(RunError, match="has changed since run 'r' was made"):
        run(pack(folder, tmp_path / "r.tar"))
    assert not (tmp_path / "r.tar").exists()


def test_another_run_of_the_same_name_is_left_alone(tmp_path):
    run(pack(write_pretrain_run(tmp_path / "a" / "r", epochs=1), tmp_path / "r.tar"))
    other = write_pretrain_run(tmp_path / "b" / "r", epochs=2)
    before = {path: path.read_bytes() for path in other.path.rglob("*") if path.is_file()}
    with pytest.raises(RunError, match="another run 'r' with other settings or inputs"):
        run(unpack(tmp_path / "r.tar", tmp_path / "b"))
    assert {path: path.read_bytes() for path in other.path.rglob("*") if path.is_file()} == before


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "wicked",
    [
        entry("../outside.txt"),
        entry("/etc/outside.txt"),
        entry("r/../../outside.txt"),
        entry("r/link", tarfile.SYMTYPE, "/etc/passwd"),
        entry("r/link", tarfile.LNKTYPE, "r/config.json"),
        entry("r/pipe", tarfile.FIFOTYPE),
        entry("alone.txt"),
    ],
    ids=lambda info: info.name + str(info.type),
)
def test_nothing_is_written_outside_the_runs_folder(tmp_path, wicked):
    run(pack(write_pretrain_run(tmp_path / "a" / "r"), tmp_path / "r.tar"))
    with tarfile.open(tmp_path / "r.tar", "a") as archive:
        archive.addfile(wicked, io.BytesIO(b""))
    with pytest.raises(RunError, match=r"do not trust this file"):
        run(unpack(tmp_path / "r.tar", tmp_path / "b"))
    assert list((tmp_path / "b").iterdir()) == []
    assert not (tmp_path / "outside.txt").exists()


@pytest.mark.parametrize("content", [b"", b"no tar at all", None])
def test_what_is_no_packed_run_is_said_so(tmp_path, content):
    path = tmp_path / "r.tar"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=r"r\.tar (does not exist|cannot be unpacked|holds no packed run)"):
        run(unpack(path, tmp_path / "runs"))


def test_a_packed_run_cut_off_half_way_leaves_nothing(tmp_path):
    run(pack(write_pretrain_run(tmp_path / "a" / "r"), tmp_path / "r.tar"))
    content = (tmp_path / "r.tar").read_bytes()
    (tmp_path / "r.tar").write_bytes(content[: len(content) // 2])
    with pytest.raises(RunError, match="copy it again"):
        run(unpack(tmp_path / "r.tar", tmp_path / "b"))
    assert list((tmp_path / "b").iterdir()) == []
