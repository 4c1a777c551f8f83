"""Training with learned inlets: interrupted runs end in the same bytes, two ranks in the same weights as one process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from napari_hsi_ssl import files
from napari_hsi_ssl.config import CubeInput, DomainInput, PcaConfig, PretrainConfig, RunConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.explore.pca import Source, fit_projection
from napari_hsi_ssl.patches.index import PatchIndex
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.runs import train
from napari_hsi_ssl.runs.folder import RunFolder

BANDS = (12, 17, 17)
CAMERAS = (0, 1, 1)


def write_run(path: Path, **settings) -> RunFolder:
    """Write a run folder with learned inlets of two cameras, one of which has two cubes."""
    inputs = path.parent / "inputs"
    sources, pinned = [], []
    for number, (bands, camera) in enumerate(zip(BANDS, CAMERAS, strict=True)):
        draws = np.random.default_rng(number)
        values = draws.normal(size=(30, 30, 3)) @ draws.normal(size=(3, bands)) + 0.1 * draws.normal(size=(30, 30, bands))
        files.write_npy(inputs / f"c{number}.npy", values.astype(np.float32))
        sources.append(Source(f"c{number}", f"d{camera}", as_cube(values.astype(np.float32)), np.ones((30, 30), dtype=bool)))
        pinned.append(CubeInput(name=f"c{number}", domain=f"d{camera}", path=f"../inputs/c{number}.npy", sha256=files.file_hash(inputs / f"c{number}.npy")))
    run(fit_projection(sources, PcaConfig(bands=16, components=4, scale="standardise"))).save(inputs / "pca.npz")
    grid = np.stack(np.meshgrid(range(3), range(0, 25, 4), range(0, 25, 4), indexing="ij"), -1).reshape(-1, 3).astype(np.int32)
    count = len(grid)
    index = PatchIndex(
        cubes=("c0", "c1", "c2"), domains=("d0", "d1"), cube=grid[:, 0], y=grid[:, 1], x=grid[:, 2],
        domain=np.asarray(CAMERAS, dtype=np.int32)[grid[:, 0]],
        split=(np.arange(count) % 4 == 0).astype(np.uint8), coverage=np.ones(count, dtype=np.float32), size=5,
    )  # fmt: skip
    index.save(inputs / "patches.npz")
    trunk = {"widths": (8, 12), "stem_stride": 1}
    values = {"batch_size": 8, "accelerator": "cpu", "devices": 1, "precision": "32", "trunk": trunk, "projection": 8, "inlet": "learned", "neighbour": 1}
    config = RunConfig(
        kind="pretrain",
        pretrain=PretrainConfig.parse({**values, **settings}),
        cubes=tuple(pinned),
        domains=tuple(DomainInput(name=f"d{camera}", bands=bands, used=tuple(range(bands))) for camera, bands in enumerate((12, 17))),
        inlet="../inputs/pca.npz",
        inlet_sha256=files.file_hash(inputs / "pca.npz"),
        patches="../inputs/patches.npz",
        patches_sha256=files.file_hash(inputs / "patches.npz"),
    )
    return RunFolder.create(path, config)


@pytest.fixture
def train_here(monkeypatch):
    threads = torch.get_num_threads()
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def call(folder: RunFolder, *arguments: str) -> int:
        monkeypatch.delenv("NAPARI_HSI_SSL_RANKS", raising=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return train.main([str(folder.path), *arguments])

    yield call
    monkeypatch.delenv("NAPARI_HSI_SSL_RANKS", raising=False)
    torch.set_num_threads(threads)
    torch.set_default_dtype(torch.float32)


def start(folder: RunFolder, *arguments: str) -> subprocess.Popen[bytes]:
    with folder.log_path.open("ab") as log:
        command = [sys.executable, "-m", "napari_hsi_ssl.runs.train", str(folder.path), *arguments]
        return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=log, stderr=log)


def test_a_killed_run_goes_on_to_the_same_bytes_and_its_inlets_have_learned(tmp_path, train_here):
    settings = {"epochs": 60, "checkpoint_minutes": 0.001}
    calm = write_run(tmp_path / "calm" / "runs" / "p", **settings)
    assert train_here(calm) == 0
    rough = write_run(tmp_path / "rough" / "runs" / "p", **settings)
    process = start(rough)
    begun = time.monotonic()
    while rough.last("checkpoint") is None:
        assert time.monotonic() - begun < 90, rough.log_path.read_text()[-2000:]
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert train_here(rough, "--resume") == 0
    assert rough.last("resumed")["step"] > 0
    assert rough.model_path.read_bytes() == calm.model_path.read_bytes()
    begin = write_run(tmp_path / "begin" / "runs" / "p", epochs=1, max_steps=1, learning_rate=1e-12)
    assert train_here(begin) == 0
    before, after = load_file(begin.model_path), load_file(calm.model_path)
    for name in ("inlets.0_d0.weight", "inlets.1_d1.weight"):
        assert np.abs(after[name] - before[name]).max() > 0.01


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2 if hasattr(os, "sched_getaffinity") else False, reason="needs two cores")
def test_two_ranks_learn_the_same_inlets_as_one_process(tmp_path, train_here):
    """Batches of 8: now and then a rank's half lacks a camera."""
    settings = {"epochs": 10, "max_steps": 50, "precision": "64"}
    two = write_run(tmp_path / "two" / "runs" / "p", devices=2, **settings)
    process = start(two)
    one = write_run(tmp_path / "one" / "runs" / "p", **settings)
    assert train_here(one) == 0
    assert process.wait(timeout=180) == 0, two.log_path.read_text()[-3000:]
    losses = [[event["loss"] for event in folder.history() if event["type"] == "epoch"] for folder in (one, two)]
    assert losses[1] == pytest.approx(losses[0], abs=1e-8)
    theirs, ours = load_file(one.model_path), load_file(two.model_path)
    for name, expected in theirs.items():
        np.testing.assert_allclose(ours[name], expected, atol=1e-8, rtol=0)
