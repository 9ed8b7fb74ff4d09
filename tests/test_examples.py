"""Every example in the README and the docstrings runs; `make docs` executes the pages of the documentation."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import textwrap
import types
from itertools import chain, pairwise
from pathlib import Path

import pytest
import yaml
from docstring_parser import DocstringStyle, parse

import deepkit
from docs.api_links_hook import resolve

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
MODULES = sorted(m.name for m in pkgutil.walk_packages(deepkit.__path__, "deepkit.") if not m.name.endswith("__main__"))
VAR_KEYWORD = inspect.Parameter.VAR_KEYWORD
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
    "envs",
    "errors",
    "execution",
    "fields",
    "layers",
    "losses",
    "models",
    "recipe",
    "search",
    "teaching",
    "testing",
    "visualize",
)


# The objects of the API pages with their options, such as the members that a page shows
API_OBJECT = re.compile(r"^::: (\S+)\n(?:    options:(.*\n(?:      .*\n)*))?", re.MULTILINE)
API_OBJECTS = {
    match[1]: yaml.safe_load(match[2] or "{}")
    for page in sorted((ROOT / "docs" / "api").glob("*.md"))
    for match in API_OBJECT.finditer(f"{page.read_text()}\n")
}


def api_objects():
    """Yield the name and the object of each class and function of the API pages, and the docstrings that it has."""
    for name in API_OBJECTS:
        item = resolve(name)
        if inspect.isclass(item):
            bases = inspect.getmro(item)
            yield name, item, [text for base in bases for text in (base.__doc__, *field_docstrings(base))]
        elif not inspect.ismodule(item):
            yield name, item, [item.__doc__]


def api_methods():
    """Yield the name, the function and the docstrings of each method that the API pages show."""
    filters = re.findall(r'^ +- "!(\^.*\$)"$', (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    hidden = re.compile("|".join(["^_", *filters]))
    for name in filter(lambda name: inspect.isclass(resolve(name)), API_OBJECTS):
        cls = resolve(name)
        own_members = [member for member in vars(cls) if not hidden.search(member)]
        for member in API_OBJECTS[name].get("members", own_members):
            method = inspect.getattr_static(cls, member, None)
            method = getattr(method, "__func__", method)  # of a class method
            if inspect.isfunction(method):
                bases = [base for base in inspect.getmro(cls) if member in vars(base)]
                yield f"{name}.{member}", method, [vars(base)[member].__doc__ for base in bases]


def field_docstrings(cls):
    """Return the docstrings of the fields of a class, in the form of those of arguments."""
    if not cls.__module__.startswith("deepkit."):
        return []
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body
    return [
        f"Field.\n\nArgs:\n    {field.target.id}: {text.value.value}" for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    ]  # fmt: skip


def undescribed_arguments(item, docstrings):
    """Return the arguments that no docstring describes; those of a Keras layer, such as `name`, are Keras's."""
    sections = [parse(inspect.cleandoc(text), DocstringStyle.GOOGLE).params for text in docstrings if text]
    described = {name for section in sections for item in section for name in re.findall(r"\w+", item.arg_name)}
    is_layer = inspect.isclass(item) and any(base.__module__.startswith("keras.") for base in inspect.getmro(item))
    return [
        argument.name for argument in inspect.signature(item).parameters.values()
        if argument.name not in described | {"self", "cls"} and not (is_layer and argument.kind is VAR_KEYWORD)
    ]  # fmt: skip


def test_every_object_of_the_api_reference_has_an_example():
    assert [name for name, item, _ in api_objects() if ">>>" not in (item.__doc__ or "")] == []


def test_every_argument_in_the_api_reference_is_described():
    missing = {name: undescribed_arguments(*item) for name, *item in chain(api_objects(), api_methods())}
    assert {name: arguments for name, arguments in missing.items() if arguments} == {}


def test_every_result_in_the_api_reference_is_described():
    functions = [item for item in chain(api_objects(), api_methods()) if inspect.isfunction(item[1])]
    with_results = [item for item in functions if item[1].__annotations__.get("return", "None") != "None"]
    described = re.compile(r"\A.*\breturn\b|^ *Returns:$", re.MULTILINE | re.IGNORECASE)  # in the first line
    assert [name for name, _, docstrings in with_results if not described.search(docstrings[0])] == []


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
