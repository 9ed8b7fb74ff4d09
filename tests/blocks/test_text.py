"""Text inside a model: token ids, adapted vocabularies, and saved models that contain them."""

import re
import subprocess
import sys
from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from deepkit.layers import TokenIds
from deepkit.training import adaptation as text

TEXTS = ["The dog runs.", "A dog, a cat!", "", "the the   the CAT"]


def token_ids(model, texts):
    return model(tf.constant(texts)).numpy().tolist()


def batches(texts=TEXTS, size=2):
    return tf.data.Dataset.from_tensor_slices(texts).batch(size)


def split(text):
    return re.sub(r'[!"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~\']', "", text.lower()).split()


def reference_ids(texts, vocabulary, length=None, truncating="post"):
    numbers = {word: i + 2 for i, word in enumerate(vocabulary)}
    rows = [[numbers.get(word, 1) for word in split(text)] or [1] for text in texts]
    length = length or max(map(len, rows))
    rows = [row[:length] if truncating == "post" else row[-length:] for row in rows]
    return [row + [0] * (length - len(row)) for row in rows]


def net(**kwargs):
    return dk.Sequential(
        [dk.Text(8, **kwargs), layers.Embedding(8, 3, mask_zero=True), dk.BiLSTM(2), dk.Classifier(1)], name="net"
    )


# ---- token ids


@pytest.mark.parametrize("truncating", ["post", "pre"])
@pytest.mark.parametrize("length", [None, 1, 3, 6])
def test_ids_equal_a_loop_in_python(length, truncating):
    vocabulary = ("the", "dog", "cat")
    model = dk.Text(5, output_sequence_length=length, truncating=truncating, vocabulary=vocabulary).build()
    assert token_ids(model, TEXTS) == reference_ids(TEXTS, vocabulary, length, truncating)
    assert model.output_shape == (None, length)
    assert model.output.dtype == "int64"


def test_characters_and_whole_texts():
    model = dk.Text(6, split="character", standardize="lower", vocabulary=("a", "b", "ä")).build()
    assert token_ids(model, ["ABä!", ""]) == [[2, 3, 4, 1], [1, 0, 0, 0]]
    assert token_ids(dk.Text(4, standardize=None, vocabulary=("A", "b")).build(), ["A b a"]) == [[2, 3, 1]]
    for kwargs in ({}, {"output_sequence_length": 1, "truncating": "pre"}):
        model = dk.Text(4, split=None, vocabulary=("a b", "c"), **kwargs).build()
        assert token_ids(model, ["A B.", "b", "", "c"]) == [[2], [1], [1], [3]]


WHITESPACE = [chr(i) for i in range(sys.maxunicode + 1) if chr(i).isspace()]


@pytest.mark.parametrize("standardize", ["lower_and_strip_punctuation", "lower_and_split_punctuation", None])
def test_words_are_split_at_the_whitespace_that_python_splits_at(standardize):
    model = dk.Text(5, standardize=standardize, vocabulary=("great", "movie", "e\u200be")).build()
    texts = [f"great{space}movie{space}" for space in WHITESPACE]
    assert token_ids(model, texts) == [[2, 3]] * len(texts)
    assert token_ids(model, ["".join(WHITESPACE)]) == [[1]]
    if standardize != "lower_and_split_punctuation":
        assert token_ids(model, ["e\u200be"]) == [[4]]  # zero width, and not whitespace in Python


def test_adapt_learns_the_words_between_whitespace_of_unicode(tmp_path):
    model = dk.Text(9).build()
    text.adapt(model, batches(["great\x85movie", "great\u3000film"]))
    assert set(model.get_layer("ids").get_vocabulary()[2:]) == {"great", "movie", "film"}
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert token_ids(loaded, ["film\xa0great"]) == token_ids(model, ["film great"])


def test_whitespace_of_unicode_is_part_of_characters_and_of_whole_texts():
    assert token_ids(dk.Text(4, split="character", vocabulary=("a", "\xa0")).build(), ["a\xa0"]) == [[2, 3]]
    assert token_ids(dk.Text(4, split=None, vocabulary=("a\u3000b",)).build(), ["a\u3000b"]) == [[2]]


