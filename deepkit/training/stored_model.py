"""A trained model in a run directory: the file `model.keras`, and its architecture in `config.json`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from deepkit.definition.errors import first_line
from deepkit.training import adaptation, state
from deepkit.training.errors import RunDirError
from deepkit.utils.console import echo
from deepkit.utils.errors import StructuredError

if TYPE_CHECKING:
    from deepkit.training.fitted_state import FittedState
    from deepkit.training.state import TrainingState
    from deepkit.utils.types import Dataset

_REGISTER_HINT = (
    "import the module of your classes and functions first, and register them with "
    "@keras.saving.register_keras_serializable()"
)


def save_model(model: keras.Model, path: Path, verbose: int | str) -> None:
    """Save a model; without its optimizer, loss and metrics if Keras cannot save or load one."""
    try:
        if isinstance(getattr(model, "optimizer", None), keras.optimizers.MultiOptimizer):
            raise TypeError("it cannot load the variables of a MultiOptimizer")  # it restores them in another order
        model.save(path)
    except TypeError as error:
        with _uncompiled(model, error):
            model.save(path)
        if verbose:
            reason = str(error).partition("\n")[0]
            echo(f"model.keras is saved without optimizer, loss and metrics, because Keras failed: {reason}")


def architecture(model: keras.Model) -> str | None:
    """Return the architecture of a model as JSON; None if its class cannot be serialized."""
    try:
        try:
            return str(model.to_json())
        except TypeError as error:
            with _uncompiled(model, error):
                return str(model.to_json())
    except (NotImplementedError, TypeError, ValueError):
        return None


def load_model(path: Path, architecture: str | None) -> keras.Model:
    """Return the model in a file.

    Args:
        path: The file.
        architecture: The architecture, whose loss and metrics replace those that the file lacks.

    Raises:
        RunDirError: Keras cannot load it.
    """
    with _loading(f"{path} cannot be loaded"):
        model = keras.models.load_model(path)
        arguments = json.loads(architecture).get("compile_config") if architecture else None
        if arguments and not model.compiled:
            model.compile_from_config(arguments)
        return model


def rebuild(architecture: str | None, fitted: Mapping[str, FittedState], training: TrainingState, source: str) -> Any:
    """Return a model with the weights of a checkpoint; its optimizer has its initial state.

    Args:
        architecture: The architecture, as the function `architecture` returned it.
        fitted: The fitted states of the preprocessing layers by name.
        training: The state in the checkpoint.
        source: Origin of the state, for error messages.

    Raises:
        RunDirError: Keras cannot build the model.
        CheckpointError: The state belongs to another model.
    """
    if architecture is None:
        problem = f"run_dir: the model of {source} cannot be built, because Keras cannot serialize its class"
        raise RunDirError(problem, hint="repeat the call of dk.fit, which resumes the run")
    with _loading(f"the model of {source} cannot be built"):
        model = keras.models.model_from_json(architecture)
        adaptation.adapt_model(model, _no_data, dict(fitted))
    state.restore(model, state.capture(model) | {"model": training.variables["model"]}, source)
    return model


def _no_data() -> Dataset:
    raise ValueError("a preprocessing layer has no fitted state in preprocessing.json")


@contextlib.contextmanager
def _uncompiled(model: keras.Model, error: TypeError) -> Iterator[None]:
    """Serialize a model without its optimizer, loss and metrics; raise the error if it has none."""
    arguments = getattr(model, "_compile_config", None)
    if arguments is None:
        raise error
    model._compile_config = type(arguments)()
    try:
        yield
    finally:
        model._compile_config = arguments


@contextlib.contextmanager
def _loading(problem: str) -> Iterator[None]:
    """Raise a `RunDirError` if Keras cannot deserialize a model."""
    try:
        yield
    except StructuredError:
        raise
    except Exception as error:  # Keras and the user's classes raise errors of any kind
        cause = str(error).rpartition("Exception encountered: ")[2]  # Keras appends the error of a nested object
        reason = first_line(ValueError(cause)) if cause else type(error).__name__
        raise RunDirError(f"run_dir: {problem}: {reason}", hint=_REGISTER_HINT) from error
