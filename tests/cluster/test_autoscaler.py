"""Ray's real autoscaler: workers that find no room make nodes come, and nodes without work go."""

import pytest

from tests.cluster import apart


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_backlog_brings_nodes_and_its_end_takes_them_away() -> None:
    apart.skip_without("ssh-keygen")
    program = str(apart.MACHINES / "backlog.py")
    lines = apart.run("autoscaler.sh", "python", program, within=180.0).splitlines()
    facts = dict(line.split(": ", 1) for line in lines if ": " in line)
    assert facts["nodes before"] == "0", "an empty pool asks for nothing"
    assert facts["nodes for the backlog"] == "2"
    assert facts["workers on them"] == "4"
    assert facts["nodes of work"] == "2"
    assert facts["jobs done"] == "8"
    assert facts["runs and losses"] == "{(1, 0)}", "nobody's node went while a job ran on it"
    assert facts["workers after"] == "0"
    assert facts["nodes after"] == "0"
    assert facts["pool"] == "working", "it is there for the next backlog"
