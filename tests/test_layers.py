"""The layers of the package hold, and the check that says so can fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the package that lies in a folder."""
    code = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def test_imports_go_down_only():
    """A failure names the import that goes up; move the code, not the contract."""
    done = lint_imports(REPOSITORY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("metrics/intruder.py", "import napari_hsi_ssl.runs.folder", "imports go down only"),
        ("explore/intruder.py", "def f():\n    import napari_hsi_ssl.steps", "imports go down only"),
        ("steps/intruder.py", "from qtpy import QtWidgets", "only the window knows napari and Qt"),
        ("gui/intruder.py", "def f():\n    import torch", "no torch below learning"),
    ],
)
def test_an_import_that_goes_up_is_found(tmp_path: Path, module: str, line: str, contract: str):
    """Were the contracts to name modules that are no longer there, everything would pass for ever."""
    shutil.copytree(REPOSITORY / "napari_hsi_ssl", tmp_path / "napari_hsi_ssl", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    (tmp_path / "napari_hsi_ssl" / module).write_text(line + "\n")
    done = lint_imports(tmp_path)
    assert done.returncode != 0
    assert f"{contract} BROKEN" in done.stdout
    assert "intruder" in done.stdout
