"""A disk that misbehaves on request, behind the same seam as the real one.

Each file and each directory has two planes: what the running system sees (`cached`) and what
would be there after a power cut (`durable`), with the operations in between (`pending`).

- `fail(Fault(...))`: the Nth operation raises, once or from then on.
- `cut_power_at(n)`: the Nth operation, and all that follow, raise `PowerCut`; `reboot()` then
  shows what survived: only what was synced, or with a `Random` any legal subset of the rest.
- `capacity`: a full disk. Reserved space is counted and can be written.

A failed `sync` loses what was pending for good: the cache keeps it, the next `sync` succeeds and
writes none of it, as Linux does.
"""

import errno
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

from taskqueue_ray.storage.filesystem import (
    Lock,
    ReadableFile,
    WritableFile,
    parent_of,
)
from taskqueue_ray.storage.memory import BytesReader

SECTOR = 512

MUTATIONS = frozenset({"create", "write", "truncate", "sync", "move", "remove", "sync_directory"})


class PowerCut(BaseException):
    """The machine went off. Not an Exception: nothing may handle it."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One call that reached the disk."""

    number: int
    kind: str
    name: str


@dataclass(slots=True)
class Fault:
    """What goes wrong: operation number `at` (from 1) among those of `kinds`.

    `effect` says how much of the failing operation happens all the same: a write leaves its first
    half at "half"; at "whole" the error comes after the deed.
    """

    at: int
    error: int = errno.EIO
    forever: bool = False
    kinds: frozenset[str] = MUTATIONS
    effect: str = "none"
    seen: int = 0
    fired: int = 0

    def hits(self, kind: str) -> bool:
        if kind not in self.kinds:
            return False
        self.seen += 1
        hit = self.seen == self.at or (self.forever and self.seen > self.at)
        self.fired += hit
        return hit


@dataclass(slots=True)
class _Change:
    """`data` at `position`, or a cut or growth to the size `position` when there is none."""

    position: int
    data: bytes | None

    def apply(self, plane: bytearray) -> None:
        if self.data is None:
            _resize(plane, self.position)
            return
        if len(plane) < self.position:
            _resize(plane, self.position)
        plane[self.position : self.position + len(self.data)] = self.data


@dataclass(slots=True, eq=False)
class _Inode:
    cached: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[_Change] = field(default_factory=list)

    def change(self, change: _Change) -> None:
        change.apply(self.cached)
        self.pending.append(change)

    def sync(self) -> None:
        for change in self.pending:
            change.apply(self.durable)
        self.pending.clear()


# Entries of a directory that change in one step: name -> file, or None when it goes.
_Step = dict[str, "_Inode | None"]


@dataclass(slots=True)
class _Directory:
    cached: dict[str, _Inode] = field(default_factory=dict)
    durable: dict[str, _Inode] = field(default_factory=dict)
    pending: list[_Step] = field(default_factory=list)
    vanishing: list[str] = field(default_factory=list)

    def vanish(self, name: str) -> None:
        """The old place of a file moved elsewhere: by chance it may stay, but not go first."""
        del self.cached[name]
        self.vanishing.append(name)

    def change(self, step: _Step) -> None:
        _take_step(self.cached, step)
        self.pending.append(step)

    def sync(self) -> None:
        for step in self.pending:
            _take_step(self.durable, step)
        for name in self.vanishing:
            if name not in self.cached:
                self.durable.pop(name, None)
        self.pending.clear()
        self.vanishing.clear()


