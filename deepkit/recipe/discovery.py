"""Which recipes there are: found by entry point, described without importing them."""

from __future__ import annotations

import ast
import difflib
import functools
import importlib
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepkit.recipe.contract import Recipe

GROUP = "deepkit.recipes"


class UnknownRecipe(ValueError):
    """A name that no installed package gives to a recipe."""


class BrokenRecipe(ValueError):
    """An entry point whose module cannot be found, read or imported, or declares no `RECIPE`."""


@dataclass(frozen=True)
class Entry:
    """One recipe as the list shows it.

    Args:
        name: What `deepkit run` calls it.
        module: Where it is declared.
        summary: First line of the module's docstring; empty when it cannot be read.
        year: Of the paper; None when it cannot be read.
        problem: Why it cannot be used; empty when it can.
    """

    name: str
    module: str
    summary: str = ""
    year: int | None = None
    problem: str = ""

    def load(self) -> Recipe:
        """Import the module and return its `RECIPE`.

        Raises:
            BrokenRecipe: If the module cannot be imported or declares none.
        """
        try:
            module = importlib.import_module(self.module)
        except Exception as error:  # a third party's module may raise anything
            raise BrokenRecipe(
                f"recipe {self.name!r}: importing {self.module} failed: {type(error).__name__}: {error}\n"
                f"  hint: python -c 'import {self.module}' to see where"
            ) from error
        recipe = getattr(module, "RECIPE", None)
        if recipe is None:
            raise BrokenRecipe(f"recipe {self.name!r}: {self.module} declares no RECIPE (a deepkit.recipe.Recipe)")
        return recipe


def entries() -> list[Entry]:
    """Return every recipe that an installed package declares, by name; a broken one with its problem."""
    modules = {point.name: point.value for point in metadata.entry_points(group=GROUP)}
    return [describe(name, modules[name]) for name in sorted(modules)]


def entry(name: str) -> Entry:
    """Return one recipe by name.

    Raises:
        UnknownRecipe: If there is none; close names are suggested.
    """
    every = {entry.name: entry for entry in entries()}
    if name in every:
        return every[name]
    close = difflib.get_close_matches(name, every, n=3, cutoff=0.5)
    known = f"did you mean {' or '.join(close)}?" if close else f"there are: {', '.join(every) or 'none'}"
    raise UnknownRecipe(f"no recipe is called {name!r}; {known} `deepkit list` shows them all.")


def load(name: str) -> Recipe:
    """Import and return one recipe by name.

    Raises:
        UnknownRecipe: If there is none of that name.
        BrokenRecipe: If its module cannot be imported.
    """
    return entry(name).load()


def describe(name: str, module: str) -> Entry:
    """Return a recipe's entry from its source, which is read and not run."""
    try:
        tree = ast.parse(source(module).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        return Entry(name, module, problem=str(error) or type(error).__name__)
    first = (ast.get_docstring(tree) or "").partition("\n")[0]
    return Entry(name, module, summary=first, year=_year(tree))


def source(module: str) -> Path:
    """Return the file of a module without importing it or the packages above it.

    Raises:
        FileNotFoundError: If there is no such source file.
    """
    top, *rest = module.partition(":")[0].split(".")
    try:
        spec = util.find_spec(top)  # a top-level name is found without being imported
    except ValueError:
        spec = None
    folders = spec.submodule_search_locations if spec else None
    if not rest and spec and spec.origin and Path(spec.origin).suffix == ".py":
        return Path(spec.origin)
    for folder in folders or ():
        path = Path(folder, *rest)
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return file
    raise FileNotFoundError(f"module {module} has no source file")


@functools.cache
def home(module: str) -> Path:
    """Return the folder of the top-level package that a recipe belongs to: its results lie there."""
    steps = module.count(".")
    return source(module).parents[max(steps - 1, 0)]


def _year(tree: ast.Module) -> int | None:
    """Return the year of `PAPER = Paper(...)`, or of `PAPER = papers.HE_2016` after `from recipes import papers`."""
    paper = _assigned(tree, "PAPER")
    if isinstance(paper, ast.Attribute) and isinstance(paper.value, ast.Name):
        module = _imported(tree, paper.value.id)
        paper = _assigned(module, paper.attr) if module else None
    if not isinstance(paper, ast.Call):
        return None
    for value in [k.value for k in paper.keywords if k.arg == "year"] or paper.args[2:3]:
        if isinstance(value, ast.Constant) and isinstance(value.value, int):
            return value.value
    return None


def _assigned(tree: ast.Module, name: str) -> ast.expr | None:
    """Return the expression that a module assigns to a name."""
    for node in tree.body:
        if not isinstance(node, ast.Assign):
            continue
        if any(isinstance(target, ast.Name) and target.id == name for target in node.targets):
            return node.value
    return None


def _imported(tree: ast.Module, name: str) -> ast.Module | None:
    """Parse the module that `from package import name` binds to a name, without importing it."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    try:
                        return ast.parse(source(f"{node.module}.{alias.name}").read_text(encoding="utf-8"))
                    except (OSError, SyntaxError, ValueError):
                        return None
    return None
