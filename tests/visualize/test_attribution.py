"""Grad-CAM and saliency, compared with manually computed maps and gradients."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import deepkit as dk

arrays = dk.visualize.arrays
IMAGE = np.random.default_rng(0).random((6, 8, 3)).astype("float32")


def pooled(activation=None, units=4, **dense):
    """Return a convolution, global average pooling and a dense layer: the model of class activation maps."""
    return keras.Sequential(
        [
            keras.Input((6, 8, 3)),
            layers.Conv2D(5, 3, padding="same", activation="relu", name="conv"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(units, activation=activation, name="head", **dense),
        ]
    )


def class_map(model, image, index, conv="conv", head="head"):
    """Return the class activation map: the maps, weighted with the class's weights, over the number of pixels."""
    maps = arrays.feature_maps(model, image[None], conv)[0]
    kernel = np.asarray({layer.name: layer for layer in model._flatten_layers()}[head].kernel)
    sign = -1 if index == 0 and kernel.shape[1] == 1 else 1
    weights = sign * kernel[:, 0 if kernel.shape[1] == 1 else index]
    return np.maximum(maps @ weights, 0) / (maps.shape[0] * maps.shape[1])


@pytest.mark.parametrize("activation", [None, "softmax", "sigmoid"])
def test_grad_cam_equals_the_class_activation_map_of_a_pooled_network_for_all_heads(activation):
    model = pooled(activation)
    for index in range(4):
        np.testing.assert_allclose(
            arrays.grad_cam(model, IMAGE, class_index=index), class_map(model, IMAGE, index), atol=1e-7
        )
    predicted = int(np.argmax(model.predict_on_batch(IMAGE[None])))
    np.testing.assert_array_equal(
        arrays.grad_cam(model, IMAGE), arrays.grad_cam(model, IMAGE, layer="conv", class_index=predicted)
    )


def test_a_probability_near_1_does_not_reduce_the_heat_map():
    model = pooled("softmax")
    model.layers[-1].set_weights([100 * np.asarray(model.layers[-1].kernel), 100 * np.ones(4)])
    heat = arrays.grad_cam(model, IMAGE)
    assert model.predict_on_batch(IMAGE[None]).max() > 0.99
    index = int(model.predict_on_batch(IMAGE[None]).argmax())
    np.testing.assert_allclose(heat, class_map(model, IMAGE, index), rtol=1e-5, atol=1e-7)


def test_the_score_of_class_0_is_minus_that_of_class_1_in_a_binary_model():
    model = pooled("sigmoid", units=1)
    for index in (0, 1):
        np.testing.assert_allclose(
            arrays.grad_cam(model, IMAGE, class_index=index), class_map(model, IMAGE, index), atol=1e-7
        )
    with pytest.raises(ValueError, match=r"expected class_index in \[0, 2\), received 2"):
        arrays.grad_cam(model, IMAGE, class_index=2)


def with_separate_activation(end):
    model = pooled()
    return keras.Model(model.inputs, end(model.outputs[0]))


@pytest.mark.parametrize(
    "end",
    [
        layers.Softmax(),
        layers.Activation("softmax"),
        ops.softmax,
        lambda x: layers.Activation("linear", dtype="float32")(layers.Softmax()(x)),
        lambda x: layers.Dropout(0.5)(layers.Activation("softmax")(x)),
    ],
    ids=["layer", "activation", "operation", "then cast", "then dropout"],
)
def test_the_scores_are_the_input_of_a_separate_softmax(end):
    model = with_separate_activation(end)
    np.testing.assert_allclose(arrays.grad_cam(model, IMAGE, class_index=1), class_map(model, IMAGE, 1), atol=1e-7)


