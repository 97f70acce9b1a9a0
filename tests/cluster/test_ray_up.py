"""`ray up` for real: the on-premise file over SSH, and its header followed to the letter."""

import re

import pytest

from tests.cluster import apart

CLUSTER_FILE = apart.ROOT / "examples" / "clusters" / "on-premise.yaml"
DEPLOYED = apart.MACHINES / "deployed.sh"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_up_jobs_and_down_over_ssh() -> None:
    apart.skip_without("sshd", "ssh", "rsync")
    said = apart.run("ray_up.sh", "bash", str(DEPLOYED), within=280.0)
    before, status, down, again, gone = re.split(r"^== .*$", said, flags=re.MULTILINE)
    assert "pool default: 0 to" in before, said
    assert '"result": "Hello, Ada"' in before, said
    assert re.search(r"running\W.*yes", status), said
    assert "default" in status
    assert "jobs and pools are kept" in down, said
    assert '"state": "completed"' in again, said
    assert "No nodes remaining" in gone, said
    assert "ray processes: 0" in gone, said
    assert "journal" in gone, "the queue stays on the head's disk"


def test_the_trial_follows_the_head_of_the_file() -> None:
    """What the file tells people to type is what the trial types."""
    head = CLUSTER_FILE.read_text().partition("cluster_name")[0]
    told = re.findall(r"^#   ray exec \S+ '(.*)'$", head, re.MULTILINE)
    script = DEPLOYED.read_text()
    assert told
    assert [line for line in told if f"on_head '{line}'" not in script] == []
