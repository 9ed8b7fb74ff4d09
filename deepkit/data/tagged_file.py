"""`from_tagged_file`: build pipelines from sentences with a tag for each token, as in the CoNLL shared tasks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepkit.data.dataset import Data, RawData, build_data
from deepkit.data.pipeline_settings import PipelineSettings, check_batch_size, check_seed
from deepkit.data.sources import MemorySource
from deepkit.data.table_split import split_at_random
from deepkit.data.text_lines import check_columns, check_number_of_columns, check_path, read_lines
from deepkit.utils import console as _console
from deepkit.utils.errors import format_value, message
from deepkit.utils.validation import check_flag, check_integer

if TYPE_CHECKING:
    from deepkit.utils.types import PathLike

_MAX_NAMES = 10  # tags that the message lists


@dataclass(frozen=True)
class _Sentence:
    """A sentence, and the file and line of each token for messages."""

    tokens: list[str]
    tags: list[str]
    lines: list[str]


def from_tagged_file(
    path: PathLike,
    *,
    validation: float | PathLike = 0.0,
    test: float | PathLike = 0.0,
    columns: Sequence[int] = (0, -1),
    delimiter: str | None = None,
    comment: str | None = None,
    max_length: int | None = None,
    encoding: str | None = None,
    batch_size: int = 32,
    seed: int = 0,
    shuffle: bool = True,
    name: str | None = None,
    verbose: bool = True,
) -> Data:
    r"""Build pipelines from a file of tagged sentences: a line for each token, a blank line after each sentence.

    A line has a token and its tag, as in the CoNLL shared tasks. The inputs are the sentences, their tokens separated
    by spaces. The labels are a row of tags for each sentence, as class indices, padded at the end with class 0: the
    mask of an `Embedding` with `mask_zero=True` excludes padded steps from the loss and the metrics. The message
    contains the `dk.Text` that splits the sentences into the same tokens.

    Args:
        path: The file.
        validation: Fraction or number of sentences for validation, drawn at random; or a separate file.
        test: Fraction or number of sentences for the test split, drawn at random; or a separate file.
        columns: Positions of the token and its tag, counted from 0; negative ones from the last column. `(1, 3)` are
            those of words and parts of speech in CoNLL-U.
        delimiter: The text between two columns; None for a tab if the first line has one, else any spaces.
        comment: The beginning of lines to skip, such as "# "; None to read all lines.
        max_length: Number of tags of each row; longer sentences lose their last ones. None for the longest sentence.
        encoding: Encoding of the files; None for UTF-8 or that of a byte order mark.
        batch_size: Number of sentences in a batch.
        seed: Seed of the splits and of the order.
        shuffle: Whether to shuffle the training sentences anew in each epoch.
        name: Name of the data; by default that of the file.
        verbose: Whether to print the splits, the tags and the `dk.Text`.

    Returns:
        A `Data`: x `(batch,)`, strings, and y `(batch, max_length)`, int32. `class_names` are the tags, sorted.

    Raises:
        DataError: A file cannot be read, is empty, or is not text in this encoding.
        TypeError: An argument has another type.
        ValueError: A line has another number of columns, a token or a tag is empty or contains a space, a tag of a
            separate file does not occur in the training file, or an argument is out of range; the message names the
            file and the line.

    Examples:
        >>> import deepkit as dk
        >>> from pathlib import Path
        >>> _ = Path("tags.tsv").write_text("a\tDET\ndog\tNOUN\n\nruns\tVERB\n")
        >>> data = dk.data.from_tagged_file("tags.tsv")
        tags: 2 train
        tags: 3 class names: 'DET', 'NOUN', 'VERB'
        tokens: at most 2 in a sentence; use dk.Text(5, output_sequence_length=2, standardize=None)
        >>> sentences, tags = data.train.arrays()
        >>> sentences[0], tags[0]
        (b'a dog', array([0, 1], dtype=int32))
    """
    settings = PipelineSettings(check_batch_size(batch_size), check_seed(seed))
    check_flag(shuffle, "shuffle")
    if max_length is not None:
        max_length = check_integer(max_length, "max_length", hint="pass max_length=50, or leave it out")
    check_path(path, "path")
    sources = {"train": path, "validation": validation, "test": test}
    files = {split: value for split, value in sources.items() if isinstance(value, str | os.PathLike)}
    sentences = {split: _read_sentences(file, columns, delimiter, comment, encoding) for split, file in files.items()}
    fractions: list[Any] = [0.0 if split in files else sources[split] for split in ("validation", "test")]
    tags = tuple(sorted({tag for sentence in sentences["train"] for tag in sentence.tags}))
    longest = max(len(sentence.tokens) for split in sentences.values() for sentence in split)
    length = max_length or longest
    arrays = {split: _as_arrays(values, tags, length) for split, values in sentences.items()}
    texts, labels = arrays["train"]
    rows = split_at_random(len(texts), None, (), fractions[0], fractions[1], settings.seed)
    splits = {split: (texts[index], labels[index]) for split, index in rows.items()}
    splits |= {split: values for split, values in arrays.items() if split != "train"}
    raw = RawData(
        name=name or Path(path).stem,
        version="",
        source="tagged file",
        origin=" and ".join(f"file {os.fspath(file)}" for file in files.values()),
        sources={split: MemorySource(values) for split, values in splits.items()},
        rescale=False,
        num_classes=len(tags),
        class_names=tags,
    )
    data = build_data(raw, settings, shuffle=bool(shuffle))
    if verbose:
        _print(data, tags, sentences["train"], longest, length)
    return data


def _read_sentences(
    path: PathLike, columns: Sequence[int], delimiter: str | None, comment: str | None, encoding: str | None
) -> list[_Sentence]:
    """Return the sentences of a file."""
    for argument, value in (("delimiter", delimiter), ("comment", comment)):
        if value is not None and (not isinstance(value, str) or not value):
            problem = f"{argument} must be a text or None, received {format_value(value)}"
            raise (ValueError if isinstance(value, str) else TypeError)(message(problem, hint="leave it out"))
    file, lines = read_lines(path, encoding, "a file of tagged sentences")
    sentences: list[_Sentence] = []
    num_columns, positions, is_open = 0, (0, 0), False
    for number, text in enumerate(lines, start=1):
        if comment is not None and text.startswith(comment):
            continue
        if not text.strip():
            is_open = False
            continue
        line = f"{file.name}: line {number}"
        if not num_columns:
            delimiter = delimiter or ("\t" if "\t" in text else None)
            num_columns = len(text.split(delimiter))
            _check_first_line(line, num_columns, comment)
            positions = check_columns(columns, num_columns, line)
        values = text.split(delimiter)
        check_number_of_columns(values, num_columns, line)
        token, tag = (values[position].strip() for position in positions)
        _check_values(token, tag, line)
        if not is_open:
            sentences.append(_Sentence([], [], []))
            is_open = True
        sentences[-1].tokens.append(token)
        sentences[-1].tags.append(tag)
        sentences[-1].lines.append(line)
    if not sentences:
        problem = f"{file.name} has no sentence, only lines that begin with {comment!r}"
        raise ValueError(message(problem, hint="pass another comment=, or leave it out"))
    return sentences


def _check_first_line(line: str, num_columns: int, comment: str | None) -> None:
    if num_columns == 1:
        problem = f"{line} has one column, expected a token and its tag"
        hint = "put a token, a tab and its tag into each line, and a blank line after each sentence"
        if comment is None:
            hint = f"{hint}; pass comment= if this line is a comment"
        raise ValueError(message(problem, hint=hint))


def _check_values(token: str, tag: str, line: str) -> None:
    """Raise if a token or a tag is empty, or a token has a space, so that it would become two tokens."""
    for kind, value in (("token", token), ("tag", tag)):
        if not value:
            raise ValueError(message(f"{line} has no {kind}", hint="complete the line, or remove it"))
    if len(token.split()) > 1:
        problem = f"{line} has the token {format_value(token)}, expected one without spaces"
        raise ValueError(message(problem, hint='replace the spaces, as in "New_York"'))


def _as_arrays(sentences: Sequence[_Sentence], tags: tuple[str, ...], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the sentences as strings, and their tags as rows of class indices."""
    indices = {tag: i for i, tag in enumerate(tags)}
    texts = np.empty(len(sentences), object)
    labels = np.zeros((len(sentences), length), "int32")
    for row, sentence in enumerate(sentences):
        texts[row] = " ".join(sentence.tokens)
        for step, tag in enumerate(sentence.tags):
            if tag not in indices:
                problem = f"{sentence.lines[step]} has the tag {tag!r}, which does not occur in the training file"
                hint = "correct the tag, or add such sentences to the training file"
                raise ValueError(message(problem, hint=hint))
            if step < length:
                labels[row, step] = indices[tag]
    return texts, labels


def _print(data: Data, tags: tuple[str, ...], sentences: Sequence[_Sentence], longest: int, length: int) -> None:
    """Print the splits, the tags, and the text layer that splits the sentences into the same tokens."""
    names = ", ".join(map(repr, tags[:_MAX_NAMES])) + (", ..." if len(tags) > _MAX_NAMES else "")
    num_ids = len({token for sentence in sentences for token in sentence.tokens}) + 2
    text = f"dk.Text({max(3, num_ids)}, output_sequence_length={length}, standardize=None)"
    cut = f", cut to {length}" if length < longest else ""
    _console.echo(data.summary())
    _console.echo(f"tags: {len(tags)} class name{'s' if len(tags) > 1 else ''}: {names}")
    _console.echo(f"tokens: at most {longest} in a sentence{cut}; use {text}")
