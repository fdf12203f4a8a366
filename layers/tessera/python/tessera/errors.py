"""Everything that can go wrong, drawn as a tree.

TesseraError
├── Problem                      answered to the caller as application/problem+json (RFC 9457)
│   ├── BadRequest           400 MalformedJson
│   ├── Unauthorized         401 TokenMissing · TokenInvalid · TokenExpired · TokenRevoked · SessionEnded
│   ├── Forbidden            403 NotYours · ScopeMissing · ServiceOnly · CrossSiteRequest
│   ├── NotFound             404 SessionNotFound · SessionExpired · BucketNotFound · ExperimentNotFound · InsightNotFound · ConnectionUnknown
│   ├── Conflict             409 SessionExists · LinkedToAnother · IllegalTransition · IllegalMove · DemandsUnmet · PaymentInProgress · OtherCheckout · OfferDecided · EditConflict · TooManyBuckets · IdempotencyInProgress · AnswerNotKept
│   ├── PreconditionFailed   412
│   ├── ContentTooLarge      413
│   ├── UnsupportedMediaType 415
│   ├── Invalid              422 IdempotencyKeyReused
│   ├── TooManyRequests      429
│   ├── InternalError        500 the answer to whatever is not in this tree
│   └── Unavailable          503 Throttled · Contended · CircuitOpen · QueryFailed · NoPaymentProvider · Unhealthy
├── NothingToDo                  what is asked for was done before, or is under way; carries the session
├── Stale                        a condition did not hold; carries the item that was found instead
├── Cancelled                    the same for a transaction; carries what was found at which of its places
├── Refused                      another service refused a call and did nothing; carries its code
├── Unanswered                   a call to another service of which nobody knows what it has done
├── PoisonedItem                 a stored item that the model refuses; carries its key
└── Misconfigured                the function refuses to start: settings, keys, tables, permissions

`from_aws` is the one place that reads the codes of the AWS SDK.
"""  # noqa: E501 - a node of the tree is one line

from collections.abc import Mapping
from typing import Any, ClassVar


class TesseraError(Exception):
    """The root: everything that Tessera raises on purpose."""


class Problem(TesseraError):
    """An error with an answer: `status`, a stable `slug` and a `title` by class; `detail` and members by case.

    `members` are the RFC 9457 extension members, in the camelCase of the JSON.
    `retry_after` is in seconds and becomes the Retry-After header.
    """

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"
    retry_after: ClassVar[int | None] = None

    def __init__(self, detail: str | None = None, **members: Any) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.members = members

    def as_json(self) -> dict[str, Any]:
        """The problem document; `type` is relative, so that it holds under any host and prefix."""
        document: dict[str, Any] = {
            "type": f"/problems/{self.slug}",
            "title": self.title,
            "status": self.status,
        }
        if self.detail:
            document["detail"] = self.detail
        return document | self.members


class BadRequest(Problem):
    """The request cannot be read."""

    status, slug, title = 400, "bad-request", "Bad request"


class MalformedJson(BadRequest):
    """The body is not JSON (RFC 8259)."""

    slug, title = "malformed-json", "The body is not valid JSON"


class Unauthorized(Problem):
    """Nobody, or nobody any more."""

    status, slug, title = 401, "unauthorized", "A valid token is needed"


class TokenMissing(Unauthorized):
    """No token and no cookie came with the request."""

    slug, title = "token-missing", "A token is needed"


class TokenInvalid(Unauthorized):
    """The token is malformed, forged, of another audience or of another type."""

    slug, title = "token-invalid", "The token is not valid"


class TokenExpired(Unauthorized):
    """The token was good once."""

    slug, title = "token-expired", "The token has expired"


class TokenRevoked(Unauthorized):
    """The token is of an earlier epoch, or its session is gone."""

    slug, title = "token-revoked", "The token was revoked"


class SessionEnded(Unauthorized):
    """The last frame of a socket: its session was logged out, deleted, or has expired."""

    slug, title = "session-ended", "The session has ended"


class Forbidden(Problem):
    """Known, and not allowed."""

    status, slug, title = 403, "forbidden", "Not allowed"


class NotYours(Forbidden):
    """Another's session or customer, known or not."""

    slug, title = "not-yours", "This belongs to another"


