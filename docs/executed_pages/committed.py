"""Outputs that are committed: docs/outputs holds them with the checksum of the code that made them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import nbformat

from .cell_outputs import make_cell
from .errors import PageError
from .kernel import ExecutedPage
from .notebook import METADATA
from .source import Page, parse_page

FOLDER = "outputs"
COMMAND = "run 'make docs-outputs' and commit docs/outputs"


def outputs_path(page: Page, docs_dir: Path) -> Path:
    """Return the file of a page's committed outputs."""
    return docs_dir / FOLDER / PurePosixPath(page.path).with_suffix(".ipynb")


def is_current(page: Page, docs_dir: Path) -> bool:
    """Return whether the committed outputs belong to the code of a page."""
    path = outputs_path(page, docs_dir)
    return path.is_file() and _read(path).metadata.get("code_sha256") == page.code_sha256


def read_outputs(page: Page, docs_dir: Path) -> ExecutedPage:
    """Return the committed outputs of a page; outputs of other code raise a `PageError`."""
    if not is_current(page, docs_dir):
        raise PageError(f"docs/{FOLDER} has no outputs of this code; {COMMAND}", page=page.path)
    cells = _read(outputs_path(page, docs_dir)).cells
    return ExecutedPage(page, {int(cell.id.removeprefix("fence")): cell.outputs for cell in cells})


def write_outputs(executed: ExecutedPage, docs_dir: Path) -> Path:
    """Write the outputs of a page with the checksum of its code."""
    page = executed.page
    cells = [make_cell(fence, executed.outputs[fence.number]) for fence in page.executed]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={**METADATA, "code_sha256": page.code_sha256})
    path = outputs_path(page, docs_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def problems(docs_dir: Path) -> list[str]:
    """Return what is wrong with the committed outputs: other code, or a page that does not use them."""
    pages = [page for page in read_pages(docs_dir) if page.is_committed]
    messages = [
        f"{page.path}: the outputs are of other code; {COMMAND}" for page in pages if not is_current(page, docs_dir)
    ]
    expected = {outputs_path(page, docs_dir) for page in pages}
    for path in sorted((docs_dir / FOLDER).rglob("*.ipynb")):
        if path not in expected:
            messages.append(f"{path.relative_to(docs_dir)}: no page uses these outputs; remove the file")
    return messages


def read_pages(docs_dir: Path) -> list[Page]:
    """Return the pages of the documentation that have Python fences, in the order of their paths."""
    paths = sorted(docs_dir.rglob("*.md"))
    pages = [parse_page(path.read_text(encoding="utf-8"), path.relative_to(docs_dir).as_posix()) for path in paths]
    return [page for page in pages if page.executed]


def _read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)
