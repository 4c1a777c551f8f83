"""A process with little memory left that tries which batch fits, started by a test: prints the sentence."""

from __future__ import annotations

import resource
import sys

import torch

from napari_hsi_ssl.config import TrainerConfig
from napari_hsi_ssl.learning.devices import make_fabric
from napari_hsi_ssl.learning.loop import Share
from napari_hsi_ssl.learning.trials import too_large

MEGABYTE = 1 << 20


class Hungry:
    """Takes eight megabytes a window: ones and their squares."""

    batch, steps_per_epoch = 512, 1

    def __init__(self) -> None:
        self.model = torch.nn.Linear(MEGABYTE, 1, bias=False)

    def loss(self, model, step: int, share: Share):
        return model(torch.ones(share.batch, MEGABYTE).square()).sum()


fabric = make_fabric(TrainerConfig(accelerator="cpu", devices=1, precision="32"))
fabric.launch()
objective = Hungry()
objective.loss(objective.model, 0, Share(2, 0, 1, fabric.device)).backward()  # what torch needs once is there
with open("/proc/self/statm") as stream:
    used = int(stream.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 400 * MEGABYTE, resource.RLIM_INFINITY))
sys.stdout.write(too_large(fabric, objective, 1))
