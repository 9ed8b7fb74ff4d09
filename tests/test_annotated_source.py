"""The source of a recipe's network as passages of code with their notes."""

import ast

from deepkit.recipe import discovery
from deepkit.recipe.annotated_source import annotated_source
from recipes.sequence import visual_questions
from recipes.vision import depth, lenet, resnet


def passages(function):
    return {passage.code.partition("\n")[0]: passage for passage in annotated_source(function)}


def test_docstrings_and_comments_are_notes():
    by_line = passages(lenet.definition)
    assert by_line["CONNECTIONS = ("].note.startswith("table I of the paper: the maps of S2")
    modern = by_line["def modern(dropout: float = 0.0) -> dk.Sequential:"]
    assert modern.note == "Return the modern LeNet-5: 61,706 weights on 28x28 images."
    assert '"""' not in modern.code
    assert modern.code.splitlines()[1] == '    he = {"kernel_initializer": "he_normal"}'


def test_the_order_is_that_of_the_module_and_data_is_left_out():
    firsts = [passage.code.split("(")[0] for passage in annotated_source(lenet.definition)]
    assert firsts == ["CONNECTIONS = ", "def modern", "def original", "def drawings", "def definition"]


def test_functions_of_other_recipes_come_first():
    names = [passage.code.split("(")[0] for passage in annotated_source(depth.definition)]
    assert names.index("def highway") < names.index("def definition")
    assert len(names) == len(set(names))


def test_sections_of_docstrings_are_left_out():
    notes = [passage.note for passage in annotated_source(resnet.definition)]
    assert any(notes)
    assert not any(section in note for note in notes for section in ("Args:", "Examples:", ">>>"))


def test_a_comment_before_the_first_statement_is_a_note_of_the_function():
    (network,) = [
        value for key, value in passages(visual_questions.definition).items() if key.startswith("def network")
    ]
    assert network.note.endswith("an object has about the size of a position")
    assert "see: list[Any] = [" in network.code


def test_every_passage_of_a_recipe_is_code():
    for entry in discovery.entries():
        for part in entry.load().annotated_parts:
            for passage in annotated_source(part):
                ast.parse(passage.code)
