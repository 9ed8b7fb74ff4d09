"""The base class of the definitions of agents, and the networks that they build."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from deepkit.blocks import common
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError, error_path
from deepkit.definition.inputs import InputSpec
from deepkit.definition.outputs import PROBABILITY_ACTIVATIONS, output_activation
from deepkit.definition.sequential import Sequential
from deepkit.definition.symbolic_inputs import layers_by_input, required_dtype
from deepkit.models.agent import AgentModel

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensors

_SHAPE_HINT = "use .build((4,))"


@dataclass(frozen=True)
class Observations:
    """Shape and type of an observation.

    Args:
        shape: Its shape, without the batch axis.
        dtype: Its type.
        num_categories: Number of categories, if it is the index of a category; else None.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    num_categories: int | None = None


class Agent(Block):
    """A definition of an agent; the base class of `dk.DQN`, `dk.Reinforce` and `dk.ActorCritic`.

    An agent is trained as a whole, so it cannot be part of another definition.
    """

    @property
    def training_target(self) -> str:
        """`"none"`: rewards take the place of targets."""
        return "none"

    def add(self, x: Tensors, builder: Builder) -> Tensors:
        """Refuse: an agent is not a layer."""
        raise builder.error(
            "an agent is trained as a whole and cannot be part of another model",
            hint="pass it to dk.learn, or use model = definition.build(observation_shape)",
        )

    @abstractmethod
    def make_agent(self, observations: Observations) -> AgentModel:
        """Return the model of this agent.

        Args:
            observations: Shape and type of an observation.
        """

    def build(
        self,
        input_shape: Shape | Mapping[str, Shape] | None = None,
        *,
        dtype: str | None = None,
        num_categories: int | None = None,
    ) -> AgentModel:
        """Return a Keras model with new weights.

        Args:
            input_shape: Shape of one observation, without the batch axis.
            dtype: Type of the observations, float32 by default. Observations of uint8 are divided by 255, unless the
                first layer preprocesses them.
            num_categories: Number of categories, if an observation is the index of a category, of shape (); it is made
                one-hot, unless the first layer is an embedding. None for numbers.

        Raises:
            DefinitionError: A network does not fit the shape, or does not end in the head that the agent needs.
        """
        shape = common.known_shape(input_shape, self, _SHAPE_HINT) if input_shape != () else ()
        return self.make_agent(Observations(shape, dtype or "float32", num_categories))


def build_network(name: str, body: Sequence[Any], observations: Observations) -> keras.Model:
    """Build a network of an agent; the path of an error begins with its name."""
    with error_path(name):
        network = Sequential(list(body), name=name)
        data_dtype = observations.dtype
        first = layers_by_input(network, InputSpec(observations.shape, dtype=data_dtype))[""]
        has_preprocessing = any(layer.is_preprocessing or layer.has_unknown_input for layer in first)
        needed = required_dtype(first, data_dtype)
        if has_preprocessing or needed not in (None, "float32"):  # the first layer converts the observations itself
            x: Any = keras.Input(observations.shape, dtype=needed or data_dtype, name="observations")
            return network.build_from(x, x)
        if observations.num_categories is not None:
            x = keras.Input(observations.shape, dtype="int32", name="observations")
            encoding = layers.CategoryEncoding(observations.num_categories, "one_hot", name="one_hot")
            return network.build_from(x, encoding(x))
        if data_dtype == "uint8":
            x = keras.Input(observations.shape, dtype="uint8", name="observations")
            return network.build_from(x, layers.Rescaling(1 / 255, name="rescaling")(x))
        x = keras.Input(observations.shape, dtype="float32", name="observations")
        return network.build_from(x, x)


def check_scores(model: keras.Model, path: str, definition: Agent, kind: str, head: str) -> None:
    """Raise unless a network returns one unrestricted number per action.

    Args:
        model: The network.
        path: Its name in the definition.
        definition: The definition.
        kind: What the numbers are, such as "logit".
        head: The head that returns them, as code.
    """
    output = model.output
    if not isinstance(output, keras.KerasTensor) or len(output.shape) != 2 or output.shape[1] is None:
        shape = tuple(output.shape[1:]) if isinstance(output, keras.KerasTensor) else "several tensors"
        raise DefinitionError(
            f"expected one {kind} per action, received {shape}",
            path=path,
            code=definition,
            hint=f"use {head} as the last element",
        )
    layer, activation = output_activation(output)
    if activation in (None, "linear"):
        return
    restriction = "probabilities" if activation in PROBABILITY_ACTIVATIONS else "a restricted range"
    raise DefinitionError(
        f"expected one {kind} per action, received {restriction}: the network ends in {activation}",
        path=f"{path}.{layer.name}",
        code=definition,
        hint=f"use {head} as the last element, or activation=None",
    )


def check_value(model: keras.Model, path: str, definition: Agent) -> None:
    """Raise unless a network returns one number: the value of an observation."""
    output = model.output
    if isinstance(output, keras.KerasTensor) and tuple(output.shape[1:]) == (1,):
        return
    shape = tuple(output.shape[1:]) if isinstance(output, keras.KerasTensor) else "several tensors"
    raise DefinitionError(
        f"expected one number, the value of an observation, received {shape}",
        path=path,
        code=definition,
        hint="use dk.Regressor(1) as the last element",
    )
