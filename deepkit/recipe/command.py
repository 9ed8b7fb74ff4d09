"""A recipe as a command: its settings are the flags, and what goes wrong is said in a few words."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from deepkit.recipe import discovery as catalogue
from deepkit.recipe.contract import Recipe, Settings
from deepkit.recipe.report import flags
from deepkit.recipe.run import run
from deepkit.utils import stderr as _stderr

USAGE, FAILED, INTERRUPTED = 2, 1, 130


class UsageError(ValueError):
    """A command line that means nothing; exit code 2."""


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


def run_recipe(recipe: Recipe, words: Sequence[str], *, prog: str) -> int:
    """Run a recipe under the config that the words of a command line say, and return the exit code."""
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


def main(recipe: Recipe, args: Sequence[str] | None = None) -> int:
    """Run a recipe as `python -m its.module`, with the flags of `deepkit run`; return the exit code."""
    spec = getattr(sys.modules[recipe.train.__module__], "__spec__", None)  # run by -m, the module is __main__
    module = spec.name if spec else recipe.train.__module__
    prog, words = f"python -m {module}", sys.argv[1:] if args is None else args
    return guarded(lambda: run_recipe(recipe, words, prog=prog), prog, words)
