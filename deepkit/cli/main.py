"""The `deepkit` command: list, run, summary, build, doctor, results.

TensorFlow is imported only by the commands that need it, and its start-up lines are kept from the screen in this
process alone; a user's own TF_CPP_MIN_LOG_LEVEL is respected and then nothing is silenced.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from deepkit._version import __version__
from deepkit.recipe import discovery
from deepkit.recipe.command import (
    UsageError,
    parse_config,
    parse_options,
    quiet_tensorflow,
    run_cli,
    run_recipe,
)
from deepkit.recipe.contract import Recipe
from deepkit.utils.console import console, echo

HELP = """\
[bold]deepkit[/]: canonical deep-learning architectures, reproduced with one command each.

  deepkit list                      the recipes, their papers and what they show
  deepkit run NAME \\[flags]          train, evaluate, and set measured beside claimed
  deepkit run NAME --help           the recipe's settings; every one is a flag
  deepkit run NAME --quick          a smoke run of seconds
  deepkit summary NAME \\[flags]      the network's layers and parameters, without data
  deepkit build FILE.yaml \\[flags]   a model from a definition; its summary, diagram, export
  deepkit doctor                    what works on this machine, and how to mend what does not
  deepkit results \\[flags]           the recorded results; --write or --check a README
  deepkit --version

  --traceback or DEEPKIT_TRACEBACK=1 shows where an error came from.
"""


def main(args: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code: 0 done, 1 failed, 2 misused, 130 interrupted."""
    return run_cli(_dispatch, sys.argv[1:] if args is None else args, prog="deepkit")


def _dispatch(words: Sequence[str]) -> int:
    command, *rest = words or ["--help"]
    if command in ("--help", "-h", "help"):
        console().print(HELP)
        return 0
    if command in ("--version", "version"):
        echo(f"deepkit {__version__}")
        return 0
    if command not in COMMANDS:
        close = difflib.get_close_matches(command, COMMANDS, n=1, cutoff=0.4)
        suggestion = f"did you mean {close[0]}?" if close else f"there are: {', '.join(COMMANDS)}"
        raise UsageError(f"no command is called {command!r}; {suggestion} `deepkit --help` explains them.")
    return COMMANDS[command](rest)


def _list(args: Sequence[str]) -> int:
    @dataclass(frozen=True)
    class List:
        """Show the recipes that are installed, their papers' year and what they show."""

    parse_options(List, args, "deepkit list")
    table = Table(box=None, pad_edge=False)
    for heading in ("recipe", "year", "what it shows"):
        table.add_column(heading, no_wrap=heading != "what it shows")
    for entry in discovery.entries():
        text = f"[red]cannot be used: {escape(entry.problem)}[/]" if entry.problem else escape(entry.summary)
        table.add_row(entry.name, str(entry.year or ""), text)
    console().print(table, soft_wrap=False)
    return 0


def _run(args: Sequence[str]) -> int:
    recipe, rest = _named(args, "run")
    return run_recipe(recipe, rest, prog=f"deepkit run {recipe.name}")


def _summary(args: Sequence[str]) -> int:
    from deepkit.cli.build import summarise

    recipe, rest = _named(args, "summary")
    config = parse_config(recipe, rest, prog=f"deepkit summary {recipe.name}")
    with config.plan():
        model = recipe.build(config)
    summarise(recipe.definition(config), model)
    return 0


def _named(args: Sequence[str], command: str) -> tuple[Recipe, list[str]]:
    name, *rest = args or [""]
    if not name or name.startswith("-"):
        known = ", ".join(entry.name for entry in discovery.entries())
        if name in ("-h", "--help"):
            echo(f"usage: deepkit {command} NAME [flags]\n\nNAME is one of: {known}")
            raise SystemExit(0)
        raise UsageError(f"usage: deepkit {command} NAME [flags], NAME being one of: {known}")
    entry = discovery.entry(name)
    quiet_tensorflow()
    return entry.load(), rest


def _build(args: Sequence[str]) -> int:
    from deepkit.cli import build

    options = parse_options(build.Options, args, "deepkit build")
    quiet_tensorflow()
    return build.run(options)


def _doctor(args: Sequence[str]) -> int:
    from deepkit.cli.doctor import Options, examine

    options = parse_options(Options, args, "deepkit doctor")
    quiet_tensorflow(missing_ok=True)
    return examine(options)


@dataclass(frozen=True)
class Results:
    """Show the recorded results, or bring a file that shows them up to date."""

    write: Path | None = None
    """Markdown file whose table, between its results markers, is brought up to date."""
    check: Path | None = None
    """Markdown file whose table is checked; exit code 1 when it is out of date."""
    page: str | None = None
    """Recipe whose documentation page is printed."""
    refresh: Path | None = None
    """Results file in which paper, claims and deviations are brought up to the recipes' words; numbers stay."""
    package: str = "recipes"
    """Package of recipes whose results are shown."""


def _results(args: Sequence[str]) -> int:
    from deepkit.recipe import pages, results

    options = parse_options(Results, args, "deepkit results")
    if options.refresh:
        quiet_tensorflow()
        changed = results.refresh(
            options.refresh, lambda recipe, flags: parse_config(recipe, flags, prog="deepkit run")
        )
        echo("\n".join([f"{options.refresh}: {len(changed)} results have new words", *changed]))
    elif options.page:
        discovery.entry(options.page)
        quiet_tensorflow()
        echo(pages.render_page(options.page))
    elif options.write:
        written = pages.write(options.write, package=options.package)
        echo(f"{options.write}: {'written' if written else 'was up to date'}")
    elif options.check:
        pages.check(options.check, package=options.package)
        echo(f"{options.check}: up to date")
    else:
        echo(pages.recipe_table(options.package))
    return 0


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "list": _list,
    "run": _run,
    "summary": _summary,
    "build": _build,
    "doctor": _doctor,
    "results": _results,
}
