"""Proxies that the environment names: they are for the way out, never for this machine itself.

Flower's clients follow HTTP_PROXY and its like; a proxy would be asked for 127.0.0.1, too.
"""

import os
from collections.abc import Mapping
from urllib.request import getproxies_environment, proxy_bypass

_LOOPBACK = ("127.0.0.1", "localhost")
_NAMES = ("http_proxy", "https_proxy", "all_proxy")


def loopback_direct(environment: Mapping[str, str]) -> dict[str, str]:
    """Return NO_PROXY in both spellings: what the environment says of it, and loopback."""
    said = ",".join(environment.get(name, "") for name in ("NO_PROXY", "no_proxy")).split(",")
    words = dict.fromkeys([*(word.strip() for word in said if word.strip()), *_LOOPBACK])
    return dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join(words))


def keep_loopback_direct() -> None:
    """Have this process and those that it starts reach this machine itself without a proxy."""
    os.environ.update(loopback_direct(os.environ))


def proxy_variables() -> list[str]:
    """Return the names of the variables that name a proxy; their values may hold a password."""
    return sorted(name for name, value in os.environ.items() if value and name.lower() in _NAMES)


def goes_through_proxy(host: str) -> bool:
    """Return whether HTTPS to a host goes through a proxy."""
    proxies = getproxies_environment()
    named = "https" in proxies or "all" in proxies
    return named and not proxy_bypass(host)
