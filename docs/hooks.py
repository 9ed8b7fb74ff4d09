"""Hook of MkDocs that generates a page for each recipe from its recorded results."""

from pathlib import Path

from mkdocs.structure.files import File

from deepkit.recipe import discovery, pages

INTRODUCTION = (
    "Each recipe reproduces one paper with one command, `deepkit run NAME`, in one readable module. Start with "
    "[xor](xor.md) and [lenet](lenet.md). Then [depth](depth.md) and [resnet](resnet.md) show what makes deep networks "
    "trainable, [denoising](denoising.md), [vae](vae.md) and [gan](gan.md) learn without labels, and "
    "[sentiment](sentiment.md) and [translation](translation.md) process sequences."
)


def on_files(files, config):
    """Add the page of every recipe, the table of all recipes, and their figures."""
    index = f"# Recipes\n\n{INTRODUCTION}\n\n{pages.recipe_table()}\n"
    files.append(File.generated(config, "recipes/index.md", content=index))
    for entry in discovery.entries():
        if entry.module.startswith("recipes."):
            page = pages.render_page(entry.name)
            files.append(File.generated(config, f"recipes/{entry.name}.md", content=page))
    for figure in sorted((Path(config.config_file_path).parent / "recipes" / "figures").glob("*.png")):
        files.append(File.generated(config, f"recipes/figures/{figure.name}", content=figure.read_bytes()))
    return files
