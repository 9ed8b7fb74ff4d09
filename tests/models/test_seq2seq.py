"""SequenceToSequence: loss, beam search against enumeration, step-by-step decoding, saving and errors."""

import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk
from deepkit.models.beam_search import beam_search
from deepkit.models.decoding import join_tokens
from deepkit.training import adaptation as text

WORDS = ("a", "b", "c", "d")
SOURCES = ["a b", "d c a b", "c", "b b a"]
TEXT = dk.Text(6, vocabulary=WORDS)


# the loops of these tests run attention over a single step, for which Keras warns
single_step = pytest.mark.filterwarnings("ignore:You are using a softmax over axis")


def definition(attention="additive", **kwargs):
    kwargs = {"encoder": dk.BiLSTM(4), "decoder": dk.Recurrent("lstm", 8), "embedding_dim": 5} | kwargs
    return dk.Seq2Seq(TEXT, attention=attention, **kwargs)


@functools.cache
def shared_model(variant="additive"):
    """Return a model that no test changes."""
    return built(**{"attention": variant, **VARIANTS[variant]})


def built(attention="additive", **kwargs):
    """Return a model with large random weights; the initial weights give all words nearly the same probability."""
    model = definition(attention, **kwargs).build()
    rng = np.random.default_rng(3)
    model.set_weights([rng.normal(0, 0.7, weight.shape) for weight in model.get_weights()])
    return model


TRANSFORMERS = {
    "encoder": dk.TransformerEncoder(2, num_layers=2),
    "decoder": dk.TransformerDecoder(2, num_layers=2),
    "embedding_dim": 8,
}
VARIANTS = {
    "additive": {},
    "multiplicative": {
        "encoder": dk.Recurrent("gru", 4, num_layers=2),
        "decoder": dk.Recurrent("gru", 6, num_layers=2),
        "reverse_source": True,
    },
    "dot": {"encoder": dk.Recurrent("simple", 8), "decoder": dk.Recurrent("lstm", 8)},
    None: {"encoder": dk.Recurrent("lstm", 8, num_layers=2), "decoder": dk.Recurrent("lstm", 8)},
    "transformers": {"attention": "auto", **TRANSFORMERS},
    "bilstm and transformer": {
        "attention": "auto",
        "decoder": dk.TransformerDecoder(2, num_layers=2, normalize_first=True, attention={"use_gate": True}),
        "embedding_dim": 8,
    },
    "transformer and gru": {
        "attention": "dot",
        "encoder": dk.TransformerEncoder(2, normalize_first=True),
        "decoder": dk.Recurrent("gru", 8, num_layers=2),
        "embedding_dim": 8,
    },
}
each_variant = pytest.mark.parametrize("attention", VARIANTS, ids=str)


def log_p_by_loop(model, source, target):
    """Return log p of target ids: run the encoder, then the decoder for each prefix of the target."""
    ids = model.source_text(tf.constant([source]))
    ids = ids[:, ::-1] if model.reverse_source else ids
    encoded = model.encoder(ids)
    total = 0.0
    for n, token in enumerate((*target, 0)):
        hidden = model.decoder({"ids": tf.constant([[0, *target[:n]]]), **encoded})["hidden"]
        total += float(tf.nn.log_softmax(model.classifier(hidden))[0, -1, token])
    return total


@single_step
@each_variant
def test_teacher_forcing_equals_the_decoder_step_by_step(attention):
    model = shared_model(attention)
    targets = ["b a", "", "d d c b a", "c"]
    ids = [[2 + WORDS.index(word) for word in text.split()] for text in targets]
    by_loop = [log_p_by_loop(model, *pair) for pair in zip(SOURCES, ids, strict=True)]
    np.testing.assert_allclose(model.log_likelihood(SOURCES, targets), by_loop, rtol=1e-5)
    np.testing.assert_allclose(model.log_likelihood(SOURCES, targets, batch_size=1), by_loop, rtol=1e-5)


