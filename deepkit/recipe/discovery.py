"""Find the installed recipes by entry point, and describe them without importing their modules."""

from __future__ import annotations

import ast
import difflib
import functools
import importlib
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING

from deepkit.utils.errors import message

if TYPE_CHECKING:
    from deepkit.recipe.contract import Recipe

GROUP = "deepkit.recipes"


class UnknownRecipe(ValueError):
    """No installed package has a recipe of this name."""


class BrokenRecipe(ValueError):
    """The module of a recipe cannot be found, read or imported, or declares no `RECIPE`."""


@dataclass(frozen=True)
class RecipeEntry:
    """A recipe as `deepkit list` shows it.

    Args:
        name: Name of the recipe for `deepkit run`.
        module: Module that declares the recipe.
        summary: First line of the module's docstring; empty if it cannot be read.
        year: Year of the paper; None if it cannot be read.
        problem: Reason why the recipe cannot be used; empty if it can.
    """

    name: str
    module: str
    summary: str = ""
    year: int | None = None
    problem: str = ""

    def load(self) -> Recipe:
        """Import the module and return its `RECIPE`.

        Raises:
            BrokenRecipe: The module cannot be imported, or declares no `RECIPE`.
        """
        try:
            module = importlib.import_module(self.module)
        except Exception as error:  # a third party's module may raise anything
            problem = f"recipe {self.name!r}: importing {self.module} failed: {type(error).__name__}: {error}"
            hint = f"run `python -c 'import {self.module}'` for the traceback"
            raise BrokenRecipe(message(problem, hint=hint)) from error
        recipe = getattr(module, "RECIPE", None)
        if recipe is None:
            problem = f"recipe {self.name!r}: {self.module} declares no RECIPE"
            raise BrokenRecipe(message(problem, hint="assign a deepkit.recipe.Recipe to RECIPE in the module"))
        return recipe


def entries() -> list[RecipeEntry]:
    """Return the recipes of all installed packages, sorted by name; a broken one with its problem."""
    modules = {point.name: point.value for point in metadata.entry_points(group=GROUP)}
    return [describe(name, modules[name]) for name in sorted(modules)]


def entry(name: str) -> RecipeEntry:
    """Return one recipe by name.

    Raises:
        UnknownRecipe: There is no recipe of this name; the message suggests close names.
    """
    entries_by_name = {recipe.name: recipe for recipe in entries()}
    if name in entries_by_name:
        return entries_by_name[name]
    close = difflib.get_close_matches(name, entries_by_name, n=3, cutoff=0.5)
    if close:
        suggestion = f"did you mean {' or '.join(close)}?"
    else:
        suggestion = f"the recipes are: {', '.join(entries_by_name) or 'none'}"
    problem = f"there is no recipe {name!r}; {suggestion}"
    raise UnknownRecipe(message(problem, hint="run `deepkit list` for all recipes"))


def load(name: str) -> Recipe:
    """Import and return one recipe by name.

    Raises:
        UnknownRecipe: There is no recipe of this name.
        BrokenRecipe: The module of the recipe cannot be imported.
    """
    return entry(name).load()


def describe(name: str, module: str) -> RecipeEntry:
    """Return the entry of a recipe from the source of its module, without importing it."""
    try:
        tree = ast.parse(source_file(module).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        return RecipeEntry(name, module, problem=str(error) or type(error).__name__)
    summary = (ast.get_docstring(tree) or "").partition("\n")[0]
    return RecipeEntry(name, module, summary=summary, year=_paper_year(tree))


def source_file(module: str) -> Path:
    """Return the file of a module without importing the module or its packages.

    Raises:
        FileNotFoundError: The module has no source file.
    """
    top, *rest = module.partition(":")[0].split(".")
    try:
        spec = util.find_spec(top)  # finds a top-level name without importing it
    except ValueError:
        spec = None
    if spec and not rest and spec.origin and Path(spec.origin).suffix == ".py":
        return Path(spec.origin)
    folders = (spec.submodule_search_locations if spec else None) or ()
    for folder in folders:
        path = Path(folder, *rest)
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return file
    raise FileNotFoundError(f"module {module} has no source file")


@functools.cache
def package_folder(module: str) -> Path:
    """Return the folder of a recipe's top-level package, which holds its results file."""
    depth = module.count(".")
    return source_file(module).parents[max(depth - 1, 0)]


def _paper_year(tree: ast.Module) -> int | None:
    """Return the year of `PAPER = Paper(...)`, or of `PAPER = papers.HE_2016` after `from recipes import papers`."""
    paper = _assigned_value(tree, "PAPER")
    if isinstance(paper, ast.Attribute) and isinstance(paper.value, ast.Name):
        module = _parse_imported_module(tree, paper.value.id)
        paper = _assigned_value(module, paper.attr) if module else None
    if not isinstance(paper, ast.Call):
        return None
    by_name = [keyword.value for keyword in paper.keywords if keyword.arg == "year"]
    for value in by_name or paper.args[2:3]:
        if isinstance(value, ast.Constant) and isinstance(value.value, int):
            return value.value
    return None


def _assigned_value(tree: ast.Module, name: str) -> ast.expr | None:
    """Return the expression that a module assigns to a name."""
    for node in tree.body:
        if not isinstance(node, ast.Assign):
            continue
        if any(isinstance(target, ast.Name) and target.id == name for target in node.targets):
            return node.value
    return None


def _parse_imported_module(tree: ast.Module, name: str) -> ast.Module | None:
    """Parse the module that `from package import name` binds to a name, without importing it."""
    for node in tree.body:
        if not isinstance(node, ast.ImportFrom) or not node.module or node.level:
            continue
        for alias in node.names:
            if name == (alias.asname or alias.name):
                return _parse_module(f"{node.module}.{alias.name}")
    return None


def _parse_module(module: str) -> ast.Module | None:
    try:
        return ast.parse(source_file(module).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None
