"""Recurrent networks: one direction or both, one layer or a stack; masked steps have no effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from deepkit.blocks import common
from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError, shape_text
from deepkit.definition.layer_arguments import LayerArguments
from deepkit.definition.masks import has_mask
from deepkit.layers import UnrolledBidirectional
from deepkit.utils.validation import check_choice

if TYPE_CHECKING:
    from deepkit.utils.types import KerasTensor, Tensors

# the layer with its own loop, the cell that `keras.layers.RNN` loops over, and the number of states
_CELLS: dict[str, tuple[Any, Any, int]] = {
    "simple": (layers.SimpleRNN, layers.SimpleRNNCell, 1),
    "gru": (layers.GRU, layers.GRUCell, 1),
    "lstm": (layers.LSTM, layers.LSTMCell, 2),
}
_MERGES = ("concat", "sum", "mul", "ave", None)
_BLOCK_ARGUMENTS = ("units", "return_sequences", "return_state")
_LOOP_ARGUMENTS = (  # arguments of the loop, not of the cell
    "stateful", "unroll", "zero_output_for_mask", "activity_regularizer", "return_sequences", "return_state",
)  # fmt: skip
_MAX_LAYERS = 1_000


class _BidirectionalField(fields.Field["bool | str | None", "bool | str | None"]):
    """False for one direction, else Keras's merge mode; True is "concat"."""

    def validate(self, value: object, name: str) -> bool | str | None:
        merge = check_choice(value, name, (False, True, *_MERGES), error=DefinitionError)
        return "concat" if merge is True else merge


class _RnnArgumentsField(fields.KerasArgumentsField):
    """Keyword arguments of a recurrent Keras layer, which may not reverse the sequence."""

    def __init__(self) -> None:
        super().__init__(layers.LSTM, _BLOCK_ARGUMENTS)

    def validate_for(self, instance: Any, value: Any, name: str) -> LayerArguments:
        """Check the arguments against the layer of the block's cell."""
        if isinstance(value, Mapping) and "go_backwards" in value:
            raise DefinitionError(
                f"{name} takes no 'go_backwards': Keras reverses the steps of the output, but not its mask",
                hint="use bidirectional=True, or reverse the sequences in the data",
            )
        layer = _CELLS[getattr(instance, "cell", "lstm")][0]
        arguments = LayerArguments(value, layer, name=f"{type(instance).__name__}(rnn=...)", excluding=_BLOCK_ARGUMENTS)
        use_cudnn = arguments.get("use_cudnn", "auto")
        if use_cudnn not in ("auto", False):
            raise DefinitionError(
                f'{name}: use_cudnn must be "auto" or False, received {use_cudnn!r}, which Keras does not save',
                hint='use "auto", which uses cuDNN wherever it can',
            )
        return arguments


