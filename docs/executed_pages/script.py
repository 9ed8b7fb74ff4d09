"""A page with an argument as a script: its code, with the argument as an option of the command line."""

from __future__ import annotations

import ast
import json
import re
import textwrap
from pathlib import PurePosixPath

from .errors import PageError
from .source import Fence, Page

TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
HEADER = '''\
"""{title}

The code of the page as a script. It prints results and shows no figures; write one with `dk.visualize.save`.

    python {name} {example}
"""

import argparse

parser = argparse.ArgumentParser(description={title!r})
'''
OPTION = """\
parser.add_argument("--{option}", default={default}, help="for example {example}", dest="{variable}")
{variable} = parser.parse_args().{variable}
"""


def has_script(page: Page) -> bool:
    """Return whether a page has an argument, and with it a script."""
    return any(fence.argument for fence in page.executed)


def make_script(page: Page) -> str:
    """Return the code of a page with one argument as a script."""
    fence, *others = (fence for fence in page.executed if fence.argument)
    if others:
        problem = "expected one argument on a page, received another one"
        raise PageError(problem, page=page.path, fence=others[0].number, line=others[0].line)
    title = next(match[1] for part in page.parts if (match := TITLE.search(getattr(part, "text", ""))))
    name = f"{PurePosixPath(page.path).stem}.py"
    header = HEADER.format(title=title.rstrip("."), name=name, example="--{} {}".format(*fence.argument))
    return "\n\n".join([header + _option(fence, page), *(_code(part) for part in page.executed if part is not fence)])


def _option(fence: Fence, page: Page) -> str:
    """Return the code that reads the variable of an argument from the command line."""
    statements = ast.parse(fence.code).body
    match statements:
        case [ast.Assign(targets=[ast.Name(id=variable)], value=ast.Constant(value=str(default)))]:
            option, example = fence.argument
            return OPTION.format(option=option, default=json.dumps(default), example=example, variable=variable)
    problem = f"expected one assignment of a text for the argument, received {fence.code!r}"
    raise PageError(problem, page=page.path, fence=fence.number, line=fence.line)


def _code(fence: Fence) -> str:
    """Return the code of a fence; an exception that it raises is printed, and a command is a comment."""
    if fence.is_command:
        return f"# {fence.code.removeprefix('!')}"
    if fence.raises:
        return f"try:\n{textwrap.indent(fence.code, '    ')}except {fence.raises} as error:\n    print(error)\n"
    return fence.code
