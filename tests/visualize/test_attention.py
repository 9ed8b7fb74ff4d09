"""Attention: the drawn matrix is the given one, with its tokens on the axes."""

import numpy as np
import pytest

import deepkit as dk

WEIGHTS = np.random.default_rng(0).dirichlet(np.ones(4), size=(2, 3)).astype("float32")  # (heads, queries, places)
SOURCE, TARGET = ["the", "big", "cat", "."], ["die", "Katze", "."]


def labels(ticks):
    return [tick.get_text() for tick in ticks]


def test_one_matrix_is_one_panel_with_tokens():
    [axes] = dk.visualize.attention(WEIGHTS[0], source=SOURCE, target=TARGET).axes
    np.testing.assert_array_equal(axes.images[0].get_array(), WEIGHTS[0])
    assert labels(axes.get_xticklabels()) == SOURCE
    assert labels(axes.get_yticklabels()) == TARGET


def test_heads_are_a_row_of_panels():
    figure = dk.visualize.attention(WEIGHTS, source=SOURCE, target=TARGET)
    assert [axes.get_title() for axes in figure.axes] == ["head 1", "head 2"]
    for axes, head in zip(figure.axes, WEIGHTS, strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), head)
    assert labels(figure.axes[1].get_yticklabels()) == []


def test_places_of_an_image_are_laid_over_it():
    weights = np.zeros((2, 6), "float32")
    weights[0, 0] = weights[1, 5] = 1
    figure = dk.visualize.attention(weights, image=np.ones((20, 30, 3)), target=["a", "cat"])
    assert [axes.get_title() for axes in figure.axes] == ["a", "cat"]
    first, second = (np.asarray(axes.images[1].get_array()) for axes in figure.axes)
    assert first.shape == (20, 30)
    assert first[0, 0] == second[-1, -1] == 1
    assert first[10:].max() < 0.5
    assert first[:, 10:].max() < 0.5
    tall = dk.visualize.attention(weights, image=np.ones((20, 30, 3)), grid=(6, 1)).axes[0].images[1].get_array()
    assert np.ptp(tall[0]) == 0
    assert len(dk.visualize.attention(np.full((20, 4), 0.25), image=np.ones((4, 4, 1))).axes) == 16


def test_tensors_are_taken_too():
    import keras

    [axes] = dk.visualize.attention(keras.ops.convert_to_tensor(WEIGHTS[0], "bfloat16")).axes
    np.testing.assert_allclose(axes.images[0].get_array(), WEIGHTS[0], atol=1e-2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"weights": WEIGHTS[None]}, r"received \(1, 2, 3, 4\)\n  try weights\[0\], those of the first example"),
        (
            {"weights": np.ones(3)},
            r"expected weights \(queries, places\) or \(heads, queries, places\), received \(3,\)",
        ),
        (
            {"source": SOURCE[:2]},
            r"source has 2 tokens, and the weights have 4 places\n  try weights\[\.\.\., :2\], where",
        ),
        (
            {"target": TARGET[:2]},
            r"target has 2 tokens, and the weights have 3 queries\n  try weights\[\.\.\., :2, :\]",
        ),
        ({"source": [*SOURCE, "!"]}, "source has 5 tokens, and the weights have 4 places$"),
        ({"source": "the big cat ."}, r"source is one text\n  try source='the big cat \.'\.split\(\)"),
        ({"image": np.ones((4, 4))}, r"expected an image \(rows, columns, channels\), received shape \(4, 4\)"),
        ({"image": np.ones((4, 4, 1)), "grid": (3, 2)}, "a grid of 3 by 2 has 6 places, not 4"),
    ],
)
def test_what_does_not_fit_is_said(arguments, words):
    with pytest.raises(ValueError, match=words):
        dk.visualize.attention(**{"weights": WEIGHTS} | arguments)
