"""Errors of patterns and their arguments: the whole text of each, and no other exceptions."""

import random

import numpy as np
import pytest

import deepkit as dk
from deepkit.pattern.from_pattern import Pattern, from_pattern
from tests.test_pattern import NAMESPACE, TEXTBOOK

ALL_KINDS = (
    "use one of INPUT, CONV, POOL, MAXPOOL, AVGPOOL, L2POOL, GAP, BN, LRN, DROPOUT, FLATTEN, FC, SOFTMAX, RELU, RELU6, "
    "LEAKYRELU, ELU, SELU, GELU, SILU, SWISH, MISH, SIGMOID, TANH, SOFTPLUS, SOFTSIGN"
)

# pattern, arguments, column, problem, hint
AT_COLUMN = [
    ("CONV8-COMV8", {}, 7, "unknown layer 'COMV'; did you mean CONV?", "use CONV"),
    ("XQWZ", {}, 1, "unknown layer 'XQWZ'", ALL_KINDS),
    ("CONV8-NORM", {}, 7, "unknown layer 'NORM'; did you mean BN or LRN?", "use BN or LRN"),
    ("CONV8-relu", {}, 7, "'relu': layers are written in capitals", "use RELU"),
    ("CONV8-Relu", {}, 7, "'Relu': layers are written in capitals", "use RELU"),
    ("CONV8-3x3", {}, 7, "expected a layer or a bracket, received '3x3'", "write a layer such as CONV64 or POOL"),
    ("CONV8--RELU", {}, 7, "expected a layer or a bracket, received '-'", "write a layer such as CONV64 or POOL"),
    ("CONV8-", {}, 7, "expected a layer or a bracket, received the end", "write a layer such as CONV64 or POOL"),
    (",CONV8", {}, 1, "expected a layer or a bracket, received ','", "write a layer such as CONV64 or POOL"),
    ("CONV8 RELU", {}, 7, "expected '-', ',' or the end, received 'RELU'", "write '-' between two layers"),
    ("CONV8 – RELU", {}, 7, "expected '-', ',' or the end, received '–'", "use '-', the hyphen"),
    ("CONV8-–RELU", {}, 7, "expected a layer or a bracket, received '–'", "use '-', the hyphen"),
    ("CONV8-()", {}, 8, "expected a layer or a bracket, received ')'", "write a layer such as CONV64 or POOL"),
    ("(CONV8-[RELU]*2", {}, 1, "'(' is never closed", "add ')' after its last layer"),
    ("(CONV8-RELU]*2", {}, 12, "']' closes the '(' of column 1", "use ')'"),
    ("CONV8)*2", {}, 6, "')' has no opening bracket", "remove it"),
    (
        "CONV3x3",
        {},
        5,
        "'3x3' is a kernel without the number of filters",
        "use CONV3x3x64, or CONV64 with kernel_size=3",
    ),
    ("CONV3X3X8", {}, 5, "CONV takes FILTERS or KxKxFILTERS, received '3X3X8'", "use CONV3x3x64"),
    ("FC1.5", {}, 3, "FC takes UNITS, received '1.5'", "use FC256"),
    ("CONV3x3x0", {}, 5, "a size of CONV must be at least 1, received 0", "use 1 or more"),
    ("FC12345678901", {}, 3, "a size of FC must have at most 9 digits, received 11", "use a smaller number"),
    ("RELU3", {}, 5, "RELU takes no size, received '3'", "use RELU"),
    ("DROPOUT50", {}, 8, "DROPOUT takes a rate in [0, 1), received '50'", "use DROPOUT0.5"),
    ("LEAKYRELU9999999999", {}, 10, "LEAKYRELU takes a slope, received '9999999999'", "use LEAKYRELU0.1"),
    ("CONV3x5", {}, 5, "'3x5' is a kernel without the number of filters", "use CONV3x5x64"),
    ("POOL3/0", {}, 7, "a stride must be at least 1, received 0", "use 1 or more"),
    ("POOL3/-RELU", {}, 7, "expected a stride after '/', received '-'", "use POOL2/2"),
    ("FC8/2", {}, 4, "FC takes no stride", "use FC without a stride"),
    ("FC8s", {}, 4, "FC takes no padding, received 's'", "use FC without padding"),
    ("CONV8s/2", {}, 7, "expected '-', ',' or the end, received '/'", "write the stride before the padding: CONV64/2s"),
    ("CONV8sv", {}, 6, "expected '-', ',' or the end, received 'sv'", "write '-' between two layers"),
    ("RELU*0", {}, 6, "a repeat must be at least 1, received 0", "use 1 or more"),
    ("RELU*-POOL", {}, 6, "expected a number or one capital letter after '*', received '-'", "use *2 or *N"),
    ("RELU*n", {}, 6, "expected a number or one capital letter after '*', received 'n'", "use *2 or *N"),
    ("RELU*2*3", {}, 7, "expected '-', ',' or the end, received '*'", "use brackets: (CONV*2)*3"),
    ("POOL?*2", {}, 6, "expected '-', ',' or the end, received '*'", "write '*' before '?'"),
    ("POOL??", {}, 6, "expected '-', ',' or the end, received '?'", "use one '?'"),
    ("(" * 31 + "RELU" + ")" * 31, {}, 31, "brackets are more than 30 deep", "use fewer brackets"),
    ("[(RELU*N)*100]*2", {"N": 100}, 16, "the pattern has more than 10,000 layers", "use a smaller repeat"),
    ("(RELU*N)*100001", {"N": 0}, 10, "the pattern has more than 10,000 layers", "use a smaller repeat"),
    ("RELU-INPUT", {}, 6, "INPUT must be the first item, without '*' and '?'", "remove this INPUT"),
    ("INPUT*2-RELU", {}, 1, "INPUT must be the first item, without '*' and '?'", "remove this INPUT"),
    (
        "CONV8-RELU-FC8-RELU-POOL",
        {},
        21,
        "POOL needs an image, but FC8 before it returns a vector",
        "move POOL before FC8",
    ),
    ("GAP-GAP", {}, 5, "GAP needs an image, but GAP before it returns a vector", "remove one of them"),
    ("FC10-SOFTMAX10", {}, 6, "FC10 and SOFTMAX10 both set the number of classes", "use SOFTMAX10 alone"),
    ("RELU*M", {}, 6, "M, the number of repeats, is missing", "pass M=2"),
    ("CONV-RELU", {}, 1, "CONV has no number of filters", "use CONV64, or pass filters=64"),
    ("FC-RELU", {}, 1, "FC has no number of units", "use FC256, or pass units=256"),
    ("FC8-RELU-FC", {}, 10, "FC has no number of classes", "use FC10, or pass num_classes=10"),
    ("RELU-SOFTMAX", {}, 6, "SOFTMAX has no number of classes", "use SOFTMAX10, or pass num_classes=10"),
    ("FC8-SOFTMAX-SOFTMAX", {}, 13, "SOFTMAX has no number of classes", "use SOFTMAX10, or pass num_classes=10"),
    ("RELU-DROPOUT", {}, 6, "DROPOUT has no rate", "use DROPOUT0.5, or pass rate=0.5"),
    ("RELU-POOL?", {}, 10, "pool, which decides POOL?, is missing", "pass pool=True or pool=False"),
    ("RELU-(BN-RELU)*2?", {"relu": True}, 17, "bn, which decides BN?, is missing", "pass bn=True or bn=False"),
    (
        "CONV8",
        {"filters": 4},
        1,
        "filters=4 is not used: CONV8 has its own size",
        "use CONV without a size, or remove filters=",
    ),
    (
        "CONV3x3x8-RELU",
        {"kernel_size": 4},
        1,
        "kernel_size=4 is not used: CONV3x3x8 has its own size",
        "use CONV without a size, or remove kernel_size=",
    ),
    (
        "FC256-RELU-FC10-SOFTMAX",
        {"num_classes": 10},
        12,
        "num_classes=10 is not used: FC10 has its own size",
        "use FC without a size, or remove num_classes=",
    ),
    (
        "FC8-RELU-SOFTMAX2",
        {"units": 3},
        1,
        "units=3 is not used: FC8 has its own size",
        "use FC without a size, or remove units=",
    ),
    (
        "DROPOUT0.5",
        {"rate": 0.1},
        1,
        "rate=0.1 is not used: DROPOUT0.5 has its own size",
        "use DROPOUT without a size, or remove rate=",
    ),
    (
        "CONV-RELU",
        {"filters": [1, 2]},
        1,
        "filters has 2 values, but CONV is not repeated",
        "pass one value: filters=1",
    ),
    ("CONV-RELU", {"filters": [1]}, 1, "filters has 1 value, but CONV is not repeated", "pass one value: filters=1"),
    (
        "[(CONV-RELU)*N-POOL]*3",
        {"filters": [1, 2, 3, 4], "N": 2},
        3,
        "filters has 4 values, but CONV is repeated *3, *N (N=2)",
        "pass one value, or a list of 3 or 2 values",
    ),
    (
        "(CONV8-POOL?)*3",
        {"pool": [True, False]},
        12,
        "pool has 2 values, but POOL is repeated *3",
        "pass one value, or a list of 3 values",
    ),
]


