"""Getting a data set that is not prepared yet: asked first whether the network answers, whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import shutil
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable

from deepkit.data.catalog import Entry
from deepkit.data.errors import DataError
from deepkit.data.read import quiet

_PATIENCE = 3.0  # seconds; left alone, TFDS tries for more than three minutes
_DEFAULT = "https://storage.googleapis.com/"


def answering(urls: Iterable[str]) -> bool:
    """Say within seconds whether a download has a chance, honouring the usual proxy variables.

    Args:
        urls: what would be downloaded; up to three different hosts are asked, at the same time.

    Returns:
        Whether any of them answers with anything but a proxy's or gateway's failure.

    """
    hosts = {urllib.parse.urlsplit(url).netloc: url for url in urls if url.startswith("http")} or {"": _DEFAULT}
    heard = threading.Event()
    threads = [threading.Thread(target=_ask, args=(url, heard), daemon=True) for url in list(hosts.values())[:3]]
    for thread in threads:
        thread.start()
    for thread in threads:  # looking a name up has no timeout of its own, hence threads that may be left behind
        thread.join(0 if heard.is_set() else _PATIENCE + 1)
    return heard.is_set()


def prepare(entry: Entry, root: pathlib.Path) -> pathlib.Path:
    """Download and prepare a data set in a folder aside, and move it into place when it is whole.

    Args:
        entry: which data set.
        root: the data folder it goes to.

    Returns:
        The prepared folder.

    Raises:
        DataError: if it cannot be downloaded, prepared or written. Nothing of it is left behind then.

    """
    made = _missing_parents(root)
    aside = None
    try:
        root.mkdir(parents=True, exist_ok=True)
        aside = pathlib.Path(tempfile.mkdtemp(prefix=".deepkit-download-", dir=root))
        _into(entry, aside, root)
        return _move(entry, aside, root)
    except Exception as error:  # TFDS, requests, extractors and parsers fail in as many ways as there are
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(f"downloading {entry.name} {entry.version} to {root} failed: {reason}") from error
    finally:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)
        for folder in made:  # innermost first; only what is still empty
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def manual_instructions(entry: Entry, root: pathlib.Path) -> str | None:
    """Return what a person has to download by hand first, or None where that is done or there is nothing."""
    instructions = entry.builder.MANUAL_DOWNLOAD_INSTRUCTIONS
    folder = _manual(root)
    if not instructions or (folder.is_dir() and any(folder.iterdir())):
        return None
    return f"it has to be downloaded by hand into {folder}: {' '.join(instructions.split())}"


def urls(entry: Entry) -> list[str]:
    """List what TFDS would download."""
    return list(entry.builder.url_infos or {})


def _ask(url: str, heard: threading.Event) -> None:
    request = urllib.request.Request(url, method="HEAD")
    opener = urllib.request.build_opener()  # urlopen would keep the proxies of its first call
    try:
        opener.open(request, timeout=_PATIENCE).close()
        heard.set()
    except urllib.error.HTTPError as error:
        if error.code < 500 and error.code != 407:  # it answers, if only to say no to HEAD
            heard.set()
    except (OSError, ValueError):
        pass


def _into(entry: Entry, aside: pathlib.Path, root: pathlib.Path) -> None:
    import tensorflow_datasets as tfds

    config = tfds.download.DownloadConfig(manual_dir=_manual(root) if _manual(root).is_dir() else None)
    with quiet(), contextlib.redirect_stdout(io.StringIO()):  # TFDS names the folder aside; its progress bars stay
        entry.make(aside).download_and_prepare(download_dir=aside / "downloads", download_config=config)


def _move(entry: Entry, aside: pathlib.Path, root: pathlib.Path) -> pathlib.Path:
    target = entry.folder(root)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.replace(entry.folder(aside), target)
    except OSError:
        if not (target / "dataset_info.json").is_file():  # else another process was faster, and its copy is as good
            raise
    return target


def _manual(root: pathlib.Path) -> pathlib.Path:
    return root / "downloads" / "manual"


def _missing_parents(root: pathlib.Path) -> list[pathlib.Path]:
    return [folder for folder in (root, *root.parents) if not folder.exists()]
