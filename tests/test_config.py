"""Settings survive a round trip and refuse what they do not know."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_hsi_ssl.config import RECIPES, AugmentConfig, ChainConfig, DistilConfig, MaskConfig, PcaConfig, PretrainConfig, RunConfig, window_advice
from napari_hsi_ssl.config.chain import SavgolStep
from napari_hsi_ssl.errors import ConfigError


@given(st.builds(PcaConfig, bands=st.integers(2, 999), components=st.integers(1, 99), scale=st.sampled_from(["none", "snv"])))
def test_json_round_trip_gives_equal_settings_and_digest(config):
    again = PcaConfig.parse(json.loads(config.model_dump_json()))
    assert again == config
    assert again.digest() == config.digest()


def test_other_settings_have_another_digest():
    assert PcaConfig().digest() != PcaConfig(bands=255).digest()


@pytest.mark.parametrize(("values", "named"), [({"bands": 1}, "bands"), ({"colour": 3}, "colour"), ({"scale": "big"}, "scale")])
def test_a_wrong_field_is_named_with_what_was_found(values, named):
    with pytest.raises(ConfigError, match=named) as error:
        PcaConfig.parse(values, "pca.json")
    assert "pca.json" in str(error.value)
    assert "\n" not in str(error.value)


def test_settings_cannot_be_changed_after_they_were_made():
    with pytest.raises(ValueError, match="frozen"):
        MaskConfig().method = "all"


def test_recipes_are_valid_and_differ():
    made = {name: PretrainConfig.from_recipe(name) for name in RECIPES}
    assert made["poster"].recipe == "poster"
    assert made["pixel"].neighbour > made["poster"].neighbour
    assert PretrainConfig.from_recipe("pixel", epochs=3, seed=None).epochs == 3
    with pytest.raises(ConfigError, match="poster"):
        PretrainConfig.from_recipe("unheard")


def test_a_run_has_the_settings_of_its_kind_only():
    assert RunConfig(kind="pretrain", pretrain=PretrainConfig()).trainer == PretrainConfig()
    with pytest.raises(ConfigError, match="pretrain"):
        RunConfig.parse({"kind": "pretrain", "distil": DistilConfig().model_dump()})
    with pytest.raises(ConfigError, match="schema_version"):
        RunConfig.parse({"kind": "pretrain", "schema_version": 99, "pretrain": {}})


@pytest.mark.parametrize("content", ["", "[1, 2]", "{", "[" * 100_000])
def test_a_broken_file_is_named(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"config\.json"):
        AugmentConfig.read(path)


@pytest.mark.parametrize(
    ("model", "values", "sentence"),
    [
        (SavgolStep, {"window": 4}, "f.json: the window is 4 bands, expected an odd number; correct it."),
        (SavgolStep, {"window": 400}, "f.json: field 'window' is 400, but it should be less than or equal to 201; correct it."),
        (SavgolStep, {"windw": 4}, "f.json: there is no field 'windw' (it is 4); correct its name or leave it out."),
        (ChainConfig, {"steps": [{"kind": "savgol", "window": 4}]}, "f.json: in 'steps.0.savgol', the window is 4 bands, expected an odd number; correct it."),
        (ChainConfig, {"steps": [{"window": 4}]}, "f.json: field 'steps.0.kind' is missing; add it."),
        (
            ChainConfig,
            {"steps": [{"kind": "x"}]},
            "f.json: field 'steps.0.kind' is 'x', expected one of 'snv', 'mean', 'absorbance', 'savgol', 'continuum', 'resample'; correct it.",
        ),
    ],
)
def test_errors_of_settings_are_one_sentence(model, values, sentence):
    """What the library that checks them says of a whole model is a dump of it."""
    with pytest.raises(ConfigError) as error:
        model.parse(values, "f.json")
    assert str(error.value) == sentence


def test_a_change_of_some_views_leaves_the_others_as_they_are():
    recipe = PretrainConfig.from_recipe("pixel")
    changed = PretrainConfig.from_recipe("pixel", augment={"light": "0.3"})
    assert changed.augment == recipe.augment.model_copy(update={"light": 0.3})
    assert changed.changed({"augment": {"flip": False}}).augment == changed.augment.model_copy(update={"flip": False})
    assert changed.changed({"trunk": recipe.trunk, "epochs": 2}).augment == changed.augment
    with pytest.raises(ConfigError, match=r"recipe pixel: field 'augment.band_drop' is '2'"):
        PretrainConfig.from_recipe("pixel", augment={"band_drop": "2"})


def test_no_recipe_has_views_in_band_space_of_itself():
    """The recipes are what they were before there were any."""
    assert not any(PretrainConfig.from_recipe(name).augment.band_space for name in RECIPES)
    assert PretrainConfig().augment.model_copy(update={"slope": 0.1}).band_space


def test_the_advice_on_windows_names_sizes_that_do_not_fit():
    assert window_advice("poster", 32) == window_advice("poster")
    assert window_advice("pixel", 7) == window_advice("pixel")
    assert window_advice("pixel", 32).endswith("These have 32.")
    assert "32 pixels" in window_advice("poster")
