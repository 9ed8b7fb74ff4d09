"""The outputs of a fence, as a page shows them: text, figures and HTML."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import nbformat

from .errors import PageError
from .source import Fence, Page
from .terminal_text import shorten, shown_text, without_durations, without_startup_messages

FIGURES = {"image/svg+xml": "svg", "image/png": "png", "image/jpeg": "jpg"}
ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,}")
RICH = '<pre style="white-space:pre;overflow-x:auto;line-height:normal;'
FAILED = "The display failed"  # of deepkit.utils.display
PLACEHOLDER = re.compile(r"<Figure size .*Axes>")


@dataclass(frozen=True)
class ShownText:
    """Text that was printed, or the repr of the last expression."""

    text: str


@dataclass(frozen=True)
class ShownFigure:
    """A figure: the bytes of its file, the suffix of the file, and its alternative text."""

    content: bytes
    suffix: str
    alt_text: str


@dataclass(frozen=True)
class ShownHtml:
    """The HTML of an object."""

    html: str


Shown = ShownText | ShownFigure | ShownHtml


def make_cell(fence: Fence, outputs: list[Any] | None = None) -> Any:
    """Return the cell of a fence; a notebook continues after the exception that a fence is expected to raise."""
    cell = nbformat.v4.new_code_cell(fence.code.rstrip("\n"), id=f"fence{fence.number}", outputs=outputs or [])
    if fence.raises:
        cell.metadata["tags"] = ["raises-exception"]
    return cell


def tidy(outputs: list[Any]) -> list[Any]:
    """Return the outputs of a cell with the text that a terminal would show, consecutive texts as one output.

    An exception has its class and message without the traceback, which names files of the machine.
    """
    merged: list[Any] = []
    for output in map(_without_rich, outputs):
        is_stream = output["output_type"] == "stream"
        if is_stream and merged and merged[-1].get("name") == output["name"]:
            merged[-1]["text"] += output["text"]
        else:
            merged.append(output.copy())
    for output in merged:
        if output["output_type"] == "stream":
            output["text"] = without_startup_messages(without_durations(shown_text(output["text"]))) + "\n"
        elif output["output_type"] == "error":
            output["traceback"] = [_error_text(output)]
    return [output for output in merged if output.get("text") != "\n"]


def _without_rich(output: Any) -> Any:
    """Return text that the package rich displays as HTML as printed text."""
    data = output.get("data", {})
    if data.get("text/html", "").startswith(RICH):
        return nbformat.v4.new_output("stream", name="stdout", text=data["text/plain"])
    return output


def _error_text(output: Any) -> str:
    """Return the last lines of a traceback: the class of the exception and its message."""
    return shown_text(f"{output['ename']}: {output['evalue']}").removesuffix(":")


def shown_outputs(fence: Fence, outputs: list[Any], page: Page) -> list[Shown]:
    """Return what a page shows after a fence, from its tidied outputs.

    An exception that the fence does not expect and a figure without alternative text raise a `PageError`, and so does
    text that would differ from run to run.
    """
    _check_exception(fence, outputs, page)
    shown: list[Shown] = []
    alt_texts = iter(fence.alt_texts)
    for output in outputs:
        if output.output_type == "stream" and output.name == "stderr":
            raise _error(f"the code writes to standard error:\n{_indented(output.text.rstrip())}", fence, page)
        item = _show(output, alt_texts, fence, page)
        if isinstance(item, ShownText) and shown and isinstance(shown[-1], ShownText):
            shown[-1] = ShownText(f"{shown[-1].text}\n{item.text}".strip("\n"))
        else:
            shown.append(item)
    if unused := list(alt_texts):
        raise _error(f"received an alternative text without a figure: '{unused[0]}'", fence, page)
    shown = [ShownText(shorten(item.text, fence.lines)) if isinstance(item, ShownText) else item for item in shown]
    return [item for item in shown if item != ShownText("")]


def _check_exception(fence: Fence, outputs: list[Any], page: Page) -> None:
    """Raise an error unless the fence raised the exception that it expects."""
    names = [output.ename for output in outputs if output.output_type == "error"]
    if names != ([fence.raises] if fence.raises else []):
        expected, received = fence.raises or "no exception", names[0] if names else "none"
        raise _error(f"expected {expected}, received {received}", fence, page)


def _show(output: Any, alt_texts: Iterator[str], fence: Fence, page: Page) -> Shown:
    """Return one output in the richest form, in the order of Jupyter."""
    if output.output_type == "stream":
        return ShownText(output.text.rstrip("\n"))
    if output.output_type == "error":
        return ShownText("\n".join(output.traceback))
    data = output.data
    if "text/html" in data:
        if FAILED in data["text/html"]:
            raise _error(f"the display of an object failed: {data.get('text/plain')}", fence, page)
        return ShownHtml(data["text/html"])
    for mime_type, suffix in FIGURES.items():
        if mime_type in data:
            alt_text = next(alt_texts, None)
            if alt_text is None:
                raise _error("a figure has no alternative text; add <!-- alt: TEXT --> before the fence", fence, page)
            content = data[mime_type]
            return ShownFigure(content.encode() if suffix == "svg" else base64.b64decode(content), suffix, alt_text)
    text = shown_text(data.get("text/plain", ""))
    if ADDRESS.search(text) or PLACEHOLDER.search(text):
        raise _error(f"the output shows the repr of an object, '{text[:80]}'; assign or print it", fence, page)
    return ShownText(text)


def _error(message: str, fence: Fence, page: Page) -> PageError:
    return PageError(message, page=page.path, fence=fence.number, line=fence.line)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.split("\n"))
