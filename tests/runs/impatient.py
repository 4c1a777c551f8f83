"""The trainer, whose ranks wait for one another for seconds once they train: ``python -m tests.runs.impatient RUN_FOLDER [--resume]``."""

from __future__ import annotations

import sys
from datetime import timedelta

import torch.distributed as dist
from torch.distributed import distributed_c10d

from napari_hsi_ssl.learning import loop
from napari_hsi_ssl.runs import train

real = loop.fit


def fit(*arguments, **options):
    distributed_c10d._set_pg_timeout(timedelta(seconds=5), dist.group.WORLD)
    return real(*arguments, **options)


loop.fit = fit
sys.exit(train.main())
