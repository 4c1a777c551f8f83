"""The demonstration, whole and short: the main job on the real sample, ending in the window."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
from PIL import Image

from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps.demo import demo

_PROGRAM = """
import sys
from pathlib import Path
from napari_hsi_ssl.gui.demo import show
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.steps.demo import demo
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    report = run(demo(folder, epochs=1, distil_epochs=2))
    show(Path(report["project"]), report["maps"], report["scores"], folder)
"""


def test_the_demonstration_ends_with_scored_maps_and_pictures_of_the_window(tmp_path):
    words = [sys.executable, "-W", "ignore", "-c", _PROGRAM, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "result.json").read_text())
    assert report["audit"]["overlap_share"] == 0, "the figures stand on windows that share nothing"
    for method in ("knn", "linear", "distil"):
        assert report["scores"][method]["oa"] > report["audit"]["position_oa"], "the spectrum tells more than the place"
    assert len(Project.open(tmp_path / "project").maps()) == 3
    pictures = sorted(tmp_path.glob("*.png"))
    assert len(pictures) == 7
    for picture in pictures:
        assert len(np.unique(np.asarray(Image.open(picture).convert("L")))) > 50, f"{picture.name} is nearly empty"


def test_a_second_demonstration_takes_the_place_of_one_that_was_broken_off(tmp_path):
    for _ in range(2):
        steps = demo(tmp_path)
        while not (tmp_path / "project" / "masks").exists():
            next(steps)
        steps.close()
    assert Project.open(tmp_path / "project").labels("indian_pines") is not None