class ScopeMissing(Forbidden):
    """The service token lacks a scope; `scope` names it."""

    slug, title = "scope-missing", "The token lacks a scope"


class ServiceOnly(Forbidden):
    """A field or operation for service tokens; `pointer` names the field, if it is one."""

    slug, title = "service-only", "Only a service token may do this"


class CrossSiteRequest(Forbidden):
    """A cookie on an unsafe method without the CSRF header or from an Origin that is not allowed."""

    slug, title = "cross-site-request", "A cookie needs X-Tessera-Csrf and an allowed Origin"


class NotFound(Problem):
    """There is nothing there."""

    status, slug, title = 404, "not-found", "Not found"


class SessionNotFound(NotFound):
    """Unknown or deleted; a malformed id too."""

    slug, title = "session-not-found", "There is no such session"


class SessionExpired(NotFound):
    """It was there; whether DynamoDB still stores it does not matter."""

    slug, title = "session-expired", "The session has expired"


class BucketNotFound(NotFound):
    """The session has no bucket of this name, or none any more."""

    slug, title = "bucket-not-found", "There is no such bucket"


class ExperimentNotFound(NotFound):
    """No experiment is declared under this key."""

    slug, title = "experiment-not-found", "There is no such experiment"


class InsightNotFound(NotFound):
    """No insight has this name."""

    slug, title = "insight-not-found", "There is no such insight"


class ConnectionUnknown(NotFound):
    """A socket that stands, and is forgotten: it could be neither reached nor closed. Its client opens another."""

    slug, title = "connection-unknown", "The connection is not known any more"


class Conflict(Problem):
    """The request and the present state contradict each other."""

    status, slug, title = 409, "conflict", "Conflict with the present state"


class SessionExists(Conflict):
    """A create found its id taken."""

    slug, title = "session-exists", "The session exists already"


class LinkedToAnother(Conflict):
    """A login to another customer than the session has: what is in it is not theirs."""

    slug, title = "linked-to-another", "The session belongs to another customer"


class IllegalTransition(Conflict):
    """The status machine has no such arrow; `allowed` lists the ones it has."""

    slug, title = "illegal-transition", "The status cannot change this way"


class IllegalMove(Conflict):
    """The flow has no such move; `allowed` lists the steps it has."""

    slug, title = "illegal-move", "The flow cannot move this way"


class EditConflict(Conflict):
    """Fields that a three-way merge would change were changed otherwise since; nothing was written.

    `conflicts` is a list of {pointer, base, yours, theirs}, null for a field that is not there; without `base`
    where that is not known any more. `version` is the present one.
    """

    slug, title = "edit-conflict", "Others have changed the same fields"


class TooManyBuckets(Conflict):
    """The session has as many buckets as it may have; `limit` says how many."""

    slug, title = "too-many-buckets", "The session has no room for another bucket"


class DemandsUnmet(Conflict):
    """A move, or the end of a flow, demands what is not there.

    `missing` lists pointers into the session with its data, `steps` the steps that are not completed.
    """

    slug, title = "demands-unmet", "Something is missing for this move"


class PaymentInProgress(Conflict):
    """A payment is under way, and what is asked for would get in its way; its end is near."""

    slug, title, retry_after = "payment-in-progress", "A payment is under way", 2


class OtherCheckout(Conflict):
    """The session was checked out before, with other products, another amount or currency, and that stays."""

    slug, title = "other-checkout", "The session was checked out otherwise"


class OfferDecided(Conflict):
    """The offer was decided before, the other way; `decision` says which."""

    slug, title = "offer-decided", "The offer was decided otherwise"


class IdempotencyInProgress(Conflict):
    """The first request with this Idempotency-Key has not been answered yet."""

    slug, title, retry_after = "idempotency-in-progress", "The first request is still being answered", 1


class AnswerNotKept(Conflict):
    """What this Idempotency-Key asked for was done; its answer was too large to be kept for a replay."""

    slug, title = "answer-not-kept", "It was done before, and the answer was not kept"


class PreconditionFailed(Problem):
    """If-Match or If-None-Match asks for another state; `version` is the present one, null where nothing is."""

    status, slug, title = 412, "precondition-failed", "Another version is there"


