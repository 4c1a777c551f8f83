"""Exports on the command line: cubes in every format, maps with the place of their cube, and wrong input in one sentence."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import rasterio
from typer.testing import CliRunner

from napari_hsi_ssl.cli import app
from napari_hsi_ssl.cubes.cube import Classes, ClassMap, as_cube
from napari_hsi_ssl.cubes.cube_writers import write_cube
from napari_hsi_ssl.cubes.readers import read_cube
from napari_hsi_ssl.cubes.writers import save_map

UTM = "UTM, 1, 1, 366015, 5809965, 30, 30, 33, North, WGS-84, units=Meters"
VALUES = np.random.default_rng(8).random((10, 12, 9)).astype("f4")


def command(*words: object, code: int = 0) -> dict:
    result = CliRunner().invoke(app, [*map(str, words), "--json"], catch_exceptions=False)
    assert result.exit_code == code, result.output
    answer: dict = json.loads(result.stdout.splitlines()[-1])
    return answer


@pytest.fixture
def cube(tmp_path):
    path = tmp_path / "raw" / "scene.hdr"
    write_cube(path, as_cube(VALUES, np.linspace(400, 900, 9), "reflectance", "scene", map_info=UTM))
    return path


@pytest.mark.parametrize("ending", [".hdr", ".tif", ".zarr"])
def test_a_cube_goes_through_the_command_line(cube, tmp_path, ending):
    """Else exporting would need the window."""
    to = tmp_path / f"out{ending}"
    assert command("export", cube, "--to", to)["to"] == str(to)
    assert command("info", to)["shape"] == [10, 12, 9]
    command("new", tmp_path / "project", "--cubes", to)
    assert np.array_equal(np.asarray(read_cube(to).data), VALUES)
    assert "a cube is exported as one of .hdr (ENVI), .tif (GeoTIFF), .zarr (Zarr)" in command("export", cube, "--to", tmp_path / "a.png", code=1)["error"]


def test_a_store_and_a_folder_are_added_and_masked(cube, tmp_path):
    """Else a Zarr store could be looked at but not worked with."""
    command("export", cube, "--to", tmp_path / "stores" / "one.zarr")
    made = command("new", tmp_path / "project", "--cubes", tmp_path / "stores")
    assert [(row["name"], row["domain"]) for row in made["cubes"]] == [("one", "stores")]
    assert [row["name"] for row in command("add", tmp_path / "project", tmp_path / "stores" / "one.zarr", "--name", "two")["cubes"]] == ["two"]
    command("mask", tmp_path / "project")
    assert command("pca", tmp_path / "project", "--components", 3)["cubes"] == ["one", "two"]


@pytest.mark.parametrize("damage", ["chunks", "metadata", "top"])
def test_a_store_that_was_cut_off_is_named(cube, tmp_path, damage):
    """Else half a store would be added as a whole one."""
    path = tmp_path / "stores" / "one.zarr"
    command("export", cube, "--to", path)
    if damage == "chunks":
        next(file for file in (path / "reflectance").iterdir() if not file.name.startswith(".")).unlink()
    elif damage == "metadata":
        (path / "reflectance" / ".zarray").write_text("{")
    else:
        shutil.rmtree(path)
        path.mkdir()
    for words in (["info", path], ["new", tmp_path / "project", "--cubes", path]):
        error = command(*words, code=1)["error"]
        assert "one.zarr" in error
        assert "\n" not in error
    assert not (tmp_path / "project").exists()


@pytest.mark.parametrize("start", [".hdr", ".tif"])
def test_a_map_lies_over_its_scene(cube, tmp_path, start):
    """Else a map would lie beside its scene in a GIS."""
    command("export", cube, "--to", tmp_path / "in" / f"scene{start}")
    command("new", tmp_path / "project", "--cubes", tmp_path / "in" / f"scene{start}")
    labels = np.random.default_rng(1).choice([0, 2, 5], (10, 12)).astype(np.int32)
    path = tmp_path / "project" / "maps" / "scene--run--knn.tif"
    save_map(path, ClassMap(labels, Classes.of([2, 5]), np.ones((10, 12), "f4"), {"cube": "scene"}))
    for name, opened in (("map.tif", "map.tif"), ("map.hdr", "map.img")):
        command("export", path, "--to", tmp_path / name)
        with rasterio.open(tmp_path / opened) as theirs:
            assert np.array_equal(theirs.read(1), labels)
            assert theirs.crs.to_epsg() == 32633
            assert theirs.transform[:6] == (30, 0, 366015, 0, -30, 5809965)
            assert theirs.colormap(1)[2][:3] == tuple(int(Classes.of([2, 5]).colours[0][place : place + 2], 16) for place in (1, 3, 5))
    for name in ("map.png", "map.csv"):
        command("export", path, "--to", tmp_path / name)
        assert (tmp_path / name).stat().st_size > 20
