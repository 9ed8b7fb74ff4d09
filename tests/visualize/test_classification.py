"""Confusion matrix and misclassified images for all heads and kinds of data, and filters of all kinds of layers."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk

arrays = dk.visualize.arrays
EYE = np.eye(4, dtype="float32")
IMAGES = EYE[[0, 1, 2, 0, 1]].reshape(5, 2, 2, 1)
LABELS = np.array([0, 1, 2, 1, 2])  # the last two are misclassified: 1 as 0, 2 as 1
EXPECTED = [[1, 0, 0], [1, 1, 0], [0, 1, 1]]


def pixel_classifier(activation=None):
    """Return a model of 2x2 images whose logits are the first three pixels."""
    model = dk.Classifier(3, activation=activation, dense={"use_bias": False}).build((2, 2, 1))
    model.set_weights([np.eye(4, 3, dtype="float32") * 10])
    return model


def models_with_named_inputs():
    """Return the same model with a named input, and a model with two named inputs."""
    image = keras.Input((2, 2, 1), name="image")
    age = keras.Input((1,), name="age")
    logits = layers.Dense(3, use_bias=False)(layers.Flatten()(image))
    one = keras.Model({"image": image}, logits)
    two = keras.Model({"image": image, "age": age}, {"class": logits + 0 * age})
    one.set_weights([np.eye(4, 3, dtype="float32")])
    return one, two


@pytest.mark.parametrize("activation", [None, "softmax", "sigmoid"])
def test_the_confusion_matrix_works_with_all_heads(activation):
    model = pixel_classifier(activation)
    assert arrays.confusion(model, (IMAGES, LABELS)).tolist() == EXPECTED
    assert [(example.label, example.prediction) for example in arrays.misclassified(model, (IMAGES, LABELS))] == [
        (1, 0),
        (2, 1),
    ]


def test_labels_may_be_class_names():
    model, names = pixel_classifier(), ("cat", "dog", "owl")
    texts = np.array(names)[LABELS]
    batches = tf.data.Dataset.from_tensor_slices((IMAGES, texts)).batch(2)
    for data in ((IMAGES, texts), batches):
        assert arrays.confusion(model, data, names).tolist() == EXPECTED
    assert len(arrays.misclassified(model, batches, class_names=names)) == 2
    with pytest.raises(ValueError, match="expected one of the class names as label, received 'owl'"):
        dk.visualize.confusion(model, batches, class_names=("cat", "dog", "cow"))


class Subclassed(keras.Model):
    """A model without a graph, whose layers do not show whether its output is logits."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def call(self, x):
        return x if self.logits else keras.ops.sigmoid(x)


def sequential(*last):
    return keras.Sequential([keras.Input((1,)), layers.Dense(1, kernel_initializer="ones"), *last])


def trained_with(model, from_logits):
    model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=from_logits))
    return model


BINARY_MODELS = {
    "dk": lambda: dk.Classifier(1, dense={"kernel_initializer": "ones"}).build((1,)),
    "linear": lambda: sequential(layers.Activation("linear")),
    "sigmoid": lambda: sequential(layers.Activation("sigmoid", dtype="float32")),
    "inside": lambda: keras.Sequential([keras.Input((1,)), sequential(layers.Activation("sigmoid"))]),
    "by its loss": lambda: trained_with(Subclassed(True), True),
    "by its loss, sigmoid": lambda: trained_with(Subclassed(False), False),
    "by its outputs": lambda: Subclassed(True),
    "by its outputs, sigmoid": lambda: Subclassed(False),
}


@pytest.mark.parametrize("kind", BINARY_MODELS)
def test_a_logit_between_0_and_1_in_a_batch_of_one_is_not_read_as_a_probability(kind):
    """The last of 257 examples is a separate batch; its logit is 0.3, so the prediction is class 1."""
    model = BINARY_MODELS[kind]()
    x = np.append(np.random.default_rng(0).normal(size=256) * 3, 0.3)[:, None].astype("float32")
    model(x)
    y = (x[:, 0] > 0).astype(int)
    assert arrays.confusion(model, (x, y)).tolist() == [[np.sum(y == 0), 0], [0, np.sum(y == 1)]]


def test_confidence_and_loss_of_a_misclassified_example_follow_from_its_logit():
    model = dk.Classifier(1, dense={"kernel_initializer": "ones"}).build((1, 1, 1))
    [example] = arrays.misclassified(model, (np.full((1, 1, 1, 1), 0.3), [0]))
    assert example.confidence == pytest.approx(1 / (1 + np.exp(-0.3)), rel=1e-5)
    assert example.loss == pytest.approx(np.log(1 + np.exp(0.3)), rel=1e-5)


