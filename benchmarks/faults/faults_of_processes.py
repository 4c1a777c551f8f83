"""Ranks that freeze or die, memory that runs out, clocks that jump, processes that are killed beside the one that asks."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import torch
from cases import World, begin_slowly, case, slowly, wait_for
from child import Child
from world import begin

from napari_hsi_ssl import files
from napari_hsi_ssl.errors import HsiError
from napari_hsi_ssl.learning.pretraining import Pretraining
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.runs import launch
from napari_hsi_ssl.runs.compute import ComputeProcess
from napari_hsi_ssl.runs.folder import RunFolder

HERE = Path(__file__).parent


def _two_ranks(world: World) -> tuple[RunFolder, subprocess.Popen[bytes], psutil.Process]:
    """Start a training on two ranks, and return it with its second rank once both train."""
    folder = world.run_of()
    config = folder.config
    trainer = config.trainer.model_copy(update={"devices": 2})
    files.write_json(folder.config_path, config.model_copy(update={"pretrain": trainer}).model_dump(mode="json"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}
    with folder.log_path.open("ab") as log:
        first = subprocess.Popen([sys.executable, "-m", "impatient", str(folder.path)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
    folder.emit_launched(first.pid, log=0)
    wait_for(lambda: folder.last("checkpoint") is not None or first.poll() is not None, 300)
    world.expect(first.poll() is None, f"it did not start: {launch.last_line(folder.log_path)}")
    (second,) = psutil.Process(first.pid).children()
    return folder, first, second


def _one_rank(folder: RunFolder) -> None:
    """Let the run go on alone, whose result is that of the undisturbed one to rounding."""
    config = folder.config
    files.write_json(folder.config_path, config.model_copy(update={"pretrain": config.trainer.model_copy(update={"devices": 1})}).model_dump(mode="json"))


def _ended(world: World, folder: RunFolder, first: subprocess.Popen[bytes], second: psutil.Process, *words: str) -> None:
    world.fails(folder, first, *words, seconds=90)
    world.expect(psutil.wait_procs([second], timeout=20)[1] == [], "the other rank is still there")
    saved = max(int(path.stem.removeprefix("step-")) for path in folder.checkpoints.glob("step-*.pt"))
    _one_rank(folder)
    world.expect(begin(folder, resume=True).wait() == 0, f"it does not go on: {launch.last_line(folder.log_path)}")
    world.expect((folder.last("resumed") or {}).get("step") == saved, "it does not go on from the last state")
    world.whole()


@case("one of two ranks frozen: the other one ends within a bounded time")
def frozen(world: World) -> None:
    folder, first, second = _two_ranks(world)
    second.send_signal(signal.SIGSTOP)
    _ended(world, folder, first, second, "rank")


@case("one of two ranks killed")
def killed(world: World) -> None:
    folder, first, second = _two_ranks(world)
    second.kill()
    _ended(world, folder, first, second, "rank")


@case("the leading rank killed: the other one does not stay")
def leader(world: World) -> None:
    folder, first, second = _two_ranks(world)
    first.kill()
    first.wait()
    world.expect(psutil.wait_procs([second], timeout=60)[1] == [], "the other rank is still there")
    world.expect(folder.state == "stopped", f"the run is {folder.state}")
    try:
        run(launch.follow(folder))
    except HsiError as error:
        world.hear(str(error), "--resume")
    _one_rank(folder)
    world.expect(begin(folder, resume=True).wait() == 0, "it does not go on")
    world.whole()


@case("a frozen trainer that is cancelled is ended by force")
def deaf(world: World) -> None:
    folder = world.run_of()
    child = begin_slowly(folder)
    os.kill(child.pid, signal.SIGSTOP)
    reaper = threading.Thread(target=lambda: child.ended_within(60), daemon=True)
    reaper.start()
    begun = time.monotonic()
    world.expect(launch.stop(folder, force_after=2.0) is False, "it is said to have left by itself")
    reaper.join()
    world.expect(time.monotonic() - begun < 30 and child.code == -signal.SIGKILL, "it is still there")
    world.hear(str((folder.last("cancelled") or {}).get("message", "")), "saved at step", "--resume")
    world.resumes(folder)
    world.whole()


# -- memory -------------------------------------------------------------------------------------------------------------------


def _short_of_memory() -> None:
    room = psutil.Process().memory_info().vms + (24 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (room, room))


@case("no memory for a PCA")
def pca(world: World) -> None:
    cube = world.place / "wide.npy"
    _sparse(cube, (2000, 2000, 100))
    world.works("add", cube, "--name", "wide")
    world.refused(world.command("pca", "--bands", 64, "--components", 4, before=_short_of_memory), "memory")
    world.works("remove", "--cube", "wide")
    world.works("pca", "--bands", 6, "--components", 4)
    world.whole(but=["project.json", "preprocessing.json"])


def _sparse(path: Path, shape: tuple[int, int, int]) -> None:
    """Write an array of zeros that takes no room on the disk."""
    import numpy as np
    from numpy.lib.format import open_memmap

    open_memmap(path, mode="w+", dtype=np.float32, shape=shape)


@case("no memory for a step of a training on this computer")
def batch(world: World) -> None:
    folder = world.run_of()

    def before() -> None:
        real = Pretraining.loss

        def greedy(self, model, step, share):
            if share.batch > 11:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return real(self, model, step, share)

        Pretraining.loss = greedy  # type: ignore[method-assign]

    world.fails(folder, begin(folder, resume=False, before=before), "does not fit into the memory", "the largest that fits is 11")
    world.resumes(folder)
    world.whole()


@case("no memory in the middle of a training")
def later(world: World) -> None:
    folder = world.run_of()

    def before() -> None:
        real = Pretraining.loss

        def greedy(self, model, step, share):
            if step == 9:
                raise MemoryError
            return real(self, model, step, share)

        Pretraining.loss = greedy  # type: ignore[method-assign]

    world.fails(folder, begin(folder, resume=False, before=before), "does not fit into the memory")
    world.resumes(folder)
    world.whole()


@case("the compute process killed in the middle of a job")
def compute(world: World) -> None:
    process = ComputeProcess()
    calm = world.folder / "runs" / "calm-pretrain"
    inlet = RunFolder(calm).resolve(RunFolder(calm).config.inlet or "")
    cube = {"name": "beans", "area": str(calm / "inputs" / "beans.mask.tif"), "scores": str(inlet.parent / "beans.npy")}
    asked = {"model": str(calm / "model.safetensors"), "inlet": str(inlet), "cube": cube, "cache": str(world.folder / "embeddings")}
    job = process.call("embed", **asked)
    next(job)
    psutil.Process(process.pid).kill()
    try:
        run(job)
        world.expect(False, "nothing is said of it")
    except HsiError as error:
        world.hear(str(error), "killed")
    found = run(process.call("embed", **asked))
    world.expect(Path(found["path"]).exists(), "the next job does not work")
    process.close()
    world.whole()


# -- clocks -------------------------------------------------------------------------------------------------------------------


def _clock(jump: float) -> None:
    """Let the clock of this process jump after a second."""
    real, begun = time.time, time.time()
    time.time = lambda: real() + (jump if real() - begun > 1.0 else 0.0)


@case("a clock that jumps back by an hour while a run trains")
def clock_back(world: World) -> None:
    _jump(world, -3600.0)


@case("a clock that jumps on by a day while a run trains")
def clock_on(world: World) -> None:
    _jump(world, 86400.0)


def _jump(world: World, seconds: float) -> None:
    folder = world.run_of()

    def before() -> None:
        slowly(0.1)()
        _clock(seconds)

    child = begin(folder, resume=False, before=before)
    wait_for(lambda: folder.last("checkpoint") is not None or child.ended_within(0))
    time.sleep(1.5)
    if not child.ended_within(0):
        world.expect(folder.state == "running", f"while it trains it is {folder.state}")
        try:
            launch.start(folder, resume=True)
            world.expect(False, "a second trainer starts on a run that is trained")
        except HsiError as error:
            world.hear(str(error), "is being trained already")
    world.expect(child.wait() == 0, f"it ends with {child.code}")
    world.resumes(folder)
    world.whole()


@case("a computer whose clock is set while a run trains and a window is open")
def clock_set(world: World) -> None:
    folder = world.run_of()
    child = begin_slowly(folder)
    real = psutil._pslinux.boot_time
    psutil._pslinux.boot_time = lambda: real() + 3600.0  # what the system says of its start moves with the clock
    try:
        world.expect(folder.alive, "a trainer that lives is said to be gone")
        launch.start(folder, resume=True)
        world.expect(False, "a second trainer starts on a run that is trained")
    except HsiError as error:
        world.hear(str(error), "is being trained already")
    finally:
        psutil._pslinux.boot_time = real
    world.expect(child.wait() == 0, f"it ends with {child.code}")
    world.resumes(folder)
    world.whole()


# -- windows -------------------------------------------------------------------------------------------------------------------


@case("a trainer whose parent is killed goes on")
def orphan(world: World) -> None:
    folder = world.run_of()

    def parent() -> int:
        child = begin(folder, resume=False, before=slowly())
        return child.wait()

    log = world.place / "parent.txt"
    above = Child(parent, log)
    wait_for(lambda: folder.last("checkpoint") is not None)
    above.kill()
    world.expect(folder.state == "running", f"the run is {folder.state}")
    found = run(launch.follow(folder))
    world.expect(found["steps"] > 0 and folder.state == "finished", "it did not go on to its end")
    world.resumes(folder)
    world.whole()
