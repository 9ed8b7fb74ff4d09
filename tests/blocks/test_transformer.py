"""Transformer stacks compared with their equations in NumPy, with masks, without a memory and with one."""

import re

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk

HEADS, WIDTH = 2, 6


def random_array(*shape):
    return np.random.default_rng(len(shape) + sum(shape)).normal(size=shape).astype("float32")


def randomized(model):
    """Return a model whose biases and gains are random numbers too."""
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(scale=0.5, size=weight.shape) for weight in model.get_weights()])
    return model


class Equations:
    """The equations of Vaswani et al. 2017, sections 3.1 to 3.3, with the weights of a model."""

    def __init__(self, model, normalize_first):
        paths = [re.sub(r"^transformer_decoder\d+\.", "", weight.path) for weight in model.weights]
        self.weights = dict(zip(paths, map(np.asarray, model.weights), strict=True))
        self.normalize_first = normalize_first

    def __call__(self, x, memory=None, *, causal, num_layers):
        for i in range(num_layers):
            layer = f"layer{i + 1}" if num_layers > 1 else "layer"
            mask = np.tril(np.ones((x.shape[1], x.shape[1]))) if causal else None
            x = self.part(x, f"{layer}.attention", lambda y, name, mask=mask: self.attention(y, y, name, mask))
            if memory is not None:
                x = self.part(x, f"{layer}.cross_attention", lambda y, name: self.attention(y, memory, name))
            x = self.part(x, f"{layer}.feed_forward", self.network)
        return self.norm(x, "norm") if self.normalize_first else x

    def part(self, x, name, function):
        if self.normalize_first:
            return x + function(self.norm(x, f"{name}_norm"), name)
        return self.norm(x + function(x, name), f"{name}_norm")

    def norm(self, x, name):
        centered = x - x.mean(-1, keepdims=True)
        scaled = centered / np.sqrt((centered**2).mean(-1, keepdims=True) + 1e-5)
        return scaled * self.weights[f"{name}/gamma"] + self.weights[f"{name}/beta"]

    def attention(self, query, memory, name, mask=None):
        def project(x, kind):
            kernel, bias = (self.weights[f"{name}.heads/{kind}/{part}"] for part in ("kernel", "bias"))
            return np.einsum("btf,fhk->bhtk", x, kernel) + bias[:, None]

        q, k, v = project(query, "query"), project(memory, "key"), project(memory, "value")
        scores = np.einsum("bhik,bhjk->bhij", q, k) / np.sqrt(q.shape[-1])
        if mask is not None:
            scores = np.where(mask, scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        means = np.einsum("bhij,bhjk->bihk", weights / weights.sum(-1, keepdims=True), v)
        output = (self.weights[f"{name}.heads/attention_output/{part}"] for part in ("kernel", "bias"))
        kernel, bias = output
        return np.einsum("bihk,hkf->bif", means, kernel) + bias

    def network(self, x, name):
        hidden = x @ self.weights[f"{name}.hidden/kernel"] + self.weights[f"{name}.hidden/bias"]
        return np.maximum(hidden, 0) @ self.weights[f"{name}.dense/kernel"] + self.weights[f"{name}.dense/bias"]


@pytest.mark.parametrize("normalize_first", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_an_encoder_equals_the_equations(normalize_first, num_layers):
    block = dk.TransformerEncoder(HEADS, num_layers=num_layers, normalize_first=normalize_first)
    model = randomized(block.build((5, WIDTH)))
    x = random_array(3, 5, WIDTH)
    expected = Equations(model, normalize_first)(x, causal=False, num_layers=num_layers)
    np.testing.assert_allclose(model(x), expected, atol=1e-5)


@pytest.mark.parametrize("normalize_first", [False, True])
@pytest.mark.parametrize("has_memory", [False, True])
def test_a_decoder_equals_the_equations(normalize_first, has_memory):
    sequence, memory = keras.Input((5, WIDTH)), keras.Input((4, 3))
    block = dk.TransformerDecoder(HEADS, num_layers=2, intermediate_dim=7, normalize_first=normalize_first)
    inputs = [sequence, memory] if has_memory else sequence
    model = randomized(keras.Model([sequence, memory], block(inputs)))
    x, values = random_array(3, 5, WIDTH), random_array(3, 4, 3)
    equations = Equations(model, normalize_first)
    expected = equations(x, values if has_memory else None, causal=True, num_layers=2)
    np.testing.assert_allclose(model([x, values]), expected, atol=1e-5)


def test_a_step_of_a_decoder_does_not_depend_on_later_ones():
    model = dk.TransformerDecoder(HEADS, num_layers=2).build((None, WIDTH))
    x = random_array(2, 6, WIDTH)
    np.testing.assert_allclose(model(x)[:, :4], model(x[:, :4]), atol=1e-6)


@pytest.mark.parametrize("padding", [(0, 3), (3, 0)])
@pytest.mark.parametrize("kind", ["sinusoidal", "learned"])
def test_a_masked_sequence_equals_a_truncated_one(padding, kind):
    positions = dk.layers.PositionEmbedding(kind, max_length=8 if kind == "learned" else None)
    stacks = [dk.TransformerEncoder(HEADS, dropout=0.1), dk.TransformerDecoder(HEADS, normalize_first=True)]
    embedding = layers.Embedding(9, WIDTH, mask_zero=True)
    model = dk.Sequential([embedding, positions, *stacks, dk.Classifier(3, pool="avg")]).build((None,))
    ids = np.random.default_rng(0).integers(1, 9, (4, 5))
    np.testing.assert_allclose(model(np.pad(ids, ((0, 0), padding))), model(ids), atol=1e-6)


def test_a_masked_memory_equals_a_truncated_one():
    words, source = keras.Input((5, WIDTH)), keras.Input((None, 4))
    model = keras.Model([words, source], dk.TransformerDecoder(HEADS)([words, layers.Masking()(source)]))
    x, memory = random_array(2, 5, WIDTH), random_array(2, 3, 4)
    padded = np.pad(memory, ((0, 0), (0, 2), (0, 0)))
    np.testing.assert_allclose(model([x, padded]), model([x, memory]), atol=1e-6)


def test_a_feature_map_is_a_memory():
    words, image = keras.Input((20, 8)), keras.Input((7, 7, 16))
    assert dk.TransformerDecoder(4)([words, image]).shape == (None, 20, 8)


def test_the_base_model_of_the_paper_has_its_number_of_weights():
    # six layers of width 512 with 8 heads: four projections, a network of 2,048 units and two normalizations each
    encoder = 6 * (4 * (512**2 + 512) + 512 * 2048 + 2048 + 2048 * 512 + 512 + 2 * 2 * 512)
    assert dk.TransformerEncoder(8, num_layers=6).build((None, 512)).count_params() == encoder


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: dk.TransformerEncoder(0), "num_heads must be a positive integer, received 0"),
        (lambda: dk.TransformerEncoder(4).build((8,)), "expected a sequence (time, features) of known width"),
        (lambda: dk.TransformerEncoder(4).build((8, 8, 3)), "expected a sequence (time, features) of known width"),
        (lambda: dk.TransformerEncoder(4).build((5, 6)), "4 heads do not divide the width of the query, 6"),
        (lambda: dk.TransformerEncoder(4).build((5, 6)), "hint: use 3 heads, a multiple of 4 as the width"),
        (lambda: dk.TransformerDecoder(1)([keras.Input((5, 6))] * 3), "received 3 tensors"),
        (lambda: dk.TransformerDecoder(1)([keras.Input((5, 6)), keras.Input((6,))]), "or a feature map"),
    ],
)
def test_wrong_inputs_raise(make, text):
    with pytest.raises(dk.DefinitionError) as caught:
        make()
    assert text in str(caught.value)
