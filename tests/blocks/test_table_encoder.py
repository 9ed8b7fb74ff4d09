"""`TableEncoder`: columns of a table to features inside the model."""

import json

import keras
import numpy as np
import pytest

import deepkit as dk
from deepkit.data import TableSchema
from deepkit.training.raw_rows import rows_as_inputs

RNG = np.random.default_rng(3)
NUM_ROWS = 60
TABLE = {
    "area m2": [None if i % 7 == 0 else float(v) for i, v in enumerate(RNG.normal(80, 20, NUM_ROWS))],
    "rooms": RNG.integers(1, 6, NUM_ROWS),
    "city": [None if i % 9 == 0 else ("Oslo", "Rome", "Lima")[i % 3] for i in range(NUM_ROWS)],
    "street/no": [f"street {i % 20}" for i in range(NUM_ROWS)],
    "garden": [("yes", "no")[i % 2] for i in range(NUM_ROWS)],
    "built": [f"{1990 + i % 30}-03-{1 + i % 28:02}" for i in range(NUM_ROWS)],
    "advert": [f"a bright flat number {i} near the park" for i in range(NUM_ROWS)],
}
TABLE["price"] = [300 + 90 * (city == "Rome") + 0.5 for city in TABLE["city"]]


@pytest.fixture(scope="module")
def run():
    data = dk.data.from_table(TABLE, target="price", validation=0.2, verbose=False)
    net = dk.Sequential([dk.TableEncoder(max_one_hot=8, embedding_dim=3), dk.MLP([8]), dk.Regressor(1)])
    return data, dk.fit(net, data, epochs=1, verbose=0, batch_size=16)


def features(model, x):
    encoded = model.get_layer("mlp.dense").input
    return np.asarray(keras.Model(model.input, encoded)(x))


def test_the_columns_of_the_data_become_the_inputs_and_the_features(run):
    data, result = run
    assert data.columns.kinds == {
        "area m2": "numeric", "rooms": "numeric", "city": "categorical", "street_no": "categorical",
        "garden": "boolean", "built": "date", "advert": "text",
    }  # fmt: skip
    assert list(result.model.input) == list(data.columns.kinds)
    names = ["area m2", "rooms", "city", "street/no", "garden", "built", "advert"]
    values = [[None, 3, None, "street 1", "yes", "", ""], [80, 3, "Bonn", "x", True, "2001-01-01", "park"]]
    rows = [dict(zip(names, row, strict=True)) for row in values]
    encoded = features(result.model, data.columns.convert(rows, verbose=False))
    assert np.isfinite(encoded).all()
    numbers = 2 + 1 + 7  # area and rooms, garden, built
    first, second = encoded
    assert first[0] == 0  # a missing area is the mean
    assert (first[3:numbers] == 0).all()  # a missing date
    assert (first[numbers], second[numbers]) == (1, 0)  # the indicator of the area
    assert first[numbers + 1 : numbers + 6].tolist() == [1, 0, 0, 0, 0]  # a missing city
    assert second[numbers + 1 : numbers + 6].tolist() == [0, 1, 0, 0, 0]  # a city that is not in the training data
    assert second[numbers + 9 :].sum() == 1  # one word after an embedding of width 3


def test_statistics_ignore_missing_values_and_use_the_training_rows_only(run):
    data, result = run
    layer = result.model.get_layer("table_encoder.normalization")
    area = data.train.arrays()[0]["area m2"]
    assert np.isnan(area).any()
    np.testing.assert_allclose(np.ravel(layer.mean)[0], np.nanmean(area), rtol=1e-5)
    np.testing.assert_allclose(np.ravel(layer.variance)[0], np.nanvar(area), rtol=1e-4)
    assert np.ravel(layer.variance)[-1] == 1  # the time of day is the same in all rows


def test_a_saved_model_takes_raw_columns(run, tmp_path):
    data, result = run
    x = data.columns.convert({name: values[:5] for name, values in TABLE.items()}, verbose=False)
    expected = result.model.predict(x, verbose=0)
    result.model.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "m.keras").predict(x, verbose=0), expected)
    schema = TableSchema.from_json(json.loads(json.dumps(data.columns.to_json())))
    assert schema == data.columns


@pytest.mark.slow
def test_columns_of_arrays_have_the_kinds_of_their_dtypes():
    x = {
        "a": np.array([1.0, np.nan, 3.0, 4.0]),
        "b": np.array(["x", "y", "x", "y"]),
        "c": np.array([True, False, True, True]),
    }
    run = dk.fit(dk.Sequential([dk.TableEncoder(), dk.Regressor(1)]), (x, np.zeros(4)), verbose=0)
    assert run.model.get_layer("regressor.dense").input.shape == (None, 2 + 1 + 4)


