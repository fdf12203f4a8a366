"""Rules of what keeps data: the table, the buckets, the queues."""

import re
from collections.abc import Iterable

from tests.template.breaking import Breaks, drop, drop_attribute, drop_resource, pattern, put
from tests.template.reading import Json, Template

_S3_NAME = 63
_CLOSED = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
_UNVERSIONED = {"Analytics"}
"""What an erasure removes there must not live on as a version."""
_LONGEST = {"${AWS::AccountId}": "123456789012", "${AWS::Region}": "ap-southeast-1"}


def tables_forget_and_recover(template: Template) -> list[str]:
    """TTL, point-in-time recovery, stream, encryption; they outlive the stack."""
    wanted = {
        "TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": True},
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
        "StreamSpecification": {"StreamViewType": "NEW_AND_OLD_IMAGES"},
        "SSESpecification": {"SSEEnabled": True, "SSEType": "KMS"},
    }
    return [*_lacking(template, "AWS::DynamoDB::Table", wanted), *_mortal(template, "AWS::DynamoDB::Table")]


def buckets_are_private(template: Template) -> list[str]:
    """Encrypted, closed to the public, over TLS only, versioned unless named above; they outlive the stack."""
    buckets = dict(template.of_type("AWS::S3::Bucket"))
    versioned = {"VersioningConfiguration": {"Status": "Enabled"}}
    closed = {"PublicAccessBlockConfiguration": dict.fromkeys(_CLOSED, True)}
    return [
        *(f for name in buckets.keys() - _UNVERSIONED for f in _lacking_one(name, buckets[name], versioned)),
        *_lacking(template, "AWS::S3::Bucket", closed),
        *_mortal(template, "AWS::S3::Bucket"),
        *(f"{name} is not encrypted" for name, b in buckets.items() if "BucketEncryption" not in b["Properties"]),
        *(f"{name} accepts calls without TLS" for name in buckets if name not in _over_tls(template)),
    ]


def bucket_names_fit(template: Template) -> list[str]:
    """S3 takes 63 characters, whatever the stage, the account and the region."""
    allowed = template.body["Parameters"]["Stage"]["AllowedPattern"]
    stage = max(("s" * length for length in range(64) if re.fullmatch(allowed, "s" * length)), key=len)
    names = {name: b["Properties"]["BucketName"]["Fn::Sub"] for name, b in template.of_type("AWS::S3::Bucket")}
    for part, longest in ({"${Stage}": stage} | _LONGEST).items():
        names = {name: found.replace(part, longest) for name, found in names.items()}
    return [f"{name} may have {len(found)} characters" for name, found in names.items() if len(found) > _S3_NAME]


def copies_for_analysis_go(template: Template) -> list[str]:
    """What people said is not kept for ever by a copy; the archive's own retention does not reach that."""
    rules = template.resources["Analytics"]["Properties"]["LifecycleConfiguration"]["Rules"]
    ends = {rule["Prefix"]: rule for rule in rules if "ExpirationInDays" in rule and rule["Status"] == "Enabled"}
    return [f"{copy} stays for ever" for copy in ("messages/", "facts/") if copy not in ends]


def queues_are_private(template: Template) -> list[str]:
    """Encrypted, over TLS only."""
    queues = [name for name, _ in template.of_type("AWS::SQS::Queue")]
    return [
        *_lacking(template, "AWS::SQS::Queue", {"SqsManagedSseEnabled": True}),
        *(f"{name} accepts calls without TLS" for name in queues if name not in _over_tls(template)),
    ]


BREAKS: Breaks = {
    tables_forget_and_recover: (
        (put("Table.TimeToLiveSpecification.Enabled", value=False), "Table has TimeToLiveSpecification"),
        (
            put("Table.TimeToLiveSpecification.AttributeName", "expiresAt"),
            "Table has TimeToLiveSpecification",
        ),
        (drop("Table.PointInTimeRecoverySpecification"), "Table has PointInTimeRecoverySpecification None"),
        (drop("Table.StreamSpecification"), "Table has StreamSpecification None"),
        (drop("Table.SSESpecification"), "Table has SSESpecification None"),
        (drop_attribute("Table", "DeletionPolicy"), "Table has DeletionPolicy None"),
    ),
    buckets_are_private: (
        (drop("Archive.VersioningConfiguration"), "Archive has VersioningConfiguration None"),
        (drop("Archive.PublicAccessBlockConfiguration.BlockPublicAcls"), "Archive has PublicAccessBlock"),
        (drop("Archive.BucketEncryption"), "Archive is not encrypted"),
        (drop("Analytics.BucketEncryption"), "Analytics is not encrypted"),
        (drop_resource("ArchivePolicy"), "Archive accepts calls without TLS"),
        (drop_attribute("Archive", "UpdateReplacePolicy"), "Archive has UpdateReplacePolicy None"),
    ),
    bucket_names_fit: (
        (pattern("Stage", "[a-z][a-z0-9-]{0,17}"), "Analytics may have 64 characters"),
        (
            put(
                "Archive.BucketName", {"Fn::Sub": "tessera-${Stage}-all-archives-${AWS::AccountId}-${AWS::Region}"}
            ),
            "Archive may have 66 characters",
        ),
    ),
    copies_for_analysis_go: (
        (put("Analytics.LifecycleConfiguration.Rules", []), "messages/ stays for ever"),
        (
            put(
                "Analytics.LifecycleConfiguration.Rules",
                [{"Status": "Enabled", "Prefix": "messages/", "ExpirationInDays": 1}],
            ),
            "facts/ stays for ever",
        ),
    ),
    queues_are_private: (
        (drop("DeadLetters.SqsManagedSseEnabled"), "DeadLetters has SqsManagedSseEnabled None"),
        (drop_resource("DeadLettersPolicy"), "DeadLetters accepts calls without TLS"),
    ),
}


def _lacking(template: Template, kind: str, wanted: dict[str, Json]) -> Iterable[str]:
    for name, found in template.of_type(kind):
        yield from _lacking_one(name, found, wanted)


def _lacking_one(name: str, found: Json, wanted: dict[str, Json]) -> Iterable[str]:
    for setting, value in wanted.items():
        if (actual := found["Properties"].get(setting)) != value:
            yield f"{name} has {setting} {actual!r}"


def _mortal(template: Template, kind: str) -> Iterable[str]:
    for name, found in template.of_type(kind):
        for attribute in ("DeletionPolicy", "UpdateReplacePolicy"):
            if (actual := found.get(attribute)) != "Retain":
                yield f"{name} has {attribute} {actual!r}"


def _over_tls(template: Template) -> set[str]:
    """Return the buckets and queues whose policy refuses calls without TLS."""
    policies = [*template.of_type("AWS::S3::BucketPolicy"), *template.of_type("AWS::SQS::QueuePolicy")]
    return {
        target["Ref"]
        for _, policy in policies
        if any(_refuses_plain_text(statement) for statement in policy["Properties"]["PolicyDocument"]["Statement"])
        for target in policy["Properties"].get("Queues", [policy["Properties"].get("Bucket")])
    }


def _refuses_plain_text(statement: Json) -> bool:
    everyone = statement["Effect"] == "Deny" and statement["Principal"] == "*"
    return everyone and statement.get("Condition") == {"Bool": {"aws:SecureTransport": False}}
