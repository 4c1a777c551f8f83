"""Runs on a real Slurm of one node: queued, trained by two ranks, interrupted by a time limit and queued again, cancelled, refused."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import load_file

from napari_hsi_ssl.config import SlurmConfig
from napari_hsi_ssl.errors import ConfigError, RunError
from napari_hsi_ssl.progress import run as to_the_end
from napari_hsi_ssl.runs import launch, queue, slurm
from napari_hsi_ssl.runs.folder import RunFolder
from tests.learning.made_runs import write_pretrain_run
from tests.runs import slurm_cluster

WHY_NOT = slurm_cluster.missing()
needs_slurm = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "Slurm is here")
HERE = SlurmConfig(gpus=0, cpus=1, time="10")


@pytest.fixture(scope="module")
def conf(tmp_path_factory):
    with slurm_cluster.cluster(tmp_path_factory.mktemp("slurm")) as path:
        yield path


@pytest.fixture
def cluster(conf, monkeypatch):
    monkeypatch.setenv("SLURM_CONF", str(conf))
    monkeypatch.setattr(queue, "_QUEUE_SECONDS", 0.5)
    return conf


def submit(folder: RunFolder, config: SlurmConfig = HERE) -> str:
    slurm.write_script(folder, config)
    return slurm.submit(folder)


def wait_until(condition, seconds=90.0, say=lambda: ""):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, say()
        time.sleep(0.1)


# -- the script, which needs no cluster ---------------------------------------------------------------------------------------


def test_the_script_says_what_was_asked_for_and_is_valid_shell(tmp_path):
    folder = write_pretrain_run(tmp_path / "my runs" / "p")
    config = SlurmConfig(
        partition="long", account="lab 7", time="1-02:00:00", nodes=2, gpus=4, cpus=6, memory="64G", setup="module load cuda", python="/opt/py thon"
    )
    text = slurm.write_script(folder, config)
    for line in (
        "--partition=long",
        '--account="lab 7"',
        "--time=1-02:00:00",
        "--nodes=2",
        "--ntasks-per-node=4",
        "--gpus-per-node=4",
        "--mem=64G",
        "--requeue",
    ):
        assert f"#SBATCH {line}\n" in text
    assert f'#SBATCH --output="{folder.log_path}"\n' in text
    assert "\nmodule load cuda\n" in text
    assert f"'/opt/py thon' -m napari_hsi_ssl.runs.train '{folder.path}' --resume --slurm" in text
    assert config.ranks == 8
    assert subprocess.run(["bash", "-n", str(slurm.script_path(folder))], check=False).returncode == 0


@pytest.mark.parametrize("values", [{"time": "two days"}, {"memory": "lots"}, {"nodes": 0}, {"gpus": -1}])
def test_nonsense_is_refused_before_slurm_sees_it(values):
    with pytest.raises(ConfigError, match=next(iter(values))):
        SlurmConfig.parse(values, "slurm")


def test_without_slurm_the_message_says_where_to_go(tmp_path, monkeypatch):
    folder = write_pretrain_run(tmp_path / "runs" / "p")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RunError, match=r"'sbatch' is not on this computer; submit from a login node"):
        submit(folder)
    assert folder.state == "new"


def test_a_silent_controller_is_one_sentence_and_the_watcher_goes_on(tmp_path, monkeypatch):
    folder = write_pretrain_run(tmp_path / "runs" / "p")
    folder.emit("submitted", job="7")
    said = iter([RunError("Slurm is silent."), "RUNNING", "", ""])

    def state(_job):
        found = next(said)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(slurm, "state", state)
    monkeypatch.setattr(queue, "_QUEUE_SECONDS", 0.0)
    heard = []
    with pytest.raises(RunError, match="stopped without a word"):
        to_the_end(launch.follow(folder), lambda progress: heard.append((progress.message, progress.warning)))
    assert ("Slurm is silent. The run is still being watched.", True) in heard
    assert ("job 7: running", False) in heard


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Put commands of the given texts in the place of Slurm's own."""
    place = tmp_path / "bin"
    place.mkdir()
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")

    def put(**texts: str) -> None:
        for name, text in texts.items():
            (place / name).write_text(f"#!/bin/sh\n{text}\n")
            (place / name).chmod(0o755)

    return put


