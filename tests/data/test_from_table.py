"""`from_table`: CSV files, data frames and columns in memory."""

import datetime
import json
import random

import numpy as np
import pytest

import deepkit as dk
from deepkit.data import TableSchema
from deepkit.data.table_source import read_table

HOUSES = """id,area,rooms,city,garden,built,zip,advert,price
0,50.5,2,Oslo,yes,2001-05-03,01234,a small flat near the old harbour number 0,210.5
1,,3,Rome,no,1999-12-31,01235,a big house with a lovely garden number 1,250.25
2,120,5,Lima,yes,2020-02-29,51234,two rooms and a kitchen in town number 2,400
3,75,NA,?,,2011-01-01,01234,needs some work but is very cheap number 3,199.9
4,60,2,Oslo,no,,99999,a bright loft for a young family number 4,222
5,61,2,Oslo,no,2012-03-04,99998,a bright loft for an old couple number 5,223
6,62,1,Rome,yes,2012-03-05,01234,close to the station and to shops number 6,224
7,63,1,Rome,yes,2012-03-06,01234,far from everything that is loud number 7,225
8,64,1,Lima,yes,2012-03-07,01235,with a view of the distant mountains number 8,226
9,65,1,Lima,no,2012-03-08,01234,under the roof of a grand villa number 9,227
10,66,1,Lima,no,2012-03-09,01235,in the cellar of the same villa number 10,228
"""


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


@pytest.fixture
def houses(tmp_path):
    return write(tmp_path / "houses.csv", HOUSES)


def load(table, target="price", verbose=False, **kwargs):
    return dk.data.from_table(table, target=target, verbose=verbose, **kwargs)


def table_of(**columns):
    """Return a table of 20 rows: a column of numbers, and others."""
    return {"x": np.linspace(0, 1, 20), **columns}


def test_the_kinds_of_columns_are_inferred_and_printed(houses, capsys):
    content = houses.read_bytes()
    data = load(houses, validation=0.2, verbose=True)
    assert data.columns.kinds == {
        "area": "numeric", "rooms": "numeric", "city": "categorical", "garden": "boolean", "built": "date",
        "zip": "categorical", "advert": "text",
    }  # fmt: skip
    assert houses.read_bytes() == content
    printed = capsys.readouterr().out
    assert "houses.csv: 11 rows, 9 columns" in printed
    assert "target price: regression, its values are numbers with a fraction" in printed
    lines = {line.split()[0]: " ".join(line.split()) for line in printed.splitlines() if line}
    assert lines["id"] == "id ignore a row number"
    assert lines["rooms"] == "rooms numeric 1 integers, 4 distinct values"
    assert lines["city"] == "city categorical 1 3 distinct values"
    assert lines["zip"].startswith("zip categorical codes with leading zeros, such as '01234'; 5")
    assert "houses: 9 train, 2 validation; file " in printed


def test_values_of_each_kind(houses):
    x, y = load(houses).train.arrays()
    assert {name: values.dtype.name for name, values in x.items()} == {
        "area": "float32", "rooms": "float32", "city": "object", "garden": "float32", "built": "int64",
        "zip": "object", "advert": "object",
    }  # fmt: skip
    assert x["area"][:3].tolist() == pytest.approx([50.5, np.nan, 120], nan_ok=True)
    assert x["city"][2:5].tolist() == [b"Lima", b"", b"Oslo"]
    assert x["garden"][:4].tolist() == pytest.approx([1, 0, 1, np.nan], nan_ok=True)
    assert x["built"][:2].astype("datetime64[s]").astype("datetime64[D]").astype(str).tolist() == [
        "2001-05-03", "1999-12-31",
    ]  # fmt: skip
    assert x["built"][4] == np.iinfo("int64").min
    assert x["zip"][0] == b"01234"
    assert y[:2].tolist() == [210.5, 250.25]


