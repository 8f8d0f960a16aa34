from pathlib import Path

import pytest

from local.errors import LocalStackError
from local.sam import check_names


def test_a_parameter_that_the_template_does_not_have_is_refused(tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text("Parameters: {LeaseSeconds: {Type: Number}}")
    check_names({"LeaseSeconds": "5"}, template)
    with pytest.raises(LocalStackError, match="no parameter LeaseSecond"):
        check_names({"LeaseSecond": "5"}, template)
