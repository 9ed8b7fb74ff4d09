"""Outputs of cells as a page shows them: terminal text, figures with alternative text, HTML."""

import base64

import nbformat
import pytest

from docs.executed_pages.cell_outputs import ShownFigure, ShownHtml, ShownText, shown_outputs, tidy
from docs.executed_pages.errors import PageError
from docs.executed_pages.kernel import ExecutedPage
from docs.executed_pages.rendered import render_page
from docs.executed_pages.source import parse_page
from docs.executed_pages.terminal_text import shorten, shown_text, without_durations


def printed(text, name="stdout"):
    return nbformat.v4.new_output("stream", name=name, text=text)


def displayed(**data):
    return nbformat.v4.new_output("display_data", data={name.replace("_", "/", 1): item for name, item in data.items()})


def raised(name, value, traceback=()):
    return nbformat.v4.new_output("error", ename=name, evalue=value, traceback=list(traceback))


def show(*outputs, comments=""):
    page = parse_page(f"# Title\n\n{comments}\n```python\nx\n```\n", "guide.md")
    return shown_outputs(page.executed[0], tidy(outputs), page)


def test_a_carriage_return_leaves_the_final_state_of_a_line():
    assert shown_text("a\n 1/9 slow\r 9/9\n\x1b[1mbold\x1b[0m\nab\b\bc\n") == "a\n 9/9 slow\nbold\ncb"


@pytest.mark.parametrize("line", ["43/43 ━━━━━━━━━━ 1s 24ms/step - loss: 0.5", "43/43 - 1:02 - 3s/epoch - loss: 0.5"])
def test_durations_of_keras_are_removed(line):
    assert without_durations(f"Epoch 1/2\n{line}") == "Epoch 1/2\n43/43 - loss: 0.5"
    assert without_durations(f"a\n{line.removesuffix(' - loss: 0.5')}\n1/2") == "a\n1/2"


def test_messages_that_tensorflow_logs_in_a_command_are_removed():
    logged = "WARNING: All log messages before absl::InitializeLog() is called\nI0000 00:00:1.2 3 port.cc:153] oneDNN\n"
    assert show(printed(f"{logged}the digit is 7\n")) == [ShownText("the digit is 7")]


def test_long_text_is_shortened_only_on_request():
    text = "1\n2\n3\n4\n5"
    assert shorten(text, None) == shorten(text, (2, 3)) == text
    assert shorten(text, (1, 2)) == "1\n...\n4\n5"
    assert shorten(text, (0, 1)) == "...\n5"


def test_consecutive_texts_are_one_output():
    outputs = [printed("1/2 - "), printed("\r2/2 done\n"), displayed(text_plain="'value'")]
    assert show(*outputs) == [ShownText("2/2 done\n'value'")]


def test_text_that_rich_displays_as_html_is_text():
    html = '<pre style="white-space:pre;overflow-x:auto;line-height:normal;font-family:Menlo"></pre>\n'
    assert show(displayed(text_plain="", text_html=html)) == []


def test_a_figure_has_the_alternative_text_of_the_comment():
    png = base64.b64encode(b"PNG").decode()
    (figure,) = show(displayed(text_plain="<Figure>", image_png=png), comments="<!-- alt: A line. -->")
    assert figure == ShownFigure(b"PNG", "png", "A line.")
    assert show(displayed(text_plain="x", text_html="<b>x</b>")) == [ShownHtml("<b>x</b>")]


def test_an_expected_exception_has_its_class_and_message():
    error = raised("ValueError", "\x1b[1mwidth\x1b[0m must be positive", traceback=["/home/user/module.py in f()"])
    assert show(error, comments="<!-- raises: ValueError -->") == [ShownText("ValueError: width must be positive")]
    stop = raised("KeyboardInterrupt", "")
    assert show(printed("Epoch 1"), stop, comments="<!-- raises: KeyboardInterrupt -->") == [
        ShownText("Epoch 1\nKeyboardInterrupt")
    ]


@pytest.mark.parametrize(
    ("output", "comments", "message"),
    [
        (printed("1"), "<!-- raises: ValueError -->", "expected ValueError, received none"),
        (raised("KeyError", "1"), "<!-- raises: ValueError -->", "expected ValueError, received KeyError"),
        (raised("KeyError", "1"), "", "expected no exception, received KeyError"),
        (displayed(image_png=""), "", "a figure has no alternative text; add <!-- alt: TEXT --> before the fence"),
        (printed("1"), "<!-- alt: A line. -->", "received an alternative text without a figure: 'A line.'"),
        (printed("low on memory\n", "stderr"), "", "the code writes to standard error:\n    low on memory"),
        (
            displayed(text_plain="net", text_html="<p>The display failed: KeyError</p>"),
            "",
            "the display of an object failed: net",
        ),
        (
            displayed(text_plain="<History at 0x7f65754cf6d0>"),
            "",
            "the output shows the repr of an object, '<History at 0x7f65754cf6d0>'; assign or print it",
        ),
    ],
)
def test_outputs_that_a_page_cannot_show_are_errors(output, comments, message):
    with pytest.raises(PageError) as error:
        show(output, comments=comments)
    assert str(error.value).endswith(f"): {message}")


def render(markdown, *outputs):
    page = parse_page(markdown, "start/guide.md")
    return render_page(ExecutedPage(page, {1: tidy(outputs)}))


def test_a_page_links_its_notebook_and_shows_outputs_after_the_fence():
    rendered = render("# Title\n\n```python\nx\n```\n\nend\n", printed("```\n"))
    assert rendered.markdown == (
        "# Title\n\n[Download this page as a notebook](guide.ipynb){ .notebook-link download=guide.ipynb }\n\n"
        "```python\nx\n```\n\n```` { .text .cell-output .no-copy }\n```\n````\n\nend\n"
    )


def test_figures_and_html_keep_the_indentation_of_the_fence():
    markdown = '# Title\n\n=== "Tab"\n\n    <!-- alt: [A] line. -->\n\n    ```python\n    x\n    ```\n'
    rendered = render(markdown, displayed(**{"image/svg+xml": "<svg/>"}), displayed(text_html="<b>x</b>"))
    assert "\n    ![\\[A\\] line.](executed/guide-1-1.svg){ .cell-figure }\n" in rendered.markdown
    assert rendered.figures == {"start/executed/guide-1-1.svg": b"<svg/>"}
    assert "\n    output-guide-1-2\n" in rendered.markdown
    html = rendered.insert_html("<p>output-guide-1-2</p>")
    assert html == '<div class="cell-output cell-html"><b>x</b></div>'


def test_a_page_without_any_output_is_an_error():
    with pytest.raises(PageError, match=r"start/guide.md: no fence shows an output; print a result, or end"):
        render("# Title\n\n```python\nx = 1\n```\n")
