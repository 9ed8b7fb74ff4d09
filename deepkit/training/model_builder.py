"""Builders of compiled models, for the scikit-learn wrappers of Keras."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import keras

from deepkit.blocks.heads import Classifier
from deepkit.definition.block import Block
from deepkit.definition.sequential import Sequential
from deepkit.execution.plan import Plan, current
from deepkit.execution.plan import plan as make_plan
from deepkit.training.compile import compile_definition
from deepkit.training.fit_arguments import DataArguments
from deepkit.training.label_rules import head_block
from deepkit.training.schedules import OneCycle, StepDecay, WarmUp, with_learning_rate
from deepkit.training.user_data import training_data_for
from deepkit.utils.errors import did_you_mean_or_list, format_value, make_error

if TYPE_CHECKING:
    from deepkit.training.compile import Losses, LossWeights, Metrics
    from deepkit.training.schedules import LearningRate
    from deepkit.utils.types import ArrayLike, OptimizerLike

    DefinitionFunction: TypeAlias = Callable[..., Block]

_COMPILE_ARGUMENTS = ("optimizer", "learning_rate", "loss", "loss_weights", "metrics")


@dataclass(frozen=True)
class ModelBuilder:
    """A function of the data that returns a compiled model, for `keras.wrappers.SKLearnClassifier` and others.

    Each call builds a definition for the shape of the data with new weights, adapts its preprocessing layers to the
    data, and compiles it with the loss and the metrics of its head, as `dk.fit` does.

    The classifier of Keras passes one-hot labels, so the head is `dk.Classifier(n)` with one output per class, also for
    two classes. A classifier that returns logits is built with a softmax: the wrapper's `decision_function` then
    returns probabilities. Numbers of epochs and other arguments of Keras's `fit` are arguments of `fit` of the
    wrapper: its `fit_kwargs` are lost when scikit-learn clones it.

    Args:
        net: A definition, or a function that returns one, whose arguments are the `model_kwargs` of the wrapper.
        optimizer: A Keras optimizer or its name, Adam by default. Each model has a fresh copy.
        learning_rate: A number or a Keras schedule; replaces the optimizer's own.
        loss: A Keras loss or its name. By default the loss of the head.
        loss_weights: Weight of each output's loss, by the name of the output.
        metrics: A list of Keras metrics or names. By default the metrics of the head.
        plan: Precision, seed and so on. By default the current plan, else `dk.plan()` on one device.

    Raises:
        TypeError: `net` is neither a definition nor a function.

    Examples:
        >>> import deepkit as dk
        >>> import numpy as np
        >>> from keras.wrappers import SKLearnClassifier
        >>> x, y = np.eye(3).repeat(20, 0), np.repeat(["cat", "dog", "owl"], 20)
        >>> net = dk.Sequential([dk.Classifier(3)])
        >>> classifier = SKLearnClassifier(dk.ModelBuilder(net, learning_rate=0.1))
        >>> classifier.fit(x, y, epochs=20, verbose=0).classes_.tolist()
        ['cat', 'dog', 'owl']
    """

    net: Block | DefinitionFunction
    optimizer: OptimizerLike | None = None
    learning_rate: LearningRate | None = None
    loss: Losses | None = None
    loss_weights: LossWeights | None = None
    metrics: Metrics | None = None
    plan: Plan | None = None

    def __post_init__(self) -> None:
        is_function = callable(self.net) and not isinstance(self.net, type | keras.layers.Layer)
        if not isinstance(self.net, Block) and not is_function:
            problem = f"net: expected a definition or a function that returns one, received {format_value(self.net)}"
            raise make_error(TypeError, problem, hint="pass a definition such as dk.Sequential([...])")
        if isinstance(self.learning_rate, OneCycle | StepDecay | WarmUp):
            problem = f"learning_rate: {self.learning_rate} depends on the number of epochs, which is unknown"
            raise make_error(ValueError, problem, hint="pass a number or a schedule of keras.optimizers.schedules")

    def __call__(self, X: ArrayLike, y: ArrayLike, **kwargs: Any) -> keras.Model:
        """Return a compiled model for the shape of the data.

        Args:
            X: The inputs.
            y: The labels: one-hot rows from a classifier, `(batch, units)` from a regressor.
            kwargs: Arguments of the function `net`, or of this class, such as `learning_rate`.
        """
        settings = {name: kwargs.pop(name) for name in _COMPILE_ARGUMENTS if name in kwargs and not self._takes(name)}
        builder = dataclasses.replace(self, **settings)
        return builder._build(_with_probabilities(self._definition(kwargs)), X, y)

    def _takes(self, name: str) -> bool:
        """Return whether the function `net` has an argument."""
        if isinstance(self.net, Block):
            return False
        parameters = inspect.signature(self.net).parameters
        return name in parameters

    def _definition(self, kwargs: dict[str, Any]) -> Block:
        if isinstance(self.net, Block):
            for name in kwargs:
                choices = did_you_mean_or_list(name, _COMPILE_ARGUMENTS)
                problem = f"model_kwargs: a ModelBuilder of a definition takes no {name!r}{choices}"
                raise make_error(TypeError, problem, hint="pass a function that returns the definition, with arguments")
            return self.net
        net = self.net(**kwargs)
        if not isinstance(net, Block):
            problem = f"net: expected a function that returns a definition, received {format_value(net)} from it"
            raise make_error(TypeError, problem, hint="return a definition such as dk.Sequential([...])")
        return net

    def _build(self, net: Block, x: Any, y: Any) -> keras.Model:
        plan = self.plan or current() or _single_device_plan()
        optimizer = self.optimizer
        if self.learning_rate is not None:
            optimizer = with_learning_rate(optimizer, self.learning_rate, None, 1)
        _check_head(net, y)
        data = training_data_for(net, DataArguments(x, y), plan)
        with plan:
            compiled = compile_definition(net, data, plan, optimizer, self.loss, self.metrics, self.loss_weights)
        return compiled.model


def _single_device_plan() -> Plan:
    plan = make_plan()
    return plan if len(plan.replicas) == 1 else make_plan(devices=plan.devices[0], workers=None)


def _check_head(net: Block, y: Any) -> None:
    """Raise if a head with one output would be trained on one-hot rows of two classes."""
    head = head_block(net)
    if isinstance(head, Classifier) and head.num_classes == 1 and getattr(y, "shape", ())[1:] == (2,):
        problem = "dk.Classifier(1) has one output, but scikit-learn's classifiers pass one-hot labels of two classes"
        raise make_error(ValueError, problem, hint="use dk.Classifier(2)")
    if getattr(head, "distribution", None) is not None:
        problem = f"{head!r} predicts a distribution, but scikit-learn's regressors expect numbers"
        raise make_error(ValueError, problem, hint="leave out distribution, or use dk.fit")


def _with_probabilities(net: Any) -> Any:
    """Return a classifier with a softmax: Keras's wrapper cannot invert logits that sum to 0."""
    if isinstance(net, Classifier) and net.num_classes > 1 and net.activation is None:
        return dataclasses.replace(net, activation="softmax")
    if isinstance(net, Sequential) and net.layers:
        *body, head = net.layers
        return dataclasses.replace(net, layers=[*body, _with_probabilities(head)])
    return net
