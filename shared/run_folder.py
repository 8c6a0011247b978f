"""The folder of a run: which one, whether it is resumed, and what is put there at the end."""

import hashlib
import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

OUTPUTS = Path("outputs")
STATE = "state"
RUN_FILE = "run.json"
FINGERPRINT_FILE = ".configuration"


class OutputFolderError(RuntimeError):
    """The folder asked for holds something that must not be overwritten, or is damaged."""


@dataclass(frozen=True)
class RunFolder:
    """Where a run's files go.

    Attributes
    ----------
    path : Path
    resumed : bool
        Whether an unfinished run of the same configuration was found here.
    """

    path: Path
    resumed: bool

    @property
    def state(self) -> Path:
        """Checkpoints; removed when the run has ended well, if nobody wants to keep them."""
        return self.path / STATE

    def finish(self, *, keep_state: bool = False) -> None:
        """Remove the checkpoints, and point ``outputs/latest`` here.

        The run has ended well also where its account may not write a link beside the caller.
        """
        if not keep_state:
            shutil.rmtree(self.state)
        with suppress(OSError):
            self._point_here()

    def _point_here(self) -> None:
        latest = OUTPUTS / "latest"
        OUTPUTS.mkdir(exist_ok=True)
        partial = OUTPUTS / ".latest.partial"
        partial.unlink(missing_ok=True)
        partial.symlink_to(os.path.relpath(self.path.resolve(), OUTPUTS.resolve()))
        partial.replace(latest)


def open_run_folder(name: str, output_dir: Path | None, config_yaml: str) -> RunFolder:
    """Return the folder for a run, resumed if an unfinished run of the same kind is there.

    Without `output_dir` it is ``outputs/<name>``, or ``outputs/<name>-<fingerprint>`` where
    that holds a run of another configuration: no result is ever overwritten by a different
    one. A finished run of the same configuration is run anew, and gives the same again.

    Parameters
    ----------
    name : str
    output_dir : Path or None
    config_yaml : str
        What identifies a run; machine-specific entries left out.

    Raises
    ------
    OutputFolderError
        `output_dir` holds another run, or files that are no run's; or the folder cannot be
        written.
    """
    try:
        return _open(name, output_dir, config_yaml)
    except OSError as error:
        raise OutputFolderError(
            f"{error.filename}: cannot be written ({error.strerror}): run this as an account that"
            " may write there, or give another output_dir"
        ) from error


def _open(name: str, output_dir: Path | None, config_yaml: str) -> RunFolder:
    fingerprint = hashlib.blake2b(config_yaml.encode(), digest_size=4).hexdigest()
    if output_dir is not None:
        if _is_another(output_dir, fingerprint):
            raise OutputFolderError(
                f"{output_dir} holds files that are not this run's: give another output_dir, "
                "or remove it"
            )
        path = output_dir
    else:
        path = OUTPUTS / name
        if _is_another(path, fingerprint):
            path = OUTPUTS / f"{name}-{fingerprint}"
    resumed = (path / STATE / RUN_FILE).exists()
    (path / STATE).mkdir(parents=True, exist_ok=True)
    (path / FINGERPRINT_FILE).write_text(fingerprint + "\n", encoding="utf-8")
    return RunFolder(path, resumed)


def keep_state_of(folder: RunFolder, data_fingerprint: str) -> RunFolder:
    """Drop checkpoints that were made from other patients, and note whose the next ones are."""
    run_file = folder.state / RUN_FILE
    resumed = folder.resumed and json.loads(run_file.read_text()) == {"data": data_fingerprint}
    if not resumed:
        shutil.rmtree(folder.state)
        folder.state.mkdir()
        run_file.write_text(json.dumps({"data": data_fingerprint}), encoding="utf-8")
    return RunFolder(folder.path, resumed)


def _is_another(path: Path, fingerprint: str) -> bool:
    if not path.exists() or not any(path.iterdir()):
        return False
    mark = path / FINGERPRINT_FILE
    return not mark.exists() or mark.read_text(encoding="utf-8").strip() != fingerprint
