"""A cluster of nodes, all on this machine."""

import os
from pathlib import Path

import pytest

# Of Ray itself: settings that it makes, and sockets that it leaves to the garbage collector.
QUIET = ("ignore::DeprecationWarning:ray", "ignore::ResourceWarning")

# What Ray's daemons cost is most of the time of a test: those that nothing here needs stay away.
NODE = {"num_cpus": 1, "include_log_monitor": False}
LEAN = {
    "enable_worker_prestart": False,
    "prestart_worker_first_driver": False,
    "worker_niceness": 0,  # not after all that runs beside the tests
}
HEAD = NODE | {"include_dashboard": False, "no_monitor": True, "_system_config": LEAN}


@pytest.fixture(scope="session")
def lean():
    """Settings of a cluster that starts few processes."""
    return dict(LEAN)


@pytest.fixture(scope="module")
def cluster():
    """Two nodes with a processor each, one of them the head; a file's last test may end one."""
    import ray
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    for attempt in range(1, 4):
        made = Cluster()
        try:
            made.add_node(**HEAD)
            made.add_node(**NODE)
            break
        except Exception as error:  # Ray has no other: a node has 30 seconds to start
            made.shutdown()
            if attempt < 3:
                continue
            if os.getloadavg()[0] > 4 * (os.cpu_count() or 1):
                pytest.skip(f"this machine is too busy for Ray to start a node: {error}")
            raise
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture(scope="session")
def processes_of():
    """Worker processes of a node whose title begins so, such as ``ray::_Worker``: a function."""

    def find(node, title):
        raylet = node.all_processes["raylet"][0].process.pid
        children = Path(f"/proc/{raylet}/task/{raylet}/children").read_text().split()
        titles = {int(child): Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
        return [child for child, given in titles.items() if given.startswith(title.encode())]

    return find


def pytest_collection_modifyitems(items):
    here = os.path.dirname(__file__)
    for item in items:
        if str(item.path).startswith(here):
            for one in QUIET:
                item.add_marker(pytest.mark.filterwarnings(one))
