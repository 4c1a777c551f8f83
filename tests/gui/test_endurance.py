"""A window is worked with for a day: what is closed must be gone. The long run is `benchmarks/endurance.py`; this is its first minute."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

WARM_UP, COUNTED = 2, 4


def test_a_closed_project_leaves_nothing_behind(tmp_path):
    """Widget, thread, process, open file, mapping, callback, item of a plot, or any object of a project that is closed."""
    words = [
        str(REPOSITORY / "benchmarks" / "endurance.py"),
        str(tmp_path),
        "--cycles",
        str(WARM_UP + COUNTED),
        "--warm-up",
        str(WARM_UP),
        "--train-every",
        "3",
    ]
    done = subprocess.run([sys.executable, "-W", "ignore", *words], capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in (tmp_path / "cycles.jsonl").read_text().splitlines()]
    assert sum(line["trained"] for line in lines) == 2
    after = [line["counts"] for line in lines[WARM_UP:]]
    assert [counts["alive_kinds"] for counts in after] == [{}] * COUNTED
    assert {counts["layers"] for counts in after} == {0}
    assert {counts["mapped"] for counts in after} == {0}


@pytest.mark.parametrize(("values", "grows"), [([5, 5, 6, 5, 5, 5], False), ([5, 6, 7, 8, 9, 10], True), ([9, 5, 5, 5, 5, 6], False)])
def test_what_grows_is_told_from_what_varies(values, grows):
    code = f"from census import grown; print(grown({values}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY / "benchmarks")
    assert done.stdout.strip() == str(grows)
