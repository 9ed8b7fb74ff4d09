"""References in BibTeX agree with CITATION.cff and the papers of the recipes, and CITATION.cff with the package."""

import tomllib
from pathlib import Path

import yaml

from deepkit.recipe import Paper
from docs import citation_hook

ROOT = Path(__file__).parent.parent
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_citation_has_the_version_and_the_license_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (CITATION["version"], CITATION["license"]) == (project["version"], project["license"])
    assert [author["name"] for author in CITATION["authors"]] == [author["name"] for author in project["authors"]]


def test_the_entry_of_deepkit_has_the_fields_of_the_citation():
    text = citation_hook.software(CITATION)
    assert text.startswith("@misc{deepkit,\n  author = {{The deepkit authors}},\n  title = {{deepkit: ")
    assert max(map(len, text.splitlines())) <= 76
    assert CITATION["title"] in " ".join(text.split())
    assert f"note = {{Version {CITATION['version']}, {CITATION['license']} license}}" in text


def test_an_entry_leaves_out_what_is_unknown_and_escapes_characters_of_latex():
    reference = Paper("R&D_1", ("Ada Lovelace-King", "Alan Turing"), 1843, "Notes, 100 %")
    assert citation_hook.paper(reference) == (
        "@misc{lovelaceking1843,\n  author = {Ada Lovelace-King and Alan Turing},\n  title = {{R\\&D\\_1}},\n"
        "  year = {1843},\n  howpublished = {Notes, 100 \\%},\n}"
    )
    person = {"family-names": "Turing", "given-names": "Alan"}
    assert citation_hook.author(person) == "Turing, Alan"
