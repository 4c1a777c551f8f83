"""What a PCA refuses and what it warns of: one sentence that names the cube or the option."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hsi_ssl.config import PcaConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.errors import ConfigError, CubeError, HsiError
from napari_hsi_ssl.explore.pca import Source, fit_projection, project_cube
from napari_hsi_ssl.progress import Progress, run

CONFIG = PcaConfig(bands=10, components=3)


def make(name: str = "one", domain: str = "a", bands: int = 10, gain: float = 1.0, **attrs) -> Source:
    values = np.random.default_rng(len(name)).uniform(1, 2, (8, 9, bands)) * gain
    return Source(name, domain, as_cube(values, name=name, **attrs), np.ones((8, 9), bool))


def warnings_of(items: list[Source], config: PcaConfig = CONFIG) -> list[str]:
    seen: list[Progress] = []
    run(fit_projection(items, config), seen.append)
    return [progress.message for progress in seen if progress.warning]


def changed(item: Source, values: np.ndarray | None = None, area: np.ndarray | None = None) -> Source:
    cube = item.cube if values is None else as_cube(values, name=item.name)
    return Source(item.name, item.domain, cube, item.area if area is None else area)


one = make()
few = np.zeros((8, 9), bool)
few[0, :3] = True


@pytest.mark.parametrize(
    ("items", "config", "error", "message"),
    [
        ([], {}, CubeError, "no cube"),
        ([changed(one, area=np.zeros((8, 9), bool))], {}, CubeError, "'one' has an empty mask"),
        ([changed(one, area=np.ones((9, 8), bool))], {}, CubeError, r"'one': its mask has shape \(9, 8\), expected \(8, 9\)"),
        ([make("other"), make("line", bands=1)], {}, CubeError, "'line' has one usable band"),
        ([changed(one, area=few)], {}, CubeError, "one: 3 measured pixels are too few for 3 components"),
        ([changed(one, np.full((8, 9, 10), 4.2))], {}, CubeError, "one: every masked pixel has the same spectrum"),
        ([changed(one, np.full((8, 9, 10), np.nan))], {}, CubeError, "'one' has no measured pixel in its mask"),
        ([make("good"), changed(one, np.full((8, 9, 10), np.nan))], {}, CubeError, "'one' has no measured pixel in its mask"),
        ([one], {"components": 11}, ConfigError, "--components is 11, but --bands is 10"),
        ([make("five", bands=5), make("two", bands=2)], {"components": 6}, ConfigError, "'five', the richest, has 5 usable bands"),
        ([one], {"grid": "wavelength"}, ConfigError, "'one' has no wavelengths"),
        ([make("raw", quantity="dn"), make("white", "b", quantity="reflectance")], {}, ConfigError, r"mix dn \(cube 'raw'\) and reflectance \(cube 'white'\)"),
        (
            [make("raw", quantity="dn"), make("white", quantity="reflectance")],
            {"scale": "standardise"},
            ConfigError,
            "domain 'a' mixes dn .* use --scale snv",
        ),
    ],
)
def test_refused_in_one_sentence(items, config, error, message):
    with pytest.raises(error, match=message) as caught:
        run(fit_projection(items, CONFIG.model_copy(update=config)))
    assert isinstance(caught.value, HsiError)
    assert "\n" not in str(caught.value)


def test_remedies_for_mixed_quantities_work():
    """The sentence promises that these two help."""
    items = [make("raw", quantity="dn", gain=3000), make("white", "b", quantity="reflectance")]
    assert warnings_of(items, CONFIG.model_copy(update={"scale": "standardise"})) == []
    assert warnings_of(items, CONFIG.model_copy(update={"scale": "snv"})) == []


def test_unknown_beside_known_is_warned_of():
    (message,) = warnings_of([make("raw", quantity="dn"), make("what", "b")])
    assert "cube 'what' is unknown" in message
    assert "--scale standardise" in message
    assert warnings_of([make("what"), make("else", "b")]) == []


def test_domains_of_very_different_brightness_are_warned_of():
    (message,) = warnings_of([make("dim"), make("glare", "b", gain=25)])
    assert "domain 'b'" in message
    assert "20 times as bright as 'a'" in message
    assert warnings_of([make("dim"), make("bright", "b", gain=15)]) == []
    assert warnings_of([make("dim"), make("glare", "b", gain=25)], CONFIG.model_copy(update={"scale": "standardise"})) == []


def test_bands_that_differ_within_a_domain_are_warned_of_and_work():
    items = [make("ten"), make("seven", bands=7), make("other", "b", bands=6)]
    (message,) = warnings_of(items)
    assert "domain 'a'" in message
    assert "'seven' 7, 'ten' 10" in message
    projection = run(fit_projection(items, CONFIG))
    assert np.isfinite(run(project_cube(projection, items[1]))).all()


def test_projecting_what_the_projection_does_not_know():
    by_domain = run(fit_projection([make()], CONFIG.model_copy(update={"scale": "standardise"})))
    with pytest.raises(ConfigError, match="cube 'new': domain 'c' was not in the PCA"):
        run(project_cube(by_domain, make("new", "c")))
    in_nm = run(fit_projection([make(wavelength=np.linspace(400, 900, 10))], CONFIG.model_copy(update={"grid": "wavelength"})))
    with pytest.raises(ConfigError, match="cube 'new' has no wavelengths"):
        run(project_cube(in_nm, make("new")))
