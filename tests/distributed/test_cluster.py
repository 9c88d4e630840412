"""Addresses of clusters."""

import socket

import pytest

ray = pytest.importorskip("ray")

from lagllama_adapters.distributed.cluster import connected  # noqa: E402


@pytest.fixture
def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture(autouse=True)
def not_connected(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.mark.parametrize("scheme", ["", "ray://"])
@pytest.mark.parametrize("from_environment", [False, True])
def test_an_address_where_nothing_answers_is_refused_at_once(
    free_port, scheme, from_environment, monkeypatch
):
    address = f"{scheme}127.0.0.1:{free_port}"
    monkeypatch.setattr(ray, "init", lambda *_, **__: pytest.fail("Ray tries for minutes"))
    if from_environment:
        monkeypatch.setenv("RAY_ADDRESS", address)
    with (
        pytest.raises(ConnectionError, match=f"address: got '{address}', where nothing answers"),
        connected(None if from_environment else address),
    ):
        pass


@pytest.mark.parametrize("address", [None, "auto", "local", "anyscale://cluster", "{server}"])
def test_other_addresses_are_ray_s_to_judge(address, monkeypatch):
    asked = []
    monkeypatch.setattr(ray, "init", lambda given, **_: asked.append(given))
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        if address == "{server}":
            address = f"127.0.0.1:{server.getsockname()[1]}"
        with connected(address):
            pass
    assert asked == [address]
