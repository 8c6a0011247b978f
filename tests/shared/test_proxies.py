import httpx
import pytest

from shared.proxies import (
    goes_through_proxy,
    keep_loopback_direct,
    loopback_direct,
    proxy_variables,
)
from tests.faults.federation import free_ports

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, "127.0.0.1,localhost"),
        ({"NO_PROXY": "10.0.0.0/8, .hospital"}, "10.0.0.0/8,.hospital,127.0.0.1,localhost"),
        ({"no_proxy": "localhost", "NO_PROXY": "a"}, "a,localhost,127.0.0.1"),
        ({"no_proxy": "*"}, "*,127.0.0.1,localhost"),
    ],
)
def test_loopback_is_added_to_what_is_said(said: dict[str, str], expected: str) -> None:
    assert loopback_direct(said) == {"NO_PROXY": expected, "no_proxy": expected}


def test_this_machine_is_reached_without_its_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    dead, nobody = free_ports(2)
    for name in PROXIES[:3]:
        monkeypatch.setenv(name, f"http://proxy.invalid:{dead}")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(httpx.ConnectError, match=r"[Nn]ame|resolution|address"):
        httpx.get(f"http://127.0.0.1:{nobody}", timeout=5)
    keep_loopback_direct()
    for scheme, host in (("http", "127.0.0.1"), ("https", "127.0.0.1"), ("http", "localhost")):
        with pytest.raises(httpx.ConnectError, match="Connection refused"):
            httpx.get(f"{scheme}://{host}:{nobody}", timeout=5)
    assert goes_through_proxy("fl.example.org")
    assert not goes_through_proxy("localhost")


def test_variables_are_named_without_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proxy_variables() == []
    monkeypatch.setenv("https_proxy", "http://me:secret@proxy:3128")
    monkeypatch.setenv("HTTP_PROXY", "")
    assert proxy_variables() == ["https_proxy"]
    assert goes_through_proxy("fl.example.org")