def test_what_the_cluster_refuses_is_told_in_its_own_words(tmp_path, commands):
    folder = write_pretrain_run(tmp_path / "runs" / "p")
    commands(sbatch="echo 'sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified' >&2; exit 1")
    with pytest.raises(RunError) as found:
        submit(folder)
    said = str(found.value)
    assert said.startswith("run 'p': Slurm refused the job (sbatch: error: Batch job submission failed: Invalid account")
    assert said.endswith("correct --partition, --account, --time, --gpus or --nodes, or edit job.sh in the run folder.")
    assert folder.state == "new", "the run can be submitted again"


def test_a_queue_that_disappears_is_waited_for_and_then_named(tmp_path, commands, monkeypatch):
    folder = write_pretrain_run(tmp_path / "runs" / "p")
    commands(sbatch="echo 7", squeue="echo RUNNING")
    assert submit(folder) == "7"
    monkeypatch.setattr(queue, "_QUEUE_SECONDS", 0.0)
    monkeypatch.setattr(queue, "_PATIENCE_SECONDS", 0.5)
    watching, heard = launch.follow(folder), []
    heard.append(next(watching))
    commands(squeue="echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1")
    with pytest.raises(RunError, match=r"^job 7: Slurm's squeue failed \(.*Unable to contact.*\); see whether the cluster is up, then try again\.$"):
        to_the_end(watching, heard.append)
    assert any(progress.warning and progress.message.endswith("The run is still being watched.") for progress in heard)
    assert folder.state == "queued", "whether it trains is not known, so nothing is undone"


def test_a_job_that_slurm_has_forgotten_is_no_longer_waited_for(tmp_path, commands, monkeypatch):
    folder = write_pretrain_run(tmp_path / "runs" / "p")
    commands(sbatch="echo 7", squeue="echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", sacct="echo TIMEOUT")
    submit(folder)
    monkeypatch.setattr(queue, "_QUEUE_SECONDS", 0.0)
    with pytest.raises(RunError, match=r"run 'p' stopped without a word \(Slurm says that job 7 is timeout\)"):
        to_the_end(launch.follow(folder))
    assert slurm.queued(folder) is None