@pytest.mark.parametrize(("text", "arguments", "column", "problem", "hint"), AT_COLUMN)
def test_an_error_points_at_the_column(text, arguments, column, problem, hint):
    with pytest.raises(dk.DefinitionError) as error:
        from_pattern(text, **arguments)
    caret = " " * (column - 1) + "^"
    assert (
        str(error.value) == f"from_pattern: column {column}: {problem}\n        {text}\n        {caret}\n  hint: {hint}"
    )


def test_an_error_shows_the_line_of_the_column():
    with pytest.raises(dk.DefinitionError) as error:
        from_pattern("CONV8-RELU-\n\tPOOOL-FC8\n")
    assert str(error.value) == (
        "from_pattern: line 2, column 2: unknown layer 'POOOL'; did you mean POOL?\n"
        "         POOOL-FC8\n"
        "         ^\n"
        "  hint: use POOL"
    )


def test_an_error_shows_the_part_of_a_long_line_around_the_column():
    with pytest.raises(dk.DefinitionError) as error:
        from_pattern("RELU-" * 30 + "COMV8" + "-RELU" * 30)
    assert str(error.value) == (
        "from_pattern: column 151: unknown layer 'COMV'; did you mean CONV?\n"
        "        ...LU-RELU-RELU-RELU-RELU-RELU-RELU-COMV8-RELU-RELU-RELU-RELU-RELU-RE...\n"
        "                                            ^\n"
        "  hint: use CONV"
    )
    with pytest.raises(dk.DefinitionError) as error:
        from_pattern("RELU-" * 30)
    assert str(error.value) == (
        "from_pattern: column 151: expected a layer or a bracket, received the end\n"
        "        ...ELU-RELU-RELU-RELU-RELU-RELU-RELU-RELU-RELU-RELU-RELU-RELU-RELU-RELU-\n"
        "                                                                                ^\n"
        "  hint: write a layer such as CONV64 or POOL"
    )


