"""What a coordinator was set up with: kept in its home, so that no later action is told again."""

import json
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from server.layout import CoordinatorSettings, Layout
from shared.config import ConfigurationError, to_json
from shared.secret_file import write_secret

HEADER = "# Kept by server/provision.py: words on its command line change this.\n"


def read_kept(layout: Layout) -> dict[str, Any]:
    """Return the settings that the home keeps; none where it keeps none.

    Raises
    ------
    ConfigurationError
        The file is not one that `keep` wrote.
    """
    path = layout.settings
    if not path.exists():
        return {}
    try:
        values: Any = OmegaConf.to_container(OmegaConf.load(path))
    except (OmegaConfBaseException, YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path}: not settings as action=init writes them")
    return values


def keep(settings: CoordinatorSettings, layout: Layout) -> list[str]:
    """Write the settings where they differ from those kept; return the names of what changed."""
    before, after = read_kept(layout), _values(settings)
    changed = [name for name, value in after.items() if before.get(name) != value]
    if changed:
        text = HEADER + OmegaConf.to_yaml(OmegaConf.create(after))
        write_secret(layout.settings, text.encode())
    return changed if before else []


def _values(settings: CoordinatorSettings) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(to_json(settings))
    del values["home"]  # where the file lies says it
    if settings.outputs is not None:
        values["outputs"] = str(settings.outputs_folder)
    return values
