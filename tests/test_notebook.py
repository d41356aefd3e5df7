"""What a notebook shows: the markup always, and its elements where there is a Chromium to draw them."""

import html
import json
import math
import pathlib
import re
import shutil
import subprocess
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskClassifierRegressor, MultiTaskRegressor, _html, sharing
from skmtl._notebook import picture_of, tasks_html, validation_scores
from skmtl.inspection.gain import TransferGain
from skmtl.metrics.frame import ScoreTable
from skmtl.sharing import HardSharing

VOID = {"br", "input", "img", "meta", "hr"}
NASTY = "<b>&\"' </td>"
NAN = math.nan


class Element:
    def __init__(self, tag, attributes, parent):
        self.tag, self.attributes, self.parent = tag, dict(attributes), parent
        self.children, self.texts = [], []

    def all(self, tag):
        found = [child for child in self.children if child.tag == tag]
        return found + [e for child in self.children for e in child.all(tag)]

    def text(self):
        parts = (part if isinstance(part, str) else part.text() for part in self.texts)
        return "\n" if self.tag == "br" else "".join(parts)


class Tree(HTMLParser):
    """Elements of a page; every tag must be closed by its own."""

    def __init__(self, markup):
        super().__init__()
        self.root = self.at = Element("root", [], None)
        self.feed(markup)
        self.close()
        assert self.at is self.root, f"<{self.at.tag}> is not closed"

    def handle_starttag(self, tag, attrs):
        element = Element(tag, attrs, self.at)
        self.at.children.append(element)
        self.at.texts.append(element)
        if tag not in VOID:
            self.at = element

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert tag == self.at.tag, f"</{tag}> closes <{self.at.tag}>"
        self.at = self.at.parent

    def handle_data(self, data):
        self.at.texts.append(data)


def parse(markup):
    return Tree(markup).root


def cells(markup):
    """Texts of the table's body."""
    [body] = parse(markup).all("tbody")
    return [[cell.text() for cell in row.children] for row in body.children]


@pytest.fixture
def fitted(mixed):
    X, Y = mixed
    return MultiTaskClassifierRegressor(max_iter=5, n_members=2, random_state=0).fit(X, Y)


def gain_of(n_tasks=3):
    rows = [(0.95, 0.97, 0.02, 0.005, 0.035, 2.1, "helps")]
    rows += [(0.9, 0.905, 0.005, -0.01, 0.02, 0.5, "undecided")]
    rows += [(0.8, 0.7, -0.1, -0.14, -0.06, -12.5, "hurts")] * (n_tasks - 2)
    columns = ["single", "multi", "gain", "low", "high", "relative", "verdict"]
    index = pd.Index(["species", "sex", *(f"mass {i}" for i in range(n_tasks - 2))], name="task")
    table = pd.DataFrame(rows, index, columns)
    return TransferGain(table, -3.3, (-5.1, -1.5), pd.DataFrame(np.zeros((5, 2))), 0.95)


def scores_of():
    table = {
        "kind": ["classification", "classification", "regression"],
        "n_labels": [68, 66, 1068],
        "accuracy": [0.75, 0.5, NAN],
        "accuracy_low": [0.7, 0.4, NAN],
        "accuracy_high": [0.8, 0.6, NAN],
        "log_loss": [0.05, 0.22, NAN],
        "r2": [NAN, NAN, -0.2],
        "rmse": [NAN, NAN, 1289.123],
    }
    return ScoreTable(table, index=pd.Index(["species", "sex", "mass"], name="task"))


# The estimator's diagram


def diagram_of(estimator):
    """What scikit-learn would show; it numbers the elements of all diagrams of a session."""
    return re.sub(
        r"(sk-\w+-id)-\d+", r"\1", BaseEstimator._repr_mimebundle_(estimator)["text/html"]
    )


def shown(estimator):
    return re.sub(r"(sk-\w+-id)-\d+", r"\1", estimator._repr_mimebundle_()["text/html"])


