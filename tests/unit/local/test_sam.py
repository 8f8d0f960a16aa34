from pathlib import Path

import pytest

from local.errors import LocalStackError
from local.sam import completed


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
