"""The conformance checks of blocks, which deepkit's own blocks pass too."""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import numpy as np
from keras import layers

from deepkit.definition.block import Block
from deepkit.definition.errors import DefinitionError
from deepkit.definition.sequential import Sequential
from deepkit.serialization.serialize import dump, from_dict, load, to_dict
from deepkit.utils.errors import message

if TYPE_CHECKING:
    from deepkit.utils.types import Shape

BATCH_SIZE = 3
UNKNOWN_SIZE = 5  # smallest size for an axis that is None in the input shape
NUM_TOKENS, NUM_PADDED_STEPS = 20, 2  # of the masked sequences

Inputs: TypeAlias = Any
Check: TypeAlias = Callable[[Block, "Shape", keras.Model, Inputs], None]


def check_block(block: Block, input_shape: Shape) -> None:
    """Run the conformance checks on a block, as deepkit does on its own.

    The block is printed, compared, written and read as plain data and as YAML; built twice; run on batches of several
    sizes and under mixed precision; saved, loaded and cloned; and every trainable weight must have a finite gradient.
    For an input shape `(time, features)` the block must also keep the mask of a padded sequence, whose outputs must
    equal those of the sequence alone, or refuse the mask with a `DefinitionError`.

    Args:
        block: A block. To be written to a file, its class must be registered with `dk.register_block`.
        input_shape: Shape of one example, without the batch axis; None for an unknown size.

    Raises:
        AssertionError: A check fails; the message names it.
        DefinitionError: The block cannot be built or written.
        TypeError: `block` is not a block.

    Examples:
        >>> import deepkit as dk
        >>> dk.testing.check_block(dk.ConvBlock(4), (8, 8, 3))
    """
    if not isinstance(block, Block):
        problem = f"check_block takes a block, received {type(block).__name__}"
        raise TypeError(message(problem, hint="pass an instance of your block: check_block(Scale(4), (8,))"))
    model = block.build(input_shape)
    inputs = make_batch(input_shape)
    for name, check in CHECKS.items():
        try:
            check(block, input_shape, model, inputs)
        except DefinitionError:
            raise
        except Exception as error:  # an error of the block or of Keras is a failed check too
            text = str(error).strip() if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
            raise AssertionError(f"{type(block).__name__} fails the check {name!r}: {text}") from error


def make_batch(shape: Shape, size: int = BATCH_SIZE, seed: int = 0) -> Inputs:
    """Return a random batch of shape `(size, *shape)`: float32 numbers, or strings for the shape ()."""
    rng = np.random.default_rng(seed)
    if shape == ():
        return keras.ops.convert_to_tensor(rng.choice(["The dog runs.", "A cat", "", "Runs, runs!"], size))
    sizes = [UNKNOWN_SIZE + i if n is None else n for i, n in enumerate(shape)]
    return rng.normal(size=(size, *sizes)).astype("float32")


def check_repr(block: Block, input_shape: Shape, model: keras.Model, inputs: Inputs) -> None:
    """Check that the `repr` is code that makes an equal block."""
    assert "<locals>" not in type(block).__qualname__, (
        "define the class at the top level of a module, not in a function"
    )
    evaluated = eval(repr(block), _namespace(block))
    assert evaluated == block, f"eval(repr(block)) is not equal to the block: {evaluated!r}"
    assert hash(evaluated) == hash(block), "equal blocks have different hashes"
    assert repr(evaluated) == repr(block), "equal blocks have different reprs"


def check_serialization(block: Block, input_shape: Shape, model: keras.Model, inputs: Inputs) -> None:
    """Check that plain data and YAML describe an equal block."""
    assert from_dict(json.loads(json.dumps(to_dict(block)))) == block, "from_dict(to_dict(block)) is another block"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "block.yaml")
        text = dump(block, path)
        loaded = load(path)
    assert loaded == block, "load(dump(block)) is another block"
    assert dump(loaded) == text, "the YAML of equal blocks differs"


def check_output_shape(block: Block, input_shape: Shape, model: keras.Model, inputs: Inputs) -> None:
    """Check that the shape of an output equals the symbolic shape for several batch sizes."""
    for size in (1, 4):
        outputs = keras.tree.flatten(model(make_batch(input_shape, size)))
        for output, shape in zip(outputs, _output_shapes(model), strict=True):
            expected = (size, *shape[1:])
            fits = all(b is None or a == b for a, b in zip(output.shape, expected, strict=True))
            assert fits, f"received {tuple(output.shape)}, expected {expected}"