def test_an_unfitted_estimator_shows_what_scikit_learn_shows():
    est = MultiTaskClassifierRegressor()
    plain = diagram_of(est)
    assert shown(est) == plain
    assert re.sub(r"(sk-\w+-id)-\d+", r"\1", est._repr_html_()) == plain


def test_a_fitted_estimator_shows_the_table_below_the_diagram(fitted):
    markup = shown(fitted)
    assert markup == diagram_of(fitted) + tasks_html(fitted)
    assert re.sub(r"(sk-\w+-id)-\d+", r"\1", fitted._repr_html_()) == markup
    assert "<script" not in tasks_html(fitted)


def test_text_displays_stay_text(fitted):
    with sklearn.config_context(display="text"):
        assert set(fitted._repr_mimebundle_()) == {"text/plain"}
        assert not hasattr(fitted, "_repr_html_")


def test_a_pipeline_shows_its_own_diagram_with_a_fitted_estimator_inside(mixed):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(max_iter=2, n_members=1)
    pipeline = make_pipeline(StandardScaler(), est).fit(X, Y)
    markup = pipeline._repr_mimebundle_()["text/html"]
    assert "MultiTaskClassifierRegressor" in markup
    assert "skmtl-repr" not in markup


# The table of tasks


def test_a_row_a_task_says_what_was_learned(mixed, fitted):
    _, Y = mixed
    colour, sick, cost = cells(tasks_html(fitted))
    valid = validation_scores(fitted)
    assert colour[1:5] == ["colour", "classification", "3: blue, green, red", "54"]
    assert sick[1:5] == ["sick", "classification", "2: False, True", "54"]
    assert cost[1:3] == ["cost", "regression"]
    mean, deviation = map(float, cost[3].split(" ± "))
    labels = Y["cost"].dropna()
    assert mean == pytest.approx(labels.mean(), abs=0.06)
    assert deviation == pytest.approx(labels.std(ddof=0), abs=0.06)
    assert colour[5].split() == ["accuracy", f"{valid['colour']:.3f}"]
    assert cost[5].split()[0] == "R²"


def test_validation_scores_are_those_of_the_epochs_kept(mixed):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(max_iter=20, n_members=1, random_state=0).fit(X, Y)
    [epoch] = est.net_.stopping.best_epochs_
    kept = est.history_.set_index("epoch").loc[epoch]
    assert validation_scores(est) == {task: kept[f"valid_score_{task}"] for task in Y}


def test_without_validation_there_is_a_dash(mixed):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(max_iter=2, n_members=1, early_stopping=False).fit(X, Y)
    assert [row[5] for row in cells(tasks_html(est))] == ["–"] * 3
    assert "No rows were held back" in tasks_html(est)


def test_labels_of_partial_fits_add_up(mixed):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(n_members=1)
    est.partial_fit(X[:40], Y[:40]).partial_fit(X[40:], Y[40:])
    assert [row[4] for row in cells(tasks_html(est))] == ["54"] * 3
    est.fit(X[:40], Y[:40])
    assert [int(row[4]) for row in cells(tasks_html(est))] == Y[:40].notna().sum().tolist()


def test_rows_of_weight_zero_are_not_counted(mixed):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(max_iter=2, n_members=1)
    est.fit(X, Y, sample_weight=np.arange(60) < 30)
    assert [int(row[4]) for row in cells(tasks_html(est))] == Y[:30].notna().sum().tolist()


def test_names_and_classes_are_escaped():
    X = np.random.default_rng(0).normal(size=(40, 2))
    labels = np.where(X[:, 0] > 0, "<script>alert(1)</script>", NASTY)
    Y = pd.DataFrame({NASTY: labels, "b": X[:, 1]})
    est = MultiTaskClassifierRegressor(max_iter=2, n_members=1).fit(X, Y)
    markup = tasks_html(est)
    row = cells(markup)[0]
    assert row[1] == NASTY
    assert row[3] == f"2: {NASTY}, <script>alert(1)</script>"
    assert "<script" not in markup
    title = parse(markup).all("tbody")[0].children[0].children[3].attributes["title"]
    assert title == f"2 classes: {NASTY}, <script>alert(1)</script>"


