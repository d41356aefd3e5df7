"""Pages that the site generates: the API reference from every `__all__`, and the files of the root.

`public_names` is what counts as public, for the site and for the tests of docstrings.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import skmtl

ENGINE = {"targets", "training"}  # rooms that estimators stand on: architecture.md shows them
CALLBACKS = {"skmtl.training": ["FitCheckpoint", "MixedPrecision"]}  # what of them users pass
ROOT = Path(skmtl.__file__).parents[1]
PROJECT = {
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changelog",
    "SECURITY.md": "security",
}
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)#\s:]+)(#[^)\s]*)?\)")


def public_names() -> dict[str, list[str]]:
    """Return the public modules, each with its public names."""
    rooms = [room.name for room in pkgutil.iter_modules(skmtl.__path__)]
    rooms = [name for name in rooms if not name.startswith("_") and name not in ENGINE]
    modules = ["skmtl", *(f"skmtl.{name}" for name in rooms)]
    return {name: list(importlib.import_module(name).__all__) for name in modules} | CALLBACKS


def public_members(cls: type) -> list[str]:
    """Return what skmtl, and not a library below it, says of a class, in the order of writing."""
    found: dict[str, None] = {}
    for base in cls.__mro__:
        if base.__module__.startswith("skmtl"):
            found.update(dict.fromkeys(vars(base)))
    found = {name: None for name in found if not re.match(r"_|set_\w+_request$", name)}
    return [name for name in found if inspect.getdoc(inspect.getattr_static(cls, name))]


def api_page(module: str, name: str) -> str:
    """Return the page of one public name."""
    thing = getattr(importlib.import_module(module), name)
    lines = [name, "=" * len(name), "", f".. currentmodule:: {module}", ""]
    if inspect.isclass(thing):
        callables = [m for m in public_members(thing) if callable(getattr(thing, m, None))]
        lines += [f".. autoclass:: {name}"]
        lines += [f"   :members: {', '.join(callables)}", "   :member-order: bysource"] * bool(
            callables
        )
    elif callable(thing):
        lines += [f".. autofunction:: {name}"]
    else:
        lines += [f".. autodata:: {name}", "   :no-value:"]
    if callable(thing):
        lines += ["", f".. minigallery:: {module}.{name}", "   :add-heading: Examples with it"]
    return "\n".join(lines) + "\n"


def api_index() -> str:
    """Return the page of all public names, module by module."""
    lines = ["API reference", "=============", ""]
    lines += ["Every public name. What a module's ``__all__`` names is public; what starts with an"]
    lines += [
        "underscore, and the rest of ``targets`` and ``training``, may change at any time.",
        "",
    ]
    for module, names in public_names().items():
        lines += [module, "-" * len(module), "", f".. automodule:: {module}", "   :no-members:", ""]
        lines += [f".. currentmodule:: {module}", "", ".. autosummary::", "   :nosignatures:", ""]
        lines += [f"   {name}" for name in names] + [""]
        lines += [".. toctree::", "   :hidden:", ""]
        lines += [f"   {name} <{module}.{name}>" for name in names] + [""]
    return "\n".join(lines)


def write(docs: Path) -> None:
    """Write docs/api and docs/project; a file that is as it should be is not touched."""
    texts = {"api/index.rst": api_index()}
    for module, names in public_names().items():
        texts |= {f"api/{module}.{name}.rst": api_page(module, name) for name in names}
    for file, page in PROJECT.items():
        if (ROOT / file).exists():
            texts[f"project/{page}.md"] = relink((ROOT / file).read_text("utf-8"), ROOT, docs)
    for old in [*docs.glob("api/*.rst"), *docs.glob("project/*.md")]:
        if str(old.relative_to(docs)) not in texts:
            old.unlink()
    for name, text in texts.items():
        path = docs / name
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def relink(text: str, folder: Path, docs: Path) -> str:
    """Point links of a Markdown file at pages of the site; of a source file the name is left."""

    def replaced(match: re.Match) -> str:
        label, target, anchor = match[1], match[2], match[3] or ""
        path = (folder / target).resolve()
        if path.is_relative_to(docs):
            return f"[{label}](/{path.relative_to(docs)}{anchor})"
        if path.parent == ROOT and path.name in PROJECT:
            return f"[{label}](/project/{PROJECT[path.name]}.md{anchor})"
        if path.parent == ROOT / "examples" and path.name.startswith("plot_"):
            return f"[{label}](/gallery/{path.stem}.rst)"
        return label if "`" in label else f"`{label}`"

    return LINK.sub(replaced, text)


def rewrite_links(app, docname: str, source: list[str]) -> None:
    """Do so for the pages of docs/ (Sphinx's event ``source-read``)."""
    path = Path(app.env.doc2path(docname))
    if path.suffix == ".md":
        source[0] = relink(source[0], path.parent, Path(app.srcdir))
