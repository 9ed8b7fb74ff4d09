"""Rematerialization: activations that the backward pass computes again, instead of keeping them in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from deepkit.definition.builder import Builder
from deepkit.definition.protocol import Definition

if TYPE_CHECKING:
    from deepkit.utils.types import KerasTensor, Nested, Tensor, Tensors


@keras.saving.register_keras_serializable(package="deepkit")
class Rematerialized(keras.Model):
    """A model inside another one whose activations are computed again in the backward pass.

    In training only its inputs stay in memory. Its layers run in a function without side effects, so that the second
    computation has the same dropout masks, and does not update the statistics of a batch normalization again. In
    inference it is the same as a `keras.Model`.

    Call arguments:
        inputs: List of tensors, with the masks of sequences at the end.
        training: Whether the layers run in training mode.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.autocast = False  # its layers cast their own variables
        self.supports_masking = True  # masks are inputs and outputs

    def compute_mask(self, inputs: Nested, previous_mask: Nested) -> None:
        """Return None: the masks of sequences are outputs."""

    def call(self, inputs: Nested, training: bool | None = None) -> Nested:
        """Return the outputs of the last layers."""
        if not training:
            outputs: Nested = super().call(inputs, training=training)
            return outputs
        return self._recomputed(keras.tree.flatten(inputs))

    def _recomputed(self, tensors: Sequence[Tensor]) -> Nested:
        """Return the outputs in training mode, as a function whose gradient calls it again.

        Only tensors of floats are arguments of the function: TensorFlow warns of derivatives with respect to others.
        """
        run = super().call
        weights, state = self.trainable_variables, self.non_trainable_variables
        state_before = [ops.copy(variable.value) for variable in state]
        changed: list[keras.Variable] = []
        masked: list[int] = []  # positions of the outputs with a mask

        def forward(*arguments: Tensor) -> list[Tensor]:
            floats = iter(arguments[len(weights) :])
            inputs = [next(floats) if _is_float(tensor) else tensor for tensor in tensors]
            _set_masks(inputs, list(map(_mask, tensors)))
            values = [*zip(weights, arguments, strict=False), *zip(state, state_before, strict=True)]
            with keras.StatelessScope(state_mapping=values, collect_losses=True) as scope:
                outputs = keras.tree.flatten(run(inputs, training=True))
            after = [scope.get_current_value(variable) for variable in state]
            changed[:] = [v for v, old, new in zip(state, state_before, after, strict=True) if new is not old]
            updates = [new for old, new in zip(state_before, after, strict=True) if new is not old]
            masked[:] = [position for position, output in enumerate(outputs) if _mask(output) is not None]
            return [*outputs, *(_mask(outputs[position]) for position in masked), *updates, *scope.losses]

        values = [ops.copy(variable.value) for variable in weights]
        results = iter(keras.remat(forward)(*values, *filter(_is_float, tensors)))
        outputs = [next(results) for _ in self.outputs]
        for position in masked:
            _set_masks([outputs[position]], [next(results)])
        for variable in changed:
            variable.assign(next(results))
        losses = list(results)
        if losses:
            keras.layers.Layer.add_loss(self, losses)  # the method of a functional model refuses
        return outputs[0] if len(outputs) == 1 else outputs


def add_rematerialized(x: Tensors, definitions: Sequence[Definition], builder: Builder, *, size: int = 1) -> Tensors:
    """Add blocks one after the other, and rematerialize the activations of each group of them.

    The layers have the names and the weights that `builder.add_all` gives them.

    Args:
        x: The input of the first block.
        definitions: The blocks.
        builder: The builder of the block that contains them.
        size: Number of blocks in a group.

    Raises:
        DefinitionError: A block does not fit, is a `Shared`, or contains a preprocessing layer that is not adapted.
    """
    named = list(zip(builder.sibling_names(definitions), definitions, strict=True))
    number = 1
    for start in range(0, len(named), size):
        y = _add_group(x, named[start : start + size], f"rematerialized{number}", builder)
        number += y is not x
        x = y
    return x


def _add_group(x: Tensors, blocks: Sequence[tuple[str, Definition]], name: str, builder: Builder) -> Tensors:
    """Add blocks as a nested model."""
    full_name = builder.qualified_name(name)
    tensors = keras.tree.flatten(x)
    masks = [mask for mask in map(_mask, tensors) if mask is not None]
    inputs = [_input_like(tensor, f"{full_name}.input{i}") for i, tensor in enumerate(tensors, start=1)]
    mask_inputs = [_input_like(mask, f"{full_name}.mask{i}") for i, mask in enumerate(masks, start=1)]
    _set_masks(inputs, _aligned(tensors, mask_inputs))
    y = keras.tree.pack_sequence_as(x, inputs)
    with _nested_build(builder):
        for block_name, definition in blocks:
            y = builder.add_block(block_name, definition, y)
    outputs = keras.tree.flatten(y)
    if all(any(output is tensor for tensor in inputs) for output in outputs):
        return x  # no layer was added
    output_masks = [mask for mask in map(_mask, outputs) if mask is not None]
    model = Rematerialized([*inputs, *mask_inputs], [*outputs, *output_masks], name=full_name)
    builder.state.instances[id(model)] = model
    results = keras.tree.flatten(model([*tensors, *masks]))
    _set_masks(results[: len(outputs)], _aligned(outputs, results[len(outputs) :]))
    return keras.tree.pack_sequence_as(y, results[: len(outputs)])


@contextlib.contextmanager
def _nested_build(builder: Builder) -> Iterator[None]:
    """Add layers to a nested model: it cannot share weights, and data does not reach it before the model is built."""
    state = builder.state
    instances, adapter, rematerializes = dict(state.instances), state.adapter, state.rematerializes
    state.adapter, state.rematerializes = None, True
    try:
        yield
    finally:
        # layers used as they are belong to the nested model, which the check for nested sharing enters
        state.instances, state.adapter, state.rematerializes = instances, adapter, rematerializes


def _aligned(tensors: Sequence[KerasTensor], masks: Sequence[KerasTensor]) -> list[KerasTensor | None]:
    """Return the next mask for each tensor that has one, and None for the others."""
    remaining = iter(masks)
    return [None if _mask(tensor) is None else next(remaining) for tensor in tensors]


def _input_like(tensor: KerasTensor, name: str) -> KerasTensor:
    return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=name)


def _mask(tensor: Any) -> Any:
    """Return the mask that Keras has attached to a tensor, or None."""
    return getattr(tensor, "_keras_mask", None)


def _set_masks(tensors: Sequence[Any], masks: Sequence[Any]) -> None:
    for tensor, mask in zip(tensors, masks, strict=True):
        tensor._keras_mask = mask


def _is_float(tensor: Tensor) -> bool:
    return bool(keras.backend.is_float_dtype(tensor.dtype))
