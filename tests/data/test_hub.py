import json
import os
import subprocess
import sys
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lagllama_adapters
from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.data.hub import fetch_data_sets, is_hub_address

COMMIT = "a" * 40
READ = """
import json, sys
from lagllama_adapters.data.corpus import Corpus
try:
    corpus = Corpus.read(sys.argv[1])
except Exception as error:
    result = {"error": type(error).__name__, "message": str(error)}
else:
    result = {"dataset": corpus.dataset, "item_id": corpus.item_id}
    result["sum"] = float(corpus.values.sum())
print("RESULT" + json.dumps(result))
"""


class _Hub(ThreadingHTTPServer):
    """What snapshot_download needs of a hub: the list of a repository's files, and the files."""

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), _Answers)
        self.files, self.sent = files, []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Answers(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self._answer(send_body=False)

    def do_GET(self):
        self._answer(send_body=True)

    def _answer(self, send_body):
        path = self.path.split("?")[0]
        names = [{"rfilename": name} for name in self.server.files]
        pages = {
            f"/api/datasets/owner/sets{revision}": json.dumps(
                {"id": "owner/sets", "sha": COMMIT, "siblings": names, "private": False}
            ).encode()
            for revision in ("", "/revision/main", "/revision/v1")
        }
        tree = [
            {"type": "file", "path": name, "size": len(content), "oid": sha1(content).hexdigest()}
            for name, content in self.server.files.items()
        ]
        pages[f"/api/datasets/owner/sets/tree/{COMMIT}"] = json.dumps(tree).encode()
        pages |= {
            f"/datasets/owner/sets/resolve/{COMMIT}/{name}": content
            for name, content in self.server.files.items()
        }
        content = pages.get(path)
        self.send_response(404 if content is None else 200)
        if content is None:
            self.send_header("X-Error-Code", "RepoNotFound")
        else:
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{sha1(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        if send_body and content is not None:
            self.server.sent.append(path.removeprefix(f"/datasets/owner/sets/resolve/{COMMIT}/"))
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    def table(name, value):
        rows = {"item_id": [name], "freq": ["D"], "start": ["2020-01-01"], "target": [[value] * 9]}
        path = tmp_path_factory.mktemp("table") / "t.parquet"
        pq.write_table(pa.table(rows), path)
        return path.read_bytes()

    files = {
        "rain/train-00000-of-00001.parquet": table("a", 1.0),
        "rain/deep/more.parquet": table("b", 2.0),
        "wind/train.parquet": table("c", 4.0),
        "rain/README.md": b"text",
        "setup.py": b"raise SystemExit",
    }
    server = _Hub(files)
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def read(tmp_path):
    """Corpus.read in a process of its own, with an empty cache under tmp_path."""
    kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}

    def in_process(address, url, **environment):
        done = subprocess.run(
            [sys.executable, "-c", READ, address],
            env=kept
            | {
                "PYTHONPATH": str(Path(lagllama_adapters.__file__).parents[1]),
                "HF_ENDPOINT": url,
                "HF_HOME": str(tmp_path / "hub"),
                "HF_HUB_OFFLINE": "0",
            }
            | environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
        return json.loads(line.removeprefix("RESULT"))

    return in_process


def test_a_folder_of_a_repository_is_read_and_nothing_else_fetched(server, read):
    server.sent.clear()
    got = read("hf://datasets/owner/sets/rain", server.url)
    assert got == {"dataset": ["deep/more", "train"], "item_id": ["b", "a"], "sum": 27.0}
    fetched = [name for name in server.sent if not name.startswith("/api")]
    assert sorted(fetched) == ["rain/deep/more.parquet", "rain/train-00000-of-00001.parquet"]
    # From then on the network is not needed.
    assert read("hf://datasets/owner/sets/rain", server.url, HF_HUB_OFFLINE="1") == got


def test_a_whole_repository_at_a_revision(server, read):
    got = read("hf://datasets/owner/sets@v1", server.url)
    assert sorted(got["dataset"]) == ["rain/deep/more", "rain/train", "wind/train"]


def test_a_part_without_data_is_an_error(server, read):
    got = read("hf://datasets/owner/sets/snow", server.url)
    assert got["error"] == "ValueError"
    assert "no *.parquet or *.arrow or *.tsf there" in got["message"]


@pytest.mark.parametrize("address", ["hf://datasets/owner/nothing", "hf://datasets/owner/sets"])
def test_what_cannot_be_fetched_says_what_to_do(address, server, read):
    url = server.url if "nothing" in address else "http://127.0.0.1:9"
    offline = "0" if "nothing" in address else "1"
    got = read(address, url, HF_HUB_OFFLINE=offline)
    assert got["error"] == "ConnectionError"
    for remedy in (address, "HF_HUB_OFFLINE", "HF_ENDPOINT", "give their folder"):
        assert remedy in got["message"]


@pytest.mark.parametrize("address", ["hf://datasets/", "hf://datasets/name", "hf://datasets/a b/c"])
def test_an_address_of_another_form_is_refused(address):
    with pytest.raises(ValueError, match=r"expected hf://datasets/OWNER/NAME"):
        fetch_data_sets(address)


def test_folders_are_no_addresses(tmp_path):
    assert not is_hub_address(tmp_path)
    assert not is_hub_address(str(tmp_path))
    assert is_hub_address("hf://datasets/owner/sets")


def test_addresses_and_folders_are_read_together(tmp_path, monkeypatch):
    def save(folder, value):
        rows = {"item_id": ["x"], "freq": ["D"], "start": ["2020-01-01"], "target": [[value] * 9]}
        folder.mkdir()
        pq.write_table(pa.table(rows), folder / f"{folder.name}.parquet")
        return folder

    fetched, own = save(tmp_path / "fetched", 1.0), save(tmp_path / "own", 3.0)
    monkeypatch.setattr("lagllama_adapters.data.corpus.fetch_data_sets", lambda _: fetched)
    corpus = Corpus.read(["hf://datasets/owner/sets", own])
    assert corpus.dataset == ("fetched", "own")
    np.testing.assert_array_equal(corpus.values, [1.0] * 9 + [3.0] * 9)
