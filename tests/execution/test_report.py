"""The report of a run: its sections, and values that equal those of scikit-learn."""

import re
from html.parser import HTMLParser

import keras
import numpy as np
import pytest
from sklearn import metrics

import deepkit as dk
from deepkit.definition.objective import Head
from deepkit.errors import RunDirError
from deepkit.training import checkpoint, run_report
from deepkit.training.reporting import classification_report, evaluation, regression_report, report_style
from deepkit.training.reporting.classification_report import classification_section, multilabel_section
from deepkit.training.reporting.evaluation import OutputEvaluation
from deepkit.training.reporting.regression_report import regression_section
from deepkit.training.reporting.report_figures import ReportFigures
from deepkit.training.reporting.settings_sections import command

PLAN = dk.plan(devices="CPU:0", seed=0)
VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """The elements of a report: tables as lists of rows, texts by section, images; raises if tags do not match."""

    def __init__(self, text):
        super().__init__()
        self.text, self.open, self.tables, self.images, self.ids, self.links = text, [], [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag == "img":
            self.images.append(values)
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "a":
            self.links.append(values["href"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "table" in self.open and ("td" in self.open or "th" in self.open):
            self.tables[-1][-1][-1] += data

    def table(self, first):
        """Return the rows of the table whose header begins with some text."""
        (rows,) = [rows for rows in self.tables if rows and rows[0][0] == first]
        return rows


def fit(net, *data, tmp_path, **kwargs):
    run = dk.fit(net, *data, run_dir=tmp_path / "run", **{"verbose": 0, "plan": PLAN, "epochs": 1, **kwargs})
    return run, Page(run.report.read_text(encoding="utf-8"))


def images(count=96):
    x = np.random.default_rng(0).random((count, 8, 8, 1)).astype("float32")
    return x, (x.mean((1, 2, 3)) > 0.5).astype("int32")


def assert_equals_report(rows, expected, names):
    """Compare a table of the report with the dictionary of `sklearn.metrics.classification_report`."""
    for name in names:
        (row,) = [row for row in rows if row[0] == name.replace(" avg", " average")]
        values = [expected[name][key] for key in ("precision", "recall", "f1-score")]
        assert row[1:4] == [f"{value:.3f}" for value in values]
        assert row[4] == f"{expected[name]['support']:,.0f}"


@pytest.fixture(scope="module")
def image_classifier(tmp_path_factory):
    """Return the run of an image classifier, its page, and labels and predictions of its validation data."""
    data = dk.data.from_arrays(*images(), validation=32)
    net = dk.Sequential([dk.ConvBlock(4), dk.Classifier(2)], name="small")
    run, page = fit(net, data, tmp_path=tmp_path_factory.mktemp("images"), batch_size=4, epochs=2)
    x, labels = data.validation.arrays()
    return run, page, labels, run.model.predict_on_batch(x).argmax(1)


def test_the_report_of_an_image_classifier(image_classifier):
    run, page, labels, predictions = image_classifier
    expected = metrics.classification_report(labels, predictions, output_dict=True, zero_division=0)
    assert_equals_report(page.table("Class"), expected, ["0", "1", "macro avg", "weighted avg"])
    matrix = [row[1:] for row in page.table("")[1:]]
    assert np.array_equal(np.array(matrix, int), metrics.confusion_matrix(labels, predictions))
    assert f"{(labels != predictions).sum()} of 32 examples misclassified" in page.text
    assert "Evaluated on all 32 examples of the validation data." in page.text
    for text in ("dk.ConvBlock(4)", "Filters of the first layer", "SparseCategoricalCrossentropy", "2 epochs"):
        assert text in page.text
    assert f"<dd>{100 * run.history['val_accuracy'][-1]:.1f} %</dd>" in page.text
    names = {path.name for path in (run.run_dir / "figures").iterdir()}
    assert names == {"curves.png", "curves_accuracy.png", "confusion.png", "filters.png"}


@pytest.fixture
def few_figures(monkeypatch):
    """Draw neither learning curves nor diagrams, which other tests draw."""
    for name in ("curves_section", "model_section"):
        monkeypatch.setattr(run_report, name, lambda *args: "")
    monkeypatch.setattr(classification_report, "draw_confusion", lambda *args: None)
    monkeypatch.setattr(ReportFigures, "store", lambda *args: b"")


def test_the_page_is_self_contained_and_its_links_lead_to_its_sections(image_classifier):
    run, page, _, _ = image_classifier
    for text in ("http", "<script", "@import", "url("):
        assert text not in page.text
    assert len(set(page.ids)) == len(page.ids)
    assert [link.removeprefix("#") for link in page.links] == page.ids
    assert page.images
    assert all(image["alt"] and image["src"].startswith("data:") for image in page.images)
    assert run.report.stat().st_size < 1_000_000
    assert any(image["alt"].startswith("Diagram of ") for image in page.images)


@pytest.mark.usefixtures("few_figures")
def test_names_of_the_user_are_escaped(tmp_path):
    names = np.array(["<script>alert(1)</script>", "a & b", "كلب", "$x$", "long name " * 30, "猫"])
    y = names[np.arange(96) % 6]
    x = np.random.default_rng(0).random((96, 3)).astype("float32")
    _, page = fit(dk.Sequential([dk.Classifier(6)]), x, y, tmp_path=tmp_path, validation_data=(x, y))
    assert "<script" not in page.text
    rows = page.table("Class")
    shown = {row[0] for row in rows}
    assert {"<script>alert(1)</script>", "a & b", "كلب", "$x$", "猫"} <= shown
    assert max(map(len, shown)) <= 120


def section(task, labels, predictions, names=(), **kwargs):
    """Return the section of the report about one output, without figures."""
    output = OutputEvaluation(Head(task, predictions.shape[1]), labels, predictions, **kwargs)
    figures = NoFigures()
    if task == "regression":
        return Page(regression_section(output, names, figures, "", "validation"))
    if task == "multilabel":
        return Page(multilabel_section(output, names))
    return Page(classification_section(output, names, figures, ""))


class NoFigures(ReportFigures):
    """Draws no figure, which takes longer than all the rest of a test."""

    def store(self, file, figure):
        return b""


@pytest.fixture
def no_drawing(monkeypatch):
    """Draw no figure of an evaluation."""
    for module, name in (
        (classification_report, "draw_confusion"),
        (regression_report, "draw_true_and_predicted"),
        (regression_report, "draw_residuals"),
        (regression_report, "draw_coverage"),
    ):
        monkeypatch.setattr(module, name, lambda *args: None)


@pytest.mark.usefixtures("no_drawing")
def test_a_binary_classifier_has_the_metrics_of_its_probabilities():
    rng = np.random.default_rng(0)
    y, p = np.arange(50) % 2, rng.random(50)
    page = section("binary", y, np.stack([1 - p, p], 1), ("no", "yes"))
    rows = dict(page.table("Probability of yes")[1:])
    assert rows["Area under the ROC curve"] == f"{metrics.roc_auc_score(y, p):.3f}"
    assert rows["Average precision"] == f"{metrics.average_precision_score(y, p):.3f}"
    expected = metrics.classification_report(y, p > 0.5, output_dict=True, target_names=["no", "yes"])
    assert_equals_report(page.table("Class"), expected, ["no", "yes", "macro avg", "weighted avg"])


def test_a_multi_label_classifier_has_a_row_for_each_label():
    rng = np.random.default_rng(0)
    y, p = (rng.random((80, 3)) > 0.5).astype("float64"), rng.random((80, 3))
    y[:, 2] = 0  # its ROC curve is undefined
    page = section("multilabel", y, p)
    expected = metrics.classification_report(y, p > 0.5, output_dict=True, zero_division=0)
    rows = page.table("Class")
    assert_equals_report(rows, expected, ["0", "1", "2", "macro avg", "weighted avg"])
    assert rows[1][5:] == [
        f"{metrics.roc_auc_score(y[:, 0], p[:, 0]):.3f}",
        f"{metrics.average_precision_score(y[:, 0], p[:, 0]):.3f}",
    ]
    assert rows[3][5:] == ["undefined", "undefined"]
    assert f"all labels are correct for {((p > 0.5) == y).all(1).sum()} of 80 examples" in page.text


@pytest.mark.usefixtures("no_drawing")
def test_many_classes_are_reduced_to_the_worst():
    y = np.arange(300) % 30
    p = np.random.default_rng(0).random((300, 31)) + 0.9 * np.eye(31)[y]
    p[:, 30] = 0  # neither a label nor a prediction
    page = section("multiclass", y, p / p.sum(1, keepdims=True))
    predictions = p.argmax(1)
    scores = metrics.f1_score(y, predictions, average=None)
    rows = page.table("Class")[1:-2]
    assert [row[0] for row in rows] == [str(i) for i in np.argsort(scores, kind="stable")[:20]]
    assert "The 20 classes with the lowest F1 score; the other 10 are left out." in page.text
    assert "Without 1 class that is neither a label nor a prediction." in page.text
    counts = metrics.confusion_matrix(y, predictions) * (1 - np.eye(30, dtype=int))
    pairs = page.table("True class")
    assert pairs[1][2] == str(counts.max())
    assert counts[int(pairs[1][0]), int(pairs[1][1])] == counts.max()


@pytest.mark.usefixtures("no_drawing")
def test_a_regression_of_several_numbers():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(60, 2)) * [1, 100]
    p = y + rng.normal(size=(60, 2)) * [0.5, 20]
    page = section("regression", y, p, ("length", "price"))
    for i, name in enumerate(("length", "price")):
        row = page.table("Target")[1 + i]
        assert row[0] == name
        assert row[1] == f"{metrics.mean_absolute_error(y[:, i], p[:, i]):.4g}"
        assert row[2] == f"{metrics.root_mean_squared_error(y[:, i], p[:, i]):.4g}"
        assert row[3] == f"{metrics.r2_score(y[:, i], p[:, i]):.3f}"
        assert row[4:] == [f"{(p - y).mean(0)[i]:.3g}", f"{y.std(0)[i]:.4g}"]
    alternatives = {image["alt"] for image in page.images}
    assert {"Predicted against true price", "Histogram of predicted minus true length"} <= alternatives


@pytest.mark.usefixtures("no_drawing")
def test_equal_targets_have_no_coefficient_of_determination():
    page = section("regression", np.ones((5, 1)), np.arange(5.0)[:, None], ("target",))
    assert page.table("Target")[1][3] == "undefined"


@pytest.mark.usefixtures("no_drawing")
def test_many_targets_are_reduced_to_the_worst():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(40, 30))
    p = y + rng.normal(size=(40, 30)) * np.linspace(0.1, 2, 30)
    page = section("regression", y, p, [f"t{i}" for i in range(30)])
    scores = metrics.r2_score(y, p, multioutput="raw_values")
    assert [row[0] for row in page.table("Target")[1:]] == [f"t{i}" for i in np.argsort(scores)[:20]]
    assert "The 20 targets with the lowest R²; 10 others are left out." in page.text


@pytest.mark.slow
def test_the_report_of_a_regression_has_figures_and_the_largest_errors(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)).astype("float32")
    y = (x[:, :2] * [1, 100] + rng.normal(size=(60, 2))).astype("float32")
    run, page = fit(dk.Sequential([dk.Regressor(2)]), x, y, tmp_path=tmp_path, validation_data=(x, y))
    errors = (np.abs(run.model.predict(x, verbose=0) - y) / y.std(0)).mean(1)
    first = [float(value) for value in page.table("true")[1][3:]]  # after true, predicted and error
    np.testing.assert_allclose(first, x[errors.argmax()], rtol=1e-4)
    names = {path.name for path in (tmp_path / "run" / "figures").iterdir()}
    assert {f"{kind}_{i}.png" for kind in ("true_predicted", "residuals") for i in range(2)} <= names


