"""The editors of the settings models: what is shown is what is run."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qtpy.QtWidgets import QLabel

from napari_hsi_ssl.config import ClassifyConfig, DistilConfig, MaskConfig, PatchConfig, PcaConfig, PretrainConfig, Settings, TrainerConfig
from napari_hsi_ssl.gui.forms.fields import ConfigFields

SHOWN: dict[type[Settings], tuple[str, ...]] = {
    MaskConfig: ("method", "source", "band", "keep", "max_angle", "invert", "fill_holes", "drop_specks"),
    PcaConfig: ("bands", "components", "grid", "method", "scale", "weights", "sample", "seed"),
    PatchConfig: ("size", "stride", "coverage", "background", "per_domain", "split", "guard", "block", "test_share", "seed"),
    TrainerConfig: ("epochs", "batch_size", "learning_rate", "devices", "precision", "seed", "max_steps"),
    ClassifyConfig: ("method", "k", "references"),
}
VALUES: dict[type[Settings], st.SearchStrategy[Settings]] = {
    MaskConfig: st.builds(
        MaskConfig,
        band=st.none() | st.integers(0, 500),
        low=st.none(),
        high=st.none(),
        wavelength=st.none(),
        at=st.none() | st.tuples(st.integers(0, 9), st.integers(0, 9)),
        max_angle=st.decimals("0.001", "3", places=3).map(float),
        drop_specks=st.integers(0, 10**6),
    ),
    PcaConfig: st.builds(
        PcaConfig,
        bands=st.integers(2, 2000),
        components=st.integers(1, 300),
        sample=st.none() | st.integers(2, 10**8),
        seed=st.integers(0, 2**31 - 1),
    ),
    PatchConfig: st.builds(
        PatchConfig,
        size=st.integers(1, 512),
        stride=st.integers(0, 512),
        coverage=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
        per_domain=st.none() | st.integers(1, 10**6),
        guard=st.integers(0, 99),
        block=st.integers(0, 999),
        test_share=st.sampled_from([0.1, 0.25, 0.9]),
        seed=st.integers(0, 10**6),
    ),
    TrainerConfig: st.builds(
        TrainerConfig,
        epochs=st.integers(1, 10**5),
        batch_size=st.integers(2, 10**5),
        learning_rate=st.sampled_from([1e-5, 1e-3, 0.3]),
        weight_decay=st.just(1e-4),
        devices=st.just("auto") | st.integers(1, 64),
        checkpoint_minutes=st.just(5.0),
        keep_checkpoints=st.just(2),
        max_steps=st.none() | st.integers(1, 10**6),
        seed=st.integers(0, 10**6),
    ),
    ClassifyConfig: st.builds(ClassifyConfig, k=st.integers(1, 500), references=st.integers(1, 10**7), seed=st.just(7)),
}


@pytest.mark.parametrize("model", SHOWN)
def test_round_trip(qtbot, model):
    """Whatever can be set comes back unchanged, also fields that have no editor."""
    fields: ConfigFields[Any] = ConfigFields(model, SHOWN[model])
    qtbot.addWidget(fields)

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(VALUES[model])
    def check(value: Settings) -> None:
        fields.setValue(value)
        assert fields.value() == value

    check()


@pytest.mark.parametrize("model", [*SHOWN, PretrainConfig, DistilConfig])
def test_starts_with_the_defaults(qtbot, model):
    fields: ConfigFields[Any] = ConfigFields(model, SHOWN.get(model, ("epochs",)))
    qtbot.addWidget(fields)
    assert fields.value() == model()


def test_every_edit_tells_the_new_model_once(qtbot):
    fields = ConfigFields(PcaConfig, ("bands", "grid"))
    qtbot.addWidget(fields)
    told: list[PcaConfig] = []
    fields.changed.connect(told.append)
    fields.editors["bands"].widget.setValue(64)
    fields.editors["grid"].widget.setCurrentIndex(1)
    fields.setValue(PcaConfig(bands=32))
    assert told == [PcaConfig(bands=64), PcaConfig(bands=64, grid="wavelength"), PcaConfig(bands=32)]


def test_ranges_of_the_model_hold_in_the_editor(qtbot):
    """A spin box that allowed what the model refuses would fail only when the button is pressed."""
    fields = ConfigFields(PatchConfig, ("size", "coverage", "test_share"))
    qtbot.addWidget(fields)
    for name, tried in (("size", 0), ("coverage", 1.5), ("test_share", 0.0), ("test_share", 1.0)):
        fields.editors[name].widget.setValue(tried)
        fields.value()
    assert fields.value().size == 1
    assert fields.value().coverage == 1.0


def test_hidden_field_takes_its_label_along(qtbot):
    fields = ConfigFields(PcaConfig, ("bands", "components"))
    qtbot.addWidget(fields)
    fields.show()
    fields.show_field("bands", False)
    visible = [label.text() for label in fields.findChildren(QLabel) if label.isVisible()]
    assert visible == ["Components"]
    assert fields.value().bands == 256


def test_descriptions_are_tooltips(qtbot):
    fields = ConfigFields(PatchConfig, ("coverage",), ("guard",))
    qtbot.addWidget(fields)
    assert fields.editors["coverage"].widget.toolTip() == "Smallest share of foreground in a patch"
    assert "block border" in fields.editors["guard"].widget.toolTip()