class ContentTooLarge(Problem):
    """The body, or the item that it would make, is over the limit; `limit` is in bytes."""

    status, slug, title = 413, "content-too-large", "Too large"


class UnsupportedMediaType(Problem):
    """A body that does not call itself JSON."""

    status, slug, title = 415, "unsupported-media-type", "The body must be JSON"


class Invalid(Problem):
    """Readable and wrong; `errors` is a list of {pointer, detail} (RFC 6901 pointers into the body)."""

    status, slug, title = 422, "invalid", "The request is not valid"

    @classmethod
    def at(cls, pointer: str, detail: str) -> "Invalid":
        """One error at one place."""
        return cls(errors=[{"pointer": pointer, "detail": detail}])


class IdempotencyKeyReused(Invalid):
    """The Idempotency-Key came before with another body."""

    slug, title = "idempotency-key-reused", "The key was used with another body"


class TooManyRequests(Problem):
    """Over the limit of a `policy`: `limit` per `window` seconds; there is room again in `reset` seconds."""

    status, slug, title = 429, "too-many-requests", "Too many requests"

    def __init__(self, policy: str, *, limit: int, window: int, reset: int) -> None:
        super().__init__(policy=policy, limit=limit, window=window)
        self.policy, self.limit, self.window, self.reset = policy, limit, window, reset


class InternalError(Problem):
    """A fault of ours; the log has the rest under the correlation id."""

    slug = "internal-error"


class Unavailable(Problem):
    """A part that we need does not answer; nothing was changed."""

    status, slug, title, retry_after = 503, "unavailable", "Try again soon", 2


class Throttled(Unavailable):
    """The store takes no more for now."""

    slug, title, retry_after = "throttled", "The store is busy", 1


class Contended(Unavailable):
    """Others changed the same place at each of our tries."""

    slug, title, retry_after = "contended", "Too many writers at once", 1


class CircuitOpen(Unavailable):
    """A part that we need kept failing and is left alone for a moment: it was not called."""

    slug, title, retry_after = "circuit-open", "A part that we need is down", 5


class QueryFailed(Unavailable):
    """A query over the archive did not end well; `reason` tells whose fault it was, `execution` its id."""

    slug, title, retry_after = "query-failed", "The query failed", 10


class NoPaymentProvider(Unavailable):
    """Nobody is configured to take payments."""

    slug, title, retry_after = "no-payment-provider", "Payments are not taken here", 3600


class Unhealthy(Unavailable):
    """GET /health found a part that does not work; `checks` says which."""

    slug, title, retry_after = "unhealthy", "A part does not work", 30


class NothingToDo(TesseraError):
    """What is asked for was done before, or is under way. `found` is the session (`model.record.Record`)."""

    def __init__(self, found: Any) -> None:
        super().__init__("it was done before")
        self.found = found


class Stale(TesseraError):
    """A conditional write found another state. `found` holds the present attributes, None if no item is there."""

    def __init__(self, found: Mapping[str, Any] | None) -> None:
        super().__init__("a condition did not hold")
        self.found = found


class Cancelled(TesseraError):
    """A transaction whose conditions did not all hold.

    `failed` holds the places of those writes in it; `found` what stood against each of them, None if no item did.
    """

    def __init__(self, failed: frozenset[int], found: Mapping[int, dict[str, Any] | None]) -> None:
        super().__init__("conditions of a transaction did not hold")
        self.failed, self.found = failed, found


class Refused(TesseraError):
    """Another service understood a call and refused it. `code` is its word for why, without anything personal."""

    def __init__(self, code: str) -> None:
        super().__init__(f"another service refused: {code}")
        self.code = code


class Unanswered(TesseraError):
    """A call went out to another service, and no answer that can be read came: it may have taken effect."""

    def __init__(self) -> None:
        super().__init__("another service gave no answer")


class PoisonedItem(TesseraError):
    """A stored item that the model refuses. `key` names it (never its content)."""

    def __init__(self, key: str) -> None:
        super().__init__("a stored item cannot be read")
        self.key = key


class Misconfigured(TesseraError):
    """The function refuses to start, or its permissions or tables are not as deployed."""


