"""The superlink's control interface: submit a run, ask how it is, stop it."""

import hashlib
import ipaddress
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from flwr.common.serde import fab_to_proto, user_config_to_proto
from flwr.proto.control_pb2 import ListRunsRequest, StartRunRequest, StopRunRequest
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.fab import Fab
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor

from shared.app_bundle import build_bundle

FINISHED = "finished"


class LinkError(RuntimeError):
    """The superlink cannot be asked, or refuses; the message says what to do."""


class LinkUnreachableError(LinkError):
    """It does not answer now; it may again."""


@dataclass(frozen=True)
class Link:
    """Where the superlink is.

    Attributes
    ----------
    address : str
        ``host:port`` of its control interface, which should be on loopback.
    authority : Path or None
        The certificate that vouches for it; None for a link without TLS, on loopback only.
    """

    address: str
    authority: Path | None

    def __post_init__(self) -> None:
        host, _, port = self.address.rpartition(":")
        if not host or not port.isdigit():
            raise ValueError(f"link_address must be host:port, got '{self.address}'")
        if self.authority is None and not _is_loopback(host):
            raise ValueError(f"link_authority is needed: {host} is not this machine")

    def submit(self, config: Mapping[str, str]) -> int:
        """Submit this checkout's app with values for its run configuration; return the run's id.

        Raises
        ------
        LinkError
        """
        content = build_bundle()
        fab = Fab(hashlib.sha256(content).hexdigest(), content, {})
        request = StartRunRequest(
            fab=fab_to_proto(fab), override_config=user_config_to_proto({**config})
        )
        with self._client() as client:
            response = client.StartRun(request)
        if not response.HasField("run_id"):
            raise LinkError("the superlink did not start the run: see its log")
        return int(response.run_id)

    def status(self, run_id: int) -> str:
        """Return e.g. ``running`` or ``finished:completed``; empty for an unknown run."""
        with self._client() as client:
            runs = client.ListRuns(ListRunsRequest(run_id=run_id)).run_dict
        if run_id not in runs:
            return ""
        status = runs[run_id].status
        return ":".join(word for word in (status.status, status.sub_status) if word)

    def stop(self, run_id: int) -> None:
        """End a run; its last checkpoint stands."""
        with self._client() as client:
            client.StopRun(StopRunRequest(run_id=run_id))

    @contextmanager
    def _client(self) -> Iterator[ControlHttpClient]:
        client = ControlHttpClient.from_server_address(
            self.address,
            insecure=self.authority is None,
            root_certificates=self._authority(),
            interceptors=[RuntimeVersionHttpInterceptor(component_name="hepafed")],
        )
        try:
            yield client
        except httpx.TransportError as error:
            raise LinkUnreachableError(
                f"the superlink at {self.address} does not answer ({type(error).__name__})"
            ) from error
        except httpx.HTTPStatusError as error:
            if error.response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
                raise LinkUnreachableError(
                    f"the superlink at {self.address} answers {error.response.status_code}"
                ) from error
            raise LinkError(f"the superlink refused: {error.response.text[:200]}") from error
        finally:
            client.close()

    def _authority(self) -> bytes | None:
        if self.authority is None:
            return None
        try:
            return self.authority.read_bytes()
        except PermissionError as error:
            raise LinkError(
                f"{self.authority}: this account may not read it: run this as the account that"
                " the coordinator's processes run as"
            ) from error
        except OSError as error:
            raise LinkError(
                f"{self.authority}: no such file; see server/provision.py action=init"
            ) from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
