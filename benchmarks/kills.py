"""Random `kill -9` of a training: each killed run is resumed to its end, and its weights are compared with an undisturbed run's, byte by byte.

    python benchmarks/kills.py WORK [--kills 50] [--steps 60] [--seed 0]

A small SimCLR training on the synthetic laboratory (poster network, windows of 16, batches of 32, float32 on the CPU) that saves its
state after nearly every step, so that many kills strike while it is being written. A kill strikes at a moment drawn from the whole
life of the trainer, its start included. The command can itself be killed and started again: `WORK/kills.json` holds what is done.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import psutil

from napari_hsi_ssl import files
from napari_hsi_ssl.config import PatchConfig, PcaConfig, PretrainConfig
from napari_hsi_ssl.errors import ProjectError
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs import launch
from napari_hsi_ssl.runs.folder import RunFolder
from napari_hsi_ssl.steps.patches import cut_patches
from napari_hsi_ssl.steps.pca import fit_pca
from napari_hsi_ssl.steps.samples import laboratory_project
from napari_hsi_ssl.steps.train import pretrain, start_again

CALM = "calm"


def open_project(folder: Path) -> Project:
    """Open the project, or make it."""
    try:
        project = Project.open(folder)
    except ProjectError:
        project = run(laboratory_project(folder))
    if project.inlet is None:
        run(fit_pca(project, PcaConfig(bands=64, components=10)))
    if project.patches is None:
        run(cut_patches(project, PatchConfig(size=16, stride=16)))
    return project


def train_calmly(project: Project, steps: int) -> float:
    """Train without a kill, unless that is done, and return the seconds from the start of the process to its end."""
    folder = RunFolder(project.folder / "runs" / CALM)
    if folder.result is None:
        shutil.rmtree(folder.path, ignore_errors=True)
        settings = {"epochs": steps, "max_steps": steps, "batch_size": 32, "accelerator": "cpu", "devices": 1, "precision": "32", "checkpoint_minutes": 1e-4}
        run(pretrain(project, PretrainConfig.from_recipe("poster", **settings), run=CALM))
    launched, finished = folder.last("launched"), folder.last("finished")
    assert launched is not None
    assert finished is not None
    return float(finished["time"] - launched["time"])


def kill_once(project: Project, name: str, after: float) -> dict[str, object] | None:
    """Start a run, kill it after so many seconds and resume it; None when it had ended before."""
    folder = RunFolder(project.folder / "runs" / name)
    shutil.rmtree(folder.path, ignore_errors=True)  # of a command that was itself interrupted
    run(start_again(project, project.folder / "runs" / CALM / "config.json", kind="pretrain", run=name, detach=True))
    launched = folder.last("launched")
    assert launched is not None
    time.sleep(max(0.0, launched["time"] + after - time.time()))
    if folder.result is not None:
        return None
    trainer = psutil.Process(launched["pid"])
    trainer.kill()
    trainer.wait()
    step = (folder.last("step") or {}).get("step", 0)
    torn = any(folder.checkpoints.glob(".step-*"))
    launch.start(folder, resume=folder.checkpoints.exists())
    run(launch.follow(folder))
    resumed = (folder.last("resumed") or {}).get("step", 0)
    same = folder.model_path.read_bytes() == (project.folder / "runs" / CALM / "model.safetensors").read_bytes()
    if same:
        shutil.rmtree(folder.path)
    return {"run": name, "after": round(after, 2), "told_step": step, "while_saving": torn, "resumed_from": resumed, "same": same}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    project = open_project(given.work / "project")
    life = train_calmly(project, given.steps)
    path = given.work / "kills.json"
    done = json.loads(path.read_text()) if path.exists() else []
    for number in range(len(done), given.kills):
        draws = np.random.default_rng((given.seed, number))
        found = None
        while found is None:
            found = kill_once(project, f"kill-{number}", draws.uniform(0, life))
        done.append(found)
        files.write_json(path, done)
        print(json.dumps(found), file=sys.stderr, flush=True)
    saving, same = (sum(bool(kill[field]) for kill in done) for field in ("while_saving", "same"))
    early = sum(not kill["told_step"] for kill in done)
    print(json.dumps({"kills": len(done), "while_saving": saving, "before_the_first_step": early, "same_bytes": same}))
    sys.exit(same != len(done))


if __name__ == "__main__":
    main()
