import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Generic, TypeVar

import cloudpickle
import msgspec
import pytest

from taskqueue_ray.core.errors import InvalidRequest, SealBroken, UnknownJobType, Unserialisable
from taskqueue_ray.core.model import StoredCode
from taskqueue_ray.engine import code
from taskqueue_ray.engine.jobtype import JobType, type_name_of
from taskqueue_ray.engine.keyring import Key, Keyring
from taskqueue_ray.engine.payload import Kind, Sealer
from taskqueue_ray.engine.registry import Registry
from taskqueue_ray.engine.results import open_payload_after, open_value


def double(x: int) -> int:
    return 2 * x


class Counting:
    def __init__(self, payload: dict[str, Any]) -> None:
        self.payload = payload

    def handle(self) -> str:
        self.payload["count"] = self.payload.get("count", 0) + 1
        return "counted"


def sealer() -> Sealer:
    return Sealer(Keyring([Key(bytes(32))]))


def run(job: JobType, *args: Any, **kwargs: Any) -> bytes:
    return job.run(job.binder.bind(args, kwargs))


def test_a_function_runs_from_bytes_to_bytes() -> None:
    job = JobType(type_name_of(double), double)
    envelope = run(job, 21)
    assert job.name.endswith("test_registry_and_code.double")
    assert job.open_result(envelope) == 42
    assert open_value(envelope) == 42
    assert open_payload_after(envelope) is None


def test_a_class_keeps_what_it_writes_into_its_payload() -> None:
    job = JobType("counting", Counting)
    envelope = run(job, {"path": "/x"})
    assert job.open_result(envelope) == "counted"
    assert open_payload_after(envelope) == {"path": "/x", "count": 1}


def test_an_async_function() -> None:
    async def triple(x: int) -> int:
        await asyncio.sleep(0)
        return 3 * x

    job = JobType("triple", triple)
    assert job.is_async
    envelope = asyncio.run(job.run_async(job.binder.bind((2,), {})))
    assert job.open_result(envelope) == 6


def test_generators_are_refused() -> None:
    def job() -> Any:
        yield 1

    with pytest.raises(InvalidRequest, match="generator"):
        JobType("gen", job)


def test_names() -> None:
    registry = Registry()
    registry.register(JobType("b", double))
    registry.register(JobType("a", Counting))
    assert registry.names == ["a", "b"]
    assert registry.get("b").target is double
    with pytest.raises(UnknownJobType, match="registered: a, b"):
        registry.get("c")


def test_another_function_under_a_taken_name_is_refused() -> None:
    registry = Registry()
    registry.register(JobType("same", double))
    with pytest.raises(InvalidRequest, match="already registered"):
        registry.register(JobType("same", Counting))


def test_a_notebook_cell_that_runs_again_replaces() -> None:
    def cell(value: int) -> Any:
        def job() -> int:
            return value

        return job

    registry = Registry()
    registry.register(JobType("cell", cell(1)))
    registry.register(JobType("cell", cell(2)))
    assert open_value(run(registry.get("cell"))) == 2


