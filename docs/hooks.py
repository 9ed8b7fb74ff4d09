"""Pages that are generated while the documentation is built: one per recipe, from its recorded results."""

from pathlib import Path

from mkdocs.structure.files import File

from deepkit import catalogue, results

INTRODUCTION = "Each recipe reproduces one paper with one command: `deepkit run NAME`."


def on_files(files, config):
    """Add the page of every recipe, the table of all, and their pictures."""
    index = f"# Recipes\n\n{INTRODUCTION}\n\n{results.table_of()}\n"
    files.append(File.generated(config, "recipes/index.md", content=index))
    for entry in catalogue.entries():
        if entry.module.startswith("recipes."):
            page = results.render_page(entry.name)
            files.append(File.generated(config, f"recipes/{entry.name}.md", content=page))
    for picture in sorted((Path(config.config_file_path).parent / "recipes" / "pictures").glob("*.png")):
        files.append(File.generated(config, f"recipes/pictures/{picture.name}", content=picture.read_bytes()))
    return files
