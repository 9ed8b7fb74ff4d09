"""Generated pairs of texts: every target is computed again by other code, and no pair occurs in two splits."""

import datetime
import itertools
import re

import numpy as np
import pytest

import deepkit as dk
from deepkit.data.pair_generators import PAIR_KINDS, date_texts, sequence_lengths

PATTERNS = (  # of `strptime`, one for each format
    "%d %B %Y", "%B %d, %Y", "%b %d, %Y", "the %d of %B %Y", "%A, %d %B %Y",
    "%d-%b-%y", "%d.%m.%Y", "%d.%m.%y", "%m/%d/%Y", "%m/%d/%y",
)  # fmt: skip
SPLITS = ("train", "validation", "test")


def pairs_of(data, splits=SPLITS):
    columns = [getattr(data, split).arrays() for split in splits]
    return [[tuple(text.decode() for text in pair) for pair in zip(*arrays, strict=True)] for arrays in columns]


def parse(text):
    """Return the day of a text, and the numbers of the formats that read it completely."""
    plain = re.sub(r"(\d)[a-z]{2}\b", r"\1", text)
    days = {}
    for number, pattern in enumerate(PATTERNS):
        try:
            days[number] = datetime.datetime.strptime(plain, pattern).date()
        except ValueError:
            continue
    (day,) = set(days.values())  # no two formats read a text differently
    return day, set(days)


def test_dates_are_those_of_strptime_in_ten_formats():
    data = dk.data.text_pairs("dates", 600, seed=4, validation=100)
    formats = set()
    for source, target in itertools.chain(*pairs_of(data)):
        day, numbers = parse(source)
        assert day == datetime.date.fromisoformat(target)
        assert 1969 <= day.year <= 2068
        formats |= numbers
    assert formats == set(range(len(PATTERNS)))
    assert date_texts(datetime.date(1979, 5, 3)) == (
        "3 May 1979", "May 3, 1979", "May 3rd, 1979", "the 3rd of May 1979", "Thursday, 3 May 1979",
        "3-May-79", "3.5.1979", "03.05.79", "5/3/1979", "05/03/79",
    )  # fmt: skip


