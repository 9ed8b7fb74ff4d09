"""The `deepkit` command: list, run, launch, summary, build, doctor, results.

Only the commands that need TensorFlow import it. Its start-up messages are hidden, except with `--traceback`.
"""

from __future__ import annotations

import dataclasses
import difflib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepkit._version import __version__
from deepkit.recipe import discovery, groups
from deepkit.recipe.command import (
    UsageError,
    parse_config,
    parse_options,
    run_cli,
    run_recipe,
)
from deepkit.recipe.contract import Recipe
from deepkit.recipe.settings import Settings
from deepkit.utils.console import console, echo
from deepkit.utils.errors import message
from deepkit.utils.startup_messages import quiet_tensorflow

HELP = """\
[bold]deepkit[/]: canonical deep-learning architectures, each reproduced with one command.

  deepkit list                      list the groups of recipes, and the recipes with their papers
  deepkit list GROUP                list the recipes of a group, such as basics
  deepkit run NAME \\[flags]          train and evaluate a recipe, and compare the results with the paper
  deepkit run NAME --help           show the settings of a recipe; each one is a flag
  deepkit run NAME --quick          run a recipe for a few seconds, to test that it works
  deepkit run GROUP \\[flags]         run the recipes of a group, one after the other
  deepkit launch --workers 2 run NAME
                                    train on several workers: on this machine, or with --hosts on several
  deepkit summary NAME \\[flags]      show the layers and parameters of a recipe's model, without data
  deepkit summary NAME --diagram FILE.svg
                                    and draw its diagram, as SVG, PNG or PDF
  deepkit build FILE.yaml \\[flags]   build the model of a YAML file; print, draw, save or export it
  deepkit doctor                    check this machine and the installation
  deepkit results \\[flags]           show the recorded results; --write or --check a README
  deepkit --version

  --traceback or DEEPKIT_TRACEBACK=1 shows the traceback of an error, and all messages of TensorFlow.
"""


