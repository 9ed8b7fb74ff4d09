"""The strategy for several devices, and checks that training over them equals training on one device."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol, cast

import keras
import tensorflow as tf

from deepkit.execution import rendezvous
from deepkit.execution.errors import ClusterError
from deepkit.utils.cluster import Cluster
from deepkit.utils.errors import message

_TASK = re.compile(r"/job:worker/(?:replica:\d+/)?task:(\d+)")


class Strategy(Protocol):
    """A `tf.distribute.Strategy`."""

    @property
    def num_replicas_in_sync(self) -> int:
        """Number of devices."""
        ...

    def scope(self) -> AbstractContextManager[object]:
        """Return the context in which the strategy owns the variables that are created."""
        ...


@functools.cache
def mirrored(devices: tuple[str, ...]) -> Strategy:
    """Return the strategy over these devices, always the same one: a model belongs to the strategy that built it."""
    return tf.distribute.MirroredStrategy([f"/{name}" for name in devices])


@functools.cache
def multi_worker(cluster: Cluster) -> Strategy:
    """Meet the other workers of a cluster, connect to them, and return the strategy over them, always the same one.

    Raises:
        ClusterError: A worker is missing or differs, or TensorFlow has computed something before.
    """
    rendezvous.meet(cluster)
    spec = tf.train.ClusterSpec({"worker": list(cluster.addresses)})
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        spec, task_type="worker", task_id=cluster.index, rpc_layer="grpc"
    )
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except tf.errors.OpError as error:
        raise worker_error(error, cluster) or error from error
    except (RuntimeError, ValueError) as error:
        raise ClusterError(
            f"{cluster.describe(cluster.index)}: TensorFlow cannot connect to other workers any more: {error}",
            hint="call dk.plan() at the beginning of the program, before data is loaded or anything is computed",
        ) from error


def worker_error(error: Exception, cluster: Cluster) -> ClusterError | None:
    """Return the error of a lost connection, with the names of the workers that TensorFlow names; None for others."""
    tasks = sorted({int(number) for number in _TASK.findall(str(error))} - {cluster.index})
    if not tasks and not isinstance(error, tf.errors.UnavailableError):
        return None
    names = " and ".join(cluster.describe(task) for task in tasks if task < len(cluster.addresses))
    lost = f"{names} stopped, or cannot be reached" if names else "another worker stopped, or cannot be reached"
    return ClusterError(
        f"{cluster.describe(cluster.index)} cannot go on: {lost}",
        hint="its own output says why; the same command on all hosts resumes a run with a run_dir",
    )


def synchronize_batch_norm(model: keras.Model) -> int:
    """Let every batch normalization use the statistics of the whole batch; return how many layers there are."""
    norms = list(_batch_norms(model))
    for layer in norms:
        layer.synchronized = True
    return len(norms)


def check_batch_norm(model: keras.Model) -> None:
    """Raise if a batch normalization would use the statistics of its device's share of a batch only."""
    unsynchronized = [layer.name for layer in _batch_norms(model) if not layer.synchronized]
    if unsynchronized:
        raise ValueError(
            message(
                "batch normalization over several devices needs synchronized=True; without it each device keeps its "
                "own statistics, and only one device's statistics are saved",
                path=unsynchronized[0],
                hint="use layers.BatchNormalization(synchronized=True), or pass dk.fit the definition, which sets it",
            )
        )


def _batch_norms(layer: keras.layers.Layer) -> Iterator[keras.layers.BatchNormalization]:
    if isinstance(layer, keras.layers.BatchNormalization):
        yield layer
    nested = [*getattr(layer, "layers", ()), getattr(layer, "layer", None), getattr(layer, "cell", None)]
    for inner in nested:
        if isinstance(inner, keras.layers.Layer):
            yield from _batch_norms(inner)


def check_optimizer(optimizer: keras.optimizers.Optimizer, devices: tuple[str, ...]) -> None:
    """Raise for an optimizer that does not train over several devices as it does on one."""
    if len(devices) < 2:
        return
    inner = cast("keras.optimizers.Optimizer", getattr(optimizer, "inner_optimizer", optimizer))
    over = f"over {len(devices)} devices"
    if inner.use_ema:
        raise ValueError(
            message(
                f"use_ema=True {over}: Keras cannot average weights that are mirrored on several devices",
                hint="use one device, or use_ema=False",
            )
        )
    if inner.gradient_accumulation_steps:
        raise ValueError(
            message(
                f"gradient_accumulation_steps={inner.gradient_accumulation_steps} {over}: Keras cannot sum gradients "
                "over devices in an update that not every batch makes",
                hint="use one device, or gradient_accumulation_steps=None with a larger batch_size",
            )
        )
    for name in ("clipnorm", "global_clipnorm", "clipvalue"):
        value = getattr(inner, name)
        if value is not None:
            raise ValueError(
                message(
                    f"{name}={value} {over}: Keras clips each device's gradient before the gradients are summed, so "
                    "the step would differ from that on one device",
                    hint=f"use one device, or {name}=None",
                )
            )


def check_batches(batch_size: int, last_batch_size: int, devices: tuple[str, ...]) -> None:
    """Raise if a batch has fewer examples than there are devices."""
    count = len(devices)
    if batch_size < count:
        problem = f"batch_size={batch_size}: a batch needs an example for each of {count} devices"
        raise ValueError(message(problem, hint=f"use a batch_size of at least {count}, or fewer devices"))
    if last_batch_size < count:
        problem = (
            f"batch_size={batch_size}: the last batch of an epoch has {last_batch_size} "
            f"{'example' if last_batch_size == 1 else 'examples'}, and each of {count} devices needs one"
        )
        raise ValueError(message(problem, hint="use another batch_size, or data.train.rebatch(drop_remainder=True)"))


def check_strings(spec: object, devices: tuple[str, ...]) -> None:
    """Raise if batches contain strings: Keras builds a model from the mean of the devices' batches.

    Args:
        spec: Structure of `tf.TensorSpec`, the `element_spec` of the dataset.
        devices: Names of the devices.
    """
    if any(getattr(leaf, "dtype", None) == tf.string for leaf in keras.tree.flatten(spec)):
        raise ValueError(
            message(
                f"data: it contains strings, which Keras cannot split over {len(devices)} devices",
                hint="use one device, or convert the strings to token ids first with layers.TextVectorization",
            )
        )