class FaultFileSystem:
    """See the module."""

    def __init__(self, capacity: int | None = None) -> None:
        self.capacity = capacity
        self.log: list[Operation] = []
        self.keep_log = True
        self.operations = 0
        self._directories: dict[str, _Directory] = {"": _Directory()}
        self._locked: set[str] = set()
        self._faults: list[Fault] = []
        self._cut_at: int | None = None
        self._off = False
        self._boot = 0

    # --- what a test arranges ---

    def fail(self, fault: Fault) -> Fault:
        self._faults.append(fault)
        return fault

    def heal(self) -> None:
        self._faults.clear()

    def cut_power_at(self, number: int) -> None:
        self._cut_at = number

    def crash_process(self) -> None:
        """What a kill -9 does: the cache survives, locks and open files go."""
        self._locked.clear()
        self._boot += 1

    def reboot(self, chance: Random | None = None) -> None:
        """The power comes back (after a cut at this very moment, if there was none)."""
        for directory in self._directories.values():
            _settle_directory(directory, chance)
        for inode in self._inodes():
            _settle_file(inode, chance)
        self._cut_at, self._off = None, False
        self.crash_process()

    def contents(self) -> dict[str, bytes]:
        """All files as the running system sees them."""
        return {
            f"{path}/{name}" if path else name: bytes(inode.cached)
            for path, directory in self._directories.items()
            for name, inode in directory.cached.items()
        }

    def put(self, name: str, data: bytes) -> None:
        """Place a file, durable, without counting: a test damages it so."""
        directory = self._directories.setdefault(parent_of(name), _Directory())
        inode = _Inode(bytearray(data), bytearray(data))
        directory.cached[_base(name)] = directory.durable[_base(name)] = inode

    def copy(self) -> "FaultFileSystem":
        """A healthy disk with the same files, all durable."""
        twin = FaultFileSystem(self.capacity)
        for path in self._directories:
            twin._directories[path] = _Directory()
        for name, data in self.contents().items():
            twin.put(name, data)
        return twin

    @property
    def used(self) -> int:
        return sum(len(inode.cached) for inode in self._inodes())

    # --- the seam ---

    def create(self, name: str, reserve: int = 0) -> WritableFile:
        directory = self._directory_of(name)
        if _base(name) in directory.cached:
            self._operate("create", name, lambda: None)
            raise FileExistsError(errno.EEXIST, "file exists", name)
        inode = _Inode()

        def deed() -> None:
            self._take_space(reserve)
            if reserve:
                inode.change(_Change(reserve, None))
            directory.change({_base(name): inode})

        self._operate("create", name, deed)
        return _FaultFile(self, name, inode, self._boot)

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        self._operate("read", name, lambda: None)
        data = self._find(name).cached
        return bytes(data[offset:] if size < 0 else data[offset : offset + size])

    def open(self, name: str) -> ReadableFile:
        return BytesReader(self.read(name))

    def exists(self, name: str) -> bool:
        self._operate("exists", name, lambda: None)
        parent = self._directories.get(parent_of(name))
        return name in self._directories or (parent is not None and _base(name) in parent.cached)

    def list(self, directory: str) -> list[str]:
        self._operate("list", directory, lambda: None)
        if directory not in self._directories:
            return []
        below = [_base(d) for d in self._directories if d and parent_of(d) == directory]
        return sorted([*self._directories[directory].cached, *below])

    def move(self, source: str, target: str, *, replace: bool) -> None:
        inode = self._find(source)
        here, there = self._directory_of(source), self._directory_of(target)
        taken = not replace and _base(target) in there.cached

        def deed() -> None:
            if taken:
                return
            if here is there:
                here.change({_base(source): None, _base(target): inode})
            else:
                there.change({_base(target): inode})
                here.vanish(_base(source))

        self._operate("move", target, deed)
        if taken:
            raise FileExistsError(errno.EEXIST, "file exists", target)

    def remove(self, name: str) -> None:
        if name in self._directories:
            self._operate("remove", name, lambda: self._remove_directory(name))
            return
        self._find(name)
        directory = self._directory_of(name)
        self._operate("remove", name, lambda: directory.change({_base(name): None}))

    def shorten(self, name: str, size: int) -> None:
        inode = self._find(name)
        if len(inode.cached) > size:
            self._operate("truncate", name, lambda: inode.change(_Change(size, None)))

    def make_directory(self, name: str) -> None:
        self._operate("make_directory", name, lambda: self._add_directory(name))

    def sync_directory(self, name: str) -> None:
        if name not in self._directories:
            raise FileNotFoundError(errno.ENOENT, "no such directory", name)
        self._operate("sync_directory", name, self._directories[name].sync)

    def lock(self, name: str) -> Lock | None:
        self._operate("lock", name, lambda: None)
        if name in self._locked:
            return None
        self._locked.add(name)
        return _FaultLock(self._locked, name)

    # --- inside ---

    def _operate(
        self,
        kind: str,
        name: str,
        deed: Callable[[], None],
        half: Callable[[], None] | None = None,
        ruin: Callable[[], None] | None = None,
    ) -> None:
        """Count, log, and do; or half do, or not, as the faults say."""
        if self._off:
            raise PowerCut
        self.operations += 1
        if self.keep_log:
            self.log.append(Operation(self.operations, kind, name))
        if self._cut_at is not None and self.operations >= self._cut_at:
            self._off = True
            if half:
                half()
            raise PowerCut
        for fault in self._faults:
            if fault.hits(kind):
                self._half_do(fault, deed, half, ruin)
                raise OSError(fault.error, os.strerror(fault.error), name)
        deed()

    @staticmethod
    def _half_do(
        fault: Fault,
        deed: Callable[[], None],
        half: Callable[[], None] | None,
        ruin: Callable[[], None] | None,
    ) -> None:
        if ruin:
            ruin()
        elif fault.effect == "whole":
            deed()
        elif fault.effect == "half" and half:
            half()

    def _inodes(self) -> Iterable[_Inode]:
        seen: dict[int, _Inode] = {}
        for directory in self._directories.values():
            for inode in directory.cached.values():
                seen[id(inode)] = inode
        return seen.values()

    def _take_space(self, size: int) -> None:
        if self.capacity is not None and size > 0 and self.used + size > self.capacity:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _directory_of(self, name: str) -> _Directory:
        try:
            return self._directories[parent_of(name)]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "no such directory", name) from None

    def _find(self, name: str) -> _Inode:
        try:
            return self._directory_of(name).cached[_base(name)]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "no such file", name) from None

    def _add_directory(self, name: str) -> None:
        while name:
            self._directories.setdefault(name, _Directory())
            name = parent_of(name)

    def _remove_directory(self, name: str) -> None:
        if self._directories[name].cached:
            raise OSError(errno.ENOTEMPTY, "directory not empty", name)
        del self._directories[name]


