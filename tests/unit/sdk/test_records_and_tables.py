import json

import pyarrow as pa
import pytest

import taskqueue_ray as tq
from taskqueue_ray.core.errors import KeyMissing
from taskqueue_ray.engine.keyring import Key, Keyring
from taskqueue_ray.engine.payload import Sealer
from taskqueue_ray.sdk.client import TaskQueue
from taskqueue_ray.sdk.tables import text_table
from tests.inprocess import Bench
from tests.unit.sdk.jobs_for_tests import break_down, send


def test_lists_filter_page_and_show(bench: Bench) -> None:
    bench.q.enqueue_many(send.options(tags=["<b>"]).item(str(i)) for i in range(1200))
    _ = break_down.enqueue("x")
    found = bench.q.jobs(queue="mail", limit=1100)
    assert (len(found), found.complete) == (1100, False)
    assert len(bench.q.jobs(type=break_down.job_type.name)) == 1
    assert len(bench.q.jobs(tag="<b>", state="pending", since="1h", limit=5000)) == 1200
    assert "and 1,080 more" in repr(found)
    assert "&lt;b&gt;" in found._repr_html_()
    assert "<b>" not in found._repr_html_()
    assert list(found.to_pandas()["queue"].unique()) == ["mail"]
    table = found.to_arrow()
    assert isinstance(table, pa.Table)
    assert table.num_rows == 1100


def test_stats(bench: Bench) -> None:
    _ = send.enqueue("a")
    _ = break_down.enqueue("x")
    bench.work()
    stats = bench.q.stats()
    mail = stats.of("mail")
    assert mail is not None
    assert (mail.completed, mail.pending, stats.total) == (1, 0, 2)
    assert "completed 1" in repr(mail)
    assert "mail" in repr(stats)
    empty = bench.q.stats("nothing")
    assert empty.total == 0


def test_workers_are_seen(bench: Bench) -> None:
    bench.work()
    (worker,) = bench.q.worker_health()
    assert (worker.id, worker.held, worker.draining) == ("worker", 0, False)


def test_history_holds_what_ended_once(bench: Bench) -> None:
    handles = [send.enqueue("a"), break_down.enqueue("x")]
    bench.work()
    bench.fold()
    late = send.enqueue("b")
    bench.work()
    table = bench.q.history().to_arrow()
    assert sorted(table["id"].to_pylist()) == sorted(h.id for h in [*handles, late])
    assert len(bench.q.history(since="1d")) == 3
    bench.q.redrive(handles[1])
    bench.work()
    frame = bench.q.history().to_pandas()
    assert len(frame) == 3
    assert frame.set_index("id").loc[handles[1].id, "generation"] == 1
    rows = bench.q.history().sql("select state, count(*) from history group by 1 order by 1")
    assert rows.fetchall() == [("completed", 2), ("failed", 1)]


def test_what_is_folded_while_history_is_read_is_in_it_once(bench: Bench) -> None:
    handles = [send.enqueue("a"), send.enqueue("b")]
    bench.work()
    bench.transport.after["ended"] = bench.fold
    table = bench.q.history().to_arrow()
    assert sorted(table["id"].to_pylist()) == sorted(handle.id for handle in handles)


def test_without_the_key_records_show_what_is_in_the_clear(bench: Bench) -> None:
    dead = break_down.enqueue("secret words")
    bench.work()
    stranger = TaskQueue(bench.transport, Sealer(Keyring([Key(b"x" * 32)])), is_current=False)
    record = stranger.job(dead.id)
    assert record.error_type == "ValueError"
    assert "secret" not in str(record) + record._repr_html_()
    with pytest.raises(KeyMissing):
        _ = record.arguments
    with pytest.raises(tq.JobFailed, match="sealed"):
        stranger.handle(dead.id).result(timeout=30)


def test_a_record_as_plain_data(bench: Bench) -> None:
    handle = send.enqueue("a")
    bench.work()
    fields = handle.info().to_dict()
    assert (fields["arguments"], fields["result"], fields["error"]) == ({"to": "a"}, "a: ", None)
    assert json.dumps(fields, default=str)
    assert handle.id in str(handle.info())


def test_control_characters_do_not_reach_a_terminal(bench: Bench) -> None:
    handle = send.enqueue("\x1b[31mred")
    assert "\x1b" not in str(handle.info())
    assert "\x1b" not in text_table([{"error_type": "\x1b]0;title\x07"}])
