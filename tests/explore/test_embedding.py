"""The sample behind a UMAP, its file, and one real run on a few points."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hsi_ssl.errors import ConfigError, ProjectError
from napari_hsi_ssl.explore import embedding
from napari_hsi_ssl.explore.embedding import SampleMap, check_umap, draw_pixels, umap_places
from napari_hsi_ssl.progress import run


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    domains=st.lists(st.sampled_from("ab"), min_size=6, max_size=6),
    count=st.integers(1, 120),
)
def test_every_domain_gives_as_much_as_another_as_far_as_it_lasts(sizes, domains, count):
    areas = {}
    for number, size in enumerate(sizes):
        area = np.zeros(48, dtype=bool)
        area[:size] = True
        areas[f"cube{number}"] = area.reshape(6, 8)
    owners = {name: domains[number] for number, name in enumerate(areas)}
    drawn = draw_pixels(areas, owners, count, seed=3)
    for name, pixels in drawn.items():
        assert areas[name].ravel()[pixels].all()
        assert (np.diff(pixels) > 0).all(), "twice the same pixel, or out of order"
    room = {domain: sum(int(areas[name].sum()) for name in areas if owners[name] == domain) for domain in set(owners.values())}
    taken = {domain: sum(len(drawn[name]) for name in areas if owners[name] == domain) for domain in room}
    assert sum(taken.values()) == min(count, sum(room.values()))
    for domain, number in taken.items():
        assert number == room[domain] or number >= max(taken.values()) - 1


def test_the_draw_depends_on_the_seed_and_not_on_the_order_of_the_cubes():
    areas = {name: np.ones((20, 20), dtype=bool) for name in "abc"}
    domains = {"a": "x", "b": "y", "c": "y"}
    first = draw_pixels(areas, domains, 90, 0)
    again = draw_pixels(dict(reversed(areas.items())), domains, 90, 0)
    other = draw_pixels(areas, domains, 90, 1)
    assert all(np.array_equal(first[name], again[name]) for name in areas)
    assert not np.array_equal(first["a"], other["a"])


def test_a_sample_keeps_its_places_and_knows_what_it_does_not_hold(tmp_path):
    places = np.arange(10, dtype=np.float32).reshape(5, 2)
    made = SampleMap(("a", "b", "empty"), np.array([0, 0, 0, 1, 1], dtype=np.int32), np.array([2, 5, 9, 0, 5]), places, 15, 0)
    made.save(tmp_path / "umap.npz")
    found = SampleMap.load(tmp_path / "umap.npz")
    np.testing.assert_array_equal(found.at("a", np.array([5, 0, 9])), [places[1], [np.nan] * 2, places[2]])
    np.testing.assert_array_equal(found.at("b", np.array([5])), places[4:])
    assert np.isnan(found.at("empty", np.array([5]))).all()
    assert np.isnan(found.at("unknown", np.array([5]))).all()
    (tmp_path / "umap.npz").write_bytes((tmp_path / "umap.npz").read_bytes()[:200])
    with pytest.raises(ProjectError, match="not a whole UMAP file"):
        SampleMap.load(tmp_path / "umap.npz")


def test_without_the_package_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install umap-learn"):
        check_umap(1000, 15)


@pytest.mark.skipif(importlib.util.find_spec("umap") is None, reason="umap-learn is not installed: pip install umap-learn")
class TestWithUmap:
    """What needs umap-learn."""

    def test_two_clusters_stay_apart_and_the_seed_decides(self):
        generator = np.random.default_rng(0)
        features = np.concatenate([generator.normal(0, 1, (60, 5)), generator.normal(12, 1, (60, 5))])
        heard = []
        places = run(umap_places(features, neighbours=8, seed=1), heard.append)
        assert places.shape == (120, 2)
        assert np.isfinite(places).all()
        first, second = places[:60], places[60:]
        apart = np.linalg.norm(first.mean(axis=0) - second.mean(axis=0))
        assert apart > 2 * max(first.std(), second.std())
        assert heard
        np.testing.assert_array_equal(run(umap_places(features, neighbours=8, seed=1)), places)

    def test_too_few_pixels_are_refused(self):
        with pytest.raises(ConfigError, match="needs at least 16"):
            check_umap(12, 15)

    def test_closing_it_ends_the_process(self, monkeypatch):
        started = []
        plain = embedding.subprocess.Popen

        def start(*args, **options):
            started.append(plain(*args, **options))
            return started[-1]

        monkeypatch.setattr(embedding.subprocess, "Popen", start)
        steps = umap_places(np.random.default_rng(0).random((5000, 20)))
        next(steps)
        assert started[0].poll() is None
        steps.close()
        assert started[0].poll() not in {None, 0}

    def test_a_process_that_fails_is_told_in_one_sentence(self):
        features = np.random.default_rng(0).random((50, 3))
        features[0] = np.nan
        with pytest.raises(ConfigError, match="the UMAP of 50 pixels failed"):
            run(umap_places(features))
