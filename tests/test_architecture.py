"""The structure of the package: imports point downward, no cycles, unique module names."""

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import deepkit

PACKAGE = Path(deepkit.__file__).parent

# the groups of docs/design.md, from the bottom; a package imports its own group and those before it
GROUPS = (
    ("utils",),
    ("definition",),
    ("layers", "losses", "attack", "serialization"),
    ("blocks", "agents", "models", "pattern"),
    ("data", "envs", "visualize", "execution"),
    ("training", "export", "search"),
    ("recipe", "cli", "testing", "teaching"),
)
LEVEL = {package: level for level, group in enumerate(GROUPS) for package in group}


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(path):
    """Return the deepkit modules that a file imports: lazily, for typing only, or at the top."""
    targets = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            targets |= {alias.name for alias in node.names if alias.name.split(".")[0] == "deepkit"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "deepkit":
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                targets.add(name if name in MODULES else node.module)
    return targets


GRAPH = {name: imports(path) for name, path in MODULES.items() if name != "deepkit"}


def test_every_import_names_a_module_that_exists():
    unknown = {(name, target) for name, targets in GRAPH.items() for target in targets if target not in MODULES}
    assert not unknown


def test_imports_point_downward():
    upward = []
    for name, targets in GRAPH.items():
        package = name.split(".")[1]
        for target in targets - {"deepkit", "deepkit._version"}:
            other = target.split(".")[1]
            if package in LEVEL and (other not in LEVEL or LEVEL[other] > LEVEL[package]):
                upward.append(f"{name} -> {target}")
    assert not upward


def test_there_is_no_import_cycle():
    """Lazy and typing-only imports count too; only the lazy `deepkit/__init__.py` is excepted."""
    seen, stack, cycles = set(), [], []

    def visit(name):
        if name in stack:
            cycles.append(" -> ".join([*stack[stack.index(name) :], name]))
            return
        if name in seen:
            return
        seen.add(name)
        stack.append(name)
        for target in sorted(GRAPH.get(name, ())):
            if target != "deepkit":
                visit(target)
        stack.pop()

    for name in GRAPH:
        visit(name)
    assert not cycles


def test_every_package_has_a_place_in_the_order():
    packages = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert packages <= set(LEVEL)


def test_module_names_are_unique():
    """Excepted are `errors`, and the pairs of a definition in `blocks` or `agents` and its model in `models`."""
    names = Counter()
    for name, path in MODULES.items():
        package, _, stem = name.rpartition(".")
        definitions = {f"deepkit.{group}.{stem}" for group in ("blocks", "agents")}
        is_model = package == "deepkit.models" and any(definition in MODULES for definition in definitions)
        if name != "deepkit" and stem != "errors" and not is_model and path.name != "__main__.py":
            names[stem] += 1
    assert {name: count for name, count in names.items() if count > 1} == {}


def test_the_top_level_has_at_most_four_modules():
    assert len(list(PACKAGE.glob("*.py"))) <= 4


def test_nothing_in_the_package_imports_the_recipes():
    for path in MODULES.values():
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "recipes" for name in names), path


def test_definitions_and_models_do_not_import_tensorflow():
    """It is imported when it is used: they can be built on another backend of Keras, without TensorFlow."""
    for name, path in MODULES.items():
        if name.split(".")[1:2] and LEVEL.get(name.split(".")[1], len(GROUPS)) < 4:
            for node in ast.parse(path.read_text()).body:
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert not any(name.split(".")[0] == "tensorflow" for name in names), path


def test_export_is_the_function_although_a_package_has_its_name():
    code = "import deepkit.export.exporter, deepkit as dk; assert callable(dk.export), dk.export"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_dir_lists_the_public_names_only():
    assert dir(deepkit) == sorted([*deepkit.__all__, "__version__"])
    modules = [name for name in deepkit.__all__ if isinstance(getattr(deepkit, name), ModuleType)]
    assert "visualize" in modules
    for name in modules:
        module = getattr(deepkit, name)
        assert dir(module) == sorted(module.__all__), name


def test_names_are_completed_before_anything_is_imported():
    code = (
        "import sys, deepkit, rlcompleter;"
        "complete = rlcompleter.Completer({'deepkit': deepkit}).complete;"
        "print('Classifier' in dir(deepkit), complete('deepkit.__ver', 0), complete('deepkit.util', 0));"
        "print({'tensorflow', 'keras'} & set(sys.modules))"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout == "True deepkit.__version__ None\nset()\n"