def test_the_loss_is_the_mean_over_tokens_and_the_metrics_count_tokens():
    model = built()
    model.compile("sgd")
    targets = ["b a", "a", "d d c b a", "c"]
    expected = -model.log_likelihood(SOURCES, targets).sum() / (3 + 2 + 6 + 2)
    result = model.evaluate(np.array(SOURCES), np.array(targets), batch_size=4, return_dict=True, verbose=0)
    assert result["loss"] == pytest.approx(expected, rel=1e-5)
    assert result["perplexity"] == pytest.approx(np.exp(expected), rel=1e-5)
    single = model.evaluate(np.array(SOURCES), np.array(targets), batch_size=1, return_dict=True, verbose=0)
    assert single["perplexity"] == pytest.approx(np.exp(expected), rel=1e-5)
    assert single["accuracy"] == pytest.approx(result["accuracy"])
    logits = model((tf.constant(SOURCES), tf.constant(targets)))
    labels = [3, 2, 0, 2, 0, 5, 5, 4, 3, 2, 0, 4, 0]
    assert result["accuracy"] == pytest.approx(np.mean(np.argmax(logits, -1) == labels))


def test_sample_weights_and_compiled_metrics_count_tokens():
    model = built()
    model.compile("sgd", weighted_metrics=[keras.metrics.SparseCategoricalAccuracy("compiled")])
    pairs = np.array(SOURCES), np.array(["b a", "a", "d d c b a", "c"])
    result = model.evaluate(*pairs, sample_weight=np.array([1.0, 0, 0, 2]), return_dict=True, verbose=0)
    log_p = model.log_likelihood(*pairs)
    assert result["loss"] == pytest.approx(-(log_p[0] + 2 * log_p[3]) / (3 + 2 * 2), rel=1e-5)
    assert result["compiled"] == pytest.approx(result["accuracy"])


def test_a_loss_of_probabilities_is_refused_and_one_of_logits_accepted():
    model = built()
    with pytest.raises(ValueError, match=r"the classifier is linear.*\n  hint: use the default loss, or keras"):
        model.compile("sgd", "sparse_categorical_crossentropy")
    pairs = np.array(SOURCES), np.array(["b a", "a", "d d c b a", "c"])
    results = []
    for loss in (None, keras.losses.SparseCategoricalCrossentropy(from_logits=True)):
        model.compile("sgd", loss)
        results.append(model.evaluate(*pairs, return_dict=True, verbose=0)["loss"])
    assert results[0] == pytest.approx(results[1], rel=1e-5)


@each_variant
def test_padding_does_not_change_the_translation(attention):
    model = shared_model(attention)
    together = model.translate(SOURCES, num_beams=3, max_length=6)
    assert together == [model.translate([source], num_beams=3, max_length=6)[0] for source in SOURCES]


def all_texts(max_length):
    """Yield all texts of up to `max_length` words as ids."""
    for length in range(max_length + 1):
        yield from itertools.product(range(2, 6), repeat=length)


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_a_wide_beam_equals_enumeration(penalty):
    model = shared_model()
    source = "d c a b"
    texts = [" ".join(WORDS[i - 2] for i in ids) for ids in all_texts(3)]
    lengths = np.array([len(text.split()) for text in texts])
    scores = model.log_likelihood([source] * len(texts), texts, batch_size=100) / ((6 + lengths) / 6) ** penalty
    assert model.translate([source], num_beams=64, length_penalty=penalty, max_length=3) == [texts[np.argmax(scores)]]


@single_step
@pytest.mark.slow
def test_one_beam_is_greedy_search():
    model = shared_model()
    for source, translation in zip(SOURCES, model.translate(SOURCES, num_beams=1, max_length=5), strict=True):
        prefix = []
        while len(prefix) < 5:
            log_p = [log_p_of_next_token(model, source, prefix, token) for token in (0, 2, 3, 4, 5)]
            token = (0, 2, 3, 4, 5)[int(np.argmax(log_p))]
            if token == 0:
                break
            prefix.append(token)
        assert translation == " ".join(WORDS[i - 2] for i in prefix)


def log_p_of_next_token(model, source, prefix, token):
    """Return log p(token | source, prefix)."""
    encoded = model.encoder(model.source_text(tf.constant([source])))
    hidden = model.decoder({"ids": tf.constant([[0, *prefix]]), **encoded})["hidden"]
    return float(tf.nn.log_softmax(model.classifier(hidden))[0, -1, token])