def test_columns_override_the_inference(houses):
    chosen = {"id": "numeric", "rooms": "categorical", "zip": "numeric", "advert": "ignore", "built": "%Y-%m-%d"}
    data = load(houses, columns=chosen)
    assert data.columns.kinds == {
        "id": "numeric", "area": "numeric", "rooms": "categorical", "city": "categorical", "garden": "boolean",
        "built": "date", "zip": "numeric",
    }  # fmt: skip
    x = data.train.arrays()[0]
    assert x["rooms"][:4].tolist() == [b"2", b"3", b"5", b""]
    assert x["zip"][0] == 1234


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("a;b\n1,5;x y\n2,25;z\n", {}, {"a": [1.5, 2.25], "b": ["x y", "z"]}),
        ("a\tb\n1\tx,1\n2\tz\n", {}, {"a": [1, 2], "b": ["x,1", "z"]}),
        ("a|b\n1|x\n2|z\n", {}, {"a": [1, 2], "b": ["x", "z"]}),
        ("a:b\n1:x\n2:z\n", {"delimiter": ":"}, {"a": [1, 2], "b": ["x", "z"]}),
        ('a, b\n1, "x\nz"\n\n2, "y ""q"""\n', {}, {"a": [1, 2], "b": ['"x', "z"]}),
        ('a,b\n1,"x\nz"\n\n2,"y ""q"""\n', {}, {"a": [1, 2], "b": ["x\nz", 'y "q"']}),
        ("a,b\r\n1.234,x\r\n2,z\r\n", {}, {"a": [1.234, 2], "b": ["x", "z"]}),
        ("a;b\n1.234,5;x\n-0,5;z\n", {}, {"a": [1234.5, -0.5], "b": ["x", "z"]}),
    ],
    ids=["semicolon", "tab", "bar", "chosen", "space before a quote", "quotes", "crlf", "thousands"],
)
def test_delimiters_quotes_and_decimal_commas(tmp_path, text, options, expected):
    path = write(tmp_path / "t.csv", text)
    if "\n2, " in text:  # a quote is special at the beginning of a value only
        with pytest.raises(ValueError, match="line 3 has 1 value, and the header has 2 columns"):
            read_table(path, **options)
        return
    data = dk.data.from_table(path, target=None, columns={"b": "categorical"}, verbose=False, **options)
    x = data.train.arrays()[0]
    assert x["a"].tolist() == pytest.approx(expected["a"])
    assert [value.decode() for value in x["b"]] == expected["b"]


@pytest.mark.parametrize(
    ("encoding", "options"),
    [
        ("utf-8", {}),
        ("utf-8-sig", {}),
        ("utf-16", {}),
        ("latin-1", {"encoding": "latin-1"}),
        ("cp1252", {"encoding": "cp1252"}),
    ],
)
def test_encodings(tmp_path, encoding, options):
    path = write(tmp_path / "t.csv", "größe,b\nschön,1\ngroß,2\n", encoding)
    assert read_table(path, **options).columns["größe"].values.tolist() == ["schön", "groß"]


