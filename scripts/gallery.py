"""Run every example of the gallery and keep its picture in docs/images/gallery, as the pages show it."""

from __future__ import annotations

import runpy
import shutil
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"

for example in sorted((DOCS / "examples").glob("*.py")):
    if example.stem == "notebook":
        continue
    with tempfile.TemporaryDirectory() as folder:
        sys.argv = [example.name, folder]
        runpy.run_path(str(example), run_name="__main__")
        (DOCS / "images" / "gallery").mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(folder) / f"{example.stem}.png", DOCS / "images" / "gallery")
