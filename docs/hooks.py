"""Pages that are generated while the documentation is built: one per recipe, from its recorded results."""

from pathlib import Path

from mkdocs.structure.files import File

from deepkit.recipe import discovery, pages

INTRODUCTION = (
    "Each recipe reproduces one paper with one command, `deepkit run NAME`, in one module that is written to be read. "
    "To learn from them, begin with [xor](xor.md) and [lenet](lenet.md), go on to [depth](depth.md) and "
    "[resnet](resnet.md) for what makes deep networks trainable, to [denoising](denoising.md), [vae](vae.md) and "
    "[gan](gan.md) for learning without labels, and to [sentiment](sentiment.md) and [translation](translation.md) for "
    "sequences."
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