def test_only_allowed_modules_are_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tq_allowed_app.py").write_text("import tq_seen\ntq_seen.names.append(__name__)\n")
    (tmp_path / "tq_evil_app.py").write_text("import tq_seen\ntq_seen.names.append(__name__)\n")
    (tmp_path / "tq_seen.py").write_text("names = []\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UnknownJobType):
        Registry().resolve("tq_evil_app.job", ["tq_allowed_app"])
    assert sys.modules["tq_seen"].names == ["tq_allowed_app"]
    assert "tq_evil_app" not in sys.modules


class Line(msgspec.Struct, frozen=True, rename="camel"):
    unit_price: float
    how_many: int = 1
    notes: list[str] = []

    def total(self) -> float:
        return self.unit_price * self.how_many


class Discounted(Line, frozen=True, kw_only=True):
    """Cheaper."""

    off: float

    def total(self) -> float:
        return Line.total(self) - self.off

    @classmethod
    def free(cls) -> "Discounted":
        return Discounted(unit_price=0.0, off=0.0)


class Tree(msgspec.Struct):
    name: str
    branches: "list[Tree]" = []


class Positive(msgspec.Struct):
    number: int

    def __post_init__(self) -> None:
        if self.number <= 0:
            raise ValueError("not positive")


class Even(Positive):
    def __post_init__(self) -> None:
        super().__post_init__()
        if self.number % 2:
            raise ValueError("odd")


Item = TypeVar("Item")


class Box(msgspec.Struct, Generic[Item]):
    item: Item


def _elsewhere(tmp_path: Path, program: str, *structs: Any) -> None:
    """Run a program on structs, `them`, in a process that gets them as it does `__main__`'s."""
    here = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(here)
    try:
        data = code.dumps(structs)
    finally:
        cloudpickle.unregister_pickle_by_value(here)
    begin = f"import msgspec, pickle\nthem = pickle.loads({data!r})\n"
    subprocess.run([sys.executable, "-c", begin + program], check=True, timeout=60, cwd=tmp_path)


def test_structs_travel_by_value_whole(tmp_path: Path) -> None:
    """As they do with a function of `__main__`."""
    program = """
line, discounted = them
made = discounted(unit_price=5.0, how_many=3, off=1.0)
assert (line(2.0).total(), line(2.0).notes, made.total()) == (2.0, [], 14.0)
assert issubclass(discounted, line) and discounted.__doc__ == "Cheaper."
assert discounted.free() == discounted(unit_price=0.0, off=0.0)
assert msgspec.json.encode(line(1.5)) == b'{"unitPrice":1.5,"howMany":1,"notes":[]}'
assert msgspec.json.decode(b'{"unitPrice":1.5}', type=line) == line(1.5)
assert made.__class__.__qualname__ == "Discounted"
"""
    _elsewhere(tmp_path, program, Line, Discounted)


def test_a_struct_that_names_itself_travels(tmp_path: Path) -> None:
    program = """
[tree] = them
text = b'{"name":"a","branches":[{"name":"b","branches":[]}]}'
assert msgspec.json.decode(text, type=tree) == tree("a", [tree("b")])
try:
    msgspec.json.decode(b'{"name":"a","branches":[3]}', type=tree)
    raise SystemExit("its types are not checked")
except msgspec.ValidationError:
    pass
"""
    _elsewhere(tmp_path, program, Tree)


def test_what_a_struct_checks_itself_is_checked_elsewhere_too(tmp_path: Path) -> None:
    program = """
positive, even = them
for kind, bad in ((positive, 0), (even, 0), (even, 3)):
    try:
        msgspec.json.decode(f'{{"number":{bad}}}', type=kind)
        raise SystemExit(f"{bad} was taken")
    except msgspec.ValidationError:
        pass
assert (positive(3).number, even(2).number) == (3, 2)
"""
    _elsewhere(tmp_path, program, Positive, Even)


def test_a_generic_struct_travels(tmp_path: Path) -> None:
    program = """
[box] = them
assert msgspec.json.decode(b'{"item":1}', type=box[int]) == box(1)
try:
    msgspec.json.decode(b'{"item":"1"}', type=box[int])
    raise SystemExit("its parameter is not checked")
except msgspec.ValidationError:
    pass
"""
    _elsewhere(tmp_path, program, Box)


def test_a_local_function_travels_by_value() -> None:
    factor = 5

    def scaled(x: int) -> int:
        return factor * x

    job = JobType(type_name_of(scaled), scaled)
    assert job.by_value
    assert not JobType("double", double).by_value
    name, stored = code.capture(job, sealer(), now=7.0)
    again = code.restore(stored, name, sealer())
    assert (stored.python, stored.at, again.name) == (code.PYTHON, 7.0, job.name)
    assert again.open_result(run(again, 3)) == 15
    assert code.capture(job, sealer(), now=9.0)[0] == name


def test_stored_code_under_another_hash_is_not_loaded() -> None:
    _, stored = code.capture(JobType("f", lambda: 1), sealer(), now=0.0)
    with pytest.raises(SealBroken):
        code.restore(stored, "00" * 32, sealer())


def test_code_that_does_not_match_its_hash_is_not_loaded() -> None:
    name = "ab" * 32
    plain = b"what a holder of the key sealed under another's name"
    sealed = sealer().seal(Kind.CODE, bytes.fromhex(name), "f", plain)
    with pytest.raises(SealBroken, match="hash"):
        code.restore(StoredCode("f", code.PYTHON, sealed, 0.0), name, sealer())


def test_a_function_that_holds_what_cannot_be_pickled() -> None:
    lock = threading.Lock()

    def job() -> bool:
        return lock.locked()

    with pytest.raises(Unserialisable, match="pickled"):
        code.capture(JobType("f", job), sealer(), now=0.0)
