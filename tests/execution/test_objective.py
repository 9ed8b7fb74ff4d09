"""The method `objective` of a user's block is validated."""

import keras
import numpy as np
import pytest

import deepkit as dk
from deepkit.definition.objective import Objective

DATA = (np.ones((4, 3), "float32"), np.ones((4, 2), "float32"))


class WrongHead(dk.Block):
    """A head that returns a loss instead of an objective."""

    def add(self, x, builder):
        return builder.add_layer(x, "dense", keras.layers.Dense, 2)

    def objective(self, output_shape, label_shape):
        return keras.losses.MeanSquaredError()


class RightHead(WrongHead):
    """A head that returns an objective."""

    def objective(self, output_shape, label_shape):
        return Objective(super().objective(output_shape, label_shape))


@pytest.mark.parametrize(
    "make",
    [
        lambda head: dk.Sequential([head]),
        lambda head: dk.Functional(
            inputs={"x": dk.Input((3,))}, nodes={"a": ("x", head), "b": ("x", dk.Regressor(2))}, outputs=["a", "b"]
        ),
    ],
    ids=["sequential", "functional"],
)
def test_another_value_than_an_objective_is_refused(make):
    labels = {"a": DATA[1], "b": DATA[1]} if isinstance(make(WrongHead()), dk.Functional) else DATA[1]
    expected = r"^WrongHead.objective must return an Objective or None, received MeanSquaredError\n(.|\n)*hint: return"
    with pytest.raises(dk.errors.DefinitionError, match=expected):
        dk.fit(make(WrongHead()), (DATA[0], labels), verbose=0)
    dk.fit(make(RightHead()), (DATA[0], labels), verbose=0)