def test_beam_search_finds_a_better_sequence_than_greedy_search():
    # the most probable first word has only improbable continuations
    table = np.full((6, 6), 1e-9, "float32")
    table[0, [2, 3]] = 0.6, 0.4
    table[2, [2, 3, 4, 0]] = 0.3, 0.25, 0.25, 0.2
    table[3, 0] = 0.99
    table[4, 0] = 1.0

    def step(tokens, states, t):
        return tf.gather(tf.math.log(tf.constant(table)), tokens), states

    def search(num_beams, penalty=0.0):
        states = [tf.zeros((num_beams, 1))]
        sizes = {"batch_size": 1, "num_beams": num_beams, "max_length": 4}
        ids, score = beam_search(step, states, length_penalty=penalty, **sizes)
        return ids.numpy()[0].tolist(), float(np.exp(score[0]))

    assert search(1) == ([2, 2, 2, 2], pytest.approx(0.6 * 0.3**3 * 0.2))
    assert search(2) == ([3, 0, 0, 0], pytest.approx(0.4 * 0.99))


def test_attention_maps_hold_the_weights_of_the_decoder():
    model = shared_model("multiplicative")
    translations, maps = model.translate(SOURCES, max_length=5, return_attention=True)
    for source, translation, alignment in zip(SOURCES, translations, maps, strict=True):
        assert (alignment.source, alignment.target) == (source.split(), [*translation.split(), ""])
        assert alignment.weights.shape == (len(alignment.target), len(alignment.source))
        np.testing.assert_allclose(alignment.weights.sum(1), 1, atol=1e-5)
    single = model.attention_maps(SOURCES[1:2], translations[1:2])[0]
    np.testing.assert_allclose(single.weights, maps[1].weights, atol=1e-5)


@pytest.mark.slow
def test_reverse_source_equals_reversed_texts():
    plain, reverse = built(), built(reverse_source=True)
    reversed_sources = [" ".join(reversed(source.split())) for source in SOURCES]
    np.testing.assert_allclose(
        reverse.log_likelihood(SOURCES, SOURCES), plain.log_likelihood(reversed_sources, SOURCES), rtol=1e-5
    )
    maps = reverse.attention_maps(SOURCES[:2], SOURCES[:2]), plain.attention_maps(reversed_sources[:2], SOURCES[:2])
    np.testing.assert_allclose(maps[0][1].weights, maps[1][1].weights[:, ::-1], atol=1e-5)


@pytest.mark.slow
def test_it_learns_to_copy(tmp_path):
    rng = np.random.default_rng(0)
    texts = np.array([" ".join(rng.choice(WORDS, rng.integers(1, 4))) for _ in range(300)])
    net = dk.Seq2Seq(dk.Text(6), embedding_dim=8, encoder=dk.BiLSTM(8), decoder=dk.Recurrent("lstm", 16))
    run = dk.fit(net, (texts, texts), epochs=6, batch_size=32, optimizer=keras.optimizers.Adam(0.02), verbose=0)
    translations = run.model.translate(SOURCES, num_beams=2, max_length=6)
    assert translations[0] == "a b"
    assert run.history["accuracy"][-1] > 0.9
    run.model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.translate(SOURCES, num_beams=2, max_length=6) == translations


@pytest.mark.parametrize("attention", ["additive", "dot"])
def test_a_model_that_has_translated_is_saved(attention, tmp_path):
    model = built(attention)
    translations = model.translate(SOURCES, max_length=4)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.translate(SOURCES, max_length=4) == translations


@pytest.mark.slow
def test_resuming_is_bit_exact(tmp_path):
    pairs = np.array(SOURCES * 4), np.array(["b a", "a", "d d c b a", "c"] * 4)
    net = definition(dropout=0.3)
    kwargs = {"batch_size": 4, "verbose": 0, "plan": dk.plan(seed=1, deterministic=True)}
    whole = dk.fit(net, pairs, epochs=2, run_dir=tmp_path / "whole", **kwargs)
    dk.fit(net, pairs, epochs=1, run_dir=tmp_path / "resumed", **kwargs)
    resumed = dk.fit(net, pairs, epochs=2, run_dir=tmp_path / "resumed", **kwargs)
    assert resumed.resume == "exact"
    for one, other in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_float16"])
