"""`keras.utils.FeatureSpace` in a definition: raw columns by name to encoded features."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras.utils import FeatureSpace

import deepkit as dk

RNG = np.random.default_rng(5)
COLUMNS = {
    "dense": RNG.normal(50, 9, 60).astype("float32"),  # also the name of a layer
    "area": RNG.normal(size=60).astype("float32"),
    "city": RNG.choice(["Rome", "Oslo", "Lima"], 60).astype(object),
    "floor": RNG.integers(0, 4, 60),
}
PRICE = RNG.normal(size=60).astype("float32")


def make_space(**kwargs):
    features = {
        "dense": "float_normalized",
        "area": "float",
        "city": "string_categorical",
        "floor": "integer_categorical",
    }
    return FeatureSpace(features, crosses=[("city", "floor")], crossing_dim=6, **kwargs)


@pytest.mark.slow
def test_a_feature_space_is_adapted_as_keras_does_and_survives_saving(tmp_path, capsys):
    space, expected = make_space(), make_space()
    columns = {name: tf.constant(values) for name, values in COLUMNS.items()}
    expected.adapt(tf.data.Dataset.from_tensor_slices(columns))
    run = dk.fit(dk.Sequential([space, dk.Regressor()]), (COLUMNS, PRICE), verbose=2)
    assert "adapted feature_space.city: a vocabulary of 3 values" in capsys.readouterr().out
    np.testing.assert_allclose(space(columns), expected(columns), atol=1e-5)
    answers = run.model.predict(COLUMNS, verbose=0)
    run.model.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "m.keras").predict(COLUMNS, verbose=0), answers)
    assert set(run.model.input) == set(COLUMNS)


def test_a_feature_space_adapted_by_hand_is_used_as_it_is():
    space = make_space(output_mode="dict")
    space.adapt({name: values[:30] for name, values in COLUMNS.items() if name != "city"} | {"city": ["Rome"] * 30})
    mean = np.ravel(space.preprocessors["dense"].mean)
    model = dk.Sequential([space, dk.Merge("concat"), dk.Regressor()]).build()
    assert model.output_shape == (None, 1)
    np.testing.assert_array_equal(np.ravel(space.preprocessors["dense"].mean), mean)
    assert space.preprocessors["city"].get_vocabulary()[1:] == ["Rome"]


def test_a_node_takes_a_feature_space_if_its_sources_have_the_names():
    space = FeatureSpace({"floor": FeatureSpace.integer_categorical(max_tokens=4), "area": "float"})
    space.adapt({name: COLUMNS[name] for name in ("floor", "area")})
    nodes = {
        "features": (["area", "floor"], space),
        "price": (["features", "extra"], [dk.Merge("concat"), dk.Regressor()]),
    }
    inputs = {"area": dk.Input((1,)), "floor": dk.Input((1,), dtype="int32"), "extra": dk.Input((2,))}
    model = dk.Functional(inputs=inputs, nodes=nodes, outputs="price").build()
    columns = {"area": np.array([[0.5], [2.0]], "float32"), "floor": np.array([[3], [0]], "int32")}
    encode = keras.Model(model.input, model.get_layer("price.merge.concat").input[0])
    np.testing.assert_array_equal(encode({**columns, "extra": np.zeros((2, 2), "float32")}), space(columns))


def test_a_feature_space_is_an_identity_and_no_file():
    space = make_space(output_mode="dict")
    net = dk.Sequential([space, dk.Merge("concat")])
    assert net == dk.Sequential([space, dk.Merge("concat")]) != dk.Sequential([make_space(), dk.Merge("concat")])
    text = "<FeatureSpace of dense: Normalization, area: TFDIdentity, city: StringLookup, floor: IntegerLookup, "
    assert f"{text}city_X_floor: HashedCrossing(6), output_mode='dict'>" in repr(net)
    with pytest.raises(dk.DefinitionError, match=r"<FeatureSpace of .* cannot be written to a file"):
        dk.to_dict(net)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: dk.Sequential([make_space(), dk.Regressor()]).build(),
            r"Normalization is not adapted.*\n  at    feature_space\n(.*\n)*  hint: call feature_space.adapt",
        ),
        (
            lambda: dk.Sequential([layers.Dense(2), make_space()]).build((3,)),
            "takes its features dense, area, city, floor by name, received a tensor 2\n  at    feature_space",
        ),
        (
            lambda: dk.fit(dk.Sequential([make_space(), dk.Regressor()]), ({"area": PRICE}, PRICE), verbose=0),
            "the definition's inputs are dense, area, city, floor, the data has area",
        ),
        (
            lambda: dk.Functional(
                inputs={"area": dk.Input((2,))}, nodes={"a": ("area", FeatureSpace({"area": "float"}))}, outputs="a"
            ).build(),
            r"the feature 'area' has the shape \(1,\) and dtype float32, received \(2,\) and float32\n  at    a",
        ),
    ],
    ids=["build", "not first", "names", "shape"],
)
def test_errors_of_a_feature_space(make, text):
    with pytest.raises(ValueError, match=text):
        make()