class _FaultFile:
    def __init__(self, fs: FaultFileSystem, name: str, inode: _Inode, boot: int) -> None:
        self._fs = fs
        self._name = name
        self._inode = inode
        self._boot = boot
        self._position = 0

    def write(self, data: bytes) -> None:
        self._require_open()

        def put(part: bytes) -> None:
            if part:
                self._inode.change(_Change(self._position, part))

        def deed() -> None:
            beyond = self._position + len(data) - len(self._inode.cached)
            try:
                self._fs._take_space(beyond)
            except OSError:
                put(data[: len(data) - beyond // 2])  # as much as fits, more or less
                raise
            put(data)

        self._fs._operate("write", self._name, deed, half=lambda: put(data[: len(data) // 2]))
        self._position += len(data)

    def sync(self) -> None:
        self._require_open()
        inode = self._inode
        self._fs._operate("sync", self._name, inode.sync, ruin=inode.pending.clear)

    def truncate(self, size: int) -> None:
        self._require_open()
        change = _Change(size, None)
        self._fs._operate("truncate", self._name, lambda: self._inode.change(change))
        self._position = size

    def close(self) -> None:
        pass

    def _require_open(self) -> None:
        if self._boot != self._fs._boot:
            raise OSError(errno.EBADF, "this process has crashed", self._name)


class _FaultLock:
    def __init__(self, locked: set[str], name: str) -> None:
        self._locked = locked
        self._name = name

    def release(self) -> None:
        self._locked.discard(self._name)


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _resize(plane: bytearray, size: int) -> None:
    if size < len(plane):
        del plane[size:]
    else:
        plane.extend(bytes(size - len(plane)))


def _take_step(plane: dict[str, _Inode], step: _Step) -> None:
    for name, inode in step.items():
        if inode is None:
            plane.pop(name, None)
        else:
            plane[name] = inode


def _settle_directory(directory: _Directory, chance: Random | None) -> None:
    for step in directory.pending:
        if chance and chance.random() < 0.5:
            _take_step(directory.durable, step)
    directory.pending.clear()
    directory.vanishing.clear()
    directory.cached = dict(directory.durable)


def _settle_file(inode: _Inode, chance: Random | None) -> None:
    if chance:
        for change in inode.pending:
            for part in _surviving_parts(change, chance):
                part.apply(inode.durable)
    inode.pending.clear()
    inode.cached = bytearray(inode.durable)


def _surviving_parts(change: _Change, chance: Random) -> Iterable[_Change]:
    """Any of the sectors of a write; a torn sector keeps a prefix of what was written to it."""
    if change.data is None:
        return [change] if chance.random() < 0.5 else []
    parts = []
    start = 0
    while start < len(change.data):
        end = min(len(change.data), start + SECTOR - (change.position + start) % SECTOR)
        fate = chance.random()
        if fate > 0.6:
            parts.append(_Change(change.position + start, change.data[start:end]))
        elif fate > 0.4:
            cut = chance.randrange(start, end)
            parts.append(_Change(change.position + start, change.data[start:cut]))
        start = end
    return parts
