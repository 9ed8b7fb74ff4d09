"""Adaptation of preprocessing layers to the training data: while a definition is built, or in a model that is built."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import tensorflow as tf

from deepkit.definition.errors import first_line
from deepkit.definition.preprocessing import (
    Use,
    graph_nodes,
    is_adapted,
    nested_layers,
    unadapted_layers,
    uses,
    uses_in_model,
)
from deepkit.training import fitted_state
from deepkit.training.fitted_state import FittedState
from deepkit.utils.errors import message

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset, Tensor, Tensors

    Source: TypeAlias = tuple[Tensors, Tensors]
    """The inputs of a model, and a tensor in its graph."""

__all__ = ["Adapter", "adapt", "adapt_model", "text_layers", "unadapted"]


def unadapted(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the preprocessing layers of a model and of its nested models that are not adapted yet.

    Args:
        model: A built model.
    """
    return unadapted_layers(model)


def text_layers(model: keras.Model) -> list[keras.layers.TextVectorization]:
    """Return the text layers of a model and of its nested models, each once."""
    return [layer for layer in nested_layers(model) if isinstance(layer, keras.layers.TextVectorization)]


def adapt(model: keras.Model, dataset: Dataset) -> list[str]:
    """Adapt every preprocessing layer that is not adapted yet to the data that reaches it.

    These are `Normalization`, `Discretization`, `IntegerLookup`, `StringLookup`, `TextVectorization` and `dk.Text`.
    Each is adapted to the outputs of the layers before it, and to those of all its uses together. The order of the
    data does not change the result: values of equal frequency are in descending order in a vocabulary.

    The `adapt` methods of the Keras layers need each layer's input; this function computes it.

    Args:
        model: A functional or sequential model that has been built, or one that `dk.Seq2Seq` builds.
        dataset: Finite batches of x, or of (x, y), as for `fit`.

    Returns:
        The names of the layers that were adapted.

    Raises:
        ValueError: The data is infinite or empty, contains NaN, or does not fit a layer.

    Examples:
        >>> import deepkit as dk
        >>> import tensorflow as tf
        >>> model = dk.Sequential([dk.Text(10)]).build()
        >>> dk.adapt(
        ...     model, tf.data.Dataset.from_tensors(tf.constant(["a dog", "a cat"]))
        ... )
        ['text.ids']
        >>> model(tf.constant(["a dog", "cat"])).numpy().tolist()
        [[2, 3], [4, 0]]
    """
    pending = unadapted(model)
    if pending and dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        hint = "use dataset.take(steps), one epoch of the training data"
        raise ValueError(message("adapt: the data is infinite", hint=hint))
    if pending and hasattr(model, "adapt"):  # the model knows which texts of a batch belong to which layer
        model.adapt(dataset)
        return [layer.name for layer in pending]
    return list(adapt_model(model, lambda: dataset, {}))


def adapt_model(model: keras.Model, batches: Callable[[], Dataset], states: dict[str, FittedState]) -> dict[str, str]:
    """Adapt the preprocessing layers of a built model that are not adapted yet.

    Args:
        model: The model.
        batches: A function that returns finite batches of x, or of (x, y).
        states: Fitted states by name of the layer, which are restored; the states of the other layers are added.

    Returns:
        A message for each layer that was adapted to the data, by the name of the layer.
    """
    if not unadapted_layers(model):
        return {}
    adapter = Adapter(batches, states)
    if isinstance(model, keras.Sequential) and not getattr(model, "inputs", None):
        inputs = _symbolic_input(model, batches())
        for use in uses(model, inputs, ""):
            adapter(inputs, use)
    else:
        adapter.adapt_all(getattr(model, "inputs", []), list(uses_in_model(model)))
    for name in ("train_function", "test_function", "predict_function"):
        setattr(model, name, None)  # a compiled function contains the state from before the adaptation
    return adapter.messages


