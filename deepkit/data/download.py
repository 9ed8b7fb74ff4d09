"""Download and prepare a dataset: probe the server first, and leave a complete folder or none."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from typing import TYPE_CHECKING

from deepkit.data.catalog import CatalogEntry, make_builder
from deepkit.data.download_folder import temporary_download_folder
from deepkit.data.errors import DataError, summarize_error
from deepkit.data.tfds_reader import quiet_tfds

if TYPE_CHECKING:
    from deepkit.data.tfds_types import BuilderClass

_TIMEOUT = 3.0  # seconds; TFDS itself retries for more than three minutes
_DEFAULT_URL = "https://storage.googleapis.com/"
_MAX_HOSTS = 3


def is_reachable(urls: Iterable[str]) -> bool:
    """Return within seconds whether a download can succeed, respecting the usual proxy variables.

    Args:
        urls: URLs to download; up to three different hosts are probed at the same time.

    Returns:
        Whether any host answers; an error of a proxy or a gateway is not an answer.
    """
    hosts = {urllib.parse.urlsplit(url).netloc: url for url in urls if url.startswith("http")} or {"": _DEFAULT_URL}
    reached = threading.Event()
    probed = list(hosts.values())[:_MAX_HOSTS]
    threads = [threading.Thread(target=_probe, args=(url, reached), daemon=True) for url in probed]
    for thread in threads:
        thread.start()
    for thread in threads:  # a name lookup has no timeout, so a thread may outlive this call
        thread.join(0 if reached.is_set() else _TIMEOUT + 1)
    return reached.is_set()


def prepare(entry: CatalogEntry, data_dir: pathlib.Path) -> pathlib.Path:
    """Download and prepare a dataset in a temporary folder, and rename the folder when it is complete.

    Args:
        entry: The dataset; it has a builder class.
        data_dir: Data folder to put it into.

    Returns:
        The prepared folder.

    Raises:
        DataError: The dataset cannot be downloaded, prepared or written. No file of it remains in that case.
    """
    new_folders = _missing_folders(data_dir)
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with temporary_download_folder(entry, data_dir) as temporary:
            _download_and_prepare(entry, temporary, data_dir)
            return _move_into_place(entry, temporary, data_dir)
    except Exception as error:  # TFDS, requests, extractors and parsers raise many kinds of errors
        raise DataError(f"downloading {entry.title} to {data_dir} failed: {summarize_error(error)}") from error
    finally:
        for folder in new_folders:  # innermost first; only folders that are still empty
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def manual_instructions(builder_class: BuilderClass, data_dir: pathlib.Path) -> str | None:
    """Return how to download a dataset manually, or None if TFDS downloads it or the files exist."""
    instructions = builder_class.MANUAL_DOWNLOAD_INSTRUCTIONS
    folder = _manual_folder(data_dir)
    if not instructions or (folder.is_dir() and any(folder.iterdir())):
        return None
    return f"download the files manually into {folder}: {' '.join(instructions.split())}"


def _probe(url: str, reached: threading.Event) -> None:
    request = urllib.request.Request(url, method="HEAD")
    opener = urllib.request.build_opener()  # urlopen would keep the proxies of its first call
    try:
        opener.open(request, timeout=_TIMEOUT).close()
        reached.set()
    except urllib.error.HTTPError as error:
        if error.code < 500 and error.code != 407:  # the host answers, even if it refuses HEAD
            reached.set()
    except (OSError, ValueError):
        pass


def _download_and_prepare(entry: CatalogEntry, temporary: pathlib.Path, data_dir: pathlib.Path) -> None:
    import tensorflow_datasets as tfds

    manual = _manual_folder(data_dir)
    download_config = tfds.download.DownloadConfig(manual_dir=manual if manual.is_dir() else None)
    config_name = entry.name.partition("/")[2]
    builder = make_builder(entry.require_builder_class(), config_name, entry.version, temporary)
    with quiet_tfds(), contextlib.redirect_stdout(io.StringIO()):  # TFDS prints the temporary folder's name
        builder.download_and_prepare(download_dir=temporary / "downloads", download_config=download_config)


def _move_into_place(entry: CatalogEntry, temporary: pathlib.Path, data_dir: pathlib.Path) -> pathlib.Path:
    target = entry.folder(data_dir)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.replace(entry.folder(temporary), target)
    except OSError:
        if not (target / "dataset_info.json").is_file():  # otherwise another process prepared an equal copy first
            raise
    return target


def _manual_folder(data_dir: pathlib.Path) -> pathlib.Path:
    return data_dir / "downloads" / "manual"


def _missing_folders(data_dir: pathlib.Path) -> list[pathlib.Path]:
    return [folder for folder in (data_dir, *data_dir.parents) if not folder.exists()]
