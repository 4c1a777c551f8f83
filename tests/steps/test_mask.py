"""Masks of whole projects: combined, checked on one sheet, and never lost; the command line reaches all of it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from napari_hsi_ssl.cli import app
from napari_hsi_ssl.config import MaskConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.writers import write_envi_cube
from napari_hsi_ssl.errors import ConfigError, LabelError, ProjectError
from napari_hsi_ssl.explore.thumbnails import doubts
from napari_hsi_ssl.progress import Progress
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import run
from napari_hsi_ssl.steps.cubes import crop, new
from napari_hsi_ssl.steps.labels import save_painted
from napari_hsi_ssl.steps.mask import check_masks, make_masks, preview_mask, save_checked
from napari_hsi_ssl.steps.recipe import masks as mask_recipe

PLAIN = {"fill_holes": False, "drop_specks": 0}
TRAY, BEAN, LEAF = np.full(9, 100.0), np.linspace(200, 900, 9), np.linspace(900, 200, 9)


def scene(bean: float, seed: int = 0) -> np.ndarray:
    """A tray with a bean of some radius and a leaf."""
    y, x = np.mgrid[:40, :50]
    values = np.where(((y - 20) ** 2 + (x - 20) ** 2 < bean**2)[..., None], BEAN, TRAY)
    values = np.where(((y > 5) & (y < 15) & (x > 38) & (x < 46))[..., None], LEAF, values)
    return values + np.random.default_rng(seed).normal(0, 2, (40, 50, 9))


@pytest.fixture
def project(tmp_path) -> Project:
    """Five cubes alike but for the last, whose bean is tiny."""
    centres = np.linspace(450, 850, 9)
    for name, bean in (("a", 12), ("b", 11.5), ("c", 12.5), ("d", 11), ("tiny", 0)):
        write_envi_cube(tmp_path / "raw" / f"{name}.hdr", as_cube(scene(bean, len(name)).astype(np.float32), centres, "dn", name))
    run(new(tmp_path / "project", [tmp_path / "raw"]))
    return Project.open(tmp_path / "project")


def command(*words: object, code: int = 0) -> dict:
    result = CliRunner().invoke(app, [*map(str, words), "--json"], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout.splitlines()[-1])


def materials(project: Project, cube: str) -> tuple[np.ndarray, np.ndarray]:
    """Return where bean and leaf are, from the values themselves."""
    values = np.asarray(project.cube(cube).data)
    return np.abs(values - BEAN).mean(axis=-1) < 20, np.abs(values - LEAF).mean(axis=-1) < 20


def test_old_notes_still_load():
    """A project of an older version notes one pixel as [y, x], or null."""
    for at, expected in (([20, 25], ((20, 25),)), (None, ()), ([[1, 2], [3, 4]], ((1, 2), (3, 4))), ([], ())):
        assert MaskConfig.parse({"method": "angle", "at": at, "max_angle": 0.2}).at == expected
    config = MaskConfig(method="kmeans", background=(0, 2), at=[(1, 2)])
    assert MaskConfig.parse(json.loads(config.model_dump_json())) == config
    with pytest.raises(ConfigError, match=r"field 'at\.0' is \[1, 2, 3\]"):
        MaskConfig.parse({"at": [[1, 2, 3]]})


def test_each_method_on_the_command_line(project):
    bean, leaf = materials(project, "a")
    saved = lambda: Project.open(project.folder).mask("a")  # noqa: E731 - a fresh look each time
    options = ("--cube", "a", "--keep-holes", "--drop-specks", 0)
    command("mask", project.folder, *options, "--method", "angle", "--at", "20,20", "--tolerance", 0.1)
    np.testing.assert_array_equal(saved(), bean)
    command("mask", project.folder, *options, "--method", "angle", "--at", "20,20", "--at", "10,42", "--max-angle", 0.1)
    np.testing.assert_array_equal(saved(), bean | leaf)
    command("mask", project.folder, *options, "--method", "grow", "--at", "10,42", "--tolerance", 0.1, "--follow", "mean", "--combine", "subtract")
    np.testing.assert_array_equal(saved(), bean)
    command("mask", project.folder, *options, "--method", "kmeans", "--clusters", 3, "--background", "0")
    np.testing.assert_array_equal(saved(), bean | leaf)
    command("mask", project.folder, *options, "--method", "kmeans", "--clusters", 3, "--foreground", "0")
    np.testing.assert_array_equal(saved(), ~(bean | leaf))


def test_mask_and_not_a_class(project):
    bean, leaf = materials(project, "a")
    run(save_painted(project, "a", np.where(leaf, 3, np.where(bean, 1, 0)), {1: "bean", 3: "leaf"}))
    run(make_masks(project, MaskConfig(method="all"), ["a"]))
    report = command("mask", project.folder, "--cube", "a", "--method", "labels", "--class", 3, "--combine", "subtract")
    np.testing.assert_array_equal(project.mask("a"), ~leaf)
    assert report["cubes"]["a"]["pixels"] == (~leaf).sum()
    run(make_masks(project, MaskConfig(method="labels", combine="intersect"), ["a"]))
    np.testing.assert_array_equal(project.mask("a"), bean)
    run(make_masks(project, MaskConfig(method="saved", invert=True), ["a"]))
    np.testing.assert_array_equal(project.mask("a"), ~bean)
    assert "hold no class 7, only 1, 3" in command("mask", project.folder, "--cube", "a", "--method", "labels", "--class", 7, code=1)["error"]


@pytest.mark.parametrize("ending", ["tif", "npy", "png", "geojson"])
def test_masks_from_files(project, tmp_path, ending):
    """Small objects of a file are kept, and a polygon covers the pixels whose centres it holds."""
    mask = np.zeros((40, 50), dtype=bool)
    mask[3:9, 4:20] = True
    path = tmp_path / f"drawn.{ending}"
    if ending == "tif":
        tifffile.imwrite(path, mask.astype(np.uint8) * 255)
    elif ending == "npy":
        np.save(path, mask.astype(np.uint8))
    elif ending == "png":
        Image.fromarray(mask.astype(np.uint8) * 255).save(path)
    else:
        ring = [[4, 3], [20, 3], [20, 9], [4, 9], [4, 3]]
        path.write_text(json.dumps({
            "type": "FeatureCollection",
            "features": [{"type": "Feature", "properties": {"name": "bean"}, "geometry": {"type": "Polygon", "coordinates": [ring]}}],
        }))  # fmt: skip
    command("mask", project.folder, "--cube", "a", "--from", path)
    np.testing.assert_array_equal(project.mask("a"), mask)


def test_a_folder_of_masks_named_like_the_cubes(project, tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    for number, name in enumerate(project.entries):
        mask = np.zeros((40, 50), dtype=np.uint8)
        mask[number, :] = 1
        tifffile.imwrite(folder / f"{name}.tif", mask)
    run(make_masks(project, MaskConfig(method="file", file=str(folder))))
    assert [int(np.flatnonzero(project.mask(name).any(axis=1))[0]) for name in project.entries] == list(range(5))
    (folder / "a.tif").unlink()
    with pytest.raises(ConfigError, match="holds no file named 'a'"):
        run(make_masks(project, MaskConfig(method="file", file=str(folder)), ["a"]))


def test_one_reference_for_all_cubes(project):
    """A pixel of one cube means its spectrum on the others, not the pixel at the same place."""
    config = MaskConfig(method="angle", at=[(10, 42)], reference="a", **PLAIN)
    run(make_masks(project, config))
    for name in project.entries:
        np.testing.assert_array_equal(project.mask(name), materials(project, name)[1])
    clusters = MaskConfig(method="kmeans", clusters=3, foreground=(1, 2), reference="a", **PLAIN)
    run(make_masks(project, clusters, ["tiny"]))
    np.testing.assert_array_equal(project.mask("tiny"), materials(project, "tiny")[1])


def test_a_reference_is_brought_to_other_bands_or_refused(project, tmp_path):
    coarse = scene(12)[..., ::2]
    write_envi_cube(tmp_path / "more" / "coarse.hdr", as_cube(coarse.astype(np.float32), np.linspace(450, 850, 9)[::2], "dn"))
    write_envi_cube(tmp_path / "more" / "blind.hdr", as_cube(coarse.astype(np.float32), None, "dn"))
    for name in ("coarse", "blind"):
        command("add", project.folder, tmp_path / "more" / f"{name}.hdr")
    project = Project.open(project.folder)
    config = MaskConfig(method="angle", at=[(10, 42)], reference="a", **PLAIN)
    found = run(preview_mask(project, "coarse", config))
    assert found[10, 42]
    assert 50 < found.sum() < 80
    with pytest.raises(ConfigError, match="it has 5 bands and the reference cube 'a' 9"):
        run(preview_mask(project, "blind", config))


def test_everything_and_nothing_are_told_and_lose_nothing(project):
    """A slip of a decimal point must not cost the mask that was drawn for an hour."""
    run(make_masks(project, MaskConfig(**PLAIN), ["a"]))
    before = project.mask("a")
    told: list[Progress] = []
    run(make_masks(project, MaskConfig(method="threshold", low=1e9), ["a"]), told.append)
    warning = next(one.message for one in told if one.warning)
    assert "the mask of cube 'a' is empty: choose another rule, or it is left out of everything" in warning
    assert "kept in masks/before/a.tif" in warning
    assert not project.mask("a").any()
    command("mask", project.folder, "--cube", "a", "--from", project.folder / "masks" / "before" / "a.tif")
    np.testing.assert_array_equal(project.mask("a"), before)
    told.clear()
    run(make_masks(project, MaskConfig(method="angle", at=[(20, 20)], max_angle=3.1), ["a"]), told.append)
    assert any("holds every pixel" in one.message for one in told if one.warning)
    told.clear()
    run(make_masks(project, MaskConfig(method="all"), ["a"]), told.append)
    assert not any(one.warning for one in told), "who asks for the whole image means it"


def test_the_sheet_shows_every_cube_and_marks_what_looks_wrong(project, tmp_path):
    sheet = tmp_path / "sheet.png"
    report = command("mask", project.folder, "--method", "angle", "--at", "20,20", "--reference", "a", "--sheet", sheet, "--keep-holes")
    assert set(report["doubtful"]) == {"tiny"}
    assert report["doubtful"]["tiny"] == "empty"
    picture = np.asarray(Image.open(sheet))
    assert picture.shape[2] == 3
    assert (picture == (255, 214, 0)).all(axis=-1).sum() > 100, "the outlines are drawn"
    assert "does not end in .png" in CliRunner().invoke(app, ["mask", str(project.folder), "--sheet", "sheet.txt"]).output.replace("\n", " ")


def test_checking_saves_nothing_until_it_is_said(project):
    seen: list[dict] = []
    config = MaskConfig(method="angle", at=[(20, 20)], reference="a", **PLAIN)
    checked = run(check_masks(project, config), lambda progress: seen.append(progress.data) if progress.data else None)
    assert [one.cube for one in checked] == list(project.entries) == [data["checked"].cube for data in seen]
    assert not any(project.mask_path(name).exists() for name in project.entries)
    np.testing.assert_array_equal(checked[1].mask, run(preview_mask(project, "b", config)))
    run(save_checked(project, config, [one for one in checked if not one.doubt]))
    assert [name for name in project.entries if project.mask_path(name).exists()] == ["a", "b", "c", "d"]


def test_a_cube_that_fails_does_not_stop_the_sheet(project):
    told: list[dict] = []
    config = MaskConfig(method="labels")
    assert run(check_masks(project, config), lambda progress: told.append(progress.data) if progress.data else None) == []
    assert [data["failed"][0] for data in told] == list(project.entries)
    assert "has no labels" in told[0]["failed"][1]


def test_doubts():
    assert doubts([0.5, 0.52, 0.48, 0.9]) == ["", "", "", "the others have 50%"]
    assert doubts([0.0, 0.5]) == ["empty", ""]
    assert doubts([1.0, 0.5]) == ["everything", ""]
    assert doubts([0.2, 0.8]) == ["", ""], "of two nobody knows which is wrong"
    assert doubts([0.1, 0.4, 0.7, 0.9]) == ["", "", "", ""], "cubes that differ anyway are not all wrong"


def test_a_crop_is_never_left(project):
    run(crop(project, "a", (10, 10, 30, 30)))
    project = Project.open(project.folder)
    inside = np.zeros((40, 50), dtype=bool)
    inside[10:30, 10:30] = True
    for config in (
        MaskConfig(method="angle", at=[(20, 20)], max_angle=3.0),
        MaskConfig(method="kmeans", background=()),
        MaskConfig(method="grow", at=[(20, 20)], tolerance=3.0),
        MaskConfig(method="all", combine="add"),
    ):
        mask = run(preview_mask(project, "a", config))
        assert mask.any()
        assert not (mask & ~inside).any(), config.method


def test_what_is_missing_says_so(project):
    for words, sentence in (
        (("--method", "labels"), "has no labels"),
        (("--method", "saved"), "has no saved mask"),
        (("--method", "file"), "give --from FILE"),
        (("--method", "grow"), "no reference"),
        (("--method", "kmeans", "--foreground", "9"), "names cluster 9, expected 0 to 3"),
        (("--from", "nowhere.tif"), "nowhere.tif"),
        (("--method", "angle", "--at", "1,1", "--reference", "z"), "no cube 'z'"),
    ):
        error = command("mask", project.folder, "--cube", "a", *words, code=1)["error"]
        assert sentence in error
        assert "\n" not in error
    with pytest.raises((LabelError, ConfigError, ProjectError)):
        run(make_masks(project, MaskConfig(method="file", file=str(project.folder / "project.json")), ["a"]))


def test_a_recipe_does_it_again(project, tmp_path):
    """What “copy as command” gives must be understood by the command line and make the same mask."""
    config = MaskConfig(method="angle", at=[(20, 20), (10, 42)], combine="replace", fill_holes=False, drop_specks=0)
    recipe = mask_recipe(project.folder, config, ["a"])
    expected = run(preview_mask(project, "a", config))
    command(*recipe.words)
    np.testing.assert_array_equal(project.mask("a"), expected)
    script = tmp_path / "again.py"
    script.write_text(recipe.python)
    run(make_masks(project, MaskConfig(method="all"), ["a"]))
    subprocess.run([sys.executable, str(script)], check=True, capture_output=True, timeout=120)
    np.testing.assert_array_equal(project.mask("a"), expected)
    for background in ((0, 1), ()):
        clusters = MaskConfig(method="kmeans", clusters=3, background=background, reference="b")
        command(*mask_recipe(project.folder, clusters, ["a"]).words)
        np.testing.assert_array_equal(project.mask("a"), run(preview_mask(project, "a", clusters)))
    command(*mask_recipe(project.folder, MaskConfig(method="file", file=str(project.mask_path("a"))), ["b"]).words)
    np.testing.assert_array_equal(project.mask("b"), project.mask("a"))
