"""Equations of the documentation as MathML."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("latex2mathml", reason="needs the packages of the documentation")


def load_hook():
    path = Path(__file__).parent.parent / "docs" / "equations_hook.py"
    spec = importlib.util.spec_from_file_location("equations_hook", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_equations_become_mathml():
    page = load_hook().convert_equations("Idea\n\n$$\ny = F(x) + x\n$$\n\nwith \\(x \\in R\\).\n")
    assert '<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">' in page
    assert 'display="inline"' in page
    assert "$$" not in page


def test_an_equation_at_the_start_of_a_line_stays_in_its_paragraph():
    markdown = pytest.importorskip("markdown")
    page = markdown.markdown(load_hook().convert_equations("the weights\n\\(x\\), and\nso on\n"))
    assert page.count("<p>") == 1
    assert page.startswith("<p>the weights\n<span><math")


def test_code_is_unchanged():
    page = "```console\n$ deepkit run xor\n$$ not an equation $$\n```\n"
    assert load_hook().convert_equations(page) == page
