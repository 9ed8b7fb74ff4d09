"""Pages are split into text and Python fences, controlled by comments."""

import textwrap

import pytest

from docs.executed_pages.errors import PageError
from docs.executed_pages.source import Fence, Text, parse_page


def page(markdown):
    return parse_page(textwrap.dedent(markdown), "guide.md")


def test_the_parts_of_a_page_without_comments_are_its_source():
    markdown = "# Title\n\n```python\nx = 1\n```\n\ntext\n\n```yaml\na: 1\n```\n"
    parts = page(markdown).parts
    assert "".join(part.text if isinstance(part, Text) else part.block for part in parts) == markdown
    assert parts[1] == Fence(1, 3, "", "```python\nx = 1\n```\n", "x = 1\n")


def test_a_fence_inside_another_one_is_text():
    assert page("````markdown\n```python\nx\n```\n````\n").executed == ()


def test_an_indented_fence_is_executed_without_its_indentation():
    (fence,) = page('=== "Keras"\n\n    ```python\n    if x:\n        y\n    ```\n').executed
    assert (fence.indent, fence.code) == ("    ", "if x:\n    y\n")


def test_comments_control_the_fence_after_them_and_are_removed():
    source = page("""\
        text

        <!-- alt: A circle,
             in blue. -->
        <!-- a remark -->
        <!-- output: first 2 and last 3 lines -->

        ```python
        x
        ```
        """)
    (fence,) = source.executed
    assert fence.alt_texts == ("A circle, in blue.",)
    assert fence.lines == (2, 3)
    assert "alt" not in source.parts[0].text
    assert "<!-- a remark -->" in source.parts[0].text


def test_a_fence_can_opt_out_of_the_execution_with_a_reason():
    source = page("<!-- not executed: needs a GPU -->\n```python\nx\n```\n\n```python\ny\n```\n")
    assert [fence.number for fence in source.executed] == [2]
    assert "GPU" not in source.parts[0].text


def test_a_fence_can_expect_an_exception():
    (fence,) = page("<!-- raises: ValueError -->\n```python\nx\n```\n").executed
    assert fence.raises == "ValueError"


def test_a_console_fence_is_executed_on_request():
    source = page("```console\n$ make demo\n```\n\n<!-- executed -->\n\n```console\n$ deepkit list\n```\n")
    (fence,) = source.executed
    assert (fence.number, fence.code, fence.is_command, fence.may_fail) == (1, "!deepkit list\n", True, False)
    assert fence.block == "```console\n$ deepkit list\n```\n"
    (fence,) = page("<!-- executed: may fail -->\n```console\n$ deepkit doctor\n```\n").executed
    assert fence.may_fail


@pytest.mark.parametrize(
    ("markdown", "message"),
    [
        (
            "<!-- not executed -->\n```python\nx\n```\n",
            "guide.md, fence 1 (line 2): expected the reason after 'not executed:'",
        ),
        (
            "<!-- output: short -->\n```python\nx\n```\n",
            "guide.md, fence 1 (line 2): expected 'last N lines' or 'first M and last N lines' after 'output:', "
            "received 'short'",
        ),
        (
            "one\n\n<!-- alt: A line. -->\n\ntext\n\n```python\nx\n```\n",
            "guide.md (line 3): received the comment 'alt: A line.' without a fence after it; "
            "place it directly before a fence",
        ),
        (
            "<!-- raises -->\n```python\nx\n```\n",
            "guide.md, fence 1 (line 2): expected the name of an exception after 'raises:', received ''",
        ),
        (
            "<!-- executed: twice -->\n```console\n$ a\n```\n",
            "guide.md, fence 1 (line 2): expected nothing or 'may fail' after 'executed:', received 'twice'",
        ),
        (
            "<!-- executed -->\n```console\n$ a\n$ b\n```\n",
            "guide.md, fence 1 (line 2): expected one line with '$ ' and a command to execute, received '$ a\\n$ b\\n'",
        ),
        (
            "text\n\n```py\nx\n```\n",
            "guide.md (line 3): received a fence of 'py', expected 'python'; to show code without running it, "
            "write <!-- not executed: REASON --> before the fence",
        ),
    ],
)
def test_an_error_has_the_line_and_the_fence(markdown, message):
    with pytest.raises(PageError) as error:
        page(markdown)
    assert str(error.value) == message


def test_the_checksum_follows_the_executed_code_alone():
    first = page("<!-- outputs: committed -->\n# A\n\n```python\nx\n```\n")
    assert first.is_committed
    assert first.code_sha256 == page("# B\n\n<!-- alt: C -->\n```python\nx\n```\n").code_sha256
    assert first.code_sha256 != page("# A\n\n```python\ny\n```\n").code_sha256
