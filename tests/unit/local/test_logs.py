from pathlib import Path

from local.logs import LogFile, readable


def test_a_structured_line_starts_with_level_and_message() -> None:
    line = '{"timestamp": "now", "level": "INFO", "message": "turn ended", "turn_id": "t1", "service": "copilotedge"}'
    assert readable(line) == "INFO turn ended turn_id=t1"


def test_any_other_line_stays_as_it_is() -> None:
    assert readable("Traceback (most recent call last):\n") == "Traceback (most recent call last):"
    assert readable("42") == "42"


def test_a_file_is_followed_by_whole_lines_from_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "stream-api.log"
    file = LogFile(path)
    assert file.new() == [] and file.lines() == []
    path.write_text("one\ntw")
    assert file.new() == ["one"]
    path.write_text("one\ntwo\n")
    assert file.new() == ["two"]
    assert LogFile(path).new() == []


def test_a_file_tells_what_was_written_since_then_with_what_belongs_to_it(tmp_path: Path) -> None:
    path = tmp_path / "stream-api.log"
    moments = ("2026-11-22 10:00:00,000+0000", "2026-11-22 12:00:00,500+0200", "2026-11-22 10:00:01,000+0000")
    entries = [f'{{"timestamp": "{moment}"}}\nTraceback {number}\n' for number, moment in enumerate(moments)]
    path.write_text("".join(entries))
    since = 1_795_341_600_500  # the second of them
    assert LogFile(path).lines(since) == "".join(entries[1:]).splitlines()
    assert LogFile(path).lines() == "".join(entries).splitlines()
