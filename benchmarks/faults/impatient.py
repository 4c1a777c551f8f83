"""The trainer with ranks that wait for one another for seconds once they train, and rest after steps: ``python -m impatient RUN_FOLDER``."""

from __future__ import annotations

import sys
from datetime import timedelta

import torch.distributed as dist
from cases import slowly
from torch.distributed import distributed_c10d

from napari_hsi_ssl.learning import loop
from napari_hsi_ssl.runs import train

real = loop.fit


def fit(*arguments, **options):
    distributed_c10d._set_pg_timeout(timedelta(seconds=10), dist.group.WORLD)
    return real(*arguments, **options)


loop.fit = fit
slowly(0.2)()
sys.exit(train.main())
