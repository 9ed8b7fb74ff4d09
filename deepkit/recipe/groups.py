"""Groups of recipes: the recipes of one package, listed and run together.

Importing this module imports neither TensorFlow nor Keras.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from deepkit.recipe import discovery
from deepkit.recipe.discovery import RecipeEntry, UnknownRecipe
from deepkit.utils.console import console, echo
from deepkit.utils.durations import format_duration
from deepkit.utils.errors import did_you_mean_or_list, message


@dataclass(frozen=True)
class RecipeGroup:
    """The recipes of one package.

    Args:
        name: Last part of the package's name, such as `"basics"` for the modules in `recipes.basics`.
        summary: First line of the package's docstring; empty if it cannot be read.
        entries: The recipes, sorted by name.
    """

    name: str
    summary: str
    entries: tuple[RecipeEntry, ...]


def groups() -> list[RecipeGroup]:
    """Return the groups of all installed recipes, sorted by name."""
    entries_by_package: dict[str, list[RecipeEntry]] = {}
    for entry in discovery.entries():
        entries_by_package.setdefault(_package(entry.module), []).append(entry)
    return [
        RecipeGroup(package.rpartition(".")[2], _summary(package), tuple(entries_by_package[package]))
        for package in sorted(entries_by_package)
    ]


def find_group(name: str) -> RecipeGroup:
    """Return one group by name.

    Raises:
        UnknownRecipe: There is no group of this name; the message suggests close names.
    """
    groups_by_name = {item.name: item for item in groups()}
    if name in groups_by_name:
        return groups_by_name[name]
    suggestion = did_you_mean_or_list(name, sorted(groups_by_name), listing="the groups are")
    raise UnknownRecipe(message(f"there is no group {name!r}{suggestion}", hint="run `deepkit list` for all groups"))


def _package(module: str) -> str:
    """Return the package of a recipe's module; a module without a package is its own group."""
    return module.partition(":")[0].rpartition(".")[0] or module


def _summary(package: str) -> str:
    """Return the first line of a package's docstring, without importing the package."""
    try:
        tree = ast.parse(discovery.source_file(package).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return ""
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def run_group(recipes: RecipeGroup, arguments: Sequence[str], run_dir: Path | None = None) -> int:
    """Run the recipes of a group one after the other, each in a process of its own, and print a table of them.

    A recipe that fails does not stop the others. Each recipe has its own folder in `run_dir`.

    Args:
        recipes: The group.
        arguments: Flags of settings that all recipes have, which each recipe receives.
        run_dir: The folder of the flag `--run-dir`, or None.

    Returns:
        Exit code: 1 if a recipe failed, else 0.
    """
    table = Table(title=recipes.name, title_justify="left")
    for heading in ("recipe", "result", "time"):
        table.add_column(heading)
    failed: list[str] = []
    for number, entry in enumerate(recipes.entries, start=1):
        echo(f"\n[{number} of {len(recipes.entries)}] deepkit run {entry.name}")
        start = time.perf_counter()
        command = [sys.executable, "-m", "deepkit", "run", entry.name, *arguments]
        if run_dir is not None:
            command += ["--run-dir", str(run_dir / entry.name)]  # a later flag takes precedence
        is_finished = subprocess.run(command, check=False).returncode == 0
        if not is_finished:
            failed.append(entry.name)
        seconds = format_duration(time.perf_counter() - start)
        table.add_row(entry.name, "finished" if is_finished else "[red]failed[/]", seconds)
    console().print(table, soft_wrap=False)
    if failed:
        echo(f"failed: {', '.join(failed)}; run each alone with --traceback")
    return int(bool(failed))