@pytest.mark.slow
def test_a_table_shows_its_rows_with_the_names_of_the_columns(tmp_path):
    rng = np.random.default_rng(0)
    columns = {
        "area": rng.uniform(30, 200, 60),
        "city": np.array(["Oslo", "Rome"])[np.arange(60) % 2],
        "built": [f"{1990 + i % 30}-05-01" for i in range(60)],
    }
    columns["price"] = 3 * columns["area"]
    data = dk.data.from_table(columns, target="price", validation=20, verbose=False)
    _, page = fit(dk.Sequential([dk.TableEncoder(), dk.Regressor()]), data, tmp_path=tmp_path)
    rows = page.table("true price")
    assert rows[0] == ["true price", "predicted price", "error", "area", "city", "built"]
    assert rows[1][4] in ("Oslo", "Rome")
    assert re.fullmatch(r"\d{4}-05-01", rows[1][5])
    assert float(rows[1][0]) == pytest.approx(3 * float(rows[1][3]), rel=1e-3)
    assert page.table("Target")[1][0] == "price"
    assert page.table("Column")[1:] == [
        ["area", "numeric", "no"],
        ["city", "categorical", "no"],
        ["built", "date", "no"],
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("few_figures")
def test_misclassified_texts_are_readable(tmp_path):
    texts = np.array(["good <b>film</b>", "bad film", "good", "bad"] * 8)
    labels = np.array(["positive", "negative", "positive", "negative"] * 8)
    net = dk.Sequential([dk.Text(20, output_sequence_length=4), keras.layers.Embedding(20, 2), dk.Classifier(2)])
    flipped = np.where(labels == "positive", "negative", "positive")
    _, page = fit(net, texts, labels, tmp_path=tmp_path, epochs=5, learning_rate=0.1, validation_data=(texts, flipped))
    assert '<blockquote dir="auto">good &lt;b&gt;film&lt;/b&gt;</blockquote>' in page.text
    assert "<dt><bdi>probability</bdi></dt>" in page.text


@pytest.mark.slow
@pytest.mark.usefixtures("few_figures")
def test_a_class_of_each_position(tmp_path):
    x = np.random.default_rng(0).normal(size=(20, 5, 3)).astype("float32")
    y = (x[..., 0] > 0).astype("int32")
    net = dk.Sequential([keras.layers.Dense(4), dk.Classifier(2, pool=None)])
    run, page = fit(net, x, y, tmp_path=tmp_path, validation_data=(x, y))
    predictions = run.model.predict(x, verbose=0).argmax(-1)
    expected = metrics.classification_report(y.ravel(), predictions.ravel(), output_dict=True, zero_division=0)
    assert_equals_report(page.table("Class"), expected, ["0", "1", "macro avg"])
    assert "of 100 positions misclassified" in page.text


@pytest.mark.slow
@pytest.mark.usefixtures("few_figures")
def test_masked_positions_are_left_out(tmp_path):
    x = np.array([[1, 2, 0, 0], [2, 1, 2, 0]] * 8)
    y = (x == 2).astype("int32")
    net = dk.Sequential([keras.layers.Embedding(3, 2, mask_zero=True), dk.Classifier(2, pool=None)])
    _, page = fit(net, x, y, tmp_path=tmp_path, validation_data=(x, y))
    assert "of 40 positions misclassified" in page.text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("net", "heading"),
    [
        (dk.Autoencoder([dk.MLP([8])]), "Reconstructions"),
        (dk.VAE(dk.MLP([8]), latent_dim=2, decoder=dk.MLP([8]), likelihood="gaussian"), "Generated examples"),
        (
            dk.GAN(
                generator=[keras.layers.Dense(64), keras.layers.Reshape((8, 8, 1))],
                discriminator=[dk.Classifier(1)],
                latent_dim=2,
            ),
            "Generated examples",
        ),
    ],
)
def test_a_generative_model_shows_its_outputs_and_keeps_its_random_state(net, heading, tmp_path):
    x, y = images(64)
    data = dk.data.from_arrays(x, y, validation=16)
    run, page = fit(net, data, tmp_path=tmp_path)
    assert heading in page.text
    assert "warning" not in re.findall(r'<p class="(\w+)"', page.text)
    stored = checkpoint.load(tmp_path / "run").variables["model"]
    for variable, (_, value) in zip(run.model.variables, stored, strict=True):
        np.testing.assert_array_equal(np.asarray(variable), value)


