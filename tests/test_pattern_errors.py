"""What is wrong in a pattern or its arguments: every error's whole text, and none of another kind."""

import random

import pytest

import deepkit as dk
from deepkit.pattern.from_pattern import Pattern, from_pattern
from tests.test_pattern import NAMESPACE, TEXTBOOK

ALL_KINDS = (
    "one of INPUT, CONV, POOL, MAXPOOL, AVGPOOL, L2POOL, GAP, BN, LRN, DROPOUT, FLATTEN, FC, SOFTMAX, RELU, RELU6, "
    "LEAKYRELU, ELU, SELU, GELU, SILU, SWISH, MISH, SIGMOID, TANH, SOFTPLUS, SOFTSIGN"
)

# text, arguments, column, problem, what to try
POINTED = [
    ("CONV8-COMV8", {}, 7, "unknown kind of layer 'COMV'; did you mean CONV?", "CONV"),
    ("XQWZ", {}, 1, "unknown kind of layer 'XQWZ'", ALL_KINDS),
    ("CONV8-NORM", {}, 7, "unknown kind of layer 'NORM'; did you mean BN or LRN?", "BN or LRN"),
    ("CONV8-relu", {}, 7, "'relu': kinds of layers are written in capitals", "RELU"),
    ("CONV8-Relu", {}, 7, "'Relu': kinds of layers are written in capitals", "RELU"),
    ("CONV8-3x3", {}, 7, "expected a layer or a bracket, found '3x3'", "a layer such as CONV64 or POOL"),
    ("CONV8--RELU", {}, 7, "expected a layer or a bracket, found '-'", "a layer such as CONV64 or POOL"),
    ("CONV8-", {}, 7, "expected a layer or a bracket, found the end", "a layer such as CONV64 or POOL"),
    (",CONV8", {}, 1, "expected a layer or a bracket, found ','", "a layer such as CONV64 or POOL"),
    ("CONV8 RELU", {}, 7, "expected '-', ',' or the end, found 'RELU'", "'-' between two layers"),
    ("CONV8 – RELU", {}, 7, "expected '-', ',' or the end, found '–'", "'-', the plain sign"),
    ("CONV8-–RELU", {}, 7, "expected a layer or a bracket, found '–'", "'-', the plain sign"),
    ("CONV8-()", {}, 8, "expected a layer or a bracket, found ')'", "a layer such as CONV64 or POOL"),
    ("(CONV8-[RELU]*2", {}, 1, "'(' is never closed", "')' behind its last layer"),
    ("(CONV8-RELU]*2", {}, 12, "']' closes the '(' of column 1", "')'"),
    ("CONV8)*2", {}, 6, "')' closes nothing", "leaving it out"),
    ("CONV3x3", {}, 5, "'3x3' is a kernel without its number of filters", "CONV3x3x64, or CONV64 with kernel_size=3"),
    ("CONV3X3X8", {}, 5, "CONV takes FILTERS or KxKxFILTERS, found '3X3X8'", "CONV3x3x64"),
    ("FC1.5", {}, 3, "FC takes UNITS, found '1.5'", "FC256"),
    ("CONV3x3x0", {}, 5, "a size of CONV must be at least 1, found 0", "1"),
    ("FC12345678901", {}, 3, "a size of FC has 11 digits, expected at most 9", "a smaller number"),
    ("RELU3", {}, 5, "RELU takes no size, found '3'", "RELU"),
    ("DROPOUT50", {}, 8, "DROPOUT takes a rate in [0, 1), found '50'", "DROPOUT0.5"),
    ("LEAKYRELU9999999999", {}, 10, "LEAKYRELU takes a slope, found '9999999999'", "LEAKYRELU0.1"),
    ("CONV3x5", {}, 5, "'3x5' is a kernel without its number of filters", "CONV3x5x64"),
    ("POOL3/0", {}, 7, "a stride must be at least 1, found 0", "1"),
    ("POOL3/-RELU", {}, 7, "expected a stride after '/', found '-'", "POOL2/2"),
    ("FC8/2", {}, 4, "FC takes no stride", "FC without it"),
    ("FC8s", {}, 4, "FC takes no padding, found 's'", "FC without it"),
    ("CONV8s/2", {}, 7, "expected '-', ',' or the end, found '/'", "the stride before the padding: CONV64/2s"),
    ("CONV8sv", {}, 6, "expected '-', ',' or the end, found 'sv'", "'-' between two layers"),
    ("RELU*0", {}, 6, "a repeat must be at least 1, found 0", "1"),
    ("RELU*-POOL", {}, 6, "expected a number or one capital letter after '*', found '-'", "*2 or *N"),
    ("RELU*n", {}, 6, "expected a number or one capital letter after '*', found 'n'", "*2 or *N"),
    ("RELU*2*3", {}, 7, "expected '-', ',' or the end, found '*'", "brackets: (CONV*2)*3"),
    ("POOL?*2", {}, 6, "expected '-', ',' or the end, found '*'", "'*' before '?'"),
    ("POOL??", {}, 6, "expected '-', ',' or the end, found '?'", "one '?'"),
    ("(" * 31 + "RELU" + ")" * 31, {}, 31, "brackets more than 30 deep", "fewer brackets"),
    ("[(RELU*N)*100]*2", {"N": 100}, 16, "more than 10,000 layers", "a smaller repeat"),
    ("(RELU*N)*100001", {"N": 0}, 10, "more than 10,000 layers", "a smaller repeat"),
    ("RELU-INPUT", {}, 6, "INPUT is the first item, once", "the pattern without it"),
    ("INPUT*2-RELU", {}, 1, "INPUT is the first item, once", "the pattern without it"),
    ("CONV8-RELU-FC8-RELU-POOL", {}, 21, "POOL needs an image, and FC8 before it leaves a vector", "POOL before FC8"),
    ("GAP-GAP", {}, 5, "GAP needs an image, and GAP before it leaves a vector", "one of them"),
    ("FC10-SOFTMAX10", {}, 6, "SOFTMAX10 after FC10: the size is given twice", "SOFTMAX10 alone"),
    ("RELU*M", {}, 6, "the count M has no value", "M=2"),
    ("CONV-RELU", {}, 1, "CONV has no number of filters", "CONV64, or filters=64"),
    ("FC-RELU", {}, 1, "FC has no number of units", "FC256, or units=256"),
    ("FC8-RELU-FC", {}, 10, "FC has no number of classes", "FC10, or num_classes=10"),
    ("RELU-SOFTMAX", {}, 6, "SOFTMAX has no number of classes", "SOFTMAX10, or num_classes=10"),
    ("FC8-SOFTMAX-SOFTMAX", {}, 13, "SOFTMAX has no number of classes", "SOFTMAX10, or num_classes=10"),
    ("RELU-DROPOUT", {}, 6, "DROPOUT has no rate", "DROPOUT0.5, or rate=0.5"),
    ("RELU-POOL?", {}, 10, "nothing decides POOL?", "pool=True or pool=False"),
    ("RELU-(BN-RELU)*2?", {"relu": True}, 17, "nothing decides BN?", "bn=True or bn=False"),
    (
        "CONV8",
        {"filters": 4},
        1,
        "filters=4 is given, but CONV8 has its own in the text",
        "CONV without a size, or no filters=",
    ),
    (
        "CONV3x3x8-RELU",
        {"kernel_size": 4},
        1,
        "kernel_size=4 is given, but CONV3x3x8 has its own in the text",
        "CONV without a size, or no kernel_size=",
    ),
    (
        "FC256-RELU-FC10-SOFTMAX",
        {"num_classes": 10},
        12,
        "num_classes=10 is given, but FC10 has its own in the text",
        "FC without a size, or no num_classes=",
    ),
    (
        "FC8-RELU-SOFTMAX2",
        {"units": 3},
        1,
        "units=3 is given, but FC8 has its own in the text",
        "FC without a size, or no units=",
    ),
    (
        "DROPOUT0.5",
        {"rate": 0.1},
        1,
        "rate=0.1 is given, but DROPOUT0.5 has its own in the text",
        "DROPOUT without a size, or no rate=",
    ),
    (
        "CONV-RELU",
        {"filters": [1, 2]},
        1,
        "filters has 2 values, one for each time of a repeat, but CONV is not repeated",
        "filters=1, one value",
    ),
    (
        "CONV-RELU",
        {"filters": [1]},
        1,
        "filters has 1 value, one for each time of a repeat, but CONV is not repeated",
        "filters=1, one value",
    ),
    (
        "[(CONV-RELU)*N-POOL]*3",
        {"filters": [1, 2, 3, 4], "N": 2},
        3,
        "filters has 4 values, one for each time of a repeat, but CONV is repeated *3, *N (N=2)",
        "one value for all, or a list of 3 or 2",
    ),
    (
        "(CONV8-POOL?)*3",
        {"pool": [True, False]},
        12,
        "pool has 2 values, one for each time of a repeat, but POOL is repeated *3",
        "one value for all, or a list of 3",
    ),
]


