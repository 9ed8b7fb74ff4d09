"""Print the share of annotations that mypy resolves to `Any`, by package; fail above a limit.

The annotations of parameters, return values and variables are counted. An annotation is `Any` if it is written so, or
if its type is imported from a package without types. Types that only contain `Any`, such as `dict[str, Any]`, are
counted separately.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mypy import build
from mypy.config_parser import parse_config_file
from mypy.modulefinder import BuildSource
from mypy.nodes import AssignmentStmt, Block, ClassDef, Decorator, FuncDef, IfStmt, OverloadedFuncDef, Statement
from mypy.options import Options
from mypy.types import AnyType, CallableType, Type, get_proper_type


def statements(body: list[Statement]) -> Iterator[Statement]:
    """Yield the statements of a body, and those of the classes, functions and branches in it."""
    for statement in body:
        yield statement
        if isinstance(statement, Decorator):
            yield from statements([statement.func])
        elif isinstance(statement, OverloadedFuncDef):
            yield from statements(list(statement.items))
        elif isinstance(statement, FuncDef):
            yield from statements(statement.body.body)
        elif isinstance(statement, ClassDef):
            yield from statements(statement.defs.body)
        elif isinstance(statement, IfStmt):
            for branch in (*statement.body, statement.else_body):
                yield from statements(branch.body if isinstance(branch, Block) else [])


def annotations(statement: Statement) -> Iterator[Type]:
    """Yield the resolved types of a statement's annotations."""
    if isinstance(statement, FuncDef) and isinstance(statement.type, CallableType):
        types = zip(statement.arguments, statement.type.arg_types, strict=True)
        yield from (resolved for argument, resolved in types if argument.type_annotation is not None)
        yield statement.type.ret_type
    elif isinstance(statement, AssignmentStmt) and statement.unanalyzed_type is not None and statement.type:
        yield statement.type


def module_name(path: Path) -> str:
    """Return the dotted name of a module's file."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def row(name: str, total: int, num_any: int, num_containing: int) -> str:
    """Return the line of one package."""
    shares = f"{100 * num_any / total:6.1f} % Any {100 * num_containing / total:6.1f} % contain Any"
    return f"{name:24} {total:6,} annotations {shares}"


def main() -> int:
    """Print the shares, and return 1 if the total share is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packages", nargs="+")
    parser.add_argument("--limit", type=float, default=100.0, help="largest allowed share in percent")
    parser.add_argument("--list", action="store_true", help="print the line of each annotation that is Any")
    args = parser.parse_args()

    options = Options()
    parse_config_file(options, lambda: None, "pyproject.toml", sys.stdout, sys.stderr)
    options.incremental, options.preserve_asts = False, True
    paths = {module_name(path): path for package in args.packages for path in sorted(Path(package).rglob("*.py"))}
    result = build.build([BuildSource(str(path), name, None) for name, path in paths.items()], options)

    total: Counter[str] = Counter()
    num_any: Counter[str] = Counter()
    num_containing: Counter[str] = Counter()
    for name, path in paths.items():
        group = ".".join(name.split(".")[:2])
        for statement in statements(result.files[name].defs):
            for annotation in annotations(statement):
                total[group] += 1
                if isinstance(get_proper_type(annotation), AnyType):
                    num_any[group] += 1
                    if args.list:
                        print(f"{path}:{statement.line}")
                elif "Any" in str(annotation):
                    num_containing[group] += 1

    for group in sorted(total):
        print(row(group, total[group], num_any[group], num_containing[group]))
    print(row("all", total.total(), num_any.total(), num_containing.total()))
    return int(100 * num_any.total() / total.total() > args.limit)


if __name__ == "__main__":
    sys.exit(main())
