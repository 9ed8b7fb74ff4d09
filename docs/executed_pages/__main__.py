"""Update the committed outputs: `python -m docs.executed_pages [PAGE...]`, without a page all that are out of date."""

from __future__ import annotations

import sys
from pathlib import Path

from .committed import is_current, read_pages, write_outputs
from .errors import PageError
from .rendered import render_page
from .workers import execute_pages

DOCS_DIR = Path(__file__).parents[1]


def main(paths: list[str]) -> int:
    """Execute pages with committed outputs and write the outputs."""
    committed = {page.path: page for page in read_pages(DOCS_DIR) if page.is_committed}
    if unknown := [path for path in paths if path not in committed]:
        print(f"expected pages with <!-- outputs: committed -->, {sorted(committed)}, received {unknown[0]!r}")
        return 1
    pages = [committed[path] for path in paths] or [
        page for page in committed.values() if not is_current(page, DOCS_DIR)
    ]
    failed = 0
    for result in execute_pages(pages, share_kernels=False).values():
        try:
            if isinstance(result, PageError):
                raise result
            render_page(result)  # raises an error for outputs that the page cannot show
            print(f"{write_outputs(result, DOCS_DIR)}: {result.cpu_seconds:.0f} CPU-seconds")
        except PageError as error:
            failed += 1
            print(error, file=sys.stderr)
    print(f"{len(pages) - failed} of {len(committed)} pages with committed outputs written")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
