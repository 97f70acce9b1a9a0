"""The web page beside a queue that is served in the foreground."""

import json
import socket
import urllib.request
from pathlib import Path

import pytest

from taskqueue_ray.cli.dashboard import beside, names_of, parse_address
from taskqueue_ray.core.errors import InvalidOption, Unavailable
from taskqueue_ray.core.settings import Settings
from tests.inprocess import Bench


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(key_file=str(tmp_path / "key"))


def test_it_is_there_for_as_long_as_the_block_lasts(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench(1.8e9)
    with beside(bench.q, settings, "127.0.0.1:0"):
        said = capsys.readouterr().out
        address = said.split("dashboard: ")[1].strip()
        with urllib.request.urlopen(f"{address}/api/v1/health", timeout=20) as answer:
            assert json.load(answer) == {"status": "ok"}
        token = said.split("operator token: ")[1].split()[0]
        assert token in (tmp_path / "dashboard-tokens").read_text()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{address}/api/v1/health", timeout=5)
    bench.q.close()


def test_an_address_that_is_taken(settings: Settings) -> None:
    bench = Bench(1.8e9)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Unavailable, match="cannot listen"), beside(bench.q, settings, address):
            raise AssertionError("it listens")
    bench.q.close()


@pytest.mark.parametrize("wrong", ["", "8080", ":8080", "host:", "host:http", "host:70000"])
def test_what_is_no_address(wrong: str) -> None:
    with pytest.raises(InvalidOption, match="HOST:PORT"):
        parse_address(wrong)


def test_addresses() -> None:
    assert parse_address("0.0.0.0:80") == ("0.0.0.0", 80)
    assert parse_address("[::1]:8080") == ("::1", 8080)
    assert names_of("[::1]") == ("::1", "[::1]")
