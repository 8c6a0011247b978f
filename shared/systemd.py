"""systemd units for services."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.supervisor import Service

HEADER = "# Generated from the configuration; edits are lost when it is generated again.\n"


@dataclass(frozen=True)
class UnitSettings:
    """What a unit says besides its service.

    Attributes
    ----------
    description : str
    user : str
    writable : tuple of Path
        Everything else is read-only for it.
    after : tuple of str
        Units that start first.
    part_of : str
        The target that stops and restarts it; none where empty.
    wanted_by : str
        What starts it.
    capabilities : tuple of str
        All that it may do beyond its account; where empty, nothing is said of them.
    stop_timeout_s : int
        Then what is left of it is killed.
    """

    description: str
    user: str
    writable: tuple[Path, ...]
    after: tuple[str, ...] = ()
    part_of: str = ""
    wanted_by: str = "multi-user.target"
    capabilities: tuple[str, ...] = ()
    stop_timeout_s: int = 30


def service_unit(service: Service, settings: UnitSettings) -> str:
    """Return the text of a ``.service`` file."""
    part_of = [f"PartOf={settings.part_of}"] if settings.part_of else []
    lines = [
        "[Unit]",
        f"Description={settings.description}",
        f"After={' '.join(['network-online.target', *settings.after])}",
        "Wants=network-online.target",
        *part_of,
        "",
        "[Service]",
        "Type=exec",
        f"User={settings.user}",
        f"WorkingDirectory={_path(service.working_dir)}",
        *_environment(service.environment),
        f"ExecStart={_words(service.command)}",
        # An executor without its secret leaves with code 0: it must come back all the same.
        "Restart=always",
        "RestartSec=5",
        # The signal goes to the first process, which passes it on; what is left is killed.
        "KillMode=mixed",
        f"TimeoutStopSec={settings.stop_timeout_s}",
        "UMask=0077",
        "NoNewPrivileges=yes",
        "PrivateTmp=yes",
        "ProtectSystem=strict",
        *_capabilities(settings.capabilities),
        f"ReadWritePaths={_words([str(path) for path in settings.writable])}",
        "",
        "[Install]",
        f"WantedBy={settings.wanted_by}",
    ]
    return HEADER + "\n".join(lines) + "\n"


def target_unit(description: str, units: Sequence[str]) -> str:
    """Return the text of a ``.target`` file that starts units together."""
    lines = [
        "[Unit]",
        f"Description={description}",
        f"Wants={' '.join(units)}",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return HEADER + "\n".join(lines) + "\n"


def _capabilities(names: Sequence[str]) -> list[str]:
    words = " ".join(names)
    return [f"AmbientCapabilities={words}", f"CapabilityBoundingSet={words}"] if names else []


def _environment(values: Mapping[str, str]) -> list[str]:
    return [f"Environment={_quote(f'{key}={value}')}" for key, value in values.items()]


def _words(words: Sequence[str]) -> str:
    return " ".join(_quote(word) for word in words)


def _quote(word: str) -> str:
    """Quote a word as systemd reads it (systemd.syntax, systemd.service: specifiers)."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def _path(path: Path) -> str:
    return str(path).replace("%", "%%")
