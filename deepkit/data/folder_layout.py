"""The layout of a folder of examples: one folder per class, or one folder per split with class folders inside."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

from deepkit.data import bundled, catalog
from deepkit.data.errors import DataError
from deepkit.utils.errors import did_you_mean, format_value, message
from deepkit.utils.files import expand_user

SPLIT_NAMES = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
_HIDDEN = {
    "__macosx", "@eadir", "$recycle.bin", "system volume information", "thumbs.db", "ehthumbs.db", "desktop.ini",
    "icon\r",
}  # fmt: skip
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")

Files = list[tuple[str, str]]
"""Path and name of each file; the name is the path in the folder, with "/" between its parts."""


@dataclasses.dataclass(frozen=True)
class FolderLayout:
    """The files of a folder.

    Args:
        splits: For each split its classes, and for each class its files; only "train" if there are no split folders.
        has_split_folders: Whether there is one folder per split.
        skipped: Names of files that lie outside the class folders, and of links to folders that were already read.
    """

    splits: dict[str, dict[str, Files]]
    has_split_folders: bool
    skipped: list[str]


def check_folder(path: object, *, example: str) -> Path:
    """Return the path of an existing folder.

    Args:
        path: The path.
        example: Code for the hint of an error.

    Raises:
        TypeError: `path` is neither a string nor a `pathlib.Path`.
        DataError: There is no such folder.
    """
    if not isinstance(path, str | os.PathLike) or isinstance(os.fspath(path), bytes):
        problem = f"path must be a string or a pathlib.Path, received {format_value(path)}"
        raise TypeError(message(problem, hint=f"pass the path of a folder: {example}"))
    text = os.fspath(path)
    folder = expand_user(text)
    if text and os.path.isdir(folder):  # unlike `Path.is_dir`, False for a name that is too long
        return folder
    if text and os.path.exists(folder):
        is_archive = folder.suffix.lower() in _ARCHIVES
        hint = "unpack the archive, and pass its folder" if is_archive else f"pass the folder: {example}"
        raise DataError(f"{text!r} is a file, expected a folder", hint=hint)
    hint = f"pass the path of a folder: {example}"
    names = [*catalog.PINNED_VERSIONS, *bundled.NAMES]
    if os.sep not in text and (suggestion := did_you_mean(text, names)):
        name = suggestion.split("'")[1]
        hint = f"pass the path of a folder, or use dk.data.load({name!r}) for the dataset"
    raise DataError(f"there is no folder {text!r}{_similar_folder(folder)}", hint=hint)


def read_layout(root: Path) -> FolderLayout:
    """List the files of a folder, sorted by name; hidden files and folders are skipped.

    Raises:
        DataError: There are no class folders, the layout is ambiguous, or a folder cannot be read.
    """
    with _named_errors(root):
        return _LayoutReader(root).read()


def list_files(root: Path) -> Files:
    """List the files of a folder and of the folders inside, sorted by name; hidden files and folders are skipped.

    Raises:
        DataError: A folder cannot be read.
    """
    with _named_errors(root):
        return sorted(_LayoutReader(root).files(root), key=lambda file: file[1])


class _LayoutReader:
    """Reads a folder; each real folder is read once, although links may lead to it several times."""

    def __init__(self, root: Path) -> None:
        self.root, self.skipped = root, [_readable(entry.name) for entry in _entries(root) if not _is_folder(entry)]
        self.visited = {_identity(root): root.name}

    def read(self) -> FolderLayout:
        split_folders = self._split_folders()
        if not split_folders:
            class_folders = {"train": _folders(self.root)}
        else:
            class_folders = {split: _folders(folder) for split, folder in split_folders.items()}
            for folder in split_folders.values():
                self._visit(folder)
                self.skipped += [self._name(Path(entry.path)) for entry in _entries(folder) if not _is_folder(entry)]
        for split, folders in class_folders.items():
            if not folders:
                raise _no_class_folders(split_folders.get(split, self.root), self.root)
            for folder in folders:
                self._visit(folder)
        for folders in class_folders.values():
            _check_distinct(folders)
        splits = {
            split: {_readable(folder.name): list(self.files(folder)) for folder in folders}
            for split, folders in class_folders.items()
        }
        return FolderLayout(splits, bool(split_folders), self.skipped)

    def _split_folders(self) -> dict[str, Path]:
        """Return the folder of each split, in the order train, validation, test; empty for one folder per class."""
        named = [folder for folder in _folders(self.root) if folder.name.lower() in SPLIT_NAMES]
        others = [folder for folder in _folders(self.root) if folder not in named]
        names = ", ".join(folder.name for folder in named)
        if others:
            self._check_class_folders(others, [folder for folder in named if _folders(folder)])
            return {}  # without folders inside, 'train' is the name of a class
        by_split: dict[str, Path] = {}
        for folder in named:
            split = SPLIT_NAMES[folder.name.lower()]
            if split in by_split:
                problem = f"{by_split[split].name!r} and {folder.name!r} are both for the {split} split"
                raise DataError(f"{self.root}: the folders {problem}", hint="remove or rename one of them")
            by_split[split] = folder
        if named and "train" not in by_split:
            problem = f"{self.root} has folders of splits ({names}), and none of them is 'train'"
            raise DataError(problem, hint="add a folder named train, with the same class folders")
        return {split: by_split[split] for split in ("train", "validation", "test") if split in by_split}

    def _check_class_folders(self, folders: list[Path], splits: list[Path]) -> None:
        """Raise if folders of splits lie beside other folders, or if the class folders lie one level deeper."""
        if splits:
            names, others = (", ".join(folder.name for folder in listed[:5]) for listed in (splits, folders))
            problem = f"{self.root} has folders of splits ({names}) and other folders ({others})"
            hint = f"move the other folders away, or rename {splits[0].name!r} if it is a class"
            raise DataError(problem, hint=hint)
        inner = _folders(folders[0])
        if len(_folders(self.root)) == 1 and inner:
            names = ", ".join(folder.name for folder in inner[:5])
            problem = f"{self.root} has a single class folder, {folders[0].name!r}, with folders inside: {names}"
            raise DataError(problem, hint=f"pass the folder {str(folders[0])!r}")

    def _visit(self, folder: Path) -> None:
        """Mark a class folder or a split folder as read, or raise an error if another name leads to it as well."""
        name, identity = self._name(folder), _identity(folder)
        if identity in self.visited:
            problem = f"{self.root}: {self.visited[identity]!r} and {name!r} are the same folder"
            raise DataError(problem, hint="remove one of the two links")
        self.visited[identity] = name

    def files(self, top: Path) -> Iterator[tuple[str, str]]:
        """Yield path and name of each file in a folder and in the folders inside."""
        for parent, folders, files in os.walk(top, followlinks=True, onerror=_raise):
            names = sorted(name for name in folders if not _is_hidden(name))
            folders[:] = [name for name in names if self._is_new(Path(parent, name))]
            for name in sorted(files):
                if not _is_hidden(name):
                    path = Path(parent, name)
                    yield str(path), self._name(path)

    def _is_new(self, folder: Path) -> bool:
        identity = _identity(folder)
        if identity in self.visited:
            self.skipped.append(self._name(folder))
            return False
        self.visited[identity] = self._name(folder)
        return True

    def _name(self, path: Path) -> str:
        return _readable(path.relative_to(self.root).as_posix())


@contextlib.contextmanager
def _named_errors(root: Path) -> Iterator[None]:
    """Raise a `DataError` that names the folder which cannot be read."""
    try:
        yield
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{error.filename or root} cannot be read: {error.strerror or error}") from error


def _no_class_folders(folder: Path, root: Path) -> DataError:
    count = len(_entries(folder))
    content = f"{count:,} file{'s' if count > 1 else ''} and no folders" if count else "no files"
    problem = f"{folder} has {content}, expected one folder per class"
    parts = "train/cats/1.jpg" if folder != root else "cats/1.jpg"
    return DataError(problem, hint=f"put the images of each class into a folder, such as {root / parts}")


def _check_distinct(folders: list[Path]) -> None:
    """Raise if two folders have the same name as readable text, so that their classes could not be distinguished."""
    names: dict[str, Path] = {}
    for folder in folders:
        name = _readable(folder.name)
        if names.setdefault(name, folder) != folder:
            problem = f"{_readable(str(folder.parent))}: two class folders have the name {name!r}, one of them in bytes"
            raise DataError(problem, hint="rename the folder whose name is not UTF-8")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder, or a link to one; False for a link that leads to itself."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _raise(error: OSError) -> None:
    raise error


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if not _is_hidden(entry.name)), key=lambda entry: entry.name)


def _folders(folder: Path) -> list[Path]:
    return [folder / entry.name for entry in _entries(folder) if _is_folder(entry)]


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _HIDDEN


def _readable(name: str) -> str:
    """Return a name as text that can be printed, also if its bytes are not UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _similar_folder(folder: Path) -> str:
    """Return a suggestion if the parent has a folder of a similar name."""
    try:
        return did_you_mean(folder.name, [path.name for path in _folders(folder.parent)])
    except OSError:
        return ""
