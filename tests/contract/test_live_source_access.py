"""Who may read a server directly, over which connections, and what is said to whoever may not."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from rdbkeeper.domain.backup import Consistency
from rdbkeeper.domain.errors import (
    RdbkeeperError,
    SourceDenied,
    SourceRefused,
    SourceUnavailable,
)
from rdbkeeper.domain.source import Way
from rdbkeeper.sources.redis import connection
from rdbkeeper.sources.redis.source import RedisSource
from tests.contract.live_lab import Login, loaded, read_file, read_whole, real_source, running
from tests.local_cloud.dataset import digest
from tests.local_cloud.engines import Engine, _free_port
from tests.local_cloud.more_servers import find_servers
from tests.local_cloud.redis_server import ServerBinary

SECRET = "a-password-of-nobody"
READER = Login("reader", SECRET)
PAGE = (Path(__file__).parents[2] / "docs" / "sources.md").read_text(encoding="utf-8")
# What the page tells the owner of a server to type, in its order.
AT_ONCE, BY_KEYS = (
    line.removeprefix("ACL SETUSER rdbkeeper on >PASSWORD ").split()
    for line in PAGE.splitlines()
    if line.startswith("ACL SETUSER rdbkeeper ")
)
FOR_CLUSTERS = re.findall(r"`(\+[^`]+)` as well", PAGE)[0].split()
NEEDED_BEFORE_7, IN_PLACE_OF = (
    rights.split() for rights in re.findall(r"needs `([^`]+)` in place of\s`([^`]+)`", PAGE)[0]
)
RIGHTS = {Way.FULL_SYNC: AT_ONCE, Way.LOGICAL: BY_KEYS}
COMMANDS = [right for right in BY_KEYS if right.startswith("+")]


@pytest.fixture(scope="module")
def filled() -> Iterator[Engine]:
    with running() as (engine,):
        yield engine


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[Engine]]:
    with running(shards=3) as engines:
        yield engines


def allow(engine: Engine, *rules: str) -> None:
    engine.command("ACL", "SETUSER", "reader", "reset", "on", f">{SECRET}", *rules)


def asked_first(source: RedisSource) -> list[Callable[[], object]]:
    """What is asked of a server before any stream is."""
    return [lambda: source.find_instance("orders"), source.measure]


def read_as_reader(engine: Engine, way: Way = Way.AUTO) -> tuple[bytes, Consistency]:
    source = real_source(engine.port, way, login=READER)
    stream = source.open_stream(source.measure().files[0])
    return read_whole(stream), stream.findings.consistency


# ------------------------------------------------------------ users and rights


def test_a_user_needs_few_rights_to_read_key_by_key(filled: Engine, tmp_path: Path) -> None:
    allow(filled, *BY_KEYS)
    data, consistency = read_as_reader(filled)
    assert consistency is Consistency.LOGICAL
    with loaded(data, tmp_path) as other:
        assert digest(other.port) == digest(filled.port)


@pytest.mark.parametrize("server", find_servers(), ids=lambda server: f"{server.product}-{server.version_text}")
def test_the_rights_for_older_servers_are_enough_there(server: ServerBinary, tmp_path: Path) -> None:
    if server.version >= (7, 0, 0):
        pytest.skip("this server knows the newer commands")
    with running(server) as (engine,):
        allow(engine, *(right for right in BY_KEYS if right not in IN_PLACE_OF), *NEEDED_BEFORE_7)
        data, _ = read_as_reader(engine, Way.LOGICAL)
        with loaded(data, tmp_path, server) as other:
            assert digest(other.port) == digest(engine.port)


def test_a_user_who_may_replicate_reads_at_once(filled: Engine, tmp_path: Path) -> None:
    allow(filled, *AT_ONCE)
    data, consistency = read_as_reader(filled)
    assert consistency is Consistency.POINT_IN_TIME
    with loaded(data, tmp_path) as other:
        assert digest(other.port) == digest(filled.port)


@pytest.mark.parametrize("way", RIGHTS)
def test_a_user_needs_few_rights_more_to_read_a_cluster(cluster: list[Engine], way: Way, tmp_path: Path) -> None:
    for engine in cluster:
        allow(engine, *RIGHTS[way], *FOR_CLUSTERS)
    source = real_source(cluster[0].port, login=READER)
    files = source.measure().files
    assert {file.way for file in files} == {way}
    for engine, file in zip(cluster, files, strict=True):
        with loaded(read_file(source, file), tmp_path) as other:
            assert digest(other.port) == digest(engine.port)


@pytest.mark.parametrize("way", RIGHTS)
@pytest.mark.parametrize("missing", FOR_CLUSTERS)
def test_each_right_that_is_missing_on_a_cluster_is_named(cluster: list[Engine], way: Way, missing: str) -> None:
    for engine in cluster:
        allow(engine, *RIGHTS[way], *(right for right in FOR_CLUSTERS if right != missing))
    with pytest.raises(SourceDenied) as raised:
        read_as_reader(cluster[0])
    assert raised.value.hint.endswith(f" {missing}")


@pytest.mark.parametrize("missing", [right for right in COMMANDS if right != "+ping"])
def test_each_right_that_is_missing_is_named(filled: Engine, missing: str) -> None:
    allow(filled, *(right for right in BY_KEYS if right != missing))
    with pytest.raises(SourceDenied) as raised:
        read_as_reader(filled, Way.LOGICAL)
    assert raised.value.hint.endswith(f" {missing}")
    assert "reader" not in str(raised.value) and SECRET not in str(raised.value)


def test_keys_that_the_user_may_not_see_are_not_left_out(filled: Engine) -> None:
    allow(filled, "~spread:*", "+@all")
    with pytest.raises(SourceDenied, match="may not be read by the rule's user") as raised:
        read_as_reader(filled, Way.LOGICAL)
    assert "`spread:" not in raised.value.message
    assert "~*" in raised.value.hint


@pytest.mark.parametrize("login", [Login(), Login("", "wrong"), Login("reader", "wrong"), Login("nobody", SECRET)])
def test_a_login_that_is_wrong_or_missing_is_said_to_be_so(filled: Engine, login: Login) -> None:
    allow(filled, "~*", "+@all")
    filled.command("ACL", "SETUSER", "default", f">{SECRET}", "resetpass", f">{SECRET}")
    try:
        source = real_source(filled.port, login=login)
        for ask in asked_first(source):
            with pytest.raises(SourceDenied, match="did not accept the login") as raised:
                ask()
            named = "The secret rdbkeeper/reader does not fit" if any(login) else "Name a secret below `rdbkeeper/`"
            assert raised.value.hint.startswith(named)
            assert not {"wrong", "nobody", "reader", SECRET} & set(str(raised.value).split())
        assert real_source(filled.port, login=Login("", SECRET)).find_instance("orders") is not None
    finally:
        # The engine's own connection was made before the password was, and stays.
        filled.command("ACL", "SETUSER", "default", "nopass")


def test_a_password_where_the_server_has_none_is_said_to_be_so(filled: Engine) -> None:
    source = real_source(filled.port, login=Login("", SECRET))
    for ask in asked_first(source):
        with pytest.raises(SourceDenied, match="did not accept the login") as raised:
            ask()
        assert raised.value.hint.startswith("The server wants no password: leave `secret` out")


# ----------------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for 127.0.0.1 that is its own authority, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("the program openssl is not on PATH")
    folder = tmp_path_factory.mktemp("certificates")
    name = ["-subj", "/CN=server", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run(["openssl", "req", "-x509", "-days", "2", *key, *name, *files], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def tls_port(filled: Engine, certificates: Path) -> int:
    port = _free_port(with_bus=False)
    files = {"tls-cert-file": "certificate.pem", "tls-key-file": "key.pem", "tls-ca-cert-file": "certificate.pem"}
    settings = [word for name, file in files.items() for word in (name, str(certificates / file))]
    try:
        filled.command("CONFIG", "SET", *settings, "tls-auth-clients", "no", "tls-port", port)
    except Exception as error:  # noqa: BLE001 - whatever it says, this server has no TLS
        pytest.skip(f"{filled.server.path} cannot listen with TLS: {error}")
    return port


@pytest.mark.parametrize("way", [Way.FULL_SYNC, Way.LOGICAL])
def test_a_server_is_read_over_tls(
    filled: Engine, tls_port: int, certificates: Path, way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "certificate.pem"))
    source = real_source(tls_port, way, tls=True)
    assert source.find_instance("orders") is not None
    data = read_file(source, source.measure().files[0])
    with loaded(data, tmp_path) as other:
        assert digest(other.port) == digest(filled.port)


def refusal_of(source: RedisSource) -> RdbkeeperError:
    with pytest.raises(SourceRefused) as raised:
        source.find_instance("orders")
    with pytest.raises(SourceRefused):
        source.measure()
    return raised.value


def test_a_certificate_that_nobody_vouches_for_is_refused(tls_port: int) -> None:
    assert "certificate does not hold" in refusal_of(real_source(tls_port, tls=True)).message


def test_a_certificate_for_another_name_is_refused(
    tls_port: int, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "certificate.pem"))
    assert "certificate does not hold" in refusal_of(real_source(tls_port, tls=True, host="localhost")).message


def test_tls_where_the_server_has_none_says_what_to_set(filled: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", 0.5)  # such a server waits for the end of a line
    assert "`tls` to false" in refusal_of(real_source(filled.port, tls=True)).hint


def test_no_tls_where_the_server_wants_it_says_what_to_set(tls_port: int) -> None:
    assert "`tls`" in refusal_of(real_source(tls_port, tls=False)).hint


# ------------------------------------------------------------------ strangers


@contextmanager
def stranger(answer: bytes) -> Iterator[int]:
    """Something that answers whatever it hears in the same way; its port."""

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                with client, suppress(OSError):
                    while client.recv(4096):
                        client.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_memcached_is_told_by_its_name() -> None:
    with stranger(b"ERROR\r\n") as port:
        for ask in asked_first(real_source(port)):
            with pytest.raises(SourceRefused, match="memcached answers there"):
                ask()


STRANGE = {
    "a web server": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a word": b"+PONG\r\n",
    "a text": b"$4\r\nnone\r\n",
    "a mail server": b"* OK [CAPABILITY IMAP4rev1] ready\r\n",
    "no length": b"$abc\r\n",
    "a list": b"*2\r\n$1\r\na\r\n:5\r\n",
    "a deep list": b"*1\r\n" * 5_000,
}


@pytest.mark.parametrize("answer", STRANGE.values(), ids=STRANGE)
def test_what_is_no_redis_is_refused_and_not_taken_for_a_server_that_went_away(answer: bytes) -> None:
    with stranger(answer) as port:
        for ask in asked_first(real_source(port)):
            with pytest.raises(SourceRefused, match="neither Redis nor Valkey") as raised:
                ask()
            assert "the address and the port" in raised.value.hint


# ------------------------------------------------------------- not to be reached


def test_a_port_where_nothing_listens_says_to_look_at_the_port() -> None:
    for ask in asked_first(real_source(_free_port(with_bus=False))):
        with pytest.raises(SourceUnavailable, match="nothing listens at that port") as raised:
            ask()
        assert "the address and the port" in raised.value.hint


@pytest.mark.parametrize("tls", [True, False])
def test_nothing_is_sent_to_an_address_that_is_never_asked(monkeypatch: pytest.MonkeyPatch, tls: bool) -> None:
    monkeypatch.setattr(connection, "is_never_reached", lambda address: address == "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        with pytest.raises(SourceRefused, match="link-local, metadata"):
            real_source(listener.getsockname()[1], tls=tls, host="localhost").find_instance("orders")
        with pytest.raises(TimeoutError):
            listener.accept()


def test_an_address_that_a_name_stands_for_only_when_it_is_connected_to_is_not_asked_either(
    monkeypatch: pytest.MonkeyPatch, filled: Engine
) -> None:
    monkeypatch.setattr(connection, "is_never_reached", lambda address: address == "127.0.0.1")
    monkeypatch.setattr(connection, "resolve", lambda host, port: ["10.0.0.5"])
    with pytest.raises(SourceRefused, match="link-local, metadata"):
        real_source(filled.port).find_instance("orders")


def test_a_host_without_an_address_says_to_look_at_its_name() -> None:
    with pytest.raises(SourceUnavailable, match="name is not known here") as raised:
        real_source(6379, host="no-such-host.invalid").find_instance("orders")
    assert "the host in the rule's source" in raised.value.hint


def test_an_address_that_no_packet_comes_back_from_says_to_look_at_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as waiting:
        address = full.getsockname()
        for _ in range(4):  # once its queue is full, a listener drops what else comes
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(address)
        with pytest.raises(SourceUnavailable, match="nothing answers at that address") as raised:
            real_source(address[1]).find_instance("orders")
    assert "security group" in raised.value.hint