def test_a_vocabulary_with_whitespace_in_a_token_still_loads(tmp_path):
    model = dk.Text(9).build()
    model.get_layer("ids").set_vocabulary(["great\x85movie", "great"])  # as deepkit learned it before
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert loaded.get_layer("ids").get_vocabulary()[2:] == ["great\x85movie", "great"]
    assert token_ids(loaded, ["great\x85film"]) == [[3, 1]]


def test_an_empty_text_is_one_unknown_token():
    model = dk.Text(4, vocabulary=("a",)).build()
    assert token_ids(model, [""]) == [[1]]
    assert token_ids(model, ["", "!?", "  "]) == [[1]] * 3


@pytest.mark.parametrize("texts", [[""], ["", "a dog"], ["?!", " "]])
def test_an_empty_text_has_a_finite_output(texts):
    for top in ([dk.BiLSTM(2), dk.Classifier(1)], [dk.Classifier(1, pool="avg")], [dk.Classifier(1, pool="max")]):
        model = dk.Sequential(
            [dk.Text(4, vocabulary=("a", "dog")), layers.Embedding(4, 3, mask_zero=True), *top]
        ).build()
        assert np.isfinite(model(tf.constant(texts))).all()


def test_padding_does_not_change_the_output():
    model = net(vocabulary=("the", "dog")).build()
    together, alone = model(tf.constant(["dog", "the dog runs on and on"])), model(tf.constant(["dog"]))
    np.testing.assert_allclose(together[:1], alone, atol=1e-6)


# ---- adapted vocabularies


def test_the_vocabulary_holds_the_most_frequent_tokens():
    model = net().build()
    assert text.adapt(model, batches()) == ["text.ids"]
    counted = Counter(word for line in TEXTS for word in split(line))
    expected = [word for word, _ in sorted(counted.items(), key=lambda item: (item[1], item[0]), reverse=True)][:6]
    vocabulary = model.get_layer("text.ids").get_vocabulary(include_special_tokens=False)
    assert list(map(str, vocabulary)) == expected
    assert text.unadapted(model) == []
    assert text.adapt(model, batches(["other words"])) == []  # an adapted layer keeps its vocabulary


def test_the_vocabulary_does_not_depend_on_the_order_and_the_batches():
    vocabularies = []
    for texts, size in ((TEXTS, 1), (TEXTS[::-1], 3)):
        model = net().build()
        text.adapt(model, batches(texts, size))
        vocabularies.append(model.get_layer("text.ids").get_vocabulary())
    assert vocabularies[0] == vocabularies[1]


def test_adapt_accepts_labels_several_inputs_and_shared_layers():
    net = dk.Functional(
        inputs={name: dk.Input((), dtype="string") for name in ("one", "other", "third")},
        nodes={
            "a": ("one", dk.Shared(dk.Text(9), name="words")),
            "b": ("other", dk.Shared(dk.Text(9), name="words")),
            "c": ("third", dk.Text(9)),
        },
        outputs=["a", "b", "c"],
    )
    model = net.build()
    x = {"one": ["a b", "b"], "other": ["c", "c a"], "third": ["d", "e"]}
    assert len(text.adapt(model, tf.data.Dataset.from_tensor_slices((x, [0, 1])).batch(2))) == 2
    vocabularies = [set(layer.get_vocabulary()[2:]) for layer in model.layers if isinstance(layer, TokenIds)]
    assert sorted(vocabularies, key=len) == [{"d", "e"}, {"a", "b", "c"}]


def test_adapt_reaches_a_text_layer_of_a_nested_model():
    inner = dk.Sequential([dk.Text(9)], name="inner").build()
    x = keras.Input((), dtype="string")
    model = keras.Model(x, inner(keras.layers.Identity()(x)), name="outer")
    assert text.adapt(model, batches(["b a", "b"])) == ["inner.text.ids"]
    assert inner.get_layer("text.ids").get_vocabulary()[2:] == ["b", "a"]


