"""Jobs as classes: options are attributes, `handle` works and may write into the payload."""

import taskqueue_ray as tq


class CountWords(tq.Job):
    """Counts the words of a text; keeps the longest one with the job."""

    queue = "texts"
    max_attempts = 3
    timeout = 60

    def handle(self) -> int:
        words = self.payload["text"].split()
        self.payload["longest"] = max(words, key=len)
        return len(words)


TEXTS = ["so much depends upon", "a red wheel barrow", "glazed with rain water"]

with tq.connect() as q, q.workers(["texts"]):
    handles = [q.push(CountWords({"text": text}, priority=10, tags=["poem"])) for text in TEXTS]
    for handle in tq.gather(*handles):
        print(handle)
