"""What the compute process finds out so that a map can be believed, and the images that it writes beside one."""

import numpy as np
import pytest
from scipy.special import log_softmax

from napari_hsi_ssl.config import TrunkConfig
from napari_hsi_ssl.explore.pca import Projection
from napari_hsi_ssl.learning.checkpoint import build_model, load_model, save_model
from napari_hsi_ssl.learning.data import component_gain
from napari_hsi_ssl.mapping.exits import exits_probabilities
from napari_hsi_ssl.mapping.unknown import Clouds
from napari_hsi_ssl.metrics.calibration import disagreement, entropy, fit_temperature, tempered
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.runs import map_jobs, trust_jobs
from tests.runs.test_jobs import made, reference, target  # noqa: F401 - a fixture


def arguments(made, folder, **settings):  # noqa: F811 - the fixture
    return {
        "model": str(folder / "model.safetensors"),
        "inlet": str(made.root / "inlet" / "pca.npz"),
        "settings": {"k": 5, **settings},
        "cache": str(folder / "embeddings"),
    }


def written(folder, *layers):
    paths = {name: str(folder / f"{name}.npy") for name in ("labels", "confidence", *layers)}
    return {"labels": paths["labels"], "confidence": paths["confidence"], "layers": {name: paths[name] for name in layers}}


@pytest.mark.parametrize("near", ["far", "near"])
def test_a_head_is_calibrated_on_parts_of_its_labels_and_the_map_is_tempered(made, tmp_path, near):  # noqa: F811
    """Else a map would claim what only the classifier believes."""
    save_model(tmp_path, *load_model(made.root / "model.safetensors"))
    references = [reference(made, "a1"), reference(made, "a2")]
    how = arguments(made, tmp_path, calibrate=near)
    clouds = tmp_path / "clouds.npz"
    found = run(trust_jobs.trust(references=references, validation=[], clouds=str(clouds), **how))
    assert found["calibration"]["n"] >= 20
    assert ("at random" in found["calibration"]["source"]) == (near == "near")
    assert found["typicality"]["held_out"] == Clouds.read(clouds).held_out.size
    one = {**how, "cube": target(made, "a1"), "references": references}
    run(map_jobs.classify(**one, **written(tmp_path)))
    labels, plain = np.load(tmp_path / "labels.npy"), np.load(tmp_path / "confidence.npy")
    run(map_jobs.classify(**one, **written(tmp_path, "entropy", "typicality"), temperature=3.0, clouds=str(clouds)))
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy"), labels)
    area = made.areas["a1"]
    assert (np.load(tmp_path / "confidence.npy")[area] < plain[area]).all()  # a temperature above 1 takes certainty away
    assert ((np.load(tmp_path / "entropy.npy")[area] > 0) & (np.load(tmp_path / "entropy.npy")[area] <= 1)).all()
    # Of the stored scores in their true proportions, whatever the network makes of them.
    gain = component_gain(Projection.load(made.root / "inlet" / "pca.npz").variance, whiten=False)
    scores = np.load(made.root / "inlet" / "a1.npy")[area].astype(np.float64) * gain
    np.testing.assert_allclose(np.load(tmp_path / "typicality.npy")[area], Clouds.read(clouds).typicality(scores), atol=2e-3)
    assert not np.load(tmp_path / "typicality.npy")[~area].any()


def test_a_network_is_calibrated_on_what_it_held_out_and_its_exits_are_compared(made, tmp_path):  # noqa: F811
    card = {
        **made.card,
        "kind": "distil",
        "architecture": {"trunk": TrunkConfig(widths=(8, 12), stem_stride=1, stride=1, pool="centre").model_dump(mode="json"), "classes": 3},
        "classes": {"numbers": [2, 5, 9], "names": ["x", "y", "z"], "colours": ["#000000"] * 3},
    }
    save_model(tmp_path, build_model(card, 3), card)
    how = arguments(made, tmp_path, method="distil")
    found = run(trust_jobs.trust(references=[reference(made, "a2")], validation=[reference(made, "a1")], clouds=str(tmp_path / "c.npz"), **how))
    network, card = load_model(tmp_path / "model.safetensors")
    answers = run(exits_probabilities(network, card, np.load(made.root / "inlet" / "a1.npy"), made.areas["a1"]))
    area = made.areas["a1"] & (made.labels["a1"] > 0)
    logs, codes = np.log(answers[-1][area]), np.searchsorted([2, 5, 9], made.labels["a1"][area])
    assert found["calibration"]["temperature"] == pytest.approx(fit_temperature(log_softmax(logs, axis=1), codes), rel=1e-3)
    assert found["calibration"]["source"] == "the labelled pixels that the run was validated on"
    assert found["typicality"] == {"held_out": int((made.labels["a1"] > 0).sum()), "source": found["calibration"]["source"]}
    one = {**how, "cube": target(made, "a1"), "references": []}
    run(map_jobs.classify(**one, **written(tmp_path, "entropy", "disagreement"), temperature=2.0))
    inside = made.areas["a1"]
    said = tempered(np.log(answers[-1][inside]), 2.0)
    np.testing.assert_allclose(np.load(tmp_path / "confidence.npy")[inside], said.max(axis=-1), atol=1e-3)
    np.testing.assert_allclose(np.load(tmp_path / "entropy.npy")[inside], entropy(said), atol=1e-3)
    np.testing.assert_allclose(np.load(tmp_path / "disagreement.npy")[inside], disagreement(answers[:, inside]), atol=1e-3)
    assert run(trust_jobs.trust(references=[reference(made, "a2")], validation=[], **how))["calibration"] is None
