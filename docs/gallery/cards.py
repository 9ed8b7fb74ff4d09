"""The cards of the gallery: a description, an example, its diagram and a link to the reference of each block."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import keras
from keras import layers

import deepkit as dk

from .examples import EXAMPLES

API = Path(__file__).parents[1] / "api"
PAGES = ("definitions.md", "blocks.md")  # of the reference, in the order of the gallery
HEADING = re.compile(r"## (.+)")
ENTRY = re.compile(r"::: deepkit\.(\w+)$")
FOLDER = "block_gallery"  # of the diagrams, next to the page
MAX_NAMES = 8  # of layers in an alternative text


@dataclass(frozen=True)
class Diagram:
    """The diagram of a network as the content of an SVG file, and its alternative text."""

    path: str
    content: bytes
    alt_text: str


def block_names() -> set[str]:
    """Return the names of the public blocks."""
    exported = {name: getattr(dk, name) for name in dk.__all__}
    return {
        name for name, value in exported.items()
        if isinstance(value, type) and issubclass(value, dk.Block) and value is not dk.Block
    }  # fmt: skip


def groups() -> dict[str, dict[str, str]]:
    """Return the blocks by the headings of the reference: the name of each, and the page of its entry."""
    blocks, groups = block_names(), {}
    for page in PAGES:
        for line in (API / page).read_text(encoding="utf-8").splitlines():
            if heading := HEADING.fullmatch(line):
                entries = groups.setdefault(heading[1], {})
            elif (entry := ENTRY.fullmatch(line)) and entry[1] in blocks:
                entries[entry[1]] = f"api/{page}"
    return {heading: entries for heading, entries in groups.items() if entries}


def render_gallery() -> str:
    """Return the groups of cards as Markdown."""
    sections = []
    for heading, entries in groups().items():
        cards = "\n\n".join(_card(name, page) for name, page in entries.items())
        sections.append(f'## {heading}\n\n<div class="block-cards" markdown>\n\n{cards}\n\n</div>')
    return "\n\n".join(sections)


def diagrams() -> list[Diagram]:
    """Return the diagrams of all examples."""
    return [diagram for name in EXAMPLES for diagram in example_diagrams(name)]


@cache
def example_diagrams(name: str) -> list[Diagram]:
    """Run the example of a block and return the diagrams of its networks."""
    namespace = {"dk": dk, "keras": keras, "layers": layers}
    exec(example_code(name), namespace)
    networks = _networks(namespace["model"])
    return [_diagram(name, network, is_single=len(networks) == 1) for network in networks]


def example_code(name: str) -> str:
    """Return the code of an example."""
    return textwrap.dedent(EXAMPLES[name]).strip()


def _networks(model: keras.Model) -> list[keras.Model]:
    """Return the networks with a graph of layers: the model, or those of a model with its own training step."""
    parts = [layer for layer in model.layers if isinstance(layer, keras.Model) and getattr(layer, "inputs", None)]
    return [model] if getattr(model, "inputs", None) and not parts else parts


def _diagram(name: str, network: keras.Model, *, is_single: bool) -> Diagram:
    content = dk.visualize.diagram(network)._repr_svg_().encode()  # as in a notebook: small, with text as text
    names = [layer.name for layer in network.layers if not isinstance(layer, layers.InputLayer)]
    shown = ", ".join(names[:MAX_NAMES]) + (f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else "")
    title = f"the example of {name}" if is_single else f"the {network.name} in the example of {name}"
    suffix = "" if is_single else f"-{network.name}"
    return Diagram(f"{FOLDER}/{name}{suffix}.svg", content, f"Diagram of {title}, with the layers {shown}.")


def _card(name: str, page: str) -> str:
    summary = (getattr(dk, name).__doc__ or "").splitlines()[0]
    summary = summary.removeprefix(f"{name}: ")
    images = "\n".join(
        f"![{diagram.alt_text}]({diagram.path}){{ .diagram loading=lazy }}" for diagram in example_diagrams(name)
    )
    return (
        f'<div class="block-card" markdown>\n\n### {name}\n\n{summary[0].upper()}{summary[1:]} '
        f"[Reference]({page}#deepkit.{name})\n\n"
        f"```{{ .python .no-copy }}\n{example_code(name)}\n```\n\n{images}\n\n</div>"
    )
