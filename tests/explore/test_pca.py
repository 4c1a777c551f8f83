"""The projection against scikit-learn and plain NumPy on matrices that fit into memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from napari_hsi_ssl.config import PcaConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.errors import ConfigError, ProjectError
from napari_hsi_ssl.explore import chunks
from napari_hsi_ssl.explore.pca import Projection, Source, fit_projection, folded, project_cube
from napari_hsi_ssl.progress import Progress, run


def spectra_like(seed: int, shape: tuple[int, int, int], rank: int = 6, noise: float = 0.02) -> np.ndarray:
    """A cube of a few smooth materials with noise, all positive."""
    generator = np.random.default_rng(seed)
    height, width, bands = shape
    materials = np.cumsum(generator.standard_normal((rank, bands)), axis=1) + 20
    shares = generator.dirichlet(np.ones(rank) * 0.5, (height, width))
    return shares @ materials + noise * generator.standard_normal(shape)


def source(seed: int, shape: tuple[int, int, int] = (14, 11, 9), domain: str = "a", keep: float = 0.7, **attrs) -> Source:
    values = spectra_like(seed, shape)
    area = np.random.default_rng(seed + 1000).random(shape[:2]) < keep
    name = f"{domain}{seed}"
    return Source(name, domain, as_cube(values, name=name, **attrs), area)


def on_grid(item: Source, bands: int) -> np.ndarray:
    """The masked spectra (n, G), resampled one by one with numpy.interp."""
    spectra = np.asarray(item.cube.values[item.area], dtype=float)
    places, grid = np.linspace(0, 1, spectra.shape[1]), np.linspace(0, 1, bands)
    return np.array([np.interp(grid, places, spectrum) for spectrum in spectra])


def check_against_sklearn(projection: Projection, pixels: np.ndarray) -> None:
    """The promise: variances to 1e-5, principal angles under 1e-3 wherever the eigengap is over 1 %."""
    count = len(projection.variance)
    reference = PCA(svd_solver="full").fit(pixels)
    np.testing.assert_allclose(projection.variance, reference.explained_variance_[:count], rtol=1e-5)
    np.testing.assert_allclose(projection.explained, reference.explained_variance_ratio_[:count], rtol=1e-5)
    np.testing.assert_allclose(projection.mean, reference.mean_, rtol=1e-9, atol=1e-9)
    spectrum = np.append(reference.explained_variance_, 0)
    clear = [k for k in range(1, count + 1) if spectrum[k - 1] - spectrum[k] > 0.01 * spectrum[k - 1]]
    assert clear
    for k in clear:
        angles = subspace_angles(projection.components[:k].T, reference.components_[:k].T)
        assert angles.max() < 1e-3, f"the first {k} components span another subspace"


def test_indian_pines_spans_scikit_learns_subspace():
    """On real data with a random mask."""
    datasets = pytest.importorskip("tensorly.datasets")
    values = np.asarray(datasets.load_indian_pines().tensor)[:, :100]
    area = np.random.default_rng(0).random(values.shape[:2]) < 0.6
    item = Source("pines", "aviris", as_cube(values.astype(np.uint16), name="pines"), area)
    check_against_sklearn(run(fit_projection([item], PcaConfig(bands=200))), values[area].astype(float))


def test_samson_on_256_bands_spans_scikit_learns_subspace(shared_data):
    """156 real bands brought to 256: the matrix trick R C Rᵀ must equal resampling every pixel."""
    values = scipy.io.loadmat(next((shared_data / "samson").glob("[!_]*.mat")))["Y"]
    cube = as_cube(np.ascontiguousarray(values.reshape(156, 95, 95, order="F").transpose(1, 2, 0)), name="samson")
    item = Source("samson", "samson", cube, cube.values.mean(axis=2) > 0.15)
    check_against_sklearn(run(fit_projection([item], PcaConfig(bands=256))), on_grid(item, 256))


def test_several_domains_share_one_projection():
    items = [source(0, domain="a"), source(1, (9, 13, 16), "b"), source(2, domain="a")]
    projection = run(fit_projection(items, PcaConfig(bands=12, components=5)))
    pixels = np.concatenate([on_grid(item, 12) for item in items])
    check_against_sklearn(projection, pixels)
    assert projection.domains == ("a", "b")
    np.testing.assert_array_equal(projection.domain_pixels, [items[0].area.sum() + items[2].area.sum(), items[1].area.sum()])


@settings(max_examples=25, deadline=None)
@given(chunk=st.integers(1, 400), order=st.permutations(range(3)), layout=st.permutations(range(3)), scale=st.sampled_from(["none", "standardise", "snv"]))
def test_result_depends_neither_on_blocks_nor_on_order_nor_on_layout(chunk, order, layout, scale):
    """Else two machines, or BSQ and BIP copies of one cube, would give two inlets."""
    items = [source(0), source(1, (9, 13, 16), "b"), source(2)]
    config = PcaConfig(bands=12, components=4, scale=scale, method="mnf")
    expected = run(fit_projection(items, config))
    stored = [np.ascontiguousarray(item.cube.values.transpose(layout)).transpose(np.argsort(layout)) for item in items]
    same = [Source(item.name, item.domain, as_cube(values, name=item.name), item.area) for item, values in zip(items, stored, strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK", chunk)
        found = run(fit_projection([same[number] for number in order], config))
    np.testing.assert_allclose(found.variance, expected.variance, rtol=1e-6)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.components, expected.components, atol=1e-5 * np.abs(expected.components).max())


@pytest.mark.parametrize("method", ["pca", "mnf"])
def test_weighting_by_domain_equals_repeating_the_small_domain(method):
    """A domain with a third of the pixels, given three times, is what equal weights mean."""
    large = source(0, (30, 10, 9), keep=1.0)
    small = source(1, (10, 10, 9), "b", keep=1.0)
    repeated = [large, *(Source(f"b{copy}", "b", small.cube, small.area) for copy in range(3))]
    equal = run(fit_projection([large, small], PcaConfig(bands=9, components=4, weights="domain", method=method)))
    plain = run(fit_projection(repeated, PcaConfig(bands=9, components=4, method=method)))
    np.testing.assert_allclose(equal.mean, plain.mean, rtol=1e-12)
    np.testing.assert_allclose(equal.explained, plain.explained, rtol=1e-9)
    np.testing.assert_allclose(np.abs(equal.components / plain.components), 1, rtol=5e-3)  # 400 − 1 against 600 − 1 in the denominators
    other = run(fit_projection([large, small], PcaConfig(bands=9, components=4, method=method)))
    assert np.abs(other.mean - equal.mean).max() > 1e-3


@pytest.mark.parametrize("mixed_bands", [False, True])
def test_standardise_makes_gain_and_offset_of_a_camera_irrelevant(mixed_bands):
    """Against scikit-learn's StandardScaler per domain, on the grid."""
    items = [source(0), source(1, (9, 13, 16 if mixed_bands else 9)), source(2, domain="b")]
    config = PcaConfig(bands=12, components=5, scale="standardise")
    projection = run(fit_projection(items, config))
    by_domain = [np.concatenate([on_grid(item, 12) for item in items if item.domain == name]) for name in "ab"]
    scaled = [StandardScaler().fit_transform(pixels) * np.sqrt(1 - 1 / len(pixels)) for pixels in by_domain]
    check_against_sklearn(projection, np.concatenate(scaled))
    brighter = Source("b2", "b", as_cube(items[2].cube.values * 37 + 1000, name="b2"), items[2].area)
    again = run(fit_projection([*items[:2], brighter], config))
    np.testing.assert_allclose(again.components, projection.components, atol=1e-6)
    before, after = run(project_cube(projection, items[2])), run(project_cube(again, brighter))
    np.testing.assert_allclose(after.astype(float), before.astype(float), atol=2e-2)