def test_many_tasks_and_classes_stay_compact():
    X = np.random.default_rng(0).normal(size=(120, 2))
    Y = pd.DataFrame({f"y{i}": X[:, i % 2] for i in range(99)})
    Y.insert(0, "id", [f"c{i % 100}" for i in range(120)])
    est = MultiTaskClassifierRegressor(max_iter=2, n_members=1).fit(X, Y)
    markup = tasks_html(est)
    rows = cells(markup)
    assert len(rows) == _html.MAX_ROWS
    assert rows[0][3] == "100: c0, c1, c10, c11, c12, c13, …"
    assert rows[-1][1] == "and 81 more"
    last = parse(markup).all("tbody")[0].children[-1].children[1]
    assert last.attributes["title"].startswith("y18, y19,")
    assert last.attributes["title"].endswith(" and 21 more")
    assert len(markup) < 60_000


class Own(HardSharing):
    """A scheme that the pictures do not know."""


@pytest.mark.parametrize(
    ("scheme", "parts"),
    [
        ("hard", ["shared", "shared", "own"]),
        ("none", ["own", "own", "own"]),
        ("cgc", ["both", "both", "gate", "own"]),
        ("related", ["tied", "tied", "tied"]),
        (sharing.LowRank(rank=0), ["shared", "shared", "own"]),
        (Own(), ["shared", "shared", "own"]),
    ],
)
def test_the_picture_says_how_tasks_share(mixed, scheme, parts):
    X, Y = mixed
    est = MultiTaskClassifierRegressor(sharing=scheme, max_iter=1, n_members=1).fit(X, Y)
    architecture, built = est.module_.built_for
    assert picture_of(built, est.module_.network, architecture) == parts


@pytest.mark.parametrize("name", [n for n in sharing.__all__ if n[0].isupper()])
def test_every_scheme_has_a_picture(mixed, name):
    scheme = getattr(sharing, name)
    if not isinstance(scheme, type) or not issubclass(scheme, sharing.Sharing) or name == "Sharing":
        return
    X, Y = mixed
    est = MultiTaskClassifierRegressor(sharing=scheme(), max_iter=1, n_members=1).fit(X, Y)
    rows = parse(tasks_html(est)).all("tbody")[0].children
    assert len(rows) == 3
    assert all(row.all("svg") for row in rows)


def test_a_single_linear_task_is_shown_too():
    X = np.random.default_rng(0).normal(size=(40, 2))
    est = MultiTaskRegressor(hidden_layer_sizes=(), max_iter=2, n_members=1).fit(X, X[:, 0])
    assert len(cells(tasks_html(est))) == 1


# Tables of numbers


def test_gains_are_told_in_words_and_numbers():
    markup = gain_of()._repr_html_()
    assert [row[0] for row in cells(markup)] == ["species", "sex", "mass 0"]
    assert cells(markup)[2][1:4] == ["0.800", "0.700", "−0.100"]
    assert [row[-1] for row in cells(markup)] == ["▲ helps", "● undecided", "▼ hurts"]
    assert "Δm = −3.30 %" in parse(markup).all("caption")[0].text()
    assert "<script" not in markup


def test_gains_that_are_not_known_are_dashes():
    gain = gain_of()
    gain.table.iloc[0, :6] = NAN
    gain.table.loc["sex", ["low", "high"]] = -np.inf, np.inf
    rows = cells(gain._repr_html_())
    assert rows[0][1:4] == ["–", "–", "–"]
    assert "nan" not in gain._repr_html_()
    assert "inf" not in gain._repr_html_()
    assert len(cells(gain_of(100)._repr_html_())) == _html.MAX_ROWS