def main(args: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code: 0 success, 1 failure, 2 wrong usage, 130 interrupted."""
    return run_cli(_dispatch, sys.argv[1:] if args is None else args, prog="deepkit")


def _dispatch(args: Sequence[str]) -> int:
    command, *rest = args or ["--help"]
    if command in ("--help", "-h", "help"):
        console().print(HELP)
        return 0
    if command in ("--version", "version"):
        echo(f"deepkit {__version__}")
        return 0
    if command not in COMMANDS:
        if command in [entry.name for entry in discovery.entries()]:
            hint = f"run deepkit run {command}"
            raise UsageError(message(f"unknown command {command!r}, which is the name of a recipe", hint=hint))
        close = difflib.get_close_matches(command, COMMANDS, n=1, cutoff=0.4)
        suggestion = f"did you mean {close[0]}?" if close else f"the commands are {', '.join(COMMANDS)}"
        raise UsageError(message(f"unknown command {command!r}; {suggestion}", hint="run deepkit --help"))
    return COMMANDS[command](rest)


def _list(args: Sequence[str]) -> int:
    from deepkit.cli import listing  # imports tyro

    return listing.show(parse_options(listing.Options, args, "deepkit list"))


def _run(args: Sequence[str]) -> int:
    name = args[0] if args else ""
    is_recipe = name in [entry.name for entry in discovery.entries()]
    if name and not is_recipe and not name.startswith("-"):
        names = [recipes.name for recipes in groups.groups()]
        if name in names:
            return _run_group(name, args[1:])
        is_near_recipe = difflib.get_close_matches(name, [entry.name for entry in discovery.entries()], cutoff=0.5)
        if not is_near_recipe and (close := difflib.get_close_matches(name, names, n=1)):
            problem = f"there is no recipe {name!r}; did you mean the group {close[0]}?"
            raise UsageError(message(problem, hint="run `deepkit list` for all recipes and groups"))
    recipe, rest = _load_recipe(args, "run")
    return run_recipe(recipe, rest, prog=f"deepkit run {recipe.name}")


def _run_group(name: str, args: Sequence[str]) -> int:
    recipes = groups.find_group(name)
    description = f"Run the recipes of the group {name}: {', '.join(entry.name for entry in recipes.entries)}."
    config = parse_options(Settings, args, f"deepkit run {name}", description=description)
    if config.record is not None:
        from deepkit.recipe import results

        results.check_recordable(config.record, quick=config.quick)  # before the first recipe, not after each of them
    return groups.run_group(recipes, args, config.run_dir)


@dataclass(frozen=True, kw_only=True)
class SummaryOptions:
    """The flags that `deepkit summary` adds to the settings of a recipe."""

    diagram: Path | None = None
    """Draw a diagram of the model to this file: .svg, .png or .pdf; an existing file is replaced."""


def _summary(args: Sequence[str]) -> int:
    from deepkit.cli.build import check_diagram_path, draw_diagram, summarize

    recipe, rest = _load_recipe(args, "summary")
    config_class = dataclasses.make_dataclass(
        recipe.config.__name__, [], bases=(SummaryOptions, recipe.config), frozen=True, kw_only=True
    )
    recipe = dataclasses.replace(recipe, config=config_class)
    config = parse_config(recipe, rest, prog=f"deepkit summary {recipe.name}")
    path = config.diagram if isinstance(config, SummaryOptions) else None
    if path is not None:
        check_diagram_path(path)
    with config.plan():
        model = recipe.build(config)
    summarize(recipe.define(config), model)
    if path is not None:
        draw_diagram(model, path)
    return 0


def _load_recipe(args: Sequence[str], command: str) -> tuple[Recipe, list[str]]:
    """Return the recipe that the first argument names, and the other arguments."""
    name, *rest = args or [""]
    if not name or name.startswith("-"):
        names = ", ".join(entry.name for entry in discovery.entries())
        usage = f"usage: deepkit {command} NAME [flags]\n\nNAME is one of: {names}"
        if name in ("-h", "--help"):
            echo(usage)
            raise SystemExit(0)
        raise UsageError(usage)
    entry = discovery.entry(name)
    quiet_tensorflow()
    return entry.load(), rest


def _launch(args: Sequence[str]) -> int:
    from deepkit.cli import launch

    return launch.run(args)


def _build(args: Sequence[str]) -> int:
    from deepkit.cli import build

    options = parse_options(build.Options, args, "deepkit build")
    _check_readable(options.file)
    quiet_tensorflow()
    return build.run(options)


def _doctor(args: Sequence[str]) -> int:
    from deepkit.cli import doctor

    options = parse_options(doctor.Options, args, "deepkit doctor")
    quiet_tensorflow(missing_ok=True)
    return doctor.run(options)


@dataclass(frozen=True)
class Results:
    """Show the recorded results, or update a file that shows them."""

    write: Path | None = None
    """Markdown file whose results table, between its markers, is updated."""
    check: Path | None = None
    """Markdown file whose results table is checked; exit code 1 if it is out of date."""
    page: str | None = None
    """Recipe whose documentation page is printed."""
    redraw: Path | None = None
    """Results file whose recorded curves are drawn again, without training; --records limits it to some recipes."""
    refresh: Path | None = None
    """Results file whose papers, claims and deviations are updated from the recipes; the numbers stay unchanged."""
    mark_stale: Path | None = None
    """Results file in which results are marked as stale until they are recorded again; needs --records and --reason."""
    records: tuple[str, ...] = ()
    """Recipes, or recorded commands, whose results are marked as stale; recipes whose figures are drawn again."""
    reason: str = ""
    """Why they are stale, such as "recorded with another optimizer"."""
    package: str = "recipes"
    """Package of the recipes."""


def _results(args: Sequence[str]) -> int:
    from deepkit.recipe import readme_table, results

    options = parse_options(Results, args, "deepkit results")
    _check_results_options(options)
    for path in (options.refresh, options.redraw, options.mark_stale):
        if path is not None:
            _check_readable(path)
    if options.refresh:
        quiet_tensorflow()
        changed = results.refresh(options.refresh, _recorded_config)
        echo("\n".join([f"{options.refresh}: {len(changed)} results updated", *changed]))
    elif options.redraw:
        quiet_tensorflow()
        captions = results.redraw(options.redraw, options.records, _recorded_config)
        echo("\n".join([f"{options.redraw}: {len(captions)} figures drawn", *captions]))
    elif options.mark_stale:
        marked = results.mark_stale(options.mark_stale, options.records, options.reason)
        echo("\n".join([f"{options.mark_stale}: {len(marked)} results marked as stale", *marked]))
    elif options.page:
        discovery.entry(options.page)
        quiet_tensorflow()
        from deepkit.recipe import pages  # imports TensorFlow

        echo(pages.render_page(options.page))
    elif options.write:
        is_changed = readme_table.write(options.write, package=options.package)
        echo(f"{options.write}: {'updated' if is_changed else 'already up to date'}")
    elif options.check:
        readme_table.check(options.check, package=options.package)
        echo(f"{options.check}: up to date")
    else:
        echo(readme_table.recipe_table(options.package))
    return 0


def _check_results_options(options: Results) -> None:
    """Raise if flags are passed that would have no effect."""
    actions = [
        flag
        for flag in ("write", "check", "page", "redraw", "refresh", "mark_stale")
        if getattr(options, flag) is not None
    ]
    flags = ", ".join(f"--{flag.replace('_', '-')}" for flag in actions)
    if len(actions) > 1:
        raise UsageError(message(f"deepkit results expects one action, received {flags}", hint="pass one of them"))
    for flag, users in (("records", ("redraw", "mark_stale")), ("reason", ("mark_stale",))):
        if getattr(options, flag) and not set(actions) & set(users):
            expected = " or ".join(f"--{user.replace('_', '-')} FILE" for user in users)
            raise UsageError(
                message(f"--{flag} needs {expected}, received {flags or 'neither'}", hint=f"add {expected}")
            )


def _recorded_config(recipe: Recipe, flags: Sequence[str]) -> Settings:
    return parse_config(recipe, flags, prog="deepkit run")


def _check_readable(path: Path) -> None:
    """Raise an OSError if a file cannot be read, before the seconds that the import of TensorFlow takes."""
    path.open("rb").close()


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "list": _list,
    "run": _run,
    "launch": _launch,
    "summary": _summary,
    "build": _build,
    "doctor": _doctor,
    "results": _results,
}

if "__mp_main__" in sys.modules:  # a process that `multiprocessing` spawned for a recipe imports this module first
    quiet_tensorflow(missing_ok=True)
