import http.server
import threading

import pytest

from deepkit.data import download


@pytest.fixture
def server(monkeypatch):
    """A local server that answers with the status in the path."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(int(self.path.strip("/")))
            self.end_headers()

        def log_message(self, *arguments):
            pass

    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "is_reachable"), [(200, True), (404, True), (405, True), (407, False), (503, False)]
)
def test_every_answer_counts_except_the_failure_of_a_gateway(server, status, is_reachable):
    assert download.is_reachable([f"{server}/{status}"]) is is_reachable


def test_a_closed_port_is_not_reachable(server):
    host, port = server.rsplit(":", 1)
    assert not download.is_reachable([f"{host}:1/200"])
    assert download.is_reachable([f"{host}:1/200", f"{host}:{port}/200"])


def test_proxy_variables_are_respected(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    assert not download.is_reachable([f"{server}/200"])