def test_a_table_of_scores_has_bars_where_scores_are_bounded():
    markup = scores_of()._repr_html_()
    rows = parse(markup).all("tbody")[0].children
    texts = cells(markup)
    assert texts[0][1:] == ["68", "0.750", "0.050", "–", "–"]
    assert texts[2][1:] == ["1,068", "–", "–", "−0.200", "1,289"]
    assert rows[0].children[2].attributes["title"] == "0.700 to 0.800"
    bars = [[bool(cell.all("span")) for cell in row.children[2:]] for row in rows]
    assert bars == [[True, False, False, False]] * 2 + [[False, False, True, False]]


def test_a_table_of_scores_stays_a_frame():
    table = scores_of()
    assert "skmtl-repr" in table.round(1)._repr_html_()
    assert "skmtl-repr" in table.loc[["sex"]]._repr_html_()
    assert "skmtl-repr" not in table.T._repr_html_()
    assert "skmtl-repr" not in table[["kind"]]._repr_html_()
    with pd.option_context("display.notebook_repr_html", False):
        assert table._repr_html_() is None
    assert isinstance(table["accuracy"], pd.Series)


@pytest.mark.parametrize(
    ("value", "text"),
    [(NAN, "–"), (-0.25, "−0.250"), (0.9996, "1.000"), (math.inf, "∞"), (1234.5, "1,234.500")],
)
def test_scores_are_printed_with_three_decimals(value, text):
    assert _html.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.05, "0.050"), (221.44, "221.4"), (1289.1, "1,289"), (0, "0.000"), (2e9, "2e+09")],
)
def test_quantities_are_printed_by_their_size(value, text):
    assert _html.quantity(value) == text


@pytest.mark.parametrize(
    ("mean", "deviation", "text"),
    [(4201.75, 800.8, "4,202 ± 801"), (0.1, 0.0102, "0.1000 ± 0.0102"), (-5, 1, "−5.00 ± 1.00")],
)
def test_a_mean_is_printed_to_the_digits_of_its_deviation(mean, deviation, text):
    assert _html.spread(mean, deviation)[0] == text


def test_the_style_touches_nothing_else():
    for selectors in re.findall(r"([^{}]+)\{", re.sub(r"@media[^{]*", "", _html.STYLE)):
        for selector in re.split(r",(?![^(]*\))", selectors):
            assert not selector.strip() or ".skmtl-repr" in selector, selector


# In a browser

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="needs Chromium (Debian: chromium)")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--hide-scrollbars",
]
# what JupyterLab says of tables in outputs (@jupyterlab/rendermime, style/base.css)
NOTEBOOK = """
.out{font-size:14px;line-height:1.5}
.out table{border-collapse:collapse;border:none;font-size:12px;table-layout:fixed;margin:0 auto 1em}
.out td,.out th,.out tr{text-align:right;vertical-align:middle;padding:.5em;line-height:normal;
white-space:normal;max-width:none;border:none}
.out th{font-weight:bold} .out tbody tr:nth-child(odd){background:#888}
"""
MEASURE = """
const box = e => {const r = e.getBoundingClientRect();
  return {left: r.left, right: r.right, top: r.top, bottom: r.bottom,
    width: r.width, height: r.height}};
const ground = e => {for (; e; e = e.parentElement) {const c = getComputedStyle(e).backgroundColor;
  if (!c.endsWith(', 0)')) return c} return 'rgb(255, 255, 255)'};
const cards = [...document.querySelectorAll('.skmtl-repr')].map(card => ({
  box: box(card), scrolls: card.scrollWidth > card.clientWidth,
  rows: [...card.querySelectorAll('tbody tr')].map(tr => [...tr.children].map(td => ({
    ...box(td), text: td.innerText,
    track: [...td.querySelectorAll('.skmtl-track')].map(box),
    fill: [...td.querySelectorAll('.skmtl-track > span')].map(box),
    marks: Object.fromEntries(['interval', 'gain', 'zero'].flatMap(name =>
      [...td.querySelectorAll('.skmtl-' + name)].map(e => [name, box(e)]))),
    drawn: [...td.querySelectorAll('rect[fill], circle')].map(e =>
      ({...box(e), fill: getComputedStyle(e).fill}))}))),
  texts: [...card.querySelectorAll('th, td, caption, b, p, p span, td span')]
    .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
    .map(e => ({text: e.innerText, colour: getComputedStyle(e).color, ground: ground(e)}))}));
const found = {cards, page: document.documentElement.scrollWidth, window: innerWidth,
  diagram: [...document.querySelectorAll('.sk-top-container')].map(box)};
document.body.innerHTML = '<pre id="found"></pre>';
document.getElementById('found').textContent = JSON.stringify(found);
"""


