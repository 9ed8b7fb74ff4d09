"""One process of the benchmark of several workers: it trains, one epoch for each command on its standard input.

    python benchmarks/workers_program.py BATCH_SIZE

Commands are `epoch`, `sum` and `sent`; each answer is one line of JSON. Without `TF_CONFIG` the process trains alone.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

import deepkit as dk
from benchmarks.workers_network import sent_bytes
from benchmarks.workers_processes import NUM_STEPS, WARM_UP_STEPS
from deepkit.cli.cluster_doctor import sum_seconds
from deepkit.execution.plan import Plan

IMAGE_SHAPE, NUM_CLASSES = (32, 32, 3), 10
UNLIMITED_EPOCHS = 1_000_000  # the benchmark ends the process
NUM_SUMS = 20


def network() -> dk.Sequential:
    """Return the network: a million weights, without batch normalization, whose statistics are communication too."""
    stacks = [dk.ConvStack(filters, norm=None) for filters in (32, 64, 128)]
    return dk.Sequential([*stacks, dk.MLP([384]), dk.Classifier(NUM_CLASSES)])


class Commands(keras.callbacks.Callback):
    """Waits for a command before each epoch, and answers with the times of its steps.

    Args:
        plan: The plan of the training.
    """

    stateless = True

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Execute commands until one is `epoch`."""
        if epoch == 0:
            _answer({"weights": self.model.count_params()})
        for line in iter(sys.stdin.readline, ""):
            if line.strip() == "epoch":
                return
            _answer({"sent": sent_bytes()} if line.strip() == "sent" else self._sums())
        raise EOFError("the benchmark has ended")

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Start to measure after the steps of the warm-up, and answer after the last step."""
        if batch == WARM_UP_STEPS - 1:
            self._start = time.perf_counter()
        elif batch == WARM_UP_STEPS + NUM_STEPS - 1:
            seconds = time.perf_counter() - self._start
            reductions = num_reductions(self.model) if self._plan.num_workers > 1 else 0
            _answer({"seconds": seconds / NUM_STEPS, "reductions": reductions})

    def _sums(self) -> dict[str, float]:
        """Return the seconds of a sum of the gradients, and of a single number."""
        import tensorflow as tf

        gradients = [tf.zeros(weight.shape) for weight in self.model.trainable_variables]
        return {
            "gradients": statistics.median(sum_seconds(self._plan, gradients, NUM_SUMS)),
            "number": statistics.median(sum_seconds(self._plan, [tf.zeros(())], NUM_SUMS)),
        }


def num_reductions(model: keras.Model) -> int:
    """Return the number of reductions over the workers in a training step."""
    (step,) = model.train_function._run._list_all_concrete_functions()
    graph = step.graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return sum(node.op.startswith("CollectiveReduce") for node in nodes)


def _answer(content: Mapping[str, Any]) -> None:
    print(json.dumps(content), flush=True)


def main(args: Sequence[str]) -> None:
    """Train until the last epoch."""
    batch_size = int(args[0])
    plan = dk.plan(devices="CPU:0", seed=0, steps_per_execution=1)
    random = np.random.default_rng(0)
    num_examples = batch_size * (WARM_UP_STEPS + NUM_STEPS)
    images = random.normal(size=(num_examples, *IMAGE_SHAPE)).astype("float32")
    labels = random.integers(0, NUM_CLASSES, size=num_examples)
    dk.fit(
        network(), images, labels, epochs=UNLIMITED_EPOCHS, batch_size=batch_size, plan=plan,
        callbacks=[Commands(plan)], verbose=0,
    )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
