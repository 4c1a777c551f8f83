"""The examples of the documentation run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tifffile

from tests.conftest import REPOSITORY


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


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md", "docs/command-line.md"])
def test_the_commands_in_the_pages_exist(page):
    """A page that names a verb or an option the program does not know sends its reader into an error."""
    from typer.main import get_command

    from napari_hsi_ssl.cli import app

    verbs = get_command(app).commands
    lines = [line.split("#")[0].strip() for line in (REPOSITORY / page).read_text().splitlines()]
    commands = [line.split()[1:] for line in lines if re.match(r"(\.venv/bin/)?napari-hsi-ssl [a-z]", line)]
    table = lines.index("| verb | does |") if "| verb | does |" in lines else len(lines)
    listed = lines[table : lines.index("", table)] if table < len(lines) else []  # other tables are of methods and formats
    rows = [re.match(r"\| `([a-z]+)(.*)\|", line) for line in listed]
    commands += [[row[1], *re.findall(r"--[a-z-]+", row[2])] for row in rows if row]
    assert commands
    for words in commands:
        assert words[0] in verbs, f"{page}: unknown verb in {' '.join(words)}"
        known = {name for parameter in verbs[words[0]].params for name in (*parameter.opts, *parameter.secondary_opts)}
        for word in words[1:]:
            if word.startswith("--"):
                assert word in known, f"{page}: {words[0]} has no option {word}"


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in (REPOSITORY / "docs").glob("*.md"))])
def test_links_between_pages_lead_somewhere(page):
    """A link to a page or picture that is not there."""
    path = REPOSITORY / page
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), f"{page}: {target}"
