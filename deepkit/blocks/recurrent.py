"""Recurrent networks: one direction or both, one layer or a stack, with masks that count as truncation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers

from deepkit.blocks import common as parts
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError, shape_text
from deepkit.definition.source import Arguments

# the layer with its own loop, the cell that `keras.layers.RNN` loops over, and how many states there are
_CELLS: dict[str, tuple[type[layers.RNN], type[layers.Layer], int]] = {
    "simple": (layers.SimpleRNN, layers.SimpleRNNCell, 1),
    "gru": (layers.GRU, layers.GRUCell, 1),
    "lstm": (layers.LSTM, layers.LSTMCell, 2),
}
_MERGES = ("concat", "sum", "mul", "ave", None)
_TAKEN = ("units", "return_sequences", "return_state")
_LOOP = ("stateful", "unroll", "zero_output_for_mask", "activity_regularizer")  # of the loop, not of the cell
_MOST_LAYERS = 1_000


@dataclass(frozen=True, repr=False)
class Recurrent(Block):
    """A recurrent layer or a stack of them: Keras's `SimpleRNN`, `GRU` or `LSTM`, in one direction or both.

    Steps that a mask leaves out change nothing: what comes out is what the sequence alone would give, whether it is
    padded behind or in front. A stack passes whole sequences from layer to layer and its last layer returns what is
    asked for. Sources: Elman 1990 (`"simple"`), Cho et al. 2014 (`"gru"`), Hochreiter & Schmidhuber 1997 (`"lstm"`),
    Schuster & Paliwal 1997 (both directions).

    Args:
        cell: `"simple"`, `"gru"` or `"lstm"`.
        units: Width of the state, in each direction.
        num_layers: How many layers are stacked.
        bidirectional: False for one direction; else how Keras merges the two, `"concat"` (also as True), `"sum"`,
            `"mul"` or `"ave"`, or None for two outputs. Inside a stack None merges like `"concat"`.
        return_sequences: Whether every step comes out, or only the last one.
        return_state: Whether the final states come out too, as a list behind the output: those of the first layer,
            then of the next; of the forward direction, then of the backward one; of an LSTM h, then c.
        rnn: Further arguments of the Keras layer: `{"dropout": 0.2, "recurrent_dropout": 0.2}`. `{"unroll": True}`
            writes the loop out for a known number of steps, `{"use_cudnn": False}` never uses NVIDIA's own kernels,
            which take no sequence padded in front and no empty one.

    Input shape:
        `(batch, steps, features)`; or a list of it and the states to begin with, in the order of `return_state`.

    Output shape:
        `(batch, units)`, or `(batch, steps, units)` with `return_sequences`; twice the units with `"concat"`.

    Raises:
        DefinitionError: An argument is none of these, or the input is no sequence.

    Examples:
        >>> import deepkit as dk
        >>> dk.Recurrent("lstm", 8, return_sequences=True).build((None, 4)).output_shape
        (None, None, 8)
        >>> dk.Recurrent("gru", 8, num_layers=2, bidirectional=True).build((None, 4)).count_params()
        1920
    """

    cell: str
    units: int
    num_layers: int = field(default=1, kw_only=True)
    bidirectional: bool | str | None = field(default=False, kw_only=True)
    return_sequences: bool = field(default=False, kw_only=True)
    return_state: bool = field(default=False, kw_only=True)
    rnn: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        parts.choice("Recurrent", "cell", self.cell, tuple(_CELLS))
        object.__setattr__(self, "bidirectional", _merge_value("Recurrent", "bidirectional", self.bidirectional))
        _set_fields(self, self.cell)

    @property
    def num_states(self) -> int:
        """How many states one direction of one layer has: 2 for an LSTM, else 1."""
        return _CELLS[self.cell][2]

    @property
    def accepts_multiple_inputs(self) -> bool:
        """The states to begin with may come in behind the sequence."""
        return True

    def add(self, x: Any, builder: Builder) -> Any:
        """Add the layers; each of a stack but the last returns sequences."""
        x, given = _split(x, builder)
        each = self.num_states * (1 if self.bidirectional is False else 2)
        if given and len(given) != each * self.num_layers:
            raise builder.error(
                f"expected {each * self.num_layers} states to begin with behind the sequence, received {len(given)}",
                hint="what the same block gives with return_state=True",
            )
        _check_sequence(x, builder)
        copies = builder.state.uses[self]
        builder.state.uses[self] += 1
        name = self.cell if self.bidirectional is False else f"bi{self.cell}"
        states: list[Any] = []
        for i, full in enumerate(parts.numbered(name, self.num_layers)):
            last = i == self.num_layers - 1
            initial = given[i * each : (i + 1) * each]
            call_kwargs = {"initial_state": initial} if initial else None
            shift = 2 * (copies * self.num_layers + i)
            masked = getattr(x, "_keras_mask", None) is not None
            y = builder.add_layer(x, full, self._layer, last=last, shift=shift, masked=masked, call_kwargs=call_kwargs)
            outputs = list(y) if isinstance(y, list | tuple) else [y]
            count = 2 if last and self.bidirectional is None else 1
            states += outputs[count:]
            x = outputs[0]
        found = [*outputs[:count], *states]
        return found if len(found) > 1 else found[0]

    def _layer(self, *, name: str, last: bool, shift: int, masked: bool) -> keras.layers.Layer:
        """Return one layer of the stack; each direction has a seed of its own."""
        given = {
            "return_sequences": self.return_sequences or not last,
            "return_state": self.return_state,
            **self.rnn.fresh(),  # type: ignore[attr-defined]
        }
        if self.bidirectional is False:
            return _one_direction(self.cell, self.units, given, name=name, shift=shift)
        merge = "concat" if self.bidirectional is None and not last else self.bidirectional
        forward = _one_direction(self.cell, self.units, given, name=self.cell, shift=shift)
        # made here, as Keras would make it with the seed of the forward one: both would drop the same units
        backward = _one_direction(
            self.cell, self.units, given, name=f"backward_{self.cell}", shift=shift + 1, backwards=True
        )
        both = layers.Bidirectional
        if masked and given.get("unroll") and given["return_sequences"]:
            from deepkit.layers import UnrolledBidirectional as both
        return both(forward, merge_mode=merge, backward_layer=backward, name=name)


@dataclass(frozen=True, repr=False)
class BiLSTM(Block):
    """LSTMs that read a sequence from both ends: `dk.Recurrent("lstm", units, bidirectional=merge)`.

    Every step knows what comes after it too. Sources: Schuster & Paliwal 1997, "Bidirectional Recurrent Neural
    Networks"; Graves & Schmidhuber 2005 with LSTMs.

    Args:
        units: Width of the state, in each direction.
        num_layers: How many layers are stacked.
        merge: How the directions are merged: `"concat"`, `"sum"`, `"mul"`, `"ave"`, or None for two outputs.
        return_sequences: Whether every step comes out, or only the last one of each direction.
        return_state: Whether the final states come out too, in the order of `dk.Recurrent`.
        rnn: Further arguments of `keras.layers.LSTM`.

    Input shape:
        `(batch, steps, features)`; or a list of it and the states to begin with.

    Output shape:
        `(batch, 2 * units)`, or `(batch, steps, 2 * units)` with `return_sequences`; `units` unless concatenated.

    Raises:
        DefinitionError: An argument is none of these, or the input is no sequence.

    Examples:
        >>> import deepkit as dk
        >>> dk.BiLSTM(64).build((200, 128)).output_shape
        (None, 128)
        >>> dk.BiLSTM(4).recurrent
        dk.Recurrent("lstm", 4, bidirectional="concat")
    """

    units: int
    num_layers: int = field(default=1, kw_only=True)
    merge: str | None = field(default="concat", kw_only=True)
    return_sequences: bool = field(default=False, kw_only=True)
    return_state: bool = field(default=False, kw_only=True)
    rnn: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        parts.choice("BiLSTM", "merge", self.merge, _MERGES)
        _set_fields(self, "lstm")

    @property
    def recurrent(self) -> Recurrent:
        """The block that this one is short for."""
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
        """The name in one word."""
        return "bilstm"

    @property
    def accepts_multiple_inputs(self) -> bool:
        """The states to begin with may come in behind the sequence."""
        return True

    def add(self, x: Any, builder: Builder) -> Any:
        """Add what it is short for."""
        return self.recurrent.add(x, builder)


def _set_fields(block: Any, cell: str) -> None:
    """Check and keep as values the arguments that both blocks have."""
    owner = type(block).__name__
    parts.positive(owner, "units", block.units)
    parts.positive(owner, "num_layers", block.num_layers, most=_MOST_LAYERS)
    parts.flag(owner, "return_sequences", block.return_sequences)
    parts.flag(owner, "return_state", block.return_state)
    if "go_backwards" in (block.rnn or {}):
        raise DefinitionError(
            f"{owner}: rnn takes no 'go_backwards': Keras returns the steps reversed and the mask as it was",
            hint="bidirectional=True, or both sequences reversed in the data",
        )
    given = Arguments(block.rnn, _CELLS[cell][0], owner=f"{owner}(rnn=...)", taken=_TAKEN)
    if given.get("use_cudnn", "auto") not in ("auto", False):
        raise DefinitionError(
            f'{owner}: use_cudnn must be "auto" or False, received {given["use_cudnn"]!r}, which Keras does not save',
            hint='"auto", which uses cuDNN wherever it can',
        )
    object.__setattr__(block, "rnn", given)


def _merge_value(owner: str, argument: str, value: Any) -> Any:
    """Return False for one direction, else Keras's merge mode."""
    if isinstance(value, bool):
        return "concat" if value else False
    parts.choice(owner, argument, value, (False, True, *_MERGES))
    return value


