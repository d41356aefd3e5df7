"""The pages in docs/benchmarks, each written by the script of its name.

A script's first line says what is compared, the rest of its docstring how: with that the page begins.
"""

import pathlib

DOCS = pathlib.Path(__file__).parents[1] / "docs"


def path_of(script):
    return DOCS / "benchmarks" / f"{pathlib.Path(script).stem}.md"


def how(docstring):
    """All that a script says of itself but for the first line."""
    return docstring.split("\n\n", 1)[1].strip()


def write(script, title, *parts):
    """Write the page of a script, given as its ``__file__``: parts with a blank line between them."""
    path_of(script).write_text("\n\n".join([f"# {title}", *parts]) + "\n")
