"""What errors of TencentDB's API mean, what of them is shown, and where calls are sent."""

from __future__ import annotations

import socket
import threading

import pytest

from rdbkeeper.aws.secrets import ApiKey
from rdbkeeper.domain.errors import (
    BackupBusy,
    BackupGone,
    BackupQuotaUsed,
    NotExportable,
    SourceDenied,
    SourceError,
    SourceRefused,
    SourceUnavailable,
)
from rdbkeeper.sources.tencentdb.api import Failure, TencentApi, find_endpoint, shown_words
from tests.fakes.clock import FakeClock

REQUEST = "ed93f3cb-f35e-473f-b9f3-0d451b8b79c6"


@pytest.mark.parametrize(
    "code, error, hint",
    [
        ("AuthFailure.SignatureExpire", SourceUnavailable, "clock"),
        ("AuthFailure.SignatureFailure", SourceDenied, "secret"),
        ("AuthFailure.SecretIdNotFound", SourceDenied, "secret"),
        ("AuthFailure.TokenFailure", SourceDenied, "secret"),
        ("AuthFailure.UnauthorizedOperation", SourceDenied, "redis:DescribeBackupUrl"),
        ("UnauthorizedOperation", SourceDenied, "redis:DescribeBackupUrl"),
        ("UnauthorizedOperation.NoCAMAuthed", SourceDenied, "redis:DescribeBackupUrl"),
        ("InternalError.CamAuthOssResponseReturnCodeError", SourceDenied, "redis:DescribeBackupUrl"),
        ("RequestLimitExceeded", SourceUnavailable, "by itself"),
        ("RequestLimitExceeded.UinLimitExceeded", SourceUnavailable, "by itself"),
        ("InternalError.DbOperationFailed", SourceUnavailable, "by itself"),
        ("ServerNetworkError", SourceUnavailable, "by itself"),
        ("ClientNetworkError", SourceUnavailable, "by itself"),
        ("UnsupportedRegion", SourceRefused, "region"),
        ("ResourceNotFound.InstanceNotExists", SourceRefused, "region"),
        ("InvalidParameterValue.BackupNotExists", BackupGone, "expired"),
        ("ResourceUnavailable.BackupLockedError", BackupBusy, "asks again"),
        ("ResourceUnavailable.BackupStatusAbnormal", BackupBusy, "asks again"),
        ("ResourceInUse.InstanceBeenLocked", BackupBusy, "asks again"),
        ("UnsupportedOperation.OnlyClusterInstanceCanExportBackup", NotExportable, "`redis`"),
        ("InvalidParameter.InvalidParameter", SourceRefused, "cannot be done"),
        ("UnauthorizedOperationElse", SourceRefused, "cannot be done"),
    ],
)
def test_each_code_is_an_error_of_its_kind_with_what_to_do(code: str, error: type[SourceError], hint: str) -> None:
    found = Failure(code, "Words.", REQUEST).translated("DescribeBackupUrl", "Asking for links")
    assert type(found) is error
    assert hint in found.hint
    assert found.message.startswith("Asking for links ")


@pytest.mark.parametrize(
    ("code", "field"),
    [("AuthFailure.SecretIdNotFound", "secret"), ("UnsupportedRegion", "region"), ("InternalError", "")],
)
def test_an_error_names_the_field_that_is_plainly_at_fault(code: str, field: str) -> None:
    assert Failure(code, "Words.", REQUEST).translated("DescribeInstances", "Listing").field == field


def test_an_error_says_its_code_its_words_and_its_request() -> None:
    found = Failure("InvalidParameter", "Limit must be from 1 to 100.", REQUEST).translated(
        "DescribeInstances", "Listing"
    )
    assert found.message == f"Listing failed: InvalidParameter: Limit must be from 1 to 100 (request {REQUEST})."


def test_a_code_can_mean_something_else_for_one_action() -> None:
    special = (("LimitExceeded", BackupQuotaUsed, "Tomorrow."),)
    found = Failure("LimitExceeded.ExceedUpperLimit", "", None).translated("ManualBackupInstance", "Asking", special)
    assert type(found) is BackupQuotaUsed


def test_an_answer_s_whole_body_is_never_shown() -> None:
    found = Failure("ServerNetworkError", b"<html>s3cret</html>", None).translated("DescribeInstances", "Listing")
    assert "s3cret" not in str(found)
    assert "oops" not in str(Failure("<b>oops</b>", "", "<i>oops</i>").translated("DescribeInstances", "Listing"))