def test_mixed_precision_trains_and_translates(policy):
    keras.config.set_dtype_policy(policy)
    model = built()
    model.compile("adam")
    history = model.fit(np.array(SOURCES), np.array(SOURCES), verbose=0).history
    assert np.isfinite(history["loss"][0])
    assert len(model.translate(SOURCES, max_length=4)) == 4


def test_every_weight_is_trained():
    model = built()
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(0.1))
    model.fit(np.array(SOURCES), np.array(SOURCES), verbose=0)
    unchanged = [w.path for w, old in zip(model.weights, before, strict=True) if np.array_equal(w, old)]
    assert unchanged == []


def test_no_texts_and_empty_texts_are_translated():
    model = shared_model()
    assert model.translate([]) == []
    assert model.translate(["", "  ", "a b"], max_length=3)[:2] == ["", ""]
    assert model.log_likelihood([], []).shape == (0,)
    assert np.all(np.isfinite(model.log_likelihood(["", "zzz"], ["a", ""])))
    empty = model.log_likelihood(["a b"] * 3, ["", " \n", "\u3000\x85"])
    np.testing.assert_allclose(empty, empty[0], rtol=1e-6)


def test_unknown_words_and_ids_without_a_word_are_never_decoded():
    model = dk.Seq2Seq(dk.Text(50, vocabulary=WORDS), encoder=dk.BiLSTM(4), decoder=dk.Recurrent("gru", 8)).build()
    bias = np.zeros(50, "float32")
    bias[[1, 30]] = 100  # the unknown word, and an id without a word
    model.classifier.bias.assign(bias)
    words = " ".join(model.translate(SOURCES, max_length=4)).split()
    assert set(words) <= set(WORDS)


def test_characters_are_joined_without_spaces():
    text = dk.Text(6, vocabulary=WORDS, split="character")
    model = dk.Seq2Seq(text, encoder=dk.BiLSTM(4), decoder=dk.Recurrent("gru", 8)).build()
    model.classifier.bias.assign([-9.0, 0, 9, 0, 0, 0])
    assert model.translate(["ab"], max_length=3) == ["aaa"]


def test_punctuation_is_joined_to_the_word_before():
    text = dk.Text(9, vocabulary=("ein", "ärzte-haus", ",", "it's", "."), standardize="lower_and_split_punctuation")
    model = dk.Seq2Seq(text, encoder=dk.BiLSTM(4), decoder=dk.Recurrent("gru", 8)).build()
    ids = model.target_text(tf.constant(["Ein Ärzte-Haus, it's."])).numpy()[0]
    assert ids.tolist() == [2, 3, 4, 5, 6]
    tokens = [model.target_text.get_vocabulary()[i] for i in ids]
    assert join_tokens(tokens, model.target_text) == "ein ärzte-haus, it's."


def test_the_definition_is_comparable_and_serializable(tmp_path):
    net = definition(dk.Attention("multiplicative", scaled=True), target=dk.Text(9), dropout=0.1, name="translator")
    assert eval(repr(net), {"dk": dk}) == net
    assert dk.from_dict(dk.to_dict(net)) == net
    dk.dump(net, tmp_path / "net.yaml")
    assert dk.load(tmp_path / "net.yaml") == net
    assert definition() == definition() != definition("dot")


def test_the_number_of_weights():
    model = definition().build()
    # embeddings; LSTMs of 4(n m + n n + n); W, U and v; W of the attentional vector; the classifier
    counts = 2 * 6 * 5, 2 * 4 * (5 * 4 + 4 * 4 + 4) + 4 * (5 * 8 + 8 * 8 + 8), 2 * 8 * 8 + 8, 16 * 8, 8 * 6 + 6
    assert model.count_params() == sum(counts)


