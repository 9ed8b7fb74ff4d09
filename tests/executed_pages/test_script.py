"""A page with an argument is a script with an option."""

import subprocess
import sys

import nbformat
import pytest

from docs.executed_pages.errors import PageError
from docs.executed_pages.kernel import ExecutedPage
from docs.executed_pages.rendered import render_page
from docs.executed_pages.script import has_script, make_script
from docs.executed_pages.source import parse_page

PAGE = """\
# Read "digits"

<!-- argument: --data cifar10 -->

```python
data_name = "digits"
```

<!-- raises: KeyError -->

```python
{}[data_name]
```

<!-- executed -->

```console
$ deepkit doctor
```

```python
print(data_name.upper())
```
"""


def page(markdown):
    return parse_page(markdown, "tutorials/read.md")


@pytest.mark.parametrize(("options", "expected"), [([], "digits"), (["--data", "mnist"], "mnist")])
def test_the_script_runs_the_code_with_the_argument_of_the_command_line(options, expected, tmp_path):
    path = tmp_path / "read.py"
    path.write_text(make_script(page(PAGE)))
    result = subprocess.run([sys.executable, path, *options], capture_output=True, text=True, check=True)
    assert result.stdout.split() == [f"'{expected}'", expected.upper()]


def test_the_script_says_how_to_run_it():
    code = make_script(page(PAGE))
    assert code.startswith('"""Read "digits"\n')
    assert "\n    python read.py --data cifar10\n" in code
    compile(code, "read.py", "exec")


def test_only_a_page_with_an_argument_links_to_a_script():
    with_argument, without = PAGE, PAGE.replace("<!-- argument: --data cifar10 -->\n\n", "")
    for markdown, expected in [(with_argument, True), (without, False)]:
        source = page(markdown.replace("<!-- raises: KeyError -->\n", ""))
        output = nbformat.v4.new_output("stream", name="stdout", text="DIGITS")
        executed = ExecutedPage(source, {fence.number: [output] for fence in source.executed})
        assert has_script(source) is expected
        assert ("(read.py){ .script-link" in render_page(executed).markdown) is expected


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("x = 1", "fence 1 \\(line 5\\): expected one assignment of a text for the argument, received 'x = 1"),
        ("a = 'b'\nprint(a)", "expected one assignment of a text"),
    ],
)
def test_an_argument_is_the_assignment_of_a_text(source, problem):
    with pytest.raises(PageError, match=problem):
        make_script(page(f"# A\n\n<!-- argument: --data x -->\n\n```python\n{source}\n```\n"))


def test_a_page_has_one_argument():
    fence = "<!-- argument: --data x -->\n\n```python\nname = 'a'\n```\n\n"
    with pytest.raises(PageError, match="fence 2 \\(line 11\\): expected one argument on a page, received another one"):
        make_script(page(f"# A\n\n{fence}{fence}"))


def test_the_comment_has_an_option_and_an_example():
    with pytest.raises(PageError, match="expected '--NAME VALUE' after 'argument:', received 'data'"):
        page("# A\n\n<!-- argument: data -->\n\n```python\nname = 'a'\n```\n")
