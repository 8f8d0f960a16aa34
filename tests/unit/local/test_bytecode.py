import marshal
import os
import subprocess
import sys
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from local.places import CHECKOUT

SCRIPT = CHECKOUT / "local" / "bytecode.py"
UNCHECKED = b"\x01\0\0\0"  # flags of a file that is never compared with its source: PEP 552


@pytest.fixture
def build(tmp_path: Path) -> Path:
    function, layer = tmp_path / "HttpFunction", tmp_path / "VendorLayer" / "python" / "package"
    function.mkdir()
    layer.mkdir(parents=True)
    (function / "handler.py").write_text(
        "NAMES = frozenset({'a', 'b', 'c'})\ndef handler(): return 'x' in {'y', 'z', 'w'}\n"
    )
    (layer / "module.py").write_text("ANSWER = 42\n")
    (tmp_path / "template.yaml").touch()
    return tmp_path


def compile_build(build: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    command = [sys.executable, str(SCRIPT), str(build)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def compiled(source: Path) -> bytes:
    return Path(cache_from_source(str(source))).read_bytes()


def test_functions_and_layers_are_compiled_and_named_as_lambda_mounts_them(build: Path) -> None:
    assert compile_build(build).returncode == 0
    for source, mounted in (
        (build / "HttpFunction" / "handler.py", "/var/task/handler.py"),
        (build / "VendorLayer" / "python" / "package" / "module.py", "/opt/python/package/module.py"),
    ):
        found = compiled(source)
        assert found[4:8] == UNCHECKED
        assert marshal.loads(found[16:]).co_filename == mounted


def test_the_same_source_makes_the_same_files(build: Path) -> None:
    compile_build(build)
    first = compiled(build / "HttpFunction" / "handler.py")
    compile_build(build)
    assert compiled(build / "HttpFunction" / "handler.py") == first


def test_what_cannot_be_compiled_is_told(build: Path) -> None:
    (build / "HttpFunction" / "wrong.py").write_text("def\n")
    failed = compile_build(build)
    assert failed.returncode != 0
    assert "Not everything could be compiled." in failed.stderr
