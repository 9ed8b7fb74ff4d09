"""`Run.predict` and `Run.evaluate` of raw rows: the conversions of the training table."""

import shutil

import numpy as np
import pandas as pd
import pytest

import deepkit as dk

ROWS = [{"area": 70, "city": "Oslo", "sold": "13.01.2021"}, {"area": None, "city": "Bonn", "sold": None}]


@pytest.fixture(scope="module")
def table_run(tmp_path_factory):
    """Return a run on a table: numbers, categories and dates, with missing values."""
    table = {
        "area": [30.0, None, 120.0, 75.0, 61.0] * 8,
        "city": ["Oslo", "Rome", None, "Lima"] * 10,
        "sold": ["01.02.2020", "", "25.12.2021", "03.04.2022"] * 10,
        "size": ["small", "large"] * 20,
    }
    data = dk.data.from_table(table, target="size", validation=0.2, verbose=False)
    net = dk.Sequential([dk.TableEncoder(), dk.Classifier(2)])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("deepkit.training.run_report.write", lambda *parts: None)
        return data, dk.fit(net, data, run_dir=tmp_path_factory.mktemp("run"), verbose=0)


def test_raw_rows_of_a_table_are_converted(table_run, tmp_path, capsys):
    data, run = table_run
    (tmp_path / "rows.csv").write_text("sold;city;area;new\n13.01.2021;Oslo;70;1\n;Bonn;;1\n", encoding="utf-8")
    expected = run.predict(ROWS).probabilities
    assert "city: not in the training data, so encoded as unknown: 'Bonn'" in capsys.readouterr().out
    columns = {name: [row[name] for row in ROWS] for name in ROWS[0]}
    for x in (columns, tmp_path / "rows.csv", str(tmp_path / "rows.csv"), data.columns.convert(ROWS)):
        np.testing.assert_array_equal(run.predict(x).probabilities, expected)
    assert "ignored columns that the training data lacks: new" in capsys.readouterr().out
    assert run.predict(ROWS[0]).labels.shape == (1,)
    labels = ["small", "large"]
    result = run.evaluate(ROWS, labels)
    assert result == run.evaluate(columns, labels) == run.evaluate((ROWS, labels))
    table = dk.data.from_table(columns | {"size": labels}, target="size", columns=run.columns, verbose=False)
    assert result == run.evaluate(table)


@pytest.mark.parametrize("is_finished", [True, False])
def test_a_loaded_run_converts_raw_rows(table_run, tmp_path, is_finished):
    run = table_run[1]
    folder = shutil.copytree(run.run_dir, tmp_path / "run")
    if not is_finished:
        (folder / "result.json").unlink()
    loaded = dk.load_run(folder)
    assert loaded.finished == is_finished
    assert loaded.columns == run.columns
    np.testing.assert_array_equal(loaded.predict(ROWS).probabilities, run.predict(ROWS).probabilities)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"city": None}, "the column 'city' of the training data is absent; the table has area, sold"),
        ({"area": ["big"]}, "the column 'area' holds numbers, but row 0 has 'big'"),
        ({"sold": ["soon"]}, "the column 'sold' holds dates in the format DD.MM.YYYY, but row 0 has 'soon'"),
    ],
)
def test_raw_rows_that_do_not_fit_the_training_table(table_run, change, text):
    columns = {"area": [70], "city": ["Oslo"], "sold": ["13.01.2021"]} | change
    with pytest.raises(ValueError, match=text):
        table_run[1].predict({name: values for name, values in columns.items() if values is not None})


def test_a_table_of_other_columns_is_refused(table_run):
    other = dk.data.from_table({"area": [1.5, 2, 4], "city": ["u", "v", "u"]}, target=None, verbose=False)
    with pytest.raises(ValueError, match="'sold' is of the kind 'date' in the training data, absent or ignored here"):
        table_run[1].predict(other)


def test_rows_with_the_target_are_evaluated(table_run, tmp_path):
    _, run = table_run
    rows = [{**row, "size": size} for row, size in zip(ROWS * 3, ["small", "large"] * 3, strict=True)]
    expected = run.evaluate(ROWS * 3, ["small", "large"] * 3)
    assert run.evaluate(rows) == expected
    with pytest.raises(ValueError, match="'tiny'"):
        run.evaluate([{**ROWS[0], "size": "tiny"}])


def test_the_row_of_a_data_frame_is_a_row(table_run):
    _, run = table_run
    np.testing.assert_array_equal(
        run.predict(pd.DataFrame(ROWS).iloc[0]).probabilities, run.predict(ROWS[:1]).probabilities
    )


def test_a_table_without_the_target_names_it(table_run):
    with pytest.raises(ValueError, match="received inputs only\n  hint: pass a table with the target column 'size'"):
        table_run[1].evaluate(ROWS)
