"""What a worker reads of the runs of its executors."""

from collections.abc import Iterator
from contextlib import contextmanager

from taskqueue_ray.core.batching import MAX_SIZE
from taskqueue_ray.executor.cell import Cell, Mark


@contextmanager
def _cell(slots: int = 0) -> Iterator[Cell]:
    made = Cell.make(slots)
    yield made
    made.close()


def test_a_new_one_says_nothing() -> None:
    for slots in (0, 3):
        with _cell(slots) as cell:
            assert (cell.running(), cell.latest()) == ([], 0)


def test_a_plain_job_is_its_head() -> None:
    with _cell() as cell:
        cell.mark(0, 5, 1.5)
        assert cell.running() == [Mark(5, 1.5)]
        cell.clear(0)
        assert (cell.running(), cell.latest()) == ([], 5)


def test_the_jobs_of_a_call_run_together() -> None:
    with _cell() as cell:
        cell.mark_all([3, 4, 9], 2.5)
        assert cell.head() == Mark(3, 2.5)
        assert cell.running() == [Mark(3, 2.5), Mark(4, 2.5), Mark(9, 2.5)]
        assert cell.latest() == 9
        cell.clear(0)
        assert (cell.running(), cell.latest()) == ([], 9)


def test_after_a_call_the_two_stores_of_a_plain_job_are_enough() -> None:
    with _cell() as cell:
        cell.mark_all([3, 4, 9], 2.5)
        cell.began[0] = 4.5
        assert {mark.began for mark in cell.running()} == {4.5}, "a later time accuses nobody"
        cell.ordinals[1] = 5
        assert cell.running() == [Mark(5, 4.5)]
        assert cell.latest() == 9


def test_a_shorter_call_after_a_longer_one() -> None:
    with _cell() as cell:
        cell.mark_all(range(1, 65), 1.0)
        cell.mark_all([70], 2.0)
        assert cell.running() == [Mark(70, 2.0)]


def test_the_largest_call_fits() -> None:
    with _cell() as cell:
        cell.mark_all(range(1, MAX_SIZE + 1), 1.0)
        assert len(cell.running()) == cell.latest() == MAX_SIZE


def test_what_a_job_scribbles_there_harms_no_reader() -> None:
    with _cell() as cell:
        cell.mark_all([3, 4], 1.0)
        cell.ordinals[2] = 1 << 62
        assert cell.running()[:2] == [Mark(3, 1.0), Mark(4, 1.0)]


def test_coroutines_have_a_slot_each() -> None:
    with _cell(2) as cell:
        cell.mark(1, 7, 1.0)
        cell.mark(2, 8, 2.0)
        assert cell.running() == [Mark(7, 1.0), Mark(8, 2.0)]
