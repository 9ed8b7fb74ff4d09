"""One kernel process that executes pages one after the other."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client import AsyncKernelClient, AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from .cell_outputs import make_cell, tidy
from .errors import PageError
from .source import Fence, Page
from .terminal_text import shown_text

ROOT = Path(__file__).parents[2]
MODULE = f"{__package__}.kernel_state"
ENVIRONMENT = {
    "COLUMNS": "80",
    "CUDA_VISIBLE_DEVICES": "",  # the outputs do not depend on the machine
    "OMP_NUM_THREADS": "1",  # two kernels share two cores
    "PYTHONHASHSEED": "0",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_NUM_INTRAOP_THREADS": "1",
}
SECONDS_PER_FENCE = 600


@dataclass(frozen=True)
class ExecutedPage:
    """The outputs of a page.

    Args:
        page: The page.
        outputs: Outputs of each executed fence by its number, in the format of notebooks.
        cpu_seconds: CPU-seconds of the kernel for the page.
    """

    page: Page
    outputs: dict[int, list[Any]]
    cpu_seconds: float = 0.0


class PageKernel:
    """A kernel process; each page has a fresh namespace, working directory and random state.

    Messages that C++ code writes to the process's standard error, such as TensorFlow's start-up lines, go to a file and
    not to the pages.

    Args:
        preload: Modules that the kernel imports before the first page.
    """

    def __init__(self, preload: tuple[str, ...] = ("keras",)) -> None:
        self.preload = preload
        self.manager: AsyncKernelManager | None = None
        self.client: AsyncKernelClient | None = None

    async def execute(self, page: Page) -> ExecutedPage:
        """Execute the fences of a page; an exception raises a `PageError` with its traceback."""
        with tempfile.TemporaryDirectory(prefix="page-") as directory:
            if self.client is None:
                await self._start()
            try:
                await self._call(f"begin_page({directory!r}, {self.preload!r})")
                outputs = {fence.number: await self._execute_fence(fence, page) for fence in page.executed}
                seconds = float(await self._call("page_seconds()"))
            except PageError:
                await self.stop()  # the next page starts in a fresh process
                raise
        return ExecutedPage(page, outputs, seconds)

    async def _start(self) -> None:
        """Start the kernel of this Python, without the user's kernels, profile and history."""
        self.profile = tempfile.TemporaryDirectory(prefix="ipython-")
        self.log = Path(self.profile.name, "kernel.log")
        self.manager = AsyncKernelManager(kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
        paths = {
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        }
        with self.log.open("wb") as log:
            await self.manager.start_kernel(
                extra_arguments=["--HistoryManager.enabled=False", "--IPKernelApp.capture_fd_output=False"],
                env={**os.environ, **ENVIRONMENT, **paths, "IPYTHONDIR": self.profile.name},
                stdout=log,
                stderr=log,
            )
        self.client = self.manager.client()
        self.client.start_channels()
        await self.client.wait_for_ready(timeout=120)

    async def stop(self) -> None:
        """End the process; the next page starts another one."""
        if self.client is not None and self.manager is not None:
            self.client.stop_channels()
            await self.manager.shutdown_kernel(now=True)
            self.profile.cleanup()
        self.client = self.manager = None

    async def _call(self, call: str) -> str:
        """Call a function of `kernel_state` in the kernel, without a trace in the page's namespace."""
        expression = f"__import__({MODULE!r}, fromlist=['*']).{call}"
        assert self.client is not None
        reply = await self.client.execute_interactive(
            "", user_expressions={"value": expression}, store_history=False, output_hook=lambda message: None
        )
        value = reply["content"]["user_expressions"]["value"]
        if value["status"] != "ok":
            raise RuntimeError(shown_text("\n".join(value["traceback"])))
        return value["data"]["text/plain"]

    async def _execute_fence(self, fence: Fence, page: Page) -> list[Any]:
        """Return the outputs of a fence."""
        cell = make_cell(fence)
        notebook = nbformat.v4.new_notebook(cells=[cell])
        executor = NotebookClient(notebook, km=self.manager, timeout=SECONDS_PER_FENCE, record_timing=False)
        executor.kc = self.client
        try:
            await executor.async_execute_cell(cell, 0)
        except CellExecutionError as error:
            raise PageError(_traceback(cell, error), page=page.path, fence=fence.number, line=fence.line) from error
        except (CellTimeoutError, DeadKernelError) as error:
            message = f"{error}\n{self.log.read_text(errors='replace')[-2000:]}".rstrip()
            raise PageError(message, page=page.path, fence=fence.number, line=fence.line) from error
        if fence.is_command and not fence.may_fail:
            await self._check_exit_code(cell, fence, page)
        return tidy(cell.outputs)

    async def _check_exit_code(self, cell: Any, fence: Fence, page: Page) -> None:
        """Raise an error with the output of a command that failed."""
        if code := int(await self._call("exit_code()")):
            text = shown_text("".join(output.get("text", "") for output in cell.outputs))
            message = f"the command has the exit code {code}\n" + re.sub(r"^", "    ", text, flags=re.MULTILINE)
            raise PageError(message, page=page.path, fence=fence.number, line=fence.line)


def _traceback(cell: Any, error: CellExecutionError) -> str:
    """Return the traceback of the exception that a cell raised."""
    for output in cell.outputs:
        if output.output_type == "error":
            text = shown_text("\n".join(output.traceback))
            return f"the code raises {output.ename}\n" + re.sub(r"^", "    ", text, flags=re.MULTILINE)
    return str(error)
