"""The trainer, which is killed with half of its third state written: ``python -m tests.runs.killed_while_saving RUN_FOLDER [--resume]``."""

from __future__ import annotations

import os
import signal
import sys
from itertools import count
from pathlib import Path

from napari_hsi_ssl import files
from napari_hsi_ssl.runs import train

real, saves = files.write_bytes, count(1)


def write_bytes(path: Path, content: bytes) -> None:
    if path.name.startswith("step-") and next(saves) == 3:
        with files.atomic_path(path) as temporary:
            temporary.write_bytes(content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
    real(path, content)


files.write_bytes = write_bytes
sys.exit(train.main())
