"""The vocabulary of Keras users: phrases and parts of identifiers that the project does not use.

`make check` runs codespell with a dictionary of single words (.ci/vocabulary.txt).
"""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

PHRASES = {
    r"(?<![Tt]here )\bis no (?!longer\b|more\b|such\b)": "is not a ...",
    r"\bno numbers?\b(?= (is|are|at all))": "NaN, not finite",
    r"\b(put|made|set|left) aside\b": "name the temporary file, or the captured output",
    r"\bwhat (enters|comes in|goes in|comes out|is said)\b": "the input, the output, the message",
    r"\btells? (it|them|one) from\b|\btold apart\b": "distinguish",
    r"\b(said|told|shown|refused|reported|named|reason|printed) in (so many |a few )?words\b": "as text",
    r"\b[Tt]o be had\b": "available",
    r"\b(its|their) like\b": "others",
    r"\bsaid (aloud|so)\b": "printed",
    r"\b[Dd]ata sets?\b": "dataset",
    r"\b[Pp]ictures?\b": "figure, image",
    r"\bpass(es)? over the (training )?data\b": "epoch",
}
IDENTIFIER_PARTS = {
    "mend", "mends", "settle", "settled", "aloud", "aside", "asked", "barred", "begun", "takeable", "behind", "towards",
    "aim", "artefact", "artefacts", "colour", "optimiser", "initialiser", "normalise", "normalisation",
}  # fmt: skip
IDENTIFIERS = {"found", "given", "known", "kept", "said", "own", "taken", "told", "wanted"}


def tracked_files(*suffixes):
    listing = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=False)
    names = listing.stdout.splitlines() if listing.returncode == 0 else []
    paths = [ROOT / name for name in names] or [path for path in ROOT.rglob("*") if ".venv" not in path.parts]
    return [path for path in paths if path.suffix in suffixes and path.is_file() and path != Path(__file__)]


def places(pattern, paths):
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if re.search(pattern, line):
                yield f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"


@pytest.mark.parametrize("pattern", PHRASES)
def test_a_phrase_is_not_used(pattern):
    paths = [path for path in tracked_files(".py", ".md", ".yml", ".toml") if path.name != "CHANGELOG.md"]
    assert list(places(pattern, paths)) == [], f"write: {PHRASES[pattern]}"


def identifiers(path):
    """Yield the names that a file defines: functions, classes, arguments, variables and attributes."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def parts(name):
    return {part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def test_no_identifier_has_a_part_of_the_old_vocabulary():
    wrong = []
    for path in tracked_files(".py"):
        for line, name in identifiers(path):
            if parts(name) & IDENTIFIER_PARTS or name.strip("_").lower() in IDENTIFIERS:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {name}")
    assert wrong == []
