"""The fuzzer itself: it sees what it looks for, and a short run of it finds nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from benchmarks.fuzzing import targets, trial
from benchmarks.fuzzing.checks import Wrong
from benchmarks.fuzzing.targets import BY_NAME, drawn
from benchmarks.fuzzing.trial import tried
from napari_hsi_ssl.errors import HsiError
from tests.conftest import REPOSITORY


def raising(error):
    def check(_path):
        raise error

    return check


class Broken(HsiError):
    """An error that is no sentence."""

    def __str__(self) -> str:
        return "one\ntwo"


def from_memory(_path):
    raise HsiError("it cannot be read.") from MemoryError()


@pytest.mark.parametrize(
    ("check", "verdict"),
    [
        (raising(ZeroDivisionError("x")), "crash"),
        (raising(Wrong("x")), "wrong"),
        (raising(MemoryError()), "memory"),
        (from_memory, "memory"),
        (raising(Broken()), "wrong"),
        (raising(HsiError("it cannot be read.")), "refused"),
        (raising(HsiError("no full stop")), "wrong"),
        (lambda _path: None, "accepted"),
    ],
)
def test_every_failure_is_seen(monkeypatch, check, verdict):
    """Else a run without failures would say nothing."""
    monkeypatch.setitem(targets.BY_NAME, "step-text", replace(BY_NAME["step-text"], check=check))
    assert tried("step-text", {"step.txt": b"snv"}, "step.txt").verdict == verdict


def test_a_slow_input_is_seen(monkeypatch):
    monkeypatch.setattr(trial, "HANG_SECONDS", -1.0)
    assert tried("step-text", {"step.txt": b"snv"}, "step.txt").verdict == "hang"


def test_an_input_follows_from_seed_and_number():
    """Else a failure could not be looked at again."""
    assert drawn("roi", 3, 17) == drawn("roi", 3, 17)
    assert drawn("roi", 3, 17) != drawn("roi", 4, 17)
    assert len({tuple(sorted(drawn("roi", 3, number)[0].items())) for number in range(1, 40)}) > 30


def test_a_short_run_finds_nothing_and_goes_on_where_it_stopped(tmp_path):
    """Else a reader would have lost its sentence for damaged files."""
    chosen = ["envi", "tiff", "mat5", "numpy", "hdf5", "netcdf3", "zarr", "labels", "polygons", "roi", "library-csv", "settings", "step-text"]
    command = [sys.executable, "-m", "benchmarks.fuzzing", tmp_path, "--inputs", "300", "--seed", "7", "--only", *chosen]
    process = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout
    assert process.stdout.splitlines()[-1].endswith("inputs, no failure")
    found = json.loads((tmp_path / "progress.json").read_text())["targets"]
    assert set(found) == set(chosen)
    assert sum(sum(row["counts"].values()) for row in found.values()) == pytest.approx(300, abs=len(chosen))
    accepted = sum(row["counts"].get("accepted", 0) for row in found.values())
    refused = sum(row["counts"].get("refused", 0) for row in found.values())
    assert accepted > 50
    assert refused > 50
