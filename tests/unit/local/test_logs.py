from local.logs import readable


def test_a_structured_line_starts_with_level_and_message() -> None:
    line = '{"timestamp": "now", "level": "INFO", "message": "turn ended", "turn_id": "t1", "service": "copilotedge"}'
    assert readable(line) == "INFO turn ended turn_id=t1"


def test_any_other_line_stays_as_it_is() -> None:
    assert readable("Traceback (most recent call last):\n") == "Traceback (most recent call last):"
    assert readable("42") == "42"
