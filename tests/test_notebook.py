"""Rich display in a real notebook: what a Jupyter kernel sends to the page, without `%matplotlib inline`."""

import pytest

# each cell, and the MIME types of its output
CELLS = {
    "import deepkit as dk\nimport numpy as np": set(),
    'net = dk.Sequential([dk.ConvStack(8), dk.Classifier(10)])\ndata = dk.data.load("digits", verbose=False)': set(),
    "net": {"text/html", "text/plain"},
    "data": {"text/html", "text/plain"},
    "data.show(4)": {"image/png", "text/plain"},
    "dk.plan(seed=1)": {"text/html", "text/plain"},
    'run = dk.fit(net, data, epochs=2, verbose=0, run_dir="run")\nrun': {"text/html", "text/plain"},
    "dk.teaching.diagnose(run)": {"text/html", "text/plain"},
    "dk.teaching.tape.Trace(lambda w1, w2: w1 * w2, 2.0, 3.0)": {"text/html", "text/plain"},
    "dk.visualize.curves(run.history)": {"image/png", "text/plain"},
    "dk.visualize.confusion(run.model, data.validation)": {"image/png", "text/plain"},
    "dk.visualize.diagram(run.model)": {"image/svg+xml", "text/plain"},
    "dk.find_learning_rate(net, data, steps=12, verbose=0)": {"text/html", "text/plain"},
    'dk.export(run.model, "exported")': {"text/html", "text/plain"},
    'dk.recipe.Result(measured={"error": 1.5}, data=data.summary())': {"text/html", "text/plain"},
}


@pytest.mark.slow
def test_a_notebook_displays_figures_and_objects(tmp_path):
    import nbclient  # slow to import
    import nbformat

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in CELLS])
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    for cell, expected in zip(notebook.cells, CELLS.values(), strict=True):
        results = [output for output in cell.outputs if output.output_type in ("execute_result", "display_data")]
        types = set().union(*(output.data for output in results))
        assert types == expected, cell.source
        for output in results:
            check_output(output.data)


def check_output(bundle):
    """Check that a page is small, that no renderer failed, and that the text is short."""
    page = bundle.get("text/html", "")
    assert len(page) < 200_000
    assert "The display failed" not in page
    assert "cannot be drawn" not in page
    assert len(bundle["text/plain"]) < 400
    assert "image/png" not in bundle or bundle["image/png"].startswith("iVBORw0KGgo")
    assert "image/svg+xml" not in bundle or "</svg>" in bundle["image/svg+xml"]
