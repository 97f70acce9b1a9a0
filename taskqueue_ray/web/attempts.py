"""A limit on wrong tokens: who guesses waits."""

from collections import OrderedDict, deque

MAX_FAILURES = 5
WINDOW = 60.0
MAX_TOTAL = 100
"""Wrong tokens in the window from everywhere, so that many addresses do not help."""
MAX_ADDRESSES = 10_000


class Attempts:
    """Wrong tokens of late, by the address that they came from."""

    def __init__(self) -> None:
        self._by_address: OrderedDict[str, deque[float]] = OrderedDict()
        self._all: deque[float] = deque(maxlen=MAX_TOTAL)

    def wait(self, address: str, now: float) -> float:
        """How many seconds this address has to wait before it may try; 0: it may."""
        own = self._by_address.get(address, deque[float]())
        _forget(own, now)
        _forget(self._all, now)
        waits = [0.0]
        if len(own) >= MAX_FAILURES:
            waits.append(own[0] + WINDOW - now)
        if len(self._all) >= MAX_TOTAL:
            waits.append(self._all[0] + WINDOW - now)
        return max(waits)

    def failed(self, address: str, now: float) -> None:
        """A wrong token came from there."""
        own = self._by_address.setdefault(address, deque(maxlen=MAX_FAILURES))
        self._by_address.move_to_end(address)
        own.append(now)
        self._all.append(now)
        while len(self._by_address) > MAX_ADDRESSES:
            self._by_address.popitem(last=False)


def _forget(moments: deque[float], now: float) -> None:
    while moments and moments[0] + WINDOW <= now:
        moments.popleft()
