"""Recurrent blocks: a mask is a truncation, states in and out, and what a saved file keeps."""

import itertools
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk

LENGTHS, STEPS, FEATURES = (4, 2, 0), 4, 2
CELLS, MERGES = ("simple", "gru", "lstm"), (False, "concat", "sum", "mul", "ave", None)


def masked(block, steps=None):
    return dk.Sequential([dk.Input((steps, FEATURES)), layers.Masking(), block]).build()


def with_weights_of(model, seed=0):
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=weight.shape, scale=0.7) for weight in model.get_weights()])
    return model


def sequences(seed=1):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(length, FEATURES)).astype("float32") for length in LENGTHS]


def padded(examples, side):
    places = [{"right": 0, "left": STEPS - len(x), "both": (STEPS - len(x)) // 2}[side] for x in examples]
    batch = np.zeros((len(examples), STEPS, FEATURES), "float32")
    for row, place, x in zip(batch, places, examples, strict=True):
        row[place : place + len(x)] = x
    return batch, places


def check_mask_is_truncation(block, steps=None):
    model = with_weights_of(masked(block, steps))
    alone = {n: with_weights_of(masked(block, n)) if steps else model for n in LENGTHS if n}
    examples = sequences()
    for side in ("right", "left", "both"):
        batch, places = padded(examples, side)
        whole = [np.asarray(y) for y in keras.tree.flatten(model(batch))]
        assert all(np.isfinite(y).all() for y in whole)
        for i, (x, place) in enumerate(zip(examples, places, strict=True)):
            if not len(x):
                continue
            for found, expected in zip(whole, keras.tree.flatten(alone[len(x)](x[None])), strict=True):
                kept = found[i, place : place + len(x)] if found.ndim == 3 else found[i]
                np.testing.assert_allclose(kept, np.asarray(expected)[0], atol=1e-5, err_msg=f"{side} {len(x)}")


@pytest.mark.parametrize("merge", MERGES)
@pytest.mark.parametrize("cell", CELLS)
def test_a_mask_is_a_truncation(cell, merge):
    for every in (True, False):
        check_mask_is_truncation(dk.Recurrent(cell, 3, bidirectional=merge, return_sequences=every, return_state=every))


@pytest.mark.parametrize(
    ("merge", "given"),
    [
        ("concat", {"rnn": {"use_cudnn": False}}),
        (None, {"num_layers": 2}),
        (False, {"num_layers": 3}),
        ("ave", {"num_layers": 2}),
    ],
)
def test_a_mask_is_a_truncation_in_stacks_and_in_the_plain_loop(merge, given):
    check_mask_is_truncation(dk.Recurrent("lstm", 3, bidirectional=merge, return_sequences=True, **given))


@pytest.mark.parametrize("merge", [False, "concat", None])
def test_a_mask_is_a_truncation_unrolled(merge):
    check_mask_is_truncation(
        dk.Recurrent("gru", 3, bidirectional=merge, return_sequences=True, return_state=True, rnn={"unroll": True}),
        steps=STEPS,
    )


def test_keras_masks_the_wrong_steps_of_an_unrolled_pair():
    # should this fail, Keras has mended it and `UnrolledBidirectional` can go
    net = dk.Sequential([layers.Masking(), layers.Bidirectional(layers.GRU(3, return_sequences=True, unroll=True))])
    stock = with_weights_of(net.build((STEPS, FEATURES)))
    ours = with_weights_of(masked(dk.Recurrent("gru", 3, bidirectional=True, return_sequences=True,
                                               rnn={"unroll": True}), STEPS))  # fmt: skip
    batch, _ = padded(sequences(), "right")
    same = np.isclose(stock(batch), ours(batch), atol=1e-6).all(axis=(1, 2))
    assert same.tolist() == [True, False, True]


@pytest.mark.parametrize("cell", CELLS)
def test_a_sequence_of_padding_gives_zeros(cell):
    model = with_weights_of(masked(dk.Recurrent(cell, 3, bidirectional=True, return_sequences=True)))
    assert not np.any(model(np.zeros((2, STEPS, FEATURES), "float32")))


def test_masked_steps_of_both_directions_are_zero_and_the_mask_goes_on():
    for rnn, steps in (({}, None), ({"unroll": True}, STEPS)):
        model = masked(dk.BiLSTM(3, return_sequences=True, rnn=rnn), steps)
        batch, _ = padded(sequences(), "right")
        assert not np.any(np.asarray(model(batch))[1, 2:])
        assert model.output._keras_mask is not None


@pytest.mark.parametrize("pool", ["avg", "max"])
def test_pooling_counts_only_the_steps_that_are_there(pool):
    net = dk.Sequential([dk.BiLSTM(3, return_sequences=True), dk.Classifier(2, pool=pool)])
    check_mask_is_truncation(net)
    with_padding = masked(net)
    assert type(with_padding.layers[-2]).__name__ == "MaskedPooling1D"
    assert "Global" in type(net.build((STEPS, FEATURES)).layers[-2]).__name__  # Keras's own where nothing is masked


@pytest.mark.parametrize(("dtype", "low"), [("float32", -1e38), ("bfloat16", -1e38), ("float16", -5e4)])
def test_the_maximum_over_steps_may_be_very_low(dtype, low):
    x = keras.ops.convert_to_tensor([[[low], [0.0]]], dtype)
    found = dk.layers.MaskedPooling1D("max", dtype=dtype)(x, mask=np.array([[True, False]]))
    assert float(found[0, 0]) == float(x[0, 0, 0])


# ---- the same as Keras's layers, written by hand


@pytest.mark.parametrize("cell", CELLS)
def test_equals_the_stock_layers(cell):
    layer = {"simple": layers.SimpleRNN, "gru": layers.GRU, "lstm": layers.LSTM}[cell]
    x = keras.Input((None, FEATURES))
    y = layers.Bidirectional(layer(3, return_sequences=True))(x)
    by_hand = with_weights_of(keras.Model(x, layers.Bidirectional(layer(3))(y)))
    model = dk.Recurrent(cell, 3, num_layers=2, bidirectional=True).build((None, FEATURES))
    model.set_weights(by_hand.get_weights())
    batch, _ = padded(sequences(), "right")
    np.testing.assert_allclose(model(batch), by_hand(batch), atol=1e-6)
    names = [layer.name for layer in model.layers[1:]]
    assert names == [f"bi{cell}1", f"bi{cell}2"]
    assert {type(layer) for layer in model.layers[1:]} == {layers.Bidirectional}


def test_bilstm_is_short_for_a_recurrent():
    block = dk.BiLSTM(3, num_layers=2, merge="sum", return_sequences=True, rnn={"dropout": 0.1}, name="reader")
    long = dk.Recurrent("lstm", 3, num_layers=2, bidirectional="sum", return_sequences=True, rnn={"dropout": 0.1},
                        name="reader")  # fmt: skip
    assert block.recurrent == long
    assert block.build((None, 4)).count_params() == long.build((None, 4)).count_params()


def test_it_fuses_with_an_image_as_in_a_question_about_it():
    net = dk.Functional(
        inputs={"image": dk.Input((8, 8, 3)), "question": dk.Input((None,), dtype="int32")},
        nodes={
            "seen": ("image", [dk.ConvBlock(4), layers.GlobalAveragePooling2D()]),
            "asked": ("question", [layers.Embedding(10, 4, mask_zero=True), dk.BiLSTM(3)]),
            "answer": (["seen", "asked"], [dk.Merge("multiply"), dk.Classifier(2)]),
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
def test_half_a_sequence_and_its_states_give_the_other_half(cell, merge):
    block = dk.Recurrent(cell, 3, num_layers=2, return_sequences=True, return_state=True)
    model = with_weights_of(block.build((None, FEATURES)))
    x = np.random.default_rng(0).normal(size=(2, 6, FEATURES)).astype("float32")
    whole, first = ([np.asarray(y) for y in model(part)] for part in (x, x[:, :4]))
    make_input = [keras.Input((None, FEATURES)), *[keras.Input(s.shape[1:]) for s in first[1:]]]
    going_on = keras.Model(make_input, block(make_input))
    going_on.set_weights(model.get_weights())
    second = going_on([x[:, 4:], *first[1:]])
    np.testing.assert_allclose(second[0], whole[0][:, 4:], atol=1e-6)
    for found, expected in zip(second[1:], whole[1:], strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert len(first) == 1 + 2 * block.num_states
    both = dk.Recurrent(cell, 3, num_layers=2, bidirectional=merge, return_state=True)
    outputs = both.build((None, FEATURES)).output
    directions = 1 if merge is False else 2
    assert len(outputs) == (2 if merge is None else 1) + 2 * directions * block.num_states


def test_last_states_are_the_last_outputs():
    model = with_weights_of(dk.Recurrent("gru", 3, num_layers=2, return_state=True).build((None, FEATURES)))
    last, first_state, second_state = model(np.ones((1, 4, FEATURES), "float32"))
    np.testing.assert_array_equal(last, second_state)
    assert not np.allclose(first_state, second_state)


# ---- what a file keeps


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("merge", [False, "sum"])
def test_without_cudnn_stays_without_cudnn(cell, merge, tmp_path):
    net = dk.Recurrent(cell, 3, bidirectional=merge, rnn={"use_cudnn": False, "recurrent_dropout": 0.1})
    model = net.build((None, FEATURES))
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    layer = again.layers[-1]
    loops = [layer] if merge is False else [layer.forward_layer, layer.backward_layer]
    assert [type(loop) for loop in loops] == [layers.RNN] * len(loops)  # which has no other kernel than the loop
    twin = dk.Recurrent(cell, 3, bidirectional=merge).build((None, FEATURES))
    twin.set_weights(model.get_weights())
    x = np.random.default_rng(0).normal(size=(2, 4, FEATURES)).astype("float32")
    np.testing.assert_allclose(again(x), twin(x), atol=1e-6)


def test_keras_does_not_keep_use_cudnn():
    # should this fail, Keras saves it and the plain loop can go
    layer = layers.LSTM(3, use_cudnn=False)
    assert layers.LSTM.from_config(layer.get_config()).use_cudnn == "auto"


def seeds(model):
    found = []
    for layer in model.layers:
        pair = [layer.forward_layer, layer.backward_layer] if isinstance(layer, layers.Bidirectional) else [layer]
        found += [one.cell.seed for one in pair if hasattr(one, "cell")]
    return found


def test_no_two_copies_have_the_same_seed(tmp_path):
    block = dk.BiLSTM(3, num_layers=2, return_sequences=True, rnn={"dropout": 0.5, "seed": 7})
    model = dk.Sequential([block, block]).build((None, FEATURES))
    assert len(set(seeds(model))) == 8
    model.save(tmp_path / "m.keras")
    assert seeds(keras.models.load_model(tmp_path / "m.keras")) == seeds(model)


@pytest.mark.parametrize("argument", ["dropout", "recurrent_dropout"])
def test_dropout_works_in_training_only(argument):
    model = dk.BiLSTM(8, rnn={argument: 0.5, "seed": 1}).build((None, FEATURES))
    x = np.random.default_rng(0).normal(size=(2, 4, FEATURES)).astype("float32")
    np.testing.assert_array_equal(model(x), model(x))
    assert not np.allclose(model(x, training=True), model(x))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_masks_in_half_precision(policy):
    keras.config.set_dtype_policy(policy)
    for rnn, steps in (({}, None), ({"use_cudnn": False}, None), ({"unroll": True}, STEPS)):
        net = dk.Sequential([dk.BiLSTM(3, return_sequences=True, rnn=rnn), dk.Classifier(2, pool="max")])
        batch, _ = padded(sequences(), "left")
        assert np.isfinite(np.asarray(masked(net, steps)(batch))).all()


# ---- what is wrong


def wrong(make, shape=(4, 2), dtype=None):
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
            'BiLSTM: use_cudnn must be "auto" or False, received True, which Keras does not save\n'
            '  hint: "auto", which uses cuDNN wherever it can',
        ),
        (
            lambda: dk.Recurrent("gru", 3, rnn={"go_backwards": True}),
            "Recurrent: rnn takes no 'go_backwards': Keras returns the steps reversed and the mask as it was\n"
            "  hint: bidirectional=True, or both sequences reversed in the data",
        ),
        (
            lambda: dk.Recurrent("lstm", 3, dropout=0.1),
            "Recurrent takes no 'dropout', which is an argument of the Keras layer; say rnn={\"dropout\": ...}",
        ),
    ],
)  # fmt: skip
def test_arguments(make, text):
    assert wrong(make) == text


def test_what_is_no_sequence():
    assert wrong(lambda: dk.Recurrent("gru", 3), (28, 28, 1)) == (
        "recurrent: expected (time, features), received 28x28x1\n"
        '  in  dk.Recurrent("gru", 3)\n'
        "  hint: layers.Reshape((steps, features)) before it"
    )
    assert wrong(lambda: dk.BiLSTM(3), (None,), "int32") == (
        "bilstm: expected (time, features), received token ids of shape (None,)\n"
        "  in  dk.BiLSTM(3)\n"
        "  hint: layers.Embedding(tokens, width, mask_zero=True) before it, which makes vectors of token ids"
    )


def test_a_mask_of_the_wrong_shape():
    class Odd(layers.Layer):
        def compute_mask(self, inputs, mask=None):
            return keras.ops.ones_like(inputs, dtype="bool")

        def call(self, inputs):
            return inputs

        def compute_output_shape(self, input_shape):
            return input_shape

    with pytest.raises(dk.DefinitionError) as caught:
        dk.BiLSTM(3, name="reader")(Odd()(keras.Input((4, 2))))
    assert str(caught.value) == (
        "reader: expected a mask of shape (batch, 4), received one of shape (None, 4, 2)\n"
        '  in  dk.BiLSTM(3, name="reader")\n'
        "  hint: layers.Masking() right before it, or mask_zero=True in the Embedding"
    )


ONE = (lambda: dk.BiLSTM(3).build((5, 4)), (2, 5, 4))
MASKS = {
    "too few steps": (
        *ONE,
        (2, 4),
        "bilstm: expected a mask of shape (2, 5) for an input of shape (2, 5, 4), received",
    ),
    "too many steps": (*ONE, (2, 7), "hint: a mask with a value for each step of each"),
    "another batch": (*ONE, (3, 5), "received one of shape (3, 5)"),
    "features": (*ONE, (2, 5, 4), "expected a mask of shape (2, 5) for an input of shape (2, 5, 4), received"),
    "one number": (*ONE, (), "received one of shape ()"),
    "attention": (
        lambda: dk.Sequential([dk.Attention("dot")]).build((5, 4)),
        (2, 5, 4),
        (2, 4),
        "expected a mask of shape (2, 5)",
    ),
    "heads": (
        lambda: dk.Sequential([dk.MultiHeadAttention(2)], name="net").build((None, 4)),
        (2, 5, 4),
        (2, 4),
        "multi_head_attention.heads: expected a mask of shape (2, 5)",
    ),
    "ids": (
        lambda: dk.Sequential([layers.Embedding(3, 2), dk.Recurrent("gru", 2)]).build((5,)),
        (2, 5),
        (2, 4),
        "embedding: expected a mask of shape (2, 5) for an input of shape (2, 5)",
    ),
}


@pytest.mark.parametrize("what", MASKS)
def test_a_mask_of_the_wrong_shape_given_by_hand(what):
    make, shape, mask, text = MASKS[what]
    model = make()
    x, wrong = np.zeros(shape, "float32"), np.ones(mask, "bool")
    with pytest.raises(ValueError, match=re.escape(text)):
        model(x, mask=wrong)
    with pytest.raises(ValueError, match=re.escape(text)):
        tf.function(lambda x, mask: model(x, mask=mask))(tf.constant(x), tf.constant(wrong))


@pytest.mark.filterwarnings("ignore:.*does not support masking")  # what Keras says of any model
def test_a_mask_that_fits_is_taken_as_ever(tmp_path):
    model = with_weights_of(dk.Recurrent("lstm", 3).build((None, 4)))
    x = np.random.default_rng(0).random((2, 5, 4)).astype("float32")
    mask = np.array([[True] * 3 + [False] * 2] * 2)
    truncated = model(x[:, :3])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(model) is type(again)
    for found in (model(x, mask=mask), model(x, mask=mask[:1]), again(x, mask=mask)):
        np.testing.assert_allclose(found, truncated, rtol=1e-5)
    known = tf.function(lambda x, mask: model(x, mask=mask), input_signature=[
        tf.TensorSpec((None, None, 4)), tf.TensorSpec((None, None), tf.bool)
    ])  # fmt: skip
    np.testing.assert_allclose(known(x, mask), truncated, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:.*does not support masking")  # what Keras says of any model
def test_the_masks_of_two_inputs_are_checked_each_with_its_own():
    net = dk.Functional(
        inputs={"asked": dk.Input((3, 4)), "seen": dk.Input((5, 4))},
        nodes={"found": (["asked", "seen"], dk.Attention("dot"))},
        outputs="found",
    )
    model = net.build()
    x = {"asked": np.ones((2, 3, 4), "float32"), "seen": np.ones((2, 5, 4), "float32")}
    good = {"asked": np.ones((2, 3), "bool"), "seen": np.ones((2, 5), "bool")}
    assert model(x, mask=good).shape == (2, 3, 4)
    with pytest.raises(ValueError, match=r"expected a mask of shape \(2, 5\) .*, received one of shape \(2, 3\)"):
        model(x, mask={**good, "seen": good["asked"]})


def test_too_few_states():
    x, state = keras.Input((4, 2)), keras.Input((3,))
    with pytest.raises(dk.DefinitionError, match="expected 2 states to begin with behind the sequence, received 1"):
        dk.Recurrent("lstm", 3)([x, state])


def test_every_pair_of_flags_prints_as_the_code_that_makes_it():
    for merge, every, state in itertools.product(MERGES, (True, False), (True, False)):
        block = dk.Recurrent("gru", 3, bidirectional=merge, return_sequences=every, return_state=state)
        assert eval(repr(block), {"dk": dk}) == block


@pytest.mark.parametrize("net", [dk.BiLSTM(3), dk.Recurrent("gru", 3)])
def test_orthogonal_weights_in_bfloat16_are_refused_in_words(net):
    keras.config.set_dtype_policy("bfloat16")
    with pytest.raises(dk.DefinitionError, match="TensorFlow has no orthogonal initial weights in bfloat16") as error:
        net.build((5, 4))
    assert 'hint: keras.config.set_dtype_policy("mixed_bfloat16")' in str(error.value)
    keras.config.set_dtype_policy("mixed_bfloat16")
    assert {w.dtype for w in net.build((5, 4)).weights} == {"float32"}
