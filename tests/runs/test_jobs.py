"""The jobs of the compute process: judging, embedding and mapping, on small made-up cubes."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from napari_hsi_ssl import files
from napari_hsi_ssl.config import ClassifyConfig, PatchConfig, PcaConfig, TrunkConfig
from napari_hsi_ssl.cubes.calibrate import resampling_matrix
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.errors import LabelError, ProjectError, RunError
from napari_hsi_ssl.explore.pca import Source, fit_projection, project_cube
from napari_hsi_ssl.learning.checkpoint import build_model, load_model, save_model
from napari_hsi_ssl.mapping.embed import embed_cube
from napari_hsi_ssl.mapping.exits import own_probabilities
from napari_hsi_ssl.patches.index import PatchSource, build_index
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.runs import jobs
from napari_hsi_ssl.runs.compute import ComputeProcess

SIDE, BANDS, COMPONENTS, SIZE = 40, {"a": 14, "b": 10}, 4, 8


def made_cube(domain, seed):
    """Three materials (2, 5, 9) in fields of 10 pixels; the two domains have other bands and other levels."""
    draws = np.random.default_rng(seed)
    bands = BANDS[domain]
    materials = np.random.default_rng(7).normal(size=(3, 40))[:, :bands] + (4 if domain == "b" else 0)
    fields = np.kron(draws.permutation(np.arange(16) % 3).reshape(4, 4), np.ones((10, 10), dtype=int))
    return (materials[fields] + 0.2 * draws.normal(size=(SIDE, SIDE, bands))).astype(np.float32), np.array([2, 5, 9])[fields]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    sources, labels, areas = [], {}, {}
    for seed, (name, domain) in enumerate({"a1": "a", "a2": "a", "b1": "b", "b2": "b"}.items()):
        values, labels[name] = made_cube(domain, seed)
        areas[name] = np.ones((SIDE, SIDE), dtype=bool)
        areas[name][:, :3] = False
        np.save(root / f"{name}.npy", values)
        sources.append(Source(name, domain, as_cube(values, name=name), areas[name]))
    projection = run(fit_projection(sources, PcaConfig(bands=12, components=COMPONENTS)))
    projection.save(root / "inlet" / "pca.npz")
    for source in sources:
        files.write_npy(root / "inlet" / f"{source.name}.npy", run(project_cube(projection, source)))
        files.write_tiff(root / f"{source.name}.mask.tif", source.area.astype(np.uint8) * 255)
        files.write_tiff(root / f"{source.name}.labels.tif", labels[source.name].astype(np.int32))
    index, _ = build_index([PatchSource(s.name, s.domain, s.area) for s in sources], PatchConfig(size=SIZE, stride=4, split="cube", test_share=0.5))
    index.save(root / "patches.npz")
    card = {
        "format": 1,
        "kind": "pretrain",
        "channels": COMPONENTS,
        "window": SIZE,
        "architecture": {"trunk": TrunkConfig(widths=(8, 12)).model_dump(mode="json"), "projection": 8},
        "input": {"source": "pcs", "offset": [0.0] * COMPONENTS, "gain": [1.0] * COMPONENTS, "background": "mean"},
        "inlet_sha256": files.file_hash(root / "inlet" / "pca.npz"),
    }
    save_model(root, build_model(card, 1), card)
    return SimpleNamespace(root=root, index=index, labels=labels, areas=areas, projection=projection, card=card)


def cubes_of(made, labels=True):
    return [
        {
            "name": name,
            "domain": name[0],
            "file": str(made.root / f"{name}.npy"),
            "key": None,
            "raw": None,
            "calibration": {},
            "scores": str(made.root / "inlet" / f"{name}.npy"),
            "mask": str(made.root / f"{name}.mask.tif"),
            "labels": str(made.root / f"{name}.labels.tif") if labels else None,
        }
        for name in made.labels
    ]


def evaluation(made, cubes=None, names=None, **settings):
    return jobs.evaluate(
        model=str(made.root / "model.safetensors"),
        inlet=str(made.root / "inlet" / "pca.npz"),
        patches=str(made.root / "patches.npz"),
        cubes=cubes_of(made) if cubes is None else cubes,
        settings={"k": 5, "minimum": 5, **settings},
        class_names=names or {},
    )


def target(made, name):
    return {"name": name, "scores": str(made.root / "inlet" / f"{name}.npy"), "area": str(made.root / f"{name}.mask.tif")}


def reference(made, name):
    return {**target(made, name), "labels": str(made.root / f"{name}.labels.tif")}


def classification(made, tmp_path, *, cube=None, references=None, model=None, inlet=None, limit=20000, **settings):
    return jobs.classify(
        model=str(model or made.root / "model.safetensors"),
        inlet=str(inlet or made.root / "inlet" / "pca.npz"),
        cube=cube or target(made, "a1"),
        references=[reference(made, "a1"), reference(made, "a2")] if references is None else references,
        settings={"k": 5, "references": limit, **settings},
        cache=str(tmp_path / "embeddings"),
        labels=str(tmp_path / "labels.npy"),
        confidence=str(tmp_path / "confidence.npy"),
    )


def test_domains_are_judged_on_held_out_cubes(made):
    seen = []
    report = run(evaluation(made), seen.append)
    split = made.index.split
    assert (report["n_train"], report["n_test"]) == ((split == 0).sum(), (split == 1).sum())
    assert report["split"] == "whole cubes held out"
    assert report["classes"] == ["a", "b"]
    assert report["simple"]["mean_spectrum"]["linear_probe"] == report["simple"]["mean_pca"]["linear_probe"] == 1.0
    assert report["gain"] == report["linear_probe"] - report["random_linear_probe"]
    assert report["knn_gain"] == report["knn_accuracy"] - report["random_knn_accuracy"]
    assert all(0 <= report[key] <= 1 for key in ("knn_accuracy", "linear_probe", "random_knn_accuracy", "random_linear_probe", "chance"))
    assert report["not_scored"] == {}
    assert {"pretrained backbone: embedding patches of a1", "random backbone: embedding patches of b2"} <= {progress.message for progress in seen}


def test_the_random_backbone_is_drawn_from_the_seed_and_is_not_the_trained_one(made):
    first = run(evaluation(made, labels="class"))
    again = run(evaluation(made, labels="class"))
    same = run(evaluation(made, labels="class", seed=1))  # the seed the "trained" weights were drawn from
    assert first == again
    assert same["gain"] == same["knn_gain"] == 0
    assert (first["random_knn_accuracy"], first["random_linear_probe"]) != (same["random_knn_accuracy"], same["random_linear_probe"])


def test_classes_are_those_of_the_labels_in_a_patch(made):
    report = run(evaluation(made, labels="class", names={"2": "clay", "9": "chalk"}))
    assert set(report["classes"]) | set(report["not_scored"]) == {"clay", "class 5", "chalk"}
    counted = 0
    for number, name in enumerate(made.index.cubes):
        for y, x in zip(made.index.y[made.index.cube == number], made.index.x[made.index.cube == number], strict=True):
            counts = np.bincount(made.labels[name][y : y + SIZE, x : x + SIZE].ravel())
            counted += counts.max() >= SIZE * SIZE / 2
    assert report["n_train"] + report["n_test"] == counted
    with pytest.raises(LabelError, match="no cube of this run has labels"):
        run(evaluation(made, cubes=cubes_of(made, labels=False), labels="class"))


def test_mean_spectra_are_of_the_raw_cube_on_the_common_grid(made):
    cubes = {cube["name"]: cube for cube in cubes_of(made)}
    means = run(jobs._mean_spectra(made.index, cubes, made.areas, made.projection))
    row = 3
    name = made.index.cubes[made.index.cube[row]]
    y, x = made.index.y[row], made.index.x[row]
    window = np.s_[y : y + SIZE, x : x + SIZE]
    spectra = np.load(made.root / f"{name}.npy")[window][made.areas[name][window]].astype(np.float64)
    expected = resampling_matrix(BANDS[name[0]], made.projection.grid, "index") @ spectra.mean(axis=0)
    np.testing.assert_allclose(means[row], expected, rtol=1e-6)
    assert np.isfinite(means).all()


def test_an_embedding_is_made_once_and_anew_when_anything_changes(made, tmp_path):
    arguments = {"model": str(made.root / "model.safetensors"), "inlet": str(made.root / "inlet" / "pca.npz"), "cache": str(tmp_path)}
    first = run(jobs.embed(cube=target(made, "a1"), **arguments))
    network, card = load_model(made.root / "model.safetensors")
    expected = run(embed_cube(network, card, np.load(made.root / "inlet" / "a1.npy"), made.areas["a1"]))
    np.testing.assert_array_equal(np.load(first["path"]), expected)
    assert first["made"]
    assert run(jobs.embed(cube=target(made, "a1"), **arguments)) == {**first, "made": False}
    # Another area, other scores, another model: another embedding. A damaged one is made again.
    other = run(jobs.embed(cube={**target(made, "a1"), "area": None}, **arguments))
    assert other["made"]
    assert other["path"] != first["path"]
    elsewhere = {**arguments, "cache": str(tmp_path / "elsewhere")}
    assert run(jobs.embed(cube={**target(made, "a1"), "scores": str(made.root / "inlet" / "a2.npy")}, **elsewhere))["path"] != first["path"]
    save_model(tmp_path, build_model(made.card, 2), made.card)
    assert run(jobs.embed(cube=target(made, "a1"), **{**arguments, "model": str(tmp_path / "model.safetensors")}))["path"] != first["path"]
    with open(first["path"], "r+b") as stream:
        stream.truncate(1000)
    assert run(jobs.embed(cube=target(made, "a1"), **arguments)) == first
    np.testing.assert_array_equal(np.load(first["path"]), expected)


@pytest.mark.parametrize("method", ["knn", "linear"])
def test_a_map_keeps_the_files_class_numbers_within_the_area(made, tmp_path, method):
    report = run(classification(made, tmp_path, method=method))
    labels, confidence = np.load(tmp_path / "labels.npy"), np.load(tmp_path / "confidence.npy")
    area = made.areas["a1"]
    assert (labels[~area] == 0).all()
    assert set(np.unique(labels[area])) <= {2, 5, 9}
    assert labels.dtype == np.int32
    assert confidence.dtype == np.float32
    assert ((confidence[area] > 0) & (confidence[area] <= 1)).all()
    assert report["pixels"] == area.sum()
    assert sum(report["references"].values()) == 2 * area.sum()  # labels outside the area have no embedding
    assert (labels[area] == made.labels["a1"][area]).mean() > 0.8


def test_references_are_limited_and_come_from_the_cubes_given(made, tmp_path):
    given = [reference(made, "a2")]
    assert sum(run(classification(made, tmp_path, references=given))["references"].values()) == made.areas["a2"].sum()
    limited = run(classification(made, tmp_path, references=given, limit=60))["references"]
    assert 55 < sum(limited.values()) <= 60
    assert set(limited) == {"2", "5", "9"}


def test_the_self_distillation_network_maps_by_itself(made, tmp_path):
    card = {
        **made.card,
        "kind": "distil",
        "architecture": {"trunk": TrunkConfig(widths=(8, 12), stem_stride=1, stride=1, pool="centre").model_dump(mode="json"), "classes": 3},
        "classes": {"numbers": [2, 5, 9], "names": ["x", "y", "z"], "colours": ["#000000"] * 3},
    }
    save_model(tmp_path, build_model(card, 3), card)
    report = run(classification(made, tmp_path, model=tmp_path / "model.safetensors", references=[], method="distil"))
    labels, confidence = np.load(tmp_path / "labels.npy"), np.load(tmp_path / "confidence.npy")
    network, card = load_model(tmp_path / "model.safetensors")
    probabilities, _ = run(own_probabilities(network, card, np.load(made.root / "inlet" / "a1.npy"), made.areas["a1"], ClassifyConfig(method="distil")))
    area = made.areas["a1"]
    np.testing.assert_array_equal(labels[area], np.array([2, 5, 9])[probabilities[area].argmax(axis=-1)])
    np.testing.assert_array_equal(confidence[area], probabilities[area].max(axis=-1))
    assert not labels[~area].any()
    assert not confidence[~area].any()
    assert report == {"references": {}, "pixels": int(area.sum())}
    with pytest.raises(RunError, match="no classes of its own; use --method knn or linear"):
        run(classification(made, tmp_path, references=[], method="distil"))


def test_bad_input_is_one_sentence(made, tmp_path):
    other = tmp_path / "pca.npz"
    shutil.copy(made.root / "patches.npz", other)
    with pytest.raises(RunError, match="made for another inlet"):
        run(classification(made, tmp_path, inlet=other))
    with pytest.raises(RunError, match="made for another inlet"):
        run(classification(made, tmp_path, inlet=tmp_path / "gone.npz"))
    np.save(tmp_path / "wide.npy", np.zeros((SIDE, SIDE, 9), dtype=np.float16))
    with pytest.raises(RunError, match="9 channels, but the model was made for 4"):
        run(classification(made, tmp_path, cube={**target(made, "a1"), "scores": str(tmp_path / "wide.npy")}))
    files.write_tiff(tmp_path / "small.tif", np.ones((5, 6), dtype=np.uint8))
    with pytest.raises(ProjectError, match=r"small\.tif has shape \(5, 6\), expected \(40, 40\)"):
        run(classification(made, tmp_path, cube={**target(made, "a1"), "area": str(tmp_path / "small.tif")}))
    with pytest.raises(LabelError, match=r"small\.tif"):
        run(classification(made, tmp_path, references=[{**reference(made, "a1"), "labels": str(tmp_path / "small.tif")}]))
    files.write_tiff(tmp_path / "one.tif", np.full((SIDE, SIDE), 5, dtype=np.uint8))
    with pytest.raises(LabelError, match=r"one class \(5\), expected at least two"):
        run(classification(made, tmp_path, references=[{**reference(made, "a1"), "labels": str(tmp_path / "one.tif")}]))
    with pytest.raises(RunError, match="cube 'b2', which the project no longer has"):
        run(evaluation(made, cubes=cubes_of(made)[:-1]))
    files.write_npy(tmp_path / "low.npy", np.zeros((20, SIDE, COMPONENTS), dtype=np.float16))
    cut = cubes_of(made)
    cut[0] |= {"scores": str(tmp_path / "low.npy"), "mask": None}
    with pytest.raises(ProjectError, match="patches reach beyond cube 'a1' of 20×40 pixels"):
        run(evaluation(made, cubes=cut))


def test_the_real_child_maps_a_cube(made, tmp_path):
    arguments = {"model": made.root / "model.safetensors", "inlet": made.root / "inlet" / "pca.npz", "cube": target(made, "b1")}
    process = ComputeProcess()
    try:
        report = run(
            process.call(
                "classify",
                **arguments,
                references=[reference(made, "b2")],
                settings={"method": "knn", "k": 3},
                cache=tmp_path,
                labels=tmp_path / "labels.npy",
                confidence=tmp_path / "confidence.npy",
            )
        )
        assert report["pixels"] == made.areas["b1"].sum()
        assert np.load(tmp_path / "labels.npy").shape == (SIDE, SIDE)
        with pytest.raises(LabelError, match=r"one class \(255\)"):
            run(
                process.call(
                    "classify",
                    **arguments,
                    references=[{**reference(made, "b2"), "labels": str(made.root / "b2.mask.tif"), "area": str(made.root / "b2.mask.tif")}],
                    settings={},
                    cache=tmp_path,
                    labels=tmp_path / "x.npy",
                    confidence=tmp_path / "y.npy",
                )
            )
    finally:
        process.close()
