"""The verb that makes a picture: what it writes, what it tells, and one sentence where it cannot."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from napari_hsi_ssl.cli import app
from napari_hsi_ssl.config import ViewConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.steps import cubes
from napari_hsi_ssl.steps.view import view
from tests.gui.conftest import write_cube


@pytest.fixture
def beans(tmp_path):
    return write_cube(tmp_path / "raw" / "beans.hdr", (24, 20, 40))


def told(*arguments):
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    return done.exit_code, json.loads(done.stdout.strip().splitlines()[-1])


def test_a_picture_of_a_file(beans, tmp_path):
    code, report = told("view", beans, "--kind", "bands", "--wavelengths", "640,550,460", "--to", tmp_path / "seen.png")
    assert code == 0
    assert report["kind"] == "bands"
    np.testing.assert_allclose(report["nm"], (640, 550, 460), atol=8)
    assert report["shape"] == [24, 20]
    image = np.asarray(Image.open(tmp_path / "seen.png"))
    assert image.shape == (24, 20, 3)
    assert image[12, 10].mean() > image[0, 0].mean() + 100


def test_bands_alone_say_which_kind(beans, tmp_path):
    assert told("view", beans, "--bands", "3", "--to", tmp_path / "a.png")[1]["kind"] == "band"
    assert told("view", beans, "--bands", "3,2,1", "--to", tmp_path / "a.png")[1]["bands"] == [3, 2, 1]


def test_a_cube_of_a_project(beans, tmp_path):
    other = write_cube(tmp_path / "raw" / "sugar.hdr", (9, 8, 12))
    run(cubes.new(tmp_path / "project", [beans, other]))
    code, report = told("view", tmp_path / "project", "--to", tmp_path / "a.png")
    assert code == 1
    assert "--cube NAME is needed" in report["error"]
    code, report = told("view", tmp_path / "project", "--cube", "sugar", "--step", "2", "--to", tmp_path / "a.png")
    assert code == 0
    assert report["shape"] == [5, 4]


def test_wrong_wishes(beans, tmp_path):
    target = tmp_path / "a.png"
    assert "band 99 does not exist" in told("view", beans, "--bands", "99", "--to", target)[1]["error"]
    assert "stretch" in told("view", beans, "--stretch", "98,2", "--to", target)[1]["error"]
    assert told("view", beans, "--stretch", "a,b", "--to", target)[0] == 2
    assert "ending in .png" in told("view", beans, "--to", tmp_path / "a.jpg")[1]["error"]
    assert not target.exists()


def test_the_note_of_a_cube_without_visible_bands(tmp_path):
    values = as_cube(np.random.default_rng(0).random((6, 5, 50)), np.linspace(1000, 2500, 50), "reflectance", "rock")
    report = run(view(values, ViewConfig(), tmp_path / "rock.png"))
    assert report["kind"] == "false"
    assert "1000 to 2500 nm" in report["note"]
    with pytest.raises(ConfigError, match="true colour"):
        run(view(values, ViewConfig(kind="true"), tmp_path / "rock.png"))
