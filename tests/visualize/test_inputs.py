"""Confusion and mistakes with any head and any data, and filters of any layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk

arrays = dk.visualize.arrays
EYE = np.eye(4, dtype="float32")
IMAGES = EYE[[0, 1, 2, 0, 1]].reshape(5, 2, 2, 1)
LABELS = np.array([0, 1, 2, 1, 2])  # the last two are named wrongly: 0 for 1, 1 for 2
EXPECTED = [[1, 0, 0], [1, 1, 0], [0, 1, 1]]


def picker(activation=None):
    """Return a model of 2x2 images whose logits are the first three pixels."""
    model = dk.Classifier(3, activation=activation, dense={"use_bias": False}).build((2, 2, 1))
    model.set_weights([np.eye(4, 3, dtype="float32") * 10])
    return model


def by_name():
    """Return the same model with a named input, beside one of two inputs by name."""
    image = keras.Input((2, 2, 1), name="image")
    age = keras.Input((1,), name="age")
    logits = layers.Dense(3, use_bias=False)(layers.Flatten()(image))
    one, two = (
        keras.Model({"image": image}, logits),
        keras.Model({"image": image, "age": age}, {"class": logits + 0 * age}),
    )
    one.set_weights([np.eye(4, 3, dtype="float32")])
    return one, two


@pytest.mark.parametrize("activation", [None, "softmax", "sigmoid"])
def test_any_head_is_counted(activation):
    model = picker(activation)
    assert arrays.confusion(model, (IMAGES, LABELS)).tolist() == EXPECTED
    assert [(m.label, m.guess) for m in arrays.misclassified(model, (IMAGES, LABELS))] == [(1, 0), (2, 1)]


class Grown(keras.Model):
    """A model that is no graph, whose output says nothing of how it came to be."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def call(self, x):
        return x if self.logits else keras.ops.sigmoid(x)


def graph(*last):
    return keras.Sequential([keras.Input((1,)), layers.Dense(1, kernel_initializer="ones"), *last])


def trained_with(model, from_logits):
    model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=from_logits))
    return model


YES_OR_NO = {
    "dk": lambda: dk.Classifier(1, dense={"kernel_initializer": "ones"}).build((1,)),
    "linear": lambda: graph(layers.Activation("linear")),
    "sigmoid": lambda: graph(layers.Activation("sigmoid", dtype="float32")),
    "inside": lambda: keras.Sequential([keras.Input((1,)), graph(layers.Activation("sigmoid"))]),
    "by its loss": lambda: trained_with(Grown(True), True),
    "by its loss, squashed": lambda: trained_with(Grown(False), False),
    "by its outputs": lambda: Grown(True),
    "by its outputs, squashed": lambda: Grown(False),
}


@pytest.mark.parametrize("kind", YES_OR_NO)
def test_one_logit_is_not_taken_for_a_probability_because_its_batch_is_small(kind):
    """The last of 257 examples is a batch of its own, with the logit 0.3: yes."""
    model = YES_OR_NO[kind]()
    x = np.append(np.random.default_rng(0).normal(size=256) * 3, 0.3)[:, None].astype("float32")
    model(x)
    y = (x[:, 0] > 0).astype(int)
    assert arrays.confusion(model, (x, y)).tolist() == [[np.sum(y == 0), 0], [0, np.sum(y == 1)]]


def test_the_confidence_of_a_mistake_follows_from_its_logit():
    model = dk.Classifier(1, dense={"kernel_initializer": "ones"}).build((1, 1, 1))
    [found] = arrays.misclassified(model, (np.full((1, 1, 1, 1), 0.3), [0]))
    assert found.confidence == pytest.approx(1 / (1 + np.exp(-0.3)), rel=1e-5)


