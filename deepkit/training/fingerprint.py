"""The fingerprint of a run: arguments and code of callbacks, losses and metrics, and of the user's classes."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Sequence

import keras

from deepkit.training.callback_checks import PATH_ARGUMENTS, is_tracker
from deepkit.training.model_code import architecture_hash, user_code
from deepkit.training.object_arguments import object_arguments
from deepkit.training.state import optimizers
from deepkit.utils.function_identity import config_text, identify, is_library, is_plain

_NEVER_COMPARED = ("verbose", "model", "params", "_model")  # output, and attributes that Keras sets


@dataclasses.dataclass
class Fingerprint:
    """Arguments and code that define a run, by name, and the values that cannot be compared.

    Args:
        arguments: Arguments of the callbacks, losses and metrics, as text.
        code: Code of functions and classes, as names and hashes.
        incomparable: Values of which only the type is compared.
    """

    arguments: dict[str, str] = dataclasses.field(default_factory=dict)
    code: dict[str, str] = dataclasses.field(default_factory=dict)
    incomparable: list[str] = dataclasses.field(default_factory=list)

    def differing(self, other: Fingerprint) -> list[str]:
        """Return the names whose values differ from those of another fingerprint."""
        before, after = self.arguments | self.code, other.arguments | other.code
        return [name for name in before if before[name] != after.get(name)]

    def add(self, name: str, value: object) -> None:
        """Add an argument: a plain value, or a function or an object by its code."""
        identity = identify(value, name)
        if is_plain(value):
            self.arguments[name] = identity.text
        else:
            self.code[name] = identity.text
        self.incomparable += identity.unidentified

    def add_object(self, name: str, value: object) -> None:
        """Add a callback, loss or metric: its arguments, and the code of a user's class."""
        if not is_library(type(value)):
            self.code[name] = identify(type(value)).text
        for argument, item in object_arguments(value, _ignored_arguments(value)).items():
            self.add(f"{name}.{argument}", _without_sign(item) if argument == "min_delta" else item)


def fingerprint(net: object, model: keras.Model, callbacks: Sequence[keras.callbacks.Callback]) -> Fingerprint:
    """Return the fingerprint of a run.

    Args:
        net: The definition, or the compiled model.
        model: The compiled model.
        callbacks: The user's callbacks.
    """
    result = Fingerprint()
    for i, callback in enumerate(callbacks):
        if not is_tracker(callback):
            result.add_object(f"callbacks[{i}]", callback)
    _add_compiled(result, model)
    for name, identity in user_code(net, model).items():
        result.code[name] = identity.text
        result.incomparable += identity.unidentified
    result.code["architecture"] = architecture_hash(model)
    result.incomparable = list(dict.fromkeys(result.incomparable))
    return result


def _ignored_arguments(value: object) -> tuple[str, ...]:
    """Return the arguments that do not change the training: names, the paths of files, and the amount of output."""
    if not isinstance(value, keras.callbacks.Callback):
        return (*_NEVER_COMPARED, "name")
    paths = [name for cls, name in PATH_ARGUMENTS.items() if isinstance(value, cls)]
    return (*_NEVER_COMPARED, *paths)


def _without_sign(value: object) -> object:
    """Return a number without its sign, which Keras changes in a callback that maximizes."""
    return abs(value) if isinstance(value, int | float) else value


def _add_compiled(result: Fingerprint, model: keras.Model) -> None:
    """Add the functions and the user's classes among the losses, the metrics and the optimizers of a model."""
    config = getattr(getattr(model, "_compile_config", None), "config", {})  # the public config only names functions
    for argument in ("loss", "metrics", "weighted_metrics"):
        items = keras.tree.flatten(config.get(argument))
        for i, item in enumerate(items):
            name = argument if len(items) == 1 else f"{argument}[{i}]"
            if isinstance(item, keras.losses.Loss | keras.metrics.Metric):
                _add_loss_or_metric(result, name, item)
            elif item is not None and not isinstance(item, str):
                result.add(name, item)
    for optimizer in optimizers(model):
        _add_optimizer(result, getattr(optimizer, "inner_optimizer", optimizer))


def _add_loss_or_metric(result: Fingerprint, name: str, item: keras.losses.Loss | keras.metrics.Metric) -> None:
    """Add the parts of a loss or metric that its config, and so its description, does not contain."""
    if isinstance(item, keras.losses.Loss):
        result.add(f"{name}.reduction", item.reduction)
    if config_text(item) is None:
        result.add_object(name, item)
    elif not is_library(type(item)):
        result.code[name] = identify(type(item)).text
    function = getattr(item, "fn", None) or getattr(item, "_fn", None)  # of a class that wraps a function
    if function is not None and not (hasattr(function, "__qualname__") and is_library(function)):
        result.add(f"{name}.fn", function)


def _add_optimizer(result: Fingerprint, optimizer: object) -> None:
    """Add the code of a user's optimizer or learning rate schedule; the description of the run has their arguments."""
    if not is_library(type(optimizer)):
        result.code["optimizer class"] = identify(type(optimizer)).text
    rate = getattr(optimizer, "_learning_rate", None)  # the public property returns the current value
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        if not is_library(type(rate)):
            result.add("learning_rate", rate)
    elif inspect.isroutine(rate) or isinstance(rate, functools.partial):
        result.add("learning_rate", rate)
