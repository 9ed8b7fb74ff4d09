"""Hook of MkDocs that executes the pages with Python fences, and adds their outputs and notebooks."""

from dataclasses import replace
from pathlib import Path

from mkdocs.plugins import event_priority, get_plugin_logger
from mkdocs.structure.files import File
from mkdocs.utils import meta

from docs.executed_pages.committed import read_outputs
from docs.executed_pages.errors import PageError
from docs.executed_pages.notebook import make_notebook
from docs.executed_pages.rendered import render_page
from docs.executed_pages.script import has_script, make_script
from docs.executed_pages.source import parse_page
from docs.executed_pages.workers import cache, execute_pages

log = get_plugin_logger("executed pages")
MAX_CPU_SECONDS = 20
TOLERANCE = 2  # a slower machine, or another one at work
rendered_pages = {}


def on_files(files, config):
    """Execute the pages and add the files of their figures and notebooks."""
    rendered_pages.clear()
    docs_dir = Path(config.docs_dir)
    results = execute(read_pages(files), docs_dir)
    for path, result in sorted(results.items()):
        try:
            if isinstance(result, PageError):
                raise result
            rendered = render_page(result)
        except PageError as error:
            log.error("%s", error)
            continue
        rendered_pages[path] = rendered
        notebook = str(Path(path).with_suffix(".ipynb"))
        files.append(File.generated(config, notebook, content=make_notebook(result, docs_dir)))
        if has_script(result.page):
            script = str(Path(path).with_suffix(".py"))
            files.append(File.generated(config, script, content=make_script(result.page)))
        for figure, content in rendered.figures.items():
            files.append(File.generated(config, figure, content=content))
    return files


def read_pages(files):
    """Return the pages with Python fences; generated pages, such as those of the recipes, are not executed."""
    pages = []
    for file in files.documentation_pages():
        if file.generated_by is None:
            try:
                page = parse_page(meta.get_data(file.content_string)[0], file.src_uri)
            except PageError as error:
                log.error("%s", error)
                continue
            if page.executed:
                pages.append(page)
    return pages


def execute(pages, docs_dir):
    """Return the result of each page by its path: committed, cached, or from a kernel."""
    results, to_execute = {}, []
    for page in pages:
        key = page.path, page.code_sha256
        if page.is_committed:
            try:
                results[page.path] = read_outputs(page, docs_dir)
            except PageError as error:
                results[page.path] = error
        elif key in cache:
            results[page.path] = replace(cache[key], page=page)
        else:
            to_execute.append(page)
    for path, result in execute_pages(to_execute).items():
        results[path] = result
        if not isinstance(result, PageError):
            cache[path, result.page.code_sha256] = result
            report_seconds(path, result.cpu_seconds)
    return results


def report_seconds(path, seconds):
    """Log the CPU-seconds of a page, as an error if they exceed the limit by far."""
    log.info("%s: %.1f CPU-seconds", path, seconds)
    if seconds > MAX_CPU_SECONDS:
        report = log.error if seconds > TOLERANCE * MAX_CPU_SECONDS else log.info
        report(
            "%s takes %.0f CPU-seconds, expected at most %d; write <!-- outputs: committed --> on the page "
            "and run 'make docs-outputs'", path, seconds, MAX_CPU_SECONDS,
        )  # fmt: skip


@event_priority(100)  # before hooks that change the Markdown
def on_page_markdown(markdown, page, config, files):
    """Return the Markdown of an executed page with its outputs."""
    rendered = rendered_pages.get(page.file.src_uri)
    return rendered.markdown if rendered else markdown


def on_page_content(html, page, config, files):
    """Insert the HTML of outputs."""
    rendered = rendered_pages.get(page.file.src_uri)
    return rendered.insert_html(html) if rendered else html
