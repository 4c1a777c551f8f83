"""The command line: parses, calls a step, prints. No logic. How a verb runs on a terminal is told in `terminal`."""

from __future__ import annotations

import sys

# The verbs register themselves; `--help` lists them in this order.
from napari_hsi_ssl.cli import data as data  # isort: skip
from napari_hsi_ssl.cli import view as view  # isort: skip
from napari_hsi_ssl.cli import prepare as prepare  # isort: skip
from napari_hsi_ssl.cli import spectra as spectra  # isort: skip
from napari_hsi_ssl.cli import scatter as scatter  # isort: skip
from napari_hsi_ssl.cli import devices as devices  # isort: skip
from napari_hsi_ssl.cli import training as training  # isort: skip
from napari_hsi_ssl.cli import runs as runs  # isort: skip
from napari_hsi_ssl.cli import results as results  # isort: skip
from napari_hsi_ssl.cli import window as window  # isort: skip
from napari_hsi_ssl.cli import paint as paint  # isort: skip
from napari_hsi_ssl.cli import splits as splits  # isort: skip
from napari_hsi_ssl.cli import reports as reports  # isort: skip
from napari_hsi_ssl.cli import baselines as baselines  # isort: skip
from napari_hsi_ssl.terminal import app


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    app()