def test_every_day_of_a_hundred_years_reads_back_in_every_format():
    days = [datetime.date(1969, 1, 1) + datetime.timedelta(days=number) for number in range(0, 36525, 13)]
    for day in [*days, datetime.date(2068, 12, 31)]:
        plain = [re.sub(r"(\d)[a-z]{2}\b", r"\1", text) for text in date_texts(day)]
        for text, pattern in zip(plain, PATTERNS, strict=True):
            assert datetime.datetime.strptime(text, pattern).date() == day, text
    endings = {re.search(r"\d+[a-z]{2}", date_texts(datetime.date(1970, 1, day))[2])[0] for day in range(1, 32)}
    assert {"1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "23rd", "31st"} <= endings


@pytest.mark.parametrize("num_digits", [1, 2, 3, 9])
def test_sums_are_those_of_integers(num_digits):
    data = dk.data.text_pairs("additions", 20, seed=1, num_digits=num_digits, validation=0.25)
    for source, target in itertools.chain(*pairs_of(data)):
        first, second = map(int, source.split("+"))
        assert source == f"{first}+{second}"  # no leading zeros
        assert max(first, second) < 10**num_digits
        assert target == str(first + second)


def test_all_sums_of_one_digit_are_drawn_before_the_pairs_run_out():
    data = dk.data.text_pairs("additions", 27, num_digits=1)
    pairs = list(itertools.chain(*pairs_of(data, ("train", "test"))))
    summands = {tuple(sorted(map(int, source.split("+")))) for source, _ in pairs}
    assert len(summands) == len(pairs) == 54  # of 55
    assert summands < set(itertools.combinations_with_replacement(range(10), 2))


def test_sums_are_drawn_evenly_and_in_both_orders():
    (pairs,) = pairs_of(dk.data.text_pairs("additions", 5000), ("train",))
    summands = np.array([list(map(int, source.split("+"))) for source, _ in pairs])
    assert summands.mean() == pytest.approx(499.5, abs=20)
    assert (summands[:, 0] > summands[:, 1]).mean() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("max_length", [1, 5, 30])
def test_reversed_letters_have_all_lengths_equally_often(max_length):
    lengths = list(range((max_length + 1) // 2, max_length + 1))
    count = 12 if max_length == 1 else 10 * len(lengths)
    data = dk.data.text_pairs("reversed", count, seed=2, max_length=max_length)
    pairs = list(itertools.chain(*pairs_of(data, ("train", "test"))))
    assert all("".join(reversed(source)) == target and source.islower() for source, target in pairs)
    counts = np.bincount([len(source) for source, _ in pairs], minlength=max_length + 1)
    assert counts[lengths].tolist() == [2 * count // len(lengths)] * len(lengths)
    assert list(sequence_lengths(max_length)) == lengths


KEYS = {
    "dates": lambda source, target: target,
    "additions": lambda source, target: tuple(sorted(source.split("+"))),
    "reversed": lambda source, target: source,
}


@pytest.mark.parametrize(("kind", "num_pairs"), [("dates", 18_262), ("additions", 2_000), ("reversed", 2_000)])
def test_splits_are_disjoint(kind, num_pairs):
    splits = pairs_of(dk.data.text_pairs(kind, num_pairs, seed=3, validation=500))
    assert [len(pairs) for pairs in splits] == [num_pairs - 500, 500, num_pairs]
    keys = [{KEYS[kind](*pair) for pair in pairs} for pairs in splits]
    assert sum(map(len, keys)) == 2 * num_pairs == len(set().union(*keys))


@pytest.mark.parametrize("kind", PAIR_KINDS)
def test_pairs_are_functions_of_the_arguments(kind):
    state = str(np.random.get_state())
    first, second, other = (dk.data.text_pairs(kind, 50, seed=seed) for seed in (2, 2, 3))
    for name in ("train", "test"):
        prints = [getattr(data, name).fingerprint for data in (first, second, other)]  # of the contents
        assert prints[0] == prints[1] != prints[2]
        assert pairs_of(first, (name,)) == pairs_of(second, (name,)) != pairs_of(other, (name,))
    assert str(np.random.get_state()) == state
    assert (first.input_shape, first.num_classes, first.source) == ((), None, "generated")


def test_the_summary_names_kind_seed_and_arguments():
    assert dk.data.text_pairs("additions", 30, seed=4, validation=0.1).describe() == (
        "additions (seed 4, num_digits 3, numpy.random.default_rng): 27 train, 3 validation, 30 test; generated"
    )
    data = dk.data.text_pairs("reversed", 8, max_length=4, batch_size=4)
    assert repr(data) == (
        "<Data reversed (seed 0, max_length 4, numpy.random.default_rng): 8 train, 8 test; generated>"
    )
    assert data.train.batch_size == 4


def test_show_draws_a_table_of_sources_and_targets():
    data = dk.data.text_pairs("dates", 20)
    source, target = data.test.arrays(1)
    cells = data.show(3, split="test").axes[0].tables[0].get_celld()
    texts = {cell.get_text().get_text() for cell in cells.values()}
    assert {source[0].decode(), target[0].decode()} <= texts


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: dk.data.text_pairs("date"),
            ValueError,
            "text_pairs: kind must be one of 'dates', 'additions', 'reversed', received 'date'; did you mean 'dates'?\n"
            '  hint: use dk.data.text_pairs("dates")',
        ),
        (
            lambda: dk.data.text_pairs("dates", num_digits=2),
            ValueError,
            "text_pairs: 'dates' takes no num_digits, received num_digits=2\n"
            "  hint: leave num_digits out; it is an argument of 'additions'",
        ),
        (
            lambda: dk.data.text_pairs("additions", max_length=8),
            ValueError,
            "text_pairs: 'additions' takes no max_length, received max_length=8\n"
            "  hint: leave max_length out; it is an argument of 'reversed'",
        ),
        (
            lambda: dk.data.text_pairs("additions", num_digits=0),
            ValueError,
            "text_pairs: num_digits must be a positive integer, received 0\n  hint: use num_digits=3",
        ),
        (
            lambda: dk.data.text_pairs("additions", num_digits=10),
            ValueError,
            "text_pairs: num_digits must be at most 9, received 10\n  hint: use num_digits=3",
        ),
        (
            lambda: dk.data.text_pairs("reversed", max_length=2.5),
            ValueError,
            "text_pairs: max_length must be a positive integer, received 2.5\n  hint: use max_length=12",
        ),
        (
            lambda: dk.data.text_pairs("dates", 20_000),
            ValueError,
            "text_pairs: num_pairs must be at most 18,262, received 20000\n"
            "  hint: use at most 18,262: no pair is drawn twice, and as many are drawn for the test",
        ),
        (
            lambda: dk.data.text_pairs("additions", num_digits=1),
            ValueError,
            "text_pairs: num_pairs must be at most 27, received 10000\n  hint: use at most 27",
        ),
        (
            lambda: dk.data.text_pairs("reversed", 14, max_length=1),
            ValueError,
            "text_pairs: num_pairs must be at most 13, received 14",
        ),
        (
            lambda: dk.data.text_pairs("reversed", 10**8, max_length=1000),
            ValueError,
            "text_pairs: num_pairs must be at most 10,000,000, received 100000000\n  hint: use at most 10,000,000",
        ),
        (
            lambda: dk.data.text_pairs("dates", 0),
            ValueError,
            "text_pairs: num_pairs must be a positive integer, received 0\n  hint: use at most 18,262",
        ),
        (lambda: dk.data.text_pairs("dates", seed=-1), ValueError, "seed must be an integer of at least 0"),
        (lambda: dk.data.text_pairs("dates", batch_size=0), ValueError, "batch_size must be a positive integer"),
        (
            lambda: dk.data.text_pairs("dates", 5, validation="some"),
            TypeError,
            "validation must be a number of examples",
        ),
    ],
)
def test_wrong_arguments_are_named(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith(text)
