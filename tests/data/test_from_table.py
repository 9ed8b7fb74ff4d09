import numpy as np
import pytest

import deepkit as dk

ROWS = "area,city,garden,price\n" + "".join(
    f"{'' if i % 5 == 0 else 50 + i},{('Rome', 'Oslo')[i % 2]},{('yes', 'no')[i % 2]},{i}.5\n" for i in range(20)
)


def write(folder, text=ROWS):
    path = folder / "houses.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_kinds_of_columns_and_the_task_are_inferred_and_printed(tmp_path, capsys):
    data = dk.data.from_table(write(tmp_path), target="price", validation=0.25)
    assert dict(data.columns.kinds) == {"area": "numeric", "city": "categorical", "garden": "boolean"}
    assert (data.train.num_examples, data.validation.num_examples) == (15, 5)
    printed = capsys.readouterr().out
    assert "target price: regression" in printed
    assert "numeric" in printed


def test_a_missing_number_is_nan_and_the_file_is_unchanged(tmp_path):
    path = write(tmp_path)
    x, y = dk.data.from_table(path, target="price", verbose=False).train.arrays()
    assert np.isnan(x["area"]).sum() == 4
    assert sorted(y) == [i + 0.5 for i in range(20)]
    assert path.read_text(encoding="utf-8") == ROWS


def test_text_targets_are_classes(tmp_path):
    data = dk.data.from_table(write(tmp_path), target="city", verbose=False)
    assert (data.class_names, data.num_classes) == (("Oslo", "Rome"), 2)


def test_an_absent_target_is_named(tmp_path):
    with pytest.raises(ValueError, match="prize"):
        dk.data.from_table(write(tmp_path), target="prize", verbose=False)


def test_a_kind_can_be_passed(tmp_path):
    data = dk.data.from_table(write(tmp_path), target="price", columns={"area": "categorical"}, verbose=False)
    assert data.columns.kinds["area"] == "categorical"


def test_bytes_that_are_not_utf_8_are_named():
    with pytest.raises(TypeError, match=r"'city' holds Python objects: row 1 has b'\\xff'"):
        dk.data.from_table({"city": [b"Oslo", b"\xff"], "price": [1.5, 2.5]}, target="price", verbose=False)
