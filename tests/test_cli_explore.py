"""Every verb of looking, preparing and exploring as it is typed: what it reports is what plain numpy finds in the same cubes."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import xarray as xr
from PIL import Image
from typer.testing import CliRunner

from napari_hsi_ssl.cli import app
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.library import SpectralLibrary, write_library
from napari_hsi_ssl.cubes.readers import read_cube
from napari_hsi_ssl.cubes.writers import write_envi_cube
from napari_hsi_ssl.project import Project
from tests.test_cli import command, fails

SHAPES = {"beans": (24, 20, 12), "cubes": (24, 22, 9)}
DOMAINS = {"beans": "coffee", "cubes": "sugar"}
CENTRES = {name: np.linspace(450, 900, shape[2]) for name, shape in SHAPES.items()}


def disc(name: str) -> np.ndarray:
    """Return which pixels (y, x) are the object."""
    height, width, _ = SHAPES[name]
    y, x = np.mgrid[:height, :width]
    return (y - height / 2) ** 2 + (x - width / 2) ** 2 < (min(height, width) / 3) ** 2


def values(name: str) -> np.ndarray:
    """Return a cube (y, x, band): a disc whose spectra rise on a flat dark ground."""
    height, width, bands = SHAPES[name]
    noise = np.random.default_rng(bands).integers(0, 40, (height, width, bands))
    return (np.where(disc(name)[..., None], 600 + 40 * np.arange(bands), 100) + noise).astype(np.uint16)


def truth(name: str) -> np.ndarray:
    """Return labels (y, x): two classes in the object, one of which rises less."""
    labels = np.where(disc(name), 1, 0).astype(np.uint8)
    labels[:3] = 2
    return labels


def angle(spectra: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return spectral angles (…) in radians, as they are defined."""
    spectra, reference = spectra.astype(float), reference.astype(float)
    cosine = spectra @ reference / (np.linalg.norm(spectra, axis=-1) * np.linalg.norm(reference))
    return np.arccos(np.clip(cosine, -1, 1))


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    for name, domain in DOMAINS.items():
        (folder / domain).mkdir()
        write_envi_cube(folder / domain / f"{name}.hdr", as_cube(values(name), CENTRES[name], "dn", name))
    return folder


@pytest.fixture(scope="module")
def made(raw, tmp_path_factory) -> Path:
    """A project with the discs as masks, labels, a PCA and patches."""
    folder = tmp_path_factory.mktemp("work")
    project = folder / "project"
    command("new", project, "--cubes", raw)
    for name in SHAPES:
        tifffile.imwrite(folder / f"{name}.tif", disc(name).astype(np.uint8))
        tifffile.imwrite(folder / f"{name}_truth.tif", truth(name))
        command("mask", project, "--cube", name, "--from", folder / f"{name}.tif")
        command("labels", project, "--cube", name, "--from", folder / f"{name}_truth.tif")
    command("pca", project, "--bands", 12, "--components", 4)
    command("patches", project, "--size", 6, "--stride", 2)
    return project


@pytest.fixture
def project(made, tmp_path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "project"))


@pytest.fixture
def whole(raw, tmp_path) -> Path:
    """A project of the two cubes and nothing else."""
    command("new", tmp_path / "whole", "--cubes", raw)
    return tmp_path / "whole"


# -- cubes ------------------------------------------------------------------------------------------------------------------------


def write_nc(folder: Path) -> Path:
    data = xr.Dataset({"cube": (("y", "x", "wavelength"), values("beans"))}, {"wavelength": ("wavelength", CENTRES["beans"], {"units": "nm"})})
    data.to_netcdf(folder / "beans.nc", engine="h5netcdf")
    return folder / "beans.nc"


def write_h5(folder: Path) -> Path:
    with h5py.File(folder / "beans.h5", "w") as file:
        file["cube"] = values("beans")
        file["wavelength"] = CENTRES["beans"]
    return folder / "beans.h5"


def write_hspy(folder: Path) -> Path:
    step = float(CENTRES["beans"][1] - CENTRES["beans"][0])
    with h5py.File(folder / "beans.hspy", "w") as file:
        group = file.create_group("Experiments/beans")
        group["data"] = values("beans")
        for number, size in enumerate(SHAPES["beans"]):
            signal = number == 2
            told = {"navigate": not signal, "size": size, "units": "nm" if signal else "µm", "name": "Wavelength" if signal else "yx"[number]}
            group.create_group(f"axis-{number}").attrs.update(told | {"scale": step if signal else 1.0, "offset": 450.0 if signal else 0.0})
    return folder / "beans.hspy"