@pytest.mark.slow
def test_an_encoder_decoder_model_shows_source_target_and_output(tmp_path):
    pairs = np.array(["ein hund", "ein <i>haus</i>"] * 8), np.array(["a dog", "a house"] * 8)
    net = dk.Seq2Seq(
        source=dk.Text(20), target=dk.Text(20), embedding_dim=4, encoder=dk.BiLSTM(4), decoder=dk.Recurrent("lstm", 4)
    )
    _, page = fit(net, pairs, tmp_path=tmp_path, validation_data=pairs)
    assert "<dt><bdi>target</bdi></dt><dd><bdi>a dog</bdi></dd><dt><bdi>output</bdi></dt>" in page.text
    assert "ein &lt;i&gt;haus&lt;/i&gt;" in page.text


def test_a_captioner_shows_images_with_captions_and_outputs(tmp_path):
    pairs = np.ones((16, 8, 8, 3), "float32"), np.array(["a dog", "two cats"] * 8)
    net = dk.Captioner([dk.ConvBlock(4, norm=None)], text=dk.Text(9), embedding_dim=4, decoder=dk.Recurrent("gru", 4))
    _, page = fit(net, pairs, tmp_path=tmp_path, validation_data=pairs)
    assert "Captioning model, trained for" in page.text
    assert "<dt><bdi>target</bdi></dt><dd><bdi>two cats</bdi></dd><dt><bdi>output</bdi></dt>" in page.text
    assert page.text.count('alt="Image ') == 8