def _one_direction(
    cell: str, units: int, given: Mapping[str, Any], *, name: str, shift: int, backwards: bool = False
) -> layers.RNN:
    """Return a Keras layer for one direction.

    Without cuDNN it is Keras's general loop over the same cell: a stock layer too, which says so in its config.
    Keras's own flag is lost when a model is saved.
    """
    whole, single, _ = _CELLS[cell]
    given = dict(given)
    if isinstance(given.get("seed"), int):
        given["seed"] += shift
    if given.pop("use_cudnn", "auto") is not False or cell == "simple":
        return whole(units, go_backwards=backwards, name=name, **given)
    loop = {key: given.pop(key) for key in (*_LOOP, *_TAKEN[1:]) if key in given}
    dtype = given.get("dtype")
    return layers.RNN(
        single(units, name=f"{cell}_cell", **given), go_backwards=backwards, dtype=dtype, name=name, **loop
    )


def _split(x: Any, builder: Builder) -> tuple[Any, list[Any]]:
    """Return the sequence, and the states to begin with."""
    if isinstance(x, dict) or (isinstance(x, list | tuple) and not x):
        raise builder.error(
            f"expected a sequence, or a list of it and states to begin with, received {type(x).__name__}",
            hint="[sequence, *states]",
        )
    return (x[0], list(x[1:])) if isinstance(x, list | tuple) else (x, [])


def _check_sequence(x: Any, builder: Builder) -> None:
    """Raise unless `x` is a sequence and its mask, if it has one, says which steps count."""
    if len(x.shape) == 2 and "int" in keras.backend.standardize_dtype(x.dtype):
        hint = "layers.Embedding(tokens, width, mask_zero=True) before it, which makes vectors of token ids"
        raise builder.error(f"expected (time, features), received token ids of shape {tuple(x.shape[1:])}", hint=hint)
    if len(x.shape) != 3:
        raise builder.error(
            f"expected (time, features), received {shape_text(x)}",
            hint="layers.Reshape((steps, features)) before it",
        )
    if x.shape[2] is None:
        raise builder.error(f"the number of features is unknown in {tuple(x.shape[1:])}", hint="a fixed number")
    mask = getattr(x, "_keras_mask", None)
    if mask is None:
        return
    steps = (x.shape[1], *mask.shape[1:2])
    if len(mask.shape) != 2 or (None not in steps and len(set(steps)) > 1):
        raise builder.error(
            f"expected a mask of shape (batch, {x.shape[1] or 'time'}), received one of shape {tuple(mask.shape)}",
            hint="layers.Masking() right before it, or mask_zero=True in the Embedding",
        )
