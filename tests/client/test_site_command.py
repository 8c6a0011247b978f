"""The site's command, action by action."""

import io
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from rich.console import Console

from client.audit import AuditError, AuditLog, Entry
from client.link import KeyFileError, read_key
from client.node import link_of, services, write_launchers
from client.question import Question
from client.run import ACTIONS, CANNOT, Action, Here, sharing
from client.site_file import SiteFile, read_site_file
from server.registry import read_public_key
from shared.app_bundle import bundle_hash
from shared.config import ConfigurationError

FILE = """
name: north
folder: patients
cache_dir: /elsewhere/cache
link: {address: "fl.example.org:8443", authority: ca.pem, key: north.key}
policy: {bundles: ["BUNDLE"]}
"""


@pytest.fixture
def here(tmp_path: Path) -> Here:
    """Write a site's file and read it."""
    path = tmp_path / "site.yaml"
    path.write_text(FILE.replace("BUNDLE", "0" * 64))
    return Here(read_site_file(path), path, Console(file=io.StringIO(), width=100))


def run(here: Here, action: Action) -> str:
    assert ACTIONS[action](here) == 0
    assert isinstance(here.console.file, io.StringIO)
    return here.console.file.getvalue()


def command(*words: str) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).resolve().parents[2] / "client" / "run.py"
    return subprocess.run([sys.executable, script, *words], capture_output=True, text=True)


def test_a_sites_file_may_lie_in_any_folder(here: Here) -> None:
    folder = here.path.parent / "Hôpital Sud (2024), north=1"
    folder.mkdir()
    here.path.rename(folder / "site.yaml")
    done = command(f"site={folder / 'site.yaml'}", "action=bundle")
    assert (done.returncode, done.stdout.strip()) == (0, bundle_hash())


def test_a_wrong_word_is_told_in_a_line() -> None:
    for words, message in (
        (["action=check"], "missing: site"),
        (["site=absent.yaml"], "absent.yaml: no such file"),
        (["site=site.yaml", "action=leave"], "client.action: Input should be 'join'"),
    ):
        done = command(*words)
        assert (done.returncode, done.stderr) == (CANNOT, "")
        assert done.stdout.startswith(f"Cannot do this: {message}")


def test_paths_start_at_the_files_own_folder(here: Here) -> None:
    home = here.path.parent
    assert here.site.folder == home / "patients"
    assert here.site.cache_dir == Path("/elsewhere/cache")
    assert here.site.audit_log == home / "state" / "messages.jsonl"
    assert link_of(here.site).authority == home / "ca.pem"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "name: Field required"),
        ("- name\n", "a list"),
        ("name: [", "not YAML"),
        (FILE.replace("patients", "???"), "fill it in"),
        (FILE.replace("8443", "https"), "host:port"),
        (FILE.replace("BUNDLE", "abc"), "SHA-256"),
        (FILE + "patients: 3\n", "unknown configuration key"),
        (FILE.replace('bundles: ["BUNDLE"]', "tasks: [survival]"), "tasks"),
        (
            FILE.replace("BUNDLE", "0" * 64) + "clinical_variables: [os_months]\n",
            "columns beside the labels",
        ),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=message) as refusal:
        read_site_file(path)
    assert str(path) in str(refusal.value)


def test_the_private_half_stays_and_the_public_one_can_be_registered(here: Here) -> None:
    told = run(here, "key")
    link = link_of(here.site)
    assert link.key.stat().st_mode & 0o777 == 0o600
    sent = link.key.with_name("north.key.pub").read_bytes()
    assert b"PRIVATE" not in sent
    public = read_key(link.key).public_key()
    assert read_public_key(sent) == public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert "send it to the coordinator" in told


def test_a_key_is_never_written_over(here: Here) -> None:
    run(here, "key")
    before = link_of(here.site).key.read_bytes()
    with pytest.raises(KeyFileError, match="move it away"):
        run(here, "key")
    assert link_of(here.site).key.read_bytes() == before


def test_the_bundle_is_the_checkouts(here: Here) -> None:
    assert run(here, "bundle").strip() == bundle_hash()


def test_the_log_is_verified(here: Here) -> None:
    log = AuditLog(here.site.audit_log)
    asked = Question("a" * 64, {"instruction": {"plan": "batches of one\x1b[2J"}})
    log.append(Entry(1, 1, "0" * 64, "train", "refused", "POLICY_REFUSED", question=asked))
    told = run(here, "log")
    assert "1 lines, chain intact" in told
    assert 'asked 1 times, first in line 1 (aaaaaaaaaaaaaaaa): {"instruction"' in told
    assert r"batches of one\u001b[2J" in told
    log.path.write_text(log.path.read_text().replace("train", "query"))
    with pytest.raises(AuditError, match="cut off or replaced"):
        run(here, "log")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_takes_the_unit(here: Here, tmp_path: Path) -> None:
    unit = tmp_path / "hepafed-site.service"
    unit.write_text(run(here, "unit"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "hepafed" not in done.stderr


def test_a_site_without_a_link_cannot_join(here: Here) -> None:
    lonely: SiteFile = replace(here.site, link=None)
    with pytest.raises(ConfigurationError, match="no link"):
        run(replace(here, site=lonely), "join")


def test_what_is_shared_follows_from_the_policy(here: Here) -> None:
    def told(site: SiteFile) -> str:
        console = Console(file=io.StringIO(), width=200)
        console.print(sharing(site, 12))
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    policy = replace(
        here.site.policy, tasks=("os",), max_rounds=7, max_local_epochs=3, max_local_steps=9
    )
    text = told(replace(here.site, policy=policy))
    assert "trained here on os: at most 7 rounds of at most 3 epochs or 9 steps" in text
    floors = replace(policy, min_batch_size=6, min_labelled_patients=4)
    text = told(replace(here.site, policy=floors))
    assert re.search(r"of at least 6 patients, .* at\W+least 4 with its label", text, re.DOTALL)
    assert "also of" not in text
    aged = told(replace(here.site, clinical_variables=("age", "log_afp")))
    assert "also of age, log_afp where the study reads them" in aged
    external = replace(here.site, policy=replace(policy, role="external"))
    assert "weights" not in told(external)


def test_the_executor_finds_the_guarded_app_and_refusals(here: Here) -> None:
    folder = write_launchers(here.path.parent / "launchers", here.path, Path("/nowhere/launcher"))
    names = {path.name for path in folder.iterdir()}
    assert {"flwr-clientapp", "flwr-serverapp", "flwr-agentapp", "flwr-simulation"} <= names
    for name in names - {"flwr-clientapp"}:
        done = subprocess.run([folder / name, "--token", "x"], capture_output=True, text=True)
        assert (done.returncode, "refused" in done.stderr) == (1, True)
    assert "client.launcher" in (folder / "flwr-clientapp").read_text()


def test_the_node_trusts_one_authority_and_shows_its_key(here: Here) -> None:
    node, executor, launcher = services(here.site, here.path, Path("/run/launcher"))
    for service in (node, executor, launcher):
        assert service.environment["NO_PROXY"].endswith("127.0.0.1,localhost")
    words = " ".join(node.command)
    assert "--root-certificates" in words
    assert "--auth-supernode-private-key" in words
    assert "--isolation process" in words
    assert "--insecure" not in words
    secret = here.site.state_dir / "executor-secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert str(secret) in executor.command
    assert executor.environment["PATH"].startswith(str(here.site.state_dir / "launchers"))
    assert launcher.command[-1] == "/run/launcher"
