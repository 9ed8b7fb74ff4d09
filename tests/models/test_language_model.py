"""LanguageModel: likelihoods, generation against the predictions of whole texts, saving and errors."""

import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk

WORDS = ("a", "b", "c", "d")
TEXT = dk.Text(6, vocabulary=WORDS)
DECODERS = {
    "gru": dk.Recurrent("gru", 8),
    "lstm": dk.Recurrent("lstm", 8, num_layers=2),
    "transformer": dk.TransformerDecoder(2, num_layers=2),
}
each_decoder = pytest.mark.parametrize("name", DECODERS)


@functools.cache
def built(name="gru", predict_end=True, text=TEXT):
    """Return a model with large random weights that no test changes."""
    model = dk.LanguageModel(text, embedding_dim=8, decoder=DECODERS[name], predict_end=predict_end).build()
    rng = np.random.default_rng(3)
    model.set_weights([rng.normal(0, 0.7, weight.shape) for weight in model.get_weights()])
    return model


def next_log_p(model, ids):
    """Return the log-probabilities of the token after ids, by a pass over all of them."""
    hidden = model.decoder({"ids": tf.constant([[0, *ids]])})["hidden"]
    return np.array(tf.nn.log_softmax(model.classifier(hidden))[0, -1])


@each_decoder
def test_the_likelihood_is_the_product_over_the_tokens_and_the_end(name):
    model = built(name)
    by_loop = [
        sum(next_log_p(model, ids[:i])[token] for i, token in enumerate([*ids, 0])) for ids in ([2, 4, 3], [5], [])
    ]
    log_p = model.log_likelihood(["a c b", "d", ""])
    np.testing.assert_allclose(log_p, by_loop, rtol=1e-5)
    np.testing.assert_allclose(model.log_likelihood(["a c b", "d", ""], batch_size=1), log_p, rtol=1e-5)
    assert [len(row) for row in model.token_log_likelihoods(["a c b", "d", ""])] == [4, 2, 1]


def test_without_an_end_the_probabilities_of_texts_of_one_length_have_sum_one():
    model = built(predict_end=False)
    model.classifier.bias.assign([-1e4, -1e4, 0, 0, 0, 0])  # neither the end nor the unknown word
    texts = [" ".join(words) for words in itertools.product(WORDS, repeat=3)]
    assert np.exp(model.log_likelihood(texts)).sum() == pytest.approx(1, abs=1e-4)
    assert [len(row) for row in model.token_log_likelihoods(["a c b", "d"])] == [3, 1]
    assert all(len(text.split()) == 7 for text in model.generate(["", "a b"][:1], max_new_tokens=7))
    built.cache_clear()


@each_decoder
def test_temperature_zero_takes_the_most_probable_token_of_whole_passes(name):
    model = built(name)
    prompts = ["", "c", "d a b"]
    for prompt, text in zip(prompts, model.generate(prompts, temperature=0, max_new_tokens=6), strict=True):
        ids = [2 + WORDS.index(word) for word in prompt.split()]
        for _ in range(6):
            log_p = next_log_p(model, ids)
            log_p[1] = -np.inf  # the unknown word is never generated
            if np.argmax(log_p) == 0:
                break
            ids.append(int(np.argmax(log_p)))
        assert text == " ".join(WORDS[i - 2] for i in ids)
        assert model.generate(prompt, top_k=1, seed=9, max_new_tokens=6) == text


def test_tokens_are_drawn_with_the_probabilities_of_the_model():
    model = built()
    texts = model.generate(["c"] * 4000, max_new_tokens=1, seed=2)
    log_p = next_log_p(model, [4])
    log_p[1] = -np.inf
    for temperature, top_k in ((1.0, None), (0.5, None), (1.0, 2)):
        texts = model.generate(["c"] * 4000, max_new_tokens=1, temperature=temperature, top_k=top_k, seed=2)
        scores = log_p / temperature
        if top_k:
            scores[np.argsort(scores)[:-top_k]] = -np.inf
        expected = np.exp(scores) / np.exp(scores).sum()
        counts = [sum(text.split()[1:] == words for text in texts) for words in ([], ["a"], ["b"], ["c"], ["d"])]
        np.testing.assert_allclose(np.array(counts) / 4000, expected[[0, 2, 3, 4, 5]], atol=0.03)


def test_a_seed_reproduces_a_text_and_changes_no_random_state():
    model = built()
    state = np.random.get_state()[1].tolist()
    first = model.generate(["a", "b"], seed=1, max_new_tokens=20)
    assert model.generate(["a", "b"], seed=1, max_new_tokens=20) == first
    assert any(model.generate(["a", "b"], seed=seed, max_new_tokens=20) != first for seed in (2, 3))
    assert np.random.get_state()[1].tolist() == state
    assert model.generate([]) == []


def test_characters_are_joined_and_the_prompt_is_kept():
    text = dk.Text(6, vocabulary=WORDS, split="character", standardize="lower")
    model = built(text=text)
    assert model.generate("A?", max_new_tokens=3, seed=0).startswith("A?")
    assert " " not in model.generate("ab", max_new_tokens=9, seed=0)


