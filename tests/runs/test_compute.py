"""The compute process answers, survives stray prints and crashes, cancels, and never outlives its parent."""

import math
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from napari_hsi_ssl.errors import CubeError, HsiError, LabelError
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.runs.compute import ComputeProcess

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def process(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    child = ComputeProcess(jobs="tests.runs.example_jobs")
    yield child
    child.close()


def started(process, job, **arguments):
    """A job that has said its first own word."""
    steps = process.call(job, **arguments)
    for progress in steps:
        if progress.message not in {"starting", ""}:
            break
    return steps


def wait_until(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_a_job_answers_and_the_child_stays(process):
    seen = []
    first = run(process.call("add", first=1, second=2), seen.append)
    assert first["sum"] == 3
    assert first["nan"] is None
    assert [progress.done for progress in seen if progress.message == "half"] == [1]
    assert run(process.call("add", first=Path("a").as_posix(), second="b"))["sum"] == "ab"
    assert run(process.call("add", first=0, second=0))["pid"] == first["pid"] == process.pid


def test_what_a_job_prints_or_reads_does_not_disturb_the_answers(process):
    assert run(process.call("prints", words='{"id": 1, "result": {"wrong": true}}')) == {"read": ""}


def test_a_crash_is_one_sentence_and_the_next_call_works(process):
    with pytest.raises(HsiError, match=r"compute process ended during 'dies'.*exit code 7.*out of luck"):
        run(process.call("dies", words="out of luck"))
    assert run(process.call("add", first=2, second=2))["sum"] == 4


def test_errors_keep_class_and_sentence(process):
    with pytest.raises(LabelError, match=r"^labels.tif has one class, expected two; label another class\.$"):
        run(process.call("raises", kind="label"))
    with pytest.raises(CubeError, match=r"a\.mat holds several arrays"):
        run(process.call("raises", kind="choice"))
    with pytest.raises(HsiError, match="ZeroDivisionError: by nought") as caught:
        run(process.call("raises", kind="other"))
    assert "example_jobs.py" in caught.value.__notes__[0]
    with pytest.raises(HsiError, match="no job 'fly', only add"):
        run(process.call("fly"))
    with pytest.raises(HsiError, match="TypeError"):
        run(process.call("add", first=1))


def test_closing_the_generator_cancels_at_once(process, tmp_path):
    steps = started(process, "endless", path=tmp_path / "left")
    pid, begin = process.pid, time.monotonic()
    steps.close()
    assert time.monotonic() - begin < 5, "the job would go on for ever"
    assert (tmp_path / "left").read_text() == "left"
    assert run(process.call("add", first=1, second=1)) == {"sum": 2, "pid": pid, "nan": None}


def test_a_job_that_does_not_listen_is_killed(process):
    steps = started(process, "deaf")
    time.sleep(0.3)  # it is deep in its one long call by now
    pid, begin = process.pid, time.monotonic()
    steps.close()
    assert time.monotonic() - begin < 20
    assert not psutil.pid_exists(pid)
    assert run(process.call("add", first=1, second=1))["sum"] == 2


def test_cancel_before_the_child_is_ready_does_not_wait_for_it(process):
    steps = process.call("deaf")
    next(steps)
    begin = time.monotonic()
    steps.close()
    assert time.monotonic() - begin < 0.2
    assert run(process.call("add", first=1, second=1))["sum"] == 2


def test_a_second_call_waits_its_turn_and_can_leave(process, tmp_path):
    first = started(process, "endless", path=tmp_path / "left")
    second = process.call("add", first=1, second=1)
    assert next(second).message == "waiting for another computation"
    second.close()
    third = process.call("add", first=1, second=2)
    next(third)
    first.close()
    assert run(third)["sum"] == 3


def test_a_killed_idle_child_is_replaced(process):
    pid = run(process.call("add", first=1, second=1))["pid"]
    psutil.Process(pid).kill()
    assert wait_until(lambda: process.pid is None)
    assert run(process.call("add", first=1, second=1))["pid"] != pid


def test_the_child_goes_when_its_parent_is_killed(tmp_path):
    program = (
        "import sys\n"
        "from napari_hsi_ssl.runs.compute import ComputeProcess\n"
        "process = ComputeProcess(jobs='tests.runs.example_jobs')\n"
        f"steps = process.call('endless', path={str(tmp_path / 'left')!r})\n"
        "while next(steps).message != 'working': pass\n"
        "print(process.pid, flush=True)\n"
        "for _ in steps: pass\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.is_running()
        parent.kill()
    assert wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    assert (tmp_path / "left").exists()


@pytest.mark.skipif(not hasattr(os, "nice"), reason="niceness is POSIX")
def test_in_the_background_it_yields_the_processor(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    child = ComputeProcess(background=True, jobs="tests.runs.example_jobs")
    try:
        pid = run(child.call("add", first=1, second=1))["pid"]
        assert psutil.Process(pid).nice() == 19
    finally:
        child.close()
    assert child.pid is None


def test_one_process_is_shared_and_starts_with_the_first_call():
    program = "from napari_hsi_ssl.runs.compute import shared_process as one; print(one() is one(), one().pid)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split() == ["True", "None"]


def test_the_parent_imports_no_torch():
    program = "import sys, napari_hsi_ssl.runs.compute, napari_hsi_ssl.runs.launch; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_figures_that_are_no_numbers_reach_the_job_as_null(process):
    with pytest.raises(HsiError, match="TypeError"):
        run(process.call("add", first=math.nan, second=1))
