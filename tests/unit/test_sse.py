import pytest

from copilotedge.sse import EventParser

BODY = (
    '\ufeff: hello\r\ndata: {"a": "žluťoučký 🐎"}\r\n\r\nevent: x\ndata:two\ndata: lines\n\ndata: [DONE]\r\r'.encode()
)
EVENTS = ['{"a": "žluťoučký 🐎"}', "two\nlines", "[DONE]"]


def parse(*chunks):
    parser = EventParser()
    return [data for chunk in chunks for data in parser.feed(chunk)] + parser.close()


def test_each_event_gives_its_data():
    assert parse(BODY) == EVENTS


@pytest.mark.parametrize("cut", range(len(BODY)))
def test_a_body_may_be_cut_anywhere(cut):
    assert parse(BODY[:cut], BODY[cut:]) == EVENTS


def test_a_body_may_come_byte_by_byte():
    assert parse(*(bytes([byte]) for byte in BODY)) == EVENTS


def test_an_event_is_given_as_soon_as_it_is_whole():
    parser = EventParser()
    assert parser.feed(b"data: one\r\n\r\ndata: t") == ["one"]


def test_the_last_event_needs_no_blank_line():
    assert parse(b"data: one\n\ndata: two") == ["one", "two"]


def test_a_line_separator_inside_data_ends_no_line():
    assert parse("data: a\u2028b\u0085c\n\n".encode()) == ["a\u2028b\u0085c"]


def test_comments_and_other_fields_give_nothing():
    assert parse(b": ping\n\nevent: x\nid: 1\nretry: 5\ndatabase: y\n\n") == []


def test_only_one_space_belongs_to_the_colon():
    assert parse(b"data:  two\n\ndata:none\n\ndata\n\n") == [" two", "none", ""]


def test_bytes_that_are_no_utf8_are_replaced():
    assert parse(b"data: \xff\n\n") == ["\ufffd"]


def test_an_empty_body_gives_nothing():
    assert parse(b"") == []
