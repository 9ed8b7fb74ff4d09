"""Two kernel processes that execute the pages: short pages share a process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from .errors import PageError
from .kernel import ExecutedPage, PageKernel
from .source import Page

NUM_WORKERS = 2
Results = dict[str, ExecutedPage | PageError]
cache: dict[tuple[str, str], ExecutedPage] = {}  # by page and checksum of its code; `mkdocs serve` loads hooks again


def execute_pages(
    pages: Iterable[Page],
    *,
    num_workers: int = NUM_WORKERS,
    make_kernel: Callable[[], PageKernel] = PageKernel,
    share_kernels: bool = True,
) -> Results:
    """Execute pages and return the outputs, or the error, of each page by its path.

    Args:
        pages: The pages to execute.
        num_workers: Number of kernel processes at a time.
        make_kernel: Creates a worker's kernel.
        share_kernels: Whether pages share a process; otherwise each page starts a process.
    """
    return asyncio.run(_execute_pages(list(pages), num_workers, make_kernel, share_kernels))


async def _execute_pages(
    pages: list[Page], num_workers: int, make_kernel: Callable[[], PageKernel], share_kernels: bool
) -> Results:
    # pages with much code first, so that the workers end at about the same time
    queue = sorted(pages, key=lambda page: sum(len(fence.code) for fence in page.executed))
    results: Results = {}

    async def work() -> None:
        kernel = make_kernel()
        try:
            while queue:
                page = queue.pop()
                try:
                    results[page.path] = await kernel.execute(page)
                except PageError as error:
                    results[page.path] = error
                if not share_kernels:
                    await kernel.stop()
        finally:
            await kernel.stop()

    await asyncio.gather(*(work() for _ in range(min(num_workers, len(pages)))))
    return results
