"""Hook of MkDocs that writes references in BibTeX: of deepkit from CITATION.cff, and of the papers of the recipes."""

import textwrap
from pathlib import Path

import yaml

from deepkit.recipe import discovery

SOFTWARE = "<!-- bibtex: deepkit -->"
PAPERS = "<!-- bibtex: recipes -->"
WIDTH = 76
SPECIAL = {"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#"}


def on_page_markdown(markdown, page, config, files):
    """Replace the two comments by entries."""
    if SOFTWARE in markdown:
        citation = Path(config.config_file_path).parent / "CITATION.cff"
        markdown = markdown.replace(SOFTWARE, fence(software(yaml.safe_load(citation.read_text(encoding="utf-8")))))
    if PAPERS in markdown:
        entries = [entry for entry in discovery.entries() if entry.module.startswith("recipes.")]
        markdown = markdown.replace(PAPERS, "\n\n".join(map(recipe_section, entries)))
    return markdown


def software(citation):
    """Return the entry of the content of a CITATION.cff."""
    fields = {
        "author": " and ".join(map(author, citation["authors"])),
        "title": f"{{{escape(citation['title'])}}}",
        "year": str(citation.get("date-released", ""))[:4],
        "note": f"Version {citation['version']}, {citation['license']} license",
        "url": citation.get("repository-code", ""),
    }
    return bibtex("deepkit", fields)


def author(citation):
    """Return a person, or a group in braces, so that BibTeX does not split its name."""
    if "name" in citation:
        return f"{{{escape(citation['name'])}}}"
    return escape(f"{citation['family-names']}, {citation['given-names']}")


def paper(reference):
    """Return the entry of a paper."""
    surname = "".join(filter(str.isalpha, reference.authors[0].split()[-1])).lower()
    fields = {
        "author": " and ".join(map(escape, reference.authors)),
        "title": f"{{{escape(reference.title)}}}",
        "year": str(reference.year),
        "howpublished": escape(reference.venue),
        "url": reference.url,
    }
    return bibtex(f"{surname}{reference.year}", fields)


def bibtex(key, fields):
    """Return an entry without its empty fields, of the type that every style of BibTeX knows."""
    lines = [wrap(f"  {name} = {{{value}}},") for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{key},", *lines, "}"])


def wrap(line):
    """Return a field in lines that fit the page."""
    return textwrap.fill(line, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def recipe_section(entry):
    """Return the paper of a recipe below a link to the page of the recipe."""
    return f"`deepkit run {entry.name}`, see [its page](recipes/{entry.name}.md):\n\n{fence(paper(entry.load().paper))}"


def escape(text):
    """Return a text with a backslash before the characters that LaTeX interprets."""
    return "".join(SPECIAL.get(character, character) for character in text)


def fence(text):
    """Return a text as a fence."""
    return f"```bibtex\n{text}\n```"