def test_a_language_model_shows_texts_and_how_it_continues_them(tmp_path):
    net = dk.LanguageModel(dk.Text(9), embedding_dim=4, decoder=dk.Recurrent("gru", 4))
    _, page = fit(net, np.array(["one two three", ""] * 8), tmp_path=tmp_path)
    assert "The first third of the first 8 texts of the training data, continued with temperature 1." in page.text
    assert "one</blockquote>" in page.text
    assert (
        "<dt><bdi>text</bdi></dt><dd><bdi>one two three</bdi></dd><dt><bdi>output</bdi></dt><dd><bdi>one" in page.text
    )


@pytest.mark.slow
@pytest.mark.usefixtures("few_figures")
def test_a_run_without_validation_data_says_so(tmp_path):
    _, page = fit(dk.Sequential([dk.Classifier(2)]), images(), tmp_path=tmp_path)
    assert "This run has no validation data" in page.text
    assert "training accuracy" in page.text


@pytest.mark.slow
@pytest.mark.usefixtures("few_figures")
def test_a_failing_evaluation_leaves_the_rest_of_the_report(tmp_path, monkeypatch):
    def fail(*args):
        raise RuntimeError("no <luck>")

    monkeypatch.setattr(run_report, "evaluate_outputs", fail)
    x, y = images()
    _, page = fit(dk.Sequential([dk.Classifier(2)]), x, y, tmp_path=tmp_path, validation_data=(x, y))
    assert "The evaluation failed: RuntimeError: no &lt;luck&gt;" in page.text
    assert "Learning curves" in page.text


