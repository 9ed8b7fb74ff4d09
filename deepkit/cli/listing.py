"""`deepkit list`: the installed recipes by group."""

from __future__ import annotations

from dataclasses import dataclass

import tyro
from rich.markup import escape
from rich.table import Table

from deepkit.recipe import groups
from deepkit.utils.console import console


@dataclass(frozen=True)
class Options:
    """List the installed recipes by group, with the year of the paper and a summary."""

    group: tyro.conf.Positional[str] = ""
    """Group to list, such as basics; by default all groups."""


def show(options: Options) -> int:
    """Print the recipes of one group, or of all groups, and return the exit code."""
    table = Table(box=None, pad_edge=False)
    for heading in ("recipe", "year", "summary"):
        table.add_column(heading, no_wrap=heading != "summary")
    listed = [groups.find_group(options.group)] if options.group else groups.groups()
    for number, recipes in enumerate(listed):
        if number:
            table.add_row()
        table.add_row(f"[bold]{escape(recipes.name)}[/]", "", f"[bold]{escape(recipes.summary)}[/]")
        for entry in recipes.entries:
            text = f"[red]cannot be loaded: {escape(entry.problem)}[/]" if entry.problem else escape(entry.summary)
            table.add_row(f"  {entry.name}", str(entry.year or ""), text)
    console().print(table, soft_wrap=False)
    return 0
