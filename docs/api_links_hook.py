"""Hook of MkDocs that adds to each object of an API page the links to the tutorials, guides and recipes that use it.

It stands after the hooks that read the options of an object, because it adds a line below them.
"""

import ast
import functools
import importlib
import importlib.util
import posixpath
import re
from collections import Counter
from pathlib import Path

from deepkit.recipe import discovery
from docs.executed_pages.errors import PageError
from docs.executed_pages.source import Fence, parse_page

MAX_LINKS = 6
OBJECT = re.compile(r"^::: (\S+)\n((?:    .*\n)*)", re.MULTILINE)  # with its options
TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
WITHOUT_LINKS = ("api/", "recipes/", "index.md", "tutorials/index.md")  # recipes are read from their modules


def on_page_markdown(markdown, page, config, files):
    """Add a line with links below each object of an API page that other pages use."""
    path = page.file.src_uri
    return add_links(markdown, path, find_uses(files)) if path.startswith("api/") else markdown


def add_links(markdown, path, uses):
    """Add the lines with links to the Markdown of an API page.

    `uses` maps the path of a page to its title and to the number of times that it uses each object, by `id`.
    """

    def with_links(match):
        counts = {page: count[id(resolve(match[1]))] for page, (_, count) in uses.items()}
        pages = sorted(filter(counts.get, counts), key=lambda page: (rank(page), -counts[page], page))
        links = [f"[{uses[page][0]}]({posixpath.relpath(page, posixpath.dirname(path))})" for page in pages[:MAX_LINKS]]
        return f"{match[0]}\nUsed in {', '.join(links)}\n{{ .used-in }}\n\n" if links else match[0]

    return OBJECT.sub(with_links, f"{markdown}\n")


def rank(path):
    """Return the rank of a page: tutorials before guides before recipes."""
    return 0 if path.startswith("tutorials/") else 2 if path.startswith("recipes/") else 1


@functools.lru_cache(maxsize=1)
def find_uses(files):
    """Return the title and the uses of every page with Python code: its fences, or the module of its recipe."""
    uses = {}
    for file in files.documentation_pages():
        if not file.src_uri.startswith(WITHOUT_LINKS):
            uses[file.src_uri] = (title_of(file), count_uses(fences(file.content_string, file.src_uri)))
    for entry in discovery.entries():
        file = files.get_file_from_path(f"recipes/{entry.name}.md")
        if file and entry.module.startswith("recipes."):
            source = Path(importlib.util.find_spec(entry.module).origin).read_text(encoding="utf-8")
            uses[file.src_uri] = (title_of(file), count_uses([source]))
    return uses


def title_of(file):
    """Return the title of a page in the navigation, or else its heading."""
    heading = TITLE.search(file.content_string)
    return (file.page and file.page.title) or (heading[1] if heading else file.src_uri)


def fences(markdown, path):
    """Return the code of the Python fences of a page."""
    try:
        parts = parse_page(markdown, path).parts
    except PageError:  # the hook that executes the pages reports it
        return []
    return [part.code for part in parts if isinstance(part, Fence) and not part.is_command]


def count_uses(sources):
    """Count the uses of deepkit's objects, by `id`, in sources that share their imports, as the fences of a page do."""
    names, counts = {"dk": "deepkit"}, Counter()
    for source in sources:
        try:
            nodes = list(ast.walk(ast.parse(source)))
        except SyntaxError:  # an excerpt that is not executed
            continue
        for node in nodes:
            names.update(imported_names(node))
        dotted = (dotted_name(node, names) for node in nodes if isinstance(node, ast.Attribute | ast.Name))
        counts.update(id(item) for item in map(resolve, filter(None, dotted)) if item is not None)
    return counts


def imported_names(node):
    """Return the names that an import of deepkit defines, with the dotted names of their objects."""
    if isinstance(node, ast.Import):
        return {alias.asname or "deepkit": alias.name if alias.asname else "deepkit"
                for alias in node.names if alias.name.partition(".")[0] == "deepkit"}  # fmt: skip
    if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "deepkit":
        return {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return {}


def dotted_name(node, names):
    """Return the full name that an expression such as `dk.data.load` stands for; None if it is not of deepkit."""
    if isinstance(node, ast.Attribute):
        parent = dotted_name(node.value, names)
        return f"{parent}.{node.attr}" if parent else None
    return names.get(node.id) if isinstance(node, ast.Name) else None


@functools.cache
def resolve(name):
    """Return the object of a dotted name; None if there is none.

    Two names of one object, such as `deepkit.export` and `deepkit.export.exporter.export`, yield the same object.
    """
    module, _, attribute = name.rpartition(".")
    if not module:
        return importlib.import_module(name)
    try:
        parent = importlib.import_module(module)
    except ImportError:  # a class, or a module that has this name only as an attribute, such as `deepkit.fields`
        parent = resolve(module)
    return getattr(parent, attribute, None)
