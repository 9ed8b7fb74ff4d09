"""Attention: the figure shows the weights, with the tokens on the axes."""

import keras
import numpy as np
import pytest

import deepkit as dk

WEIGHTS = np.random.default_rng(0).dirichlet(np.ones(4), size=(2, 3)).astype("float32")  # (heads, queries, keys)
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


def test_weights_of_image_regions_are_drawn_over_the_image():
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


@pytest.mark.parametrize(("shape", "panels"), [((), 1), ((3,), 3), ((2, 3), 6)])
def test_regions_may_be_rows_and_columns(shape, panels):
    weights = np.random.default_rng(0).random((*shape, 4, 4)).astype("float32")
    image = np.ones((8, 8, 3))
    flat = weights.reshape(*(shape or [1]), 16)
    figures = [dk.visualize.attention(values, image=image, grid=(4, 4)) for values in (weights, flat)]
    drawn = [[np.asarray(axes.images[1].get_array()) for axes in figure.axes] for figure in figures]
    assert len(drawn[0]) == panels
    np.testing.assert_array_equal(*drawn)


def test_a_single_row_of_regions_is_not_flattened():
    weights = np.random.default_rng(0).random((2, 1, 6))
    figure = dk.visualize.attention(weights, image=np.ones((4, 24, 1)), grid=(1, 6))
    assert [axes.get_ylabel() for axes in figure.axes] == ["head 1", "head 2"]


def test_weights_over_a_feature_map_are_drawn_as_the_block_returns_them():
    block = dk.MultiHeadAttention(2, return_weights=True)
    queries, keys = keras.Input((3, 4)), keras.Input((5, 6, 4))
    weights = keras.Model([queries, keys], block([queries, keys])[1])([np.ones((1, 3, 4)), np.ones((1, 5, 6, 4))])
    figure = dk.visualize.attention(weights[0], image=np.ones((10, 12, 1)), grid=(5, 6), target=["a", "b", "c"])
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", "c"] * 2


def test_tensors_are_accepted():
    [axes] = dk.visualize.attention(keras.ops.convert_to_tensor(WEIGHTS[0], "bfloat16")).axes
    np.testing.assert_allclose(axes.images[0].get_array(), WEIGHTS[0], atol=1e-2)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            {"weights": WEIGHTS[None]},
            r"received \(1, 2, 3, 4\)\n  hint: pass weights\[0\], the weights of the first example, or",
        ),
        (
            {"weights": np.ones(3)},
            r"expected weights \(queries, keys\) or \(heads, queries, keys\), received \(3,\)",
        ),
        (
            {"source": SOURCE[:2]},
            r"source has 2 tokens, and the weights have 4 keys\n  hint: pass weights\[\.\.\., :2\] if",
        ),
        (
            {"target": TARGET[:2]},
            r"target has 2 tokens, and the weights have 3 queries\n  hint: pass weights\[\.\.\., :2, :\]",
        ),
        ({"source": [*SOURCE, "!"]}, "source has 5 tokens, and the weights have 4 keys$"),
        (
            {"source": "the big cat ."},
            r"expected source as a sequence of tokens, received one text\n"
            r"  hint: use source='the big cat \.'\.split\(\)",
        ),
        ({"image": np.ones((4, 4))}, r"expected an image \(rows, columns, channels\), received shape \(4, 4\)"),
        ({"image": np.ones((4, 4, 1)), "grid": (3, 2)}, "a grid of 3 by 2 has 6 regions, the weights have 4 keys"),
        (
            {"weights": np.ones((7, 7)), "image": np.ones((28, 28, 1))},
            r"the axes of 7 by 7 are ambiguous: queries and keys, or rows and columns\n"
            r"  hint: pass grid=\(7, 7\) for rows and columns, or grid=\((1, 7|7, 1)\) for 7 queries",
        ),
        ({"weights": np.ones((3, 4, 4)), "image": np.ones((28, 28, 1))}, r"or grid=\(2, 2\) for 4 queries"),
        (
            {"weights": np.ones((2, 3, 4, 4)), "image": np.ones((28, 28, 1))},
            r"received \(2, 3, 4, 4\)\n  hint: pass grid=\(4, 4\) for regions in rows and columns, "
            r"or weights\[0\], the weights of",
        ),
        (
            {"weights": np.ones((1, 2, 3, 4, 4)), "image": np.ones((28, 28, 1)), "grid": (4, 4)},
            r"received \(1, 2, 3, 4, 4\)\n  hint: pass weights\[0\], the weights of the first example$",
        ),
    ],
)
def test_invalid_arguments_raise(arguments, expected):
    with pytest.raises(ValueError, match=expected):
        dk.visualize.attention(**{"weights": WEIGHTS} | arguments)


def test_a_single_head_over_an_image_has_rows_of_seven_panels():
    figure = dk.visualize.attention(
        np.full((9, 4), 0.25), image=np.ones((8, 8, 3)), grid=(2, 2), target=list("abcdefghi")
    )
    tops = [round(axes.get_position().y1, 3) for axes in figure.axes]
    assert len(figure.axes) == 9
    assert [axes.get_title() for axes in figure.axes] == list("abcdefghi")
    assert (len(set(tops[:7])), len(set(tops[7:]))) == (1, 1)
    assert tops[7] < tops[6]
