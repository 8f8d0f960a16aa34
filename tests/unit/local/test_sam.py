from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local import sam
from local.errors import LocalStackError
from local.sam import Sam, completed

ALONE = """#!/bin/sh
mkdir "{0}/building" || exit 1
sleep 0.2
rmdir "{0}/building"
"""
"""A build that fails where another goes on."""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    file = tmp_path / "template.yaml"
    file.write_text("Parameters: {LeaseSeconds: {Type: Number, Default: 20}, AuthMode: {Type: String, Default: jwt}}")
    return file


def test_what_is_not_said_goes_back_to_its_default(template: Path) -> None:
    assert completed({"LeaseSeconds": "5"}, template) == {"LeaseSeconds": "5", "AuthMode": "jwt"}


def test_a_parameter_that_the_template_does_not_have_is_refused(template: Path) -> None:
    with pytest.raises(LocalStackError, match="no parameter LeaseSecond"):
        completed({"LeaseSecond": "5"}, template)


def test_builds_in_one_checkout_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable = tmp_path / "sam"
    executable.write_text(ALONE.format(tmp_path))
    executable.chmod(0o700)
    monkeypatch.setattr(sam, "EXECUTABLE", executable)
    monkeypatch.setattr(sam, "BUILD_LOCK", tmp_path / "lock")
    places = [tmp_path / name for name in ("one", "other")]
    with ThreadPoolExecutor(2) as pool:
        for place in places:
            (place / "output").mkdir(parents=True)
        builds = [pool.submit(Sam(place, place).build) for place in places]
        assert [build.result() for build in builds] == [None, None]
