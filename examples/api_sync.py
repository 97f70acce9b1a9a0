"""Syncs customers with an API that allows 30 calls in 5 seconds: none of ours is turned away.

Then another program uses the API up. One job is told so, and all of them wait. The API is a real
HTTP server on this machine.
"""

import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.error import HTTPError
from urllib.request import urlopen

import taskqueue_ray as tq

CALLS, PERIOD = 30, 5.0


class Api(BaseHTTPRequestHandler):
    """Counts the calls of the last seconds, and answers 429 to those above its limit."""

    times: ClassVar[deque[float]] = deque()
    closed_until = 0.0
    refused = 0
    lock = threading.Lock()

    def do_GET(self) -> None:
        with Api.lock:
            now = time.monotonic()
            while Api.times and Api.times[0] <= now - PERIOD:
                Api.times.popleft()
            allowed = len(Api.times) < CALLS and now >= Api.closed_until
            if allowed:
                Api.times.append(now)
            Api.refused += not allowed
        self.send_response(200 if allowed else 429)
        self.send_header("Retry-After", "2")
        self.end_headers()
        self.wfile.write(f"synced {self.path}".encode())

    def log_message(self, format: str, *args: object) -> None:
        """It is silent."""


@tq.job(queue="sync", limits=["api_calls"], timeout=30, max_attempts=3)
def sync(url: str) -> str:
    """One call. A 429 closes the limit for all jobs under it, and this one runs again then."""
    try:
        with urlopen(url, timeout=10) as answer:
            return str(answer.read().decode())
    except HTTPError as error:
        if error.code != 429:
            raise
        wait = float(error.headers["Retry-After"])
        tq.current().throttle("api_calls", wait)
        raise tq.Snooze(wait) from None


server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}/customers"

with tq.connect() as q:
    # Spread evenly and below what it allows: some calls take longer on their way than the next.
    q.rate_limiter.set_limit("api_calls", 20, per=PERIOD, smooth=True)
    with q.workers(["sync"], concurrency=4):
        handles = q.enqueue_many(sync.item(f"{base}/{number}") for number in range(40))
        tq.gather(*handles, timeout=60)
        print(f"{len(handles)} customers, {Api.refused} calls refused")
        assert Api.refused == 0

        # Somebody else is greedy: the API lets nobody in for two seconds.
        Api.closed_until = time.monotonic() + 2.0
        handles = q.enqueue_many(sync.item(f"{base}/{number}") for number in range(20))
        tq.gather(*handles, timeout=60)
        print(f"{len(handles)} more, {Api.refused} refused before all of them waited")
        assert 1 <= Api.refused <= 4

server.shutdown()