def test_a_softmax_inside_a_custom_layer_gives_the_gradient_of_the_log_probability():
    class Hidden(layers.Layer):
        def call(self, x):
            return ops.softmax(2.0 * x)

    model = with_separate_activation(Hidden(name="hidden"))
    probabilities = model.predict_on_batch(IMAGE[None])[0]
    kernel = np.asarray(model.get_layer("head").kernel)
    maps = arrays.feature_maps(model, IMAGE[None], "conv")[0]
    weights = 2.0 * (kernel[:, 2] - kernel @ probabilities)
    expected = np.maximum(maps @ weights, 0) / 48
    np.testing.assert_allclose(arrays.grad_cam(model, IMAGE, class_index=2), expected, atol=1e-6)


def test_grad_cam_works_with_a_nested_base_model_and_preprocessing():
    base = keras.Sequential(
        [keras.Input((6, 8, 3)), layers.Conv2D(5, 3, padding="same", activation="relu", name="conv")], name="base"
    )
    base.trainable = False
    parts = [
        keras.Input((6, 8, 3)),
        layers.Rescaling(1 / 255),
        base,
        layers.GlobalAveragePooling2D(),
        layers.Dense(3, "softmax", name="head"),
    ]
    model = keras.Sequential(parts)
    image = (255 * IMAGE).astype("uint8")
    for layer in (None, "conv", "base/conv", "base"):
        np.testing.assert_allclose(
            arrays.grad_cam(model, image, layer=layer, class_index=2), class_map(model, image, 2), atol=1e-7
        )
    twice = keras.Sequential([keras.Input((6, 8, 3)), keras.Sequential(parts[1:], name="outer")])
    np.testing.assert_allclose(
        arrays.grad_cam(twice, image, class_index=2), arrays.grad_cam(model, image, class_index=2), atol=1e-7
    )


class Subclassed(keras.Model):
    """A model without a graph."""

    def __init__(self):
        super().__init__()
        self.stages = [layers.Conv2D(5, 3, padding="same", activation="relu", name="conv")]
        self.head = layers.Dense(4, "softmax", name="head")

    def call(self, x):
        for stage in self.stages:
            x = stage(x)
        return self.head(ops.mean(x, axis=(1, 2)))


def test_a_subclassed_model_works_once_it_is_built():
    model = Subclassed()
    with pytest.raises(ValueError, match=r"is not built, so its layers have no weights\n  hint: call it on a batch"):
        dk.visualize.grad_cam(model, IMAGE)
    model(IMAGE[None])
    np.testing.assert_allclose(arrays.grad_cam(model, IMAGE, class_index=1), class_map(model, IMAGE, 1), atol=1e-7)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_gives_the_same_map_within_its_precision(policy):
    plain = pooled("softmax", dtype="float32")
    keras.config.set_dtype_policy(policy)
    mixed = pooled("softmax", dtype="float32")
    mixed.set_weights(plain.get_weights())
    heat = arrays.grad_cam(mixed, IMAGE, class_index=1)
    assert heat.dtype == np.float32
    np.testing.assert_allclose(heat, class_map(plain, IMAGE, 1), rtol=0.05, atol=0.01 * heat.max())
    slope = arrays.saliency(mixed, IMAGE, class_index=1)
    expected = arrays.saliency(plain, IMAGE, class_index=1)
    np.testing.assert_allclose(slope, expected, atol=0.1 * expected.max())


def test_small_gradients_do_not_vanish_in_half_precision():
    keras.config.set_dtype_policy("mixed_float16")
    inputs = keras.Input((64, 64, 1))
    maps = layers.Conv2D(1, 1, use_bias=False, kernel_initializer="ones", name="conv")(inputs)
    scores = layers.Dense(2, dtype="float32", kernel_initializer="ones")(layers.GlobalAveragePooling2D()(maps))
    model = keras.Model(inputs, layers.Rescaling(1e-3, dtype="float32")(scores))
    heat = arrays.grad_cam(model, np.ones((64, 64, 1)), class_index=0)
    np.testing.assert_allclose(heat, 1e-3 / 64**2, rtol=1e-2)


def test_a_smaller_map_is_resized_to_the_image():
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.AveragePooling2D(2, name="pool"), layers.Flatten()])
    model.add(layers.Dense(1, use_bias=False, kernel_initializer="ones"))
    image = np.zeros((4, 4, 1), "float32")
    image[:2, :2] = 1
    heat = arrays.grad_cam(model, image)
    np.testing.assert_allclose(heat[:, 0], [1, 0.75, 0.25, 0])
    np.testing.assert_allclose(heat, np.outer(heat[:, 0], heat[:, 0]))


