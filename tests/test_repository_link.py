"""The address of the repository is one setting, the environment variable DEEPKIT_REPO_URL: absent, there is no link."""

from pathlib import Path

import pytest

from deepkit.recipe import pages

ROOT = Path(__file__).parent.parent
ADDRESS = "https://github.com/example/deepkit"


def test_a_recipe_page_links_to_its_source():
    page = pages.render_page("xor", source_url=f"{ADDRESS}/blob/main")
    assert f"source: [`recipes/basics/xor.py`]({ADDRESS}/blob/main/recipes/basics/xor.py)" in page


def test_a_recipe_page_names_its_source_without_an_address():
    assert "source: `recipes/basics/xor.py`\n" in pages.render_page("xor")


@pytest.mark.slow
@pytest.mark.parametrize("address", ["", ADDRESS, f"{ADDRESS}/"])
def test_the_environment_sets_the_link_of_the_site(address, monkeypatch, tmp_path):
    pytest.importorskip("material", reason="needs the packages of the documentation")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    from docs import hooks

    monkeypatch.delenv("DEEPKIT_REPO_URL", raising=False)
    if address:
        monkeypatch.setenv("DEEPKIT_REPO_URL", address)
    config = load_config(str(ROOT / "mkdocs.yml"), hooks=[])
    repo_url = config.repo_url
    assert (repo_url or "") == address
    assert hooks._source_url(config) == (f"{ADDRESS}/blob/main" if address else "")

    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Start\n")
    (tmp_path / "mkdocs.yml").write_text("site_name: deepkit\n")
    theme = {"name": "material", "custom_dir": str(ROOT / "docs" / "overrides"), "font": False}
    build(load_config(str(tmp_path / "mkdocs.yml"), theme=theme, repo_url=repo_url))
    page = (tmp_path / "site" / "index.html").read_text()
    assert (f'<a href="{address}" title="Go to repository" class="md-source"' in page) == bool(address)
    assert "data-md-component=source" not in page.replace('"', "")  # would request GitHub's statistics