def browse(folder, parts, *, body="", width=600, flags=(), ground="#fff"):
    """What Chromium made of the parts, each an output of a notebook."""
    outputs = "".join(f'<div class="out">{part}</div>' for part in parts)
    page = folder / "page.html"
    page.write_text(
        f"<!doctype html><meta charset=utf-8><style>{NOTEBOOK}</style>"
        f'<body {body} style="margin:8px;background:{ground}">{outputs}'
        f"<script>{MEASURE}</script></body>",
        encoding="utf-8",
    )
    command = [BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", *flags]
    command += [f"--window-size={width},900", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    [answer] = re.findall(r'<pre id="found">(.*?)</pre>', done.stdout.decode(), re.DOTALL)
    return json.loads(html.unescape(answer))


@pytest.fixture(scope="module")
def parts():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 4))
    Y = pd.DataFrame(
        {"species": np.array(["Adelie", "Chinstrap", "Gentoo"])[rng.integers(0, 3, 80)]}
    )
    Y["a task with a name that is far too long for a table"] = X[:, 0]
    Y["body_mass_g"] = 4200 + 800 * X[:, 1]
    est = MultiTaskClassifierRegressor(max_iter=30, n_members=2, random_state=0).fit(X, Y)
    none = MultiTaskClassifierRegressor(sharing="none", max_iter=2, n_members=1).fit(X, Y)
    markup = est._repr_mimebundle_()["text/html"]
    return [markup, tasks_html(none), gain_of()._repr_html_(), scores_of()._repr_html_()]


THEMES = {
    "light": {"body": 'data-jp-theme-light="true"'},
    "dark": {"body": 'data-jp-theme-light="false"', "ground": "#111"},
    "vscode": {
        "body": 'class="vscode-dark" data-vscode-theme-kind="vscode-dark"',
        "ground": "#111",
    },
    "system": {"flags": ("--blink-settings=preferredColorScheme=0",)},
    "light on a dark system": {
        "body": 'data-jp-theme-light="true"',
        "flags": ("--blink-settings=preferredColorScheme=0",),
    },
}


@pytest.fixture(scope="module", params=list(THEMES))
def page(request, parts, tmp_path_factory):
    found = browse(tmp_path_factory.mktemp("browser"), parts, **THEMES[request.param])
    return request.param, found


def rgb(colour):
    return [float(v) for v in re.findall(r"[\d.]+", colour)[:3]]