@pytest.mark.parametrize(
    ("content", "options", "text"),
    [
        (b"", {}, "t.csv: the file is empty"),
        (b"a,b\n", {}, "t.csv: the file has a header and no rows"),
        (b"a,b\n1,2\n3\n", {}, r"line 3 has 1 value, and the header has 2 columns(.*\n)*  hint: correct the line"),
        (b'a,b\n1,"x\ny"\n3,4,5\n', {}, "line 4 has 3 values, and the header has 2 columns"),
        (b'a,b\n1,"x\n2,y\n', {}, "the row that begins in line 2 cannot be read: unexpected end of data"),
        (
            b"1,2\n3,4\n",
            {},
            r"the first row has no names of columns, only numbers: '1, 2'(.*\n)*  hint: add a first line",
        ),
        (b"a,b,a\n1,2,3\n", {}, "2 columns have the name 'a': columns 1, 3"),
        (b"a,b\nfoo,Ren\xe9\n", {}, r'byte 11 in line 2 is 0xe9(.*\n)*  hint: pass the encoding .* encoding="latin-1"'),
        ("a,b\n1,2\n".encode("utf-16-le"), {}, r'zero byte at position 1(.*\n)*  hint: pass encoding="utf-16-le"'),
        (b"PK\x03\x04xyz", {}, "is a ZIP or Excel file, expected a CSV file(.*\n)*  hint: read it with pandas first"),
        (b"a,b\n1,2\n", {"encoding": "utf-99"}, "encoding must be the name of an encoding, received 'utf-99'"),
        (b"a,b\n1,2\n", {"delimiter": "::"}, "delimiter must be one character, received '::'"),
    ],
)
def test_damaged_files(tmp_path, content, options, text):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises((ValueError, dk.errors.DataError), match=text):
        load(path, target="b", **options)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("table", "options", "text"),
    [
        ("a\0b.csv", {}, "cannot be read: embedded null byte"),
        ("~no-such-user/a.csv", {}, "cannot be read: no such file or directory"),
        ("no.csv", {}, r"no.csv cannot be read: no such file or directory\n  hint: the current folder is"),
        (5, {}, "table: expected a table with named columns, received 5"),
        ({"a": [1, 2], "y": [1]}, {}, "the columns differ in length: 'a' has 2 values, 'y' has 1"),
        ({"a": [[1], [2]], "y": [1.5, 2.5]}, {}, r"the column 'a' holds Python objects: row 0 has \[1\]"),
        (table_of(y=[*range(18), "n/a", 2]), {}, "the target 'y' is missing in 1 of 20 rows, first in row 18"),
        (table_of(y=["u", "v"] * 10), {"target": "Y"}, r"target: the table has no column 'Y'; did you mean 'y'\?"),
        (table_of(y=["u", "v"] * 10), {"target": 3}, "target must be the name of a column, .* received 3"),
        (table_of(y=["u", "v"] * 10), {"target": ["y", "y"]}, r"a column occurs twice in \['y', 'y'\]"),
        (table_of(y=["u", "v"] * 10), {"task": "regression"}, r"regression needs numbers, and row 0 .* has 'u'"),
        (table_of(y=["u", "v"] * 10), {"task": "classify"}, "task must be one of 'classification', 'regression'"),
        (table_of(y=["u"] * 20), {}, "every value of the target 'y' is 'u', expected two classes or more"),
        (table_of(y=[f"u{i}" for i in range(20)]), {}, "the target 'y' has 20 distinct values in 20 rows"),
        (table_of(y=[*range(19), "7 kg"]), {}, r"the target 'y' holds numbers, but row 19 has '7 kg'"),
        (
            table_of(y=["u", "v"] * 10, z=[*range(19), "7 kg"]),
            {},
            r"'z' holds numbers, but row 19 has '7 kg'(.*\n)*  hint: correct the value, pass missing_values=",
        ),
        (
            table_of(y=["u", "v"] * 10, z=["2020-01-01"] * 19 + ["soon"]),
            {},
            "the column 'z' holds dates, but row 19 has 'soon'",
        ),
        (
            table_of(y=["u", "v"] * 10, z=["03/04/2020", "05/06/2021"] * 10),
            {},
            r"whose day may be first or second\n  hint: pass columns={'z': \"%d/%m/%Y\"}",
        ),
        (
            table_of(y=["u", "v"] * 10, z=[*range(19), float("inf")]),
            {},
            "the column 'z' holds numbers, but row 19 has inf",
        ),
        (
            table_of(y=["u", "v"] * 10),
            {"columns": {"z": "text"}},
            "columns: the table has no column 'z'; its columns are x, y",
        ),
        (table_of(y=["u", "v"] * 10), {"columns": {"y": "text"}}, "columns: 'y' is the target"),
        (table_of(y=["u", "v"] * 10), {"columns": {"x": "number"}}, r"columns\['x'\] must be one of .* did you mean"),
        (
            {"x": ["u", "v"] * 10, "y": [1.5] * 20},
            {"columns": {"x": "boolean"}},
            "the column 'x' holds booleans, but row 0 has 'u'",
        ),
        ({"x": [1] * 4, "y": [1, 2, 3, 4.5]}, {}, r"no column is left as an input of a model: x \(every value is 1\)"),
        ({"a/b": [1, 2, 4], "a_b": [1, 2, 4], "y": [1.5, 2, 3]}, {}, "'a/b' and 'a_b' have the same input 'a_b'"),
        (table_of(y=["u", "v"] * 10), {"split": "time"}, 'split="time": the table has no column of dates'),
        (table_of(y=["u", "v"] * 10), {"time_column": "x"}, "time_column='x' has no effect with split=\"random\""),
        (table_of(y=["u", "v"] * 10), {"split": "last"}, "split must be one of 'random', 'time', received 'last'"),
        (table_of(y=np.arange(20) + 0.5), {"validation": 20}, "validation=20 and test=0.0 leave no training row of 20"),
        (table_of(y=["u", "v"] * 10), {"delimiter": ";"}, "delimiter=';' is for a CSV file, received"),
        (table_of(y=["u", "v"] * 10), {"missing_values": "?"}, "missing_values must be a list of strings, received"),
    ],
)
def test_errors_name_the_column_and_the_row(table, options, text):
    with pytest.raises((ValueError, TypeError, dk.errors.DataError), match=text):
        load(table, **{"target": "y", **options})


