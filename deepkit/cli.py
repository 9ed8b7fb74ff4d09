"""The `deepkit` command: list, run, summary, build, doctor, results.

TensorFlow is imported only by the commands that need it, and its start-up lines are kept from the screen in this
process alone; a user's own TF_CPP_MIN_LOG_LEVEL is respected and then nothing is silenced.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import importlib
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import deepkit
from deepkit import _stderr, catalogue
from deepkit._console import console, say
from deepkit.recipe import Recipe, Settings
from deepkit.report import flags

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
USAGE, FAILED, INTERRUPTED = 2, 1, 130


class UsageError(ValueError):
    """A command line that means nothing; exit code 2."""


def main(args: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code: 0 done, 1 failed, 2 misused, 130 interrupted."""
    words = list(sys.argv[1:] if args is None else args)
    return guarded(lambda: _dispatch([word for word in words if word != "--traceback"]), "deepkit", words)


def _dispatch(words: Sequence[str]) -> int:
    command, *rest = words or ["--help"]
    if command in ("--help", "-h", "help"):
        console().print(HELP)
        return 0
    if command in ("--version", "version"):
        say(f"deepkit {deepkit.__version__}")
        return 0
    if command not in COMMANDS:
        close = difflib.get_close_matches(command, COMMANDS, n=1, cutoff=0.4)
        hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(COMMANDS)}"
        raise UsageError(f"no command is called {command!r}; {hint} `deepkit --help` explains them.")
    return COMMANDS[command](rest)


def guarded(work: Callable[[], int], prog: str, words: Sequence[str]) -> int:
    """Do the `work` of a command line; print what is expected to go wrong in a few words, and return an exit code."""
    try:
        return work()
    except KeyboardInterrupt:
        _complain(f"\nInterrupted. {_how_to_go_on(prog, words)}")
        return INTERRUPTED
    except (UsageError, catalogue.UnknownRecipe) as error:
        _complain(str(error))
        return USAGE
    except Exception as error:
        if not _expected(error) or "--traceback" in words or os.environ.get("DEEPKIT_TRACEBACK") == "1":
            traceback.print_exc()
        _complain(f"{type(error).__name__}: {error}")
        return FAILED


def _expected(error: Exception) -> bool:
    return isinstance(error, ValueError | OSError)


def _how_to_go_on(prog: str, words: Sequence[str]) -> str:
    same = f"{prog} {shlex.join(words)}".rstrip()
    if prog == "deepkit" and words[:1] != ["run"]:
        return f"To do it again: {same}"
    if any(word.split("=")[0] in ("--run-dir", "--run_dir") for word in words):
        return f"To go on where it stopped, the same command: {same}"
    return f"Nothing was kept. With --run-dir FOLDER a run goes on where it stopped: {same} --run-dir runs/1"