def test_snv_is_taken_spectrum_by_spectrum():
    items = [source(0), source(1, (9, 13, 16), "b")]
    projection = run(fit_projection(items, PcaConfig(bands=12, components=5, scale="snv")))
    pixels = np.concatenate([on_grid(item, 12) for item in items])
    pixels = (pixels - pixels.mean(axis=1, keepdims=True)) / pixels.std(axis=1, keepdims=True)
    check_against_sklearn(projection, pixels)
    scores = run(project_cube(projection, items[0])).astype(float)[items[0].area] * projection.scale
    expected = (pixels[: len(scores)] - projection.mean) @ projection.components.T
    np.testing.assert_allclose(scores, expected, atol=2e-3 * np.abs(expected).max())
    flat = Source("flat", "a", as_cube(np.full((2, 2, 9), 5.0)), np.ones((2, 2), bool))
    assert np.isfinite(run(project_cube(projection, flat))).all()


def test_large_offsets_cost_no_digits():
    """Sums of squares about zero would lose all digits of a small signal on a large level."""
    item = source(0)
    high = Source("high", "a", as_cube(item.cube.values + 1e7, name="high"), item.area)
    low, moved = (run(fit_projection([one], PcaConfig(bands=9, components=5))) for one in (item, high))
    np.testing.assert_allclose(moved.variance, low.variance, rtol=1e-5)


