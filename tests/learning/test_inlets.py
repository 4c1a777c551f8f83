"""Learned inlets: where they start, how batches of several cameras are put together, and what they cost the optimiser."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_hsi_ssl.config import DomainInput, PcaConfig, PretrainConfig, TrunkConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.explore.pca import Source, fit_projection, project_cube
from napari_hsi_ssl.learning.cameras import PatchesByDomain, PixelsByDomain
from napari_hsi_ssl.learning.checkpoint import build_model
from napari_hsi_ssl.learning.data import PatchStore, input_settings
from napari_hsi_ssl.learning.inlets import Bands, Inlet, InletBank, described, inlet_scores
from napari_hsi_ssl.learning.loop import Share
from napari_hsi_ssl.learning.pretraining import Pretraining
from napari_hsi_ssl.learning.starts import Carried, at_wavelengths, projection_start, reference_camera, start_inlets, turned_towards
from napari_hsi_ssl.patches.index import PatchIndex
from napari_hsi_ssl.progress import run

K = 4


def spectra(nm, seed, side=24):
    """A cube of two smooth materials, mixed, with some noise."""
    draws = np.random.default_rng(seed)
    share = draws.random((side, side, 1))
    tilt = draws.normal(size=(side, side, 3, 1))
    basis = np.stack([np.sin(nm / 150), np.cos(nm / 210), nm / 1000])
    return 50 * (share * (2 + np.sin(nm / 300)) + (0.1 * tilt * basis).sum(axis=2) + 0.01 * draws.normal(size=(side, side, nm.size))).astype(np.float32)


def cameras(counts, grid="index", scale="standardise", bad=()):
    """Cubes of cameras with so many bands, their domains and a projection of all of them."""
    sources, domains = [], []
    for number, count in enumerate(counts):
        nm = np.linspace(400, 1000, count)
        flags = np.isin(np.arange(count), bad)
        cube = as_cube(spectra(nm, number), nm, name=f"c{number}").assign_attrs(bad_bands=flags)
        sources.append(Source(f"c{number}", f"d{number}", cube, np.ones(cube.shape[:2], dtype=bool)))
        domains.append(DomainInput(name=f"d{number}", bands=count, used=tuple(np.flatnonzero(~flags).tolist()), wavelengths=tuple(nm.tolist())))
    config = PcaConfig(bands=32, components=K, grid=grid, scale=scale)
    return sources, tuple(domains), run(fit_projection(sources, config))


def banded(sources, domains):
    return {source.name: np.asarray(source.cube.data)[..., list(domain.used)] for source, domain in zip(sources, domains, strict=True)}


def pretraining(sources, domains, projection, *, learned, **changes):
    rows = np.array([(cube, y, x) for y in range(0, 19, 3) for x in range(0, 19, 3) for cube in range(len(sources))], dtype=np.int32)
    zeros = np.zeros(len(rows), dtype=np.uint8)
    names, of = tuple(source.name for source in sources), tuple(source.domain for source in sources)
    index = PatchIndex(names, of, *rows.T, rows[:, 0], zeros, np.ones(len(rows), dtype=np.float32), 5)
    trunk = TrunkConfig(widths=(8, 12), stem_stride=1)
    config = PretrainConfig.parse({"batch_size": 16, "trunk": trunk.model_dump(), "projection": 6, **changes})
    card = {
        "kind": "pretrain",
        "channels": K,
        "architecture": {"trunk": trunk.model_dump(), "projection": 6},
        "input": input_settings(np.zeros(K), np.linspace(1, 0.3, K), "pcs", "mean"),
    }
    areas = {source.name: source.area for source in sources}
    if not learned:
        images = {source.name: run(project_cube(projection, source)) for source in sources}
        return Pretraining(build_model(card, 0), PatchStore(index, images, areas, card), config)
    card["inlets"] = described(domains)
    model = build_model(card, 0)
    start_inlets(model.inlets, domains, projection)
    by_cube = {source.name: domain for source, domain in zip(sources, domains, strict=True)}
    return Pretraining(model, PatchesByDomain(index, banded(sources, domains), areas, by_cube, model.inlets, card), config)


@pytest.mark.parametrize(("grid", "scale", "bad"), [("index", "standardise", ()), ("wavelength", "none", (0, 7)), ("wavelength", "standardise", (5,))])
def test_an_inlet_starts_with_the_scores_of_the_projection(grid, scale, bad):
    sources, domains, projection = cameras((20, 27, 32), grid, scale, bad)
    bank = InletBank(domains, K)
    start_inlets(bank, domains, projection)
    model = torch.nn.Module()
    model.inlets = bank
    for source, domain, bands in zip(sources, domains, banded(sources, domains).values(), strict=True):
        stored = run(project_cube(projection, source)).astype(np.float32)
        np.testing.assert_allclose(inlet_scores(model, domain.name, bands), stored, atol=2e-3, rtol=2e-3)  # stored in float16


def test_before_the_first_step_features_and_loss_are_those_of_the_projection():
    made = cameras((20, 27))
    share = Share(16, 0, 1, torch.device("cpu"))
    learned, frozen = (pretraining(*made, learned=learned, neighbour=2) for learned in (True, False))
    torch.testing.assert_close(learned.views(3, share), frozen.views(3, share), atol=5e-3, rtol=5e-3)
    ours, theirs = (objective.loss(objective.model, 3, share) for objective in (learned, frozen))
    torch.testing.assert_close(ours, theirs, atol=5e-3, rtol=5e-3)
    ours.backward()
    assert all(inlet.weight.grad.abs().max() > 0 for inlet in learned.model.inlets.values())


@pytest.mark.parametrize("resident", [True, False])
def test_a_batch_of_several_cameras_is_each_window_through_its_own_inlet(resident, monkeypatch):
    sources, domains, projection = cameras((20, 27))
    if not resident:
        monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 0}))
    objective = pretraining(sources, domains, projection, learned=True)
    store, bank = objective._store, objective.model.inlets
    rows = np.array([5, 0, 9, 2, 2, 7])
    shift = np.array([(0, 0), (1, 2), (-3, 0), (0, 1), (2, 2), (0, -1)])
    scores = bank(store.tensor(rows, torch.device("cpu"), shift))
    for row, (dy, dx), found in zip(rows, shift, scores, strict=True):
        cube = store.index.cube[row]
        y, x = np.clip(store.index.y[row] + dy, 0, 19), np.clip(store.index.x[row] + dx, 0, 19)
        window = torch.from_numpy(banded(sources, domains)[f"c{cube}"][y : y + 5, x : x + 5])
        torch.testing.assert_close(found, bank.of(f"d{cube}")(window))


def test_labelled_pixels_of_several_cameras_keep_their_labels():
    sources, domains, projection = cameras((20, 27))
    bank = InletBank(domains, K)
    start_inlets(bank, domains, projection)
    labels = [np.zeros((24, 24), dtype=np.int32) for _ in sources]
    labels[0][3, 4], labels[1][7, 8], labels[1][20, 2] = 5, 2, 5
    bands, by_cube = banded(sources, domains), {"c0": domains[0], "c1": domains[1]}
    areas = {source.name: source.area for source in sources}
    windows = PixelsByDomain(bands, areas, labels, by_cube, bank, (2, 5), 3, {"input": {"background": "mean"}})
    assert windows.labels.tolist() == [1, 0, 1]
    found = bank(windows.tensor(np.array([2, 0]), torch.device("cpu")))[:, 1, 1]
    expected = [bank.of("d1")(torch.from_numpy(bands["c1"][20, 2])), bank.of("d0")(torch.from_numpy(bands["c0"][3, 4]))]
    torch.testing.assert_close(found, torch.stack(expected))


def test_a_camera_without_a_window_in_the_batch_takes_part_with_no_gradient():
    """Ranks that lack a camera must still agree with the others on its gradient."""
    _, domains, projection = cameras((20, 27))
    bank = InletBank(domains, K)
    start_inlets(bank, domains, projection)
    bank(Bands((torch.zeros(0, 5, 5, 20), torch.randn(3, 5, 5, 27)), torch.arange(3))).sum().backward()
    assert (bank.of("d0").weight.grad == 0).all()
    assert (bank.of("d1").weight.grad != 0).any()


def test_one_step_of_the_optimiser_moves_a_score_alike_with_few_bands_and_with_many():
    moves = []
    for count in (16, 256):
        inlet = Inlet(count, 1)
        optimizer = torch.optim.AdamW(inlet.parameters(), lr=1e-3, weight_decay=0)
        x = torch.randn(4000, count, generator=torch.Generator().manual_seed(0))
        inlet(x).square().sub(1).sum().backward()
        inlet.weight.grad = torch.sign(torch.randn(1, count, generator=torch.Generator().manual_seed(1)))
        optimizer.step()
        moves.append(float((inlet(x) - inlet.bias).detach().std()))
    assert moves[0] == pytest.approx(moves[1], rel=0.1)


def test_filters_at_the_wavelengths_of_another_camera_see_the_same():
    """Wavelength-aware: the same scene by a camera of other bands gives nearly the scores of the camera that was learned."""
    ours, theirs = np.linspace(395, 1010, 45), np.linspace(400, 1000, 32)
    weights = np.random.default_rng(0).normal(size=(32, K))
    seen = spectra(ours, 5).astype(np.float64)
    expected = np.apply_along_axis(lambda values: np.interp(theirs, ours, values), 2, seen) @ weights
    np.testing.assert_allclose(seen @ at_wavelengths(weights, theirs, ours), expected, rtol=1e-9, atol=1e-9)


def test_a_new_camera_starts_with_the_filters_of_a_known_one_and_a_known_camera_with_its_own():
    _, domains, projection = cameras((20, 27))
    card = {"kind": "pretrain", "channels": K, "architecture": {"trunk": TrunkConfig(widths=(8,)).model_dump(), "projection": 4}, "inlets": described(domains)}
    known = build_model(card, 0)
    start_inlets(known.inlets, domains, projection)
    with torch.no_grad():
        known.inlets.of("d1").weight.mul_(3)
    nm = np.linspace(400, 1000, 40)
    later = DomainInput(name="later", bands=40, used=tuple(range(40)), wavelengths=tuple(nm.tolist()))
    narrow = DomainInput(name="narrow", bands=10, used=tuple(range(10)), wavelengths=tuple(np.linspace(400, 700, 10).tolist()))
    blind = DomainInput(name="blind", bands=20, used=tuple(range(20)))
    bank = InletBank((blind, domains[1], later, narrow), K)
    _, _, joint = cameras((20, 27), scale="none")
    words = start_inlets(bank, (blind, domains[1], later, narrow), joint, Carried(known, card))
    assert words == {
        "blind": "its projection",
        "d1": "the inlet of the initial model",
        "later": f"its projection, turned towards the filters of '{reference_camera(later, domains).name}' at its wavelengths",
        "narrow": "its projection",
    }
    torch.testing.assert_close(bank.of("d1").weight, known.inlets.of("d1").weight)
    plain, _, _, _ = projection_start(joint, later)
    turned = bank.of("later").effective
    np.testing.assert_allclose(turned @ turned.T, plain @ plain.T, atol=1e-4 * np.abs(plain @ plain.T).max())


def test_a_turned_projection_finds_order_and_signs_of_the_filters_again():
    draws = np.random.default_rng(0)
    weights = draws.normal(size=(20, K))
    mixed = weights[:, [2, 0, 3, 1]] * [1, -1, -1, 1]
    np.testing.assert_allclose(weights @ turned_towards(weights, 7 * mixed), mixed, atol=1e-9)
    turn = turned_towards(weights, draws.normal(size=(20, K)))
    np.testing.assert_allclose(turn @ turn.T, np.eye(K), atol=1e-9)


def test_a_projection_of_variates_is_no_filter_over_bands():
    _, domains, projection = cameras((20, 27), scale="snv")
    with pytest.raises(ConfigError, match="scale 'snv', which is not linear"):
        start_inlets(InletBank(domains, K), domains, projection)


def test_names_of_domains_may_be_anything():
    domains = tuple(DomainInput(name=name, bands=2, used=(0, 1)) for name in ("a.b c", "keys", "über"))
    bank = InletBank(domains, 1)
    assert [name for name in bank.state_dict() if name.endswith("weight")] == ["0_a_b_c.weight", "1_keys.weight", "2__ber.weight"]
    assert bank.of("keys") is list(bank.values())[1]