def test_an_error_in_a_file_shows_the_column_too(tmp_path):
    (tmp_path / "net.yaml").write_text("- {block: Pattern, pattern: CONV8-COMV8}")
    with pytest.raises(dk.DefinitionError) as error:
        dk.load(tmp_path / "net.yaml")
    assert "\n        CONV8-COMV8\n              ^\n" in str(error.value)


UNUSED = [
    ("RELU", {"N": 2}, "N=2 is not used: nothing is repeated N times", "write *N after a layer or a group"),
    ("POOL", {"pool": True}, "pool=True is not used: the pattern has no POOL?", "write POOL? if it may be left out"),
    ("RELU", {"filters": [1, 2]}, "filters=[1, 2] is not used: no layer of the pattern takes it", "remove it"),
    ("POOL?", {"pool": False}, "the pattern builds no layer", "add a layer that is not left out"),
    ("INPUT-RELU*N", {"N": 0}, "the pattern builds no layer", "add a layer that is not left out"),
    ("INPUT8x8x3", {}, "the pattern builds no layer", "add a layer that is not left out"),
]


@pytest.mark.parametrize(("text", "arguments", "problem", "hint"), UNUSED)
def test_unused_arguments_and_patterns_without_layers(text, arguments, problem, hint):
    with pytest.raises(dk.DefinitionError) as error:
        from_pattern(text, **arguments)
    assert str(error.value) == f"from_pattern: {problem}\n  in    {text}\n  hint: {hint}"


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_pattern(text):
    with pytest.raises(dk.DefinitionError) as error:
        from_pattern(text)
    assert str(error.value) == (
        'from_pattern: the pattern is empty\n  hint: write layers, such as "CONV32-RELU-POOL-SOFTMAX10"'
    )


INVALID = [
    ("CONV", {"filters": True}, "filters must be a positive integer, received True", "filters=64"),
    ("CONV", {"filters": 0}, "filters must be a positive integer, received 0", "filters=64"),
    ("CONV*2", {"filters": []}, "filters must not be an empty list", "filters=64"),
    ("CONV*2", {"filters": [8, "9"]}, "filters[1] must be a positive integer, received '9'", "filters=64"),
    ("CONV8", {"kernel_size": 3.0}, "kernel_size must be a positive integer, received 3.0", "kernel_size=3"),
    ("SOFTMAX", {"num_classes": [2, 3]}, "num_classes must be a positive integer, received [2, 3]", "num_classes=10"),
    ("RELU*N", {"N": -1}, "N must be an integer of at least 0, received -1", "N=2"),
    ("RELU*N", {"N": True}, "N must be an integer of at least 0, received True", "N=2"),
    ("POOL?", {"pool": 1}, "pool must be True or False, received 1", "pool=True"),
    ("DROPOUT", {"rate": 1}, "rate must be a fraction in [0, 1), received 1", "rate=0.5"),
]


@pytest.mark.parametrize(("text", "arguments", "problem", "hint"), INVALID)
def test_an_invalid_argument(text, arguments, problem, hint):
    with pytest.raises(dk.DefinitionError) as error:
        from_pattern(text, **arguments)
    or_a_list = "" if hint in ("N=2", "num_classes=10") else ", or a list with one value for each iteration of a repeat"
    assert str(error.value) == f"from_pattern: {problem}\n  hint: pass {hint}{or_a_list}"


