"""The shortest whole program: a job, a queue in a folder, a worker, a result."""

import taskqueue_ray as tq


@tq.job(queue="mail", max_attempts=5, timeout=30)
def greet(name: str) -> str:
    return f"Hello, {name}"


with tq.connect() as q, q.workers(["mail"]):
    handle = q.enqueue(greet, "Ada")  # on disk when this returns
    print(handle.result(timeout=60))
