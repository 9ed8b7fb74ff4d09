"""`from_tagged_file` and `from_text_pairs`: files of tagged sentences and of pairs of texts."""

import numpy as np
import pytest
from keras import layers

import deepkit as dk
from deepkit.data import DataError, from_tagged_file, from_text_pairs

TAGGED = "the\tDET\ndog\tNOUN\nruns\tVERB\n\n\ndogs\tNOUN\nrun\tVERB\n"


def write(folder, name, text, encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def texts(pipeline):
    return [text.decode() for text in pipeline.in_order().arrays()[0]]


def test_a_tagged_file_has_a_row_of_tags_for_each_sentence(tmp_path, capsys):
    data = from_tagged_file(write(tmp_path, "tags.tsv", TAGGED))
    sentences, tags = data.train.in_order().arrays()
    assert [text.decode() for text in sentences] == ["the dog runs", "dogs run"]
    np.testing.assert_array_equal(tags, [[0, 1, 2], [1, 2, 0]])
    assert (data.class_names, data.num_classes, tags.dtype) == (("DET", "NOUN", "VERB"), 3, np.int32)
    assert capsys.readouterr().out.splitlines() == [
        "tags: 2 train",
        "tags: 3 class names: 'DET', 'NOUN', 'VERB'",
        "tokens: at most 3 in a sentence; use dk.Text(7, output_sequence_length=3, standardize=None)",
    ]


def test_a_tagger_is_trained_on_a_tagged_file(tmp_path):
    data = from_tagged_file(write(tmp_path, "tags.tsv", TAGGED), verbose=False)
    text = dk.Text(7, output_sequence_length=3, standardize=None)
    net = dk.Sequential([text, layers.Embedding(7, 8, mask_zero=True), dk.Classifier(3, pool=None)])
    run = dk.fit(net, data, epochs=40, learning_rate=0.1, verbose=0)
    labels = [np.ma.compressed(row).tolist() for row in run.predict(["the dog run", "dogs run"]).labels]
    assert labels == [["DET", "NOUN", "VERB"], ["NOUN", "VERB"]]


def test_columns_separated_by_spaces_and_comments(tmp_path):
    text = "\ufeff# sent_id = 1\r\n1 The the DET\r\n2 dog dog NOUN\r\n\r\n# sent_id = 2\r\n1 Go go VERB\r\n"
    data = from_tagged_file(write(tmp_path, "a.conllu", text), columns=(1, 3), comment="# ", verbose=False)
    assert texts(data.train) == ["The dog", "Go"]
    assert data.class_names == ("DET", "NOUN", "VERB")


def test_splits_and_separate_files(tmp_path):
    many = "\n".join(f"t{i}\tA\nu\tB\n" for i in range(20))
    path = write(tmp_path, "many.tsv", many)
    data = from_tagged_file(path, validation=0.2, test=3, verbose=False)
    assert [split.num_examples for split in (data.train, data.validation, data.test)] == [13, 4, 3]
    assert len({*texts(data.train), *texts(data.validation), *texts(data.test)}) == 20
    other = write(tmp_path, "other.tsv", "x\tB\ny\tA\nz\tA\n")
    data = from_tagged_file(path, validation=other, test=str(other), max_length=2, verbose=False)
    assert (data.train.num_examples, texts(data.validation), texts(data.test)) == (20, ["x y z"], ["x y z"])
    np.testing.assert_array_equal(data.validation.arrays()[1], [[1, 0]])
    with pytest.raises(ValueError, match=r"new.tsv: line 3 has the tag 'C', which does not occur in the train"):
        from_tagged_file(path, validation=write(tmp_path, "new.tsv", "\nx\tA\ny\tC\n"))


@pytest.mark.parametrize(
    ("text", "arguments", "problem"),
    [
        ("a\tX\nb\n", {}, r"tags.tsv: line 2 has 1 column, and the first one has 2\n  hint: correct the line"),
        ("a\tX\nb\tX\tY\n", {}, "line 2 has 3 columns, and the first one has 2"),
        ("a\nb\n", {}, r"line 1 has one column, expected a token and its tag\n  hint: put a token, a tab .* comment="),
        ("\n\na\t \n", {}, "line 3 has no tag"),
        ("\tX\n", {}, "line 1 has no token"),
        ("New York\tX\n", {}, r"line 1 has the token 'New York', expected one without spaces\n  hint: .*New_York"),
        ("a\tX\n", {"columns": (0, 2)}, r"columns=\(0, 2\): expected two different columns of 2, as tags.tsv: line 1"),
        ("a\tX\n", {"columns": (1, -1)}, "expected two different columns of 2"),
        ("a\tX\n", {"columns": 1}, "columns must be two positions, received 1"),
        ("a\tX\n", {"delimiter": ""}, "delimiter must be a text or None, received ''"),
        ("a\tX\n", {"max_length": 0}, "max_length must be a positive integer"),
        ("# a\n", {"comment": "#"}, "tags.tsv has no sentence, only lines that begin with '#'"),
        (" \n\n", {}, "is empty, expected a file of tagged sentences"),
        ("a\tX\n", {"validation": 1}, "leave no training row of 1"),
    ],
)
def test_malformed_tagged_files_are_refused(tmp_path, text, arguments, problem):
    with pytest.raises((ValueError, TypeError, DataError), match=problem):
        from_tagged_file(write(tmp_path, "tags.tsv", text), verbose=False, **arguments)


def test_pairs_of_two_files_and_of_one(tmp_path):
    source = write(tmp_path, "train.en", "a dog\r\n\n a cat\u2028here \n")
    target = write(tmp_path, "train.de", "ein Hund\n\neine Katze")
    data = from_text_pairs(source, target)
    assert data.name == "train"
    x, y = data.train.in_order().arrays()
    assert [text.decode() for text in x] == ["a dog", "a cat\u2028here"]
    assert [text.decode() for text in y] == ["ein Hund", "eine Katze"]
    one = write(tmp_path, "pairs.tsv", "Hund\tx\tdog\n\nKatze\ty\tcat\n")
    x, y = from_text_pairs(one, columns=(2, 0)).train.in_order().arrays()
    assert (list(x), list(y)) == ([b"dog", b"cat"], [b"Hund", b"Katze"])


def test_pairs_are_split_at_random_and_train_a_seq2seq(tmp_path):
    path = write(tmp_path, "pairs.tsv", "".join(f"s{i}\tt{i}\n" for i in range(20)))
    data = from_text_pairs(path, validation=0.1, test=2, batch_size=8)
    assert data.summary() == "pairs: 16 train, 2 validation, 2 test"
    assert texts(from_text_pairs(path, validation=0.1, test=2).validation) == texts(data.validation)
    assert texts(data.validation) != ["s18", "s19"]
    net = dk.Seq2Seq(dk.Text(30), embedding_dim=4, encoder=dk.BiLSTM(4), decoder=dk.Recurrent("gru", 4))
    assert "val_perplexity" in dk.fit(net, data, epochs=1, verbose=0).history


@pytest.mark.parametrize(
    ("source", "target", "problem"),
    [
        (
            "a\nb\nc\n",
            "x\ny\n",
            r"same number of lines, received .*s.txt with 3 and .*t.txt with 2\n  hint: line 3 has",
        ),
        ("a\nb\n", "x\n\n", r"t.txt: line 2 is empty, and that of s.txt is not\n  hint: complete the line, or remove"),
        ("\nb\n", "x\ny\n", "s.txt: line 1 is empty, and that of t.txt is not"),
        ("", "x\n", "s.txt is empty, expected a text file"),
        ("a\tx\nb\n", None, "s.txt: line 2 has 1 column, and the first one has 2"),
        ("a\tx\nb\t \n", None, "s.txt: line 2 has no target"),
        (
            "\n\na;x\n",
            None,
            r"s.txt: line 3 has one text, expected a pair with '\\t' between its texts\n  hint: pass del",
        ),
    ],
)
def test_malformed_pairs_are_refused(tmp_path, source, target, problem):
    paths = [write(tmp_path, "s.txt", source)]
    if target is not None:
        paths.append(write(tmp_path, "t.txt", target))
    with pytest.raises((ValueError, DataError), match=problem):
        from_text_pairs(*paths)


def test_files_that_are_not_text_are_refused(tmp_path):
    latin = write(tmp_path, "latin.tsv", "a\tx\nfür\ty\n", "latin-1")
    for read in (from_text_pairs, from_tagged_file):
        with pytest.raises(DataError, match=r"latin.tsv is not text in utf-8: byte 5 in line 2 .*\n  hint: .*latin-1"):
            read(latin)
        assert read(latin, encoding="latin-1").train.num_examples == (2 if read is from_text_pairs else 1)
        with pytest.raises(
            DataError, match=r"cannot be read: no such file .*\n  hint: the current folder .* a file of "
        ):
            read(tmp_path / "absent.tsv")
        (tmp_path / "a.gz").write_bytes(b"\x1f\x8b\x08\x00")
        with pytest.raises(DataError, match=r"a.gz is a gzip file, expected a file of .*\n  hint: decompress it"):
            read(tmp_path / "a.gz")
    for texts_in_memory in ((["a"],), (latin, ["a"])):
        with pytest.raises(
            TypeError, match=r"must be the path of a file, received \['a'\]\n  hint: pass lists of texts"
        ):
            from_text_pairs(*texts_in_memory)
    with pytest.raises(TypeError, match="path must be the path of a file, received 3"):
        from_tagged_file(3)
    with pytest.raises(TypeError, match="delimiter must be the text between two columns, received 3"):
        from_text_pairs(latin, delimiter=3)
