"""Who decides in a self-distillation network, as it is chosen in the window."""

import pytest

from napari_hsi_ssl.config import ClassifyConfig
from napari_hsi_ssl.gui.forms.exits_choice import ExitChoice, told


@pytest.fixture
def choice(qtbot):
    made = ExitChoice()
    qtbot.addWidget(made)
    made.show()
    return made


def test_as_it_opens_it_changes_nothing(choice):
    assert ClassifyConfig(method="distil", **choice.value("distil")) == ClassifyConfig(method="distil")
    assert choice.value("knn") == {}, "other methods have no exits"


@pytest.mark.parametrize(("way", "expected"), [("mean", {"exits": "mean", "exit_at": None}), ("first", {"exits": "deepest", "exit_at": 0.9})])
def test_each_way_is_one_that_the_settings_take(choice, way, expected):
    choice.turns.setChecked(True)
    choice.way.setCurrentIndex(choice.way.findData(way))
    choice.sure.setValue(90)
    value = choice.value("distil")
    assert {key: value[key] for key in expected} == expected
    made = ClassifyConfig.parse({"method": "distil", **value})
    assert made.turns == (way == "mean"), "turned windows cannot leave early"
    assert choice.turns.isVisible() == (way == "mean")
    assert choice.sure.isVisible() == (way == "first")


def test_what_was_saved_is_said():
    early = {"left": [0.62, 0.2, 0.18], "saved": 0.41, "agreement": 0.9971, "compared": 700}
    assert told(early) == " 62%, 20%, 18% of the pixels left at exits 1 to 3: 41% of the multiply-adds saved, 99.7% classified as by the deepest exit."
    assert told({"left": []}) == ""
