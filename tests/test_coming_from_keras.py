"""The two columns of the page "Coming from Keras": each is a complete program, and both print the same."""

import contextlib
import io
import re
import warnings
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "coming_from_keras.md"
TOKEN = re.compile(r'<div class="(keras|deepkit)" markdown>|^```python\n(.*?)^```', re.MULTILINE | re.DOTALL)
NUM_TASKS = 10


def programs():
    """Return the cells of both programs; code outside the columns belongs to both."""
    cells = {"keras": [], "deepkit": []}
    column = None
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE):
        column = None
        for match in TOKEN.finditer(section):
            column = match[1] or column
            if match[2]:
                for name in [column] if column else cells:
                    cells[name].append((column is not None, match[2]))
    return cells


def run(cells):
    """Run a program and return what each of its own cells prints, and the names that they define."""
    namespace, common, printed = {}, set(), []
    for is_own, code in cells:
        before = set(namespace)
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(code, str(PAGE), "exec"), namespace)
        if is_own:
            printed.append(output.getvalue())
        else:
            common |= set(namespace) - before
    return printed, set(namespace) - common


def test_each_task_has_code_in_both_columns_that_fits_them():
    for cells in programs().values():
        of_column = [code for is_own, code in cells if is_own]
        assert len(of_column) == NUM_TASKS
        assert all(code.splitlines()[-1].startswith(("print(", ")")) for code in of_column)
        assert max(len(line) for code in of_column for line in code.splitlines()) <= 54


@pytest.mark.slow
def test_both_programs_run_and_print_the_same(tmp_path, monkeypatch):
    results = {}
    for name, cells in programs().items():
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Keras about its own programs
            results[name] = run(cells)
    assert results["keras"][0] == results["deepkit"][0]
    assert not results["keras"][1] & results["deepkit"][1], "the page runs both programs in one namespace"