def check_precision(block: Block, input_shape: Shape, model: keras.Model, inputs: Inputs) -> None:
    """Check that weights are float32 and outputs finite under mixed precision."""
    before = keras.config.dtype_policy()
    for policy in ("mixed_bfloat16", "mixed_float16"):
        keras.config.set_dtype_policy(policy)
        try:
            mixed = block.build(input_shape)
            for weight in mixed.trainable_weights:
                assert weight.dtype == "float32", f"{weight.path} is {weight.dtype} under {policy}"
            for output in keras.tree.flatten(mixed(inputs)):
                assert _all_finite(output), f"an output is not finite under {policy}"
        finally:
            keras.config.set_dtype_policy(before)


def check_saving(block: Block, input_shape: Shape, model: keras.Model, inputs: Inputs) -> None:
    """Check that a saved and loaded model has the same outputs and layer names."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        model.save(path)
        loaded = keras.models.load_model(path)
    _assert_equal(loaded(inputs), model(inputs), "the loaded model has other outputs")
    names, loaded_names = [layer.name for layer in model.layers], [layer.name for layer in loaded.layers]
    assert loaded_names == names, f"the loaded model has the layers {loaded_names}, expected {names}"


def check_gradients(block: Block, input_shape: Shape, model: keras.Model, inputs: Inputs) -> None:
    """Check that every trainable weight has a finite gradient."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        outputs = keras.tree.flatten(model(inputs, training=True))
        weighted = []
        for i, output in enumerate(outputs):
            weights = np.random.default_rng(i + 1).normal(size=output.shape).astype("float32")
            weighted.append(keras.ops.mean(keras.ops.cast(output, "float32") * weights))
        loss = sum(weighted)
    gradients = tape.gradient(loss, [weight.value for weight in model.trainable_weights])
    for weight, gradient in zip(model.trainable_weights, gradients, strict=True):
        assert gradient is not None, f"{weight.path} has no gradient"
        assert _all_finite(tf.convert_to_tensor(gradient)), f"the gradient of {weight.path} is not finite"


def check_clone(block: Block, input_shape: Shape, model: keras.Model, inputs: Inputs) -> None:
    """Check that the result of `keras.models.clone_model` has the same outputs for the same weights."""
    clone = keras.models.clone_model(model)
    has_model_weights = len(clone.weights) == len(model.weights)  # a clone may be a plain functional model
    clone.set_weights(model.get_weights() if has_model_weights else _layer_weights(model))
    _assert_equal(clone(inputs), model(inputs), "the clone has other outputs")


def _layer_weights(model: keras.Model) -> list[np.ndarray]:
    """Return the weights of all layers, without those of the model itself, such as `beta` of a VAE."""
    weights = {id(weight): weight for layer in model.layers for weight in layer.weights}
    return [_numpy(weight) for weight in weights.values()]


def check_separate_weights(block: Block, input_shape: Shape, model: keras.Model, inputs: Inputs) -> None:
    """Check that two builds share no weights, and that the weights have the same paths."""
    other = block.build(input_shape)
    shared = {id(weight) for weight in other.weights} & {id(weight) for weight in model.weights}
    assert not shared, "two builds share weights"
    paths, other_paths = [weight.path for weight in model.weights], [weight.path for weight in other.weights]
    assert other_paths == paths, f"a second build has the weights {other_paths}, expected {paths}"