@pytest.mark.slow
def test_a_node_of_a_graph_encodes_its_columns_for_several_heads():
    table = {"a": RNG.normal(size=40), "b": ["x", "y", "z", None] * 10, "kind": ["u", "v"] * 20}
    table["size"] = table["a"] * 2
    data = dk.data.from_table(table, target=["size", "kind"], verbose=False)
    net = dk.Functional(
        inputs={"a": dk.Input((1,)), "b": dk.Input((1,), dtype="string")},
        nodes={
            "features": (["a", "b"], [dk.TableEncoder(), dk.MLP([8])]),
            "size": ("features", dk.Regressor(1)),
            "kind": ("features", dk.Classifier(2)),
        },
        outputs=["size", "kind"],
    )
    run = dk.fit(net, data, epochs=2, verbose=0)
    assert run.class_names == {"kind": ("u", "v")}
    assert set(run.model.output) == {"size", "kind"}


@pytest.mark.slow
def test_mixed_precision_holds_numbers_beyond_half_precision():
    table = {"a": RNG.normal(1e6, 1e5, 40), "y": RNG.normal(size=40)}
    data = dk.data.from_table(table, target="y", verbose=False)
    with dk.plan(precision="mixed_bfloat16"):
        run = dk.fit(dk.Sequential([dk.TableEncoder(), dk.Regressor(1)]), data, verbose=0)
    encode = keras.Model(run.model.input, run.model.get_layer("table_encoder.normalization").output)
    encoded = np.asarray(encode({"a": np.float32(table["a"])}))
    assert abs(encoded.std() - 1) < 1e-3


def test_a_pipeline_has_the_columns_of_its_table():
    table = {"when": ["2020-01-01", "2021-05-06", None, "2022-03-04"] * 5, "y": np.arange(20) / 3}
    data = dk.data.from_table(table, target="y", validation=4, verbose=False)
    assert data.train.rebatch(4).columns == data.validation.head(2).columns == data.columns
    net = dk.Sequential([dk.TableEncoder(), dk.Regressor(1)])
    run = dk.fit(net, data.train, validation_data=data.validation, verbose=0)
    assert run.model.get_layer("regressor.dense").input.shape == (None, 7 + 1)  # a date, and its indicator


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (
            {"a": ["u", "v", "u"], "b": [1, 2, 4]},
            "the column 'a' is of the kind 'numeric' in the training data, 'categorical' here",
        ),
        (
            {"a": [1.5, 2, 3], "b": [1, 1, 1]},
            "the column 'b' is of the kind 'numeric' in the training data, absent or ignored here",
        ),
        (
            {"a": [1.5, 2, 3], "b": [1, 2, 4], "c": [1, 5, 4]},
            "the column 'c' is absent or ignored in the training data",
        ),
        (
            {"a": [1.5, 2, 3], "b": [1, 2, 4]},
            "the classes of the target 'y' are 'x', 'y', 'z' in the training data, 'x', 'z' here",
        ),
    ],
)
def test_a_validation_table_has_the_columns_and_the_classes_of_the_training_table(table, text):
    train = dk.data.from_table(
        {"a": [1.5, 2, 3] * 9, "b": [1, 2, 4] * 9, "y": ["x", "y", "z"] * 9}, target="y", verbose=False
    )
    table = table | {"y": ["x", "z", "x"]}
    other = dk.data.from_table(table, target="y", verbose=False)
    net = dk.Sequential([dk.TableEncoder(), dk.Classifier(3)])
    with pytest.raises(ValueError, match=f"validation_data: {text}(.*\n)*  hint: pass the schema of the training"):
        dk.fit(net, train, validation_data=other.train, verbose=0)


@pytest.mark.parametrize("columns", [["area"], ["area", "rooms"]])
def test_a_diverging_run_does_not_blame_missing_values(columns):
    table = {"area": [1.5, None, 3, 4] * 5, "rooms": [1, 2, 3, 4] * 5, "y": np.arange(20) / 3}
    data = dk.data.from_table({name: table[name] for name in [*columns, "y"]}, target="y", verbose=False)
    optimizer = keras.optimizers.SGD(1e30)
    with pytest.raises(dk.errors.DivergedError) as error:
        dk.fit(dk.Sequential([dk.TableEncoder(), dk.Regressor(1)]), data, epochs=9, optimizer=optimizer, verbose=0)
    assert "finite numbers" not in str(error.value)


