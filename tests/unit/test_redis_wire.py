"""What comes over a server's wire is read whole, in whatever pieces it arrives."""

from __future__ import annotations

import socket
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdbkeeper.domain.errors import ServerLost, SourceUnavailable, SyncRefused
from rdbkeeper.sources.redis import wire
from rdbkeeper.sources.redis.full_sync import LITTLE_BYTES, _first_line, _frame_of, _nap, refused
from rdbkeeper.sources.redis.refusals import Doing, Refusal, ValueTooLong
from rdbkeeper.sources.redis.wire import Wire, command
from tests.fakes.clock import FakeClock

DOING = Doing("Asking for all data of", "server:6379")
MARK = b"0123456789abcdef0123456789abcdef01234567"


class PiecewiseSocket:
    """Delivers bytes in pieces of the given sizes, over and over, then ends."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._data = data
        self._sizes = sizes or [1 << 20]
        self._turn = 0
        self.sent = b""

    def sendall(self, data: bytes, /) -> None:
        self.sent += data

    def recv(self, size: int, /) -> bytes:
        size = min(size, self._sizes[self._turn % len(self._sizes)])
        self._turn += 1
        piece, self._data = self._data[:size], self._data[size:]
        return piece

    def recv_into(self, buffer: memoryview, /) -> int:
        assert len(buffer), "a socket that is asked for nothing answers as if it had ended"
        piece = self.recv(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


sizes = st.lists(st.integers(1, 60), min_size=1, max_size=8)


@given(sizes)
def test_answers_are_read_in_whatever_pieces_they_come(pieces: list[int]) -> None:
    data = (
        b"+OK\r\n:-12\r\n$5\r\na\r\nbc\r\n$-1\r\n*2\r\n$0\r\n\r\n*1\r\n+x\r\n-NOPERM no\r\n*-1\r\n"
        + b"$90\r\n%b\r\n" % (b"v" * 90)
    )
    read = Wire(PiecewiseSocket(data, pieces))
    answers = [read.reply() for _ in range(5)]
    assert answers == [b"OK", -12, b"a\r\nbc", None, [b"", [b"x"]]]
    refusal = read.reply()
    assert isinstance(refusal, Refusal) and (refusal.code, refusal.text) == ("NOPERM", "no")
    assert (read.reply(), read.reply()) == (None, b"v" * 90)
    with pytest.raises(EOFError):
        read.reply()


@given(sizes)
def test_an_answer_that_is_known_is_stepped_over_and_another_is_left(pieces: list[int]) -> None:
    read = Wire(PiecewiseSocket(b"+OK\r\n+QUEUED\r\n+OK\r\n-ERR unknown command\r\n", pieces))
    assert read.skip(b"+OK\r\n+QUEUED\r\n")
    assert not read.skip(b"+OK\r\n+QUEUED\r\n")
    assert read.reply() == b"OK"
    assert isinstance(read.reply(), Refusal)


def test_an_answer_that_is_too_long_is_not_begun() -> None:
    read = Wire(PiecewiseSocket(b"$%d\r\n" % (wire.MOST_VALUE_BYTES + 1), []))
    with pytest.raises(ValueTooLong):
        read.reply()


@given(sizes)
def test_of_values_that_are_too_many_together_the_rest_is_stepped_over(pieces: list[int]) -> None:
    values = b"$30\r\n%b\r\n$80\r\n%b\r\n$0\r\n\r\n$20\r\n%b\r\n" % (b"a" * 30, b"b" * 80, b"c" * 20)
    read = Wire(PiecewiseSocket((b"*5\r\n:1\r\n" + values) * 3 + b":7\r\n", pieces))
    for _ in range(2):
        number, first, large, empty, last = read.reply(together_bytes=50)  # type: ignore[misc] # a list
        assert (number, first, empty, last) == (1, b"a" * 30, b"", b"c" * 20)
        assert isinstance(large, ValueTooLong) and large.length_bytes == 80
    assert read.reply() == [1, b"a" * 30, b"b" * 80, b"", b"c" * 20]
    assert read.reply() == 7


def test_values_that_are_too_many_together_are_not_begun_where_none_is_stepped_over() -> None:
    most = wire.MOST_VALUE_BYTES
    read = Wire(PiecewiseSocket(b"*2\r\n$1\r\na\r\n$%d\r\n" % most, []))
    with pytest.raises(ValueTooLong):
        read.reply()
    read = Wire(PiecewiseSocket(b"*1\r\n$%d\r\n" % (most + 1), []))
    with pytest.raises(ValueTooLong):
        read.reply(together_bytes=100)


def test_a_connection_that_ends_within_what_is_stepped_over_is_an_error() -> None:
    with pytest.raises(EOFError):
        Wire(PiecewiseSocket(b"$9\r\nabc", [])).reply(together_bytes=5)


def test_a_connection_that_ends_within_an_answer_is_an_error() -> None:
    for data in (b"$9\r\nabc", b"*2\r\n:1\r\n", b"+O", b"$3\r\nabc\r"):
        with pytest.raises(EOFError):
            Wire(PiecewiseSocket(data, [])).reply()


def test_a_command_is_sent_with_its_lengths() -> None:
    assert command("GET", b"a\r\n", 1) == b"*3\r\n$3\r\nGET\r\n$3\r\na\r\n\r\n$1\r\n1\r\n"


def read_file(data: bytes, pieces: list[int], room: int) -> bytes:
    """The file behind an answer to SYNC."""
    socket = PiecewiseSocket(data, pieces)
    line, rest = _first_line(socket, DOING, FakeClock())
    frame, buffer, found = _frame_of(line, rest, socket, DOING, lambda: None), memoryview(bytearray(room)), b""
    while count := frame.readinto(buffer):
        found += bytes(buffer[:count])
    assert frame.readinto(buffer) == 0, "a file that is whole stays whole"
    return found


rooms = st.sampled_from([1, 39, 40, 41, 100, 4095, 4096, 5000])


@given(st.binary(max_size=300), sizes, rooms)
def test_a_file_of_known_length_is_read_to_that_length(file: bytes, pieces: list[int], room: int) -> None:
    answer = b"\n\n$%d\r\n%b*1\r\n$4\r\nPING\r\n" % (len(file), file)
    assert read_file(answer, pieces, room) == file


@given(st.binary(max_size=300), sizes, rooms)
def test_a_file_before_a_mark_is_read_without_it(file: bytes, pieces: list[int], room: int) -> None:
    assert read_file(b"\n\n\n$EOF:%b\r\n%b%b" % (MARK, file, MARK), pieces, room) == file


@given(st.integers(0, 39), sizes, rooms)
def test_what_begins_as_the_mark_does_belongs_to_the_file(length: int, pieces: list[int], room: int) -> None:
    file = b"x" * 50 + MARK[:length] + b"y" * 7
    assert read_file(b"$EOF:%b\r\n%b%b" % (MARK, file, MARK), pieces, room) == file


@given(st.integers(0, 99), sizes, rooms, st.booleans())
def test_a_file_that_is_cut_anywhere_is_never_whole(cut: int, pieces: list[int], room: int, is_marked: bool) -> None:
    file = bytes(range(60))
    body = file + MARK if is_marked else bytes(100)
    begin = b"$EOF:%b\r\n" % MARK if is_marked else b"$100\r\n"
    with pytest.raises(EOFError):
        read_file(begin + body[:cut], pieces, room)


def test_a_server_that_only_says_that_it_lives_is_left_in_the_end() -> None:
    clock = FakeClock()

    class Newlines:
        def recv(self, size: int, /) -> bytes:
            clock.advance(10)
            return b"\n"

    with pytest.raises(SourceUnavailable, match="600 seconds"):
        _first_line(Newlines(), DOING, clock)  # type: ignore[arg-type] # only this is asked of it


@pytest.mark.parametrize(
    "said, error, words",
    [
        ("NOPERM User reader has no permissions to run the 'sync' command", SyncRefused, "may not run SYNC"),
        ("ERR unknown command 'SYNC', with args beginning with: ", SyncRefused, "unknown command 'SYNC'"),
        ("NOMASTERLINK Can't SYNC while not connected with my master", SourceUnavailable, "NOMASTERLINK"),
        ("ERR Can't SYNC while not connected with my master", SourceUnavailable, "not connected"),
        ("LOADING Redis is loading the dataset in memory", SourceUnavailable, "LOADING"),
        ("ERR BGSAVE failed, replication can't continue", SourceUnavailable, "BGSAVE failed"),
    ],
)
def test_a_refusal_of_sync_is_told_from_one_that_passes(said: str, error: type[Exception], words: str) -> None:
    found = refused(Refusal.of(said), DOING)
    assert type(found) is error
    assert words in found.message
    assert found.hint
    assert "reader" not in str(found)  # a user's name comes from a secret


def test_an_answer_to_sync_that_is_no_file_is_an_error() -> None:
    with pytest.raises(ServerLost, match="something else than a file"):
        _frame_of(b"+OK", b"", PiecewiseSocket(b"", []), DOING, lambda: None)


def test_little_data_is_let_pile_up_but_never_behind_tls() -> None:
    clock = FakeClock()
    plain = PiecewiseSocket(b"x" * 2 * LITTLE_BYTES + b"y" * 100, [LITTLE_BYTES])
    frame = _frame_of(b"$EOF:" + MARK, b"", plain, DOING, _nap(plain, clock))
    room = memoryview(bytearray(1 << 20))
    for _ in range(2):
        frame.readinto(room)
    assert clock.monotonic() == 0
    frame.readinto(room)
    assert 0 < clock.monotonic() < 0.002
    napped_s = clock.monotonic()
    with socket.socket() as bare:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        with context.wrap_socket(bare, do_handshake_on_connect=False) as behind_tls:
            _nap(behind_tls, clock)()
    assert clock.monotonic() == napped_s
