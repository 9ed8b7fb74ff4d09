from __future__ import annotations

import numpy as np
import pytest
from keras import layers

import deepkit as dk
from recipes.basics import convolution as recipe


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_the_numbers_of_weights_are_exact():
    assert list(recipe.count_weights().values()) == [1_600_000_000, 2_500, 456]


def test_a_fully_connected_layer_has_a_weight_for_each_pair():
    layer = layers.Dense(400, use_bias=False)
    layer.build((None, 20 * 20))
    assert layer.count_params() == 400 * 20 * 20


def test_worked_examples():
    outputs = recipe.worked_examples()
    assert [outputs[f"1-D output {number}"] for number in (1, 2, 3, 4)] == [1, 3, -1, -1]
    image = [[outputs[f"2-D output ({i}, {j})"] for j in (1, 2, 3)] for i in (1, 2, 3)]
    assert image == [[4, 3, 4], [2, 4, 3], [2, 3, 4]]
    assert [[outputs[f"max pooling ({i}, {j})"] for j in (1, 2)] for i in (1, 2)] == [[6, 8], [3, 4]]
    assert all(outputs[metric] == value for metric, (value, *_) in recipe.PRINTED.items() if metric in outputs)


def test_convolution_equals_the_loop(rng):
    differences = recipe.compare_with_loops(rng)
    assert len(differences) == 3
    assert max(differences.values()) < 1e-12


def test_the_loop_is_the_formula_of_the_notes(rng):
    x, w = rng.normal(size=(6, 5, 3)), rng.normal(size=(2, 3, 3, 4))
    windows = np.lib.stride_tricks.sliding_window_view(x, (2, 3), axis=(0, 1))  # (rows, columns, channels, 2, 3)
    np.testing.assert_allclose(recipe.convolve_by_loop(x, w), np.einsum("ijcab,abcm->ijm", windows, w))


def test_flipped_filters_and_shifted_images(rng):
    assert max(recipe.flip_and_shift(rng).values()) < 1e-12


def test_random_filters_ignore_a_constant_image(rng):
    filters = recipe.random_filters(5, rng)
    assert filters.shape == (3, 3, 1, 5)
    np.testing.assert_allclose(recipe.convolve(np.ones((6, 6, 1)), filters), 0, atol=1e-6)


def test_the_change_under_a_shift_decreases_with_the_stride(rng):
    images = np.zeros((20, 28, 28, 1), "float32")
    images[:, 6:22, 6:22, 0] = np.kron(rng.integers(2, size=(20, 4, 4)), np.ones((4, 4)))  # strokes of four pixels
    changes = recipe.shift_changes(images, recipe.random_filters(4, rng))
    assert set(changes) == {(pooling, windows) for pooling in recipe.POOLINGS for windows in recipe.WINDOWS}
    for values in changes.values():
        assert values[0] > values[-1] > 0
    first = {changes[pooling, "side by side"][0] for pooling in recipe.POOLINGS}
    assert max(first) - min(first) < 1e-5  # windows of one element are no pooling


def test_the_figures_draw_recorded_curves_and_the_gallery():
    curve = dk.recipe.Curve(recipe.STRIDES, (0.6, 0.5, 0.4, 0.3))
    curves = {f"{pooling}, {windows}": curve for pooling in recipe.POOLINGS for windows in recipe.WINDOWS}
    results = [dk.recipe.Result(measured={}, data="", curves=curves)] * 2
    (figure,) = recipe.draw_curves(recipe.Config(), results).values()
    assert len(figure.axes) == 2
    (figure,) = recipe.draw(recipe.Config(), results).values()
    assert [axes.get_title() for axes in figure.axes] == ["photograph", *recipe.GALLERY]


def test_the_gallery_has_room_for_another_filter(monkeypatch):
    monkeypatch.setitem(recipe.GALLERY, "5x5 blur", np.ones((5, 5)) / 25)
    (figure,) = recipe.draw(recipe.Config(), []).values()
    visible = [axes.get_title() for axes in figure.axes if axes.get_visible()]
    assert visible == ["photograph", *recipe.GALLERY]


@pytest.mark.slow
def test_pooling_reduces_the_change_of_digits():
    measured = recipe.train(recipe.Config(num_images=200)).measured
    for pooling in recipe.POOLINGS:
        changes = [measured[f"change, {pooling} pooling, stride {stride}"] for stride in (2, 8)]
        assert measured["change without pooling"] > changes[0] > changes[1]