class Adapter:
    """Adapts the preprocessing layers of a definition while it is built.

    A layer is adapted before the builder calls it, because the shape of its output may depend on its vocabulary. The
    data flows through the layers that are built already. A layer with several uses is adapted to all of them: their
    inputs are known after a build, so the definition is built once more for each such layer.

    Args:
        batches: A function that returns finite batches of x, or of (x, y).
        states: Fitted states by name of the layer. A layer with a state here is restored, not adapted; the states of
            the layers that are adapted are added.
    """

    def __init__(self, batches: Callable[[], Dataset], states: dict[str, FittedState]) -> None:
        self.messages: dict[str, str] = {}
        self._batches, self._states = batches, states
        self._restored = set(states)
        self._layers: dict[str, keras.layers.Layer] = {}  # of the current build
        self._sources: dict[str, list[Source]] = {}  # of the current build: the inputs of each use of a layer
        self._joined: dict[str, list[Source]] = {}  # of the previous build: all uses of the layer that is adapted next
        self._adapted: list[keras.layers.Layer] = []  # by this adapter

    def build(self, build: Callable[[], keras.Model]) -> keras.Model:
        """Return the model that `build` returns, with layers adapted to all their uses.

        Args:
            build: A function that builds the definition with this adapter.
        """
        random_state = random.getstate()
        model = build()
        finished: set[str] = set()
        while (name := self._next_shared(finished)) is not None:
            finished.add(name)
            names = list(self._sources)
            for later in names[names.index(name) :]:  # these layers were adapted to a part of their data
                if later not in self._restored:
                    self._states.pop(later, None)
            self._joined = {name: self._sources[name]}
            self._layers, self._sources = {}, {}
            random.setstate(random_state)  # Keras draws seeds from it: each build has the same initial weights
            model = build()
        return model

    def __call__(self, inputs: Tensors, use: Use) -> None:
        """Adapt or restore a layer before it is called, unless the user adapted it.

        Args:
            inputs: The inputs of the model.
            use: The layer and its input.

        Raises:
            ValueError: The data does not fit the layer.
        """
        name = use.name
        if self._layers.get(name) is use.layer:
            self._sources[name].append((inputs, _input_of(use)))
            return
        if is_adapted(use.layer) and not any(layer is use.layer for layer in self._adapted):
            return
        _check_layer(use)
        self._layers[name] = use.layer
        self._sources[name] = [(inputs, _input_of(use))]
        if name in self._states and fitted_state.restore(use.layer, _input_of(use), self._states[name]):
            return
        self._adapt(name, use, self._joined.get(name, self._sources[name]))

    def adapt_all(self, inputs: Tensors, all_uses: list[Use]) -> None:
        """Adapt the layers of a built model in order, each to all its uses.

        Args:
            inputs: The inputs of the model.
            all_uses: The uses of its preprocessing layers, in the order in which data reaches them.
        """
        all_uses = [use for use in all_uses if not is_adapted(use.layer)]
        for use in all_uses:
            sources = [(inputs, _input_of(other)) for other in all_uses if other.layer is use.layer]
            self._joined[use.name] = _independent(use.layer, sources)
        for use in all_uses:
            self(inputs, use)

    def _adapt(self, name: str, use: Use, sources: list[Source]) -> None:
        values = _input_values(sources, self._batches())
        try:
            fitted_state.adapt(use.layer, _input_of(use), values)
        except fitted_state.AdaptationError as error:
            raise ValueError(message(error.problem, path=name, hint=error.hint)) from error
        except (TypeError, ValueError, UnicodeDecodeError, tf.errors.OpError) as error:
            problem = f"{type(use.layer).__name__} cannot be adapted to the data: {first_line(error)}"
            raise ValueError(message(problem, path=name)) from error
        self._adapted.append(use.layer)
        self._states[name] = fitted_state.capture(use.layer)
        self.messages[name] = f"adapted {name}: {fitted_state.describe(use.layer)}"

    def _next_shared(self, finished: set[str]) -> str | None:
        """Return the name of the first layer that was adapted to one of its uses only, or None if there is none."""
        for name, sources in self._sources.items():
            if name in finished or name in self._restored or len(sources) == 1:
                continue
            self._sources[name] = _independent(self._layers[name], sources)
            if len(self._sources[name]) > 1:
                return name
        return None


def _independent(layer: keras.layers.Layer, sources: list[Source]) -> list[Source]:
    """Return the uses of a layer whose input is not computed by the layer itself."""
    return [source for source in sources if all(node.operation is not layer for node in graph_nodes(source[1]))]


def _input_values(sources: list[Source], dataset: Dataset) -> Iterator[Tensor]:
    """Yield the values of the symbolic tensor of each source, for one batch after the other."""
    inputs = sources[0][0]
    compute = tf.function(keras.Model(inputs, [x for _, x in sources]), reduce_retracing=True)
    for batch in dataset:
        values = compute(batch[0] if isinstance(batch, tuple) else batch, training=False)
        yield from keras.tree.flatten(values)  # of one tensor, Keras returns the tensor itself


def _input_of(use: Use) -> Any:
    if use.x is None:
        problem = f"{type(use.layer).__name__} is inside a layer or model whose graph is unknown"
        raise ValueError(message(problem, path=use.name, hint="call layer.adapt(data) first"))
    return use.x


def _check_layer(use: Use) -> None:
    """Raise if a layer inverts another layer: its state is that of the other layer, not a statistic of its input."""
    layer = use.layer
    if getattr(layer, "invert", False):
        problem = f"{type(layer).__name__}(invert=True) inverts another layer and cannot be adapted to its input"
        state = "mean= and variance=" if isinstance(layer, keras.layers.Normalization) else "vocabulary="
        raise ValueError(message(problem, path=use.name, hint=f"pass {state} of the other layer, or adapt it first"))


def _symbolic_input(model: keras.Sequential, dataset: Dataset) -> Any:
    """Return a symbolic input for a `keras.Sequential` that is not built, as Keras makes it at the first batch."""
    spec: Any = dataset.element_spec
    spec = spec[0] if isinstance(spec, tuple) else spec
    return keras.Input(tuple(spec.shape[1:]), dtype=model.layers[0].compute_dtype)