def write_bands(folder: Path) -> Path:
    (folder / "beans").mkdir()
    for band, centre in enumerate(CENTRES["beans"]):
        tifffile.imwrite(folder / "beans" / f"band_{centre:.3f}nm.tif", values("beans")[:, :, band], photometric="minisblack")
    return folder / "beans"


@pytest.mark.parametrize("write", [write_nc, write_h5, write_hspy, write_bands])
def test_info_of_what_other_programs_wrote(tmp_path, write):
    path = write(tmp_path)
    report = command("info", path)
    assert report["shape"] == list(SHAPES["beans"])
    assert report["memory"] == values("beans").nbytes
    assert report["wavelengths"] == pytest.approx(CENTRES["beans"], abs=0.001)
    assert np.array_equal(np.asarray(read_cube(path).data), values("beans"))


def test_info_of_a_file_that_is_no_cube(tmp_path):
    with h5py.File(tmp_path / "flat.h5", "w") as file:
        file["image"] = np.zeros((4, 4))
    assert "flat.h5" in fails("info", tmp_path / "flat.h5")


def test_check_counts_what_the_type_cannot_hold(tmp_path):
    cube = values("beans")
    cube[2, 3, 5] = cube[7, 7, 1] = cube[7, 7, 2] = 65535
    write_envi_cube(tmp_path / "bright.hdr", as_cube(cube, CENTRES["beans"], "dn", "bright"))
    report = command("info", tmp_path / "bright.hdr", "--check")
    assert (report["saturated"], report["ceiling"], report["references"]) == (2, 65535, {})


@pytest.mark.parametrize("ending", [".tif", ".zarr", ".hdr"])
def test_an_exported_cube_is_the_cube(raw, tmp_path, ending):
    to = tmp_path / f"beans{ending}"
    assert command("export", raw / "coffee" / "beans.hdr", "--to", to)["to"] == str(to)
    found = read_cube(to)
    assert np.array_equal(np.asarray(found.data), values("beans"))
    report = command("info", to)
    assert report["shape"] == list(SHAPES["beans"])
    assert report["wavelengths"] == pytest.approx(CENTRES["beans"], abs=0.001)


def test_a_cube_is_not_exported_as_a_picture(raw, tmp_path):
    assert ".zarr" in fails("export", raw / "coffee" / "beans.hdr", "--to", tmp_path / "beans.png")
    assert not (tmp_path / "beans.png").exists()


def test_cubes_that_moved_are_found(raw, tmp_path):
    here, there = Path(shutil.copytree(raw, tmp_path / "here")), tmp_path / "there" / "deeper"
    command("new", tmp_path / "p", "--cubes", here)
    there.parent.mkdir()
    here.rename(there)
    (there / "sugar" / "cubes.hdr").rename(tmp_path / "hidden.hdr")
    assert "is gone" in fails("spectra", tmp_path / "p", "--cube", "beans")
    report = command("relink", tmp_path / "p", tmp_path / "there")
    assert report == {"found": {"beans": str(there / "coffee" / "beans.hdr")}, "other": {}, "missing": ["cubes"]}
    assert command("spectra", tmp_path / "p", "--cube", "beans")["spectra"][0]["pixels"] == 24 * 20
    assert "is no folder" in fails("relink", tmp_path / "p", tmp_path / "nowhere")


# -- looking ----------------------------------------------------------------------------------------------------------------------

PICTURES = {
    "auto": [],
    "true": [],
    "false": [],
    "bands": ["--bands", "9,5,1"],
    "band": ["--wavelengths", "614"],
    "ratio": ["--bands", "9,2"],
    "index": ["--bands", "9,2"],
}


