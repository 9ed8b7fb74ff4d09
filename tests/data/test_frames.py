"""pandas objects and PyTorch tensors as arrays."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import deepkit
from deepkit import data as dk_data
from deepkit.data.frames import as_arrays


class Tensor:
    """Stands in for a PyTorch tensor, which NumPy cannot convert if it has a gradient or the dtype bfloat16."""

    __module__ = "torch"

    def __init__(self, values, dtype="torch.float32", layout="torch.strided", requires_grad=False):
        self.values, self.dtype, self.layout, self.requires_grad = np.asarray(values), dtype, layout, requires_grad

    def detach(self):
        return Tensor(self.values, self.dtype)

    def cpu(self):
        return self

    def float(self):
        return Tensor(self.values.astype("float32"))

    def numpy(self):
        if self.requires_grad or self.dtype == "torch.bfloat16":
            raise TypeError("cannot convert")
        return self.values

    def __array__(self, dtype=None, copy=None):
        return self.numpy()


@pytest.mark.parametrize(
    ("frame", "dtype", "rows"),
    [
        (pd.DataFrame({"a": [1, 2], "b": [3, 4]}), "int64", [[1, 3], [2, 4]]),
        (pd.DataFrame({"a": [1, 2], "b": [0.5, 4]}), "float64", [[1, 0.5], [2, 4]]),
        (pd.DataFrame({"a": [True, False], "b": [3, 4]}), "int64", [[1, 3], [0, 4]]),
        (pd.DataFrame({"a": [True, False]}), "bool", [[True], [False]]),
        (pd.DataFrame({"a": pd.array([1, 2], "Int64"), "b": pd.array([1, 0], "Float64")}), "float64", [[1, 1], [2, 0]]),
        (pd.DataFrame([[1, 2.5], [3, 4]], columns=["same", "same"]), "float64", [[1, 2.5], [3, 4]]),
    ],
)
def test_a_frame_of_numbers_is_one_array_with_a_row_for_each_example(frame, dtype, rows):
    array = as_arrays(frame, "x")
    assert (array.dtype, array.tolist()) == (np.dtype(dtype), rows)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (pd.Series([1, 2], index=["p", "q"]), [1, 2]),
        (pd.Index([1.5, 2]), [1.5, 2]),
        (pd.Series(["b", "a"], dtype="category"), ["b", "a"]),
        (pd.Categorical([3, 7]), [3, 7]),
        (pd.array([True, False], "boolean"), [True, False]),
        (pd.Series(["b", "a"], dtype="string"), ["b", "a"]),
        (pd.Series(["b", "a"], dtype=object), ["b", "a"]),
    ],
)
def test_a_column_is_an_array_of_its_values(column, values):
    assert as_arrays(column, "y").tolist() == values


def test_only_the_frames_in_a_structure_are_converted():
    x = np.zeros(2)
    result = as_arrays({"a": x, "b": pd.Series([1, 2]), "c": (pd.Series([3, 4]), [5, 6])}, "x")
    assert result["a"] is x
    assert (result["b"].tolist(), result["c"][0].tolist(), result["c"][1]) == ([1, 2], [3, 4], [5, 6])
    assert [array.tolist() for array in as_arrays([pd.Series([1]), pd.Series([2])], "x")] == [[1], [2]]


@pytest.mark.parametrize(
    ("value", "problem", "hint"),
    [
        (
            pd.DataFrame({"age": [1.0, None, None], "height": 2}, index=[5, 7, 9]),
            "x: the column 'age' has 2 missing values, the first in row 1 (index 7)",
            "dk.data.from_table(frame, target=...) accepts missing values",
        ),
        (pd.DataFrame({"n": pd.array([1, None], "Int64")}), "x: the column 'n' has a missing value in row 1", "fillna"),
        (pd.Series(["a", None]), "x has a missing value in row 1", "dropna()"),
        (pd.Categorical(["a", None]), "x has a missing value in row 1", "dropna()"),
        (
            pd.DataFrame({"age": [1, 2], "sex": ["f", "m"], "town": pd.Categorical(["a", "b"])}),
            "x: expected a DataFrame of numbers, received text or categories in the columns 'sex', 'town' of 3",
            "use dk.data.from_table(frame, target=...), which encodes text and categories, or pass each column as an "
            "input by name: {'sex': frame['sex'], ...}",
        ),
        (
            pd.DataFrame({"age": [1, 2], "ward": pd.Categorical([1, 2])}),
            "received text or categories in the column 'ward' of 2",
            "from_table",
        ),
        (
            pd.DataFrame({"day": pd.to_datetime(["2024-01-01", "2024-01-02"])}),
            "x: the column 'day' has the dtype datetime64",
            "from_table(frame, target=...), which encodes dates",
        ),
        (
            pd.Series(pd.to_datetime(["2024-01-01"]).tz_localize("UTC"), name="day"),
            "x: the column 'day' has the dtype datetime64",
            "column.dt.dayofyear",
        ),
        (pd.Series(pd.to_timedelta([1]), name="gap"), "dtype timedelta64", "column.dt.total_seconds()"),
        (pd.Series(["a", 3], name="mixed", dtype=object), "received 3 in row 1", "astype"),
        (pd.Series([[1, 2], [3, 4]]), "received [1, 2] in row 0", "np.stack(column.to_list())"),
        (pd.DataFrame(index=[0, 1]), "the DataFrame of 2 rows has no columns", "frame[['age', 'height']]"),
        (pd.MultiIndex.from_tuples([(1, 2)]), "received a MultiIndex", "pass a DataFrame or a Series"),
        (Tensor([1.0], layout="torch.sparse_coo"), "x is a sparse tensor", "x.to_dense()"),
    ],
)
def test_columns_that_are_not_numbers_raise_an_error_that_names_column_and_row(value, problem, hint):
    with pytest.raises((TypeError, ValueError)) as error:
        as_arrays(value, "x")
    text, _, suggestion = str(error.value).partition("\n  hint: ")
    assert problem in text
    assert hint in suggestion


def test_pytorch_tensors_with_a_gradient_and_of_bfloat16_are_converted():
    assert as_arrays(Tensor([1.0, 2.0], requires_grad=True), "x").tolist() == [1.0, 2.0]
    assert as_arrays(Tensor([1.0, 2.0], dtype="torch.bfloat16"), "x").dtype == np.float32


def test_from_arrays_takes_frames_and_names_the_input_of_a_missing_value():
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [4, 5, 6]}, index=[2, 0, 1])
    data = dk_data.from_arrays(frame, pd.Series(["u", "v", "u"]), shuffle=False)
    x, y = data.train.arrays()
    assert (x.dtype, x.tolist(), y.tolist()) == (np.float32, [[1, 4], [2, 5], [3, 6]], [b"u", b"v", b"u"])
    with pytest.raises(ValueError, match=r"x\['p'\]: the column 'q' has a missing value in row 1"):
        dk_data.from_arrays({"p": pd.DataFrame({"q": [1.0, None]})})


def test_deepkit_imports_none_of_these_libraries():
    pattern = re.compile(r"^\s*(?:import|from)\s+(?:pandas|polars|torch)\b", re.MULTILINE)
    files = sorted(Path(deepkit.__file__).parent.rglob("*.py"))
    assert [path.name for path in files if pattern.search(path.read_text(encoding="utf-8"))] == []


def test_tensors_of_pytorch_itself():
    torch = pytest.importorskip("torch")
    tensor = torch.ones(2, 3, requires_grad=True)
    assert as_arrays({"a": tensor, "b": torch.zeros(2, dtype=torch.bfloat16)}, "x")["a"].tolist() == [[1.0] * 3] * 2
