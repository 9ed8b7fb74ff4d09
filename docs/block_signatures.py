"""Extension of griffe, which reads the code for the API reference: the signatures of blocks.

griffe does not run the code, so it does not see the constructor that the class of `Block` adds to every block.
"""

import ast
import importlib
import inspect

import griffe

from deepkit import Block

ANNOTATIONS = {
    "fields.Body": "Block | Layer | list",
    "fields.OptionalBody": "Block | Layer | list | None",
    "fields.NamedBodies": "Mapping[str, Block | Layer | list]",
    "fields.KerasArguments": "Mapping[str, Any]",
    "fields.Size": "int | tuple[int, ...]",
    "fields.Size | None": "int | tuple[int, ...] | None",
    "fields.Integers": "Sequence[int]",
    "fields.Activation": "str | Callable | Block | Layer | None",
    "fields.ActivationName": "str | Callable | None",
    "fields.NameOrLayer": "str | Block | Layer | None",
}


class BlockSignatures(griffe.Extension):
    """Adds the constructor of every block."""

    def on_package(self, *, pkg, **kwargs):
        """Add the constructors when griffe has read the package."""
        for module in modules(pkg):
            for item in module.classes.values():
                if item.is_alias or "__init__" in item.members:
                    continue
                block = getattr(importlib.import_module(module.path), item.name, None)
                if isinstance(block, type) and issubclass(block, Block):
                    item.set_member("__init__", constructor(item, inspect.signature(block)))


def modules(module):
    """Yield a package and all modules in it."""
    yield module
    for child in module.modules.values():
        if not child.is_alias:
            yield from modules(child)


def constructor(item, signature):
    """Return the `__init__` of a block class as griffe describes functions."""
    self = griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)
    parameters = [self]
    for argument in signature.parameters.values():
        parameters.append(
            griffe.Parameter(
                argument.name,
                annotation=accepted_type(argument.annotation),
                kind=griffe.ParameterKind[argument.kind.name.lower()],
                default=None if argument.default is inspect.Parameter.empty else repr(argument.default),
            )
        )
    return griffe.Function("__init__", parent=item, parameters=griffe.Parameters(*parameters), returns="None")


def accepted_type(annotation):
    """Return the type that an argument accepts, for the annotation of a field: `A` for `fields.Field[A, B]`."""
    expression = ast.parse(annotation, mode="eval").body
    if isinstance(expression, ast.Subscript) and ast.unparse(expression.value) == "fields.Field":
        return ast.unparse(expression.slice.elts[0])
    return ANNOTATIONS.get(annotation, annotation)
