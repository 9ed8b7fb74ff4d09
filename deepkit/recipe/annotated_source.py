"""The source of a recipe's network beside its notes: docstrings and comments next to the code that they explain."""

from __future__ import annotations

import ast
import inspect
import io
import re
import textwrap
import tokenize
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeAlias

Statement: TypeAlias = ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign

_NOT_SHOWN = ("config", "settings")  # classes of settings, which the page lists in a table
_MAX_CONSTANT_LINES = 10
_SECTION = re.compile(r"^(?:Args|Returns|Raises|Examples|Reference|>>> .*):?$", re.MULTILINE)


@dataclass(frozen=True)
class Passage:
    """Lines of code and the note that explains them.

    Args:
        note: Text of a docstring or a comment, in Markdown; empty if the code has none.
        code: The lines of code.
    """

    note: str
    code: str


def annotated_source(function: Callable[..., Any]) -> list[Passage]:
    """Return the source of a function and of the names that it uses of its module, in the order of the module.

    A docstring is the note of its function or class, and a comment on lines of its own that of the lines below it.

    Args:
        function: A function or a class of a recipe, such as the function that returns its network.

    Examples:
        >>> from recipes.basics import xor
        >>> [
        ...     passage.code.partition("(")[0]
        ...     for passage in annotated_source(xor.definition)
        ... ]
        ['def network', 'def definition']
    """
    module: Any = inspect.getmodule(function)
    source = inspect.getsource(module)
    statements = _statements(ast.parse(source))
    used = _used(function.__name__, statements)
    passages: list[Passage] = []
    for imported in _imported(used, statements, module):
        passages += annotated_source(imported)
    lines, comments = source.splitlines(), _comments(source)
    for statement in used:
        passages += _passages(statement, lines, comments)
    return list(dict.fromkeys(passages))  # two imported functions may use the same constant


def _comments(source: str) -> dict[int, str]:
    """Return the comments on lines of their own, by line counted from 0."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0] - 1: token.string.lstrip("# ")
        for token in tokens
        if token.type == tokenize.COMMENT and token.line.lstrip().startswith("#")
    }


def _imported(
    used: Sequence[Statement], statements: Mapping[str, Statement], module: ModuleType
) -> list[Callable[..., object]]:
    """Return the functions that statements use from other modules of the same package."""
    names = [node.id for statement in used for node in ast.walk(statement) if isinstance(node, ast.Name)]
    functions = [vars(module).get(name) for name in dict.fromkeys(names) if name not in statements]
    package = module.__name__.partition(".")[0]
    return [item for item in functions if inspect.isfunction(item) and item.__module__.partition(".")[0] == package]


def _statements(tree: ast.Module) -> dict[str, Statement]:
    """Return the functions, classes and constants of a module by name, in their order."""
    statements: dict[str, Statement] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            statements[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            statements |= {target.id: node for target in targets if isinstance(target, ast.Name)}
    return statements


def _used(name: str, statements: Mapping[str, Statement]) -> list[Statement]:
    """Return a statement and those that it uses, directly or not, in the order of the module."""
    pending, names = [name], set[str]()
    while pending:
        current = pending.pop()
        if current in names or current not in statements or current.lower() in _NOT_SHOWN:
            continue
        names.add(current)
        pending += [node.id for node in ast.walk(statements[current]) if isinstance(node, ast.Name)]
    used = {statements[item].lineno: statements[item] for item in names}
    return [used[line] for line in sorted(used) if not _is_long_constant(used[line])]


def _is_long_constant(statement: Statement) -> bool:
    """Return whether a statement is data rather than code, such as drawings in a text."""
    is_constant = isinstance(statement, ast.Assign | ast.AnnAssign)
    return is_constant and (statement.end_lineno or 0) - statement.lineno >= _MAX_CONSTANT_LINES


def _body_start(statement: Statement) -> int:
    """Return the first line of a statement after its docstring, counted from 0."""
    if not isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return statement.lineno - 1
    body = statement.body[1:] if ast.get_docstring(statement) is not None else statement.body
    return (body[0] if body else statement).lineno - 1


def _passages(statement: Statement, lines: Sequence[str], comments: Mapping[int, str]) -> Iterator[Passage]:
    """Yield the passages of a statement: a new one begins at each comment on lines of its own.

    A comment inside a loop or another nested block stays in the code, which would be incomplete if it were divided
    there.
    """
    decorators = statement.decorator_list if isinstance(statement, ast.FunctionDef | ast.ClassDef) else []
    start = min([statement.lineno, *(decorator.lineno for decorator in decorators)]) - 1
    first = start
    while first - 1 in comments:
        first -= 1
    text, docstring = _docstring(statement)
    notes = [comments[number] for number in range(first, start)]
    paragraphs = [" ".join(notes)] * bool(notes) + [text] * bool(text)
    code: list[str] = []
    comment: list[str] = []
    body_start = _body_start(statement)
    indentation = _indentation(lines[body_start])
    for number in range(start, statement.end_lineno or start + 1):
        if number in docstring:
            continue
        if number in comments and _indentation(lines[number]) <= indentation:
            if code and number > body_start:  # the first line of a function alone is not code
                yield Passage("\n\n".join(paragraphs), _dedented(code))
                paragraphs, code = [], []
            comment.append(comments[number])
            continue
        if comment:
            paragraphs.append(" ".join(comment))
            comment = []
        code.append(lines[number])
    yield Passage("\n\n".join(paragraphs), _dedented(code))


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def _docstring(statement: Statement) -> tuple[str, range]:
    """Return the text before the sections of a docstring, and the lines of the docstring; empty without one."""
    text = ast.get_docstring(statement) if isinstance(statement, ast.FunctionDef | ast.ClassDef) else None
    if not text or not isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return "", range(0)
    node = statement.body[0]
    return _SECTION.split(text)[0].strip(), range(node.lineno - 1, node.end_lineno or node.lineno)


def _dedented(code: list[str]) -> str:
    text = re.sub(r"(:\n)\n+", r"\1", textwrap.dedent("\n".join(code)))  # a docstring was above the empty line
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n")
