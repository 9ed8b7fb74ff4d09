"""How a process finds the cluster it belongs to, and how the workers meet."""

import contextlib
import json
import socket
import threading
import time

import pytest

from deepkit.execution import rendezvous
from deepkit.execution.errors import ClusterError
from deepkit.execution.strategy import worker_error
from deepkit.utils.cluster import Cluster, find_cluster

HOSTS = ["host0:2222", "host1:2223"]


def tf_config(cluster, kind="worker", index=0):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


def test_tf_config_names_the_workers():
    cluster = find_cluster("auto", tf_config({"worker": HOSTS}, index=1))
    assert (cluster.addresses, cluster.index, cluster.is_chief) == (tuple(HOSTS), 1, False)
    assert cluster.describe(1) == "worker 1 (host1:2223)"
    assert json.loads(cluster.tf_config()) == json.loads(tf_config({"worker": HOSTS}, index=1)["TF_CONFIG"])


@pytest.mark.parametrize(("kind", "index", "expected"), [("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2)])
def test_a_chief_comes_before_the_workers(kind, index, expected):
    cluster = find_cluster("auto", tf_config({"chief": ["a:1"], "worker": HOSTS}, kind, index))
    assert (cluster.addresses[0], cluster.index) == ("a:1", expected)


@pytest.mark.parametrize(
    "environment", [{}, {"TF_CONFIG": ""}, tf_config({"worker": HOSTS[:1]}), {"SLURM_PROCID": "0"}]
)
def test_a_process_without_others_trains_alone(environment):
    assert find_cluster("auto", environment) is None
    assert find_cluster(None, tf_config({"worker": HOSTS})) is None
    assert find_cluster(1, tf_config({"worker": HOSTS})) is None


def test_slurm_names_the_workers(monkeypatch):
    environment = {
        "SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "3", "SLURM_STEP_NODELIST": "n[1-2]",
        "SLURM_STEP_TASKS_PER_NODE": "2,1",
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    cluster = find_cluster("auto", environment)
    assert (cluster.addresses, cluster.index) == (("n1:8888", "n1:8889", "n2:8888"), 2)


def test_a_list_of_addresses_needs_to_tell_which_worker_this_is():
    assert find_cluster(["localhost:2222", "host.invalid:2222"], {}).index == 0
    assert find_cluster(HOSTS, {"DEEPKIT_WORKER_INDEX": "1"}).index == 1
    with pytest.raises(ValueError, match="2 addresses belong to this machine"):
        find_cluster(["localhost:1", "localhost:2"], {})
    with pytest.raises(ValueError, match=r"no address belongs to this machine(.|\n)*DEEPKIT_WORKER_INDEX=0, 1"):
        find_cluster(["host0.invalid:1", "host1.invalid:1"], {})


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({"TF_CONFIG": "{"}, "TF_CONFIG is not JSON"),
        ({"TF_CONFIG": "[]"}, "expected a JSON object with a cluster"),
        (tf_config({"worker": HOSTS, "ps": ["p:1"]}), "tasks of type 'ps'"),
        (tf_config({"worker": HOSTS}, index=2), "is not in the cluster"),
        (tf_config({"worker": HOSTS}, kind="evaluator"), "is not in the cluster"),
        (tf_config({"worker": ["host0", "host1:1"]}), "expected addresses host:port, received 'host0'"),
        (tf_config({"worker": ["host0:1", "host0:1"]}), "two workers have the address host0:1"),
        (tf_config({"worker": ["host0:70000", "host1:1"]}), "received 'host0:70000'"),
    ],
)
def test_an_invalid_tf_config_raises(environment, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is checked below
        find_cluster("auto", environment)
    assert text in str(caught.value)
    assert "\n  hint: " in str(caught.value)


@pytest.mark.parametrize("workers", ["two", 2, (), 1.5])
def test_an_invalid_argument_raises(workers):
    with pytest.raises(ValueError, match="expected a list of addresses, 'auto' or None"):
        find_cluster(workers, {})


def free_addresses(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for item in sockets:
            item.bind(("", 0))
        return tuple(f"localhost:{item.getsockname()[1]}" for item in sockets)


def meet_all(addresses, facts, seconds=10.0, indices=None):
    """Let workers meet in threads; return the error of each, or None."""
    errors = {}

    def meet(index):
        try:
            rendezvous.meet(Cluster(addresses, index), facts[index], seconds)
            errors[index] = None
        except ClusterError as error:
            errors[index] = str(error)

    indices = range(len(addresses)) if indices is None else indices
    threads = [threading.Thread(target=meet, args=(index,)) for index in indices]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    return errors


def test_workers_with_the_same_versions_meet():
    assert meet_all(free_addresses(3), [{"keras": "3"}] * 3) == {0: None, 1: None, 2: None}


def test_a_difference_is_refused_on_every_worker():
    addresses = free_addresses(3)
    errors = meet_all(addresses, [{"keras": "3"}, {"keras": "3"}, {"keras": "4"}])
    assert len(set(errors.values())) == 1
    assert errors[0].startswith(f"worker 2 ({addresses[2]}) has keras 4, and the chief has 3\n  hint: install the same")


def test_a_missing_worker_ends_the_waiting_of_all(capsys):
    addresses = free_addresses(3)
    start = time.monotonic()
    errors = meet_all(addresses, [{}] * 3, seconds=1.5, indices=[0, 1])
    assert time.monotonic() - start < 20
    assert errors[0] == errors[1]
    assert errors[0].startswith(f"2 of 3 workers are there; missing: worker 2 ({addresses[2]})")
    assert "DEEPKIT_CLUSTER_TIMEOUT" in errors[0]
    assert f"waiting for worker 2 ({addresses[2]})" in capsys.readouterr().out


def test_a_missing_chief_ends_the_waiting():
    addresses = free_addresses(2)
    errors = meet_all(addresses, [{}] * 2, seconds=0.5, indices=[1])
    assert errors[1].startswith(f"worker 1 ({addresses[1]}) cannot reach the chief, worker 0 ({addresses[0]})")


def test_a_port_in_use_raises():
    addresses = free_addresses(2)
    with socket.socket() as other:
        other.bind(("", int(addresses[0].rpartition(":")[2])))
        other.listen()
        errors = meet_all(addresses, [{}] * 2, seconds=0.5, indices=[0])
    assert "cannot listen on port" in errors[0]
    assert "stop the process that uses the port" in errors[0]


def test_two_workers_with_one_number_are_refused():
    addresses = free_addresses(3)
    errors = {}

    def report_as(name, index):
        try:
            facts = {"greeting": "deepkit", "index": index, "addresses": list(addresses)}
            errors[name] = rendezvous._report(Cluster(addresses, index), facts, time.monotonic() + 5)
        except ClusterError as error:
            errors[name] = str(error)

    threads = [threading.Thread(target=report_as, args=(name, 1)) for name in ("first", "second")]
    for thread in threads:
        thread.start()
    chief = meet_all(addresses, [{}] * 3, seconds=2.0, indices=[0])
    for thread in threads:
        thread.join(30)
    assert "2 of 3 workers are there" in chief[0]
    assert any("a worker with the number 1 is there already" in error["problem"] for error in errors.values())


def test_a_port_scanner_does_not_disturb_the_meeting():
    addresses = free_addresses(2)
    host, _, port = addresses[0].rpartition(":")
    errors = {}
    chief = threading.Thread(target=lambda: errors.update(meet_all(addresses, [{}] * 2, indices=[0])))
    chief.start()
    deadline, is_scanned = time.monotonic() + 10, False
    while not is_scanned and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            is_scanned = True
    errors.update(meet_all(addresses, [{}] * 2, indices=[1]))
    chief.join(30)
    assert (is_scanned, errors) == (True, {0: None, 1: None})


@pytest.mark.parametrize("text", ["0", "-1", "soon", "inf", "nan"])
def test_an_invalid_timeout_raises(monkeypatch, text):
    monkeypatch.setenv("DEEPKIT_CLUSTER_TIMEOUT", text)
    with pytest.raises(ValueError, match=r"expected a positive number\n  hint: use a number of seconds"):
        rendezvous.timeout_seconds()


def test_the_error_of_a_lost_worker_names_it():
    cluster = Cluster(("a:1", "b:2", "c:3"), 0)
    text = "Error reported from /job:worker/task:1: ... /job:worker/replica:0/task:2 ... /job:worker/task:0"
    error = str(worker_error(RuntimeError(text), cluster))
    assert error.startswith("worker 0 (a:1) cannot go on: worker 1 (b:2) and worker 2 (c:3) stopped")
    assert worker_error(RuntimeError("out of memory"), cluster) is None
