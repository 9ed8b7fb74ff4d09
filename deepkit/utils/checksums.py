"""Checksums: SHA-256 of files, and of JSON values.

A CPU core computes about 2 GB per second, which is more than most disks read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits, as `sha256sum` prints it; the file is read in blocks.

    Raises:
        OSError: The file cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def json_checksum(content: Mapping[str, object]) -> str:
    """Return the SHA-256 of JSON values, which does not depend on the order of keys and on spaces in their file.

    >>> json_checksum({"a": 1, "b": [2.5]}) == json_checksum({"b": (2.5,), "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
