"""Compiles what `sam build` has made, for the interpreter that runs this. Uses the standard library only.

    PYTHONHASHSEED=0 python3.14 local/bytecode.py .aws-sam/build

Lambda mounts functions and layers read-only, so without this each cold start compiles every module that it imports,
which takes about as long again. The interpreter must be of the functions' minor version; another one finds no use in
these files and compiles, as without them. With the hash seed the same source always makes the same files: what has not
changed is not deployed again.
"""

import compileall
import os
import sys
from pathlib import Path
from py_compile import PycInvalidationMode

MOUNTED = {True: "/opt", False: "/var/task"}
"""Where Lambda has a layer, and a function; it is what their tracebacks name."""


def compile_build(build: Path) -> bool:
    """Whether every module of every function and layer in `build` could be compiled."""
    parts = sorted(part for part in build.iterdir() if part.is_dir())
    return all(_compile(part) for part in parts)


def _compile(part: Path) -> bool:
    # Never compared with their sources: nothing changes those on Lambda, but unpacking changes their dates.
    return bool(
        compileall.compile_dir(
            part,
            maxlevels=20,
            quiet=1,
            force=True,
            stripdir=os.fspath(part),
            prependdir=MOUNTED[(part / "python").is_dir()],
            invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
        )
    )


if __name__ == "__main__":
    sys.exit(0 if compile_build(Path(sys.argv[1])) else "Not everything could be compiled.")