def test_a_missing_number_without_an_encoder_is_refused():
    x = {"a": np.array([1.0, np.nan, 3.0, 4.0]), "b": np.array([1.0, 2.0, 3.0, 4.0])}
    net = dk.Functional(
        inputs={"a": dk.Input((1,)), "b": dk.Input((1,))},
        nodes={"y": (["a", "b"], [dk.Merge("concat"), dk.Regressor(1)])},
        outputs="y",
    )
    with pytest.raises(ValueError, match="expected finite numbers in a, received nan"):
        dk.fit(net, x, np.zeros(4), verbose=0)


def test_raw_rows_become_inputs_and_other_data_is_unchanged(run, tmp_path):
    columns = run[0].columns
    rows = [dict(zip(TABLE, row, strict=True)) for row in zip(*TABLE.values(), strict=True)][:3]
    path = tmp_path / "rows.csv"
    lines = [TABLE, *(["" if value is None else str(value) for value in row.values()] for row in rows)]
    path.write_text("\n".join(map(",".join, lines)), encoding="utf-8")
    expected = columns.convert(rows)
    for x in (rows, tuple(rows), path, str(path), {name: values[:3] for name, values in TABLE.items()}):
        inputs = rows_as_inputs(columns, x)
        assert list(inputs) == list(expected)
        for name, values in expected.items():
            np.testing.assert_array_equal(inputs[name], values)
    for x in (expected, run[0].test, run[0].train, [np.zeros(3)], np.zeros((2, 7))):
        assert rows_as_inputs(columns, x) is x
    assert rows_as_inputs(None, rows) is rows


def test_code_and_files_of_an_encoder():
    encoder = dk.TableEncoder(
        {"area m2": "numeric", "city": "categorical"},
        indicators=["area m2"],
        lookup={"max_tokens": 10},
        text={"ngrams": 2},
    )
    namespace = {"dk": dk}
    assert eval(repr(encoder), namespace) == encoder
    assert hash(eval(repr(encoder), namespace)) == hash(encoder)
    assert dk.from_dict(json.loads(json.dumps(dk.to_dict(encoder)))) == encoder
    assert encoder != dk.TableEncoder(encoder.columns, indicators=[])
    assert dk.from_dict(dk.to_dict(dk.TableEncoder())) == dk.TableEncoder()


def test_date_features_are_positions_in_cycles():
    dates = np.array(["2000-01-01", "2024-01-01", "2024-07-01", "2024-01-08", "NaT"], "datetime64[s]").astype("int64")
    encoded = np.asarray(dk.layers.DateFeatures()(dates[:, None]))
    assert abs(encoded[1, 0] - 24) < 0.01
    np.testing.assert_allclose(encoded[1, 3:5], encoded[3, 3:5], atol=1e-5)  # both are Mondays
    np.testing.assert_allclose(encoded[1, 3:5], [0, 1], atol=1e-5)
    assert encoded[1, 2] > 0.99 > -0.99 > encoded[2, 2]  # January and July
    assert np.isnan(encoded[4]).all()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: dk.TableEncoder({"a": "number"}),
            r"columns\['a'\] must be one of 'numeric', .*did you mean 'numeric'",
        ),
        (lambda: dk.TableEncoder({"a": "ignore"}), "received 'ignore'(.*\n)*  hint: leave the column out"),
        (lambda: dk.TableEncoder({"a/b": "text"}), "must be a string without '/', received 'a/b'"),
        (lambda: dk.TableEncoder(["a"]), "must be a mapping of names to kinds, received"),
        (lambda: dk.TableEncoder({"a": "text"}, indicators=["a"]), "received the text column 'a'"),
        (lambda: dk.TableEncoder(text={"output_mode": "int"}), "output_mode must be one of 'multi_hot'"),
        (lambda: dk.TableEncoder().build(), "the kinds of the columns are unknown(.*\n)*  hint: train it with dk.fit"),
        (
            lambda: dk.Sequential([dk.TableEncoder({"a": "numeric"}), dk.Regressor(1)]).build(),
            "ImputedNormalization is not adapted",
        ),
        (
            lambda: dk.Sequential([dk.Input((3,)), dk.TableEncoder({"a": "numeric"})]).build(),
            "a TableEncoder takes its columns a by name, received a tensor 3",
        ),
        (
            lambda: dk.fit(dk.Sequential([dk.TableEncoder(), dk.Regressor(1)]), (np.zeros((4, 2)), np.zeros(4))),
            r"expected a mapping of columns by name for dk.TableEncoder, received examples of shape \(2,\)",
        ),
    ],
)
def test_errors_of_an_encoder(make, text):
    with pytest.raises(ValueError, match=text):
        make()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"indicators": [0, 0]}, "must be a list of distinct positions, received"),
        ({"axis": 1}, "axis must be -1 and invert False, received axis=1"),
    ],
)
def test_errors_of_the_normalization(arguments, text):
    with pytest.raises(ValueError, match=text):
        dk.layers.ImputedNormalization(**arguments)