@pytest.mark.parametrize(
    "words",
    [
        "see https://b.cos.ap-guangzhou.myqcloud.com/a.rdb?sign=s3cret for it",
        "the SecretId AKIDs3cretKEY is not found",
        "Signature=s3cret is wrong",
        'X-TC-Token: "s3cret" is over',
        "secret_key=s3cret was sent",
        "key s3cretABCDEFGHIJKLMNOPQRSTUVWXYZ01 is wrong",
    ],
)
def test_what_looks_like_a_key_or_a_link_is_not_shown(words: str) -> None:
    shown = shown_words(words)
    assert "s3cret" not in shown
    assert "..." in shown


def test_numbers_of_accounts_are_not_shown_and_names_are() -> None:
    shown = shown_words(
        "qcs::redis:ap-guangzhou:uin/100000000000:instance/crs-orders01 DescribeBackupDownloadRestriction"
    )
    assert shown == "qcs::redis:ap-guangzhou:uin/...:instance/crs-orders01 DescribeBackupDownloadRestriction"
    assert len(shown_words("word " * 1000)) <= 300


@pytest.mark.parametrize(
    "endpoint, region, where",
    [
        ("", "ap-guangzhou", "redis.tencentcloudapi.com"),
        ("redis.tencentcloudapi.com", "ap-guangzhou", "redis.tencentcloudapi.com"),
        ("https://redis.intl.tencentcloudapi.com", "ap-singapore", "redis.intl.tencentcloudapi.com"),
        ("", "ap-shanghai-fsi", "redis.ap-shanghai-fsi.tencentcloudapi.com"),
        ("redis.tencentcloudapi.com", "ap-shanghai-fsi", "redis.ap-shanghai-fsi.tencentcloudapi.com"),
        ("https://own.example.com", "ap-shanghai-fsi", "own.example.com"),
    ],
)
def test_calls_go_to_the_region_s_own_host_over_https(endpoint: str, region: str, where: str) -> None:
    assert find_endpoint(endpoint, region, allows_private=False) == ("https", where)


@pytest.mark.parametrize(
    "endpoint, allows_private",
    [
        ("http://redis.tencentcloudapi.com", True),
        ("http://119.28.1.1", True),
        ("http://169.254.169.254", True),
        ("http://127.0.0.1:9000", False),
        ("https://user@example.com", False),
        ("ftp://example.com", True),
        ("https://", True),
    ],
)
def test_calls_go_nowhere_in_plain_text_but_within(endpoint: str, allows_private: bool) -> None:
    with pytest.raises(SourceRefused):
        find_endpoint(endpoint, "ap-guangzhou", allows_private=allows_private)


def test_calls_may_go_to_a_private_address_where_the_stack_allows_it() -> None:
    assert find_endpoint("http://127.0.0.1:9000", "ap-guangzhou", allows_private=True) == ("http", "127.0.0.1:9000")


# ------------------------------------------------------- what must not be done twice


def ask_once(port: int) -> None:
    key = ApiKey("AKIDnobody", "secret")
    api = TencentApi(lambda: key, "ap-guangzhou", FakeClock(), endpoint=f"http://127.0.0.1:{port}", allows_private=True)
    api.call_once("ManualBackupInstance", "Asking for a backup", InstanceId="crs-1")


def test_a_call_that_reached_nobody_was_not_made() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = int(listening.getsockname()[1])
    with pytest.raises(SourceUnavailable):
        ask_once(port)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\nno"])
def test_a_call_whose_answer_was_lost_counts_as_made(answer: bytes) -> None:
    """By the API itself, or by what stands before it."""

    def serve() -> None:
        client, _ = listening.accept()
        with client:
            client.recv(65_536)
            client.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        ask_once(int(listening.getsockname()[1]))
        thread.join(5)


@pytest.mark.parametrize(
    "code, was_in_vain",
    [
        ("AuthFailure.SignatureExpire", True),
        ("RequestLimitExceeded.UinLimitExceeded", True),
        ("InternalError.DbOperationFailed", False),
        ("FailedOperation.SystemError", False),
        ("ServerNetworkError", False),
    ],
)
def test_only_what_is_answered_before_anything_is_done_was_surely_in_vain(code: str, was_in_vain: bool) -> None:
    assert Failure(code, "Words.", REQUEST).was_in_vain is was_in_vain