def test_data_by_name_is_taken_and_its_image_found():
    x = {"image": IMAGES, "age": np.ones((5, 1))}
    one, two = by_name()
    batches = tf.data.Dataset.from_tensor_slices((x, {"class": LABELS})).batch(2)
    for model, data in ((one, ({"image": IMAGES}, LABELS)), (two, (x, {"class": LABELS})), (two, batches)):
        assert arrays.confusion(model, data).tolist() == EXPECTED
        assert [(m.label, m.guess) for m in arrays.misclassified(model, data)] == [(1, 0), (2, 1)]
        assert arrays.misclassified(model, data)[0].image.shape == (2, 2, 1)


def test_weights_of_examples_and_lists_of_batches_are_taken():
    weighted = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS, np.ones(5))).batch(2)
    assert arrays.confusion(picker(), weighted).tolist() == EXPECTED
    assert arrays.confusion(picker(), [(IMAGES[:2], LABELS[:2]), (IMAGES[2:], LABELS[2:])]).tolist() == EXPECTED
    assert arrays.confusion(picker(), (IMAGES.tolist(), LABELS.tolist())).tolist() == EXPECTED


def test_a_class_a_position_is_counted_position_by_position():
    inputs = keras.Input((5, 4))
    model = keras.Model(inputs, layers.Dense(3, use_bias=False, kernel_initializer="identity")(inputs))
    x = IMAGES.reshape(1, 5, 4)
    assert arrays.confusion(model, (x, LABELS[None])).tolist() == EXPECTED
    assert arrays.confusion(model, (x, np.eye(3)[LABELS][None])).tolist() == EXPECTED


def test_a_subclassed_model_is_counted():
    class Wrapped(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = picker()

        def call(self, x):
            return self.inner(x)

    model = Wrapped()
    model(IMAGES)
    assert arrays.confusion(model, (IMAGES, LABELS)).tolist() == EXPECTED


def texts():
    words = layers.TextVectorization(max_tokens=5, output_mode="multi_hot", vocabulary=["good", "bad"])
    model = keras.Sequential([keras.Input((), dtype="string"), words, layers.Dense(2, use_bias=False)], name="texts")
    model.layers[-1].set_weights([np.array([[0, 0], [0, 1], [1, 0]], "float32")])
    return model, (np.array(["good film", "bad film", "bad end"]), np.array([1, 0, 1]))


def test_texts_are_counted_and_are_no_images():
    model, data = texts()
    assert arrays.confusion(model, data).tolist() == [[1, 0], [1, 1]]
    with pytest.raises(ValueError, match=r"expected images .* received texts of shape \(3,\)\n  hint: confusion"):
        dk.visualize.misclassified(model, data)
    with pytest.raises(ValueError, match=r"texts takes inputs of shape \(\), which are no images"):
        dk.visualize.grad_cam(model, data[0])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ((IMAGES, np.eye(3)[LABELS] + np.eye(3)[0]), r"expected one class in \[0, 3\)"),
        ((IMAGES, np.ones((5, 3))), "with several classes an example, or none"),
        ((IMAGES, LABELS + 0.5), r"expected one class in \[0, 3\) an example, received labels of shape \(5,\) for"),
        ((IMAGES, np.array(list("abcde"))), "which are texts"),
        ((IMAGES, {"a": LABELS, "b": LABELS}), "expected one label an example, received 2: a, b"),
        ([], "the data has no batch"),
        (tf.data.Dataset.from_tensors((IMAGES, LABELS)).repeat(), r"the dataset has no end\n  hint: dataset.take"),
    ],
)
def test_labels_that_are_no_classes_are_refused(data, words):
    with pytest.raises(ValueError, match=words):
        dk.visualize.confusion(picker(), data)


def test_data_of_another_kind_is_refused():
    with pytest.raises(TypeError, match=r"received a data set of several parts\n  hint: data.test or data.validation"):
        dk.visualize.confusion(picker(), dk.data.from_arrays(IMAGES, LABELS, batch_size=2))
    with pytest.raises(TypeError, match=r"expected batches \(x, y\), received a .* without labels"):
        dk.visualize.confusion(picker(), IMAGES)
    inputs = keras.Input((2, 2, 1))
    two = keras.Model(inputs, [layers.Flatten()(inputs), layers.Flatten()(inputs)])
    with pytest.raises(ValueError, match="expected one output an example, received 2"):
        dk.visualize.misclassified(two, (IMAGES, LABELS))
    with pytest.raises(ValueError, match="names 4 classes an image"):
        dk.visualize.misclassified(
            keras.Sequential([keras.Input((2, 2, 1)), layers.Dense(2)]), (IMAGES, np.zeros((5, 2, 2)))
        )