@pytest.mark.parametrize(
    ("values", "task", "class_names"),
    [
        (["b", "a"] * 10, "classification", ("a", "b")),
        ([True, False] * 10, "classification", ("False", "True")),
        ([9, 10] * 10, "classification", ("9", "10")),
        (list(range(20)), "regression", ()),
        ([0.5, 1.5] * 10, "regression", ()),
    ],
)
def test_the_type_of_the_target_decides_the_task(values, task, class_names, capsys):
    data = load(table_of(y=values), target="y", verbose=True)
    assert f"target y: {task}, " in capsys.readouterr().out
    assert data.class_names == class_names
    assert data.num_classes == (len(class_names) or None)
    labels = data.train.arrays()[1]
    assert labels.dtype == ("int32" if class_names else "float32")
    if class_names:
        assert [class_names[label] for label in labels] == [str(value) for value in values]


def test_a_chosen_task_and_several_targets():
    table = table_of(a=np.arange(20), b=np.arange(20) / 3, c=["u", "v"] * 10)
    assert load(table, target="c", task="classification").num_classes == 2
    assert load(table, target=["a", "b"]).train.arrays()[1].shape == (20, 2)
    mixed = load(table, target=["b", "c"])
    assert set(mixed.train.arrays()[1]) == {"b", "c"}
    assert mixed.class_names == {"c": ("u", "v")}
    heads = load(table, target={"first": "a", "second": "b"})
    assert set(heads.train.arrays()[1]) == {"first", "second"}
    assert len(load(table, target=None).train.arrays()) == 1


def test_a_random_split_is_stratified_and_depends_on_the_seed_only():
    table = {"x": np.arange(200) * 1.5, "y": ["rare"] * 20 + ["common"] * 180}
    first, second = (load(table, target="y", validation=0.2, test=0.1) for _ in range(2))
    assert first.train.fingerprint == second.train.fingerprint
    assert [sum(split.arrays()[1]) for split in (first.train, first.validation, first.test)] == [14, 4, 2]
    other = load(table, target="y", validation=0.2, test=0.1, seed=1)
    assert set(other.validation.arrays()[0]["x"]) != set(first.validation.arrays()[0]["x"])
    rows = [set(split.arrays()[0]["x"]) for split in (first.train, first.validation, first.test)]
    assert len(set.union(*rows)) == sum(map(len, rows)) == 200


def test_a_split_by_time_takes_the_last_rows():
    days = [
        datetime.date(2020, 1, 1) + datetime.timedelta(days=int(i)) for i in np.random.default_rng(0).permutation(50)
    ]
    table = {"x": np.arange(50) * 1.5, "day": days, "y": np.arange(50) / 7}
    data = load(table, target="y", split="time", validation=0.2, test=5)
    train, validation, test = (split.arrays()[0]["day"] for split in (data.train, data.validation, data.test))
    assert (len(train), len(validation), len(test)) == (35, 10, 5)
    assert train.max() < validation.min()
    assert validation.max() < test.min()
    by_number = load(table, target="y", split="time", time_column="x", test=5)
    assert by_number.test.arrays()[0]["x"].min() == 45 * 1.5


def test_columns_that_carry_no_information_and_columns_that_determine_the_target(capsys):
    table = table_of(
        code=[f"P{i}" for i in range(20)], user_id=np.arange(20) * 7, only=["a"] * 20, empty=[None] * 20,
        sizes=[3.0] * 10 + [None] * 10, y=np.linspace(0, 1, 20) * 3 + 1,
    )  # fmt: skip
    data = load(table, target="y", verbose=True)
    assert data.columns.kinds == {"x": "numeric", "sizes": "numeric"}
    printed = " ".join(capsys.readouterr().out.split())
    assert "code ignore an identifier: every value is distinct" in printed
    assert "user_id ignore an identifier" in printed
    assert "only ignore every value is 'a'" in printed
    assert "empty ignore 20 every value is missing" in printed
    assert "x determines the target y exactly" in printed


def test_mixed_values_are_categories_and_printed(tmp_path, capsys):
    path = write(tmp_path / "t.csv", 'a,b\n12,1.5\nn/a,2.5\n"7,5",3.5\n')
    assert load(path, target="b", verbose=True).columns.kinds == {"a": "categorical"}
    printed = " ".join(capsys.readouterr().out.split())
    assert "mixed: 1 of 2 values are numbers, not '7,5' (line 4)" in printed


