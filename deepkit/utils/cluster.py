"""The processes that train one model together, as the environment or the user names them."""

from __future__ import annotations

import json
import os
import re
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deepkit.utils.errors import format_value, make_error
from deepkit.utils.validation import is_integer

TF_CONFIG = "TF_CONFIG"
_ADDRESS = re.compile(r"(?P<host>[^\s:]+|\[[0-9a-fA-F:.]+\]):(?P<port>\d{1,5})")
_EXAMPLE = 'workers=["host0:2222", "host1:2222"]'
_SLURM_PORT = 8888


@dataclass(frozen=True)
class Cluster:
    """The processes that train one model together: workers, of which the first one is the chief.

    Args:
        addresses: Address of each worker, such as `"host0:2222"`.
        index: Number of this process among them, from 0.
        source: Where the addresses come from, for messages.
    """

    addresses: tuple[str, ...]
    index: int
    source: str = "workers"

    def __post_init__(self) -> None:
        for address in self.addresses:
            match = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
            if not match or not 0 < int(match["port"]) < 2**16:
                _raise(f"{self.source}: expected addresses host:port, received {format_value(address)}", _EXAMPLE)
        repeated = [address for address, count in Counter(self.addresses).items() if count > 1]
        if repeated:
            _raise(f"{self.source}: two workers have the address {repeated[0]}", "use one port for each worker")
        if not is_integer(self.index) or not 0 <= self.index < len(self.addresses):
            hint = f"use an index from 0 to {len(self.addresses) - 1}"
            _raise(f"{self.source}: there is no worker {self.index} among {len(self.addresses)}", hint)

    @property
    def address(self) -> str:
        """Address of this worker."""
        return self.addresses[self.index]

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run directory and the report."""
        return self.index == 0

    def describe(self, index: int) -> str:
        """Return the number and the address of a worker, for messages."""
        return f"worker {index} ({self.addresses[index]})"

    def tf_config(self) -> str:
        """Return the value of `TF_CONFIG` for this worker."""
        task = {"type": "worker", "index": self.index}
        return json.dumps({"cluster": {"worker": list(self.addresses)}, "task": task})


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of an address."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def find_cluster(workers: object, environment: Mapping[str, str] = os.environ) -> Cluster | None:
    """Return the cluster of this process, or None if it trains alone.

    Args:
        workers: `"auto"` for `TF_CONFIG`, else the tasks of a SLURM step; None or 1 for this process alone; or the
            addresses of all workers, of which exactly one must belong to this machine.
        environment: The environment variables.

    Raises:
        ValueError: The addresses are invalid, or do not tell which of the workers this process is.
    """
    if workers is None or (is_integer(workers) and workers == 1):
        return None
    if isinstance(workers, str) and workers == "auto":
        return _from_tf_config(environment) or _from_slurm(environment)
    if isinstance(workers, list | tuple) and workers:
        cluster = Cluster(tuple(workers), 0)
        return Cluster(cluster.addresses, _own_index(cluster.addresses, environment)) if len(workers) > 1 else None
    hint = f"use {_EXAMPLE}, 'auto' for TF_CONFIG or SLURM, or None to train alone"
    raise _error(f"workers={format_value(workers)}: expected a list of addresses, 'auto' or None", hint)


def _from_tf_config(environment: Mapping[str, str]) -> Cluster | None:
    """Return the cluster of `TF_CONFIG`, as Kubeflow's TFJob sets it; None without one, or with a single task."""
    text = environment.get(TF_CONFIG, "").strip()
    if not text:
        return None
    example = '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
    try:
        config = json.loads(text)
    except ValueError as error:
        raise _error(f"{TF_CONFIG} is not JSON: {error}", f"set it to {example}, or remove it") from error
    if not isinstance(config, dict) or not isinstance(config.get("cluster", {}), dict):
        raise _error(f"{TF_CONFIG}: expected a JSON object with a cluster, received {text}", f"set it to {example}")
    groups: dict[str, Any] = config.get("cluster", {})
    unsupported = sorted(name for name in groups if name not in ("chief", "master", "worker", "evaluator"))
    if unsupported:
        problem = f"{TF_CONFIG}: the cluster has tasks of type {unsupported[0]!r}, and deepkit trains with workers only"
        raise _error(problem, 'use only "worker", or "chief" and "worker"')
    chiefs = [*groups.get("chief", ()), *groups.get("master", ())]
    addresses = (*chiefs, *groups.get("worker", ()))
    if len(addresses) <= 1:
        return None
    task = config.get("task") or {}
    kind, index = task.get("type"), task.get("index", 0)
    if kind not in ("chief", "master", "worker") or not is_integer(index) or not 0 <= index < len(groups.get(kind, ())):
        problem = f"{TF_CONFIG}: the task {json.dumps(task)} is not in the cluster {json.dumps(groups)}"
        raise _error(problem, 'set task to {"type": "worker", "index": 0} and so on, different on each worker')
    return Cluster(addresses, index + (len(chiefs) if kind == "worker" else 0), TF_CONFIG)


def _from_slurm(environment: Mapping[str, str]) -> Cluster | None:
    """Return the tasks of the SLURM step of this process; None outside a step, or in a step of one task."""
    num_tasks = int(environment.get("SLURM_STEP_NUM_TASKS", 1))
    if "SLURM_PROCID" not in environment or num_tasks < 2:
        return None
    import tensorflow as tf

    resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
        port_base=_SLURM_PORT, gpus_per_node=num_tasks, gpus_per_task=1, auto_set_gpu=False
    )  # without the numbers of GPUs it calls nvidia-smi; the addresses do not depend on them
    addresses = resolver.cluster_spec().as_dict()["worker"]
    return Cluster(tuple(addresses), int(environment["SLURM_PROCID"]), "SLURM")


def _own_index(addresses: Sequence[str], environment: Mapping[str, str]) -> int:
    """Return the number of the one address that belongs to this machine."""
    variable = "DEEPKIT_WORKER_INDEX"
    if environment.get(variable, ""):
        text = environment[variable]
        if not text.isdecimal() or int(text) >= len(addresses):
            raise _error(f"{variable}={text}: expected a number from 0 to {len(addresses) - 1}", "number the workers")
        return int(text)
    local = [index for index, address in enumerate(addresses) if _is_local(split_address(address)[0])]
    if len(local) != 1:
        which = "no address belongs" if not local else f"{len(local)} addresses belong"
        raise _error(f"workers: {which} to this machine, {socket.gethostname()}", f"set {variable}=0, 1, ... on each")
    return local[0]


def _is_local(host: str) -> bool:
    """Return whether this machine has the address of a host: whether a socket can be bound to it."""
    try:
        info = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(info[0], info[1]) as probe:
            probe.bind(info[4])
    except OSError:
        return False
    return True


def _error(problem: str, hint: str) -> Exception:
    return make_error(ValueError, problem, hint=hint)


def _raise(problem: str, hint: str) -> None:
    raise _error(problem, hint)
