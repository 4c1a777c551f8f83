"""The verbs that measure spectra and map by angle, on a project of three cubes of two cameras."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from spectral import spectral_angles
from typer.testing import CliRunner

from napari_hsi_ssl.cli import app
from napari_hsi_ssl.config import AnglesConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.library import SpectralLibrary, read_library, write_library
from napari_hsi_ssl.cubes.writers import load_map, write_envi_cube
from napari_hsi_ssl.errors import ConfigError, LabelError, ProjectError
from napari_hsi_ssl.explore.spectra import MeanSpectrum, described
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import angles, cubes
from napari_hsi_ssl.steps import spectra as verbs

SHAPE = (20, 16)
BANDS = {"a1": 12, "a2": 12, "b1": 9}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    base = tmp_path_factory.mktemp("spectra")
    rng = np.random.default_rng(0)
    files = []
    for name, bands in BANDS.items():
        slope = np.linspace(1, 3, bands, dtype=np.float32)
        values = rng.uniform(0, 0.1, (*SHAPE, bands)).astype(np.float32) + slope
        values[:, 8:] = values[:, 8:, ::-1]
        path = base / name[0] / f"{name}.hdr"
        path.parent.mkdir(exist_ok=True)
        write_envi_cube(path, as_cube(values, np.linspace(450, 900, bands), "reflectance", name=name))
        files.append(path)
    run(cubes.new(base / "project", files))
    project = Project.open(base / "project")
    for name in ("a1", "a2", "b1"):
        labels = np.zeros(SHAPE, dtype=np.int32)
        labels[:4, :8], labels[:6, 8:] = 3, 7
        if name != "a2":
            project.save_labels(name, labels, {3: "rising", 7: "falling"})
    mask = np.zeros(SHAPE, dtype=bool)
    mask[2:9, 3:12] = True
    project.save_mask("a1", mask)
    return base / "project"


@pytest.fixture
def project(folder):
    return Project.open(folder)


def values(project, name):
    return np.asarray(project.cube(name).data, dtype=np.float64)


def command(*words, code=0):
    result = CliRunner().invoke(app, [*map(str, words), "--json"], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout.splitlines()[-1])


def test_which_cubes_a_scope_means(project):
    assert verbs.cubes_of(project, "a2", "cube") == ["a2"]
    assert verbs.cubes_of(project, "a2", "domain") == ["a2", "a1"]
    assert verbs.cubes_of(project, "a2", "all") == ["a2", "a1", "b1"]


def test_masks_of_several_cubes_one_by_one_and_pooled(project):
    found = run(verbs.mask_spectra(project, ["a1", "a2", "b1"]))
    assert [one.name for one in found] == ["mask (a1)", "mask (a2)", "mask (b1)"]
    np.testing.assert_allclose(found[0].mean, values(project, "a1")[2:9, 3:12].mean(axis=(0, 1)), rtol=1e-6)
    np.testing.assert_allclose(found[1].std, values(project, "a2").std(axis=(0, 1)), rtol=1e-6)
    # Cameras with other bands cannot share a mean.
    together = run(verbs.mask_spectra(project, ["a1", "a2", "b1"], pool=True))
    assert [len(one.mean) for one in together] == [12, 9]
    assert together[0].pixels == 7 * 9 + 20 * 16
    unsaved = np.zeros(SHAPE, dtype=bool)
    unsaved[0, 0] = True
    drawn = run(verbs.mask_spectra(project, ["a1"], masks={"a1": unsaved}))[0]
    np.testing.assert_allclose(drawn.mean, values(project, "a1")[0, 0])


def test_classes_of_all_cubes_each_and_pooled(project):
    found = run(verbs.class_spectra(project, ["a1", "a2", "b1"]))
    assert [one.name for one in found] == ["rising (a1)", "falling (a1)", "rising (b1)", "falling (b1)"]
    np.testing.assert_allclose(found[3].mean, values(project, "b1")[:6, 8:].mean(axis=(0, 1)), rtol=1e-6)
    assert found[0].colour == project.classes.colours[0]
    with pytest.raises(LabelError, match="'a2' have no labelled pixel"):
        run(verbs.class_spectra(project, ["a2"]))


def test_a_long_measurement_tells_how_far_it_is_and_can_be_ended(project):
    steps = verbs.class_spectra(project, ["a1", "b1"])
    shares = [progress.done / progress.total for progress in (next(steps) for _ in range(4))]
    assert shares == sorted(shares)
    steps.close()


def test_the_verb_measures_matches_and_writes(folder, project, tmp_path):
    report = command("spectra", folder, "--cube", "a1", "--at", "3,4", "--at", "10,12")
    np.testing.assert_allclose(report["spectra"][1]["mean"], values(project, "a1")[10, 12], rtol=1e-6)
    assert report["spectra"][0]["std"] is None
    report = command("spectra", folder, "--all", "--box", "1,2,5,6", "--to", tmp_path / "box.csv")
    np.testing.assert_allclose(report["spectra"][2]["std"], values(project, "b1")[1:5, 2:6].std(axis=(0, 1)), rtol=1e-5)
    assert (tmp_path / "box.csv").read_text().startswith("wavelength_nm,box (a1),box (a1) std,box (a2)")
    command("spectra", folder, "--cube", "a1", "--classes", "--to", tmp_path / "own.sli")
    library = read_library(tmp_path / "own.sli")
    assert library.names == ("rising (a1)", "falling (a1)")
    report = command("spectra", folder, "--cube", "b1", "--classes", "--library", tmp_path / "own.sli", "--match", 1)
    assert [row["matches"][0]["name"] for row in report["spectra"]] == ["rising (a1)", "falling (a1)"]
    assert report["spectra"][0]["matches"][0]["angle"] < 0.05
    assert command("spectra", folder, "--cube", "a1")["spectra"][0]["name"] == "mask (a1)"


def test_polygons_are_measured_by_class(folder, project, tmp_path):
    ring = [[2, 1], [6, 1], [6, 5], [2, 5], [2, 1]]
    feature = {"type": "Feature", "properties": {"class": "leaf"}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    (tmp_path / "p.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    found = command("spectra", folder, "--cube", "a1", "--polygons", tmp_path / "p.geojson")["spectra"][0]
    assert (found["name"], found["pixels"]) == ("leaf (a1)", 16)
    np.testing.assert_allclose(found["mean"], values(project, "a1")[1:5, 2:6].mean(axis=(0, 1)), rtol=1e-6)


def test_what_cannot_be_measured_is_one_sentence(folder, project, tmp_path):
    for words, expected in (
        (("--at", "20,0"), "pixel 20,0 lies outside cube 'a1'"),
        (("--box", "0,0,30,2"), "does not lie in cube 'a1'"),
        (("--to", tmp_path / "x.txt"), "written as .csv or .sli"),
        (("--library", tmp_path / "none.sli"), "does not exist"),
    ):
        assert expected in command("spectra", folder, "--cube", "a1", *words, code=1)["error"]
    far = SpectralLibrary("far", ("x",), np.linspace(2000, 2500, 5), np.ones((1, 5)), "reflectance")
    write_library(tmp_path / "far.sli", far)
    assert "covers 2000–2500 nm" in command("spectra", folder, "--cube", "a1", "--library", tmp_path / "far.sli", code=1)["error"]
    assert "a library holds one set of bands" in command("spectra", folder, "--all", "--to", tmp_path / "all.sli", code=1)["error"]
    assert not (tmp_path / "all.sli").exists()
    with pytest.raises(ProjectError, match="no measured pixel"):
        run(verbs.region_spectra(project, {"a1": np.zeros(SHAPE, dtype=bool)}, "region"))
    command("spectra", folder, "--cube", "a1", "--mask", "--classes", code=2)
    command("spectra", folder, code=2)


def test_a_map_by_angle_is_that_of_spectral_within_the_mask(folder, project, tmp_path):
    report = command("angles", folder, "--cube", "a1", "--classes", "--max-angle", 0.2, "--out", tmp_path / "m.tif")
    made = load_map(project.map_path("a1", "angles", "sam"))
    means = [one.mean for one in run(verbs.class_spectra(project, ["a1"]))]
    plain = spectral_angles(values(project, "a1"), np.stack(means))
    area = project.area("a1")
    np.testing.assert_array_equal(made.labels, np.where(area & (plain.min(axis=-1) <= 0.2), np.array([3, 7])[plain.argmin(axis=-1)], 0))
    np.testing.assert_allclose(made.confidence[area], 1 - plain.min(axis=-1)[area] / 0.2, atol=1e-4)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "m.tif"), made.labels)
    assert report["maps"][0]["areas"] == {"rising": int((made.labels == 3).sum()), "falling": int((made.labels == 7).sum())}
    assert project.map_path("a1", "angles", "sam") in project.maps()
    assert made.classes.names == ("rising", "falling")


def test_an_unlabelled_cube_is_mapped_by_the_classes_of_the_others(folder, project):
    command("angles", folder, "--cube", "a2", "--classes")
    made = load_map(project.map_path("a2", "angles", "sam"))
    assert (made.labels[:, :8] == 3).all()
    assert (made.labels[:, 8:] == 7).all()


def test_pinned_references_of_another_camera_make_a_map_that_its_command_remakes(folder, project):
    references = run(verbs.class_spectra(project, ["b1"]))
    report = run(angles.pinned_angles(project, "a1", references, AnglesConfig(max_angle=0.3)))
    first = load_map(project.map_path("a1", "angles", "sam"))
    words = first.provenance["command"].split()
    assert words[:2] == ["napari-hsi-ssl", "angles"]
    command(*words[1:])
    again = load_map(project.map_path("a1", "angles", "sam"))
    np.testing.assert_array_equal(first.labels, again.labels)
    assert sum(report["maps"][0]["areas"].values()) == int(project.area("a1").sum())


def test_a_pinned_curve_that_fits_no_band_of_the_cube_is_left_out_and_named(project):
    # One leftover pin of another camera must not cost the map, nor be called a library.
    fitting = run(verbs.class_spectra(project, ["a1"]))
    far = MeanSpectrum("50, 10 (far)", ("far",), 1, np.ones(5), None, np.linspace(2000, 2500, 5), None, "reflectance", None)
    counted = replace(far, name="3, 4 (counted)", wavelengths=None)
    said = []
    report = run(angles.pinned_angles(project, "a1", [far, *fitting], AnglesConfig()), said.append)
    told = [one.message for one in said if one.warning]
    assert told == ["The pinned curve “50, 10 (far)” has other bands than cube 'a1': left out, mapped with the other 2."]
    assert list(report["maps"][0]["areas"]) == [one.name for one in fitting]
    said.clear()
    run(angles.pinned_angles(project, "a1", [far, counted, *fitting], AnglesConfig()), said.append)
    assert next(one.message for one in said if one.warning).startswith("2 pinned curves have other bands than cube 'a1' (“50, 10 (far)”, “3, 4 (counted)”)")
    with pytest.raises(ConfigError, match="no other curve is ticked; pin a pixel") as caught:
        run(angles.pinned_angles(project, "a1", [counted], AnglesConfig()))
    assert "library" not in str(caught.value)


def test_references_are_named_exactly_once(folder, project, tmp_path):
    assert "found none" in command("angles", folder, "--cube", "a1", code=1)["error"]
    assert "found --classes and --at" in command("angles", folder, "--cube", "a1", "--classes", "--at", "1,1", code=1)["error"]
    assert "2 cubes" in command("angles", folder, "--cube", "a1", "--cube", "a2", "--classes", "--out", tmp_path / "x.tif", code=1)["error"]
    assert "max_angle" in command("angles", folder, "--cube", "a1", "--classes", "--max-angle", 0, code=1)["error"]
    with pytest.raises(ConfigError, match="no reference spectrum"):
        run(angles.pinned_angles(project, "a1", [], AnglesConfig()))


def test_two_references_of_one_colour_stay_apart_on_the_map(project):
    cube = project.cube("a1")
    same = [described(cube, name, "a1", 1, np.arange(12.0) + 1, None, "#e69f00") for name in ("x", "y")]
    assert len(set(angles.references_of(cube, same).classes.colours)) == 2


def test_prepared_spectra_are_those_of_the_prepared_cube(folder, project):
    # Measuring the raw cube under this name would compare reflectance with absorbance.
    expected = np.asarray(project.prepared("a1").data[4, 5], dtype=np.float64)
    report = command("spectra", folder, "--cube", "a1", "--at", "4,5", "--prepared")
    assert report["prepared"] is True
    np.testing.assert_allclose(report["spectra"][0]["mean"], expected, rtol=1e-6)
    made = command("angles", folder, "--cube", "a1", "--at", "4,5", "--prepared", "--max-angle", "1")
    assert "--prepared" in load_map(project.map_path("a1", "angles", "sam")).provenance["command"]
    assert made["maps"][0]["not_mapped"] == 0
