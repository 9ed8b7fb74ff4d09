"""IncrementalDecoder: the outputs of each step equal those of the whole sequence."""

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk
from deepkit.models.incremental_decoding import IncrementalDecoder

IDS = np.array([[3, 5, 1, 7, 2], [4, 4, 8, 1, 6]])
BLOCKS = {
    "simple": dk.Recurrent("simple", 6, num_layers=2, return_sequences=True),
    "lstm": dk.Recurrent("lstm", 6, num_layers=2, return_sequences=True),
    "gru": dk.Recurrent("gru", 6, return_sequences=True),
    "gru without reset_after": dk.Recurrent("gru", 6, return_sequences=True, rnn={"reset_after": False}),
    "without cudnn": dk.Recurrent("lstm", 6, return_sequences=True, rnn={"use_cudnn": False}),
    "transformer": dk.TransformerDecoder(2, num_layers=2),
    "normalize_first": dk.TransformerDecoder(2, num_layers=2, normalize_first=True, dropout=0.3),
    "gate": dk.TransformerDecoder(2, attention={"use_gate": True, "value_dim": 3}),
    "window": dk.TransformerDecoder(2, attention={"sliding_window": 2, "use_bias": False}),
}


def decoder_of(block, memory_shape=None):
    """Return a decoder with random weights."""
    ids = keras.Input((None,), dtype="int64", name="ids")
    inputs = {"ids": ids}
    x = dk.layers.PositionEmbedding("learned", max_length=5)(layers.Embedding(9, 4)(ids))
    if memory_shape is not None:
        inputs["memory"] = keras.Input(memory_shape, name="memory")
        x = [x, inputs["memory"]]
    outputs = block(x)
    names = ("hidden", "weights") if isinstance(outputs, list) else ("hidden",)
    model = keras.Model(inputs, dict(zip(names, keras.tree.flatten(outputs), strict=True)))
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.7, weight.shape) for weight in model.get_weights()])
    return model


def decode(model, inputs, ids=IDS, num_beams=1):
    """Return the outputs of all steps; the beams have the ids of consecutive rows."""
    batch_size = len(ids) // num_beams
    decoding = IncrementalDecoder(model).begin(inputs, batch_size=batch_size, num_steps=5, num_beams=num_beams)
    states, steps = decoding.initial_states, []
    for t in range(ids.shape[1]):
        outputs, states = decoding.step(ids[:, t].reshape(batch_size, num_beams), states, t)
        steps.append({name: np.asarray(value) for name, value in outputs.items()})
    return {name: [step[name] for step in steps] for name in steps[0]}


@pytest.mark.parametrize("name", BLOCKS)
def test_each_step_equals_the_whole_sequence(name):
    model = decoder_of(BLOCKS[name])
    steps = decode(model, {})["hidden"]
    np.testing.assert_allclose(np.concatenate(steps, axis=1), model({"ids": IDS})["hidden"], atol=1e-5)


@pytest.mark.parametrize("shape", [(7, 3), (2, 3, 3)])
def test_the_beams_of_an_example_share_its_memory(shape):
    model = decoder_of(dk.TransformerDecoder(2, num_layers=2, return_weights=True), shape)
    memory = np.random.default_rng(1).normal(size=(1, *shape)).astype("float32")
    steps = decode(model, {"memory": memory}, num_beams=2)
    whole = model({"ids": IDS, "memory": np.repeat(memory, 2, axis=0)})
    hidden = np.stack(steps["hidden"], axis=2)[0]  # (beams, time, features)
    np.testing.assert_allclose(hidden, whole["hidden"], atol=1e-5)
    weights = np.stack(steps["weights"], axis=3)[0]  # (heads, beams, time, ...)
    np.testing.assert_allclose(np.swapaxes(weights, 0, 1), whole["weights"], atol=1e-5)


def test_layers_that_do_not_depend_on_the_ids_run_once():
    class Counter(layers.Layer):
        calls = 0

        def call(self, x):
            self.calls += 1
            return x

    counter = Counter()
    ids, memory = keras.Input((None,), dtype="int64", name="ids"), keras.Input((7, 3), name="memory")
    hidden = dk.TransformerDecoder(1)([layers.Embedding(9, 4)(ids), counter(memory)])
    model = keras.Model({"ids": ids, "memory": memory}, {"hidden": hidden})
    counter.calls = 0
    decode(model, {"memory": np.ones((2, 7, 3), "float32")})
    assert counter.calls == 1