def test_raw_rows_are_converted_as_the_training_rows(houses, tmp_path, capsys):
    schema = load(houses).columns
    row = dict(zip(HOUSES.split("\n")[0].split(","), HOUSES.split("\n")[1].split(","), strict=True))
    sources = [
        [row], row, {name: [value] for name, value in row.items()},
        write(tmp_path / "one.csv", ";".join(row) + "\n" + ";".join(row.values()).replace("50.5", "50,5")),
    ]  # fmt: skip
    converted = [schema.convert(source) for source in sources]
    assert capsys.readouterr().out == ""  # the target and the ignored id are no surprise
    for columns in converted:
        assert list(columns) == list(schema.kinds)
        for name in columns:
            assert columns[name].tolist() == converted[0][name].tolist()
    schema.convert(row | {"city": "Bonn", "new": 1})
    printed = capsys.readouterr().out
    assert "ignored columns that the training data lacks: new" in printed
    assert "city: not in the training data, so encoded as unknown: 'Bonn'" in printed


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda row: row.pop("city"), "the column 'city' of the training data is absent; the table has area, "),
        (lambda row: row.update(City=row.pop("city")), "'city' of the training data is absent; did you mean 'City'"),
        (lambda row: row.update(area="big"), "the column 'area' holds numbers, but row 0 has 'big'"),
        (lambda row: row.update(garden="maybe"), "the column 'garden' holds booleans, but row 0 has 'maybe'"),
        (lambda row: row.update(built="soon"), "'built' holds dates in the format ISO 8601, but row 0 has 'soon'"),
    ],
)
def test_rows_that_do_not_fit_the_schema(houses, change, text):
    schema = load(houses).columns
    row = {"area": 1, "rooms": 2, "city": "x", "garden": "no", "built": "", "zip": "1", "advert": ""}
    change(row)
    with pytest.raises(ValueError, match=text):
        schema.convert([row])


def test_data_frames(capsys):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {
            "n": pd.array([1, None, 3] * 4, "Int64"),
            "f": [0.5, np.nan, 1.5] * 4,
            "c": pd.Categorical(["a", "b", None] * 4),
            "s": pd.array(["u", None, "v"] * 4, "string"),
            "b": pd.array([True, None, False] * 4, "boolean"),
            "d": pd.to_datetime(["2020-01-01", None, "2021-01-01"] * 4),
            "z": pd.to_datetime(["2020-01-01 02:00+02:00", "2020-01-01", "2021-01-01"] * 4, utc=True, format="ISO8601"),
            "y": [1.5, 2.5, 3.5] * 4,
        },
        index=np.arange(12)[::-1],
    )
    before = frame.copy(deep=True)
    data = load(frame, target="y")
    pd.testing.assert_frame_equal(frame, before)
    assert data.columns.kinds == {
        "n": "numeric", "f": "numeric", "c": "categorical", "s": "categorical", "b": "boolean", "d": "date",
        "z": "date",
    }  # fmt: skip
    x, y = data.train.arrays()
    assert [str(values[1]) for values in x.values()][:5] == ["nan", "nan", "b'b'", "b''", "nan"]
    assert x["z"][0] == x["z"][1] == np.datetime64("2020-01-01", "s").astype("int64")
    assert y[:3].tolist() == [1.5, 2.5, 3.5]
    with pytest.raises(ValueError, match="the columns have several levels of names"):
        load(pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_product([["a"], ["b", "c"]])))


@pytest.mark.slow
def test_damaged_files_raise_errors_with_a_hint_or_load(tmp_path):
    rng = random.Random(0)
    path = tmp_path / "houses.csv"
    for _ in range(150):
        content = bytearray(HOUSES.encode())
        for _ in range(rng.randint(1, 4)):
            start = rng.randrange(len(content))
            action = rng.choice(["delete", "replace", "insert", "cut"])
            if action == "delete":
                del content[start : start + rng.randint(1, 40)]
            elif action == "replace":
                content[start] = rng.choice(b'",;\n\r\x00\xff\xe9 x9|')
            elif action == "insert":
                content[start:start] = rng.choice(
                    [b'"', b"\n", b",", b"\xff\xfe", b"\xef\xbb\xbf", b"nan", b"-", b"1e999"]
                )
            else:
                content = content[:start]
            content = content or bytearray(b" ")
        path.write_bytes(content)
        message = ""
        try:
            data = load(path, target="price", validation=2)
        except (ValueError, dk.errors.DataError) as error:
            message = str(error)
        if message:
            assert "hint:" in message, content
        else:
            assert set(data.train.arrays()[0]) == set(data.columns.kinds)
        assert path.read_bytes() == bytes(content)


