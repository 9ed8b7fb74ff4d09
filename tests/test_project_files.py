"""The project files agree with one another: the editor's format, CI, the templates and the targets of the Makefile."""

import configparser
import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
FORMS = sorted(path.name for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_editors_use_the_format_of_ruff_and_make():
    config = configparser.ConfigParser()
    config.read_string("[top]\n" + read(".editorconfig"))
    ruff = tomllib.loads(read("pyproject.toml"))["tool"]["ruff"]
    assert config["*.py"]["max_line_length"] == str(ruff["line-length"])
    assert config["*.py"]["indent_size"] == "4"
    assert config["Makefile"]["indent_style"] == "tab"
    assert re.search(r"^\t", read("Makefile"), re.MULTILINE)


def test_the_workflow_runs_the_gate():
    workflow = yaml.safe_load(read(".github/workflows/ci.yml"))
    (job,) = workflow["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o100


@pytest.mark.parametrize("name", FORMS)
def test_an_issue_form_has_fields_with_labels(name):
    form = yaml.safe_load(read(f".github/ISSUE_TEMPLATE/{name}"))
    assert {"name", "description", "body"} <= set(form)
    assert all(field["attributes"]["label"] for field in form["body"])
    assert len({field["id"] for field in form["body"]}) == len(form["body"])


def test_there_is_a_form_for_each_kind_of_issue():
    assert FORMS == ["bug.yml", "feature.yml", "recipe.yml"]


def test_contributors_find_every_target_of_the_makefile_that_checks():
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    documented = set(re.findall(r"^\$ make ([a-z]+)", read("CONTRIBUTING.md"), re.MULTILINE))
    assert documented <= targets
    assert {"test", "coverage", "check", "slow", "thorough", "docs"} <= documented


def test_every_package_of_the_extras_has_a_tested_version():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    lines = [line for extra in ("dev", "docs") for line in project["optional-dependencies"][extra]]
    names = {re.match(r"[\w.-]+", line)[0].lower() for line in lines}
    pinned = {line.partition("==")[0].lower() for line in read("constraints.txt").splitlines()}
    assert names <= pinned


def test_the_pages_of_decisions_have_the_same_sections():
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert len(pages) >= 5
    for page in pages:
        headings = re.findall(r"^## (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences", "Alternatives"], page.name
        assert f"decisions/{page.name}" in read("mkdocs.yml")