@pytest.mark.skipif(sys.platform == "win32", reason="Slurm sends signals")
def test_a_time_limit_that_strikes_saves_and_asks_to_be_queued_again(tmp_path):
    """As the job script runs it: Slurm sends SIGTERM before the limit, and the exit code says that the run wants to go on."""
    folder = write_pretrain_run(tmp_path / "runs" / "p", epochs=5000)
    told = {"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_NNODES": "1", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_JOB_ID": "7"}
    process = subprocess.Popen(
        [sys.executable, "-m", "napari_hsi_ssl.runs.train", str(folder.path), "--resume", "--slurm"], env={**os.environ, "OMP_NUM_THREADS": "1", **told}
    )
    try:
        wait_until(lambda: folder.last("epoch") is not None or process.poll() is not None)
        process.terminate()
        assert process.wait(timeout=60) == slurm.AGAIN
    finally:
        process.kill()
    saved = folder.last("requeued")
    assert saved["message"] == f"the time is up: saved at step {saved['step']}, and queued again."
    assert (folder.checkpoints / f"step-{saved['step']:09d}.pt").exists()
    assert folder.state == "queued"


# -- on the cluster -------------------------------------------------------------------------------------------------------------


@needs_slurm
def test_two_ranks_of_a_job_train_what_one_process_trains(tmp_path, cluster):
    folder = write_pretrain_run(tmp_path / "runs" / "p", epochs=2, precision="64")
    submit(folder, HERE.model_copy(update={"tasks": 2}))
    assert folder.state in {"queued", "running"}
    result = to_the_end(launch.follow(folder))
    assert (result["ranks"], result["steps"], folder.state) == (2, 14, "finished")
    alone = write_pretrain_run(tmp_path / "runs" / "alone", epochs=2, precision="64")
    subprocess.run([sys.executable, "-m", "napari_hsi_ssl.runs.train", str(alone.path)], check=True, capture_output=True)
    for name, weights in load_file(alone.model_path).items():
        np.testing.assert_allclose(load_file(folder.model_path)[name], weights, rtol=1e-6, atol=1e-9, err_msg=name)


@needs_slurm
def test_a_time_limit_saves_and_queues_the_run_again_and_nothing_is_lost(tmp_path, cluster):
    folder = write_pretrain_run(tmp_path / "runs" / "p", epochs=400)
    job = submit(folder)
    wait_until(lambda: folder.last("epoch") is not None, say=lambda: folder.log_path.read_text()[-2000:])
    # What `--signal=TERM@120` does two minutes before the limit.
    subprocess.run(["scancel", "--signal=TERM", job], check=True, capture_output=True)
    wait_until(lambda: folder.last("requeued") is not None, say=lambda: folder.log_path.read_text()[-2000:])
    saved = folder.last("requeued")["step"]
    assert f"step-{saved:09d}.pt" in {path.name for path in folder.checkpoints.iterdir()}
    # Slurm holds a job that was queued again back for two minutes; this test does not wait so long.
    wait_until(lambda: slurm.reason(job) == "BeginTime")
    subprocess.run(["scontrol", "update", f"jobid={job}", "starttime=now"], check=True, capture_output=True)
    wait_until(lambda: folder.last("resumed") is not None, 200, say=lambda: slurm.state(job) + " " + slurm.reason(job))
    assert folder.last("resumed")["step"] == saved
    assert launch.stop(folder)
    assert folder.state == "cancelled"
    wait_until(lambda: slurm.queued(folder) is None)


@needs_slurm
def test_a_job_that_waits_is_cancelled_in_the_queue(tmp_path, cluster):
    folder = write_pretrain_run(tmp_path / "runs" / "p")
    slurm.write_script(folder, HERE)
    text = slurm.script_path(folder).read_text().replace("#SBATCH --requeue", "#SBATCH --requeue\n#SBATCH --begin=now+1hour")
    slurm.script_path(folder).write_text(text)  # a script that was edited by hand is submitted as it stands
    job = slurm.submit(folder)
    assert (folder.state, slurm.state(job), slurm.queued(folder)) == ("queued", "PENDING", job)
    with pytest.raises(RunError, match=f"is job {job} of Slurm already"):
        slurm.submit(folder)
    watching = launch.follow(folder)
    words = [next(watching).message for _ in range(3)]
    assert any(word.startswith(f"job {job}: pending (BeginTime") for word in words), words
    watching.close()
    assert launch.stop(folder)
    assert folder.state == "cancelled"
    assert slurm.queued(folder) is None


@needs_slurm
def test_a_job_that_dies_before_it_trains_is_told_with_slurms_word(tmp_path, cluster):
    folder = write_pretrain_run(tmp_path / "runs" / "p")
    submit(folder, HERE.model_copy(update={"setup": "echo no such module; exit 3"}))
    with pytest.raises(RunError, match=r"stopped without a word \(Slurm says that job \d+ is failed\) \(its log ends with \"no such module\"\)"):
        to_the_end(launch.follow(folder))


@needs_slurm
def test_a_cluster_that_refuses_says_why(tmp_path, cluster):
    folder = write_pretrain_run(tmp_path / "runs" / "p")
    with pytest.raises(RunError, match=r"Slurm refused the job \(.*[Ii]nvalid partition.*\); correct --partition"):
        submit(folder, HERE.model_copy(update={"partition": "nowhere"}))
    assert folder.state == "new"