@pytest.mark.parametrize(("text", "arguments", "column", "problem", "hint"), POINTED)
def test_an_error_points_at_the_column(text, arguments, column, problem, hint):
    with pytest.raises(dk.DefinitionError) as error:
        from_pattern(text, **arguments)
    caret = " " * (column - 1) + "^"
    assert (
        str(error.value) == f"from_pattern: column {column}: {problem}\n  in    {text}\n      {caret}\n  hint: {hint}"
    )


def test_of_several_lines_the_one_is_shown():
    with pytest.raises(dk.DefinitionError) as error:
        from_pattern("CONV8-RELU-\n\tPOOOL-FC8\n")
    assert str(error.value) == (
        "from_pattern: line 2, column 2: unknown kind of layer 'POOOL'; did you mean POOL?\n"
        "  in   POOOL-FC8\n"
        "       ^\n"
        "  hint: POOL"
    )


def test_of_a_long_line_the_part_around_the_column_is_shown():
    with pytest.raises(dk.DefinitionError) as error:
        from_pattern("RELU-" * 30 + "COMV8" + "-RELU" * 30)
    assert str(error.value) == (
        "from_pattern: column 151: unknown kind of layer 'COMV'; did you mean CONV?\n"
        "  in  ...LU-RELU-RELU-RELU-RELU-RELU-RELU-COMV8-RELU-RELU-RELU-RELU-RELU-RE...\n"
        "                                          ^\n"
        "  hint: CONV"
    )
    with pytest.raises(dk.DefinitionError) as error:
        from_pattern("RELU-" * 30)
    assert str(error.value) == (
        "from_pattern: column 151: expected a layer or a bracket, found the end\n"
        "  in  ...ELU-RELU-RELU-RELU-RELU-RELU-RELU-RELU-RELU-RELU-RELU-RELU-RELU-RELU-\n"
        "                                                                              ^\n"
        "  hint: a layer such as CONV64 or POOL"
    )


