"""The embedding without training: what it is made of, and that it tells materials apart where single spectra cannot."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hsi_ssl import Project, run
from napari_hsi_ssl.config import ClassifyConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.writers import load_map, write_envi_cube
from napari_hsi_ssl.errors import ConfigError, LabelError
from napari_hsi_ssl.mapping.training_free import NAME, snv
from napari_hsi_ssl.steps.classify import best_embedding, classify
from napari_hsi_ssl.steps.cubes import new
from napari_hsi_ssl.steps.labels import save_painted
from napari_hsi_ssl.steps.mask import save_mask
from napari_hsi_ssl.steps.training_free import embeddings, training_free_inlet

SHAPE, BANDS = (40, 48), 16


def material_map():
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return 1 + (y // 10 + x // 12) % 3


@pytest.fixture
def project(tmp_path):
    """Three materials whose spectra differ by less than the noise of a pixel, under light that changes from pixel to pixel."""
    generator = np.random.default_rng(0)
    spectra = 5 + generator.normal(0, 0.25, (3, BANDS)) + np.linspace(0, 2, BANDS)
    light = generator.uniform(0.7, 1.4, (*SHAPE, 1))
    values = spectra[material_map() - 1] * light + generator.normal(0, 0.35, (*SHAPE, BANDS))
    path = tmp_path / "lab" / "scene.hdr"
    path.parent.mkdir()
    write_envi_cube(path, as_cube(values.astype(np.float32), np.linspace(450, 900, BANDS), "radiance", "scene"))
    run(new(tmp_path / "project", [path]))
    made = Project.open(tmp_path / "project")
    labels = np.where(np.random.default_rng(1).random(SHAPE) < 0.06, material_map(), 0)
    run(save_painted(made, "scene", labels.astype(np.int32), {1: "oak", 2: "ash", 3: "elm"}))
    return made


def test_it_beats_the_same_vote_on_single_spectra_by_far(project):
    report = run(classify(project, NAME, ClassifyConfig(method="knn", k=10)))
    found = load_map(project.map_path("scene", NAME, "knn"))
    ours = (found.labels == material_map()).mean()
    cube, labels = np.asarray(project.cube("scene").data), project.labels("scene")
    from sklearn.neighbors import KNeighborsClassifier

    shapes = snv(cube.reshape(-1, BANDS))
    known = labels.ravel() > 0
    plain = KNeighborsClassifier(10).fit(shapes[known], labels.ravel()[known]).predict(shapes)
    assert ours > (plain == material_map().ravel()).mean() + 0.1
    assert ours > 0.9
    assert found.classes.names == ("oak", "ash", "elm")
    assert ((found.confidence > 0) & (found.confidence <= 1)).all()
    assert report["maps"][0]["areas"]["oak"] == int((found.labels == 1).sum())
    assert f"--run {NAME}" in found.provenance["command"]


def test_the_blocks_have_the_spread_they_are_meant_to_have(project):
    (path,) = run(embeddings(project, {"scene": np.ones(SHAPE, dtype=bool)})).values()
    embedding = np.load(path).astype(np.float64).reshape(-1, np.load(path).shape[2])
    k = embedding.shape[1] - BANDS
    np.testing.assert_allclose(embedding.mean(axis=0), 0, atol=0.02)
    assert np.sqrt(embedding[:, k:].var(axis=0).sum()) == pytest.approx(0.5, rel=0.02)
    assert 0.3 < np.sqrt(embedding[:, :k].var(axis=0).sum()) <= 1.0  # the filter takes noise away


def test_it_is_kept_and_made_anew_when_the_mask_changes(project):
    area = project.area("scene")
    (first,) = run(embeddings(project, {"scene": area})).values()
    stamp = first.stat().st_mtime_ns
    assert run(embeddings(project, {"scene": area})) == {"scene": first}
    assert first.stat().st_mtime_ns == stamp
    mask = np.ones(SHAPE, dtype=bool)
    mask[:5] = False
    save_mask(project, "scene", mask)
    (second,) = run(embeddings(project, {"scene": project.area("scene")})).values()
    assert second != first
    assert np.isnan(np.load(second)[:5]).all()
    assert np.isfinite(np.load(second)[5:]).all()


def test_the_projects_own_inlet_is_left_alone_unless_asked(project):
    run(embeddings(project, {"scene": project.area("scene")}))
    assert project.inlet is None
    report = run(training_free_inlet(project, current=True))
    assert project.inlet == report["inlet"]
    assert project.scores("scene").shape == (*SHAPE, 16)


def test_it_is_what_one_gets_before_anything_is_trained(project):
    assert best_embedding(project) == NAME


def test_it_has_no_classes_of_its_own(project):
    with pytest.raises(ConfigError, match="no classes of their own"):
        run(classify(project, NAME, ClassifyConfig(method="distil")))


def test_one_class_alone_is_one_sentence(project):
    run(save_painted(project, "scene", np.where(project.labels("scene") == 1, 1, 0).astype(np.int32), {}))
    with pytest.raises(LabelError, match="one class"):
        run(classify(project, NAME, ClassifyConfig(method="knn")))
