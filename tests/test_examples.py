"""Every example in the README and the docstrings runs; `make docs` executes the pages of the documentation."""

import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

import deepkit

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
MODULES = sorted(m.name for m in pkgutil.walk_packages(deepkit.__path__, "deepkit.") if not m.name.endswith("__main__"))
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def test_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("example")
    monkeypatch.setitem(sys.modules, "example", module)  # as if the README were an imported module
    for number, source in enumerate(BLOCK.findall((ROOT / "README.md").read_text()), start=1):
        exec(compile(source, f"README.md, example {number}", "exec"), vars(module))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_the_first_example_of_the_readme_reaches_a_test_accuracy_of_95_percent(seed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = BLOCK.search((ROOT / "README.md").read_text())[1]
    names = {}
    with deepkit.plan(seed=seed):
        exec(compile(source, "README.md", "exec"), names)
    assert names["run"].plan.seed == seed
    result = names["run"].model.evaluate(names["data"].test, verbose=0, return_dict=True)
    assert result["accuracy"] >= 0.95


SLOW = ("deepkit.training.autotune",)  # times models


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in MODULES]
)
def test_docstrings(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    failures, _ = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
    assert failures == 0


SUBPACKAGES = (
    "data",
    "errors",
    "execution",
    "fields",
    "layers",
    "losses",
    "models",
    "recipe",
    "teaching",
    "testing",
    "visualize",
)


def test_every_public_block_and_layer_has_an_example():
    public = [getattr(deepkit, name) for name in deepkit.__all__ if name not in SUBPACKAGES]
    public += [getattr(deepkit.layers, name) for name in deepkit.layers.__all__]
    without = [item.__name__ for item in public if ">>>" not in (item.__doc__ or "")]
    assert without == ["DefinitionError", "Run"]  # raised, and returned


def test_every_public_name_is_in_the_api_reference():
    pages = "\n".join(page.read_text() for page in (ROOT / "docs" / "api").glob("*.md"))
    documented = {line.removeprefix("::: ") for line in pages.splitlines() if line.startswith("::: ")}
    last_names = {name.split(".")[-1] for name in documented}
    missing = {name for name in deepkit.__all__ if name not in SUBPACKAGES} - last_names
    for package in (name for name in SUBPACKAGES if name != "fields"):
        missing |= set(getattr(deepkit, package).__all__) - last_names
    missing |= {
        name for name in deepkit.visualize.arrays.__all__ if f"deepkit.visualize.arrays.{name}" not in documented
    }
    constructors = inspect.getmembers(deepkit.fields, inspect.isfunction)
    missing |= {
        name for name, function in constructors
        if str(function.__doc__).startswith("Return a field") and f"deepkit.fields.{name}" not in documented
    }  # fmt: skip
    assert missing == set()


def test_importing_deepkit_imports_no_framework():
    code = (
        "import deepkit, deepkit.recipe, deepkit.cli.main, sys; assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
