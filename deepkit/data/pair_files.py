"""`from_text_pairs`: build pipelines from two parallel files, or from a file with a pair of texts in each line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepkit.data.dataset import Data, RawData, build_data
from deepkit.data.pipeline_settings import PipelineSettings, check_batch_size, check_seed
from deepkit.data.sources import MemorySource
from deepkit.data.table_split import split_at_random
from deepkit.data.text_lines import check_columns, check_number_of_columns, check_path, read_lines
from deepkit.utils.errors import format_value, message
from deepkit.utils.validation import check_flag

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deepkit.utils.types import PathLike


def from_text_pairs(
    source: PathLike,
    target: PathLike | None = None,
    *,
    validation: float = 0.0,
    test: float = 0.0,
    columns: Sequence[int] = (0, 1),
    delimiter: str = "\t",
    encoding: str | None = None,
    batch_size: int = 32,
    seed: int = 0,
    shuffle: bool = True,
    name: str | None = None,
) -> Data:
    r"""Build pipelines of pairs of texts for `dk.Seq2Seq`, from two parallel files or from one file of pairs.

    Of parallel files, line i of the target file is the translation of line i of the source file. A file of pairs has
    one pair in each line, its texts separated by a tab, without a header and without quotes. Spaces around a text are
    removed, and pairs of empty lines are skipped.

    Args:
        source: The file of the source texts, or the file of the pairs.
        target: The file of the target texts; None for a file of pairs.
        validation: Fraction or number of pairs for validation, drawn at random.
        test: Fraction or number of pairs for the test split, drawn at random.
        columns: Positions of the source and the target in a file of pairs, counted from 0; negative ones from the last
            column.
        delimiter: The text between two columns of a file of pairs.
        encoding: Encoding of the files; None for UTF-8 or that of a byte order mark.
        batch_size: Number of pairs in a batch.
        seed: Seed of the splits and of the order.
        shuffle: Whether to shuffle the training pairs anew in each epoch.
        name: Name of the data; by default that of the source file.

    Returns:
        A `Data` of strings: x and y `(batch,)`.

    Raises:
        DataError: A file cannot be read, is empty, or is not text in this encoding.
        TypeError: An argument has another type.
        ValueError: The files have different numbers of lines, a text is empty and its partner is not, a line has
            another number of columns, or an argument is out of range; the message names the file and the line.

    Examples:
        >>> import deepkit as dk
        >>> from pathlib import Path
        >>> _ = Path("pairs.tsv").write_text("a dog\tein Hund\na cat\teine Katze\n")
        >>> data = dk.data.from_text_pairs("pairs.tsv", validation=1)
        >>> data.summary()
        'pairs: 1 train, 1 validation'
    """
    settings = PipelineSettings(check_batch_size(batch_size), check_seed(seed))
    check_flag(shuffle, "shuffle")
    check_path(source, "source")
    if target is None:
        origin, pairs = _read_pairs(source, columns, delimiter, encoding)
    else:
        check_path(target, "target")
        origin, pairs = _read_parallel(source, target, encoding)
    rows = split_at_random(len(pairs), None, (), validation, test, settings.seed)
    texts = [np.array(column, object) for column in zip(*pairs, strict=True)]
    raw = RawData(
        name=name or origin[0].stem,
        version="",
        source="text files",
        origin=" and ".join(f"file {file}" for file in origin),
        sources={split: MemorySource((texts[0][index], texts[1][index])) for split, index in rows.items()},
        rescale=False,
    )
    return build_data(raw, settings, shuffle=bool(shuffle))


def _read_pairs(
    path: PathLike, columns: Sequence[int], delimiter: str, encoding: str | None
) -> tuple[list[Path], list[tuple[str, str]]]:
    """Return the path of a file of pairs, and its pairs."""
    if not isinstance(delimiter, str) or not delimiter or "\n" in delimiter:
        problem = f"delimiter must be the text between two columns, received {format_value(delimiter)}"
        raise (ValueError if isinstance(delimiter, str) else TypeError)(message(problem, hint='use delimiter="\\t"'))
    file, lines = read_lines(path, encoding, "a file of pairs")
    rows = {number: line.split(delimiter) for number, line in enumerate(lines, start=1) if line.strip()}
    first = next(iter(rows))
    num_columns = len(rows[first])
    if num_columns == 1:
        problem = f"{file.name}: line {first} has one text, expected a pair with {delimiter!r} between its texts"
        hint = "pass delimiter= if it is another one, or from_text_pairs(source, target) for two parallel files"
        raise ValueError(message(problem, hint=hint))
    positions = check_columns(columns, num_columns, f"{file.name}: line {first}")
    pairs = []
    for number, values in rows.items():
        line = f"{file.name}: line {number}"
        check_number_of_columns(values, num_columns, line)
        source, target = (values[position].strip() for position in positions)
        if not source or not target:
            problem = f"{line} has no {'source' if target else 'target'}"
            raise ValueError(message(problem, hint="complete the pair, or remove the line"))
        pairs.append((source, target))
    return [file], pairs


def _read_parallel(
    source: PathLike, target: PathLike, encoding: str | None
) -> tuple[list[Path], list[tuple[str, str]]]:
    """Return the paths of two parallel files, and their pairs."""
    files, texts = zip(*(read_lines(path, encoding, "a text file") for path in (source, target)), strict=True)
    if len(texts[0]) != len(texts[1]):
        counts = " and ".join(f"{file} with {len(lines):,}" for file, lines in zip(files, texts, strict=True))
        shorter = 0 if len(texts[0]) < len(texts[1]) else 1
        problem = f"expected files with the same number of lines, received {counts}"
        hint = f"line {len(texts[shorter]) + 1:,} has no partner in {files[shorter].name}; remove or add such lines"
        raise ValueError(message(problem, hint=hint))
    pairs = []
    for number, lines in enumerate(zip(*texts, strict=True), start=1):
        source_text, target_text = (line.strip() for line in lines)
        if bool(source_text) != bool(target_text):
            empty, other = (files[1], files[0]) if source_text else (files[0], files[1])
            problem = f"{empty.name}: line {number} is empty, and that of {other.name} is not"
            raise ValueError(message(problem, hint="complete the line, or remove it from both files"))
        if source_text:
            pairs.append((source_text, target_text))
    return list(files), pairs