class Recurrent(Block):
    """A recurrent layer or a stack of them: Keras's `SimpleRNN`, `GRU` or `LSTM`, in one direction or both.

    Masked steps change nothing: the output is that of the sequence without padding, whether the padding is at its end
    or its beginning. A stack passes whole sequences from layer to layer; `return_sequences` is for the last layer.

    Reference:
        Elman 1990 (`"simple"`), Cho et al. 2014 (`"gru"`), Hochreiter & Schmidhuber 1997 (`"lstm"`), Schuster &
        Paliwal 1997 (both directions).

    Args:
        cell: `"simple"`, `"gru"` or `"lstm"`.
        units: Width of the state, in each direction.
        num_layers: Number of stacked layers.
        bidirectional: False for one direction; else how Keras merges the two, `"concat"` (also as True), `"sum"`,
            `"mul"` or `"ave"`, or None for two outputs. Inside a stack None merges like `"concat"`.
        return_sequences: Whether to return the output of every step, or of the last one.
        return_state: Whether to return the final states too, as a list after the output: those of the first layer,
            then of the next; of the forward direction, then of the backward one; of an LSTM h, then c.
        rnn: Further arguments of the Keras layer: `{"dropout": 0.2, "recurrent_dropout": 0.2}`. `{"unroll": True}`
            unrolls the loop for a known number of steps, `{"use_cudnn": False}` never uses NVIDIA's kernels,
            which support neither sequences padded at their beginning nor empty ones.

    Input shape:
        `(batch, steps, features)`; or a list of it and the initial states, in the order of `return_state`.

    Output shape:
        `(batch, units)`, or `(batch, steps, units)` with `return_sequences`; twice the units with `"concat"`.

    Raises:
        DefinitionError: An argument is invalid, or the input is not a sequence.

    Examples:
        >>> import deepkit as dk
        >>> dk.Recurrent("lstm", 8, return_sequences=True).build((None, 4)).output_shape
        (None, None, 8)
        >>> dk.Recurrent("gru", 8, num_layers=2, bidirectional=True).build(
        ...     (None, 4)
        ... ).count_params()
        1920
    """

    cell: str = fields.choice(tuple(_CELLS))
    units: int = fields.integer()
    _: KW_ONLY
    num_layers: int = fields.integer(default=1, maximum=_MAX_LAYERS)
    bidirectional: fields.Field[bool | str | None, bool | str | None] = _BidirectionalField(default=False)
    return_sequences: bool = fields.flag(default=False)
    return_state: bool = fields.flag(default=False)
    rnn: fields.KerasArguments = _RnnArgumentsField()

    @property
    def num_states(self) -> int:
        """Number of states of one direction of one layer: 2 for an LSTM, else 1."""
        return _CELLS[self.cell][2]

    @property
    def accepts_multiple_inputs(self) -> bool:
        """True: initial states may follow the sequence."""
        return True

    def add(self, x: Tensors, builder: Builder) -> Tensors:
        """Add the layers; all but the last return sequences."""
        sequence, initial_states = _split_states(x, builder)
        states_per_layer = self.num_states * (1 if self.bidirectional is False else 2)
        num_states = states_per_layer * self.num_layers
        if initial_states and len(initial_states) != num_states:
            raise builder.error(
                f"expected {num_states} initial states after the sequence, received {len(initial_states)}",
                hint="pass the states that the same block returns with return_state=True",
            )
        _check_sequence(sequence, builder)
        num_copies = builder.state.copies[self]
        builder.state.copies[self] += 1
        name = self.cell if self.bidirectional is False else f"bi{self.cell}"
        outputs: list[Any] = [sequence]
        final_states: list[Any] = []
        for i, layer_name in enumerate(common.numbered(name, self.num_layers)):
            is_last = i == self.num_layers - 1
            layer_states = initial_states[i * states_per_layer : (i + 1) * states_per_layer]
            result = builder.add_layer(
                outputs[0],
                layer_name,
                self._make_layer,
                is_last=is_last,
                seed_shift=2 * (num_copies * self.num_layers + i),
                has_mask=has_mask(outputs[0]),
                call_kwargs={"initial_state": layer_states} if layer_states else None,
            )
            results = list(result) if isinstance(result, list | tuple) else [result]
            num_outputs = 2 if is_last and self.bidirectional is None else 1
            outputs, states = results[:num_outputs], results[num_outputs:]
            final_states += states
        tensors = [*outputs, *final_states]
        return tensors if len(tensors) > 1 else tensors[0]

    def _make_layer(self, *, name: str, is_last: bool, seed_shift: int, has_mask: bool) -> keras.layers.Layer:
        """Return one layer of the stack; each direction has a separate seed."""
        kwargs = {
            "return_sequences": self.return_sequences or not is_last,
            "return_state": self.return_state,
            **self.rnn.new(),
        }
        if self.bidirectional is False:
            return _make_direction(self.cell, self.units, kwargs, name=name, seed_shift=seed_shift)
        merge = "concat" if self.bidirectional is None and not is_last else self.bidirectional
        forward = _make_direction(self.cell, self.units, kwargs, name=self.cell, seed_shift=seed_shift)
        # Keras would make the backward layer with the seed of the forward one: both would drop the same units
        backward = _make_direction(
            self.cell,
            self.units,
            kwargs,
            name=f"backward_{self.cell}",
            seed_shift=seed_shift + 1,
            go_backwards=True,
        )
        make: Any = layers.Bidirectional
        if has_mask and kwargs.get("unroll") and kwargs["return_sequences"]:
            make = UnrolledBidirectional  # Keras does not reverse the mask of an unrolled backward layer
        return make(forward, merge_mode=merge, backward_layer=backward, name=name)


