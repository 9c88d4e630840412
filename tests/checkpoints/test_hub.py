import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Barrier, Thread

import pytest

import lagllama_adapters
from lagllama_adapters.checkpoints import hub
from lagllama_adapters.checkpoints.format import read_checkpoint
from lagllama_adapters.checkpoints.published import read_published_checkpoint

LOAD = """
import json, sys
from lagllama_adapters import load_pretrained
from lagllama_adapters.checkpoints.hub import published_folder
try:
    model = load_pretrained("published")
except Exception as error:
    result = {"error": type(error).__name__, "message": str(error)}
else:
    result = {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "folder": str(published_folder()),
    }
print("RESULT" + json.dumps(result))
"""


class Hub(ThreadingHTTPServer):
    """What hf_hub_download needs of a hub: one file at one revision of one repository."""

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), _Resolve)
        self.content = content
        self.requests = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def sent(self, method):
        return [path for sent, path in self.requests if sent == method]


class _Resolve(BaseHTTPRequestHandler):
    def do_GET(self):
        self._answer(send_body=True)

    def do_HEAD(self):
        self._answer(send_body=False)

    def _answer(self, send_body):
        self.server.requests.append((self.command, self.path))
        expected = f"/{hub.PUBLISHED_REPO}/resolve/{hub.PUBLISHED_REVISION}/{hub.PUBLISHED_FILE}"
        found = self.path == expected
        content = self.server.content if found else b"not found"
        self.send_response(200 if found else 404)
        if found:
            self.send_header("X-Repo-Commit", hub.PUBLISHED_REVISION)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if send_body:
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    servers = []

    def start(content):
        server = Hub(content)
        Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def load_in_process(tmp_path):
    """load_pretrained("published") in a process of its own, with empty caches under tmp_path."""
    kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}

    def load(url, **environment):
        done = subprocess.run(
            [sys.executable, "-c", LOAD],
            env={
                **kept,
                "PYTHONPATH": str(Path(lagllama_adapters.__file__).parents[1]),
                "HF_ENDPOINT": url,
                "HF_HOME": str(tmp_path / "hub"),
                "HF_HUB_OFFLINE": "0",
                "LAGLLAMA_CACHE": str(tmp_path / "cache"),
                **environment,
            },
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
        return json.loads(line.removeprefix("RESULT"))

    return load


def test_processes_that_start_at_once_fetch_and_convert_one_checkpoint(
    serve, load_in_process, tiny_ckpt, tmp_path, assert_same_weights
):
    server = serve(tiny_ckpt.read_bytes())
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(load_in_process, [server.url] * 2))
    assert [result["parameters"] for result in results] == [28243] * 2
    folder = Path(results[0]["folder"])
    assert results[1]["folder"] == str(folder)
    # One folder and no leftovers.
    assert list((tmp_path / "cache").iterdir()) == [folder]
    assert hub.PUBLISHED_REVISION[:12] in folder.name
    assert_same_weights(read_checkpoint(folder), read_published_checkpoint(tiny_ckpt))
    assert server.sent("GET")

    # From then on neither the network nor the hub's cache is needed.
    before = len(server.requests)
    again = load_in_process(server.url, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "no_hub"))
    assert again == results[0]
    assert len(server.requests) == before


def test_without_a_network_the_error_says_what_to_do(load_in_process):
    result = load_in_process("http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert result["error"] == "ConnectionError"
    for remedy in (hub.PUBLISHED_REPO, "HF_HUB_OFFLINE", "HF_ENDPOINT", "its path", "'base'"):
        assert remedy in result["message"]


def test_a_hub_that_lacks_the_file_gives_the_same_error(serve, load_in_process, monkeypatch):
    server = serve(b"")
    monkeypatch.setattr(hub, "PUBLISHED_REVISION", "0" * 40)  # what this server has
    result = load_in_process(server.url)
    assert result["error"] == "ConnectionError"
    assert "lag-llama.ckpt" in result["message"]
    assert server.requests


def test_a_hostile_file_from_the_hub_is_refused_and_not_kept(monkeypatch, tmp_path, write_archive):
    path = write_archive(b"cos\nsystem\n(S'true'\ntR.")
    monkeypatch.setenv("LAGLLAMA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub, "_download", lambda: str(path))
    with pytest.raises(ValueError, match=r"os\.system"):
        hub.published_folder()
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_loser_of_a_race_uses_the_winners_conversion(tiny_ckpt, tmp_path, monkeypatch):
    together = Barrier(4)
    real = hub.convert_published_checkpoint

    def convert(source, folder):
        real(source, folder)
        together.wait(timeout=30)

    monkeypatch.setattr(hub, "convert_published_checkpoint", convert)
    target = tmp_path / "cache" / "published"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: hub._convert_once(str(tiny_ckpt), target), range(4)))
    assert list((tmp_path / "cache").iterdir()) == [target]
    assert read_checkpoint(target).config.decoder.n_layer == 2


def test_a_conversion_that_cannot_be_kept_is_an_error(tiny_ckpt, tmp_path):
    target = tmp_path / "cache" / "published"
    target.mkdir(parents=True)
    (target / "something").write_text("else")
    with pytest.raises(OSError, match="not empty"):
        hub._convert_once(str(tiny_ckpt), target)
    assert list(target.parent.iterdir()) == [target]


def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("LAGLLAMA_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "shared"))
    assert hub.cache_folder() == tmp_path / "own"
    monkeypatch.delenv("LAGLLAMA_CACHE")
    assert hub.cache_folder() == tmp_path / "shared" / "lagllama_adapters"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert hub.cache_folder() == tmp_path / ".cache" / "lagllama_adapters"


def test_the_revision_is_pinned_in_full():
    assert len(bytes.fromhex(hub.PUBLISHED_REVISION)) == 20