def test_unmeasured_pixels_bad_and_dead_bands():
    """NaN, infinities and ignore values must not reach the sums; a bad band must not either; a dead band is harmless."""
    clean = source(0, (14, 11, 9))
    values, area = clean.cube.values.copy(), clean.area.copy()
    values[..., 4] = 7.0
    expected = run(fit_projection([Source("x", "a", as_cube(values.copy()), area)], PcaConfig(bands=9, components=5)))
    np.testing.assert_allclose(expected.components[:, 4], 0, atol=1e-12)
    larger = np.concatenate([values, values[:3]])
    larger[14, :, 3] = np.nan
    larger[15, :, 0] = np.inf
    larger[16] = -1
    item = Source("x", "a", as_cube(larger, nodata=-1), np.concatenate([area, np.ones((3, 11), bool)]))
    found = run(fit_projection([item], PcaConfig(bands=9, components=5)))
    np.testing.assert_allclose(found.variance, expected.variance, rtol=1e-9)
    scores = run(project_cube(found, item))
    np.testing.assert_array_equal(np.isnan(scores).all(axis=2), np.arange(17)[:, None] * np.ones(11) >= 14)
    np.testing.assert_array_equal(np.isnan(scores).any(axis=2), np.isnan(scores).all(axis=2))
    broken = values.copy()
    broken[..., 4] = np.nan
    flags = np.arange(9) == 4
    spared = run(fit_projection([Source("x", "a", as_cube(broken, bad_bands=flags), area)], PcaConfig(bands=9, components=5)))
    bridged = values.copy()
    bridged[..., 4] = (values[..., 3] + values[..., 5]) / 2
    reference = run(fit_projection([Source("x", "a", as_cube(bridged), area)], PcaConfig(bands=9, components=5)))
    np.testing.assert_allclose(spared.variance, reference.variance, rtol=1e-9)


def test_scores_are_those_of_the_definition():
    """Every measured pixel, also outside the area, in units of the spread over the area."""
    items = [source(0), source(1, (9, 13, 16), "b")]
    projection = run(fit_projection(items, PcaConfig(bands=12, components=5)))
    for item in items:
        whole = Source(item.name, item.domain, item.cube, np.ones_like(item.area))
        expected = (on_grid(whole, 12) - projection.mean) @ projection.components.T / projection.scale
        scores = run(project_cube(projection, item))
        assert scores.dtype == np.float16
        assert scores.shape == (*item.area.shape, 5)
        np.testing.assert_allclose(scores.reshape(-1, 5), expected, rtol=1e-3, atol=1e-3)
    together = np.concatenate([run(project_cube(projection, item))[item.area] for item in items]).astype(float)
    np.testing.assert_allclose(together.std(axis=0, ddof=1), 1, rtol=1e-3)
    np.testing.assert_allclose(projection.components @ projection.components.T, np.eye(5), atol=1e-12)
    assert (projection.components[np.arange(5), np.abs(projection.components).argmax(axis=1)] > 0).all()


@pytest.mark.parametrize("scale", ["none", "standardise"])
def test_filters_over_a_cameras_bands_give_its_scores(scale):
    """A learned inlet begins as these filters: they must be the projection, bad bands left out."""
    bad = np.arange(9) == 4
    items = [source(0, bad_bands=bad), source(1, (9, 13, 16), "b")]
    projection = run(fit_projection(items, PcaConfig(bands=12, components=4, scale=scale)))
    for item, used in ((items[0], ~bad), (items[1], np.ones(16, bool))):
        weights, offset, mean, spread = folded(projection, item.domain, used.size, None, used)
        expected = run(project_cube(projection, item)).astype(float)
        np.testing.assert_allclose(item.cube.values[..., used] @ weights - offset, expected, rtol=2e-3, atol=2e-3)
        number, places = projection.domains.index(item.domain), np.linspace(0, 1, used.size)[used]
        np.testing.assert_allclose(mean, np.interp(places, projection.grid, projection.domain_mean[number]))
        np.testing.assert_allclose(spread, np.interp(places, projection.grid, projection.domain_std[number]))