class BiLSTM(Block):
    """Bidirectional LSTMs: short for `dk.Recurrent("lstm", units, bidirectional=merge)`.

    The output of a step depends on the steps before and after it.

    Reference:
        Schuster & Paliwal 1997, "Bidirectional Recurrent Neural Networks"; Graves & Schmidhuber 2005 with LSTMs.

    Args:
        units: Width of the state, in each direction.
        num_layers: Number of stacked layers.
        merge: How the directions are merged: `"concat"`, `"sum"`, `"mul"`, `"ave"`, or None for two outputs.
        return_sequences: Whether to return the output of every step, or of the last one of each direction.
        return_state: Whether to return the final states too, in the order of `dk.Recurrent`.
        rnn: Further arguments of `keras.layers.LSTM`.

    Input shape:
        `(batch, steps, features)`; or a list of it and the initial states.

    Output shape:
        `(batch, 2 * units)`, or `(batch, steps, 2 * units)` with `return_sequences`; `units` for other merges.

    Raises:
        DefinitionError: An argument is invalid, or the input is not a sequence.

    Examples:
        >>> import deepkit as dk
        >>> dk.BiLSTM(64).build((200, 128)).output_shape
        (None, 128)
        >>> dk.BiLSTM(4).recurrent
        dk.Recurrent("lstm", 4, bidirectional="concat")
    """

    units: int = fields.integer()
    _: KW_ONLY
    num_layers: int = fields.integer(default=1, maximum=_MAX_LAYERS)
    merge: str | None = fields.choice(_MERGES, default="concat")
    return_sequences: bool = fields.flag(default=False)
    return_state: bool = fields.flag(default=False)
    rnn: fields.KerasArguments = _RnnArgumentsField()

    @property
    def recurrent(self) -> Recurrent:
        """The equivalent `dk.Recurrent`."""
        return Recurrent(
            "lstm",
            self.units,
            num_layers=self.num_layers,
            bidirectional=self.merge,
            return_sequences=self.return_sequences,
            return_state=self.return_state,
            rnn=self.rnn,
            name=self.name,
        )

    @property
    def default_name(self) -> str:
        """`"bilstm"`, as snake case would be `"bi_lstm"`."""
        return "bilstm"

    @property
    def accepts_multiple_inputs(self) -> bool:
        """True: initial states may follow the sequence."""
        return True

    def add(self, x: Tensors, builder: Builder) -> Tensors:
        """Add the equivalent `dk.Recurrent`."""
        return self.recurrent.add(x, builder)


def _make_direction(
    cell: str, units: int, kwargs: Mapping[str, Any], *, name: str, seed_shift: int, go_backwards: bool = False
) -> layers.RNN:
    """Return a Keras layer for one direction.

    Without cuDNN it is Keras's general loop over the same cell, a stock layer too: the flag `use_cudnn` of the
    specialized layer is lost when a model is saved.
    """
    make_layer, make_cell, _ = _CELLS[cell]
    kwargs = dict(kwargs)
    if isinstance(kwargs.get("seed"), int):
        kwargs["seed"] += seed_shift
    if kwargs.pop("use_cudnn", "auto") is not False or cell == "simple":
        return make_layer(units, go_backwards=go_backwards, name=name, **kwargs)
    loop = {key: kwargs.pop(key) for key in _LOOP_ARGUMENTS if key in kwargs}
    dtype = kwargs.get("dtype")
    cell_layer = make_cell(units, name=f"{cell}_cell", **kwargs)
    return layers.RNN(cell_layer, go_backwards=go_backwards, dtype=dtype, name=name, **loop)


def _split_states(x: Tensors, builder: Builder) -> tuple[Any, list[Any]]:
    """Return the sequence and the initial states."""
    if isinstance(x, Mapping) or (isinstance(x, list | tuple) and not x):
        raise builder.error(
            f"expected a sequence, or a list of it and initial states, received {type(x).__name__}",
            hint="pass [sequence, *states]",
        )
    return (x[0], list(x[1:])) if isinstance(x, list | tuple) else (x, [])


def _check_sequence(x: KerasTensor, builder: Builder) -> None:
    """Raise unless `x` is a sequence whose mask, if it has one, has a value for each step."""
    if len(x.shape) == 2 and "int" in keras.backend.standardize_dtype(x.dtype):
        raise builder.error(
            f"expected (time, features), received token ids of shape {tuple(x.shape[1:])}",
            hint="add layers.Embedding(num_tokens, embedding_dim, mask_zero=True) before it",
        )
    if len(x.shape) != 3:
        raise builder.error(
            f"expected (time, features), received {shape_text(x)}",
            hint="add layers.Reshape((steps, features)) before it",
        )
    if x.shape[2] is None:
        raise builder.error(
            f"the number of features is unknown in {tuple(x.shape[1:])}", hint="use an input shape with fixed features"
        )
    mask = getattr(x, "_keras_mask", None)
    if mask is None:
        return
    steps = (x.shape[1], *mask.shape[1:2])
    if len(mask.shape) != 2 or (None not in steps and len(set(steps)) > 1):
        raise builder.error(
            f"expected a mask of shape (batch, {x.shape[1] or 'time'}), received a mask of shape {tuple(mask.shape)}",
            hint="add layers.Masking() right before it, or use mask_zero=True in the Embedding",
        )