def test_the_loss_and_the_metrics_count_tokens():
    model = built()
    model.compile("sgd")
    texts = np.array(["a b", "", "d d c b a"])
    expected = -model.log_likelihood(texts).sum() / (3 + 1 + 6)
    result = model.evaluate(texts, verbose=0, return_dict=True)
    assert result["loss"] == pytest.approx(expected, rel=1e-5)
    assert result["perplexity"] == pytest.approx(np.exp(expected), rel=1e-5)
    assert model(tf.constant(texts)).shape == (10, 6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gru", "transformer"])
def test_it_learns_texts_and_a_loaded_model_generates_the_same(name, tmp_path):
    texts = ["a b c d", "c d", "b a b a b a"] * 60
    net = dk.LanguageModel(dk.Text(6), embedding_dim=16, decoder=DECODERS[name])
    run = dk.fit(net, texts, epochs=12, batch_size=16, optimizer=keras.optimizers.Adam(0.02), verbose=0)
    assert run.model.generate("b", temperature=0) == "b a b a b a"
    generated = run.model.generate(["a", ""], seed=4)
    run.model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.generate(["a", ""], seed=4) == generated


@pytest.mark.slow
def test_resuming_is_bit_exact(tmp_path):
    net = dk.LanguageModel(TEXT, embedding_dim=8, decoder=DECODERS["transformer"], dropout=0.2)
    kwargs = {"batch_size": 4, "verbose": 0, "plan": dk.plan(seed=1, deterministic=True)}
    texts = ["a b", "c", "d d a", ""] * 4
    whole = dk.fit(net, texts, epochs=2, run_dir=tmp_path / "whole", **kwargs)
    dk.fit(net, texts, epochs=1, run_dir=tmp_path / "resumed", **kwargs)
    resumed = dk.fit(net, texts, epochs=2, run_dir=tmp_path / "resumed", **kwargs)
    assert resumed.resume == "exact"
    for one, other in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_definition_is_comparable_and_serializable():
    net = dk.LanguageModel(TEXT, embedding_dim=8, decoder=DECODERS["transformer"], predict_end=False)
    assert eval(repr(net), {"dk": dk}) == net
    assert dk.from_dict(dk.to_dict(net)) == net


INVALID = [
    (lambda: dk.LanguageModel(TEXT, decoder=dk.BiLSTM(4)), "decoder must be dk.Recurrent or dk.TransformerDecoder"),
    (
        lambda: dk.LanguageModel(TEXT, decoder=dk.Recurrent("gru", 4, bidirectional=True)),
        r'one direction, as later tokens are not generated yet\n  hint: use dk.Recurrent\("gru", 4\)',
    ),
    (lambda: dk.Sequential([dk.LanguageModel(TEXT, decoder=DECODERS["gru"])]).build(), "cannot be part of another"),
    (lambda: built().generate("a", max_new_tokens=0), "max_new_tokens must be a positive integer, received 0"),
    (lambda: built().generate("a", temperature=-1), "temperature must be a number from 0"),
    (lambda: built().generate("a", top_k=0), r"top_k must be a positive integer, received 0\n  hint: use top_k=10"),
    (lambda: built().generate("a", seed=-1), "seed must be"),
    (lambda: built().generate("a", seed=2**31), "seed must be"),
    (lambda: built().generate(3), "generate: text: expected a list of texts, received int 3"),
    (lambda: built().log_likelihood(3), "expected a list of texts, received int 3"),
    (
        lambda: dk.LanguageModel(dk.Text(9), decoder=DECODERS["gru"]).build().generate(),
        r"has no vocabulary yet\n  hint: call dk.fit",
    ),
    (
        lambda: dk.fit(dk.LanguageModel(dk.Text(9), decoder=DECODERS["gru"]), np.zeros((4, 3)), verbose=0),
        "expected strings .* received float32",
    ),
    (
        lambda: dk.fit(dk.LanguageModel(dk.Text(9), decoder=DECODERS["gru"]), "one long text", verbose=0),
        r"hint: pass a list of texts; pieces of a long text are \[text\[i : i \+ 200\]",
    ),
]


def test_a_text_that_the_text_layer_cuts_at_its_end_is_refused():
    layer = {"output_sequence_length": 2, "vocabulary": ("a", "b")}
    models = {
        truncating: dk.LanguageModel(
            dk.Text(9, truncating=truncating, **layer), embedding_dim=4, decoder=dk.Recurrent("gru", 4)
        ).build()
        for truncating in ("post", "pre")
    }
    with pytest.raises(ValueError, match=r"at most 2 tokens, .* received 3\n  hint: pass the last tokens only"):
        models["post"].generate(["a", "a b b"])
    assert models["post"].generate("a b", max_new_tokens=2, seed=0).startswith("a b")
    assert models["pre"].generate("a b b", max_new_tokens=2, seed=0).startswith("a b b")


@pytest.mark.parametrize(("call", "text"), INVALID)
def test_invalid_arguments_are_refused(call, text):
    with pytest.raises((ValueError, TypeError), match=text):
        call()
