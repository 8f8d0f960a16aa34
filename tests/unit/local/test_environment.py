from pathlib import Path

import pytest

from local import environment


@pytest.fixture
def installs(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every installation that was made, instead of making it."""
    made: list[Path] = []
    monkeypatch.setattr(environment, "create", lambda directory: directory.mkdir(exist_ok=True))
    monkeypatch.setattr(environment, "install", lambda directory, lock: made.append(lock))
    return made


def test_it_is_made_once_and_again_when_the_lock_file_changes(tmp_path: Path, installs: list[Path]) -> None:
    lock = tmp_path / "dev.txt"
    for text, times in [("a==1", 1), ("a==1", 1), ("a==2", 2)]:
        lock.write_text(text)
        environment.main([str(tmp_path / "venv"), str(lock)])
        assert len(installs) == times


def test_one_that_was_cut_off_is_made_again(tmp_path: Path, installs: list[Path]) -> None:
    lock, directory = tmp_path / "dev.txt", tmp_path / "venv"
    lock.write_text("a==1")
    directory.mkdir()
    environment.main([str(directory), str(lock)])
    (directory / "stamp").unlink()  # what an interrupted installation leaves
    environment.main([str(directory), str(lock)])
    assert installs == [lock, lock]