def test_adapt_refuses_infinite_data_and_data_without_tokens():
    model = net().build()
    with pytest.raises(ValueError, match=r"adapt: the data is infinite\n  hint: use dataset.take"):
        text.adapt(model, batches().repeat())
    with pytest.raises(ValueError, match=r"adapt: no token reached the text layer\n  at    text.ids"):
        text.adapt(model, batches(["", "!"]))


def test_fit_adapts_the_vocabulary_and_the_model_file_contains_it(tmp_path):
    texts, labels = np.array(["good film", "bad film"] * 8), np.array([1, 0] * 8)
    run = dk.fit(net(), dk.data.from_arrays(texts, labels, batch_size=4), epochs=1, verbose=False)
    run.model.save(tmp_path / "m.keras")
    expected = np.asarray(run.model(tf.constant(["good film", "a dog", ""])))
    np.save(tmp_path / "expected.npy", expected)
    code = (
        "import sys, keras, numpy as np, tensorflow as tf, deepkit.layers\n"
        "model = keras.models.load_model(sys.argv[1] + '/m.keras')\n"
        "assert set(model.get_layer('text.ids').get_vocabulary()[2:]) == {'good', 'bad', 'film'}\n"
        "output = model(tf.constant(['good film', 'a dog', '']))\n"
        "np.testing.assert_allclose(output, np.load(sys.argv[1] + '/expected.npy'), atol=1e-6)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True)


@pytest.mark.parametrize("split", ["whitespace", "character", None])
def test_a_token_may_contain_every_line_separator(tmp_path, split):
    texts = tf.constant(["a\x85 b\u2028c", "d\n e\r", "\x1c \n"])  # splitlines() splits at each of these
    model = dk.Sequential([dk.Text(30, split=split, standardize=None)]).build()
    text.adapt(model, tf.data.Dataset.from_tensors(texts))
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded(texts), model(texts))


def test_a_vocabulary_that_is_passed_is_in_the_model_file(tmp_path):
    model = net(output_sequence_length=3, truncating="pre", vocabulary=("the", "dog", "cat")).build()
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded(tf.constant(TEXTS)), model(tf.constant(TEXTS)))
    assert loaded.get_layer("text.ids").truncating == "pre"


@pytest.mark.parametrize("tokens", [["c", "d", "\u0085"], np.array(["", "[UNK]", "c", "d", "\u0085"])])
@pytest.mark.parametrize("vocabulary", [None, ("a", "b")])
def test_a_vocabulary_that_is_set_later_is_in_the_model_file(vocabulary, tokens, tmp_path):
    model = dk.Text(9, standardize=None, split="character", vocabulary=vocabulary).build()
    model.get_layer("ids").set_vocabulary(tokens)
    model.save(tmp_path / "m.keras")
    texts = tf.constant(["cd", "a\u0085"])
    for loaded in (model, keras.models.load_model(tmp_path / "m.keras")):
        assert loaded(texts).numpy().tolist() == [[2, 3], [1, 4]]


@pytest.mark.parametrize("standardize", ["lower", "lower_and_strip_punctuation", "lower_and_split_punctuation"])
def test_letters_beyond_ascii_are_lowercased_in_adapt_and_in_calls(standardize, tmp_path):
    model = dk.Text(9, standardize=standardize).build()
    text.adapt(model, tf.data.Dataset.from_tensors(tf.constant(["Ärzte ÉTÉ", "ärzte Ö"])))
    layer = model.get_layer("ids")
    assert layer.get_vocabulary()[2:] == ["ärzte", "ö", "été"]
    model.save(tmp_path / "m.keras")
    dk.export(model, tmp_path / "exported", format="saved_model", sample=tf.constant(["Ärzte"]))
    texts = tf.constant(["ÄRZTE ÉtÉ", "Ö"])
    loaded, exported = keras.models.load_model(tmp_path / "m.keras"), tf.saved_model.load(tmp_path / "exported")
    for call in (model, loaded, exported.serve):
        assert np.asarray(call(texts)).tolist() == [[2, 4], [3, 0]]
    assert loaded.get_layer("ids").get_config()["standardize"] == standardize