def check_layer_names(block: Block, input_shape: Shape, model: keras.Model, inputs: Inputs) -> None:
    """Check that layer names are distinct, and consist of letters, digits, '.', '_' and '-'."""
    names = [layer.name for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    assert len(set(names)) == len(names), f"a name appears twice in {names}"
    for name in names:
        assert name.replace(".", "").replace("_", "").replace("-", "").isalnum(), f"invalid name {name!r}"


def check_call(block: Block, input_shape: Shape, model: keras.Model, inputs: Inputs) -> None:
    """Check that a call on a symbolic tensor adds the layers that `build` adds; a `Shared` cannot be called."""
    if "dk.Shared(" in repr(block):
        return
    x = keras.Input(input_shape, dtype="string" if input_shape == () else None)
    called = keras.Model(x, block(x))
    called.set_weights(_layer_weights(model))
    pairs = zip(keras.tree.flatten(called(inputs)), keras.tree.flatten(model(inputs)), strict=True)
    for output, expected in pairs:
        np.testing.assert_allclose(_numpy(output), _numpy(expected), rtol=1e-6, atol=1e-6)


def check_mask(block: Block, input_shape: Shape, model: keras.Model, inputs: Inputs) -> None:
    """Check that a block keeps the mask of a sequence and ignores padded steps, or raises an error about the mask.

    A Keras layer of the user that loses the mask with Keras's warning, such as one in a body, is accepted.
    """
    if len(input_shape) != 2 or block.input_spec() is not None:
        return
    steps, features = (UNKNOWN_SIZE + i if n is None else n for i, n in enumerate(input_shape))
    padded_steps = steps + NUM_PADDED_STEPS
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            padded_model = _build_masked(block, padded_steps, features)
        except DefinitionError as error:
            if "mask" in error.problem:
                return
            raise AssertionError(f"the block refuses a masked sequence for another reason: {error.problem}") from error
        if any("does not support masking" in str(warning.message) for warning in caught):
            return
        alone_model = _build_masked(block, steps, features)
    alone_model.set_weights(padded_model.get_weights())
    tokens = np.random.default_rng(0).integers(1, NUM_TOKENS, (BATCH_SIZE, steps))
    padded_tokens = np.pad(tokens, ((0, 0), (0, NUM_PADDED_STEPS)))
    outputs, expected = keras.tree.flatten(padded_model(padded_tokens)), keras.tree.flatten(alone_model(tokens))
    for padded, alone in zip(outputs, expected, strict=True):
        has_steps = len(padded.shape) > 2 and padded.shape[1] == alone.shape[1] + NUM_PADDED_STEPS
        if has_steps:
            _check_output_mask(padded, padded_tokens != 0)
        # an axis of steps is truncated: one axis of a sequence, two of attention weights
        unpadded = tuple(
            slice(n if m == n + NUM_PADDED_STEPS else m) for m, n in zip(padded.shape, alone.shape, strict=True)
        )
        problem = "padded steps change the output"
        np.testing.assert_allclose(_numpy(padded)[unpadded], _numpy(alone), rtol=1e-4, atol=1e-5, err_msg=problem)


def _build_masked(block: Block, steps: int, features: int) -> keras.Model:
    """Return a model of token ids, whose embeddings are the input of the block; those of padded steps are large."""
    embedding = layers.Embedding(NUM_TOKENS, features, mask_zero=True, name="masked_embedding")
    model = Sequential([embedding, block]).build((steps,))
    values = np.random.default_rng(0).normal(size=(NUM_TOKENS, features))
    values[0] = 5.0
    model.get_layer("masked_embedding").set_weights([values])
    return model


def _check_output_mask(output: Any, expected: np.ndarray) -> None:
    mask = getattr(output, "_keras_mask", None)
    assert mask is not None, "the output has lost the mask of the input"
    np.testing.assert_array_equal(np.asarray(mask), expected, err_msg="the mask of the output is not that of the input")


CHECKS: Mapping[str, Check] = {
    "repr": check_repr,
    "serialization": check_serialization,
    "output shape": check_output_shape,
    "precision": check_precision,
    "saving": check_saving,
    "gradients": check_gradients,
    "clone": check_clone,
    "separate weights": check_separate_weights,
    "layer names": check_layer_names,
    "call": check_call,
    "mask": check_mask,
}


def _namespace(block: Block) -> dict[str, Any]:
    """Return the names that the `repr` of a block uses: its module, `dk`, `keras` and `layers`."""
    module = type(block).__module__
    namespace: dict[str, Any] = {"keras": keras, "layers": keras.layers, "dk": importlib.import_module("deepkit")}
    namespace[module.partition(".")[0]] = importlib.import_module(module.partition(".")[0])
    return namespace | (vars(sys.modules[module]) if module == "__main__" else {})


def _output_shapes(model: keras.Model) -> list[Shape]:
    """Return the shapes of the outputs in the order in which `keras.tree` flattens them."""
    shape = model.output_shape
    if isinstance(shape, Mapping):
        return [shape[name] for name in sorted(shape)]
    return shape if isinstance(shape, list) else [shape]


def _all_finite(values: Any) -> bool:
    return bool(np.all(np.isfinite(_numpy(values))))


def _numpy(values: Any) -> np.ndarray:
    if not _is_float(values):
        return np.asarray(values)
    return np.asarray(keras.ops.convert_to_numpy(values)).astype("float32")


def _is_float(values: Any) -> bool:
    return "float" in keras.backend.standardize_dtype(values.dtype)


def _assert_equal(outputs: Any, expected: Any, problem: str) -> None:
    for output, other in zip(keras.tree.flatten(outputs), keras.tree.flatten(expected), strict=True):
        np.testing.assert_array_equal(np.asarray(output), np.asarray(other), err_msg=problem)