OR_LIST = "or a list with one for each time of a repeat"
WHOLE = [
    ("RELU", {"N": 2}, "N=2 is given, but nothing is repeated N times", "*N behind what is repeated"),
    ("POOL", {"pool": True}, "pool=True is given, but no POOL? is in the pattern", "POOL? where it may be left out"),
    ("RELU", {"filters": [1, 2]}, "filters=[1, 2] is given, but nothing in the pattern takes it", "leaving it out"),
    ("POOL?", {"pool": False}, "no layer is left of the pattern", "a layer that stays"),
    ("INPUT-RELU*N", {"N": 0}, "no layer is left of the pattern", "a layer that stays"),
    ("INPUT8x8x3", {}, "no layer is left of the pattern", "a layer that stays"),
    ("", {}, "the pattern is empty", '"CONV32-RELU-POOL-SOFTMAX10"'),
    (" \n", {}, "the pattern is empty", '"CONV32-RELU-POOL-SOFTMAX10"'),
    ("CONV", {"filters": True}, f"filters must be a positive integer, {OR_LIST}; received True", "filters=64"),
    ("CONV", {"filters": 0}, f"filters must be a positive integer, {OR_LIST}; received 0", "filters=64"),
    ("CONV*2", {"filters": []}, f"filters must be a positive integer, {OR_LIST}; received []", "filters=64"),
    (
        "CONV*2",
        {"filters": [8, "9"]},
        f"filters must be a positive integer, {OR_LIST}; received [8, '9']",
        "filters=64",
    ),
    (
        "CONV8",
        {"kernel_size": 3.0},
        f"kernel_size must be a positive integer, {OR_LIST}; received 3.0",
        "kernel_size=3",
    ),
    ("SOFTMAX", {"num_classes": [2, 3]}, "classes must be a positive integer; received [2, 3]", "num_classes=10"),
    ("RELU*N", {"N": -1}, "N must be a whole number of at least 0; received -1", "N=2"),
    ("RELU*N", {"N": True}, "N must be a whole number of at least 0; received True", "N=2"),
    ("POOL?", {"pool": 1}, f"pool must be True or False, {OR_LIST}; received 1", "pool=True"),
    ("DROPOUT", {"rate": 1}, f"rate must be a fraction in [0, 1), {OR_LIST}; received 1", "rate=0.5"),
]