@pytest.mark.usefixtures("few_figures")
def test_a_report_evaluates_a_bounded_number_of_random_examples(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "MAX_EXAMPLES", 24)
    x, y = images()
    order = np.argsort(y)  # the first 24 examples have one class
    data = dk.data.from_arrays(x, y, validation=(x[order], y[order]), batch_size=8)
    _, page = fit(dk.Sequential([dk.Classifier(2)]), data, tmp_path=tmp_path)
    assert "Evaluated on 24 of 96 examples of the validation data, randomly chosen to limit the time." in page.text
    support = [int(row[4]) for row in page.table("Class")[1:3]]
    assert sum(support) == 24
    assert min(support) > 0


@pytest.mark.slow
def test_the_stored_epoch_is_that_of_early_stopping(tmp_path):
    x, y = images()
    stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=1, restore_best_weights=True)
    flipped = 1 - y  # the validation loss rises from the first epoch on
    run, page = fit(
        dk.Sequential([dk.Classifier(2)]),
        x,
        y,
        tmp_path=tmp_path,
        validation_data=(x, flipped),
        callbacks=[stop],
        epochs=9,
        learning_rate=0.1,
    )
    best = int(np.argmin(run.history["val_loss"]))
    assert run.epochs > best + 1
    assert f"those of epoch {best + 1}, the best of {run.epochs} for EarlyStopping" in page.text
    rows = {row[0]: row[1:] for row in page.table("Metric")[1:]}
    assert rows["loss"] == [f"{run.history['loss'][best]:.4g}", f"{run.history['val_loss'][best]:.4g}"]


