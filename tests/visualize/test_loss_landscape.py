"""Loss landscapes: exact values, directions, paths, restored weights and random states, errors."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from numpy.testing import assert_allclose, assert_array_equal

import deepkit as dk
from deepkit.visualize import arrays
from deepkit.visualize.loss_plane import _random_direction

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(30, 2)).astype("float32")
Y = (X @ [2.0, -1.0] + 0.3).astype("float32")
AXES = ([np.array([[1.0], [0.0]])], [np.array([[0.0], [1.0]])])


def linear(weights=(2.0, -1.0), **kwargs):
    """Return a linear model of two features without a bias."""
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1, use_bias=False, **kwargs)], name="linear")
    model.set_weights([np.array(weights, "float32")[:, None]])
    model.compile("sgd", "mse")
    return model


def squared_error(a, b):
    return np.mean((X @ [2.0 + a, -1.0 + b] - Y) ** 2)


def random_numbers():
    """Return the next numbers of all global random states."""
    draws = random.random(), np.random.random(), keras.random.normal((1,)), tf.random.normal((1,))
    return [float(np.squeeze(draw)) for draw in draws]


@pytest.mark.parametrize(
    "data", [(X, Y), dk.data.from_arrays(X, Y, batch_size=8), [(X[:20], Y[:20]), (X[20:], Y[20:])]]
)
def test_the_landscape_of_a_quadratic_is_exact(data):
    plane = arrays.loss_landscape(linear(), data, directions=AXES, resolution=5, extent=2)
    assert_array_equal(plane.a, [-2, -1, 0, 1, 2])
    expected = [[squared_error(a, b) for a in plane.a] for b in plane.b]
    assert_allclose(plane.losses, expected, rtol=1e-5)
    assert_allclose(plane.center_loss, squared_error(0, 0), rtol=1e-5)


def test_weight_penalties_are_a_part_of_the_loss():
    model = linear(kernel_regularizer=keras.regularizers.L2(0.1))
    for loss in (None, "mse"):
        plane = arrays.loss_landscape(model, (X, Y), loss=loss, directions=AXES, resolution=3)
        penalty = 0.1 * ((2 + plane.a[None]) ** 2 + (plane.b[:, None] - 1) ** 2)
        expected = np.array([[squared_error(a, b) for a in plane.a] for b in plane.b]) + penalty
        assert_allclose(plane.losses, expected, rtol=1e-5)


def test_random_directions_have_the_norm_of_each_filter():
    model = keras.Sequential([keras.Input((6, 6, 2)), layers.Conv2D(3, 3), layers.DepthwiseConv2D(2)])
    model.add(layers.Conv2DTranspose(4, 2))
    model.add(layers.Flatten())
    model.add(layers.Dense(5))
    conv, depthwise, transposed, dense = (
        (values, np.asarray(layer.kernel))
        for layer, values in zip(
            [model.layers[i] for i in (0, 1, 2, 4)],
            _random_direction(model, np.random.default_rng(0))[::2],
            strict=True,
        )
    )
    for (values, kernel), axes in ((conv, (0, 1, 2)), (depthwise, (0, 1)), (transposed, (0, 1, 3)), (dense, 0)):
        norms = [np.sqrt(np.sum(array**2, axis=axes)) for array in (values, kernel)]
        assert_allclose(*norms, rtol=1e-5)
    biases = _random_direction(model, np.random.default_rng(0))[1::2]
    assert all(not bias.any() for bias in biases)


def test_a_seed_determines_the_random_directions():
    planes = [arrays.loss_landscape(linear(), (X, Y), resolution=3, seed=seed) for seed in (1, 1, 2)]
    assert_array_equal(planes[0].losses, planes[1].losses)
    assert not np.array_equal(planes[0].losses, planes[2].losses)


def test_a_path_lies_in_the_plane_of_its_principal_components():
    steps = [[np.array([[2.0 + a], [-1.0 + b]], "float32")] for a, b in ((-3, 1), (-1, 1.5), (-0.5, 0.2), (0, 0))]
    model = linear()
    plane = arrays.loss_landscape(model, (X, Y), path=steps, resolution=4)
    flat = [np.concatenate([value.reshape(-1) for value in direction]) for direction in plane.directions]
    assert_allclose(np.array(flat) @ np.array(flat).T, np.eye(2), atol=1e-12)
    offsets = plane.path @ np.array(flat)
    assert_allclose(offsets, [[-3, 1], [-1, 1.5], [-0.5, 0.2], [0, 0]], atol=1e-6)
    assert_allclose(plane.explained_variance.sum(), 1)
    assert plane.a[0] < plane.path[:, 0].min() < plane.path[:, 0].max() < plane.a[-1]
    points = [[squared_error(*(a * flat[0] + b * flat[1])) for a in plane.a] for b in plane.b]
    assert_allclose(plane.losses, points, rtol=1e-4)
    figure = dk.visualize.loss_landscape(model, (X, Y), path=steps, resolution=4)
    [path, start, star] = figure.axes[0].lines
    assert_allclose(path.get_xydata(), plane.path)
    assert_allclose(start.get_xydata(), plane.path[:1])
    assert_allclose(star.get_xydata(), [[0, 0]])
    assert figure.axes[0].get_xlabel() == f"Component 1 ({plane.explained_variance[0]:.1%} of the variance)"
    assert "with 4 points of the path of an optimizer" in figure.alt_text


def test_a_path_is_projected_onto_other_directions():
    steps = [[np.array([[1.0], [4.0]])], [np.array([[2.0], [-1.0]])]]
    oblique = ([np.array([[1.0], [0.0]])], [np.array([[1.0], [1.0]])])
    plane = arrays.loss_landscape(linear(), (X, Y), path=steps, directions=oblique, resolution=3)
    assert_allclose(plane.path, [[-6, 5], [0, 0]], atol=1e-9)
    assert plane.explained_variance is None


def test_the_callback_records_the_path_of_the_optimizer():
    path = dk.visualize.WeightPath(every=2)
    model = linear((0.0, 0.0))
    model.run_eagerly = True
    before = model.get_weights()
    model.fit(X, Y, epochs=5, verbose=0, callbacks=[path])
    assert len(path.weights) == 3
    assert_array_equal(path.weights[0][0], before[0])
    model.fit(X, Y, epochs=1, verbose=0, callbacks=[path])
    assert len(path.weights) == 1
    with pytest.raises(ValueError, match="WeightPath: every must be a positive integer, received 0"):
        dk.visualize.WeightPath(every=0)


@pytest.mark.slow
def test_a_resumed_run_continues_its_path(tmp_path):
    def train(epochs, directory):
        path = dk.visualize.WeightPath()
        dk.fit(dk.Regressor(), (X, Y), epochs=epochs, verbose=0, run_dir=directory, callbacks=[path])
        return path.weights

    whole = train(3, tmp_path / "whole")
    train(2, tmp_path / "resumed")
    resumed = train(3, tmp_path / "resumed")
    assert len(resumed) == 4
    for expected, weights in zip(whole, resumed, strict=True):
        for left, right in zip(expected, weights, strict=True):
            assert_array_equal(left, right)


def test_weights_and_random_states_are_unchanged():
    keras.utils.set_random_seed(0)
    net = dk.Sequential([dk.MLP([4], norm="batch", dropout=0.5), dk.Regressor()])
    model = net.build((2,))
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *model.optimizer.variables]
    values = [variable.numpy() for variable in variables]
    keras.utils.set_random_seed(1)
    expected = random_numbers()
    keras.utils.set_random_seed(1)
    dk.visualize.loss_landscape(model, (X, Y), resolution=3)
    assert random_numbers() == expected
    for value, variable in zip(values, variables, strict=True):
        assert_array_equal(variable.numpy(), value)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_weights_are_restored_after_an_error(error):
    calls = []

    def failing(y_true, y_pred):
        calls.append(1)
        if len(calls) == 4:
            raise error("stop")
        return keras.losses.mean_squared_error(y_true, y_pred)

    model = linear()
    model.run_eagerly = True
    before = model.get_weights()
    with pytest.raises(error, match="stop"):
        dk.visualize.loss_landscape(model, (X, Y), loss=failing, resolution=3)
    assert len(calls) == 4
    assert_array_equal(model.get_weights()[0], before[0])


def test_frozen_layers_do_not_move():
    model = dk.Sequential([dk.MLP([3]), dk.Regressor()]).build((2,))
    model.layers[1].trainable = False
    plane = arrays.loss_landscape(model, (X, Y), loss="mse", resolution=2)
    assert [value.shape for value in plane.directions[0]] == [(3, 1), (1,)]


def test_losses_that_are_not_finite_or_equal_are_drawn():
    def root(y_true, y_pred):
        return keras.ops.sqrt(keras.ops.mean(y_pred))

    plane = arrays.loss_landscape(linear(), (X, Y), loss=root, resolution=4, extent=3)
    assert 0 < np.isnan(plane.losses).sum() < plane.losses.size
    figure = dk.visualize.loss_landscape(linear(), (X, Y), loss=root, resolution=4, extent=3)
    assert len(figure.axes) == 2
    with pytest.raises(ValueError, match="the loss is NaN or infinite everywhere in the plane"):
        dk.visualize.loss_landscape(linear(), (X, Y), loss=lambda y, p: np.nan * p, resolution=2)
    constant = dk.visualize.loss_landscape(linear(), (X, Y), loss=lambda y, p: 0 * p, resolution=3)
    assert len(constant.axes) == 1


def test_wrong_arguments_raise():
    model = linear()
    step = model.get_weights()

    def landscape(net=model, **kwargs):
        return dk.visualize.loss_landscape(net, (X, Y), **kwargs)

    with pytest.raises(ValueError, match='directions="path" needs the path of an optimizer, received path=None'):
        landscape(directions="path")
    with pytest.raises(
        ValueError, match=r'directions must be two lists of arrays, received \'pca\'\n  hint: use "random"'
    ):
        landscape(directions="pca")
    with pytest.raises(ValueError, match=r"expected directions of the shapes \[\(2, 1\)\], received \[\(3,\)\]"):
        landscape(directions=([np.ones(3)], [np.ones(3)]))
    with pytest.raises(ValueError, match="the two directions are parallel or zero"):
        landscape(directions=(AXES[0], AXES[0]))
    with pytest.raises(ValueError, match=r"a filter whose weights are 0 does not move"):
        landscape(linear((0.0, 0.0)))
    with pytest.raises(ValueError, match=r"the weights of all 2 points of the path lie on a line"):
        landscape(path=[step, [step[0] + 1]])
    with pytest.raises(
        ValueError, match=r"expected weights of the shapes .* at point 1 of the path, received \[\(2,\)\]"
    ):
        landscape(path=[step, [np.ones(2)]])
    with pytest.raises(
        ValueError, match=r"expected a path of at least one point.*\n  hint: pass a dk.visualize.Weight"
    ):
        landscape(path=dk.visualize.WeightPath())
    with pytest.raises(ValueError, match="extent must be a number above 0, received 0"):
        landscape(extent=0)
    with pytest.raises(ValueError, match=r"does not have a loss.*\n  hint: pass loss='mse'"):
        landscape(dk.Regressor().build((2,)))
    with pytest.raises(ValueError, match="expected finite weights, linear has weights that are NaN"):
        landscape(linear((np.nan, 1.0)))
    frozen = linear()
    frozen.trainable = False
    with pytest.raises(ValueError, match="expected a model with trainable weights, linear has none"):
        landscape(frozen)
    with pytest.raises(ValueError, match="loss_landscape: expected a label for each example"):
        dk.visualize.loss_landscape(model, (X, Y[:5]))
    with pytest.raises(TypeError, match="without labels"):
        dk.visualize.loss_landscape(model, [X])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"loss": "nope"}, "the loss 'nope' does not fit inputs and labels"),
        ({"loss": "categorical_crossentropy"}, "the loss 'categorical_crossentropy' does not fit"),
        ({"data": (np.eye(3), [0, 1, 0])}, "does not fit inputs and labels <ndarray of shape \\(3, 3\\)"),
        ({"data": (np.eye(2), ["a", "b"])}, "does not fit inputs and labels"),
        ({"data": (np.full((2, 2), np.nan), [0, 1])}, "expected finite numbers as inputs"),
        ({"directions": (1, 2)}, "expected directions of the shapes"),
        ({"directions": ([np.full((2, 2), np.nan), np.ones(2)],) * 2}, "expected finite directions"),
        ({"path": [[np.full((2, 2), np.nan), np.ones(2)]] * 3}, "expected finite weights at point 0 of the path"),
    ],
)
def test_arguments_without_a_loss_raise(change, text):
    arguments = {"data": (np.eye(2), [0, 1]), "loss": "sparse_categorical_crossentropy", "resolution": 2, **change}
    with pytest.raises(ValueError, match=f"(?s)loss_landscape: .*{text}.*hint: "):
        dk.visualize.loss_landscape(dk.Classifier(2).build((2,)), **arguments)
