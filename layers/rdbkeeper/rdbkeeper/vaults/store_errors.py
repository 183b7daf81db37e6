"""What a store refuses, as rdbkeeper's errors: each names what was tried, and a denial the permission that is lacking.

Sources: "Error responses" in the Amazon S3 API reference; "Required permissions for Amazon S3 API operations".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from botocore.exceptions import ClientError

from rdbkeeper.aws.errors import DENIED, Family, answer_of, code_of, is_passing, status_of, translated, words_of
from rdbkeeper.domain.errors import (
    ObjectExists,
    StoreMismatch,
    UploadGone,
    VaultDenied,
    VaultRefused,
    VaultUnavailable,
)

MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
# How stores say that they do not know a call, or a header of it.
UNKNOWN_CALL = frozenset({"NotImplemented", "XNotImplemented", "MethodNotAllowed", "405", "501"})
# How a store answers to bytes that are not those of their sum.
WRONG_SUM = frozenset(
    {"BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch", "XAmzContentMD5Mismatch"}
)
_OTHER_REGION = frozenset(
    {"PermanentRedirect", "TemporaryRedirect", "Redirect", "AuthorizationHeaderMalformed", "301", "307"}
)

EXISTS_HINT = "Nothing in a vault is overwritten. The next run looks at what is there, and adopts or replaces it."
_SUM_HINT = "The bytes changed on their way to the store. Nothing was published; the next run sends them again."
CHANGED_HINT = "Something else writes to this place. The next run looks at what is there."
_KEYS_HINT = "Look at the access keys: the secret must hold the pair of a user that may use this bucket."
_KMS_HINT = "Look at the vault's KMS key, and at its policy: it must be enabled and let rdbkeeper's roles use it."
_REGION_HINT = (
    "The bucket lies in another region than the vault says. Bind the vault with the bucket's own region; one that is "
    "bound has to be unbound first."
)
_EXPIRED_HINT = "The credentials ran out. The next attempt gets new ones; if it repeats, look at the vault's role."
_ROLE_HINT = (
    "Name the role in the stack's parameter AllowedVaultRoleArns, and let the role's trust policy name this account's "
    "roles, with the vault's external id."
)
_PASSING_ROLE_HINT = "STS is busy or in trouble, which passes by itself as a rule; the next attempt tries again."

_UNREACHED_HINT = (
    "No connection was made. Look at the endpoint's scheme (https or http), port and certificate, and at the network "
    "and firewall before it; the next attempt tries again."
)

FAMILY = Family(
    VaultDenied,
    VaultUnavailable,
    VaultRefused,
    unreached_hint=_UNREACHED_HINT,
    special={
        "PreconditionFailed": (ObjectExists, EXISTS_HINT),
        # Another write of this key is going, perhaps our own Complete, whose answer was lost: the next attempt sees
        # what became of it. The S3 API reference wants a new upload after a refused Complete; a run that gets no
        # further gives the old one up, and the next run opens another.
        "ConditionalRequestConflict": (VaultUnavailable, "The next attempt tries again."),
        "NoSuchUpload": (UploadGone, "The upload was completed or given up by somebody else."),
        "InvalidPart": (StoreMismatch, _SUM_HINT),
        "NoSuchBucket": (VaultRefused, "There is no such bucket (any more). Look at the vault's bucket and region."),
        "RequestTimeTooSkewed": (VaultDenied, "The clocks of this function and of the store differ: set the store's."),
        "InvalidAccessKeyId": (VaultDenied, _KEYS_HINT),
        "SignatureDoesNotMatch": (VaultDenied, _KEYS_HINT),
        "ExpiredToken": (VaultDenied, _EXPIRED_HINT),
        "ExpiredTokenException": (VaultDenied, _EXPIRED_HINT),
        "TokenRefreshRequired": (VaultDenied, _EXPIRED_HINT),
        "QuotaExceeded": (VaultRefused, "The store or its bucket is full: raise its quota."),
        **dict.fromkeys(WRONG_SUM, (StoreMismatch, _SUM_HINT)),
        **dict.fromkeys(_OTHER_REGION, (VaultRefused, _REGION_HINT)),
        **dict.fromkeys(UNKNOWN_CALL, (VaultRefused, "The store does not know this call. Probe the vault.")),
    },
)
# The part is still at hand, so it is put again.
PUTTING = replace(
    FAMILY,
    special={
        **FAMILY.special,
        **dict.fromkeys(
            WRONG_SUM,
            (VaultUnavailable, "The part was changed on its way to the store; the next attempt sends it again."),
        ),
        "NoSuchKey": FAMILY.special["NoSuchUpload"],
    },
)
READING = replace(
    FAMILY,
    special={
        **FAMILY.special,
        "PreconditionFailed": (StoreMismatch, CHANGED_HINT),
        "NoSuchKey": (StoreMismatch, CHANGED_HINT),
    },
)

_ACTIONS = {
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "CompleteMultipartUpload": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "GetBucketVersioning": "s3:GetBucketVersioning",
    "GetObject": "s3:GetObject",
    "GetObjectLegalHold": "s3:GetObjectLegalHold",
    "GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "GetObjectRetention": "s3:GetObjectRetention",
    "HeadBucket": "s3:ListBucket",
    "HeadObject": "s3:GetObject",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListObjectsV2": "s3:ListBucket",
    "PutObject": "s3:PutObject",
    "PutObjectRetention": "s3:PutObjectRetention",
    "UploadPart": "s3:PutObject",
}
# "... is not authorized to perform: s3:PutObject on resource: ..." ("Troubleshoot access denied errors"): where AWS
# says so itself it knows better, as with kms:GenerateDataKey behind a PutObject.
_PERFORM = re.compile(r"perform: ([a-z0-9-]+:\w+)")


@contextmanager
def store_errors(bucket: str, what: str, family: Family = FAMILY) -> Iterator[None]:
    """Turn what a store refuses of `what` ("Listing the copies below orders/") into errors of a vault."""
    with translated(family, what):
        try:
            yield
        except ClientError as error:
            code = code_of(error)
            if error.operation_name == "AssumeRole":
                if is_passing(error):
                    raise VaultUnavailable(
                        f"{what} failed: the vault's role could not be assumed just now ({answer_of(error)}).",
                        hint=_PASSING_ROLE_HINT,
                    ) from error
                raise VaultDenied(
                    f"{what} failed: the vault's role could not be assumed ({answer_of(error)}).",
                    hint=_ROLE_HINT,
                ) from error
            if code.startswith("KMS."):
                raise VaultRefused(f"{what} failed: {answer_of(error)}.", hint=_KMS_HINT) from error
            if code not in family.special and (code in DENIED or status_of(error) in (401, 403)):
                raise _denial(bucket, what, error) from error
            raise


def lacking_action(error: ClientError) -> str:
    """The IAM action that a denied call lacked, as AWS names it or as its operation needs it."""
    named = _PERFORM.search(words_of(error))
    return named[1] if named else _ACTIONS.get(error.operation_name, f"s3:{error.operation_name}")


def _denial(bucket: str, what: str, error: ClientError) -> VaultDenied:
    action = lacking_action(error)
    hint = f"Allow {action} on the bucket {bucket}, in the policy of the role or user and in the bucket's own."
    if action.startswith("kms:"):
        hint = _KMS_HINT
    elif error.operation_name == "DeleteObject":
        hint += " A removal by the object's tag needs s3:GetObject too."
    return VaultDenied(
        f"{what} was denied: {action} on the bucket {bucket} is not allowed ({answer_of(error)}).",
        hint=hint,
    )