def test_a_model_without_a_vocabulary_cannot_be_called_or_saved(tmp_path):
    model = net().build()
    hint = "call dk.fit, which learns it from the training data, or dk.adapt"
    with pytest.raises(ValueError, match=rf"the text layer 'text.ids' is called before .*\n  hint: {hint}"):
        model(tf.constant(TEXTS))
    with pytest.raises(ValueError, match=rf"the text layer 'text.ids' is saved before .*\n  hint: {hint}"):
        model.save(tmp_path / "m.keras")


def test_keras_does_not_compile_text_layers_with_xla():
    model = net(vocabulary=("a",)).build()
    model.compile(loss="binary_crossentropy", jit_compile="auto")
    assert model.jit_compile is False


# ---- errors


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"max_tokens": 2}, "Text: max_tokens must be an integer of at least 3, received 2"),
        ({"output_sequence_length": 0}, "Text: output_sequence_length must be a positive integer, received 0"),
        ({"standardize": "lowr"}, "Text: standardize must be one of 'lower_and_strip_punctuation', "
         "'lower_and_split_punctuation', 'lower', "
         "'strip_punctuation', None, received 'lowr'; did you mean 'lower'?"),
        ({"truncating": "front"}, "Text: truncating must be one of 'post', 'pre', received 'front'"),
        ({"vocabulary": "the dog"}, "Text: vocabulary must be a tuple of tokens, received 'the dog'\n"
         '  hint: use vocabulary=("the", "dog")'),
        ({"vocabulary": ("a", "b", "a")}, "Text: vocabulary must hold distinct tokens, received 'a' twice\n"
         '  hint: use vocabulary=("the", "dog")'),
        ({"vocabulary": tuple("abcdefghi")}, "Text: a vocabulary of 9 tokens needs max_tokens of at least 11, "
         "including the ids of padding and of unknown tokens, received 10\n  hint: use dk.Text(11, ...)"),
    ],
)  # fmt: skip
def test_invalid_arguments(kwargs, message):
    with pytest.raises(dk.DefinitionError) as caught:
        dk.Text(**{"max_tokens": 10, **kwargs})
    assert str(caught.value) == message


def test_the_input_must_be_text():
    with pytest.raises(dk.DefinitionError) as caught:
        dk.Sequential([dk.Input((4,)), dk.Text(10)]).build()
    assert str(caught.value) == (
        "expected one string per example, received float32 of shape 4\n"
        "  at    text\n"
        "  in    dk.Text(10)\n"
        '  hint: use dk.Input((), dtype="string")'
    )


def test_the_layer_returns_token_ids_only():
    with pytest.raises(
        ValueError, match="TokenIds: ragged must be False because the layer returns token ids, received True"
    ):
        TokenIds(ragged=True)


@pytest.mark.parametrize(
    ("text", "num_ids"),
    [
        (dk.Text(9, vocabulary=("a", "b")), 4),
        (dk.Text(9), 9),
        (layers.TextVectorization(9, vocabulary=["a", "b", "c"]), 5),
    ],
)
def test_an_embedding_with_fewer_rows_than_ids_is_refused(text, num_ids):
    with pytest.raises(dk.DefinitionError) as caught:
        dk.Sequential([dk.Input((), dtype="string"), text, layers.Embedding(3, 2, name="words")]).build()
    problem = f"an Embedding with 3 rows after a text layer with up to {num_ids} token ids\n  at    words\n"
    assert problem in str(caught.value)
    assert f"\n  hint: use layers.Embedding({num_ids}, 2), or max_tokens=3 in the text layer" in str(caught.value)


def test_an_embedding_needs_rows_for_the_vocabulary_only():
    net = dk.Sequential([dk.Text(9, vocabulary=("a", "b")), layers.Embedding(4, 2)])
    assert net.build()(tf.constant(["a b"])).shape == (1, 2, 2)


def test_a_vocabulary_may_be_passed_as_keras_returns_it():
    assert dk.Text(5, vocabulary=["", "[UNK]", "a"]) == dk.Text(5, vocabulary=("a",))
