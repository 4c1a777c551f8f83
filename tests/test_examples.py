"""The examples of the documentation run as they stand."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.conftest import REPOSITORY

GALLERY = sorted(path.stem for path in (REPOSITORY / "docs" / "examples").glob("*.py") if path.stem != "notebook")


def test_the_notebook_example_ends_with_a_map(tmp_path: Path):
    """Its code is what users copy first."""
    pytest.importorskip("tensorly")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "docs" / "examples" / "notebook.py"), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    maps = list((tmp_path / "project" / "maps").glob("pines--short--knn.tif"))
    assert len(maps) == 1
    labels = tifffile.imread(maps[0])
    assert labels.shape == (64, 96)
    assert (labels > 0).any()
    accuracy = float(re.search(r"overall accuracy on the test blocks: ([0-9.]+)", done.stdout)[1])
    assert 0.2 < accuracy <= 1, "worse than guessing among the classes of this part"


@pytest.mark.parametrize("name", GALLERY)
def test_an_example_of_the_gallery_leaves_the_picture_that_the_page_shows(name, tmp_path, monkeypatch):
    """In this process, so that torch and scikit-learn are imported once for all of them."""
    pytest.importorskip("tensorly")
    monkeypatch.setattr(sys, "argv", [f"{name}.py", str(tmp_path)])
    runpy.run_path(str(REPOSITORY / "docs" / "examples" / f"{name}.py"), run_name="__main__")
    shown, made = (
        np.asarray(Image.open(folder / f"{name}.png").convert("RGB"), dtype=float) for folder in (REPOSITORY / "docs" / "images" / "gallery", tmp_path)
    )
    assert shown.shape == made.shape, "make it again: python scripts/gallery.py"
    # Trainings differ a little between computers, and so may a map's pixels.
    assert np.abs(shown - made).mean() < 12, "make it again: python scripts/gallery.py"