def test_each_image_of_a_batch_has_its_own_map():
    model = pooled()
    batch = np.stack([IMAGE, IMAGE[::-1]])
    heat = arrays.grad_cam(model, batch)
    assert heat.shape == (2, 6, 8)
    for heat_map, image in zip(heat, batch, strict=True):
        np.testing.assert_allclose(heat_map, arrays.grad_cam(model, image), atol=1e-7)
    assert len(dk.visualize.grad_cam(model, batch).axes) == 4


def test_the_model_is_left_unchanged():
    model = pooled("softmax")
    names = [set(vars(layer)) for layer in model.layers]
    before, output = model.get_weights(), model.predict_on_batch(IMAGE[None])
    arrays.grad_cam(model, IMAGE)
    with pytest.raises(ValueError, match="class_index"):
        arrays.grad_cam(model, IMAGE, class_index=9)
    assert [set(vars(layer)) for layer in model.layers] == names
    assert model.layers[-1].activation is keras.activations.softmax
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    np.testing.assert_array_equal(model.predict_on_batch(IMAGE[None]), output)


def test_saliency_of_a_linear_model_is_its_largest_weight_over_the_channels():
    for activation in (None, "softmax"):
        model = dk.Classifier(3, activation=activation).build((6, 8, 3))
        weights = np.asarray(model.layers[-1].kernel).reshape(6, 8, 3, 3)
        for index in range(3):
            values = arrays.saliency(model, IMAGE, class_index=index)
            np.testing.assert_allclose(values, np.abs(weights[..., index]).max(-1), rtol=1e-6)
    np.testing.assert_allclose(arrays.saliency(model, IMAGE[None], num_samples=3)[0], arrays.saliency(model, IMAGE))


def test_gradients_are_averaged_before_the_absolute_value_and_the_noise_is_seeded():
    square = keras.Sequential([keras.Input((2, 2, 1)), layers.Lambda(ops.square), layers.Flatten(), layers.Dense(1)])
    square.layers[-1].set_weights([np.ones((4, 1)), np.zeros(1)])
    image = np.array([[[0.0], [1.0]], [[2.0], [4.0]]], "float32")
    plain = arrays.saliency(square, image)
    np.testing.assert_allclose(plain, 2 * image[..., 0])
    smooth = arrays.saliency(square, image, num_samples=6, noise=0.1, seed=3)
    generator = np.random.default_rng(3)
    mean_noise = np.mean([generator.standard_normal((1, 2, 2, 1), "float32") for _ in range(6)], axis=0)
    np.testing.assert_allclose(smooth, np.abs(2 * (image + 0.4 * mean_noise[0])[..., 0]), rtol=1e-4)
    np.testing.assert_array_equal(smooth, arrays.saliency(square, image, num_samples=6, noise=0.1, seed=3))


def test_the_figures_show_the_image_and_the_map():
    model = pooled()
    left, right = dk.visualize.grad_cam(model, IMAGE, class_index=1, class_names=["a", "b", "c", "d"]).axes
    assert (right.get_title(), len(left.images), len(right.images)) == ("b", 1, 2)
    np.testing.assert_allclose(right.images[1].get_array(), arrays.grad_cam(model, IMAGE, class_index=1), atol=1e-7)
    left, right = dk.visualize.saliency(model, IMAGE, class_index=1).axes
    np.testing.assert_allclose(right.images[0].get_array(), arrays.saliency(model, IMAGE, class_index=1))


