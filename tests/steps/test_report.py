"""A page about a map: it holds all it shows, says what the steps say, and takes names from files for what they are."""

import base64
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from napari_hsi_ssl.cli import app
from napari_hsi_ssl.config import ClassifyConfig
from napari_hsi_ssl.errors import ConfigError, LabelError
from napari_hsi_ssl.explore.charts import class_bars, confusion_matrix, reliability_chart
from napari_hsi_ssl.explore.page import Page, safe_colour, table
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import cubes, run
from napari_hsi_ssl.steps.classify import classify
from napari_hsi_ssl.steps.judge import score
from napari_hsi_ssl.steps.labels import save_painted
from napari_hsi_ssl.steps.report import report
from tests.steps.cameras import write_camera

EVIL = '<img src=x onerror="alert(1)">&"\'</td><script>alert(2)</script>'
ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "div", "b", "table", "thead", "tbody", "tr", "th", "td", "span", "figure", "figcaption",
    "img", "svg", "g", "rect", "line", "text", "circle", "polyline", "pre",
}  # fmt: skip


class Reader(HTMLParser):
    """Collects tags, attributes and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *one) for one in attrs]

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A project with a map of one cube, labels that taught it and labels that did not; one class has an evil name."""
    home = tmp_path_factory.mktemp("page")
    path = write_camera(home, "field", 12, 1, side=40)
    run(cubes.new(home / "p", [path]))
    project = Project.open(home / "p")
    truth = np.load(home / "field_1.labels.npy")
    taught = np.random.default_rng(0).random(truth.shape) < 0.15
    run(save_painted(project, "field_1", np.where(taught, truth, 0), {1: "sand", 2: EVIL, 3: "loam"}))
    tifffile.imwrite(home / "test.tif", np.where(taught, 0, truth).astype(np.int32))
    run(classify(project, "spectra", ClassifyConfig(k=3), ["field_1"]))
    return home


@pytest.fixture
def project(home):
    return Project.open(home / "p")


def made(project, home, out, **more):
    path = project.map_path("field_1", "spectra", "knn")
    told = run(report(project, path, out, home / "test.tif", **more))
    return told, out.read_text(encoding="utf-8")


def test_the_page_holds_all_it_shows(project, home, tmp_path):
    """Else it would be empty on another computer, or ask the net."""
    told, text = made(project, home, tmp_path / "page.html")
    page = Reader(text)
    assert told["labels"] == str(home / "test.tif")
    assert set(page.tags) <= ALLOWED, set(page.tags) - ALLOWED
    sources = [value for _, name, value in page.attributes if name in {"src", "href", "xlink:href", "action"}]
    assert len(sources) == 3
    assert all(value.startswith("data:image/png;base64,") for value in sources)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert "url(" not in text
    assert "default-src 'none'" in text
    classes = Image.open(io.BytesIO(base64.b64decode(sources[1].split(",", 1)[1])))
    assert classes.size[0] >= 400, "a small map is enlarged"


def test_it_says_what_the_step_says(project, home, tmp_path):
    _, text = made(project, home, tmp_path / "page.html")
    words = " ".join(Reader(text).words)
    expected = run(score(project.map_path("field_1", "spectra", "knn"), home / "test.tif"))
    assert f"{expected['oa']:.1%}" in words
    assert f"{expected['kappa']:.3f}" in words
    for row in expected["per_class"].values():
        assert f"{row['precision']:.1%}" in words
    assert expected["audit"]["verdict"] in words
    for line in expected["confusion"]:
        for count in line:
            assert not count or str(count) in words
    command = "napari-hsi-ssl classify"
    assert command in words


