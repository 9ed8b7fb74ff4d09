"""The result of a training: the trained model with its history and plan, which predicts and is evaluated."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from deepkit.data import Data, Pipeline
from deepkit.data.batch_iterables import is_batch_iterable
from deepkit.data.image_source import naming_damaged_files
from deepkit.data.source_errors import original_errors
from deepkit.data.user_arrays import is_list_of_arrays
from deepkit.execution.plan import Measurement, Plan
from deepkit.models.autoregressive import AutoregressiveModel
from deepkit.training import text_labels, value_check
from deepkit.training.class_names import with_classes_of
from deepkit.training.fit_arguments import DataArguments, check_only_x, check_unlabeled
from deepkit.training.label_check import check_split
from deepkit.training.label_rules import head_rule
from deepkit.training.output_heads import named_outputs
from deepkit.training.prediction_checks import check_has_labels
from deepkit.training.prediction_data import evaluation_batches, prediction_batches, single_split
from deepkit.training.prediction_masks import MaskedPredictor, masked_predictor
from deepkit.training.prediction_settings import PredictionSettings
from deepkit.training.predictions import readable_predictions
from deepkit.training.raw_rows import labeled_rows, rows_as_inputs
from deepkit.training.training_data import as_tuple
from deepkit.utils.display import Displayable
from deepkit.utils.errors import make_error
from deepkit.utils.history import format_metric, history_value
from deepkit.utils.tracing import without_retracing_warnings

if TYPE_CHECKING:
    from deepkit.data.table_schema import TableSchema
    from deepkit.training.baseline_errors import BaselineErrors
    from deepkit.training.fit_arguments import ArraysLike, DataLike
    from deepkit.training.predictions import Predictions
    from deepkit.utils.types import ClassNames, Dataset, History, PathLike

_OTHER_METHODS = {  # of models that do not predict labels of their inputs
    "translate": "use run.model.translate(texts)",
    "caption": "use run.model.caption(images)",
    "generate": "use run.model.generate(text), or run.model.log_likelihood(texts)",
    "reconstruct": "use run.model.reconstruct(x), run.model.encode(x) or run.model.sample(num_samples)",
    "sample": "use run.model.sample(num_samples)",
    "recall": "use run.model.recall(x)",
    "act": "use run.model.act(observations)",
}


@dataclass(frozen=True, eq=False)
class Run(Displayable):
    """The result of a training.

    Args:
        model: The trained model.
        history: Loss and metrics of every epoch, by name, as in `keras.callbacks.History`. A metric with several
            values, such as `keras.metrics.F1Score()`, has a list of floats for each epoch.
        plan: The plan of the training.
        run_dir: The directory of the run, or None.
        report: The report in it, or None.
        resume: `"exact"`, or why a resumed run is only approximately equal to an uninterrupted one.
        seconds: Duration of training and validation, over all calls.
        epochs: Number of finished epochs, over all calls.
        class_names: Names of the classes by label, by name of the output if there are several; empty if unknown.
        prediction: The conversions of inputs and outputs that `predict` and `evaluate` repeat.
        finished: Whether the training finished; False for a run that `dk.load_run` loaded from a checkpoint.
        baseline_errors: Errors, on the training labels, of the best prediction that ignores the input, by measure;
            empty if unknown. `dk.teaching.diagnose` compares them with those of the model.

    Examples:
        >>> import deepkit as dk
        >>> run = dk.fit(
        ...     dk.Classifier(2), dk.data.points("circle", 40), epochs=2, verbose=0
        ... )
        >>> run.epochs, sorted(run.history)
        (2, ['accuracy', 'loss'])
        >>> run.model.count_params(), run.class_names, run.run_dir
        (6, ('outside', 'inside'), None)
    """

    model: keras.Model
    history: History
    plan: Plan
    run_dir: Path | None
    report: Path | None
    resume: str
    seconds: float
    epochs: int
    class_names: ClassNames = ()
    prediction: PredictionSettings = field(default_factory=PredictionSettings, repr=False)
    finished: bool = True
    baseline_errors: BaselineErrors = field(default_factory=dict)

    @property
    def columns(self) -> TableSchema | None:
        """The columns of the training table and their kinds; None for other data."""
        return self.prediction.columns

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """The timings from which `dk.autotune` chose the plan; empty if it did not."""
        return self.plan.measurements

    @without_retracing_warnings()
    @original_errors()
    def predict(
        self,
        x: DataLike | PathLike | Sequence[PathLike],
        *,
        batch_size: int | None = None,
        verbose: int | str = 0,
    ) -> Predictions:
        """Return readable predictions, in the order of the examples.

        The inputs are converted as in the training, and the outputs by the head of the model: logits become
        probabilities. `run.model.predict` returns the outputs of the model themselves.

        Args:
            x: Arrays, a list, several inputs as a list or as a mapping by name, a `dk.data` pipeline, or batches of a
                `tf.data.Dataset`. Labels in a dataset are ignored; a shuffled pipeline is read in the order of the
                files and not augmented. For a run on a table, raw rows: the path of a CSV file, a DataFrame, a mapping
                of columns, or a list of rows. For a run on a folder of images, the path of an image, a list of paths,
                or the path of a folder, whose images are read in the order of their names; they are decoded as the
                training images.
            batch_size: Examples per batch, 32 by default for arrays and files.
            verbose: 0 for silence, 1 for a progress bar, 2 for one line, as in Keras.

        Returns:
            For a classifier a named pair `(labels, probabilities)`, or `(labels, scores)` if it was trained with a
            hinge loss or is a perceptron; for a regressor an array, for `distribution="gaussian"` a named pair
            `(mean, stddev)`. For several outputs a dictionary or a list of them, as `model.predict` returns. If a
            classifier of each step masks steps, `labels` is a masked array of NumPy. The pair of a classifier of image
            files has the attribute `file_paths`.

        Raises:
            DataError: Image files cannot be read; it names them.
            TypeError: `x` has an unsupported type, or the model does not predict labels of its inputs.
            ValueError: `x` does not fit the model, or its images have another scale than the training images.

        Examples:
            >>> import numpy as np
            >>> import deepkit as dk
            >>> x, y = (
            ...     np.eye(3, dtype="float32").repeat(20, 0),
            ...     np.repeat(["cat", "dog", "owl"], 20),
            ... )
            >>> net = dk.Sequential([dk.Classifier(3)])
            >>> run = dk.fit(net, x, y, epochs=60, learning_rate=0.1, verbose=0)
            >>> labels, probabilities = run.predict(x[::20])
            >>> labels.tolist(), probabilities.shape
            (['cat', 'dog', 'owl'], (3, 3))
        """
        self._check_predicts()
        batches = prediction_batches(self.model, self.prediction, x, batch_size)
        decoder, paths = (batches.decoder, batches.file_paths) if isinstance(batches, Pipeline) else (None, ())
        with _reading_to_the_end(), naming_damaged_files(decoder), _explained_errors():
            if self._masked_predictor is None:
                outputs, masks = self.model.predict(batches, verbose=verbose), None
            else:
                outputs, masks = self._masked_predictor.predict_arrays(batches, verbose)
        names = list(named_outputs(self.model))
        return readable_predictions(outputs, names, self.prediction.heads, self.class_names, paths, masks=masks)

    @without_retracing_warnings()
    @original_errors()
    def evaluate(
        self,
        x: DataLike,
        y: ArraysLike | None = None,
        *,
        sample_weight: ArraysLike | None = None,
        batch_size: int | None = None,
        verbose: int | str = 0,
    ) -> dict[str, Any]:
        """Return the loss and the metrics on other data, with the conversions of the training.

        Args:
            x: As for `predict`; a dataset contains its labels, and a tuple is (x, y) or (x, y, sample_weight). Raw rows
                of a table may contain the target column.
            y: The labels: numbers, or the class names of the training; by name for several outputs.
            sample_weight: One weight for each example, or None.
            batch_size: Examples per batch, 32 by default for arrays.
            verbose: 0 for silence, 1 for a progress bar, 2 for one line, as in Keras.

        Returns:
            The loss and the metrics by name, as `model.evaluate(x, y, return_dict=True)` returns them.

        Raises:
            TypeError: The data has an unsupported type.
            ValueError: The data does not fit the model, or the model has no loss.
            LabelError: The labels do not fit the head of the model.

        Examples:
            >>> import numpy as np
            >>> import deepkit as dk
            >>> x, y = (
            ...     np.eye(3, dtype="float32").repeat(20, 0),
            ...     np.repeat(["cat", "dog", "owl"], 20),
            ... )
            >>> net = dk.Sequential([dk.Classifier(3)])
            >>> run = dk.fit(net, x, y, epochs=60, learning_rate=0.1, verbose=0)
            >>> run.evaluate(x, y)["accuracy"]
            1.0
        """
        if hasattr(type(self.model), "act"):
            problem = f"evaluate: {type(self.model).__name__} is evaluated in an environment"
            raise make_error(TypeError, problem, hint="use dk.evaluate_agent(run.model, env)")
        if not self.model.compiled:
            problem = f"evaluate: the model {self.model.name!r} has no loss, because Keras could not save it"
            raise make_error(ValueError, problem, hint="call run.model.compile(loss=..., metrics=...) first")
        check_has_labels(self.prediction, x)
        if isinstance(x, tuple) and y is None:
            x = (rows_as_inputs(self.columns, x[0]), *x[1:])
        else:
            x = labeled_rows(self.columns, x) if y is None else rows_as_inputs(self.columns, x)
        arguments = DataArguments(x, y, sample_weight, batch_size, output_names=self._output_names())
        check_unlabeled(arguments, self.prediction.target, f"the {type(self.model).__name__} {self.model.name!r}")
        arguments = self._encode(arguments)
        batches = evaluation_batches(self.model, self.prediction, arguments)
        if self.prediction.target == "labels":
            self._check_labels(batches, "x" if arguments.y is None else "y")
        with _reading_to_the_end(), _explained_errors():
            results = self.model.evaluate(batches, return_dict=True, verbose=verbose)
        return {name: history_value(value) for name, value in results.items()}

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={format_metric(values[-1])}" for name, values in self.history.items() if values)
        state = "finished" if self.finished else "interrupted"
        epochs = f"{self.epochs} epoch{'' if self.epochs == 1 else 's'}"
        return f"<Run {self.model.name}: {state} after {epochs} in {self.seconds:.1f} s; {last}>"

    @functools.cached_property
    def _masked_predictor(self) -> MaskedPredictor | None:
        """The model with the masks of its outputs; None if there are none."""
        return masked_predictor(self.model, self.prediction.heads)

    def _check_predicts(self) -> None:
        """Raise if the model does not predict labels of its inputs: it generates, or translates."""
        for name, hint in _OTHER_METHODS.items():
            if hasattr(type(self.model), name):
                problem = f"predict: {type(self.model).__name__} does not predict labels of its inputs"
                raise make_error(TypeError, problem, hint=hint)

    def _encode(self, arguments: DataArguments) -> DataArguments:
        """Return the data of an evaluation with class indices in place of class names; a tuple x is unpacked."""
        is_dataset = isinstance(arguments.x, Data | tf.data.Dataset) or is_batch_iterable(arguments.x)
        if is_dataset:
            check_only_x(arguments)
        x = single_split(arguments.x) if isinstance(arguments.x, Data) else arguments.x
        if isinstance(x, Pipeline):
            x = with_classes_of(self.class_names, x, "x")
            arguments = replace(arguments, x=x)
            labels = x.labels_in_memory
            encoded = self._encode_labels(labels, "x")
            return replace(arguments, x=x if encoded is labels else x.with_labels(encoded))
        if is_dataset or self.prediction.target != "labels":
            return arguments
        arrays = arguments.arrays()
        labels = self._encode_labels(arrays.y, "y")
        return replace(arguments, x=arrays.x, y=labels, sample_weight=arrays.sample_weight)

    def _output_names(self) -> tuple[str, ...]:
        """Return the names of the outputs if the model returns them as a mapping."""
        outputs = getattr(self.model, "output", None)
        return tuple(outputs) if isinstance(outputs, Mapping) else ()

    def _encode_labels(self, labels: Any, path: str) -> Any:
        if isinstance(self.model, AutoregressiveModel):  # its labels are texts, not class names
            return labels
        names = self.class_names
        if isinstance(labels, tuple) or is_list_of_arrays(labels):  # of outputs by position, which have no class names
            return tuple(text_labels.encode_names(item, (), f"{path}[{i}]") for i, item in enumerate(labels))
        if not isinstance(labels, Mapping):
            return text_labels.encode_names(labels, () if isinstance(names, Mapping) else names, path)
        by_output = names if isinstance(names, Mapping) else {}
        encoded = {
            name: text_labels.encode_names(value, by_output.get(name, ()), f"{path}[{name!r}]")
            for name, value in labels.items()
        }
        return encoded if any(encoded[name] is not value for name, value in labels.items()) else labels

    def _check_labels(self, batches: Dataset, path: str) -> None:
        """Raise if the labels do not fit the heads; the values in a `tf.data.Dataset` are not read."""
        specs = as_tuple(batches.element_spec)
        if len(specs) < 2 or isinstance(specs[1], tuple | list):  # labels by position, as in a compiled model
            return
        rules = {}
        for name, tensor in named_outputs(self.model).items():
            head = self.prediction.heads.get(name)
            if head is not None:
                rules[name] = head_rule(head, tuple(tensor.shape), "the trained model")
        check_split(rules, batches, path)


@contextlib.contextmanager
def _reading_to_the_end() -> Iterator[None]:
    """Hide Keras's warning that data of unknown length ends: each batch is read once."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Your input ran out of data")
        yield


@contextlib.contextmanager
def _explained_errors() -> Iterator[None]:
    """Raise the error of a check of values instead of the error of TensorFlow that reports it."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        explained = value_check.explain_error(error)
        if explained is None:
            raise
        raise explained from error
