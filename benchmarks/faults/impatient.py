"""The trainer with ranks that wait for one another for seconds instead of minutes: ``python -m impatient RUN_FOLDER [--resume]``."""

from __future__ import annotations

import sys
from datetime import timedelta

from cases import slowly

from napari_hsi_ssl.learning import devices
from napari_hsi_ssl.runs import train

devices.SILENCE = timedelta(seconds=12)
slowly(0.2)()
sys.exit(train.main())
