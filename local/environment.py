"""Makes a virtual environment hold exactly what a lock file says. Uses the standard library only: it comes first.

    python local/environment.py .venv requirements/dev.txt

Does nothing when the environment already matches the lock file and the interpreter.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
UV_LOCK = CHECKOUT / "requirements" / "uv.txt"
UV_HOME = CHECKOUT / ".tools" / "uv"  # beside the environments: making one exact would remove it from there


def main(arguments: list[str]) -> int:
    """Exit status 0 when the environment matches its lock file."""
    directory, lock = (Path(argument) for argument in arguments)
    wanted = fingerprint(lock)
    stamp = directory / "stamp"
    if stamp.is_file() and stamp.read_text() == wanted:
        return 0
    print(f"Installing {lock} into {directory} (once, up to a minute or two) ...", flush=True)
    stamp.unlink(missing_ok=True)
    create(directory)
    install(directory, lock)
    stamp.write_text(wanted)
    return 0


def fingerprint(lock: Path) -> str:
    """Changes with the lock file and with the interpreter."""
    return f"{sys.version_info[:2]} {sys.platform} {hashlib.sha256(lock.read_bytes()).hexdigest()}"


def create(directory: Path) -> None:
    """An empty environment of this interpreter, with pip: `sam build` calls pip in it."""
    if shutil.which("python", path=directory / "bin") and made_by_this_version(directory):
        return
    shutil.rmtree(directory, ignore_errors=True)
    try:
        venv.create(directory, with_pip=True, symlinks=True)
    except (subprocess.CalledProcessError, ImportError) as error:
        sys.exit(f"Cannot make a virtual environment ({error}). On Debian and Ubuntu: apt-get install python3-venv")


def made_by_this_version(directory: Path) -> bool:
    """Whether the environment's interpreter is of our own minor version."""
    return (directory / "bin" / f"python3.{sys.version_info.minor}").exists()


def install(directory: Path, lock: Path) -> None:
    """Installs with uv, which is several times faster; with pip where uv does not reach the package index."""
    python = directory / "bin" / "python"
    if fetch_uv(python) and run(UV_HOME / "bin" / "uv", *uv_arguments(python, lock)):
        return
    print("uv could not install it; trying pip ...", flush=True)
    if not run(python, "-m", "pip", *pip_options(), "install", *hashed(lock)):
        sys.exit(f"Cannot install {lock}.")


def fetch_uv(python: Path) -> bool:
    """Whether uv is there, fetched once for all environments."""
    pip = ("-m", "pip", *pip_options(), "install", "--prefix", str(UV_HOME), *hashed(UV_LOCK))
    return (UV_HOME / "bin" / "uv").exists() or run(python, *pip)


def uv_arguments(python: Path, lock: Path) -> list[str]:
    """`--exact` removes what the lock file does not name, but pip."""
    return ["pip", "install", "--quiet", "--exact", "--python", str(python), *hashed(lock)]


def pip_options() -> list[str]:
    return ["--quiet", "--disable-pip-version-check", "--no-input"]


def hashed(lock: Path) -> list[str]:
    return ["--require-hashes", "-r", str(lock)]


def run(*command: str | Path) -> bool:
    """Whether the command succeeded. The user's own settings of the package index apply."""
    environment = os.environ | {"UV_LINK_MODE": "copy", "PYTHONPATH": ""}
    return subprocess.run([str(part) for part in command], env=environment, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
