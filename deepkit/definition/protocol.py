"""The protocol of a definition: the members of a block that builders and fields use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from deepkit.definition.inputs import InputSpec, InputSpecs
    from deepkit.definition.objective import Objective
    from deepkit.utils.types import Tensors


class DefinitionBase:
    """Base class of blocks, by which fields recognize them."""


class Definition(Protocol):
    """A value that describes layers and holds no weights; `deepkit.Block` is its implementation."""

    @property
    def name(self) -> str | None:
        """The `name=` of this block, or None."""

    @property
    def default_name(self) -> str:
        """Name of this block if `name` is None."""

    @property
    def accepts_multiple_inputs(self) -> bool:
        """Whether the input may be a list or mapping of tensors."""

    @property
    def is_shared(self) -> bool:
        """Whether equal blocks in one build share one set of weights."""

    @property
    def is_keras_layer(self) -> bool:
        """Whether this is a Keras layer of the user, which may lose the mask of its input with Keras's warning."""

    @property
    def training_target(self) -> str:
        """The targets of the training: "labels", "inputs" or "none"."""

    def add(self, x: Any, builder: Any) -> Tensors:
        """Add the layers of this block after `x`, and return the output."""

    def input_spec(self) -> InputSpec | InputSpecs | None:
        """Return the input that this definition fixes, or None."""

    def make_model(self, inputs: Any, outputs: Any, name: str) -> Any:
        """Return the model of a symbolic graph that ends in this definition."""

    def objective(self, output_shape: Any, label_shape: Any) -> Objective | None:
        """Return a new loss and metrics for the head of this definition, or None if it has no head."""