def test_bytes_that_are_not_utf_8_are_named():
    with pytest.raises(TypeError, match=r"'city' holds Python objects: row 1 has b'\\xff'"):
        dk.data.from_table({"city": [b"Oslo", b"\xff"], "price": [1.5, 2.5]}, target="price", verbose=False)


@pytest.fixture
def flats():
    """Return a table with a target of three classes."""
    table = {"area": np.arange(30) * 1.5, "day": [f"{1 + i % 28:02}.03.2020" for i in range(30)]}
    return table | {"city": ["Oslo", "Rome", "?"] * 10, "price": ["low", "mid", "top"] * 10}


def test_another_table_has_the_kinds_and_the_classes_of_a_schema(flats, capsys):
    schema = load(flats, columns={"city": "text"}, missing_values=["?"]).columns
    other = {"area": [1, 2], "day": ["01.02.2021", None], "city": ["?", "7"], "price": ["top", "low"], "new": [1, 2]}
    data = load(other, columns=schema, verbose=True)
    assert data.columns == schema
    assert data.class_names == ("low", "mid", "top")
    x, y = data.train.arrays()
    assert y.tolist() == [2, 0]
    assert [values.dtype for values in x.values()] == ["float32", "int64", "object"]
    printed = " ".join(capsys.readouterr().out.split())
    assert "target price: classification, as in the schema; 3 classes" in printed
    assert "ignored columns that the training data lacks: new" in printed
    assert load(other, target=None, columns=schema).train.columns == schema
    assert TableSchema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


@pytest.mark.parametrize(
    ("change", "options", "text"),
    [
        ({"price": ["top", "big"]}, {}, "row 1 of the target 'price' has the class 'big', expected a class of the sch"),
        ({"area": [1, "x"]}, {}, r"'area' holds numbers, but row 1 has 'x'\n  hint: correct the value$"),
        ({"day": ["2021-02-30", "soon"]}, {}, "'day' holds dates in the format DD.MM.YYYY, but row 0 has '2021-02-30'"),
        ({}, {"target": "city"}, "target: the schema has the target 'price', received 'city'"),
        (
            {},
            {"task": "regression"},
            "task='regression' has no effect with a TableSchema(.*\n)*  hint: leave task=",
        ),
        ({}, {"missing_values": ["-"]}, r"missing_values=\['-'\] has no effect with a TableSchema"),
    ],
)
def test_errors_of_a_table_with_a_schema(flats, change, options, text):
    schema = load(flats).columns
    other = {"area": [1, 2], "day": ["01.02.2021", None], "city": ["Oslo", "Bonn"], "price": ["top", "low"], **change}
    with pytest.raises(ValueError, match=text):
        load(other, columns=schema, **options)


def test_the_json_values_of_another_object_are_refused():
    with pytest.raises(ValueError, match=r"expected the JSON values of a schema, received \{'columns': 3}"):
        TableSchema.from_json({"columns": 3})


def test_rows_are_required(flats):
    schema = load(flats).columns
    with pytest.raises(ValueError, match=r"expected rows, received columns without values\n  hint: pass a row"):
        schema.convert({name: [] for name in flats})


def test_converted_rows_are_recognized(flats):
    schema = load(flats).columns
    rows = schema.convert(flats)
    assert schema.is_converted(rows)
    assert not schema.is_converted(flats)
    assert not schema.is_converted(rows | {"day": np.arange(30, dtype="int32")})
    assert not schema.is_converted({name: rows[name] for name in ("area", "day")})


def test_masked_values_are_missing():
    mask = [False, True, False, False]
    table = {"a": np.ma.array([1.5, 99, 3, 4], mask=mask), "b": np.ma.array([1, 99, 3, 4], mask=mask)}
    table |= {"c": np.ma.array(["x", "z", "x", "y"], mask=mask), "price": [1.5, 2, 3, 4]}
    rows = load(table).columns.convert(table)
    assert [name for name in "ab" if np.isnan(rows[name][1])] == ["a", "b"]
    assert rows["c"].tolist() == ["x", "", "x", "y"]