def test_filters_of_a_camera_that_the_projection_does_not_know():
    items = [source(0, wavelength=np.linspace(400, 900, 9)), source(1, (9, 13, 16), "b", wavelength=np.linspace(420, 1000, 16))]
    projection = run(fit_projection(items, PcaConfig(bands=12, components=4, grid="wavelength")))
    centres = np.linspace(450, 880, 20)
    weights, offset, mean, spread = folded(projection, "c", 20, centres, np.ones(20, bool))
    stranger = Source("new", "c", as_cube(spectra_like(5, (6, 7, 20)), wavelength=centres, name="new"), np.ones((6, 7), bool))
    np.testing.assert_allclose(stranger.cube.values @ weights - offset, run(project_cube(projection, stranger)).astype(float), rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(mean, np.interp(centres, projection.grid, projection.domain_mean.mean(axis=0)))
    np.testing.assert_allclose(spread, np.interp(centres, projection.grid, projection.domain_std.mean(axis=0)))
    with pytest.raises(ConfigError, match="domain 'c' has no wavelengths, but the PCA's grid is in nm"):
        folded(projection, "c", 20, None, np.ones(20, bool))
    for scale, words in (("snv", "^a learned inlet cannot start as a PCA with scale 'snv'"), ("standardise", "domain 'c': domain 'c' was not in the PCA")):
        other = run(fit_projection(items, PcaConfig(bands=12, components=4, scale=scale)))
        with pytest.raises(ConfigError, match=words):
            folded(other, "c", 20, None, np.ones(20, bool))


def test_scores_go_straight_to_disk_and_extremes_stay_finite(tmp_path):
    """An overflow to infinity would read as a pixel that was not measured."""
    item = source(0)
    values = item.cube.values.copy()
    values[0, 0] = 1e9
    area = item.area.copy()
    area[0, 0] = False
    spike = Source("s", "a", as_cube(values), area)
    projection = run(fit_projection([spike], PcaConfig(bands=9, components=4)))
    target = np.lib.format.open_memmap(tmp_path / "s.npy", mode="w+", dtype=np.float16, shape=(14, 11, 4))
    seen: list[Progress] = []
    assert run(project_cube(projection, spike, out=target), seen.append) is target
    target.flush()
    np.testing.assert_array_equal(np.load(tmp_path / "s.npy"), run(project_cube(projection, spike)))
    assert np.isfinite(target).all()
    assert seen[-1].done == seen[-1].total == 14 * 11


def test_components_that_are_only_rounding_stay_small():
    """Dividing rounding errors by their own spread would hand the network pure noise of unit size."""
    values = spectra_like(0, (20, 20, 9), rank=3, noise=0.0)
    item = Source("x", "a", as_cube(values), np.ones((20, 20), bool))
    projection = run(fit_projection([item], PcaConfig(bands=9, components=6)))
    scores = run(project_cube(projection, item)).astype(float)
    np.testing.assert_allclose(scores[..., :2].std(axis=(0, 1)), 1, rtol=1e-2)
    assert np.abs(scores[..., 3:]).max() < 1e-6


def test_sample_is_seeded_and_of_the_size_asked_for():
    items = [source(0, (40, 40, 9)), source(1, (30, 30, 9))]
    config = PcaConfig(bands=9, components=4, sample=200)
    first, second = run(fit_projection(items, config)), run(fit_projection(items[::-1], config))
    assert first.domain_pixels.sum() == 400
    np.testing.assert_allclose(first.components, second.components, atol=1e-9)
    other = run(fit_projection(items, config.model_copy(update={"seed": 1})))
    assert np.abs(first.components - other.components).max() > 1e-4
    whole = run(fit_projection(items, config.model_copy(update={"sample": 10**6})))
    assert whole.domain_pixels.sum() == sum(item.area.sum() for item in items)


def test_wavelength_grid_matches_bands_by_what_they_see():
    """Two cameras that see the same smooth spectra at other wavelengths must give the same scores."""
    generator = np.random.default_rng(0)
    slopes = generator.standard_normal((2, 12, 10, 2))
    items = []
    for name, centres in (("a", np.linspace(400, 1000, 31)), ("b", np.linspace(350, 1100, 76))):
        seen = 5 + slopes @ np.array([centres / 1000, np.ones_like(centres)])
        items.append([Source(name, name, as_cube(part, wavelength=centres, name=name), np.ones((12, 10), bool)) for part in seen])
    config = PcaConfig(bands=20, components=2, grid="wavelength")
    projection = run(fit_projection([items[0][0], items[1][1]], config))
    np.testing.assert_allclose(projection.grid[[0, -1]], [400, 1000])
    pairs = [(run(project_cube(projection, a)), run(project_cube(projection, b))) for a, b in zip(*items, strict=True)]
    for by_a, by_b in pairs:
        np.testing.assert_allclose(by_a.astype(float), by_b.astype(float), atol=5e-3)


def test_saved_projection_is_the_same_bit_for_bit(tmp_path):
    projection = run(fit_projection([source(0), source(1, domain="ü b")], PcaConfig(bands=12, components=5, scale="standardise")))
    projection.save(tmp_path / "pca.npz")
    loaded = Projection.load(tmp_path / "pca.npz")
    assert loaded.digest == projection.digest
    for name in Projection.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(loaded, name), getattr(projection, name))
    assert loaded.domains == ("a", "ü b")
    with np.load(tmp_path / "pca.npz") as archive:
        assert archive["components"].shape == (5, 12)
        assert archive["mean"].shape == archive["grid"].shape == (12,)
    loaded.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "pca.npz").read_bytes()


