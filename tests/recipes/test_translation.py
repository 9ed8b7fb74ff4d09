"""Translation: data, networks, and learned numbers."""

import gzip

import numpy as np
import pytest

import deepkit as dk
from recipes.sequence import translation


@pytest.fixture
def folder(tmp_path):
    """Return a folder with pairs of two words; the English side of each split is gzipped."""
    for split in translation.SPLITS.values():
        (tmp_path / f"{split}.de").write_text("ein Hund\nzwei Männer\n", encoding="utf-8")
        (tmp_path / f"{split}.en.gz").write_bytes(gzip.compress(b"a dog\ntwo men\n"))
    return tmp_path


def test_plain_and_gzipped_files_are_read_line_by_line(folder):
    pairs = translation.load_pairs(translation.Config(folder=folder))
    assert pairs["test"] == (["ein Hund", "zwei Männer"], ["a dog", "two men"])
    data = translation.load_data(translation.Config(folder=folder))
    assert (data.train.num_examples, data.stand_in_for) == (2, None)


def test_an_empty_line_is_kept(tmp_path):
    (tmp_path / "val.de").write_text("ein Hund\n\nzwei\n", encoding="utf-8")
    assert translation.read_lines(tmp_path, "val.de") == ["ein Hund", "", "zwei"]


def test_a_folder_without_the_files_raises(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"contains neither train.de nor train.de.gz"):
        translation.load_pairs(translation.Config(folder=tmp_path))


def test_spoken_numbers_have_the_order_of_each_language():
    german, english = translation.spoken_numbers(50, seed=0)
    assert translation.spoken_numbers(50, seed=0) == (german, english) != translation.spoken_numbers(50, seed=1)
    one = dict(zip(translation.ONES["de"], translation.ONES["en"], strict=True))
    ten = dict(zip(translation.TENS["de"], translation.TENS["en"], strict=True))
    for source, target in zip(german, english, strict=True):
        for german_number, english_number in zip(source.split(", "), target.split(", "), strict=True):
            hundreds, _, ones, _, tens = german_number.split()
            assert english_number == f"{one[hundreds]} hundred {ten[tens]} {one[ones]}"


def test_the_two_networks_differ_only_in_the_attention():
    config = translation.Config()
    attending, plain = translation.translator(config, "additive"), translation.translator(config, None)
    for name in ("encoder", "decoder", "source", "target"):
        assert getattr(attending, name) == getattr(plain, name)
    units = translation.UNITS
    attention = units * units + 2 * units * units + units + 3 * units * units  # W, U, v; and W of [context; output]
    assert attending.build().count_params() - plain.build().count_params() == attention


def test_bleu_is_compared_on_the_same_sentences():
    references = ["A dog runs on the grass.", "Two men sit on a bench."] * 20
    worse_translations = ["a dog runs on grass.", "two men sit."] * 20
    scores, p_value, signature = translation.compare({"with": references, "without": worse_translations}, references)
    assert scores["with"] == pytest.approx(100)
    assert scores["without"] < 60
    assert p_value < 0.01
    assert "case:lc" in signature


def test_the_repr_of_the_definition_is_its_code():
    net = translation.definition(translation.Config())
    assert eval(repr(net), {"dk": dk}) == net


def share_of_learned_numbers(name):
    """Return the share of test numbers that a network translates correctly after six epochs."""
    config = translation.Config(epochs=6)
    net = translation.translator(config, name) if name == "additive" else translation.transformer(config)
    run = translation.train_one(config, net, translation.load_data(config), name)
    german, english = translation.load_pairs(config)["test"]
    return np.mean(np.array(run.model.translate(german)) == english)


@pytest.mark.slow
def test_spoken_numbers_are_learned_with_attention():
    assert share_of_learned_numbers("additive") > 0.9


@pytest.mark.thorough
def test_spoken_numbers_are_learned_by_a_transformer():
    assert share_of_learned_numbers("transformer") > 0.9
