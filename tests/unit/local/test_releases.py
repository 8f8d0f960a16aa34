"""The name of what is deployed here."""

import re

from local.stack import release


def test_a_release_has_a_name_of_its_own_for_each_set_of_parameters() -> None:
    names = {
        release(parameters) for parameters in ({}, {"Model": "m"}, {"Model": "n"}, {"Model": "m", "LogLevel": "x"})
    }
    assert len(names) == 4
    assert release({"a": "1", "b": "2"}) == release({"b": "2", "a": "1"})


def test_it_is_what_the_template_takes_and_tells_no_secret() -> None:
    name = release({"CloudflareApiToken": "s3cret"})
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,32}", name)
    assert "s3cret" not in name
