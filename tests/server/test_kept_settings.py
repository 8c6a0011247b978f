"""What ``action=init`` was told holds for every later action of the command."""

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509

from server.certificates import hosts_of
from server.files import write_layout
from server.layout import CoordinatorSettings, Layout

SCRIPT = Path(__file__).resolve().parents[2] / "server" / "provision.py"
NAME = "fl.example.org"


def provision(home: Path, action: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), f"action={action}", f"home={home.name}", *words]
    return subprocess.run(command, cwd=home.parent, capture_output=True, text=True)


def done(home: Path, action: str, *words: str) -> str:
    command = provision(home, action, *words)
    assert command.returncode == 0, command.stdout + command.stderr
    return command.stdout


def refused(home: Path, action: str, *words: str) -> str:
    command = provision(home, action, *words)
    assert (command.returncode, command.stderr) == (2, ""), command.stdout + command.stderr
    return " ".join(command.stdout.split())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Set a coordinator up, with a port of its own."""
    done(tmp_path / "coordinator", "init", f"names=[{NAME}]", "port=9443")
    return tmp_path / "coordinator"


def test_later_actions_need_no_word_again(home: Path) -> None:
    layout = Layout(home)
    assert layout.settings.stat().st_mode & 0o777 == 0o600
    generated = [layout.nginx_config, layout.script, *sorted(layout.units.iterdir())]
    before = [path.read_bytes() for path in generated]
    old = layout.proxy.certificate.read_bytes()
    done(home, "renew")
    assert layout.proxy.certificate.read_bytes() != old
    assert hosts_of(layout.proxy.certificate) == {NAME}
    done(home, "layout")
    assert [path.read_bytes() for path in generated] == before
    done(home, "kit", "site=north")
    assert f"address: {NAME}:9443" in (layout.kits / "north" / "site.yaml").read_text()


def test_a_word_changes_what_is_kept(home: Path) -> None:
    told = done(home, "renew", f"names=[{NAME},fl2.example.org]", "addresses=['2001:db8::7']")
    assert "settings.yaml: names, addresses; it reaches" in " ".join(told.split())
    done(home, "layout", "port=8444")
    assert "listen 8444" in Layout(home).nginx_config.read_text()
    assert "kept in" not in done(home, "renew")
    hosts = {NAME, "fl2.example.org", "2001:db8::7"}
    assert hosts_of(Layout(home).proxy.certificate) == hosts
    done(home, "kit", "site=north")
    assert f"address: {NAME}:8444" in (home / "kits" / "north" / "site.yaml").read_text()


def test_no_name_of_the_certificate_is_lost_unawares(home: Path) -> None:
    certificate = Layout(home).proxy.certificate
    before = certificate.read_bytes()
    told = refused(home, "renew", "names=[other.example.org]")
    assert f"holds for {NAME}, the new one would not" in told
    assert certificate.read_bytes() == before
    # A kit would name an address that the certificate does not vouch for.
    done(home, "layout", "names=[other.example.org]")
    assert "run action=renew first" in refused(home, "kit", "site=north")
    done(home, "renew", "drop_names=true")
    assert hosts_of(certificate) == {"other.example.org"}


def test_a_coordinator_must_be_told_its_names_once(tmp_path: Path) -> None:
    home = tmp_path / "coordinator"
    assert "such as 'names=[fl.example.org]'" in refused(home, "init")
    assert not home.exists()
    assert "run action=init first" in refused(home, "list")
    done(home, "init", "addresses=[192.0.2.7]")
    assert hosts_of(Layout(home).proxy.certificate) == {"192.0.2.7"}


def test_settings_that_somebody_spoiled_are_named(home: Path) -> None:
    Layout(home).settings.write_text("names: [a\n")
    assert "settings.yaml: cannot be read" in refused(home, "layout")
    Layout(home).settings.write_text("- a\n")
    assert "not settings as action=init writes them" in refused(home, "layout")


def test_a_certificate_that_soon_expires_is_told(home: Path) -> None:
    done(home, "renew", "certificate_days=59")
    told = refused(home, "list")  # no link is running
    assert "proxy.pem: this certificate expires in 58 days" in told
    assert "link.pem: this certificate expires" in told
    end = x509.load_pem_x509_certificate(Layout(home).proxy.certificate.read_bytes())
    assert f"{end.not_valid_after_utc:%Y-%m-%d}" in told
    done(home, "renew", "certificate_days=62")
    assert "expires" not in refused(home, "list")


def test_the_script_finds_a_home_of_any_name(tmp_path: Path) -> None:
    home = tmp_path / "a b (c), 'd'=1"
    settings = CoordinatorSettings(home, names=(NAME,), nginx=Path("/nowhere/nginx"))
    write_layout(settings, Layout(home))
    told = subprocess.run([Layout(home).script], capture_output=True, text=True)
    assert f"{home} holds no authority" in " ".join(told.stdout.split())
