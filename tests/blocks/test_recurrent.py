"""Recurrent blocks: a mask equals truncation, initial and final states, and saved models."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk

LENGTHS, STEPS, FEATURES = (4, 2, 0), 4, 2
CELLS, MERGES = ("simple", "gru", "lstm"), (False, "concat", "sum", "mul", "ave", None)


def build_masked(block, steps=None):
    return dk.Sequential([dk.Input((steps, FEATURES)), layers.Masking(), block]).build()


def randomize(model, seed=0):
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=weight.shape, scale=0.7) for weight in model.get_weights()])
    return model


def sequences(seed=1):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(length, FEATURES)).astype("float32") for length in LENGTHS]


def padded(examples, side):
    starts = [{"right": 0, "left": STEPS - len(x), "both": (STEPS - len(x)) // 2}[side] for x in examples]
    batch = np.zeros((len(examples), STEPS, FEATURES), "float32")
    for row, start, x in zip(batch, starts, examples, strict=True):
        row[start : start + len(x)] = x
    return batch, starts


def check_mask_equals_truncation(block, steps=None):
    model = randomize(build_masked(block, steps))
    unpadded = {n: randomize(build_masked(block, n)) if steps else model for n in LENGTHS if n}
    examples = sequences()
    for side in ("right", "left", "both"):
        batch, starts = padded(examples, side)
        outputs = [np.asarray(y) for y in keras.tree.flatten(model(batch))]
        assert all(np.isfinite(y).all() for y in outputs)
        for i, (x, start) in enumerate(zip(examples, starts, strict=True)):
            if not len(x):
                continue
            for output, expected in zip(outputs, keras.tree.flatten(unpadded[len(x)](x[None])), strict=True):
                received = output[i, start : start + len(x)] if output.ndim == 3 else output[i]
                np.testing.assert_allclose(received, np.asarray(expected)[0], atol=1e-5, err_msg=f"{side} {len(x)}")


@pytest.mark.parametrize("merge", MERGES)
@pytest.mark.parametrize("cell", CELLS)
def test_a_mask_equals_truncation(cell, merge):
    for flag in (True, False):
        check_mask_equals_truncation(
            dk.Recurrent(cell, 3, bidirectional=merge, return_sequences=flag, return_state=flag)
        )


@pytest.mark.parametrize(
    ("merge", "kwargs"),
    [
        ("concat", {"rnn": {"use_cudnn": False}}),
        (None, {"num_layers": 2}),
        (False, {"num_layers": 3}),
        ("ave", {"num_layers": 2}),
    ],
)
def test_a_mask_equals_truncation_in_stacks_and_in_the_general_loop(merge, kwargs):
    check_mask_equals_truncation(dk.Recurrent("lstm", 3, bidirectional=merge, return_sequences=True, **kwargs))


@pytest.mark.parametrize("merge", [False, "concat", None])
def test_a_mask_equals_truncation_in_unrolled_layers(merge):
    check_mask_equals_truncation(
        dk.Recurrent("gru", 3, bidirectional=merge, return_sequences=True, return_state=True, rnn={"unroll": True}),
        steps=STEPS,
    )


def test_keras_masks_the_wrong_steps_of_an_unrolled_pair():
    # if this fails, Keras has fixed it, and `UnrolledBidirectional` can be removed
    net = dk.Sequential([layers.Masking(), layers.Bidirectional(layers.GRU(3, return_sequences=True, unroll=True))])
    stock = randomize(net.build((STEPS, FEATURES)))
    model = randomize(build_masked(dk.Recurrent("gru", 3, bidirectional=True, return_sequences=True,
                                               rnn={"unroll": True}), STEPS))  # fmt: skip
    batch, _ = padded(sequences(), "right")
    same = np.isclose(stock(batch), model(batch), atol=1e-6).all(axis=(1, 2))
    assert same.tolist() == [True, False, True]


@pytest.mark.parametrize("cell", CELLS)
def test_a_sequence_of_padding_alone_has_outputs_of_zero(cell):
    model = randomize(build_masked(dk.Recurrent(cell, 3, bidirectional=True, return_sequences=True)))
    assert not np.any(model(np.zeros((2, STEPS, FEATURES), "float32")))


def test_masked_steps_of_both_directions_are_zero_and_the_mask_is_passed():
    for rnn, steps in (({}, None), ({"unroll": True}, STEPS)):
        model = build_masked(dk.BiLSTM(3, return_sequences=True, rnn=rnn), steps)
        batch, _ = padded(sequences(), "right")
        assert not np.any(np.asarray(model(batch))[1, 2:])
        assert model.output._keras_mask is not None


@pytest.mark.parametrize("pool", ["avg", "max"])
def test_pooling_ignores_masked_steps(pool):
    net = dk.Sequential([dk.BiLSTM(3, return_sequences=True), dk.Classifier(2, pool=pool)])
    check_mask_equals_truncation(net)
    model = build_masked(net)
    assert type(model.layers[-2]).__name__ == "MaskedPooling1D"
    assert "Global" in type(net.build((STEPS, FEATURES)).layers[-2]).__name__  # the layer of Keras if there is no mask


@pytest.mark.parametrize(("dtype", "low"), [("float32", -1e38), ("bfloat16", -1e38), ("float16", -5e4)])
def test_the_maximum_over_steps_may_be_very_small(dtype, low):
    x = keras.ops.convert_to_tensor([[[low], [0.0]]], dtype)
    result = dk.layers.MaskedPooling1D("max", dtype=dtype)(x, mask=np.array([[True, False]]))
    assert float(result[0, 0]) == float(x[0, 0, 0])


# ---- compared with the layers of Keras


@pytest.mark.parametrize("cell", CELLS)
def test_equals_the_stock_layers(cell):
    layer = {"simple": layers.SimpleRNN, "gru": layers.GRU, "lstm": layers.LSTM}[cell]
    x = keras.Input((None, FEATURES))
    y = layers.Bidirectional(layer(3, return_sequences=True))(x)
    reference = randomize(keras.Model(x, layers.Bidirectional(layer(3))(y)))
    model = dk.Recurrent(cell, 3, num_layers=2, bidirectional=True).build((None, FEATURES))
    model.set_weights(reference.get_weights())
    batch, _ = padded(sequences(), "right")
    np.testing.assert_allclose(model(batch), reference(batch), atol=1e-6)
    names = [layer.name for layer in model.layers[1:]]
    assert names == [f"bi{cell}1", f"bi{cell}2"]
    assert {type(layer) for layer in model.layers[1:]} == {layers.Bidirectional}


def test_bilstm_is_short_for_a_recurrent():
    block = dk.BiLSTM(3, num_layers=2, merge="sum", return_sequences=True, rnn={"dropout": 0.1}, name="reader")
    long = dk.Recurrent("lstm", 3, num_layers=2, bidirectional="sum", return_sequences=True, rnn={"dropout": 0.1},
                        name="reader")  # fmt: skip
    assert block.recurrent == long
    assert block.build((None, 4)).count_params() == long.build((None, 4)).count_params()


def test_a_question_of_any_length_can_be_merged_with_an_image():
    net = dk.Functional(
        inputs={"image": dk.Input((8, 8, 3)), "question": dk.Input((None,), dtype="int32")},
        nodes={
            "pooled": ("image", [dk.ConvBlock(4), layers.GlobalAveragePooling2D()]),
            "encoded": ("question", [layers.Embedding(10, 4, mask_zero=True), dk.BiLSTM(3)]),
            "answer": (["pooled", "encoded"], [dk.Merge("multiply"), dk.Classifier(2)]),
        },
        outputs="answer",
    )
    model = net.build()
    image, question = np.ones((1, 8, 8, 3), "float32"), np.array([[3, 4]])
    longer = np.array([[3, 4, 0, 0]])
    short, long = (model({"image": image, "question": q}) for q in (question, longer))
    np.testing.assert_allclose(short, long, atol=1e-6)


# ---- states


@pytest.mark.parametrize("merge", [False, "concat", None])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_the_states_of_the_first_half_of_a_sequence_continue_it(cell, merge):
    block = dk.Recurrent(cell, 3, num_layers=2, return_sequences=True, return_state=True)
    model = randomize(block.build((None, FEATURES)))
    x = np.random.default_rng(0).normal(size=(2, 6, FEATURES)).astype("float32")
    complete, first = ([np.asarray(y) for y in model(steps)] for steps in (x, x[:, :4]))
    inputs = [keras.Input((None, FEATURES)), *[keras.Input(s.shape[1:]) for s in first[1:]]]
    continuation = keras.Model(inputs, block(inputs))
    continuation.set_weights(model.get_weights())
    second = continuation([x[:, 4:], *first[1:]])
    np.testing.assert_allclose(second[0], complete[0][:, 4:], atol=1e-6)
    for state, expected in zip(second[1:], complete[1:], strict=True):
        np.testing.assert_allclose(state, expected, atol=1e-6)
    assert len(first) == 1 + 2 * block.num_states
    both = dk.Recurrent(cell, 3, num_layers=2, bidirectional=merge, return_state=True)
    outputs = both.build((None, FEATURES)).output
    directions = 1 if merge is False else 2
    assert len(outputs) == (2 if merge is None else 1) + 2 * directions * block.num_states


def test_the_last_state_equals_the_last_output():
    model = randomize(dk.Recurrent("gru", 3, num_layers=2, return_state=True).build((None, FEATURES)))
    last, first_state, second_state = model(np.ones((1, 4, FEATURES), "float32"))
    np.testing.assert_array_equal(last, second_state)
    assert not np.allclose(first_state, second_state)


# ---- saved models


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("merge", [False, "sum"])
def test_a_saved_model_without_cudnn_is_loaded_without_cudnn(cell, merge, tmp_path):
    net = dk.Recurrent(cell, 3, bidirectional=merge, rnn={"use_cudnn": False, "recurrent_dropout": 0.1})
    model = net.build((None, FEATURES))
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    layer = loaded.layers[-1]
    loops = [layer] if merge is False else [layer.forward_layer, layer.backward_layer]
    assert [type(loop) for loop in loops] == [layers.RNN] * len(loops)  # which has no kernel of cuDNN
    default = dk.Recurrent(cell, 3, bidirectional=merge).build((None, FEATURES))
    default.set_weights(model.get_weights())
    x = np.random.default_rng(0).normal(size=(2, 4, FEATURES)).astype("float32")
    np.testing.assert_allclose(loaded(x), default(x), atol=1e-6)


def test_keras_does_not_save_use_cudnn():
    # if this fails, Keras saves it, and the general loop can be removed
    layer = layers.LSTM(3, use_cudnn=False)
    assert layers.LSTM.from_config(layer.get_config()).use_cudnn == "auto"


def seeds(model):
    result = []
    for layer in model.layers:
        directions = [layer]
        if isinstance(layer, layers.Bidirectional):
            directions = [layer.forward_layer, layer.backward_layer]
        result += [direction.cell.seed for direction in directions if hasattr(direction, "cell")]
    return result


def test_no_two_copies_have_the_same_seed(tmp_path):
    block = dk.BiLSTM(3, num_layers=2, return_sequences=True, rnn={"dropout": 0.5, "seed": 7})
    model = dk.Sequential([block, block]).build((None, FEATURES))
    assert len(set(seeds(model))) == 8
    model.save(tmp_path / "m.keras")
    assert seeds(keras.models.load_model(tmp_path / "m.keras")) == seeds(model)


@pytest.mark.parametrize("argument", ["dropout", "recurrent_dropout"])
def test_dropout_acts_in_training_only(argument):
    model = dk.BiLSTM(8, rnn={argument: 0.5, "seed": 1}).build((None, FEATURES))
    x = np.random.default_rng(0).normal(size=(2, 4, FEATURES)).astype("float32")
    np.testing.assert_array_equal(model(x), model(x))
    assert not np.allclose(model(x, training=True), model(x))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_masks_under_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    for rnn, steps in (({}, None), ({"use_cudnn": False}, None), ({"unroll": True}, STEPS)):
        net = dk.Sequential([dk.BiLSTM(3, return_sequences=True, rnn=rnn), dk.Classifier(2, pool="max")])
        batch, _ = padded(sequences(), "left")
        assert np.isfinite(np.asarray(build_masked(net, steps)(batch))).all()


# ---- errors


def error_text(make, shape=(4, 2), dtype=None):
    with pytest.raises(dk.DefinitionError) as caught:
        dk.Sequential([dk.Input(shape, dtype=dtype), make()], name="net").build()
    return str(caught.value)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: dk.Recurrent("ltsm", 3),
            "Recurrent: cell must be one of 'simple', 'gru', 'lstm', received 'ltsm'; did you mean 'lstm'?",
        ),
        (lambda: dk.Recurrent("gru", 0), "Recurrent: units must be a positive integer, received 0"),
        (lambda: dk.BiLSTM(3, merge="cat"), "BiLSTM: merge must be one of 'concat', 'sum', 'mul', 'ave', None, "
         "received 'cat'; did you mean 'concat'?"),
        (
            lambda: dk.BiLSTM(3, rnn={"use_cudnn": True}),
            'BiLSTM: rnn: use_cudnn must be "auto" or False, received True, which Keras does not save\n'
            '  hint: use "auto", which uses cuDNN wherever it can',
        ),
        (
            lambda: dk.Recurrent("gru", 3, rnn={"go_backwards": True}),
            "Recurrent: rnn takes no 'go_backwards': Keras reverses the steps of the output, but not its mask\n"
            "  hint: use bidirectional=True, or reverse the sequences in the data",
        ),
        (
            lambda: dk.Recurrent("lstm", 3, dropout=0.1),
            "Recurrent takes no 'dropout', which is an argument of the Keras layer; pass rnn={\"dropout\": ...}",
        ),
    ],
)  # fmt: skip
def test_invalid_arguments(make, text):
    assert error_text(make) == text


def test_inputs_that_are_not_sequences():
    assert error_text(lambda: dk.Recurrent("gru", 3), (28, 28, 1)) == (
        "expected (time, features), received 28x28x1\n"
        "  at    recurrent\n"
        '  in    dk.Recurrent("gru", 3)\n'
        "  hint: add layers.Reshape((steps, features)) before it"
    )
    assert error_text(lambda: dk.BiLSTM(3), (None,), "int32") == (
        "expected (time, features), received token ids of shape (None,)\n"
        "  at    bilstm\n"
        "  in    dk.BiLSTM(3)\n"
        "  hint: add layers.Embedding(num_tokens, embedding_dim, mask_zero=True) before it"
    )


def test_a_mask_of_the_wrong_shape():
    class MaskPerFeature(layers.Layer):
        def compute_mask(self, inputs, mask=None):
            return keras.ops.ones_like(inputs, dtype="bool")

        def call(self, inputs):
            return inputs

        def compute_output_shape(self, input_shape):
            return input_shape

    with pytest.raises(dk.DefinitionError) as caught:
        dk.BiLSTM(3, name="reader")(MaskPerFeature()(keras.Input((4, 2))))
    assert str(caught.value) == (
        "expected a mask of shape (batch, 4), received a mask of shape (None, 4, 2)\n"
        "  at    reader\n"
        '  in    dk.BiLSTM(3, name="reader")\n'
        "  hint: add layers.Masking() right before it, or use mask_zero=True in the Embedding"
    )


# deepkit does not change `model(x, mask=...)`: these errors are raised by Keras
MASKS = {
    "too few steps": (lambda: dk.BiLSTM(3).build((5, 4)), (2, 4)),
    "too many steps": (lambda: dk.BiLSTM(3).build((5, 4)), (2, 7)),
    "another batch size": (lambda: dk.BiLSTM(3).build((5, 4)), (3, 5)),
    "a mask per feature": (lambda: dk.BiLSTM(3).build((5, 4)), (2, 5, 4)),
    "a scalar": (lambda: dk.BiLSTM(3).build((5, 4)), ()),
    "attention": (lambda: dk.Sequential([dk.Attention("dot")]).build((5, 4)), (2, 4)),
    "heads": (lambda: dk.Sequential([dk.MultiHeadAttention(2)]).build((None, 4)), (2, 4)),
}


@pytest.mark.filterwarnings("ignore:.*does not support masking")  # Keras warns for every model
@pytest.mark.parametrize("case", MASKS)
def test_keras_refuses_a_mask_of_the_wrong_shape(case):
    make, shape = MASKS[case]
    model = make()
    x, mask = np.zeros((2, 5, 4), "float32"), np.ones(shape, "bool")
    with pytest.raises(Exception, match=r"(?s).+"):
        model(x, mask=mask)
    if case != "too many steps":  # Keras ignores the last ones in a compiled call
        with pytest.raises(Exception, match=r"(?s).+"):
            tf.function(lambda x, mask: model(x, mask=mask))(tf.constant(x), tf.constant(mask))


@pytest.mark.filterwarnings("ignore:.*does not support masking")  # Keras warns for every model
def test_a_mask_of_the_right_shape_equals_truncation(tmp_path):
    model = randomize(dk.Recurrent("lstm", 3).build((None, 4)))
    x = np.random.default_rng(0).random((2, 5, 4)).astype("float32")
    mask = np.array([[True] * 3 + [False] * 2] * 2)
    truncated = model(x[:, :3])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(model) is type(loaded)
    for output in (model(x, mask=mask), model(x, mask=mask[:1]), loaded(x, mask=mask)):
        np.testing.assert_allclose(output, truncated, rtol=1e-5)
    signature = [tf.TensorSpec((None, None, 4)), tf.TensorSpec((None, None), tf.bool)]
    compiled = tf.function(lambda x, mask: model(x, mask=mask), input_signature=signature)
    np.testing.assert_allclose(compiled(x, mask), truncated, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:.*does not support masking")  # Keras warns for every model
def test_keras_refuses_a_mask_of_the_wrong_shape_for_one_of_two_inputs():
    net = dk.Functional(
        inputs={"query": dk.Input((3, 4)), "memory": dk.Input((5, 4))},
        nodes={"mean": (["query", "memory"], dk.Attention("dot"))},
        outputs="mean",
    )
    model = net.build()
    x = {"query": np.ones((2, 3, 4), "float32"), "memory": np.ones((2, 5, 4), "float32")}
    mask = {"query": np.ones((2, 3), "bool"), "memory": np.ones((2, 5), "bool")}
    assert model(x, mask=mask).shape == (2, 3, 4)
    with pytest.raises(Exception, match=r"(?s).+"):
        model(x, mask={**mask, "memory": mask["query"]})


def test_too_few_states():
    x, state = keras.Input((4, 2)), keras.Input((3,))
    with pytest.raises(dk.DefinitionError, match="expected 2 initial states after the sequence, received 1"):
        dk.Recurrent("lstm", 3)([x, state])


def test_the_repr_makes_an_equal_block_for_all_flags():
    for merge, sequences, state in itertools.product(MERGES, (True, False), (True, False)):
        block = dk.Recurrent("gru", 3, bidirectional=merge, return_sequences=sequences, return_state=state)
        assert eval(repr(block), {"dk": dk}) == block


@pytest.mark.parametrize("net", [dk.BiLSTM(3), dk.Recurrent("gru", 3)])
def test_orthogonal_weights_in_bfloat16_are_refused(net):
    keras.config.set_dtype_policy("bfloat16")
    with pytest.raises(
        dk.DefinitionError, match="TensorFlow cannot draw orthogonal initial weights in bfloat16"
    ) as error:
        net.build((5, 4))
    assert 'hint: use keras.config.set_dtype_policy("mixed_bfloat16")' in str(error.value)
    keras.config.set_dtype_policy("mixed_bfloat16")
    assert {w.dtype for w in net.build((5, 4)).weights} == {"float32"}