@pytest.mark.parametrize(
    ("make", "arguments", "expected"),
    [
        (
            pooled,
            {"layer": "cnv"},
            r"does not have the layer 'cnv'; did you mean 'conv'\?\n  hint: use one of conv, .*head",
        ),
        (pooled, {"layer": "head"}, r"received 'head' with outputs of shape \(1, 4\)\n  hint: use layer='conv'"),
        (pooled, {"class_index": -1}, r"expected class_index in \[0, 4\), received -1"),
        (pooled, {"class_index": [7]}, r"expected class_index in \[0, 4\) for each of 1 images, received \[7\]"),
        (pooled, {"class_index": [1, 2]}, r"expected class_index in \[0, 4\) for each of 1 images, received \[1, 2\]"),
        (lambda: dk.MLP([3]).build((6, 8, 3)), {}, r"mlp does not have a layer with outputs .*\n  hint: use saliency"),
        (lambda: dk.MLP([3]).build((4,)), {}, r"expected a model of images, mlp takes inputs of shape \(4,\)"),
        (lambda: dk.ConvBlock(3).build((6, 8, 3)), {}, r"expected a model with one output \(batch, classes\)"),
        (lambda: keras.Sequential([layers.Dense(3)]), {}, "is not built"),
    ],
)
def test_invalid_arguments_raise(make, arguments, expected):
    with pytest.raises(ValueError, match=expected):
        dk.visualize.grad_cam(make(), IMAGE, **arguments)


def test_an_ambiguous_layer_name_needs_a_path():
    inner = [keras.Sequential([keras.Input((6, 8, 3)), layers.Conv2D(3, 1, name="conv")], name=n) for n in "ab"]
    model = keras.Sequential([keras.Input((6, 8, 3)), *inner, flat_head()], name="both")
    with pytest.raises(ValueError, match=r"both has 2 layers named 'conv'\n  hint: use one of 'a/conv', 'b/conv'"):
        arrays.grad_cam(model, IMAGE, layer="conv")
    assert arrays.grad_cam(model, IMAGE, layer="a/conv").shape == (6, 8)


def flat_head():
    return keras.Sequential([keras.Input((6, 8, 3)), layers.Flatten(), layers.Dense(2)], name="head")


def test_invalid_images_raise():
    with pytest.raises(ValueError, match=r"expected an image \(6, 8, 3\), .* received float64 of shape \(8, 8, 3\)"):
        dk.visualize.grad_cam(pooled(), np.zeros((8, 8, 3)))
    with pytest.raises(
        ValueError, match=r"of shape \(8, 8\)\n  hint: use image\[\.\.\., None\], which has one channel"
    ):
        dk.visualize.saliency(dk.Classifier(2).build((8, 8, 1)), np.zeros((8, 8)))
    with pytest.raises(ValueError, match="received a dictionary with the keys image"):
        dk.visualize.saliency(pooled(), {"image": IMAGE})
    with pytest.raises(TypeError, match=r"expected a keras.Model, received ConvBlock\n  hint: use definition.build"):
        dk.visualize.saliency(dk.ConvBlock(3), IMAGE)
    with pytest.raises(ValueError, match=r"saliency: num_samples must be an integer of at least 0, received -1"):
        dk.visualize.saliency(pooled(), IMAGE, num_samples=-1)
    with pytest.raises(ValueError, match=r"saliency: noise must be a number from 0, received -0\.5"):
        dk.visualize.saliency(pooled(), IMAGE, num_samples=1, noise=-0.5)


def test_saliency_of_an_integer_input_raises():
    inputs = keras.Input((2, 2, 1), dtype="uint8")
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(layers.Rescaling(1 / 255)(inputs))), name="bytes")
    with pytest.raises(
        ValueError, match=r"the gradient of bytes does not reach its input: its input is uint8\n  hint: use grad_cam"
    ):
        dk.visualize.saliency(model, np.zeros((2, 2, 1), "uint8"))


def test_a_layer_that_is_not_called_raises():
    class WithUnusedLayer(Subclassed):
        def __init__(self):
            super().__init__()
            self.unused = layers.Activation("relu", name="unused")

    model = WithUnusedLayer()
    model(IMAGE[None])
    with pytest.raises(ValueError, match=r"the layer 'unused' of .* is not called when the model runs"):
        dk.visualize.grad_cam(model, IMAGE, layer="unused")