def test_named_inputs_are_accepted_and_the_image_is_found():
    x = {"image": IMAGES, "age": np.ones((5, 1))}
    one, two = models_with_named_inputs()
    batches = tf.data.Dataset.from_tensor_slices((x, {"class": LABELS})).batch(2)
    for model, data in ((one, ({"image": IMAGES}, LABELS)), (two, (x, {"class": LABELS})), (two, batches)):
        assert arrays.confusion(model, data).tolist() == EXPECTED
        assert [(example.label, example.prediction) for example in arrays.misclassified(model, data)] == [
            (1, 0),
            (2, 1),
        ]
        assert arrays.misclassified(model, data)[0].image.shape == (2, 2, 1)


def test_sample_weights_and_lists_of_batches_are_accepted():
    weighted = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS, np.ones(5))).batch(2)
    assert arrays.confusion(pixel_classifier(), weighted).tolist() == EXPECTED
    assert (
        arrays.confusion(pixel_classifier(), [(IMAGES[:2], LABELS[:2]), (IMAGES[2:], LABELS[2:])]).tolist() == EXPECTED
    )
    assert arrays.confusion(pixel_classifier(), (IMAGES.tolist(), LABELS.tolist())).tolist() == EXPECTED


def test_a_class_per_position_is_counted_for_each_position():
    inputs = keras.Input((5, 4))
    model = keras.Model(inputs, layers.Dense(3, use_bias=False, kernel_initializer="identity")(inputs))
    x = IMAGES.reshape(1, 5, 4)
    assert arrays.confusion(model, (x, LABELS[None])).tolist() == EXPECTED
    assert arrays.confusion(model, (x, np.eye(3)[LABELS][None])).tolist() == EXPECTED


def test_the_confusion_matrix_works_with_a_subclassed_model():
    class Wrapped(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = pixel_classifier()

        def call(self, x):
            return self.inner(x)

    model = Wrapped()
    model(IMAGES)
    assert arrays.confusion(model, (IMAGES, LABELS)).tolist() == EXPECTED


def text_classifier():
    vectorization = layers.TextVectorization(max_tokens=5, output_mode="multi_hot", vocabulary=["good", "bad"])
    model = keras.Sequential(
        [keras.Input((), dtype="string"), vectorization, layers.Dense(2, use_bias=False)], name="texts"
    )
    model.layers[-1].set_weights([np.array([[0, 0], [0, 1], [1, 0]], "float32")])
    return model, (np.array(["good film", "bad film", "bad end"]), np.array([1, 0, 1]))


def test_texts_are_counted_but_are_not_images():
    model, data = text_classifier()
    assert arrays.confusion(model, data).tolist() == [[1, 0], [1, 1]]
    with pytest.raises(ValueError, match=r"expected images .* received texts of shape \(3,\)\n  hint: use confusion"):
        dk.visualize.misclassified(model, data)
    with pytest.raises(ValueError, match=r"expected a model of images, texts takes inputs of shape \(\)"):
        dk.visualize.grad_cam(model, data[0])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ((IMAGES, np.eye(3)[LABELS] + np.eye(3)[0]), r"expected one class in \[0, 3\)"),
        ((IMAGES, np.ones((5, 3))), "with several classes per example, or none"),
        ((IMAGES, LABELS + 0.5), r"expected one class in \[0, 3\) per example, received labels of shape \(5,\) for"),
        ((IMAGES, np.array(list("abcde"))), r"which are texts\n  hint: .* class_names=run.class_names"),
        ((IMAGES, {"a": LABELS, "b": LABELS}), "expected one label per example, received 2: a, b"),
        ([], "expected at least one batch, received none"),
        (
            tf.data.Dataset.from_tensors((IMAGES, LABELS)).repeat(),
            r"expected a finite dataset, received one that repeats forever\n  hint: use dataset.take",
        ),
    ],
)
def test_invalid_labels_raise(data, expected):
    with pytest.raises(ValueError, match=expected):
        dk.visualize.confusion(pixel_classifier(), data)