@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize("of", ["cube", "project"])
def test_every_picture(raw, made, tmp_path, kind, of):
    to = tmp_path / "picture.png"
    source = [raw / "coffee" / "beans.hdr"] if of == "cube" else [made, "--cube", "beans"]
    report = command("view", *source, "--kind", kind, *PICTURES[kind], "--to", to, "--step", 2)
    assert report["shape"] == [12, 10]
    with Image.open(to) as image:
        assert image.size == (10, 12)
        shown = np.asarray(image.convert("L"))
    assert shown.max() > shown.min()
    plain = values("beans").astype(float)
    wanted = {
        "bands": [plain[..., 9], plain[..., 5], plain[..., 1]],
        "band": [plain[..., 4]],
        "ratio": [plain[..., 9] / plain[..., 2]],
        "index": [(plain[..., 9] - plain[..., 2]) / (plain[..., 9] + plain[..., 2])],
    }
    for found, channel in zip(report["limits"], wanted.get(kind, ()), strict=False):
        low, high = np.percentile(channel, (2, 98))
        if kind == "index":  # that has both signs lies evenly about 0
            low, high = -max(-low, high), max(-low, high)
        assert found == pytest.approx([low, high], rel=1e-5)
    assert report["nm"] == pytest.approx(CENTRES["beans"][report["bands"]], abs=0.01)


def test_a_picture_that_cannot_be_made(raw, made, tmp_path):
    assert "0 to 11" in fails("view", raw / "coffee" / "beans.hdr", "--bands", "40,2,1", "--to", tmp_path / "a.png")
    assert "--cube" in fails("view", made, "--to", tmp_path / "a.png")
    assert ".png" in fails("view", made, "--cube", "beans", "--to", tmp_path / "a.jpg")
    assert not list(tmp_path.iterdir())


def test_spectra_are_what_numpy_measures(made, tmp_path):
    cube, inside, labels = values("beans").astype(float), disc("beans"), truth("beans")
    here = ("spectra", made, "--cube", "beans")
    (pixel,) = command(*here, "--at", "12,10")["spectra"]
    assert pixel["mean"] == cube[12, 10].tolist()
    assert (pixel["pixels"], pixel["std"]) == (1, None)
    (mask,) = command(*here, "--mask")["spectra"]
    assert mask["pixels"] == inside.sum()
    assert mask["mean"] == pytest.approx(cube[inside].mean(axis=0))
    assert mask["std"] == pytest.approx(cube[inside].std(axis=0), rel=0.01)
    classes = command(*here, "--classes")["spectra"]
    assert [row["pixels"] for row in classes] == [(labels == 1).sum(), (labels == 2).sum()]
    assert classes[1]["mean"] == pytest.approx(cube[labels == 2].mean(axis=0))
    (box,) = command(*here, "--box", "1,2,5,8", "--to", tmp_path / "box.csv")["spectra"]
    assert box["mean"] == pytest.approx(cube[1:5, 2:8].mean(axis=(0, 1)))
    assert (tmp_path / "box.csv").stat().st_size > 0
    assert box["wavelengths"] == pytest.approx(CENTRES["beans"], abs=0.001)
    assert "outside" in fails(*here, "--at", "99,0")
    assert "--box" in fails(*here, "--box", "0,0,99,99")


def library(folder: Path) -> tuple[Path, np.ndarray]:
    """Write the spectra of the object, of the ground and of a falling material."""
    spectra = np.stack([600 + 40.0 * np.arange(12), np.full(12, 120.0), np.linspace(900, 100, 12)])
    write_library(folder / "known.sli", SpectralLibrary("known", ("rising", "flat", "falling"), CENTRES["beans"], spectra, "dn"))
    return folder / "known.sli", spectra


def test_the_nearest_entry_of_a_library(made, tmp_path):
    path, spectra = library(tmp_path)
    (row,) = command("spectra", made, "--cube", "beans", "--mask", "--library", path, "--match", 2)["spectra"]
    assert [match["name"] for match in row["matches"]] == ["rising", "flat"]
    mean = values("beans")[disc("beans")].mean(axis=0)
    assert [match["angle"] for match in row["matches"]] == pytest.approx([angle(mean, spectra[0]), angle(mean, spectra[1])], abs=1e-6)
    assert "none.sli" in fails("spectra", made, "--cube", "beans", "--library", tmp_path / "none.sli")


