"""Programs that die, with the embedded Ray that they had started, and those that come after."""

import pytest

from tests.cluster.patience import eventually
from tests.cluster.programs import Programs
from tests.cluster.witness import check_recovery, starts

PRODUCER = """
    import sys
    import taskqueue_ray as tq
    from tests.cluster import trial_jobs

    if __name__ == "__main__":
        q = tq.connect()
        {workers}
        for number in range(100_000):
            handles = q.enqueue_many(
                trial_jobs.witnessed.item(sys.argv[1], 0.002) for _ in range(10)
            )
            for handle in handles:
                print("durable", handle.id)
"""

SUCCESSOR = """
    import time
    began = time.monotonic()
    import taskqueue_ray as tq
    from tests.cluster import trial_jobs

    if __name__ == "__main__":
        with tq.connect() as q:
            print("connected", f"{time.monotonic() - began:.1f}")
            with q.workers(concurrency=2):
                while any(stats.unfinished for stats in q.stats()):
                    time.sleep(0.05)
            rows = q.history().to_arrow().to_pylist()
            for row in rows:
                print("ended", row["id"], row["state"])
"""


def _ids(text: str, word: str) -> list[str]:
    # The last line of a killed program may be cut.
    lines = text[: text.rfind("\n")].splitlines()
    return [line.split()[1] for line in lines if line.startswith(word)]


def _finish(programs: Programs, acknowledged: list[str]) -> str:
    """A new program on the same folder completes all that was acknowledged, each once."""
    text = programs.start(SUCCESSOR).succeeds(120)
    ended = _ids(text, "ended")
    assert len(ended) == len(set(ended)), "I1: a job ended twice"
    assert set(acknowledged) <= set(ended), f"lost {len(set(acknowledged) - set(ended))} jobs"
    assert set(starts(programs.witness)) <= set(ended), "I2: a job ran that nobody enqueued"
    assert "failed" not in text, text
    check_recovery(programs.folder, programs.key_file)
    return text


def test_killed_with_calls_in_flight(programs: Programs) -> None:
    """The driver, and with it its workers, dies in the middle; a new one follows at once."""
    first = programs.start(PRODUCER.format(workers="q.workers(concurrency=2).start()"))
    eventually(lambda: first.text().count("durable") > 300, "it enqueues")
    eventually(lambda: starts(programs.witness).total() > 50, "jobs run")
    first.kill()
    _finish(programs, _ids(first.text(), "durable"))


@pytest.mark.slow
def test_killed_right_after_the_first_acknowledgement(programs: Programs) -> None:
    first = programs.start(PRODUCER.format(workers=""))
    first.says("durable")
    first.kill()
    eventually(lambda: not first.family(), "its Ray ends with it", 30.0)
    acknowledged = _ids(first.text(), "durable")
    assert acknowledged
    _finish(programs, acknowledged)


def test_the_whole_cluster_is_killed(programs: Programs) -> None:
    """Every process at once, as when the machine loses power; a new cluster on the same storage."""
    first = programs.start(PRODUCER.format(workers="q.workers(concurrency=2).start()"))
    eventually(lambda: starts(programs.witness).total() > 50, "jobs run")
    first.kill_all()
    text = _finish(programs, _ids(first.text(), "durable"))
    # The dead cluster's workers need not be waited for.
    assert "let its leases run out" not in text, text
