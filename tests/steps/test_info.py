"""A folder is described where it stands for one cube; the export says what is missing; a map's seconds are all of them."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_hsi_ssl.cli import app
from napari_hsi_ssl.config import ClassifyConfig
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import cubes, features
from napari_hsi_ssl.steps.classify import classify
from napari_hsi_ssl.steps.labels import save_painted
from tests.gui.conftest import write_cube


def command(*words: object, code: int = 0) -> dict:
    result = CliRunner().invoke(app, [*map(str, words), "--json"], catch_exceptions=False)
    assert result.exit_code == code, result.output
    answer: dict = json.loads(result.stdout.splitlines()[-1])
    return answer


def test_a_folder_that_new_takes_is_described(tmp_path):
    """Else `info` refuses what `new --cubes` takes."""
    path = write_cube(tmp_path / "raw" / "beans" / "one.hdr")
    (tmp_path / "raw" / "readme.txt").write_text("notes")
    assert command("info", tmp_path / "raw") == command("info", path)
    assert command("info", tmp_path / "raw", "--check")["saturated"] == 0


def test_a_folder_of_several_lists_them(tmp_path):
    for number in range(8):
        write_cube(tmp_path / "raw" / f"c{number}.hdr", (6, 5, 4))
    said = command("info", tmp_path / "raw", code=1)["error"]
    assert said.endswith("raw holds 8 cubes, expected one to describe; name one of them: c0.hdr, c1.hdr, c2.hdr, c3.hdr, c4.hdr, c5.hdr and 2 more."), said
    (tmp_path / "none").mkdir()
    assert "holds no cube" in command("info", tmp_path / "none", code=1)["error"]


@pytest.mark.parametrize("to", ["x.csv", "x.hdr"])
def test_what_is_not_there_is_not_exported(tmp_path, to):
    """Else a name that was mistyped is answered with the formats of cubes."""
    said = command("export", tmp_path / "maps" / "none.tif", "--to", tmp_path / to, code=1)["error"]
    assert said == f"{tmp_path / 'maps' / 'none.tif'} does not exist, expected a map (.tif), a cube or the folder of a run; check the path."


def test_the_seconds_of_a_map_count_the_embedding(tmp_path, monkeypatch):
    """Else a map that took seven seconds says two."""
    made = features.embeddings

    def slow(*given):
        time.sleep(0.5)
        return (yield from made(*given))

    monkeypatch.setattr(features, "embeddings", slow)
    run(cubes.new(tmp_path / "project", [write_cube(tmp_path / "raw" / "one.hdr")]))
    project = Project.open(tmp_path / "project")
    run(save_painted(project, "one", np.tri(24, 20, dtype=np.int32) + 1, {1: "a", 2: "b"}))
    report = run(classify(project, "training-free", ClassifyConfig(references=40), ["one"]))
    assert report["seconds"] >= 0.5 + report["maps"][0]["seconds"]