INVALID_DEFINITIONS = [
    (
        lambda: dk.Seq2Seq("de", encoder=dk.BiLSTM(4), decoder=dk.Recurrent("gru", 4)),
        "source must be dk.Text, received",
    ),
    (lambda: definition(encoder=dk.MLP([4])), "dk.BiLSTM or dk.Recurrent or dk.TransformerEncoder, received dk.MLP"),
    (lambda: definition(encoder=dk.BiLSTM(4, merge=None)), "the encoder must merge its two directions"),
    (lambda: definition(decoder=dk.Recurrent("gru", 4, bidirectional=True)), "the decoder must have one direction"),
    (lambda: definition("bahdanau"), "attention must be one of 'auto', 'dot', 'multiplicative', 'additive', None"),
    (
        lambda: definition("dot", **TRANSFORMERS),
        r"attention has no effect for a dk.TransformerDecoder.*\n  hint: leave",
    ),
    (lambda: definition(None, **TRANSFORMERS), "which attends to the memory in each layer, received None"),
    (lambda: definition("auto", **TRANSFORMERS | {"embedding_dim": 5}).build(), "2 heads do not divide the width"),
    (lambda: definition(dk.Attention("dot", causal=True)), "cannot be causal"),
    (lambda: definition(dropout=1.0), r"dropout must be a fraction in \[0, 1\)"),
    (
        lambda: definition("dot", decoder=dk.Recurrent("lstm", 9)).build(),
        "a query as wide as the memory, received 9 and 8",
    ),
    (lambda: dk.Sequential([definition()]).build(), "cannot be part of another model"),
]


@pytest.mark.parametrize(("make", "text"), INVALID_DEFINITIONS)
def test_invalid_definitions_are_refused(make, text):
    with pytest.raises(dk.DefinitionError, match=text):
        make()


INVALID_CALLS = [
    (lambda model: model.translate([1]), TypeError, "expected a list of texts, received int 1"),
    (lambda model: model.translate(3), TypeError, "expected a list of texts, received int 3"),
    (lambda model: model.translate(["a"], num_beams=0), ValueError, "num_beams must be a positive integer, received 0"),
    (lambda model: model.translate(["a"], max_length=0), ValueError, "max_length must be a positive integer"),
    (lambda model: model.translate(["a"], length_penalty=-1), ValueError, "length_penalty must be a number from 0"),
    (lambda model: model.log_likelihood(["a"], ["a"], batch_size=-1), ValueError, "batch_size must be a positive int"),
    (
        lambda model: model.attention_maps(["a"], ["a"], batch_size=0),
        ValueError,
        "received 0\n  hint: use batch_size=64",
    ),
    (lambda model: model.log_likelihood(["a"], []), ValueError, "expected a target for each source, received 1 and 0"),
    (lambda model: model(tf.constant(["a"])), ValueError, "expected a pair of sources and targets, received one"),
    (lambda model: model.train_step((tf.constant(["a"]),)), ValueError, "received only sources"),
]


@pytest.mark.parametrize(("call", "kind", "text"), INVALID_CALLS)
def test_invalid_calls_are_refused(call, kind, text):
    with pytest.raises(kind, match=text):
        call(shared_model())


def test_missing_attention_and_missing_vocabularies_are_refused():
    with pytest.raises(ValueError, match=r"has no attention\n  hint: build it from dk.Seq2Seq"):
        built(None).attention_maps(["a"], ["a"])
    unadapted = dk.Seq2Seq(dk.Text(9), encoder=dk.BiLSTM(4), decoder=dk.Recurrent("gru", 8)).build()
    with pytest.raises(ValueError, match=r"has no vocabulary yet\n  hint: call dk.fit"):
        unadapted.translate(["a"])
    with pytest.raises(ValueError, match="no word in the targets"):
        unadapted.adapt(tf.data.Dataset.from_tensors((tf.constant(["a"]), tf.constant([""]))))


def test_adapt_calls_the_method_of_the_model():
    unadapted = dk.Seq2Seq(dk.Text(9), encoder=dk.BiLSTM(4), decoder=dk.Recurrent("gru", 8)).build()
    pairs = tf.data.Dataset.from_tensors((tf.constant(["a b"]), tf.constant(["c"])))
    with pytest.raises(
        ValueError, match=r"before it has a vocabulary\n  hint: call dk.fit.* dk.adapt\(model, dataset\)"
    ):
        unadapted((tf.constant(["a"]), tf.constant(["c"])))
    assert len(text.adapt(unadapted, pairs)) == 2
    assert sorted(unadapted.source_text.get_vocabulary()[2:]) == ["a", "b"]
    assert unadapted.target_text.get_vocabulary()[2:] == ["c"]
    assert text.adapt(unadapted, pairs) == []