def alone(layer, shape):
    return keras.Sequential([keras.Input(shape), layer], name="alone")


def test_filters_in_one_dimension_have_channels_as_rows():
    model = alone(layers.Conv1D(5, 3, name="conv"), (9, 2))
    kernel = np.asarray(model.layers[-1].kernel)  # (time, channels, filters)
    pictures = arrays.filters(model)
    assert pictures.shape == (5, 2, 3, 1)
    np.testing.assert_array_equal(pictures[4, 1, :, 0], kernel[:, 1, 4])


def test_filters_of_depthwise_grouped_separable_and_transposed_convolutions():
    shape = (8, 8, 4)
    depthwise = alone(layers.DepthwiseConv2D(3, depth_multiplier=2), shape)
    kernel = np.asarray(depthwise.layers[-1].kernel)  # (rows, columns, channels, multiplier)
    pictures = arrays.filters(depthwise)
    assert pictures.shape == (8, 3, 3, 1)
    np.testing.assert_array_equal(pictures[5, ..., 0], kernel[:, :, 2, 1])
    assert arrays.filters(alone(layers.Conv2D(6, 3, groups=2), shape)).shape == (6, 3, 3, 2)
    separable = alone(layers.SeparableConv2D(6, 3), shape)
    np.testing.assert_array_equal(
        arrays.filters(separable)[1, ..., 0], np.asarray(separable.layers[-1].depthwise_kernel)[:, :, 1, 0]
    )
    transposed = alone(layers.Conv2DTranspose(3, 2), shape)
    np.testing.assert_array_equal(arrays.filters(transposed)[2], np.asarray(transposed.layers[-1].kernel)[:, :, 2])


def test_many_filters_are_drawn_in_part_and_said_so():
    figure = dk.visualize.filters(alone(layers.Conv2D(70, 1), (4, 4, 1)))
    assert (len(figure.axes), figure._suptitle.get_text()) == (64, "64 of 70 filters")


def test_filters_of_models_within_models_have_paths():
    inner = [
        keras.Sequential([keras.Input((6, 6, n)), layers.Conv2D(2, 3, padding="same", name="conv")], name=f"part{n}")
        for n in (1, 2)
    ]
    model = keras.Sequential(
        [keras.Input((6, 6, 1)), *inner, layers.Flatten(), layers.Dense(2, name="head")], name="net"
    )
    assert arrays.filters(model).shape == (2, 3, 3, 1)
    assert arrays.filters(model, "part2/conv").shape == (2, 3, 3, 2)
    with pytest.raises(ValueError, match=r"net has 2 layers named 'conv'\n  hint: one of 'part1/conv', 'part2/conv'"):
        dk.visualize.filters(model, "conv")
    with pytest.raises(ValueError, match=r"does not have the layer 'part2/cnv'; .*\n  did you mean 'part2/conv'\?"):
        dk.visualize.filters(model, "part2/cnv")
    with pytest.raises(ValueError, match=r"of 'head', a Dense, are no pictures; net has part1/conv, part2/conv"):
        dk.visualize.filters(model, "head")


def test_a_dense_layer_within_a_model_sees_the_image_of_that_model():
    inner = keras.Sequential([keras.Input((3, 4, 1)), layers.Flatten(), layers.Dense(5, name="units")], name="inner")
    model = keras.Sequential([keras.Input((6, 8, 1)), layers.AveragePooling2D(2), inner])
    pictures = arrays.filters(model, "units")
    np.testing.assert_array_equal(pictures.reshape(5, 12), np.asarray(inner.layers[-1].kernel).T)
    assert pictures.shape == (5, 3, 4, 1)