def luminance(colour):
    """Relative luminance of WCAG 2."""
    parts = [v / 255 for v in rgb(colour)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(one, other):
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@needs_browser
def test_text_can_be_read_in_every_theme(page):
    theme, found = page
    texts = [text for card in found["cards"] for text in card["texts"]]
    assert len(texts) > 60
    worst = min(texts, key=lambda t: contrast(t["colour"], t["ground"]))
    assert contrast(worst["colour"], worst["ground"]) >= 4.5, worst
    is_dark = luminance(texts[0]["ground"]) < 0.1
    assert is_dark == (theme in ("dark", "vscode", "system"))


@needs_browser
def test_nothing_overflows_a_narrow_page(page):
    _, found = page
    assert found["window"] == 600
    assert found["page"] <= 600
    for card in found["cards"]:
        assert not card["scrolls"]
        assert card["box"]["right"] <= 600
        for row in card["rows"]:
            assert all(a["right"] <= b["left"] + 0.5 for a, b in pairwise(row))
            assert all(cell["width"] > 0 and cell["height"] >= 30 for cell in row)


@needs_browser
def test_the_diagram_stands_above_the_table(page):
    _, found = page
    [diagram] = found["diagram"]
    assert diagram["height"] > 30
    assert diagram["bottom"] <= found["cards"][0]["box"]["top"] + 1


@needs_browser
def test_bars_are_as_long_as_scores_are_high(page):
    _, found = page
    seen = 0
    for cell in [cell for card in found["cards"] for row in card["rows"] for cell in row]:
        for track, fill in zip(cell["track"], cell["fill"], strict=True):
            value = float(re.findall(r"[−\d.]+", cell["text"])[-1].replace("−", "-"))
            share = fill["width"] / track["width"]
            assert share == pytest.approx(min(max(value, 0), 1), abs=0.02)
            assert cell["left"] <= track["left"]
            assert track["right"] <= cell["right"]
            assert track["top"] >= cell["top"]
            assert track["bottom"] <= cell["bottom"]
            seen += 1
    assert seen >= 12


@needs_browser
def test_intervals_lie_around_zero_as_their_numbers_say(page):
    _, found = page
    table = gain_of().table
    places = []
    for row, (_, true) in zip(found["cards"][2]["rows"], table.iterrows(), strict=True):
        marks = row[4]["marks"]
        zero = (marks["zero"]["left"] + marks["zero"]["right"]) / 2
        centre = (marks["gain"]["left"] + marks["gain"]["right"]) / 2
        ends = marks["interval"]["left"] - zero, marks["interval"]["right"] - zero
        assert (ends[0] > 0, ends[1] < 0) == (true["low"] > 0, true["high"] < 0)
        places += [(true["gain"], centre - zero), (true["low"], ends[0]), (true["high"], ends[1])]
    values, pixels = np.array(places).T
    scale = pixels[abs(values).argmax()] / values[abs(values).argmax()]
    assert scale > 0
    assert pixels == pytest.approx(scale * values, abs=0.3)


@needs_browser
def test_what_is_shared_is_one_piece_and_what_is_not_has_gaps(page):
    _, found = page
    blue, green = "rgb(86, 180, 233)", "rgb(0, 158, 115)"
    hard, none = (card["rows"] for card in found["cards"][:2])
    trunk = [[d for d in row[0]["drawn"] if d["fill"] == blue] for row in hard]
    assert [len(row) for row in trunk] == [2, 2, 2]
    assert not any(d["fill"] == blue for row in none for d in row[0]["drawn"])
    for above, below in pairwise(trunk):
        for a, b in zip(above, below, strict=True):
            assert a["left"] == b["left"]
            assert a["bottom"] >= b["top"]
    for rows in (hard, none):
        own = [[d for d in row[0]["drawn"] if d["fill"] == green] for row in rows]
        for above, below, row in zip(own, own[1:], rows, strict=False):
            assert above[-1]["bottom"] < below[-1]["top"]
            centre = (above[-1]["top"] + above[-1]["bottom"]) / 2
            assert centre == pytest.approx((row[1]["top"] + row[1]["bottom"]) / 2, abs=3)


# The notebook

NOTEBOOKS = sorted((pathlib.Path(__file__).parents[1] / "examples").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_notebooks_are_committed_with_clean_outputs(path):
    assert path.stat().st_size < 500_000
    code = [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]
    assert [c["execution_count"] for c in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"execute_result", "display_data"}
    markup = ["".join(o["data"].get("text/html", "")) for o in outputs]
    assert sum("skmtl-repr" in text for text in markup) >= 2
    assert not re.search(r"Warning|/home/|/root/|/work/|/tmp/", json.dumps(outputs))
