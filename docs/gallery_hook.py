"""Hook of MkDocs that adds the cards of all blocks, and their diagrams, to the gallery of blocks."""

from mkdocs.structure.files import File

from docs.gallery.cards import diagrams, render_gallery

PAGE = "block_gallery.md"
MARKER = "<!-- gallery of blocks -->"


def on_files(files, config):
    """Add the files of the diagrams."""
    for diagram in diagrams():
        files.append(File.generated(config, diagram.path, content=diagram.content))
    return files


def on_page_markdown(markdown, page, config, files):
    """Insert the cards."""
    return markdown.replace(MARKER, render_gallery()) if page.file.src_uri == PAGE else markdown