def _complain(message: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(escape(message), style="red")


def _list(args: Sequence[str]) -> int:
    @dataclass(frozen=True)
    class List:
        """Show the recipes that are installed, their papers' year and what they show."""

    _parse(List, args, "deepkit list")
    table = Table(box=None, pad_edge=False)
    for heading in ("recipe", "year", "what it shows"):
        table.add_column(heading, no_wrap=heading != "what it shows")
    for entry in catalogue.entries():
        text = f"[red]cannot be used: {escape(entry.problem)}[/]" if entry.problem else escape(entry.summary)
        table.add_row(entry.name, str(entry.year or ""), text)
    console().print(table, soft_wrap=False)
    return 0


def _run(args: Sequence[str]) -> int:
    recipe, rest = _named(args, "run")
    return run_recipe(recipe, rest, prog=f"deepkit run {recipe.name}")


def run_recipe(recipe: Recipe, words: Sequence[str], *, prog: str) -> int:
    """Run a recipe under the config that the words of a command line say, and return the exit code."""
    from deepkit.recipe import run

    run(recipe, config_from(recipe, [word for word in words if word != "--traceback"], prog=prog))
    return 0


def config_from(recipe: Recipe, args: Sequence[str], *, prog: str) -> Settings:
    """Return the config that flags say; `--quick` shrinks every setting that no flag gives."""
    config = _parse_settings(recipe, args, prog)
    if not config.quick:
        return config
    usual = flags(recipe.config, recipe.config.QUICK)  # the last of a flag counts
    return _parse_settings(recipe, [*usual, *args], prog)


def _parse_settings(recipe: Recipe, args: Sequence[str], prog: str) -> Settings:
    """Parse flags; the help begins with what the recipe shows, and lists its own settings before those of all."""
    kind = recipe.config
    own = {name for cls in kind.__mro__ if cls not in Settings.__mro__ for name in vars(cls).get("__annotations__", ())}
    fields = sorted(kind.__dataclass_fields__.items(), key=lambda item: item[0] not in own)  # keeps the order otherwise
    names = {"__doc__": kind.__doc__, "__module__": kind.__module__, "__dataclass_fields__": dict(fields)}
    said = _parse(type(kind.__name__, (kind,), names), args, prog, about=f"{recipe.summary}\n\n{recipe.paper.cite()}")
    return kind(**{field.name: getattr(said, field.name) for field in dataclasses.fields(kind)})


def _summary(args: Sequence[str]) -> int:
    from deepkit.build import summarise

    recipe, rest = _named(args, "summary")
    config = config_from(recipe, rest, prog=f"deepkit summary {recipe.name}")
    with config.plan():
        model = recipe.build(config)
    summarise(recipe.definition(config), model)
    return 0


def _named(args: Sequence[str], command: str) -> tuple[Recipe, list[str]]:
    name, *rest = args or [""]
    if not name or name.startswith("-"):
        known = ", ".join(entry.name for entry in catalogue.entries())
        if name in ("-h", "--help"):
            say(f"usage: deepkit {command} NAME [flags]\n\nNAME is one of: {known}")
            raise SystemExit(0)
        raise UsageError(f"usage: deepkit {command} NAME [flags], NAME being one of: {known}")
    entry = catalogue.entry(name)
    quiet_tensorflow()
    return entry.load(), rest


def _build(args: Sequence[str]) -> int:
    from deepkit import build

    options = _parse(build.Options, args, "deepkit build")
    quiet_tensorflow()
    return build.run(options)


def _doctor(args: Sequence[str]) -> int:
    from deepkit.doctor import Options, examine

    options = _parse(Options, args, "deepkit doctor")
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
    from deepkit import results, results_pages

    options = _parse(Results, args, "deepkit results")
    if options.refresh:
        quiet_tensorflow()
        changed = results.refresh(options.refresh, lambda recipe, flags: config_from(recipe, flags, prog="deepkit run"))
        say("\n".join([f"{options.refresh}: {len(changed)} results have new words", *changed]))
    elif options.page:
        catalogue.entry(options.page)
        quiet_tensorflow()
        say(results_pages.render_page(options.page))
    elif options.write:
        written = results_pages.write(options.write, package=options.package)
        say(f"{options.write}: {'written' if written else 'was up to date'}")
    elif options.check:
        results_pages.check(options.check, package=options.package)
        say(f"{options.check}: up to date")
    else:
        say(results_pages.table_of(options.package))
    return 0


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "list": _list,
    "run": _run,
    "summary": _summary,
    "build": _build,
    "doctor": _doctor,
    "results": _results,
}


def _parse(kind: type[Any], args: Sequence[str], prog: str, *, about: str | None = None) -> Any:
    import tyro  # here, not above: `deepkit --help` answers at once

    try:
        return tyro.cli(kind, prog=prog, description=about, args=list(args))
    except SystemExit as stop:
        if stop.code:
            _complain(f"`{prog} --help` shows what there is.")
        raise


def quiet_tensorflow(*, missing_ok: bool = False) -> None:
    """Import TensorFlow without its start-up lines, unless the user has set TF_CPP_MIN_LOG_LEVEL.

    The first lines come while its libraries are loaded, before any of its settings apply; so the import runs with
    standard error put aside, and all but those lines is printed afterwards.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ or "tensorflow" in sys.modules:
        return
    # Without an NVIDIA card the missing driver is reported as an error (level 2), which it is not.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2" if Path("/dev/nvidia0").exists() else "3"
    with _standard_error_filtered(), contextlib.suppress(ImportError) if missing_ok else contextlib.nullcontext():
        importlib.import_module("tensorflow")


@contextlib.contextmanager
def _standard_error_filtered() -> Iterator[None]:
    said: list[bytes] = []
    try:
        with _stderr.aside() as said:
            yield
    finally:
        os.write(2, b"".join(said))
