"""The gallery of blocks has a card for every public block."""

import ast

import pytest

from docs.gallery.cards import block_names, example_code, example_diagrams, groups
from docs.gallery.examples import EXAMPLES

NUM_COLUMNS = 47  # of code in a card


def test_every_public_block_has_an_example():
    assert set(EXAMPLES) == block_names()


def test_every_example_is_in_a_group_of_the_reference():
    names = [name for entries in groups().values() for name in entries]
    assert sorted(names) == sorted(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_builds_a_model_and_fits_into_a_card(name):
    code = example_code(name)
    assigned = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    assert "model" in assigned
    assert name in code or name == "Pattern"
    assert max(map(len, code.splitlines())) <= NUM_COLUMNS


def test_a_diagram_shows_the_layers_of_the_block():
    (diagram,) = example_diagrams("ConvBlock")
    assert diagram.content.startswith(b"<?xml")
    assert diagram.alt_text == "Diagram of the example of ConvBlock, with the layers conv, norm, activation."