def test_invalid_data_raises():
    with pytest.raises(
        TypeError,
        match=r"expected one split, received a \w+ with several splits\n  hint: use data.test or data.validation",
    ):
        dk.visualize.confusion(pixel_classifier(), dk.data.from_arrays(IMAGES, LABELS, batch_size=2))
    with pytest.raises(TypeError, match=r"expected batches \(x, y\), received a .* without labels"):
        dk.visualize.confusion(pixel_classifier(), IMAGES)
    inputs = keras.Input((2, 2, 1))
    two = keras.Model(inputs, [layers.Flatten()(inputs), layers.Flatten()(inputs)])
    with pytest.raises(ValueError, match="expected one output per example, received 2"):
        dk.visualize.misclassified(two, (IMAGES, LABELS))
    with pytest.raises(ValueError, match=r"expected one class per image, .* predicts 4"):
        dk.visualize.misclassified(
            keras.Sequential([keras.Input((2, 2, 1)), layers.Dense(2)]), (IMAGES, np.zeros((5, 2, 2)))
        )


def single_layer(layer, shape):
    return keras.Sequential([keras.Input(shape), layer], name="single_layer")


def test_filters_in_one_dimension_have_channels_as_rows():
    model = single_layer(layers.Conv1D(5, 3, name="conv"), (9, 2))
    kernel = np.asarray(model.layers[-1].kernel)  # (time, channels, filters)
    images = arrays.filters(model)
    assert images.shape == (5, 2, 3, 1)
    np.testing.assert_array_equal(images[4, 1, :, 0], kernel[:, 1, 4])


def test_filters_of_depthwise_grouped_separable_and_transposed_convolutions():
    shape = (8, 8, 4)
    depthwise = single_layer(layers.DepthwiseConv2D(3, depth_multiplier=2), shape)
    kernel = np.asarray(depthwise.layers[-1].kernel)  # (rows, columns, channels, multiplier)
    images = arrays.filters(depthwise)
    assert images.shape == (8, 3, 3, 1)
    np.testing.assert_array_equal(images[5, ..., 0], kernel[:, :, 2, 1])
    assert arrays.filters(single_layer(layers.Conv2D(6, 3, groups=2), shape)).shape == (6, 3, 3, 2)
    separable = single_layer(layers.SeparableConv2D(6, 3), shape)
    np.testing.assert_array_equal(
        arrays.filters(separable)[1, ..., 0], np.asarray(separable.layers[-1].depthwise_kernel)[:, :, 1, 0]
    )
    transposed = single_layer(layers.Conv2DTranspose(3, 2), shape)
    np.testing.assert_array_equal(arrays.filters(transposed)[2], np.asarray(transposed.layers[-1].kernel)[:, :, 2])


def test_at_most_64_filters_are_drawn_and_the_title_says_so():
    figure = dk.visualize.filters(single_layer(layers.Conv2D(70, 1), (4, 4, 1)))
    assert (len(figure.axes), figure._suptitle.get_text()) == (64, "64 of 70 filters")


def test_filters_of_nested_models_are_found_by_path():
    inner = [
        keras.Sequential([keras.Input((6, 6, n)), layers.Conv2D(2, 3, padding="same", name="conv")], name=f"part{n}")
        for n in (1, 2)
    ]
    model = keras.Sequential(
        [keras.Input((6, 6, 1)), *inner, layers.Flatten(), layers.Dense(2, name="head")], name="net"
    )
    assert arrays.filters(model).shape == (2, 3, 3, 1)
    assert arrays.filters(model, "part2/conv").shape == (2, 3, 3, 2)
    with pytest.raises(
        ValueError, match=r"net has 2 layers named 'conv'\n  hint: use one of 'part1/conv', 'part2/conv'"
    ):
        dk.visualize.filters(model, "conv")
    with pytest.raises(
        ValueError,
        match=r"does not have the layer 'part2/cnv'; did you mean 'part2/conv'\?\n  hint: use one of part1, ",
    ):
        dk.visualize.filters(model, "part2/cnv")
    with pytest.raises(ValueError, match=r"received 'head', a Dense\n  hint: use one of part1/conv, part2/conv"):
        dk.visualize.filters(model, "head")


def test_filters_of_a_dense_layer_have_the_shape_of_the_nested_models_image():
    inner = keras.Sequential([keras.Input((3, 4, 1)), layers.Flatten(), layers.Dense(5, name="units")], name="inner")
    model = keras.Sequential([keras.Input((6, 8, 1)), layers.AveragePooling2D(2), inner])
    images = arrays.filters(model, "units")
    np.testing.assert_array_equal(images.reshape(5, 12), np.asarray(inner.layers[-1].kernel).T)
    assert images.shape == (5, 3, 4, 1)


def test_comparing_models_prints_no_warning_about_retracing(caplog):
    with caplog.at_level(logging.WARNING, logger="tensorflow"):
        for _ in range(7):
            arrays.confusion(pixel_classifier(), (IMAGES, LABELS))
    assert "retracing" not in caplog.text
