"""The step before the cut: the preview writes nothing, and the sheet shows patches as the network will see them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from napari_hsi_ssl.cli import app
from napari_hsi_ssl.config import PatchConfig, PcaConfig
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import run
from napari_hsi_ssl.steps.cubes import new
from napari_hsi_ssl.steps.patches import cut_patches, example_patches, false_colour_bands, preview_patches, preview_report
from napari_hsi_ssl.steps.pca import fit_pca
from tests.gui.conftest import write_cube

CONFIG = PatchConfig(size=6, coverage=0.3, split="blocks", per_domain=3)


@pytest.fixture
def project(tmp_path):
    paths = [write_cube(tmp_path / "raw" / domain / f"{domain}.hdr", (30, 28, bands), seed) for seed, (domain, bands) in enumerate((("tea", 12), ("salt", 9)))]
    run(new(tmp_path / "project", paths))
    opened = Project.open(tmp_path / "project")
    y, x = np.mgrid[:30, :28]
    opened.save_mask("tea", (y - 15) ** 2 + (x - 14) ** 2 < 144)
    return opened


def everything(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_preview_tells_what_the_cut_gives_and_writes_nothing(project):
    before = everything(project.folder)
    seen = run(preview_report(project, CONFIG))
    assert everything(project.folder) == before
    report = run(cut_patches(project, CONFIG))
    assert {key: seen[key] for key in ("count", "size", "per_domain", "left_out", "notes", "settings")} == {
        key: report[key] for key in ("count", "size", "per_domain", "left_out", "notes", "settings")
    }
    assert sum(seen["before"]["salt"].values()) > 3 == sum(seen["per_domain"]["salt"].values())
    assert seen["windows"]["tea"]["too_little"] > 0
    json.dumps(seen)


def test_on_the_command_line(project, tmp_path):
    sheet = tmp_path / "sheet.png"
    words = ["patches", str(project.folder), "--size", "6", "--coverage", "0.3", "--preview", "--sheet", str(sheet), "--json"]
    before = everything(project.folder)
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["count"] > 0
    assert report["windows"]["salt"]["enough"] > 0
    assert everything(project.folder) == before
    with Image.open(sheet) as image:
        assert image.format == "PNG"
        assert {(230, 159, 0), (86, 180, 233)} <= {colour for _, colour in image.convert("RGB").getcolors(2**24)}
    assert CliRunner().invoke(app, [*words[:6], "--sheet", str(tmp_path / "cut.png")]).exit_code == 0
    assert (tmp_path / "cut.png").exists()
    assert Project.open(project.folder).patches is not None


def test_a_sheet_of_another_kind_is_refused_before_anything_is_cut(project, tmp_path):
    with pytest.raises(ConfigError, match=r"'sheet\.gif', expected a name that ends in \.png"):
        run(cut_patches(project, CONFIG, tmp_path / "sheet.gif"))
    assert Project.open(project.folder).patches is None


def test_settings_that_give_nothing_are_one_sentence(project, tmp_path):
    huge = PatchConfig(size=100)
    assert "smaller than the window" in run(preview_report(project, huge))["trouble"]
    with pytest.raises(ConfigError, match="no sheet is drawn"):
        run(preview_report(project, huge, tmp_path / "sheet.png"))


@pytest.mark.parametrize("with_pca", [False, True])
@pytest.mark.parametrize("background", ["mean", "zero", "keep"])
def test_examples_are_filled_as_the_network_gets_them(project, with_pca, background):
    """The corner patches of a disc hold background: filled, it is of one colour; kept, it is the camera's."""
    if with_pca:
        run(fit_pca(project, PcaConfig(bands=8, components=4)))
    config = CONFIG.model_copy(update={"background": background, "per_domain": None})
    seen = run(preview_patches(project, config))
    found = run(example_patches(project, seen.index, config, each=40))
    area = project.area("tea")
    partly = [example for example in found if example.cube == "tea" and example.coverage < 1]
    assert partly
    colours = set()
    for example in partly:
        outside = ~area[example.y : example.y + 6, example.x : example.x + 6]
        assert example.picture.shape == (6, 6, 3)
        assert outside.mean() == pytest.approx(1 - example.coverage, abs=1e-6)
        colours |= {tuple(colour) for colour in example.picture[outside].tolist()}
    assert len(colours) > 1 if background == "keep" else len(colours) == 1
    assert {example.domain for example in found} == {"tea", "salt"}


@pytest.mark.parametrize(
    ("centres", "bands"),
    [
        (np.arange(400, 1001, 10.0), [46, 25, 15]),
        (np.arange(400, 701, 10.0), [24, 15, 6]),
        (np.arange(1000, 2501, 100.0), [11, 8, 4]),
        (None, [8, 6, 3]),
    ],
)
def test_false_colour_bands(centres, bands):
    assert false_colour_bands(centres, 12 if centres is None else len(centres)) == bands
