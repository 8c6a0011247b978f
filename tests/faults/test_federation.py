"""The real thing on loopback: five sites behind TLS, proxy and node keys, and who is refused."""

import re
import shutil
import ssl
from collections.abc import Iterator
from http.client import HTTPSConnection
from typing import Any

import pytest

from client.link import Admission, ask_admission, make_key, read_key
from client.node import link_of
from client.run import CANNOT, NOT_ADMITTED
from client.site_file import read_site_file
from shared.app_bundle import bundle_hash
from tests.faults.cohort import SITE_SETTINGS, plan_of, simulate
from tests.faults.federation import (
    NGINX,
    PATIENCE_S,
    Federation,
    copy_app,
    last_checkpoint,
    open_federation_of,
)
from tests.polling import wait_until

pytestmark = pytest.mark.skipif(not NGINX.exists(), reason="nginx is not installed")

NAMES = ("site_1", "site_2", "site_3", "site_4", "site_5")


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Start a coordinator and have five sites join it."""
    with open_federation_of(tmp_path_factory.mktemp("federation"), NAMES) as federation:
        yield federation


def refused(federation: Federation, run: int, sites: tuple[str, ...], code: str) -> None:
    """Wait until these sites have refused a run, and check that nothing left them."""

    def lines() -> list[dict[str, Any]]:
        return [line for site in sites for line in federation.audit_lines(site, run)]

    wait_until(f"{sites} refuse run {run}", lambda: len(lines()) >= len(sites), PATIENCE_S)
    federation.flwr("stop", str(run), "hepafed")
    assert {(line["outcome"], line["code"]) for line in lines()} == {("refused", code)}
    assert all(line["left"] == [] for line in lines())


def test_a_run_gives_the_simulations_weights_to_the_byte(federation: Federation) -> None:
    plan, state = plan_of(rounds=1), federation.root / "state"
    run = federation.submit(plan, state, NAMES, minimum_sites=5)
    assert federation.wait_for_end(run) == "finished:completed"
    ours = simulate(federation.root, NAMES, plan, federation.root / "simulated")
    theirs = last_checkpoint(plan, state)
    assert theirs.finished
    assert theirs.weights.keys() == ours.weights.keys()
    assert all(theirs.weights[key].tobytes() == ours.weights[key].tobytes() for key in ours.weights)
    assert theirs.history[-1]["metrics"] == ours.history[-1]["metrics"]
    for site in NAMES:
        kinds = [(line["kind"], line["code"]) for line in federation.audit_lines(site, run)]
        assert kinds == [("query", "OK"), ("train", "OK"), ("evaluate", "OK")]
        checked = federation.client(federation.site_file(site), "log")
        assert checked.returncode == 0, checked.stdout
        assert "3 lines, chain intact" in checked.stdout


def test_no_patient_is_named_in_a_log_that_others_may_see(federation: Federation) -> None:
    written = federation.log("coordinator")
    written += "".join(
        read_site_file(federation.site_file(site)).audit_log.read_text() for site in NAMES
    )
    assert not re.search(r"site_\d-\d", written)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/control/start-run",
        "/v1/control/list-nodes",
        "/v1/runtime/acquire-task",
        "/v1/fleet/register-node",
        "/v1/fleet/unregister-node",
        "/v1/fleet/../control/list-nodes",
        "/v1/fleet/%2e%2e/control/list-nodes",
        "/v1/fleet/..%2fcontrol/list-nodes",
        "//v1/control/list-nodes",
        "/docs",
        "/openapi.json",
        "/",
    ],
)
def test_a_registered_site_reaches_the_fleet_alone(federation: Federation, path: str) -> None:
    authority = federation.site_file("site_1").with_name("ca.pem")
    context = ssl.create_default_context(cafile=str(authority))
    connection = HTTPSConnection("localhost", federation.port, timeout=30, context=context)
    for method in ("GET", "POST"):
        connection.request(method, path, body=b"" if method == "POST" else None)
        response = connection.getresponse()
        response.read()
        assert response.status == 404
    connection.close()
    federation.wait_for_access(re.escape(f'"POST {path} HTTP/1.1" 404'))


def test_a_stranger_with_the_authoritys_file_is_refused(federation: Federation) -> None:
    site_file = federation.enrol("stranger", federation.root / NAMES[0], **SITE_SETTINGS)
    federation.provision("revoke", "site=stranger")
    link = link_of(read_site_file(site_file))
    assert ask_admission(link) is Admission.UNKNOWN_KEY
    text = site_file.read_text().replace("link:\n", "link:\n  patience_s: 1\n")
    site_file.write_text(text)
    done = federation.client(site_file, "join")
    assert done.returncode == NOT_ADMITTED, done.stdout + done.stderr
    assert "stranger.key.pub to the coordinator" in done.stdout
    federation.wait_for_access(r'"POST /v1/fleet/activate-node HTTP/1.1" 4\d\d')


def test_a_replaced_key_is_known_and_the_old_one_is_not(federation: Federation) -> None:
    site_file = federation.enrol("mover", federation.root / NAMES[0], **SITE_SETTINGS)
    link = link_of(read_site_file(site_file))
    assert ask_admission(link) is Admission.FREE
    old = link.key.rename(link.key.with_name("old.key"))
    public = make_key(link, "mover")
    federation.provision("replace", "site=mover", f"public_key={public}")
    assert ask_admission(link) is Admission.FREE
    assert "mover" in federation.provision("list")
    assert read_key(old) != read_key(link.key)
    shutil.copy(old, link.key)
    assert ask_admission(link) is Admission.UNKNOWN_KEY


def test_a_site_that_has_joined_cannot_join_twice(federation: Federation) -> None:
    site = read_site_file(federation.site_file("site_1"))
    assert ask_admission(link_of(site)) is Admission.TAKEN
    done = federation.client(federation.site_file("site_1"), "join")
    assert done.returncode == NOT_ADMITTED
    assert "another process has joined" in done.stdout


def test_a_site_that_allows_no_code_does_not_join(federation: Federation) -> None:
    site_file = federation.enrol("careful", federation.root / NAMES[0], **SITE_SETTINGS)
    federation.change_policy("careful", bundles=[])
    done = federation.client(site_file, "join")
    assert done.returncode == CANNOT
    assert "policy.bundles is empty" in done.stdout


def test_a_bundle_with_one_changed_byte_is_refused_everywhere(federation: Federation) -> None:
    app = federation.root / "changed" / "hepafed"
    copy_app(federation.app, app)
    changed = app / "client" / "training.py"
    content = changed.read_bytes()
    changed.write_bytes(content.replace(b"Local optimisation", b"local optimisation", 1))
    assert sum(a != b for a, b in zip(content, changed.read_bytes(), strict=True)) == 1
    bundle = bundle_hash(app)
    run = federation.submit(plan_of(1), app.parent / "state", NAMES, minimum_sites=5, app=app)
    refused(federation, run, NAMES, "BUNDLE_REFUSED")
    for site in NAMES:
        assert federation.audit_lines(site, run)[0]["bundle"] == bundle
        assert f"{bundle[:8]}" not in federation.log(site).replace(bundle, "")


def test_a_run_that_asks_for_more_than_the_policy_allows_is_refused(
    federation: Federation,
) -> None:
    for site in NAMES:
        federation.change_policy(site, max_rounds=1)
    run = federation.submit(plan_of(rounds=2), federation.root / "longer", NAMES, minimum_sites=5)
    refused(federation, run, NAMES, "POLICY_REFUSED")