def warned(*words: object) -> str:
    """Run one verb that must succeed and return what it says on standard error."""
    result = CliRunner().invoke(app, [*map(str, words), "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.stderr.split())


def test_a_library_of_a_part_of_the_bands_says_how_few_are_compared(made, tmp_path):
    path, spectra = library(tmp_path)
    part = tmp_path / "part.sli"
    write_library(part, SpectralLibrary("part", ("a", "b"), CENTRES["beans"][7:], spectra[:2, 7:], "dn"))
    for verb in ("spectra", "angles"):
        assert "covers 736–900 nm only, so 7 of 12 good bands" in warned(verb, made, "--cube", "beans", "--library", part)
        assert warned(verb, made, "--cube", "beans", "--library", path) in {"", "no region was named, so the masks are measured"}


def test_a_cube_without_references_beside_it_is_told(raw, tmp_path):
    command("new", tmp_path / "auto")
    words = ("add", tmp_path / "auto", raw / "coffee" / "beans.hdr", "--references", "auto")
    assert "beans.hdr is added as it was recorded: no white or dark reference" in warned(*words)


def test_an_angle_map_gives_the_nearest_reference(project, tmp_path):
    path, spectra = library(tmp_path)
    command("mask", project, "--method", "all")
    report = command("angles", project, "--cube", "beans", "--library", path, "--max-angle", 0.2, "--out", tmp_path / "map.tif")
    found = np.stack([angle(values("beans"), reference) for reference in spectra])
    wanted = np.where(found.min(axis=0) <= 0.2, 1 + found.argmin(axis=0), 0)
    assert np.array_equal(tifffile.imread(tmp_path / "map.tif"), wanted)
    (made,) = report["maps"]
    assert made["areas"] == {name: int((wanted == number).sum()) for number, name in enumerate(("rising", "flat", "falling"), start=1)}
    assert made["not_mapped"] == (wanted == 0).sum()
    assert made["mean_angle"] == pytest.approx(found.min(axis=0).mean(), abs=1e-4)

    classes = command("angles", project, "--cube", "beans", "--classes", "--max-angle", 1)["maps"][0]
    means = [values("beans")[truth("beans") == number].mean(axis=0) for number in (1, 2)]
    nearer = angle(values("beans"), means[0]) < angle(values("beans"), means[1])
    assert list(classes["areas"].values()) == [nearer.sum(), (~nearer).sum()]
    pixels = command("angles", project, "--cube", "beans", "--at", "12,10", "--at", "1,1", "--max-angle", 1)["maps"][0]
    assert sum(pixels["areas"].values()) == 24 * 20
    assert "exactly one" in fails("angles", project, "--cube", "beans")
    assert "--out" in fails("angles", project, "--all", "--classes", "--out", tmp_path / "all.tif")


# -- masks ------------------------------------------------------------------------------------------------------------------------

PLAIN = ["--keep-holes", "--drop-specks", 0]


def saved(project: Path, name: str = "beans") -> np.ndarray:
    found = Project.open(project).mask(name)
    assert found is not None
    return found


def test_masks_by_growing_clusters_and_angle(whole):
    report = command("mask", whole, "--cube", "beans", "--method", "grow", "--at", "12,10", "--grow-by", "brightness", "--tolerance", 0.4, *PLAIN)
    assert report["cubes"]["beans"]["pixels"] == disc("beans").sum()
    assert np.array_equal(saved(whole), disc("beans"))
    command("mask", whole, "--method", "all")
    report = command("mask", whole, "--method", "kmeans", "--clusters", 2, "--background", 0, *PLAIN)
    for name in SHAPES:
        assert report["cubes"][name] == {"pixels": disc(name).sum(), "share": pytest.approx(disc(name).mean())}
    command("mask", whole, "--cube", "beans", "--method", "angle", "--at", "12,10", "--tolerance", 0.15, *PLAIN)
    assert np.array_equal(saved(whole), angle(values("beans"), values("beans")[12, 10]) <= 0.15)
    assert "outside" in fails("mask", whole, "--cube", "beans", "--method", "grow", "--at", "90,90")
    assert "cluster" in fails("mask", whole, "--method", "kmeans", "--clusters", 2, "--background", 7)


def test_a_mask_of_a_file_is_combined_with_the_one_before(whole, tmp_path):
    box = np.zeros(SHAPES["beans"][:2], dtype=np.uint8)
    box[:12] = 1
    tifffile.imwrite(tmp_path / "beans.tif", box)
    here = ("mask", whole, "--cube", "beans")
    rules = {"subtract": disc("beans") & (box == 0), "add": disc("beans") | (box == 1), "intersect": disc("beans") & (box == 1), "replace": box == 1}
    for how, wanted in rules.items():
        command(*here, "--method", "kmeans", "--clusters", 2, "--background", 0, *PLAIN)
        report = command(*here, "--from", tmp_path / "beans.tif", "--combine", how, *PLAIN)
        assert report["cubes"]["beans"]["pixels"] == wanted.sum(), how
        assert np.array_equal(saved(whole), wanted), how
    assert "combine" in fails(*here, "--from", tmp_path / "beans.tif", "--combine", "mix")
    assert CliRunner().invoke(app, list(map(str, [*here, "--from", tmp_path / "beans.tif", "--method", "otsu"]))).exit_code == 2


def test_a_sheet_of_masks(whole, tmp_path):
    report = command("mask", whole, "--method", "threshold", "--low", 300, "--sheet", tmp_path / "sheet.png", *PLAIN)
    assert report["sheet"] == str(tmp_path / "sheet.png")
    assert report["doubtful"] == {}
    assert report["cubes"]["cubes"]["pixels"] == (values("cubes").mean(axis=2) >= 300).sum()
    with Image.open(tmp_path / "sheet.png") as image:
        assert min(image.size) > 50


# -- preparing --------------------------------------------------------------------------------------------------------------------


def test_bad_bands_are_told_chosen_and_found(raw, tmp_path):
    cube = values("beans")
    cube[..., 4] = 7
    write_envi_cube(tmp_path / "dead.hdr", as_cube(cube, CENTRES["beans"], "dn", "dead"))
    project = tmp_path / "p"
    command("new", project, "--cubes", tmp_path / "dead.hdr")
    assert command("badbands", project)["cubes"] == [{"cube": "dead", "bands": 12, "bad": "", "count": 0, "by": "header"}]
    (row,) = command("badbands", project, "--set", "0,10-11", "--keep", "10")["cubes"]
    assert (row["bad"], row["count"], row["by"]) == ("0,11", 2, "choice")
    assert command("spectra", project, "--at", "1,1")["spectra"][0]["bad_bands"] == [0, 11]
    (row,) = command("badbands", project, "--detect", "--water", "no")["cubes"]
    dead = [reason for reason, bands in row["reasons"].items() if "4" in bands.split(",")]
    assert dead, row
    (row,) = command("badbands", project, "--set", "none")["cubes"]
    assert row["count"] == 0
    assert "all 12 bands" in fails("badbands", project, "--set", "0-11")
    assert "--detect" in fails("badbands", project, "--detect", "--set", "0")


def test_the_chain_prepares_what_is_measured(project):
    assert command("preprocess", project) == {"steps": [], "pca_outdated": False}
    report = command("preprocess", project, "--step", "snv")
    assert report["steps"] == ["snv"]
    assert report["pca_outdated"]
    (row,) = command("spectra", project, "--cube", "beans", "--at", "12,10", "--prepared")["spectra"]
    plain = values("beans")[12, 10].astype(float)
    assert row["mean"] == pytest.approx((plain - plain.mean()) / plain.std(), rel=1e-4)
    assert command("preprocess", project, "--show")["steps"] == ["snv"]
    assert command("preprocess", project, "--clear") == {"steps": [], "pca_outdated": False}
    assert "polish" in fails("preprocess", project, "--step", "polish")


def test_saturated_pixels_leave_the_mask(project):
    over = (values("beans") >= 1060).any(axis=2)
    report = command("saturated", project, "--cube", "beans", "--ceiling", 1060, "--count")
    assert report["cubes"][0]["saturated"] == over.sum() > 0
    assert np.array_equal(saved(project), disc("beans"))
    report = command("saturated", project, "--cube", "beans", "--ceiling", 1060)
    assert report["cubes"][0]["removed"] == (disc("beans") & over).sum()
    assert np.array_equal(saved(project), disc("beans") & ~over)
    assert "--ceiling" in fails("saturated", project, "--ceiling", -1)


# -- components -------------------------------------------------------------------------------------------------------------------


def pixels_on_grid() -> np.ndarray:
    """Return the masked spectra (n, 12) of both cubes on one grid, as the PCA sees them."""
    rows = [np.stack([np.interp(np.linspace(0, 1, 12), np.linspace(0, 1, SHAPES[name][2]), one) for one in values(name)[disc(name)]]) for name in SHAPES]
    return np.concatenate(rows)


def test_components_explain_what_numpy_says(made, tmp_path):
    report = command("components", made, "--cube", "beans", "--to", tmp_path / "components.csv")
    assert report["names"][:2] == ["PC 1", "PC 2"]
    variance = np.linalg.eigvalsh(np.cov(pixels_on_grid().T))[::-1]
    assert report["explained"] == pytest.approx((variance / variance.sum())[:4], rel=1e-3)
    assert report["cumulative"] == pytest.approx(np.cumsum(report["explained"]))
    assert report["unit"] == "wavelength_nm"
    assert np.shape(report["loadings"]) == (4, 12)
    with (tmp_path / "components.csv").open() as file:
        rows = list(csv.reader(file))
    assert [float(text) for text in rows[1][1:]] == pytest.approx(report["explained"])
    command("components", made, "--to", tmp_path / "components.png")
    with Image.open(tmp_path / "components.png") as image:
        assert min(image.size) > 100
    assert ".csv" in fails("components", made, "--to", tmp_path / "components.xls")


def test_scatter_counts_every_used_pixel_once(project, tmp_path):
    command("angles", project, "--cube", "beans", "--classes", "--max-angle", 1)
    inside = {name: int(disc(name).sum()) for name in SHAPES}
    labelled = sum(int((disc(name) & (truth(name) == 1)).sum()) for name in SHAPES)
    wanted = {
        "density": {"all pixels": sum(inside.values())},
        "domain": {"coffee": inside["beans"], "sugar": inside["cubes"]},
        "mask": {"in the masks": sum(inside.values()), "outside": sum(int((~disc(name)).sum()) for name in SHAPES)},
    }
    for colour in ("density", "domain", "mask", "label", "map"):
        to = tmp_path / f"{colour}.png"
        report = command("scatter", project, "--colour", colour, "--to", to)
        assert [text.split(" (")[0] for text in report["axes"]] == ["PC 1", "PC 2"]
        assert report["pixels"] == wanted.get(colour, report["pixels"])
        if colour == "label":
            assert labelled in report["pixels"].values()
        if colour in {"label", "map"}:
            assert sum(report["pixels"].values()) == sum(inside.values())
        with Image.open(to) as image:
            assert min(image.size) > 100
        command("scatter", project, "--colour", colour, "--to", tmp_path / f"{colour}.csv")
        with (tmp_path / f"{colour}.csv").open() as file:
            head, *rows = list(csv.reader(file))
        totals = np.array([[int(number) for number in row[2:]] for row in rows]).sum(axis=0)
        assert dict(zip(head[2:], totals.tolist(), strict=True)) == report["pixels"]
    assert "--colour" in fails("scatter", project, "--colour", "taste")
    assert "from 1 to 4" in fails("scatter", project, "--x", 9)


def test_a_lasso_becomes_a_mask_and_a_class(project):
    opened = Project.open(project)
    scale = opened.projection().scale
    x = np.concatenate([(np.asarray(opened.scores(name), dtype=float) * scale)[disc(name)][:, 0] for name in SHAPES])
    middle = (np.sort(x)[len(x) // 2 - 1] + np.sort(x)[len(x) // 2]) / 2
    far = 1e5
    around = [word for corner in ((middle, -far), (far, -far), (far, far), (middle, far)) for word in ("--around", f"{corner[0]},{corner[1]}")]
    counted = command("lasso", project, *around)["cubes"]
    assert sum(row["selected"] for row in counted.values()) == pytest.approx((x > middle).sum(), abs=len(x) // 50)
    classed = command("lasso", project, *around, "--class", "bright half")
    assert classed["number"] == 3
    for name, row in classed["cubes"].items():
        assert (Project.open(project).labels(name) == 3).sum() == row["selected"] == counted[name]["selected"]
    report = command("lasso", project, *around, "--mask", "remove")
    for name, row in report["cubes"].items():
        assert row["pixels"] == saved(project, name).sum() == disc(name).sum() - counted[name]["selected"]
    assert "corner" in fails("lasso", project, "--around", "0,0", "--around", "1,1")
    assert CliRunner().invoke(app, ["lasso", str(project), *around, "--mask", "paint"]).exit_code == 2


def test_a_umap_of_a_few_pixels(project):
    pytest.importorskip("umap", reason="umap-learn is not installed (extra 'umap')")
    report = command("umap", project, "--sample", 60, "--neighbours", 5)
    assert report["domains"] == {"coffee": 30, "sugar": 30}
    assert (project / report["umap"]).exists()
    shown = command("scatter", project, "--umap", "--colour", "domain")
    assert shown["pixels"] == report["domains"]
    assert shown["axes"] == ["UMAP 1", "UMAP 2"]
    assert "neighbours" in fails("umap", project, "--sample", 10, "--neighbours", 50)


def test_the_training_free_projection_and_its_map(project, tmp_path):
    for name in SHAPES:
        command("mask", project, "--cube", name, "--method", "all")
    report = command("pca", project, "--training-free")
    assert Project.open(project).inlet == report["inlet"]
    assert report["components"] == 9, "as many as the cube of fewest bands has"
    assert Project.open(project).projection().method == "mnf"
    assert command("components", project)["names"][0] == "MNF 1"
    made = command("classify", project, "--cube", "beans", "--run", "training-free", "--k", 5, "--out", tmp_path / "map.tif")
    found, labels = tifffile.imread(tmp_path / "map.tif"), truth("beans")
    assert (found[labels > 0] == labels[labels > 0]).mean() > 0.95
    assert sum(made["maps"][0]["areas"].values()) == found.size


# -- patches and runs -------------------------------------------------------------------------------------------------------------


def test_patches_are_counted_before_they_are_cut(project, tmp_path):
    before = (project / "preprocessing.json").read_bytes()
    report = command("patches", project, "--size", 8, "--stride", 4, "--coverage", 0.6, "--preview", "--sheet", tmp_path / "sheet.png")
    assert (project / "preprocessing.json").read_bytes() == before
    for name in SHAPES:
        mask = disc(name)
        height, width = mask.shape
        places = [(y, x) for y in range(0, height - 7, 4) for x in range(0, width - 7, 4)]
        full = sum(mask[y : y + 8, x : x + 8].mean() >= 0.6 for y, x in places)
        assert sum(report["before"][DOMAINS[name]].values()) + report["lost"].get(DOMAINS[name], 0) == full
    with Image.open(tmp_path / "sheet.png") as image:
        assert min(image.size) > 50
    cut = command("patches", project, "--size", 6, "--stride", 2, "--sheet", tmp_path / "cut.png")
    assert cut["sheet"] == str(tmp_path / "cut.png")
    assert cut["count"] == sum(sum(counts.values()) for counts in cut["per_domain"].values())
    assert ".png" in fails("patches", project, "--preview", "--sheet", tmp_path / "sheet.pdf")


def test_the_script_of_a_cluster_is_shown_and_not_run(project):
    words = ["--batch-size", 4, "--epochs", 2, "--run", "far", "--submit", "slurm", "--print", "--partition", "long", "--gpus", 2, "--time", "3:00:00"]
    report = command("pretrain", project, *words)
    for line in ("--partition=long", "--gpus-per-node=2", "--ntasks-per-node=2", "--time=3:00:00"):
        assert f"#SBATCH {line}\n" in report["text"]
    assert report["state"] == "new"
    assert Path(report["script"]).read_text() == report["text"]
    assert f"-m napari_hsi_ssl.runs.train {report['folder']}" in report["text"].replace("'", "")
    assert subprocess.run(["bash", "-n", report["script"]], check=False).returncode == 0
    assert "time" in fails("pretrain", project, "--batch-size", 4, "--run", "soon", "--submit", "slurm", "--print", "--time", "soon")
    assert CliRunner().invoke(app, ["pretrain", str(project), "--partition", "long"]).exit_code == 2


def test_a_run_travels_in_one_file(project, tmp_path):
    command("pretrain", project, "--batch-size", 4, "--epochs", 2, "--run", "far", "--submit", "slurm", "--print")
    packed = command("runs", project, "--pack", "far", "--to", tmp_path / "far.tar")
    assert packed["bytes"] == (tmp_path / "far.tar").stat().st_size
    command("new", tmp_path / "there")
    brought = command("runs", tmp_path / "there", "--unpack", tmp_path / "far.tar")
    assert (brought["run"], brought["state"]) == ("far", "new")
    config = json.loads((tmp_path / "there" / "runs" / "far" / "config.json").read_text())
    assert config["pretrain"]["epochs"] == 2
    assert [row["run"] for row in command("runs", tmp_path / "there")["runs"]] == ["far"]
    (tmp_path / "no.tar").write_bytes(b"nothing")
    assert "no.tar" in fails("runs", tmp_path / "there", "--unpack", tmp_path / "no.tar")
    assert "nobody" in fails("runs", project, "--pack", "nobody")