def test_numpy_numbers_become_python_numbers():
    net = from_pattern("(CONV-POOL?)*N", filters=[np.int64(8), 4], pool=np.bool_(True), N=np.int32(2))
    assert repr(net) == 'dk.from_pattern("(CONV-POOL?)*N", N=2, filters=[8, 4], pool=True)'


ALL_ARGUMENTS = (
    "filters, units, num_classes, kernel_size, rate, loss, a capital letter of a repeat, "
    "or the layer before a '?' in lower case"
)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("filter", "filters="),
        ("bn_", "bn="),
        ("n", "bn="),
        ("xyz", ALL_ARGUMENTS),
    ],
)
def test_an_unknown_argument(name, hint):
    with pytest.raises(dk.DefinitionError) as error:
        from_pattern("RELU", **{name: 2})
    assert str(error.value) == f"from_pattern takes no argument {name!r}\n  hint: use {hint}"


@pytest.mark.parametrize("value", [3, None, ["CONV8"]])
def test_a_pattern_must_be_a_string(value):
    with pytest.raises(dk.DefinitionError) as error:
        from_pattern(value)
    assert str(error.value) == (
        f"from_pattern: pattern must be a string, received {value!r}\n"
        '  hint: use dk.from_pattern("CONV32-RELU-POOL-SOFTMAX10")'
    )


def test_the_name_is_checked():
    with pytest.raises(
        dk.DefinitionError, match=r"^Pattern: name must consist of letters, digits, '_' or '-', received 'a.b'\n"
    ):
        from_pattern("RELU", name="a.b")


BUILD = [
    (
        "CONV8-POOL-POOL*2",
        (4, 4, 1),
        'padding="valid" with pool_size=2 needs an input of at least 2x2, received 1x1x8\n'
        "  at    pool3\n"
        '  in    layers.MaxPooling2D(name="pool3")\n'
        '  hint: use padding="same", a smaller kernel, a larger input, or one fewer pooling step before it',
    ),
    (
        "[(CONV8-RELU)*1-POOL3]*2",
        (4, 4, 1),
        'padding="valid" with pool_size=3 needs an input of at least 3x3, received 1x1x8\n'
        "  at    stage2.pool\n"
        '  in    layers.MaxPooling2D(pool_size=3, strides=3, name="pool")\n'
        '  hint: use padding="same", a smaller kernel, a larger input, or one fewer pooling step before it',
    ),
    (
        "POOL-FC8",
        (8,),
        "Input 0 with name 'None' of layer 'pool' is incompatible with the layer: expected ndim=4, found ndim=2. "
        "Full shape received: (None, 8) (received 8)\n"
        "  at    pool\n"
        '  in    layers.MaxPooling2D(name="pool")',
    ),
    (
        "CONV8-RELU-FC8",
        (None, None, 1),
        "cannot flatten (None, None, 8): a size is unknown\n"
        "  at    fc\n"
        '  in    dk.Classifier(8, name="fc")\n'
        '  hint: use a fixed input_shape, or pool="avg"',
    ),
]


@pytest.mark.parametrize(("text", "shape", "expected"), BUILD, ids=[text for text, _, _ in BUILD])
def test_build_errors_name_the_layer(text, shape, expected):
    with pytest.raises(dk.DefinitionError) as error:
        from_pattern(text).build(shape)
    assert str(error.value) == expected


ALPHABET = [*"CFPR -,>()[]*?/xsvNMK01239.\n\t–é\0", "CONV", "POOL", "RELU", "FC", "SOFTMAX", "DROPOUT0.5", "INPUT"]


def mutated(text, rng):
    for _ in range(rng.randint(1, 2)):
        start = rng.randrange(len(text))
        end = start + rng.randint(0, 6)
        new = rng.choice(["", text[start:end] * 2, text[start:end] + rng.choice(ALPHABET), rng.choice(ALPHABET)])
        text = (text[:start] + new + text[end:]) or "("
    return text


def test_any_text_is_a_pattern_or_an_error_that_points_into_it():
    rng, num_valid, num_errors = random.Random(0), 0, 0
    patterns = [(text, arguments) for text, arguments, *_ in TEXTBOOK.values()]
    for _ in range(3000):
        text, arguments = rng.choice(patterns)
        text = mutated(text, rng)
        try:
            net = Pattern(text, arguments)
        except dk.DefinitionError as error:
            num_errors += 1
            if "column" in error.problem:
                line, caret = error.problem.split("\n")[-2:]
                assert caret == " " * (len(caret) - 1) + "^"
                assert len(caret) <= len(line) + 1
        else:
            num_valid += 1
            assert eval(repr(net), NAMESPACE) == net
    assert num_valid > 200
    assert num_errors > 1000
