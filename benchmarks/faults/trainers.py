"""Kills of the trainer: each run is killed up to three times, resumed to its end and compared with the undisturbed run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from child import Child
from safetensors.numpy import load as load_tensors
from world import begin, leftovers, settled, train_calmly

from napari_hsi_ssl import files
from napari_hsi_ssl.learning.checkpoint import load_state
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs import launch
from napari_hsi_ssl.runs.folder import RunFolder

_AIMED = 0.3
"""Share of the kills that wait, from their random moment on, until the trainer is writing a file."""
REAL_EVERY = 8
"""Every so many runs are started as a command or a window does: as a new process that imports everything first."""


def kill_runs(project: Project, kind: str, number: int, seed: int) -> list[dict[str, Any]]:
    """Kill one run at random moments; returns what was found after each kill."""
    life = train_calmly(project, kind)
    calm = RunFolder(project.folder / "runs" / f"calm-{kind}")
    path = project.folder / "runs" / f"{kind}-{number}"
    found: list[dict[str, Any]] = []
    draws = np.random.default_rng((seed, number, list("pd").index(kind[0])))
    while not found:
        folder = fresh_run(path, calm)
        for chance in range(int(draws.integers(1, 4))):
            real = number % REAL_EVERY == 0 and chance == 0
            child = _really(folder) if real else begin(folder, resume=folder.checkpoints.exists())
            if not _killed(child, draws.uniform(0, 6.0 if real else life), folder if draws.random() < _AIMED else None):
                break
            found.append({"kind": kind, "run": folder.name, **_look(project, folder, calm)})
    trouble = finish(folder, calm)
    found[-1]["trouble"] += trouble
    if not any(kill["trouble"] for kill in found):
        shutil.rmtree(path)
    return found


def fresh_run(path: Path, calm: RunFolder) -> RunFolder:
    """Make a run that is ready to start, on the inputs of the undisturbed one."""
    shutil.rmtree(path, ignore_errors=True)  # also of a harness that was itself killed
    shutil.copytree(calm.path / "inputs", path / "inputs")
    return RunFolder.create(path, calm.config)


def _really(folder: RunFolder) -> subprocess.Popen[bytes]:
    launch.start(folder, resume=folder.checkpoints.exists())
    return launch._children[-1]


def _killed(child: Child | subprocess.Popen[bytes], age: float, aim: RunFolder | None) -> bool:
    if isinstance(child, Child):
        if child.ended_within(age):
            return False
        while aim is not None and child.code is None and not any(name[0] == "." for place in (aim.path, aim.checkpoints) for name in _names(place)):
            child.ended_within(0)
        return child.kill()
    try:
        child.wait(age)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        return True
    return False


def _names(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.exists() else []


def _look(project: Project, folder: RunFolder, calm: RunFolder) -> dict[str, Any]:
    """Look at what a killed trainer has left."""
    trouble: list[str] = []
    opened = Project.open(project.folder)
    if folder.name not in {one.name for one in opened.runs()}:
        trouble.append("the run is gone from the project")
    state = folder.state
    if state not in {"new", "stopped", "finished"}:
        trouble.append(f"its state is {state}")
    told = int((folder.last("checkpoint") or {}).get("step", 0))
    torn = leftovers(folder.path)
    kept = []
    try:
        for name in ("config.json", "model.json", "result.json"):
            if (folder.path / name).exists():
                json.loads((folder.path / name).read_text())
        if folder.model_path.exists():
            load_tensors(folder.model_path.read_bytes())
        if (folder.path / "embedding.npz").exists():
            with np.load(folder.path / "embedding.npz", allow_pickle=False) as content:
                _ = [content[key] for key in content.files]
        kept = [load_state(one)["step"] for one in folder.checkpoints.glob("step-*.pt")]
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the harness looks for
        trouble.append(f"half a file was taken for a whole one: {error}")
    if told > max(kept, default=0):
        trouble.append(f"step {told} was said to be saved, but only {kept} are")
    if folder.result is not None and folder.model_path.read_bytes() != calm.model_path.read_bytes():
        trouble.append("a finished run has another model")
    return {"state": state, "step": (folder.last("step") or {}).get("step", 0), "saved": told, "while_writing": bool(torn), "trouble": trouble}


def finish(folder: RunFolder, calm: RunFolder) -> list[str]:
    """Resume a run to its end and return in what it differs from the undisturbed one."""
    code = begin(folder, resume=folder.checkpoints.exists()).wait()
    if code != 0 or folder.state != "finished":
        return [f"resumed it ends with {code}, {folder.state}: {launch.last_line(folder.log_path)}"]
    trouble = [f"{name} differs" for name in ("model.safetensors", "model.json") if not _same(folder.path / name, calm.path / name)]
    if settled(folder.result) != settled(calm.result):
        trouble.append("the result differs")
    ours, theirs = ([(event["epoch"], event["loss"]) for event in one.history() if event["type"] == "epoch"] for one in (folder, calm))
    if ours != theirs:
        trouble.append(f"the epochs differ: {ours} and {theirs}")
    lying = leftovers(folder.path)
    return trouble + ([f"temporary files are left: {lying}"] if lying else [])


def _same(one: Path, other: Path) -> bool:
    return one.exists() and files.file_hash(one) == files.file_hash(other)
