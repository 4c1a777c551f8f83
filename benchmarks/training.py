"""Pretraining throughput on this computer: patches a second (both views), and what data and views cost of it.

    python benchmarks/training.py [--recipe poster] [--batch-size 64] [--window 32] [--seconds 15] [--precision 32 bf16]

Patches are 32 × 32 × 30 of random cubes; everything of a training step but its events is timed: gathering, both views, network,
NT-Xent, AdamW. The median step counts, for other programs on the computer disturb the mean.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from napari_hsi_ssl.config import PretrainConfig
from napari_hsi_ssl.learning.checkpoint import build_model
from napari_hsi_ssl.learning.data import PatchStore, input_settings
from napari_hsi_ssl.learning.devices import describe, make_fabric
from napari_hsi_ssl.learning.encoder import channels_last, multiply_adds, parameters
from napari_hsi_ssl.learning.loop import Share
from napari_hsi_ssl.learning.pretraining import Pretraining
from napari_hsi_ssl.patches.index import PatchIndex

CHANNELS, SIDE, CUBES = 30, 160, 8


def random_store(window: int) -> PatchStore:
    draws = np.random.default_rng(0)
    images = {f"c{n}": draws.standard_normal((SIDE, SIDE, CHANNELS), dtype=np.float32).astype(np.float16) for n in range(CUBES)}
    grid = range(0, SIDE - window + 1, max(1, window // 2))
    places = np.array([(c, y, x) for c in range(CUBES) for y in grid for x in grid], dtype=np.int32)
    zeros = np.zeros(len(places), dtype=np.int32)
    index = PatchIndex(tuple(images), ("d",), *places.T, zeros, zeros.astype(np.uint8), np.ones(len(places), dtype=np.float32), window)
    card = {"channels": CHANNELS, "input": input_settings(np.zeros(CHANNELS), np.linspace(1, 0.05, CHANNELS), "pcs", "mean")}
    return PatchStore(index, images, {}, card)


def median_time(do: Callable[[int], object], seconds: float) -> float:
    for step in range(5):
        do(step)
    times: list[float] = []
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        do(len(times))
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(config: PretrainConfig, window: int, seconds: float) -> dict[str, object]:
    architecture = {"trunk": config.trunk.model_dump(mode="json"), "projection": config.projection}
    model = build_model({"kind": "pretrain", "channels": CHANNELS, "architecture": architecture}, seed=0)
    channels_last(model)
    objective = Pretraining(model, random_store(window), config)
    fabric = make_fabric(config)
    fabric.launch()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    wrapped, stepper = fabric.setup(model, optimizer)
    share = Share(config.batch_size, 0, 1, fabric.device)

    def train(step: int) -> None:
        fabric.backward(objective.loss(wrapped, step, share))
        stepper.step()
        stepper.zero_grad()
        if fabric.device.type == "cuda":
            torch.cuda.synchronize()

    whole = median_time(train, seconds)
    data = median_time(lambda step: objective.views(step, share), seconds / 5)
    return {
        "recipe": config.recipe,
        "precision": fabric.strategy.precision.precision,
        "device": describe(fabric),
        "batch_size": config.batch_size,
        "patch": [window, window, CHANNELS],
        "patches_per_second": round(config.batch_size / whole, 1),
        "step_ms": round(1000 * whole, 1),
        "data_share": round(data / whole, 3),
        "parameters": parameters(model),
        "multiply_adds_per_patch": multiply_adds(model, CHANNELS, window),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="poster")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--window", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--precision", nargs="+", default=["32", "bf16"])
    given = parser.parse_args()
    for precision in given.precision:
        settings = {"batch_size": given.batch_size, "precision": precision, "devices": 1, "accelerator": given.accelerator}
        print(json.dumps(measure(PretrainConfig.from_recipe(given.recipe, **settings), given.window, given.seconds)))


if __name__ == "__main__":
    main()