@pytest.mark.slow
@pytest.mark.usefixtures("few_figures")
def test_the_next_call_writes_a_missing_report(tmp_path, monkeypatch):
    def call():
        return dk.fit(dk.Sequential([dk.Classifier(2)]), images(), epochs=1, run_dir=tmp_path / "run", verbose=0)

    def full(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(run_report, "write", full)
        with pytest.raises(RunDirError, match="the model is saved, its report is not"):
            call()
    assert call().report.exists()


@pytest.mark.parametrize("colors", [report_style.LIGHT, report_style.DARK])
def test_texts_have_a_contrast_of_at_least_4_5(colors):
    for text in ("text", "muted", "accent", "warning"):
        for background in ("page", "surface"):
            assert contrast(colors[text], colors[background]) >= 4.5
    assert contrast(report_style.HEADER["text"], report_style.HEADER["background"]) >= 4.5


def contrast(first, second):
    """Return the contrast ratio of two colors, as WCAG 2 defines it."""

    def luminance(color):
        channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["python3", "/home/me/bin/deepkit", "run", "lenet"], "deepkit run lenet"),
        (["python3", "src/train.py", "--rate", "0.1"], "python train.py --rate 0.1"),
        (["python3", "-m", "recipes.basics.xor"], "python -m recipes.basics.xor"),
        (["python3", "-c", "..."], None),
        (["python3"], None),
    ],
)
def test_the_report_shows_the_command_of_a_program(arguments, expected):
    assert command(arguments) == expected


def test_the_diagnosis_compares_with_the_majority_class(tmp_path):
    x, y = images()
    run, page = fit(dk.Sequential([dk.Classifier(2)]), x, y, tmp_path=tmp_path, validation_split=0.25)
    assert page.ids.index("evaluation") < page.ids.index("diagnosis") < page.ids.index("model")
    error = min(np.mean(y[:72]), 1 - np.mean(y[:72]))  # of a prediction that ignores the image
    rows = page.table("training error rate")
    assert rows[-1] == ["baseline error rate", f"{100 * error:.1f} %"]
    assert dk.teaching.diagnose(run).rule.capitalize() in page.text
