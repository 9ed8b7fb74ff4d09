"""The source of a page: Markdown split into text and fences to execute, with the comments that control them.

Comments directly before a fence:

- `<!-- alt: TEXT -->` is the alternative text of a figure, once for each figure in their order.
- `<!-- not executed: REASON -->` shows the code without running it.
- `<!-- raises: NAME -->` expects an exception of that class, and shows its message.
- `<!-- argument: --NAME VALUE -->`: the page's script has an option `--NAME` for the text that the fence assigns to a
  variable; VALUE is an example of another one.
- `<!-- output: last N lines -->` or `<!-- output: first M and last N lines -->` shortens a long output.

A `console` fence with one command is executed after the comment `<!-- executed -->`, or `<!-- executed: may fail -->`
if its exit code may differ from 0.

`<!-- outputs: committed -->` anywhere on a page shows the outputs of docs/outputs instead of executing the page.
"""

from __future__ import annotations

import hashlib
import re
import textwrap
from dataclasses import dataclass, field, replace

from .errors import PageError

FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,}|~{3,})(?P<info>[^`]*)$")
COMMENT = re.compile(r"<!--(.*?)-->", re.DOTALL)
COMMENTS_AT_END = re.compile(r"(?:[ \t]*<!--(?:(?!-->).)*-->\s*)+\Z", re.DOTALL)
COMMITTED = re.compile(r"<!--\s*outputs:\s*committed\s*-->")
DIRECTIVE = re.compile(r"(alt|not executed|executed|output|raises|argument)\b\s*:?\s*(.*)")
LINES = re.compile(r"(?:first (\d+) and )?last (\d+) lines?")
ARGUMENT = re.compile(r"--([a-z][a-z-]*) (\S+)")
COMMAND = re.compile(r"\$ (.+)\n")
OTHER_NAMES = ("py", "python3", "ipython", "pycon")


@dataclass(frozen=True)
class Text:
    """A part of a page without fences to execute."""

    text: str


@dataclass(frozen=True)
class Fence:
    """A Python fence of a page, or a console fence with the command to execute.

    Args:
        number: Number of the fence on the page, from 1.
        line: Line of its first backticks in the page, from 1.
        indent: Indentation of the fence, for example in a content tab.
        block: The fence as it is written, without its indentation.
        code: The code inside, without its indentation; for a console fence the code of a notebook cell.
        is_executed: Whether the code is executed.
        alt_texts: Alternative texts of its figures.
        lines: Numbers of first and last lines that the output shows; None for all.
        raises: Name of the exception that the code raises; None if it raises none.
        is_command: Whether this is a console fence.
        may_fail: Whether the exit code of the command may differ from 0.
        argument: Option of the page's script and an example of its value; None if the fence is not an argument.
    """

    number: int
    line: int
    indent: str
    block: str
    code: str
    is_executed: bool = True
    alt_texts: tuple[str, ...] = ()
    lines: tuple[int, int] | None = None
    raises: str | None = None
    is_command: bool = False
    may_fail: bool = False
    argument: tuple[str, str] | None = None


@dataclass(frozen=True)
class Page:
    """A page in parts.

    Args:
        path: Path of the page, relative to the folder of the documentation.
        parts: Texts and fences in their order.
        is_committed: Whether the page shows the outputs of docs/outputs.
    """

    path: str
    parts: tuple[Text | Fence, ...]
    is_committed: bool = False
    executed: tuple[Fence, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Collect the fences to execute."""
        fences = tuple(part for part in self.parts if isinstance(part, Fence) and part.is_executed)
        object.__setattr__(self, "executed", fences)

    @property
    def code_sha256(self) -> str:
        """The checksum of all executed code."""
        return hashlib.sha256("\0".join(fence.code for fence in self.executed).encode()).hexdigest()


def parse_page(markdown: str, path: str) -> Page:
    """Split the Markdown of a page."""
    lines = COMMITTED.sub("", markdown).splitlines(keepends=True)
    parts: list[Text | Fence] = []
    text_start, position, number = 0, 0, 0
    while position < len(lines):
        opening = FENCE.match(lines[position].rstrip())
        if opening is None:
            position += 1
            continue
        start, position = position, _end_of_fence(lines, position, opening)
        is_python = _is_python(opening["info"], path, start + 1)
        text, comments = _split_comments("".join(lines[text_start:start]))
        if is_python or (opening["info"].strip() == "console" and any(map(_is_executed, comments))):
            number += 1
            parts.append(_check_text(text, path, text_start + 1))
            fence = _make_fence(number, start + 1, lines[start:position], opening["indent"], comments, path)
            parts.append(fence if is_python else _make_command(fence, path))
            text_start = position
    parts.append(_check_text("".join(lines[text_start:]), path, text_start + 1))
    return Page(path, tuple(parts), is_committed=COMMITTED.search(markdown) is not None)


def _end_of_fence(lines: list[str], start: int, opening: re.Match[str]) -> int:
    """Return the position after the closing backticks."""
    closing = re.compile(rf"^ *{opening['ticks'][0]}{{{len(opening['ticks'])},}}$")
    for position in range(start + 1, len(lines)):
        if closing.match(lines[position].rstrip()):
            return position + 1
    return len(lines)


def _is_python(info: str, path: str, line: int) -> bool:
    """Return whether a fence holds Python code; raise an error for another name of the language."""
    language = info.strip().removeprefix("{").strip().removeprefix(".").split(" ")[0].rstrip("}")
    if language in OTHER_NAMES:
        raise PageError(
            f"received a fence of '{language}', expected 'python'; to show code without running it, "
            "write <!-- not executed: REASON --> before the fence",
            page=path, line=line,
        )  # fmt: skip
    return language == "python"


def _split_comments(text: str) -> tuple[str, list[str]]:
    """Split the text before a fence into the text and the comments at its end that control the fence."""
    match = COMMENTS_AT_END.search(text)
    if match is None:
        return text, []
    contents = [" ".join(comment.split()) for comment in COMMENT.findall(match[0])]
    others = "".join(f"{comment[0]}\n\n" for comment in COMMENT.finditer(match[0]) if not _directive(comment[1]))
    return text[: match.start()] + others, [content for content in contents if _directive(content)]


def _is_executed(comment: str) -> bool:
    """Return whether a comment asks to execute a console fence."""
    return comment.startswith("executed")


def _directive(comment: str) -> re.Match[str] | None:
    return DIRECTIVE.fullmatch(" ".join(comment.split()))


def _check_text(text: str, path: str, line: int) -> Text:
    """Return a text; raise an error if it holds a comment that would have to be before a fence to execute."""
    for comment in COMMENT.finditer(text):
        if _directive(comment[1]):
            raise PageError(
                f"received the comment '{' '.join(comment[1].split())}' without a fence after it; "
                "place it directly before a fence",
                page=path, line=line + text[: comment.start()].count("\n"),
            )  # fmt: skip
    return Text(text)


def _make_fence(number: int, line: int, lines: list[str], indent: str, comments: list[str], path: str) -> Fence:
    """Return the fence of these lines, controlled by the comments before it."""
    block = textwrap.dedent("".join(lines))
    code = "".join(block.splitlines(keepends=True)[1:-1])
    is_executed, alt_texts, lines_shown, raises, may_fail, argument = True, [], None, None, False, None
    for name, value in (match.groups() for match in map(DIRECTIVE.fullmatch, comments) if match):
        if name == "alt":
            alt_texts.append(value)
            problem = None if value else "expected the text of a figure after 'alt:'"
        elif name == "not executed":
            is_executed = False
            problem = None if value else "expected the reason after 'not executed:'"
        elif name == "raises":
            raises = value
            problem = (
                None
                if value.isidentifier()
                else f"expected the name of an exception after 'raises:', received '{value}'"
            )
        elif name == "argument":
            match = ARGUMENT.fullmatch(value)
            argument = (match[1], match[2]) if match else None
            problem = None if match else f"expected '--NAME VALUE' after 'argument:', received '{value}'"
        elif name == "executed":
            may_fail = value == "may fail"
            problem = (
                None
                if value in ("", "may fail")
                else f"expected nothing or 'may fail' after 'executed:', received '{value}'"
            )
        else:
            match = LINES.fullmatch(value)
            lines_shown = (int(match[1] or 0), int(match[2])) if match else None
            problem = (
                None
                if match
                else f"expected 'last N lines' or 'first M and last N lines' after 'output:', received '{value}'"
            )
        if problem:
            raise PageError(problem, page=path, fence=number, line=line)
    return Fence(
        number, line, indent, block, code, is_executed, tuple(alt_texts), lines_shown, raises,
        may_fail=may_fail, argument=argument,
    )  # fmt: skip


def _make_command(fence: Fence, path: str) -> Fence:
    """Return a console fence with the code of a notebook cell that executes its command."""
    match = COMMAND.fullmatch(fence.code)
    if match is None:
        problem = f"expected one line with '$ ' and a command to execute, received {fence.code!r}"
        raise PageError(problem, page=path, fence=fence.number, line=fence.line)
    return replace(fence, code=f"!{match[1]}\n", is_command=True)