@pytest.mark.parametrize(("text", "arguments", "problem", "hint"), WHOLE)
def test_an_error_of_the_whole(text, arguments, problem, hint):
    with pytest.raises(dk.DefinitionError) as error:
        from_pattern(text, **arguments)
    shown = f"\n  in    {text}" if "given" in problem or "left" in problem else ""
    assert str(error.value) == f"from_pattern: {problem}{shown}\n  hint: {hint}"


NO_NEAR = (
    "filters, units, classes, kernel_size, rate, a capital letter of a repeat, or the kind before a '?' in lower case"
)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("filter", "filters="),
        ("bn_", "bn="),
        ("n", "bn="),
        ("colour", NO_NEAR),
    ],
)
def test_an_unknown_argument(name, hint):
    with pytest.raises(dk.DefinitionError) as error:
        from_pattern("RELU", **{name: 2})
    assert str(error.value) == f"from_pattern takes no argument {name!r}\n  hint: {hint}"


@pytest.mark.parametrize(("value", "shown"), [(3, "int 3"), (None, "NoneType None"), (["CONV8"], "list ['CONV8']")])
def test_a_pattern_is_a_text(value, shown):
    with pytest.raises(dk.DefinitionError) as error:
        from_pattern(value)
    assert str(error.value) == (
        f'from_pattern takes a text, received {shown}\n  hint: dk.from_pattern("CONV32-RELU-POOL-SOFTMAX10")'
    )


def test_a_name_is_checked_as_every_block_s():
    with pytest.raises(
        dk.DefinitionError, match=r"^Pattern: name must be letters, digits, '_' or '-', received 'a.b'\n"
    ):
        from_pattern("RELU", name="a.b")


BUILD = [
    (
        "CONV8-POOL-POOL*2",
        (4, 4, 1),
        'pool3: padding="valid" with pool_size=2 needs at least 2x2, received 1x1x8\n'
        '  in  layers.MaxPooling2D(name="pool3")\n'
        '  hint: padding="same", a smaller kernel, a larger input, or one pooling step less before it',
    ),
    (
        "[(CONV8-RELU)*1-POOL3]*2",
        (4, 4, 1),
        'stage2.pool: padding="valid" with pool_size=3 needs at least 3x3, received 1x1x8\n'
        '  in  layers.MaxPooling2D(pool_size=3, strides=3, name="pool")\n'
        '  hint: padding="same", a smaller kernel, a larger input, or one pooling step less before it',
    ),
    (
        "POOL-FC8",
        (8,),
        "pool: Input 0 with name 'None' of layer 'pool' is incompatible with the layer: expected ndim=4, found ndim=2. "
        "Full shape received: (None, 8) (received 8)\n"
        '  in  layers.MaxPooling2D(name="pool")',
    ),
    (
        "CONV8-RELU-FC8",
        (None, None, 1),
        "fc: cannot flatten (None, None, 8): a size is unknown\n"
        '  in  dk.Classifier(8, name="fc")\n'
        '  hint: a fixed input_shape, or pool="avg"',
    ),
]


@pytest.mark.parametrize(("text", "shape", "expected"), BUILD, ids=[text for text, _, _ in BUILD])
def test_what_does_not_fit_the_input_is_said_by_the_build_with_its_place(text, shape, expected):
    with pytest.raises(dk.DefinitionError) as error:
        from_pattern(text).build(shape)
    assert str(error.value) == expected


ALPHABET = [*"CFPR -,>()[]*?/xsvNMK01239.\n\t–é\0", "CONV", "POOL", "RELU", "FC", "SOFTMAX", "DROPOUT0.5", "INPUT"]


def mutated(text, chance):
    for _ in range(chance.randint(1, 2)):
        at = chance.randrange(len(text))
        to = at + chance.randint(0, 6)
        new = chance.choice(["", text[at:to] * 2, text[at:to] + chance.choice(ALPHABET), chance.choice(ALPHABET)])
        text = (text[:at] + new + text[to:]) or "("
    return text


def test_any_text_is_a_pattern_or_an_error_that_points_into_it():
    chance, good, bad = random.Random(0), 0, 0
    base = [(text, arguments) for text, arguments, *_ in TEXTBOOK.values()]
    for _ in range(3000):
        text, arguments = chance.choice(base)
        text = mutated(text, chance)
        try:
            net = Pattern(text, arguments)
        except dk.DefinitionError as error:
            bad += 1
            if "column" in error.problem:
                line, caret = error.code.split("\n")
                assert caret == " " * (len(caret) - 1) + "^"
                assert len(caret) <= len(line) + 1
        else:
            good += 1
            assert eval(repr(net), NAMESPACE) == net
    assert good > 200
    assert bad > 1000
