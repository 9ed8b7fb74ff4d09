"""Recipes on the command line: settings as flags, short error messages, and exit codes."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.markup import escape

from deepkit.recipe.contract import Recipe
from deepkit.recipe.discovery import UnknownRecipe
from deepkit.recipe.flag_types import flag_types
from deepkit.recipe.report import flags
from deepkit.recipe.run import run
from deepkit.recipe.settings import Settings
from deepkit.utils.errors import StructuredError, message
from deepkit.utils.startup_messages import TRACEBACK, shows_everything

USAGE, FAILED, INTERRUPTED = 2, 1, 130

Options = TypeVar("Options")


class UsageError(ValueError):
    """An invalid command line; exit code 2."""


def run_cli(main: Callable[[Sequence[str]], int], argv: Sequence[str], *, prog: str) -> int:
    """Call `main` with the arguments of a command line, and return an exit code.

    An expected error is printed as one message. `--traceback`, which `main` does not receive, or
    DEEPKIT_TRACEBACK=1 adds the traceback, and shows the start-up messages of TensorFlow.

    Args:
        main: Function that runs the command and returns its exit code.
        argv: Arguments of the command line, without the name of the program.
        prog: Name of the program, for the command that resumes an interrupted run.
    """
    with _traceback_variable(argv):
        try:
            return main([argument for argument in argv if argument != "--traceback"])
        except KeyboardInterrupt:
            _print_error(f"\nInterrupted. {_resume_instruction(prog, argv)}")
            return INTERRUPTED
        except (UsageError, UnknownRecipe) as error:
            _print_error(str(error))
            return USAGE
        except Exception as error:
            is_expected = isinstance(error, ValueError | OSError | StructuredError)
            if not is_expected or shows_everything():
                traceback.print_exc()
            _print_error(f"{type(error).__name__}: {_describe(error)}")
            return FAILED


@contextlib.contextmanager
def _traceback_variable(argv: Sequence[str]) -> Iterator[None]:
    """Set DEEPKIT_TRACEBACK during a command with `--traceback`, so that the processes it starts see it too."""
    if "--traceback" not in argv:
        yield
        return
    before = os.environ.get(TRACEBACK)
    os.environ[TRACEBACK] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[TRACEBACK]
        else:
            os.environ[TRACEBACK] = before


def _describe(error: Exception) -> str:
    """Return the message of an error; if a path is missing or is a folder, without Python's `[Errno ...]`."""
    if type(error) is IsADirectoryError:
        return message(f"expected a file, received the folder {error.filename}", hint="pass the path of a file")
    if type(error) is FileNotFoundError and error.filename:
        return f"there is no file {error.filename}"
    return str(error)


def _resume_instruction(prog: str, argv: Sequence[str]) -> str:
    command = f"{prog} {shlex.join(argv)}".rstrip()
    if prog == "deepkit" and argv[:1] != ["run"]:
        return f"To run it again: {command}"
    if any(argument.split("=")[0] in ("--run-dir", "--run_dir") for argument in argv):
        return f"To resume, run the same command: {command}"
    return f"No checkpoint was saved. With --run-dir FOLDER a run can be resumed: {command} --run-dir runs/1"


def _print_error(text: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(escape(text), style="red")


def run_recipe(recipe: Recipe, argv: Sequence[str], *, prog: str) -> int:
    """Run a recipe under the config of a command line, and return the exit code."""
    run(recipe, parse_config(recipe, argv, prog=prog))
    return 0


def parse_config(recipe: Recipe, argv: Sequence[str], *, prog: str) -> Settings:
    """Return the config of a recipe from flags; `--quick` sets the values of `QUICK` for all other flags."""
    config = _parse_settings(recipe, argv, prog)
    if not config.quick:
        return config
    quick_flags = flags(recipe.config, recipe.config.QUICK)  # the user's flags come later, and take precedence
    return _parse_settings(recipe, [*quick_flags, *argv], prog)


def _parse_settings(recipe: Recipe, argv: Sequence[str], prog: str) -> Settings:
    """Parse flags; the help starts with the recipe's summary and paper."""
    description = f"{recipe.summary}\n\n{recipe.paper.cite()}"
    options = parse_options(_recipe_settings_first(recipe.config), argv, prog, description=description)
    values = {setting.name: getattr(options, setting.name) for setting in dataclasses.fields(recipe.config)}
    return recipe.config(**values)


def _recipe_settings_first(config: type[Settings]) -> type[Settings]:
    """Return a subclass whose help lists the settings of the recipe before those that all recipes share.

    tyro lists the fields in the order of the dataclass, which starts with those of the base class.
    """
    recipe_names: set[str] = set()
    for cls in config.__mro__:
        if cls not in Settings.__mro__:
            recipe_names.update(vars(cls).get("__annotations__", ()))
    fields = config.__dataclass_fields__
    recipe_fields = {name: field for name, field in fields.items() if name in recipe_names}
    shared_fields = {name: field for name, field in fields.items() if name not in recipe_names}
    namespace = {
        "__doc__": config.__doc__,
        "__module__": config.__module__,
        "__dataclass_fields__": {**recipe_fields, **shared_fields},
    }
    return type(config.__name__, (config,), namespace)


def parse_options(options: type[Options], argv: Sequence[str], prog: str, *, description: str | None = None) -> Options:
    """Return an instance of a dataclass from flags; exit with a message if they are invalid."""
    import tyro  # a slow import, which `deepkit --help` does not need

    try:
        return tyro.cli(options, prog=prog, description=description, args=list(argv), registry=flag_types())
    except SystemExit as stop:
        if stop.code:
            _print_error(f"Run `{prog} --help` for all flags.")
        raise


def main(recipe: Recipe, args: Sequence[str] | None = None) -> int:
    """Run a recipe as `python -m package.module` or `python file.py`, with the flags of `deepkit run`.

    Args:
        recipe: The recipe.
        args: The command line without the name of the program; None for that of the process.

    Returns:
        The exit code: 0 if the recipe ran, 2 for a wrong flag, 1 for another error, which is printed as one message.

    Examples:
        >>> import deepkit as dk
        >>> recipe = dk.recipe.Recipe(
        ...     name="sums",
        ...     paper=dk.recipe.Paper("Sums", ("Ada Lovelace",), 1843, "Notes"),
        ...     config=dk.recipe.Settings,
        ...     train=lambda config: dk.recipe.Result(
        ...         measured={"error": 2.0}, data="none"
        ...     ),
        ...     metrics={"error": "share of wrong sums"},
        ... )
        >>> dk.recipe.main(recipe, ["--seed", "7"])
        sums: Lovelace 1843
        ...
        command    deepkit run sums --seed 7
        0
    """
    prog = _python_command(recipe.train.__module__)
    return run_cli(lambda argv: run_recipe(recipe, argv, prog=prog), sys.argv[1:] if args is None else args, prog=prog)


def _python_command(module: str) -> str:
    """Return the command that runs a module; one that runs already is named `__main__`."""
    spec = getattr(sys.modules[module], "__spec__", None)
    if spec is None and module == "__main__":  # a file that is not in a package
        return f"python {shlex.quote(sys.argv[0])}"
    return f"python -m {spec.name if spec else module}"