@pytest.mark.parametrize("damage", ["cut", "noise", "other", "npy", "field", "empty", "nan"])
def test_damaged_projection_says_so(tmp_path, damage):
    path = tmp_path / "pca.npz"
    run(fit_projection([source(0)], PcaConfig(bands=12, components=5))).save(path)
    content = path.read_bytes()
    fields = dict(np.load(path))
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "noise":
        path.write_bytes(content[:300] + b"\x00" * 200 + content[500:])
    elif damage == "other":
        np.savez(path, a=np.ones(3))
    elif damage == "npy":
        with path.open("wb") as stream:
            np.save(stream, np.ones(3))
    elif damage == "field":
        np.savez(path, **{**fields, "mean": np.ones(4)})
    elif damage == "nan":
        np.savez(path, **{**fields, "variance": fields["variance"] * np.nan})
    else:
        path.write_bytes(b"")
    with pytest.raises(ProjectError, match=r"pca\.npz .*run `napari-hsi-ssl pca` again"):
        Projection.load(path)


def test_missing_projection_says_so(tmp_path):
    with pytest.raises(ProjectError, match="does not exist"):
        Projection.load(tmp_path / "pca.npz")


def many(last: float, first: float, offset: float = 0.0) -> np.ndarray:
    """105,600 spectra of 12 bands whose fourth direction has the spread ``last``; in the upper sixth the strongest has ``first`` in place of 1."""
    generator = np.random.default_rng(3)
    directions = np.linalg.qr(generator.standard_normal((12, 12)))[0][:4]
    places = generator.standard_normal((330, 320, 4)) * (1, 0.3, 0.1, last)
    places[:55, :, 0] *= first
    return (offset + places @ directions + 1e-3 * last * generator.standard_normal((330, 320, 12))).astype(np.float32)


@pytest.mark.parametrize(
    ("last", "first", "offset", "kinds"),
    [
        (0.03, 1, 0.3, ["float32"]),
        (1e-3, 1, 0.3, ["float64"]),  # the first spectra show it already
        (1e-3, 1e-2, 0.3, ["float32", "float64"]),  # only all of them show it
    ],
)
def test_single_precision_where_it_suffices(monkeypatch, last, first, offset, kinds):
    """Components far above its rounding are found as well by it; the others are summed in double precision."""
    from napari_hsi_ssl.explore import pca

    asked, accumulate = [], pca.accumulate
    monkeypatch.setattr(pca, "accumulate", lambda *given: asked.append(given[-1].__name__) or accumulate(*given))
    values = many(last, first, offset)
    found = run(fit_projection([Source("many", "a", as_cube(values, name="many"), np.ones((330, 320), bool))], PcaConfig(bands=12, components=4)))
    assert asked == kinds
    variance, vectors = np.linalg.eigh(np.cov(values.reshape(-1, 12).astype(float), rowvar=False))
    exact = kinds[-1] == "float64"
    np.testing.assert_allclose(found.variance, variance[::-1][:4], rtol=1e-9 if exact else 1e-5)
    assert np.abs(np.abs(np.sum(found.components * vectors[:, ::-1][:, :4].T, axis=1)) - 1).max() < (1e-12 if exact else 1e-10)


def test_pixels_are_never_held_together():
    """A million pixels take 512 MB as float64; the fit and the projection must do with a few rows of them."""
    line = np.random.default_rng(0).integers(0, 4000, (1, 500, 64)).astype(np.uint16)
    item = Source("big", "a", as_cube(np.broadcast_to(line, (2000, 500, 64)), name="big"), np.ones((2000, 500), bool))
    tracemalloc.start()
    try:
        projection = run(fit_projection([item], PcaConfig(bands=64, components=3)))
        scores = np.empty((2000, 500, 3), np.float16)
        tracemalloc.reset_peak()
        run(project_cube(projection, item, out=scores))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60e6


def test_progress_counts_pixels():
    seen: list[Progress] = []
    items = [source(0), source(1)]
    run(fit_projection(items, PcaConfig(bands=9, components=3)), seen.append)
    counted = [progress.done for progress in seen]
    assert counted == sorted(counted)
    assert {progress.total for progress in seen} == {sum(item.area.sum() for item in items)}
    assert counted[-1] == seen[-1].total
