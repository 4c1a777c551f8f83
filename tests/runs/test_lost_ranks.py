"""A rank that is lost: the training ends within a bounded time, in a sentence, and nobody stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest
import torch

from napari_hsi_ssl.learning.devices import rank_lost
from tests.learning.made_runs import write_pretrain_run
from tests.runs.test_train import ENVIRONMENT, wait_for

TWO_CORES = len(os.sched_getaffinity(0)) > 1 if hasattr(os, "sched_getaffinity") else False


@pytest.mark.skipif(not TWO_CORES, reason="needs two cores and signals that stop a process")
def test_a_frozen_rank_ends_the_training_in_one_sentence_and_the_run_can_go_on(tmp_path):
    """It used to take half an hour, and the frozen process stayed."""
    folder = write_pretrain_run(tmp_path / "runs" / "p", devices=2, epochs=100_000, checkpoint_minutes=0.001)
    with folder.log_path.open("wb") as log:
        first = subprocess.Popen([sys.executable, "-m", "tests.runs.impatient", str(folder.path)], env=ENVIRONMENT, stdout=log, stderr=log)
    try:
        wait_for(folder, "checkpoint", 200)
        (second,) = psutil.Process(first.pid).children()
        second.send_signal(signal.SIGSTOP)
        assert first.wait(timeout=80) == 1
    finally:
        first.kill()
    said = folder.last("failed")["message"]
    assert said.startswith("another of the 2 ranks has ended or did not answer for 600 s; see ")
    assert said.endswith("then continue with --resume.")
    assert "Traceback" not in folder.log_path.read_text()
    assert not psutil.wait_procs([second], timeout=10)[1], "the frozen one is still there"
    assert folder.state == "failed"
    assert sorted(folder.checkpoints.glob("step-*.pt"))


def test_other_errors_are_not_taken_for_a_lost_rank():
    assert not rank_lost(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert rank_lost(torch.distributed.DistBackendError("NCCL communicator was aborted"))
