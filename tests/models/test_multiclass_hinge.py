"""MulticlassHinge: equality with a loop, gradients, the example of a support vector machine, and errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk
from deepkit.losses import MulticlassHinge

SCORES = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32") * 2
LABELS = np.array([[0, 1, 2, 2, 1], [2, 0, 0, 1, 2]])


def loop(labels, scores, margin):
    losses = np.zeros(labels.shape)
    for index in np.ndindex(labels.shape):
        y, s = labels[index], scores[index]
        losses[index] = sum(max(0.0, s[j] - s[y] + margin) for j in range(len(s)) if j != y)
    return losses


@pytest.mark.parametrize("margin", [1.0, 0.25, 3])
@pytest.mark.parametrize("labels", [LABELS, LABELS[..., None], LABELS.astype("float32")])
def test_equals_a_loop_over_the_wrong_classes(labels, margin):
    losses = MulticlassHinge(margin, reduction="none")(labels, SCORES)
    np.testing.assert_allclose(losses, loop(LABELS, SCORES, margin), rtol=1e-5)


def test_the_cat_of_the_lecture_costs_2_point_9_and_keras_takes_the_largest_term():
    scores = np.array([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]])  # of a cat, a car and a frog
    losses = MulticlassHinge(reduction="none")(np.arange(3), scores)
    np.testing.assert_allclose(losses, [2.9, 0.0, 12.9], rtol=1e-5)
    largest = keras.losses.CategoricalHinge(reduction="none")(np.eye(3), scores)
    np.testing.assert_allclose(largest, [2.9, 0.0, 6.6], rtol=1e-5)


def test_equal_scores_cost_the_margin_for_each_wrong_class():
    assert float(MulticlassHinge(0.5)(np.array([3]), np.zeros((1, 10)))) == pytest.approx(9 * 0.5)


def test_the_gradient_counts_the_violated_margins():
    scores = tf.constant([[3.2, 5.1, -1.7, 2.9]])
    with tf.GradientTape() as tape:
        tape.watch(scores)
        loss = MulticlassHinge()(np.array([0]), scores)
    np.testing.assert_array_equal(tape.gradient(loss, scores), [[-2, 1, 0, 1]])


def test_a_label_that_is_not_a_class_costs_nan():
    losses = MulticlassHinge(reduction="none")(np.array([-1, 0, 3]), np.zeros((3, 3)))
    assert np.isnan(losses).tolist() == [True, False, True]


def test_config_name_and_weights():
    loss = keras.losses.deserialize(keras.losses.serialize(MulticlassHinge(2.0, reduction="sum")))
    assert (loss.margin, loss.reduction, loss.name) == (2.0, "sum", "multiclass_hinge")
    weighted = MulticlassHinge()(np.array([0, 1]), np.zeros((2, 2)), sample_weight=np.array([3.0, 1.0]))
    assert float(weighted) == 2


@pytest.mark.slow
def test_it_is_exported_and_trains_a_model_of_keras():
    assert dk.losses.MulticlassHinge is MulticlassHinge
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    model.compile(keras.optimizers.SGD(0.5), MulticlassHinge(), metrics=["sparse_categorical_accuracy"])
    history = model.fit(np.eye(3), np.arange(3), epochs=10, verbose=0).history
    assert history["sparse_categorical_accuracy"][-1] == 1


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: MulticlassHinge(0),
            ValueError,
            "MulticlassHinge: margin must be a number above 0, received 0\n  hint: use MulticlassHinge(1.0)",
        ),
        (
            lambda: MulticlassHinge(label_smoothing=0.1),
            TypeError,
            "MulticlassHinge takes no label_smoothing: it compares scores, and smoothed labels are probabilities\n"
            "  hint: leave label_smoothing out, or use dk.losses.SmoothedCrossentropy()",
        ),
        (
            lambda: MulticlassHinge()(np.array([0, 1]), np.zeros((2, 1))),
            ValueError,
            "MulticlassHinge: expected scores of at least two classes, received the shape (2, 1)\n"
            "  hint: use keras.losses.Hinge() for one score per example, or an output with a score for each class",
        ),
        (
            lambda: MulticlassHinge()(np.eye(3), np.zeros((3, 3))),
            ValueError,
            "MulticlassHinge: expected class indices of shape (3,), received labels of shape (3, 3)\n"
            "  hint: use y.argmax(axis=-1) for one-hot labels, or keras.losses.CategoricalHinge(), the largest term",
        ),
    ],
)
def test_wrong_arguments_are_refused(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text


def test_a_fraction_as_label_costs_nan():
    losses = MulticlassHinge(reduction=None)(np.array([0.5, 1.0, np.nan]), np.zeros((3, 3), "float32"))
    assert np.isnan(losses).tolist() == [True, False, True]


@pytest.mark.parametrize("shape", [(4,), (2, 1), (2, 5), (4, 2), (1, 2, 4)])
def test_labels_of_another_size_are_refused_before_tensorflow_does(shape):
    with pytest.raises(ValueError, match=r"expected class indices of shape \(2, 4\), received labels of shape"):
        MulticlassHinge()(np.zeros(shape), np.zeros((2, 4, 3), "float32"))


def test_scores_without_an_axis_of_classes_are_refused():
    with pytest.raises(ValueError, match="expected scores of at least two classes"):
        MulticlassHinge()(np.array(0), np.float32(3))
