"""Pages are executed in kernels: each with its namespace, directory and random state; errors name the fence."""

import json

import nbformat
import pytest

from docs.executed_pages import committed
from docs.executed_pages.errors import PageError
from docs.executed_pages.kernel import PageKernel
from docs.executed_pages.notebook import make_notebook
from docs.executed_pages.rendered import render_page
from docs.executed_pages.source import parse_page
from docs.executed_pages.workers import execute_pages

FIRST = """\
# First

```python
import os, pathlib, random
pathlib.Path("file").write_text("x")
os.write(2, b"written by C++ code")
os.environ["VARIABLE_OF_FIRST"] = "x"
print(random.random())
```

![A dot](dot.svg), see [second](second.md) and \\(x^2\\).

<!-- not executed: needs a GPU -->

```python
raise SystemExit
```

```python
name = 1
name + 1
```

<!-- raises: KeyError -->

```python
{}[name]
```

<div class="cards" markdown>

<!-- executed -->

```console
$ python -c "print(open('file').read())"
```

</div>
"""
SECOND = """\
# Second

```python
import os, pathlib, random
print(random.random(), pathlib.Path("file").exists(), "name" in globals(), "VARIABLE_OF_FIRST" in os.environ)
```
"""
WRONG = "# Wrong\n\n```python\nx = 1\n```\n\n```python\ndef f():\n    return 1 / 0\n\nf()\n```\n"


FAILING = """# Failing

<!-- executed: may fail -->

```console
$ python -c "raise SystemExit('first')"
```

<!-- executed -->

```console
$ python -c "raise SystemExit('second')"
```
"""
MISSED = "# Missed\n\n<!-- raises: KeyError -->\n\n```python\n1 / 0\n```\n"
SOURCES = {"a": FIRST, "b": SECOND, "wrong": WRONG, "failing": FAILING, "missed": MISSED}


@pytest.fixture(scope="module")
def results():
    """Execute all pages in one kernel, which imports no framework."""
    pages = [parse_page(text, f"{name}.md") for name, text in SOURCES.items()]
    return execute_pages(pages, num_workers=1, make_kernel=lambda: PageKernel(preload=()))


def test_each_page_has_a_fresh_namespace_directory_environment_and_random_state(results):
    first = results["a.md"].outputs
    assert first[3][0].data["text/plain"] == "2"
    number = first[1][0]["text"].strip()  # without the text that was written to the process's standard error
    assert results["b.md"].outputs[1][0]["text"] == f"{number} False False False\n"


def test_an_error_names_page_fence_and_line_and_has_the_traceback(results):
    message = str(results["wrong.md"])
    assert message.startswith("wrong.md, fence 2 (line 7): the code raises ZeroDivisionError\n")
    assert "----> 2     return 1 / 0" in message
    assert "\x1b" not in message


def test_an_exception_that_a_fence_expects_does_not_end_the_page(results):
    (output,) = results["a.md"].outputs[4]
    assert output.traceback == ["KeyError: 1"]
    with pytest.raises(
        PageError, match=r"missed.md, fence 1 \(line 5\): expected KeyError, received ZeroDivisionError"
    ):
        render_page(results["missed.md"])


def test_a_command_is_executed_in_the_directory_of_the_page(results):
    (output,) = results["a.md"].outputs[5]
    assert output.text == "x\n"


def test_a_command_that_fails_is_an_error_with_its_output(results):
    expected = "failing.md, fence 2 (line 11): the command has the exit code 1\n    second"
    assert str(results["failing.md"]) == expected


def test_the_notebook_has_all_executed_code_and_no_links_to_pages(results, tmp_path):
    (tmp_path / "dot.svg").write_text("<svg/>")
    text = make_notebook(results["a.md"], tmp_path)
    assert text == make_notebook(results["a.md"], tmp_path)
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert [cell.cell_type for cell in notebook.cells] == ["markdown", "code", "markdown", "code", "code", "code"]
    assert notebook.cells[2].source == (
        "![A dot](attachment:dot.svg), see second and $x^2$.\n\n```python\nraise SystemExit\n```"
    )
    assert list(notebook.cells[2].attachments) == ["dot.svg"]
    assert notebook.cells[4].metadata.tags == ["raises-exception"]
    assert notebook.cells[5].source.startswith("!python -c")
    assert notebook.cells[3].outputs == results["a.md"].outputs[3]


def test_committed_outputs_belong_to_the_code(results, tmp_path):
    page = results["b.md"].page
    source = tmp_path / "b.md"
    source.write_text("<!-- outputs: committed -->\n" + SECOND)
    stale = "b.md: the outputs are of other code; run 'make docs-outputs' and commit docs/outputs"
    assert committed.problems(tmp_path) == [stale]
    committed.write_outputs(results["b.md"], tmp_path)
    assert committed.problems(tmp_path) == []
    assert committed.read_outputs(page, tmp_path).outputs == results["b.md"].outputs
    source.write_text(source.read_text().replace("print(", "print(1, "))
    assert committed.problems(tmp_path) == [stale]
    (changed,) = committed.read_pages(tmp_path)
    with pytest.raises(PageError, match=r"b\.md: docs/outputs has no outputs of this code; run 'make docs-outputs'"):
        committed.read_outputs(changed, tmp_path)
    source.unlink()
    assert committed.problems(tmp_path) == ["outputs/b.ipynb: no page uses these outputs; remove the file"]


def test_committed_outputs_are_text_that_git_can_compare(results, tmp_path):
    path = committed.write_outputs(results["a.md"], tmp_path)
    assert json.loads(path.read_text())["metadata"]["code_sha256"] == results["a.md"].page.code_sha256


def test_the_committed_outputs_of_the_documentation_belong_to_its_code(pytestconfig):
    assert committed.problems(pytestconfig.rootpath / "docs") == []
