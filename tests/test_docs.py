"""The documentation holds: an example for every public name, and no code block that no test runs."""

import doctest
import importlib
import pathlib
import pkgutil
import re
import runpy

import pytest

import skmtl

ROOT = pathlib.Path(__file__).parents[1]
PAGES = runpy.run_path(str(ROOT / "docs" / "pages.py"))
NAMES = [(module, name) for module, names in PAGES["public_names"]().items() for name in names]
GENERATED = {"api", "gallery", "project", "_build"}
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"] + [
    path
    for path in sorted((ROOT / "docs").rglob("*.md"))
    if not GENERATED & set(path.relative_to(ROOT / "docs").parts)
]
PROMPTLESS = {"libmtl.md", "searching.md"}  # LibMTL, a cluster of machines: not there in a test
EXAMPLES = sorted((ROOT / "examples").glob("plot_*.py"))


@pytest.mark.parametrize(("module", "name"), NAMES, ids=map(".".join, NAMES))
def test_every_public_docstring_has_an_example(module, name):
    """That it runs is what pytest's doctests see to: nothing is skipped, see below."""
    thing = getattr(importlib.import_module(module), name)
    if not callable(thing):  # a table or a number has no docstring of its own
        return
    examples = doctest.DocTestParser().get_examples(thing.__doc__ or "")
    assert any(example.want for example in examples)
    assert not any(doctest.SKIP in example.options for example in examples)


def test_the_reference_has_a_page_for_every_public_name(tmp_path):
    PAGES["write"](tmp_path)
    written = {path.stem for path in (tmp_path / "api").glob("*.rst")}
    assert written == {"index", *(f"{module}.{name}" for module, name in NAMES)}
    assert "   fit\n" not in (tmp_path / "api" / "index.rst").read_text()
    fit_and_more = (tmp_path / "api" / "skmtl.MultiTaskRegressor.rst").read_text()
    assert re.search(r":members:.* fit\b", fit_and_more)
    assert "get_params" not in fit_and_more  # scikit-learn's own


def test_the_drawing_of_the_layers_names_every_room():
    layers = runpy.run_path(str(ROOT / "docs" / "draw_layers.py"))["LAYERS"]
    drawn = {room.rstrip("/") for _, _, rooms in layers for room in rooms}
    rooms = {room.name for room in pkgutil.iter_modules(skmtl.__path__)}
    assert {room for room in rooms if not room.startswith("_")} <= drawn
    assert drawn - rooms == {"estimators"}  # the public ones: their modules are private


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_python_block_is_a_doctest(path):
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    for language, code in blocks:
        assert "+SKIP" not in code
        if language == "python" and path.name in PROMPTLESS and not code.startswith(">>> "):
            compile(code, str(path), "exec")
        elif language == "python":
            assert code.startswith((">>> ", "... ")), code
        else:
            assert ">>> " not in code, code


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_between_files_lead_somewhere(path):
    for _, target, _ in PAGES["LINK"].findall(path.read_text("utf-8")):
        assert (path.parent / target).exists() or target.startswith("http"), target


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
def test_an_example_says_its_question_and_draws(path):
    text = path.read_text("utf-8")
    title = re.match(r'"""\n?(.+)\n(=+)\n', text)
    assert title, "no title"
    assert len(title[1]) <= len(title[2])
    assert "plt.show()" in text or "savefig" in text
