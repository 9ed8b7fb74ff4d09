"""The protocol of a definition: what builders and fields need to know of a block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from deepkit.definition.inputs import InputSpec, InputSpecs
    from deepkit.definition.objective import Objective
    from deepkit.utils.types import Tensors


class Definition(Protocol):
    """A value that describes layers and holds no weights; `deepkit.Block` is its implementation."""

    @property
    def name(self) -> str | None:
        """Name that it was given."""

    @property
    def default_name(self) -> str:
        """Name that it has otherwise."""

    @property
    def accepts_multiple_inputs(self) -> bool:
        """Whether its input may be a list or mapping of tensors."""

    @property
    def is_shared(self) -> bool:
        """Whether two equal ones in a build are one part with one set of weights."""

    @property
    def training_target(self) -> str:
        """What the model learns to predict: "labels", "inputs" or "none"."""

    def add(self, x: Any, builder: Any) -> Tensors:
        """Add its layers after `x` and return the output."""

    def input_spec(self) -> InputSpec | InputSpecs | None:
        """Return the input that it fixes, or None."""

    def objective(self, output_shape: Any, label_shape: Any) -> Objective | None:
        """Return a new loss and metrics for its head, or None."""
