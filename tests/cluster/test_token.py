"""A Ray that asks for its token, as Ray does by default."""

from tests.cluster.programs import Programs

SCRIPT = """
    import taskqueue_ray as tq
    from tests.cluster import trial_jobs

    if __name__ == "__main__":
        with tq.connect() as q:
            with q.workers():
                print("result", q.enqueue(trial_jobs.add, 40, 2).result(60))
            print("rows", len(q.history().to_arrow()))
"""


def test_with_rays_own_token(programs: Programs) -> None:
    text = programs.start(SCRIPT, RAY_AUTH_MODE="token", HOME=str(programs.base)).succeeds()
    assert "result 42" in text, text
    assert "rows 1" in text, text
