"""The checks of `deepkit doctor --cluster`: connections, versions, clocks, a shared folder, the sum of gradients."""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepkit.cli.check_result import CheckResult
from deepkit.utils.cluster import find_cluster

if TYPE_CHECKING:
    from deepkit.execution.plan import Plan
    from deepkit.utils.types import Tensor

_MAX_CLOCK_SECONDS = 1.0
_MEGABYTES = (0.004, 4.0, 100.0)  # one value of a metric; a small network; ResNet-50
_ROUNDS = 5
_HINT = "use deepkit launch, srun or TF_CONFIG to start it on all hosts"


def check_cluster(run_dir: Path | None) -> Iterator[CheckResult]:
    """Connect to the other workers, and check what a training on them needs; all workers must run it.

    Args:
        run_dir: The folder that all workers share; None to leave this check out.
    """
    cluster = find_cluster("auto")
    if cluster is None:
        text = "this process is alone: there is no TF_CONFIG with several workers, and no SLURM step with several tasks"
        yield CheckResult("cluster", "fail", text, _HINT)
        return
    from deepkit.execution.errors import ClusterError
    from deepkit.execution.plan import plan

    try:
        connected = plan()
    except ClusterError as error:
        yield CheckResult("cluster", "fail", error.problem, error.hint)
        return
    text = f"{len(cluster.addresses)} workers from {cluster.source}; this is {cluster.describe(cluster.index)}"
    yield CheckResult("cluster", "ok", text)
    yield CheckResult("versions", "ok", "all workers have the same versions of Python, deepkit, TensorFlow and Keras")
    yield check_clocks(connected)
    if run_dir is not None:
        yield check_folder(connected, run_dir)
    yield CheckResult("sum over workers", "ok", ", ".join(measure_sums(connected)))


def check_clocks(plan: Plan) -> CheckResult:
    """Check that the clocks of the workers agree, up to the time of a message."""
    from deepkit.training import workers

    workers.barrier(plan)
    times = [float(text) for text in workers.gather(plan, repr(time.time()))]
    difference = max(times) - min(times)
    text = f"differ by {difference:.2f} s at most"
    if difference <= _MAX_CLOCK_SECONDS:
        return CheckResult("clocks", "ok", text)
    return CheckResult("clocks", "warn", text, "start an NTP service, or the times in logs and reports are wrong")


def check_folder(plan: Plan, folder: Path) -> CheckResult:
    """Check that all workers see a file that the chief writes in the folder."""
    from deepkit.training import workers

    token = folder / f".deepkit-doctor-{secrets.token_hex(8)}"
    problem = ""
    if plan.is_chief:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            token.touch()
        except OSError as error:
            problem = f"the chief cannot write to {folder}: {error.strerror}"
    name = workers.gather(plan, token.name)[0]
    answers = workers.gather(plan, str((folder / name).exists()))
    token.unlink(missing_ok=True)
    missing = [index for index, text in enumerate(answers) if text != str(True)]
    if problem or missing:
        problem = problem or f"{folder} is another folder on worker {', '.join(map(str, missing))} than on the chief"
        return CheckResult("shared folder", "fail", problem, "use a path on a file system that all workers share")
    return CheckResult("shared folder", "ok", f"all workers see the files of the chief in {folder}")


def measure_sums(plan: Plan) -> list[str]:
    """Return the time of a sum of float32 values over the workers, for several sizes."""
    import tensorflow as tf

    texts = []
    for megabytes in _MEGABYTES:
        values = tf.zeros(int(megabytes * 1e6 / 4), tf.float32)
        seconds = statistics.median(sum_seconds(plan, [values], _ROUNDS))
        texts.append(f"{megabytes:g} MB in {1e3 * seconds:.1f} ms")
    return texts


def sum_seconds(plan: Plan, values: Sequence[Tensor], count: int) -> list[float]:
    """Return the seconds of sums of some tensors over the workers; all workers must call it.

    Args:
        plan: The plan of the workers.
        values: The tensors, which are summed together as the gradients of a step are.
        count: Number of sums to measure, after one that is not.
    """
    import tensorflow as tf

    strategy: Any = plan.distribution

    def reduce(tensors: Sequence[Tensor]) -> Any:
        replica = tf.distribute.get_replica_context()
        return replica.all_reduce(tf.distribute.ReduceOp.SUM, [tf.identity(tensor) for tensor in tensors])

    total = tf.function(lambda: strategy.run(reduce, args=(list(values),)), autograph=False)
    total()
    seconds = []
    for _ in range(count):
        start = time.perf_counter()
        strategy.experimental_local_results(total()[0])[0].numpy()
        seconds.append(time.perf_counter() - start)
    return seconds
