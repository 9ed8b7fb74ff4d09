"""Ids of words and categories that reach a layer with weights without an embedding."""

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk

TEXT = dk.Text(9, output_sequence_length=4, vocabulary=("a", "b", "c"))
TEXTS = ["a b", "c", "a a a", "b c"] * 4
LABELS = np.arange(16) % 2
VECTORIZATION = layers.TextVectorization(vocabulary=["a", "b", "c"], output_sequence_length=4)

REFUSED = {
    "Text": ([TEXT, dk.MLP([4])], r"Dense, received the token ids of dk.Text 'text.ids' as numbers\n  at    mlp\n"),
    "Classifier": ([TEXT], "token ids of dk.Text 'text.ids'"),
    "reshaped": (
        [TEXT, layers.Reshape((4, 1)), layers.Dropout(0.1), layers.Conv1D(3, 2)],
        "Conv1D, received the token",
    ),
    "recurrent": ([TEXT, layers.Reshape((4, 1)), dk.Recurrent("gru", 3)], "GRU, received the token ids"),
    "bidirectional": ([TEXT, layers.Reshape((4, 1)), dk.BiLSTM(3)], "Bidirectional, received the token ids"),
    "normalized": ([TEXT, layers.BatchNormalization(), layers.Dense(3)], "BatchNormalization, received the token ids"),
    "TextVectorization": ([VECTORIZATION, dk.MLP([4])], "token ids of TextVectorization"),
    "StringLookup": ([layers.StringLookup(vocabulary=["a", "b"]), dk.MLP([4])], "category ids of StringLookup"),
    "IntegerLookup": ([layers.IntegerLookup(vocabulary=[5, 7, 9]), dk.MLP([4])], "category ids of IntegerLookup"),
    "Hashing": ([layers.Hashing(5), dk.MLP([4])], "category ids of Hashing"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_ids_are_not_numbers(case):
    body, problem = REFUSED[case]
    shape = () if isinstance(body[0], dk.Text | layers.TextVectorization) else (3,)
    with pytest.raises(dk.DefinitionError, match=f"expected vectors as the input of .*{problem}"):
        dk.Sequential([*body, dk.Classifier(2)]).build(shape)


def test_the_hint_names_the_layers_that_make_vectors():
    net = dk.Sequential([dk.Text(9, output_sequence_length=4), dk.MLP([4]), dk.Classifier(2)])
    with pytest.raises(dk.DefinitionError) as caught:
        dk.fit(net, TEXTS, LABELS, epochs=1, verbose=0)
    assert caught.value.hint == (
        "put keras.layers.Embedding(5, 32) after dk.Text, or "
        'keras.layers.TextVectorization(5, output_mode="multi_hot") in place of dk.Text'
    )
    lookup = layers.StringLookup(vocabulary=["a", "b"])
    with pytest.raises(dk.DefinitionError, match=r"Embedding\(3, 32\) after StringLookup, .* output_mode=\"one_hot\""):
        dk.Sequential([lookup, dk.Classifier(2)]).build((1,))


def test_ids_beside_numbers_are_refused():
    net = dk.Functional(
        inputs={"word": dk.Input((1,), dtype="string"), "size": dk.Input((2,))},
        nodes={
            "id": ("word", layers.StringLookup(vocabulary=["a", "b"])),
            "both": (("id", "size"), dk.Merge("concat")),
            "class": ("both", dk.Classifier(2)),
        },
        outputs="class",
    )
    with pytest.raises(dk.DefinitionError, match="category ids of StringLookup"):
        net.build()


@pytest.mark.parametrize(
    "body",
    [
        [TEXT, layers.Embedding(9, 3), dk.MLP([4])],
        [layers.TextVectorization(vocabulary=["a", "b"], output_mode="multi_hot"), dk.MLP([4])],
        [layers.StringLookup(vocabulary=["a", "b"], output_mode="one_hot"), dk.MLP([4])],
        [layers.StringLookup(vocabulary=["no", "yes"], num_oov_indices=0), dk.MLP([4])],
        [layers.Hashing(2), dk.MLP([4])],
        [TEXT, layers.CategoryEncoding(9, output_mode="multi_hot"), dk.MLP([4])],
    ],
)
def test_vectors_and_binary_features_are_accepted(body):
    shape = () if isinstance(body[0], dk.Text | layers.TextVectorization) else (1,)
    assert dk.Sequential([*body, dk.Classifier(2)]).build(shape).output_shape == (None, 2)


def test_numbers_are_accepted_as_integers():
    x = np.arange(8).reshape(4, 2)
    assert keras.ops.shape(dk.Classifier(2).build((2,))(x)) == (4, 2)