def test_names_from_files_are_text(project, home, tmp_path):
    """A class list is downloaded from anywhere; opening a report must not run what stands in it."""
    _, text = made(project, home, tmp_path / "page.html")
    page = Reader(text)
    assert EVIL in "".join(page.words)
    assert "script" not in page.tags
    assert page.tags.count("img") == 3
    card = project.map_path("field_1", "spectra", "knn").with_suffix(".json")
    before = card.read_text()
    content = json.loads(before)
    content["classes"]["colours"][0] = "#ffffff;background:url(http://evil)"
    content["provenance"]["run"] = EVIL
    content["provenance"]["command"] = EVIL
    try:
        card.write_text(json.dumps(content))
        _, text = made(project, home, tmp_path / "evil.html")
    finally:
        card.write_text(before)
    page = Reader(text)
    assert "evil" not in text.replace(EVIL, "")
    assert set(page.tags) <= ALLOWED
    assert page.tags.count("img") == 3


def test_without_labels_it_shows_the_map_alone(project, tmp_path):
    told = run(report(project, project.map_path("field_1", "spectra", "knn"), tmp_path / "bare.html"))
    text = (tmp_path / "bare.html").read_text(encoding="utf-8")
    assert "oa" not in told
    assert "How good it is" not in text
    assert "How it was made" in text


def test_rivals_come_along(project, home, tmp_path):
    rows = {"rows": [{"key": "svm", "name": "RBF <SVM>", "oa": 0.513, "aa": 0.25, "oa_interval": [0.4, 0.6]}], "notes": "three folds"}
    (tmp_path / "rivals.json").write_text(json.dumps(rows))
    _, text = made(project, home, tmp_path / "page.html", baselines=tmp_path / "rivals.json")
    words = " ".join(Reader(text).words)
    assert "RBF <SVM>" in words
    assert "51.3% (40.0% to 60.0%)" in words
    assert "three folds" in words


def test_bad_input_is_one_sentence(project, home, tmp_path):
    path = project.map_path("field_1", "spectra", "knn")
    with pytest.raises(ConfigError, match=r"choose a name that ends in \.html"):
        run(report(project, path, tmp_path / "page.pdf"))
    (tmp_path / "no.json").write_text('{"rows": 3}')
    with pytest.raises(ConfigError, match="holds no table of baselines"):
        run(report(project, path, tmp_path / "page.html", baselines=tmp_path / "no.json"))
    with pytest.raises(LabelError, match="is no whole map"):
        run(report(project, tmp_path / "none.tif", tmp_path / "page.html"))
    assert not list(tmp_path.glob("*.html"))


def test_the_command_line_writes_it(project, home, tmp_path):
    path = project.map_path("field_1", "spectra", "knn")
    words = ["report", str(project.folder), "--map", str(path), "--labels", str(home / "test.tif"), "--out", str(tmp_path / "page.html"), "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout.splitlines()[-1])["to"] == str(tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size > 5000


def test_the_charts_draw_what_they_are_given():
    """A bar is as long as its share, a cell as dark, a dot where it belongs."""
    bars = class_bars([{"name": "a", "accuracy": 0.5, "precision": None, "f1": 1.0}])
    widths = [float(width) for width in re.findall(r'<rect x="190" y="[\d.]+" width="([\d.]+)"', bars)]
    assert [width for width in widths if width != 12] == [210.0, 420.0]
    counts = confusion_matrix(["a", "b"], [[3, 1], [0, 4]], shares=False)
    assert [number for number in re.findall(r">(\d+)</text>", counts) if number in {"0", "3", "4"}] == ["3", "4"]
    shares = confusion_matrix(["a", "b"], [[3, 1], [0, 4]], shares=True)
    assert {"75", "25", "100"} <= set(re.findall(r">(\d+)</text>", shares))
    chart = reliability_chart([{"n": 4, "confidence": 0.25, "accuracy": 1.0}])
    assert 'cx="119.0" cy="8.0"' in chart


def test_what_is_no_colour_becomes_grey():
    assert safe_colour("#12aB9f") == "#12aB9f"
    assert safe_colour("red") == safe_colour("#12345g") == safe_colour("#123456;x") == "#808080"
    page = Page("<t>")
    page.add(table(("<c>",), [("<v>",)], colours=["javascript:1"]))
    assert "<t>" not in page.text()
    assert "<c>" not in page.text()
    assert "<v>" not in page.text()
    assert "javascript" not in page.text()
