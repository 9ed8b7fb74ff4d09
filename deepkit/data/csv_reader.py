"""Read a CSV file: detect its encoding and delimiter, and name the line of every problem."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepkit.data import memory
from deepkit.data.errors import DataError
from deepkit.data.raw_table import RawColumn, RawTable, check_names
from deepkit.utils.errors import format_value, message
from deepkit.utils.files import expand_user

if TYPE_CHECKING:
    from deepkit.utils.types import PathLike

DELIMITERS = (",", ";", "\t", "|")
_BYTE_ORDER_MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_OTHER_FORMATS = (
    (b"PK\x03\x04", "a ZIP or Excel file", "read_excel"), (b"\xd0\xcf\x11\xe0", "an Excel file", "read_excel"),
    (b"PAR1", "a Parquet file", "read_parquet"), (b"\x1f\x8b", "a gzip file", "read_csv"),
    (b"SQLite format 3", "an SQLite file", "read_sql"),
)  # fmt: skip
_SAMPLE_ROWS = 100
_CHUNKS_HINT = "read it in chunks with pandas.read_csv(..., chunksize=10_000), and pass them to dk.data.write_records"
_MAX_FIELD_LENGTH = 2**31 - 1  # the limit of csv, 128 KiB, is too small for texts


def read_csv(path: PathLike, delimiter: str | None = None, encoding: str | None = None) -> RawTable:
    """Read a CSV file whose first row has the names of the columns; strings lose surrounding spaces.

    Args:
        path: The file.
        delimiter: The character between two values; None to detect one of comma, semicolon, tab and vertical bar.
        encoding: The name of an encoding; None for that of a byte order mark, else UTF-8.

    Raises:
        DataError: The file does not exist, is not text in this encoding, or is not a CSV file.
        TypeError: An argument has another type.
        ValueError: The file has no header or no rows, the number of values in a row differs from that of the header,
            or two columns have the same name.
    """
    _check_delimiter(delimiter)
    file = expand_user(path)
    check_size(file)
    text, encoding_name = decode_file(file, encoding)
    title = file.name
    with _long_fields():
        detected = delimiter or _detect_delimiter(text)
        rows = _read_rows(text, detected, title)
        header = next(rows, None)
        if header is None:
            hint = "pass a file with a header and at least one row"
            raise ValueError(message(f"{title}: the file is empty", hint=hint))
        names = _column_names(header[1], title)
        lines, columns = _read_columns(rows, names, title, detected)
    details = [f"delimiter {detected!r}"] if detected != "," and len(names) > 1 else []
    details += [f"encoding {encoding_name}"] if encoding_name not in ("utf-8", "utf-8-sig") else []
    missing = np.zeros(len(lines), bool)
    raw_columns = {name: RawColumn(values, missing) for name, values in zip(names, columns, strict=True)}
    return RawTable(title, raw_columns, len(lines), lines, tuple(details), allows_decimal_comma=detected != ",")


def _check_delimiter(delimiter: object) -> None:
    if delimiter is None:
        return
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n':
        problem = f"delimiter must be one character, received {format_value(delimiter)}"
        raise (ValueError if isinstance(delimiter, str) else TypeError)(message(problem, hint="use delimiter=';'"))


def check_size(file: Path, hint: str = _CHUNKS_HINT) -> None:
    """Raise if a file needs more than the free memory."""
    try:
        size = file.stat().st_size
    except (OSError, ValueError):  # reported when the file is opened
        return
    if size > (available := memory.available_bytes()):
        sizes = f"at least {memory.format_bytes(size)} of memory, and {memory.format_bytes(available)} are free"
        problem = f"{file} needs {sizes}"
        raise DataError(problem, hint=hint)


def decode_file(file: Path, encoding: str | None, *, expected: str = "a CSV file") -> tuple[str, str]:
    """Return the text of a file, and the name of its encoding.

    Args:
        file: The file.
        encoding: The name of an encoding; None for that of a byte order mark, else UTF-8.
        expected: The kind of the file, for messages: "a CSV file" may also be a data frame.

    Raises:
        DataError: The file does not exist, has another format, or is not text in this encoding.
        ValueError: There is no such encoding.
    """
    is_table = expected == "a CSV file"
    try:
        content = file.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: the path has a null character
        reason = "it is a folder" if os.path.isdir(file) else (getattr(error, "strerror", "") or str(error)).lower()
        hint = f"pass the path of {expected}{', or a pandas DataFrame' if is_table else ''}"
        if not os.path.exists(file):
            hint = f"the current folder is {os.getcwd()}; {hint}"
        raise DataError(f"{file} cannot be read: {reason}", hint=hint) from error
    for magic, description, function in _OTHER_FORMATS:
        if content.startswith(magic):
            hint = f"read it with pandas first: dk.data.from_table(pandas.{function}(...), target=...)"
            if not is_table:
                hint = "decompress it, or export it as text"
            raise DataError(f"{file} is {description}, expected {expected}", hint=hint)
    name = encoding or next((name for mark, name in _BYTE_ORDER_MARKS if content.startswith(mark)), "utf-8")
    try:
        codec = codecs.lookup(name).name
    except (LookupError, TypeError, ValueError) as error:
        problem = f"encoding must be the name of an encoding, received {format_value(encoding)}"
        raise ValueError(message(problem, hint='use encoding="latin-1"')) from error
    if codec == "utf-8":
        name = "utf-8-sig" if content.startswith(codecs.BOM_UTF8) else "utf-8"
    if not name.startswith(("utf-16", "utf_16", "utf-32", "utf_32")) and b"\0" in content[:4096]:
        likely = "utf-16-be" if content[:1] == b"\0" else "utf-16-le"
        problem = f"{file} is not text in {name}: it has a zero byte at position {content.index(0)}"
        raise DataError(problem, hint=f'pass encoding="{likely}" if it is text in UTF-16, or another file')
    try:
        return content.decode(name), name
    except UnicodeError as error:
        raise _decoding_error(file, content, name, error) from error


def _decoding_error(file: Path, content: bytes, name: str, error: UnicodeError) -> DataError:
    start = getattr(error, "start", 0)
    line = content.count(b"\n", 0, start) + 1
    value = f"0x{content[start]:02x}" if start < len(content) else "the end"
    other = "latin-1" if name.startswith("utf-8") else "utf-8"
    problem = f"{file} is not text in {name}: byte {start} in line {line} is {value}"
    return DataError(problem, hint=f'pass the encoding of the file, such as encoding="{other}" or encoding="cp1252"')


def _detect_delimiter(text: str) -> str:
    """Return the delimiter for which most of the first rows have as many values as the header."""
    best, best_score = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        counts = []
        with contextlib.suppress(csv.Error):  # `_read_rows` raises the error with its line
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
                if row:
                    counts.append(len(row))
                if len(counts) > _SAMPLE_ROWS:
                    break
        if counts and counts[0] > 1:
            score = (round(counts.count(counts[0]) / len(counts), 1), counts[0])
            if score > best_score:
                best, best_score = delimiter, score
    return best


def _read_rows(text: str, delimiter: str, title: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the first line and the values of each row; empty lines are skipped."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            problem = f"{title}: the row that begins in line {line} cannot be read: {error}"
            hint = 'close every quoted value, write a quote inside one as "", and pass delimiter= if it is wrong'
            raise ValueError(message(problem, hint=hint)) from error
        if row is None:
            return
        if row:
            yield line, row


@contextlib.contextmanager
def _long_fields() -> Iterator[None]:
    """Accept long texts in a `with` block: the limit of the csv module is global."""
    limit = csv.field_size_limit(_MAX_FIELD_LENGTH)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _column_names(header: Sequence[str], title: str) -> list[str]:
    """Return the names of the columns; one without a name, such as an index that pandas wrote, has a number."""
    names = [name.strip() for name in header]
    if all(_is_number(name) for name in names):
        problem = f"{title}: the first row has no names of columns, only numbers: {format_value(', '.join(names))}"
        raise ValueError(message(problem, hint="add a first line with a name for every column"))
    names = [name or f"column {i}" for i, name in enumerate(names, start=1)]
    check_names(names, title)
    return names


def _read_columns(
    rows: Iterator[tuple[int, list[str]]], names: Sequence[str], title: str, delimiter: str
) -> tuple[list[int], list[np.ndarray]]:
    """Return the first line of each row, and the values of each column."""
    lines: list[int] = []
    values: list[list[str]] = []
    for line, row in rows:
        if len(row) != len(names):
            problem = (
                f"{title}: line {line} has {len(row)} value{'s' if len(row) > 1 else ''}, and the header has "
                f"{len(names)} column{'s' if len(names) > 1 else ''}"
            )
            hint = f"correct the line, quote a value that contains {delimiter!r}, or pass delimiter= if it is wrong"
            raise ValueError(message(problem, hint=hint))
        lines.append(line)
        values.append(row)
    if not lines:
        raise ValueError(message(f"{title}: the file has a header and no rows", hint="pass a file with rows"))
    columns = []
    for column in zip(*values, strict=True):
        array = np.empty(len(column), object)
        array[:] = [value.strip() for value in column]
        columns.append(array)
    return lines, columns


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return text.lower().lstrip("+-") not in ("nan", "inf", "infinity")
