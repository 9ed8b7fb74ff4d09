"""One training on several workers: they compare their configs, the chief writes the files, and all stop together."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import keras
import numpy as np
import tensorflow as tf

from deepkit.execution.errors import ClusterError
from deepkit.execution.plan import Plan
from deepkit.execution.strategy import worker_error
from deepkit.training import state
from deepkit.training.config_difference import config_differences
from deepkit.training.errors import RunDirError
from deepkit.training.run_dir import RunDir
from deepkit.training.termination import StopOnSigterm
from deepkit.utils.cluster import Cluster

if TYPE_CHECKING:
    from deepkit.training.training_data import TrainingData
    from deepkit.utils.types import Nested

Value = TypeVar("Value")

_END = "\0"
_TOKEN = ".deepkit-shared-"
_EVALUATE = "evaluate"
_LOCAL_METHODS = ("predict", "predict_on_batch", "save", "save_weights", "export")
_WRITERS = (
    keras.callbacks.BackupAndRestore,
    keras.callbacks.CSVLogger,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.TensorBoard,
)


class WorkerRunDir(RunDir):
    """The run directory on a worker other than the chief, which reads the files of the run and writes none."""

    is_writable = False

    @contextlib.contextmanager
    def lock(self) -> Iterator[RunDir]:
        """Do not lock the directory: the chief has done so."""
        yield self

    def check_or_write_config(self, config: Mapping[str, object]) -> None:
        """Compare the config with that of the chief, which is in the directory.

        Raises:
            RunDirError: The directory is not that of the chief, or the run in it has another config.
        """
        if not self.config():
            raise RunDirError(
                f"run_dir: {self.path} holds no run on this worker, although the chief has begun one",
                hint="pass a path on a file system that all workers share",
            )
        super().check_or_write_config(config)

    def save_checkpoint(self, state: object) -> None:
        """Write nothing."""

    def replace_checkpoint(self, state: object) -> None:
        """Write nothing."""

    def save_result(self, result: object, write_model: Callable[[Path], None]) -> None:
        """Write nothing."""

    def save_fitted_states(self, states: Mapping[str, object]) -> None:
        """Write nothing."""

    def write(self, name: str, content: str | bytes) -> None:
        """Write nothing."""


class StopTogether(keras.callbacks.Callback):
    """Ends the training of all workers after the epoch in which one of them wants to stop.

    A worker that stopped alone would leave the others waiting for its gradients.

    Args:
        cluster_sum: Function that sums a number over the workers.
    """

    stateless = True

    def __init__(self, cluster_sum: Callable[[float], float]) -> None:
        super().__init__()
        self._cluster_sum = cluster_sum
        self._stops = False

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Continue to the end of the epoch."""
        if self.model.stop_training:
            self._stops, self.model.stop_training = True, False

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Stop if any worker wants to."""
        stops = self._stops or self.model.stop_training
        self.model.stop_training = self._cluster_sum(float(stops)) > 0


def run_dir_for(plan: Plan | None, path: Any) -> RunDir:
    """Return the run directory of this worker."""
    return RunDir(path) if plan is None or plan.is_chief else WorkerRunDir(path)


@contextlib.contextmanager
def distributed_training(
    plan: Plan, model: keras.Model, callbacks: Sequence[keras.callbacks.Callback]
) -> Iterator[Sequence[keras.callbacks.Callback]]:
    """Train a model over the workers in a `with` block; before and after it, its methods run on this worker alone.

    Args:
        plan: The plan, which this process has entered.
        model: The compiled model.
        callbacks: The user's callbacks.

    Yields:
        The callbacks for this worker: on workers other than the chief, a callback of Keras that writes files is
        replaced by one that does nothing. The last one stops all workers together.
    """
    if plan.cluster is None:
        yield callbacks
        return
    if not plan.is_chief:
        callbacks = [keras.callbacks.Callback() if isinstance(item, _WRITERS) else item for item in callbacks]
    model._distribute_strategy = plan.distribution
    for name in _LOCAL_METHODS:
        model.__dict__[name] = functools.partial(_call_method, model, getattr(model, name))
    model.__dict__[_EVALUATE] = functools.partial(_evaluate, model.evaluate)
    try:
        yield [*callbacks, StopTogether(functools.partial(cluster_sum, plan))]
    finally:
        for name in (*_LOCAL_METHODS, _EVALUATE):
            del model.__dict__[name]
        model._distribute_strategy = None


def stop_on_sigterm(plan: Plan) -> StopOnSigterm:
    """Return the callback that ends a training after SIGTERM, on all workers if it came to one of them."""
    if plan.cluster is None:
        return StopOnSigterm()
    return StopOnSigterm(lambda received: cluster_sum(plan, float(received)) > 0, is_shared=True)


def _call_method(model: keras.Model, method: Callable[..., Value], *args: Any, **kwargs: Any) -> Value:
    """Call a method of a model on this worker alone, as a callback may do."""

    def call() -> Value:
        strategy, model._distribute_strategy = model._distribute_strategy, None
        try:
            return method(*args, **kwargs)
        finally:
            model._distribute_strategy = strategy

    return call_locally(call)


def _evaluate(evaluate: Callable[..., Value], *args: Any, **kwargs: Any) -> Value:
    """Let Keras validate on all workers; raise for another evaluation, whose metrics would wait for all workers."""
    if kwargs.get("_use_cached_eval_dataset"):
        return evaluate(*args, **kwargs)
    raise ClusterError(
        "model.evaluate: a callback cannot evaluate a model while several workers train it",
        hint="pass validation_data to dk.fit, and read the results in the logs, or call model.predict",
    )


def copy_state(trained: keras.Model, model: keras.Model, data: TrainingData) -> keras.Model:
    """Copy the weights and the optimizer of a trained model to one on this worker alone, and return that one."""
    state.build_variables(model, data.sample_input)
    groups = state.variable_groups(trained)
    names = ("model", "optimizer")
    variables = {name: [(item.path, state.variable_value(item)) for item in groups[name]] for name in names}
    state.restore(model, {**variables, "metrics": []}, "the trained model")
    return model


def check_same_config(plan: Plan, config: Mapping[str, object], data: TrainingData) -> None:
    """Raise on every worker if the config of one differs from that of the chief.

    Raises:
        ClusterError: A config differs; the message lists the fields.
    """
    if plan.cluster is None:
        return
    new = json.dumps({**config, "first_batch": _batch_hash(data.sample_batch())})
    texts = gather(plan, new)
    chief = json.loads(texts[0])
    for index, text in enumerate(texts):
        differences = config_differences(chief, json.loads(text))
        if differences:
            lines = [line.replace(": stored ", ": the chief has ") for line in differences.values()]
            lines = [line.replace(", now ", ", this worker ") for line in lines]
            raise ClusterError(
                f"{plan.cluster.describe(index)} differs from the chief:\n" + "\n".join(lines),
                hint="run the same program with the same data on all workers; a tf.data.Dataset that shuffles needs a "
                "seed",
            )


def check_shared(plan: Plan, directory: RunDir) -> None:
    """Raise on every worker unless all of them see the run directory of the chief.

    Raises:
        ClusterError: The directory of a worker is another one.
    """
    if plan.cluster is None:
        return
    token = directory.path / f"{_TOKEN}{secrets.token_hex(8)}"
    if plan.is_chief:
        token.touch()
    name = gather(plan, token.name)[0]
    answers = gather(plan, str((directory.path / name).exists()))
    if plan.is_chief:
        token.unlink()
    missing = [plan.cluster.describe(index) for index, text in enumerate(answers) if text != str(True)]
    if missing:
        raise ClusterError(
            f"run_dir: {directory.path} is another folder on {' and '.join(missing)} than on the chief",
            hint="pass a path on a file system that all workers share, such as NFS",
        )


@contextlib.contextmanager
def chief_first(plan: Plan) -> Iterator[None]:
    """Run a `with` block on the chief, and then on the other workers."""
    if plan.cluster is not None and not plan.is_chief:
        barrier(plan)
    yield
    if plan.cluster is not None and plan.is_chief:
        barrier(plan)


def barrier(plan: Plan) -> None:
    """Wait until all workers are here."""
    if plan.cluster is not None:
        cluster_sum(plan, 0.0)


def cluster_sum(plan: Plan, value: float) -> float:
    """Return the sum of a number over the workers."""
    return sum(float(text) for text in gather(plan, repr(value)))


def gather(plan: Plan, text: str) -> list[str]:
    """Return a text of each worker, in their order; all workers must call it."""
    codes = tf.constant(np.frombuffer((text + _END).encode(), np.uint8).astype("int32"))
    strategy: Any = plan.distribution
    values = strategy.experimental_distribute_values_from_function(lambda context: codes)
    content = bytes(strategy.gather(values, axis=0).numpy().astype(np.uint8)).decode()
    texts = content.split(_END)[:-1]
    return texts[:: len(texts) // plan.num_workers]  # every device of a worker sends the text


@contextlib.contextmanager
def worker_errors(cluster: Cluster | None) -> Iterator[None]:
    """Convert TensorFlow's errors about lost workers to a `ClusterError` that names them.

    Raises:
        ClusterError: A worker has stopped.
    """
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InternalError) as error:
        lost = None if cluster is None else worker_error(error, cluster)
        if lost is None:
            raise
        raise lost from error


def call_locally(function: Callable[[], Value]) -> Value:
    """Call a function outside the scope of a strategy over workers: in another thread, which has no scope."""
    if not isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
        return function()
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(function).result()


def _batch_hash(batch: Nested) -> str:
    content = hashlib.blake2b(digest_size=8)
    for leaf in tf.nest.flatten(batch, expand_composites=True):
        array = np.asarray(leaf)
        content.update(f"{array.dtype}{array.shape}".encode())
        is_text = array.dtype == object
        content.update(repr(array.tolist()).encode() if is_text else np.ascontiguousarray(array).tobytes())
    return content.hexdigest()