# botocore's error code → what it means to us. Four codes are absent on purpose: the stores catch
# ConditionalCheckFailedException, TransactionCanceledException and PreconditionFailed where they set the
# condition and NoSuchKey where they ask for the key, because only there is it known what was decided.
# tests/unit/test_errors.py proves the table complete against the SDK's own service models.
AWS_ERRORS: Mapping[str, type[Problem] | type[Misconfigured]] = {
    # Busy: the same request may work in a moment.
    "ProvisionedThroughputExceededException": Throttled,
    "RequestLimitExceeded": Throttled,
    "ThrottlingException": Throttled,
    "Throttling": Throttled,
    "TooManyRequestsException": Throttled,
    "SlowDown": Throttled,
    "RequestThrottled": Throttled,
    "KmsThrottled": Throttled,
    "LimitExceededException": Throttled,
    "TransactionConflictException": Contended,
    "TransactionInProgressException": Contended,
    "ReplicatedWriteConflictException": Contended,
    "ConditionalRequestConflict": Contended,
    "OperationAborted": Contended,
    "IdempotentParameterMismatchException": Contended,
    # Down: AWS, or the way to it.
    "InternalServerError": Unavailable,
    "InternalServerException": Unavailable,
    "InternalServiceError": Unavailable,
    "InternalFailure": Unavailable,
    "InternalException": Unavailable,
    "InternalError": Unavailable,
    "ServiceUnavailable": Unavailable,
    "ServiceUnavailableException": Unavailable,
    "DecryptionFailure": Unavailable,
    "RequestTimeout": Unavailable,
    "ExpiredTokenException": Unavailable,
    "ExpiredToken": Unavailable,
    "BadDigest": Unavailable,
    # Too much for one item or object.
    "ItemCollectionSizeLimitExceededException": ContentTooLarge,
    "EntityTooLarge": ContentTooLarge,
    # Deployed wrongly: no retry helps.
    "AccessDeniedException": Misconfigured,
    "ResourceNotFoundException": Misconfigured,
    "UnrecognizedClientException": Misconfigured,
    "InvalidEndpointException": Misconfigured,
    "PolicyNotFoundException": Misconfigured,
    "ValidationException": Misconfigured,
    "InvalidParameterException": Misconfigured,
    "InvalidRequestException": Misconfigured,
    "InvalidArgumentException": Misconfigured,
    "InvalidKMSResourceException": Misconfigured,
    "InvalidSourceException": Misconfigured,
    "NoSuchBucket": Misconfigured,
    "AccessDenied": Misconfigured,
    "AllAccessDisabled": Misconfigured,
    "InvalidAccessKeyId": Misconfigured,
    "SignatureDoesNotMatch": Misconfigured,
    "AuthorizationHeaderMalformed": Misconfigured,
    "PermanentRedirect": Misconfigured,
    "MethodNotAllowed": Misconfigured,
    "InvalidArgument": Misconfigured,
    "InvalidRequest": Misconfigured,
    "MalformedXML": Misconfigured,
    "KeyTooLongError": Misconfigured,
    "InvalidObjectState": Misconfigured,  # a rule of the bucket has moved the object to where it cannot be read
    "EncryptionTypeMismatch": Misconfigured,
    "QueueDoesNotExist": Misconfigured,
    "InvalidAddress": Misconfigured,
    "InvalidSecurity": Misconfigured,
    "InvalidMessageContents": Misconfigured,
    "UnsupportedOperation": Misconfigured,
    "KmsAccessDenied": Misconfigured,
    "KmsDisabled": Misconfigured,
    "KmsInvalidKeyUsage": Misconfigured,
    "KmsInvalidState": Misconfigured,
    "KmsNotFound": Misconfigured,
    "KmsOptInRequired": Misconfigured,
    "InvalidWriteOffset": Misconfigured,  # of appending, which we do not do
    "TooManyParts": Misconfigured,  # same
}


def from_aws(code: str) -> Problem | Misconfigured:
    """Translate an error code of the SDK. A code that the table does not know counts as an outage."""
    meaning = AWS_ERRORS.get(code, Unavailable)
    return meaning(f"AWS answered {code}") if meaning is Misconfigured else meaning()
