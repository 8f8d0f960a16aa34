"""What is made of the times that were taken."""

from __future__ import annotations

import json

import pytest

from bench.fan_out import busiest, heard_by_all, is_in_order
from bench.latency import as_heard, delays, milliseconds, said_in, share, summary
from bench.listen import ENDS, Heard, Turn, hear
from bench.long_answer import memory, slope
from bench.pace import TOKEN, tokens


def heard(*deltas: tuple[float, int, int], text: str = "") -> Heard:
    return Heard(list(deltas), text, text, deltas[-1][0], len(deltas) + 1)


def test_each_token_is_as_late_as_the_frame_that_it_is_in():
    frames = heard((10.0, 0, TOKEN), (10.5, TOKEN, 2 * TOKEN))
    assert delays(frames, [9.9, 10.1, 10.4]) == pytest.approx([0.1, 0.4, 0.1])


def test_a_token_in_two_frames_has_arrived_with_the_second():
    frames = heard((10.0, 0, TOKEN + 1), (11.0, TOKEN + 1, TOKEN - 1))
    assert delays(frames, [9.0, 9.0]) == [1.0, 2.0]


def test_a_token_that_never_came_is_an_error():
    with pytest.raises(KeyError):
        delays(heard((10.0, 0, TOKEN)), [9.0, 9.1])


def test_events_of_a_stream_count_their_offsets():
    found = as_heard([(1.0, "abc"), (2.0, "de")], ended=3.0)
    assert found.deltas == [(1.0, 0, 3), (2.0, 3, 2)]
    assert (found.text, found.frames) == ("abcde", 2)


@pytest.mark.parametrize(
    ("chunk", "text"),
    [({"choices": []}, ""), ({"choices": [{"delta": {}}]}, ""), ({"choices": [{"delta": {"content": "Hi"}}]}, "Hi")],
)
def test_an_event_says_what_it_adds(chunk, text):
    assert said_in(f"data: {json.dumps(chunk)}") == text


def test_quantiles_are_of_the_nearest_rank():
    seconds = [n / 1000 for n in range(1, 101)]
    assert summary(seconds) == {"n": 100, "p50": 50.0, "p99": 99.0}
    assert milliseconds([0.007], 0.99) == 7.0


def test_a_share_counts_the_bound_itself():
    assert share([0.05, 0.06, 0.07], 0.06) == pytest.approx(2 / 3, abs=1e-4)


def test_order_is_lost_with_a_gap_or_a_repetition():
    assert is_in_order(heard((1.0, 0, 3), (2.0, 3, 3)))
    assert not is_in_order(heard((1.0, 0, 3), (2.0, 4, 3)))
    assert not is_in_order(heard((1.0, 0, 3), (2.0, 0, 3)))


def test_the_busiest_second_may_begin_anywhere():
    assert busiest([0.0, 0.9, 1.1, 1.2, 1.8, 2.5]) == 4


def test_one_socket_that_lost_something_is_told_from_the_others():
    text = "".join(tokens(2))
    whole = heard((1.0, 0, TOKEN), (1.5, TOKEN, TOKEN), text=text)
    torn = heard((1.0, 0, TOKEN), text=text[:TOKEN])
    found = heard_by_all(Turn(0.5, [whole, torn]), [0.9, 1.4], text)
    assert (found["whole"], found["in_order"]) == (1, 2)
    assert found["late_ms"]["n"] == 1
    assert found["model_tokens_a_second"] == 2


def test_memory_is_looked_at_after_the_first_tenth():
    samples = [(0.0, 10.0), *((float(second), 50.0 + second / 60) for second in range(1, 20))]
    found = memory(samples)
    assert found["start_mb"] == pytest.approx(50.0, abs=0.1)
    assert found["slope_mb_a_minute"] == pytest.approx(1.0)


def test_too_few_samples_of_memory_are_an_error():
    with pytest.raises(RuntimeError):
        memory([(0.0, 1.0)])


def test_a_slope_needs_two_moments():
    assert slope([(1.0, 2.0), (1.0, 3.0)]) == 0.0


class Frames:
    """A socket that is sent these."""

    def __init__(self, *frames: dict) -> None:
        self._frames = [json.dumps(frame) for frame in frames]

    async def recv(self) -> str:
        return self._frames.pop(0)


DELTA = {"type": "delta", "content": "Hi", "metadata": {"offset": 0}}


@pytest.mark.parametrize("end", ENDS)
async def test_a_socket_hears_to_the_end_of_its_turn(end):
    answer = {"type": "chat", "role": "assistant", "content": "Hi"}
    found = await hear(Frames(DELTA, answer, {"type": "status", "status": end}, {"type": "later"}))
    assert [delta[1:] for delta in found["deltas"]] == [(0, 2)]
    assert (found["text"], found["answer"], found["frames"]) == ("Hi", "Hi", 3)


async def test_a_socket_hears_the_answer_to_a_ping():
    assert (await hear(Frames({"type": "system", "content": "pong"})))["frames"] == 1


async def test_an_error_frame_ends_the_measurement():
    with pytest.raises(RuntimeError, match="queue_full"):
        await hear(Frames({"type": "error", "code": "queue_full"}))