def bytes_array(texts):
    """Return an array as `Pipeline.arrays` returns it."""
    return np.array([text.encode() for text in texts], object)


@pytest.mark.parametrize("kind", [list, tuple, np.array, lambda texts: np.array(texts, "S"), bytes_array])
def test_fit_and_evaluate_accept_lists_tuples_and_arrays_of_strings(kind):
    model = built()
    model.compile("sgd", run_eagerly=True)
    pairs = kind(SOURCES), kind(["b a", "a", "d d c b a", "c"])
    history = model.fit(*pairs, validation_data=pairs, shuffle=False, verbose=0).history
    result = model.evaluate(*pairs, verbose=0, return_dict=True)
    assert history["val_loss"][0] == pytest.approx(result["loss"], rel=1e-6)


def test_texts_of_a_pipeline_are_accepted():
    model, texts = shared_model(), [*SOURCES, "ä"]
    assert model.translate(bytes_array(texts)) == model.translate(texts)
    np.testing.assert_array_equal(
        model.log_likelihood(bytes_array(texts), bytes_array(texts)), model.log_likelihood(texts, texts)
    )


def test_a_mixed_float16_file_loads_under_another_policy(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    model = definition().build()
    model.compile("adam", run_eagerly=True)
    model.fit(SOURCES, SOURCES, verbose=0)
    model.save(tmp_path / "model.keras")
    keras.config.set_dtype_policy("float32")
    restored = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(restored.optimizer, keras.optimizers.LossScaleOptimizer)
    assert int(restored.optimizer.iterations) == int(model.optimizer.iterations)
    for one, other in zip(restored.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, other)


INVALID_DATA = [
    (["a", "b"], r"expected pairs of texts, received only sources\n  hint: pass \(sources, targets\), two arrays"),
    ([("a", "b"), ("c", "d")], r"received only sources\n.*sources, targets = map\(list, zip\(\*pairs\)\)"),
    ((["a", "b"], [0, 1]), "targets: expected strings .* received int"),
    (([["a", "b"], ["c", "d"]], ["a", "b"]), r"sources: expected strings .*\n  hint: .* \" \"\.join\(words\)"),
]


@pytest.mark.parametrize(("data", "text"), INVALID_DATA)
def test_data_that_is_no_pairs_of_texts_is_refused_without_a_trace_of_tensorflow(data, text):
    net = dk.Seq2Seq(dk.Text(9), embedding_dim=4, encoder=dk.BiLSTM(4), decoder=dk.Recurrent("gru", 4))
    with pytest.raises(ValueError, match=text) as caught:
        dk.fit(net, data, verbose=0)
    assert "in user code" not in str(caught.value)


def test_fit_prints_the_metrics_and_the_vocabularies(capsys):
    text, target = dk.Text(4), dk.Text(9, standardize=None)
    net = dk.Seq2Seq(text, target=target, embedding_dim=4, encoder=dk.BiLSTM(4), decoder=dk.Recurrent("gru", 4))
    dk.fit(net, (["a b", "B c."], ["c", "D c"]), verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("seq2seq: ")
    assert lines[1].endswith("loss that of SequenceToSequence; metrics accuracy, perplexity")
    full = "a vocabulary of 2 tokens, as many as max_tokens=4 allows; lowercase and without punctuation"
    assert lines[2] == f"adapted sources: {full}"
    assert lines[3] == "adapted targets: a vocabulary of 2 tokens"


def test_the_layers_have_distinct_names():
    model = definition().build()
    assert [layer.name for layer in (model.source_text, model.target_text)] == ["source_text.ids", "target_text.ids"]
    names = [layer.name for layer in model.layers]
    assert len(set(names)) == len(names)
    lines = []
    model.summary(print_fn=lines.append, line_length=100)
    assert all(name in "\n".join(lines) for name in names)
    assert model.get_layer("target_text.ids") is model.target_text
