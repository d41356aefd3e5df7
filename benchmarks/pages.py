"""The pages in docs/benchmarks, each written by the script of its name.

A script's first line says what is compared, the rest of its docstring how: with that the page begins.
"""

import pathlib
import re

DOCS = pathlib.Path(__file__).parents[1] / "docs"


def path_of(script):
    return DOCS / "benchmarks" / f"{pathlib.Path(script).stem}.md"


def how(docstring):
    """All that a script says of itself but for the first line."""
    return docstring.split("\n\n", 1)[1].strip()


def write(script, title, *parts):
    """Write the page of a script, given as its ``__file__``: parts with a blank line between them."""
    path_of(script).write_text("\n\n".join([f"# {title}", *parts]) + "\n")


def write_sections(script, title, about, made, only=()):
    """Write a page of sections, each of ``made`` by its heading; what is not among ``only`` stays.

    ``made`` maps a name that `only` may have to a heading and a function that returns paragraphs. The
    page is written after each. Sections of a page that was about something else go.
    """
    path, there = path_of(script), {}
    if path.exists() and about in path.read_text():
        _, *parts = re.split(r"^## (.*)\n", path.read_text(), flags=re.MULTILINE)
        there = dict(zip(parts[::2], map(str.strip, parts[1::2]), strict=True))
    for heading, make in [made[name] for name in only or made]:
        there[heading] = "\n\n".join(make())
        headings = [own for own, _ in made.values() if own in there]
        write(script, title, about, *(f"## {own}\n\n{there[own]}" for own in headings))
