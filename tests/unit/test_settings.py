"""Settings: one object from the environment; what is missing or wrong refuses by name, never by value."""

import pytest

from tessera.errors import Misconfigured
from tessera.settings import Settings

WHOLE = {
    "TABLE_NAME": "tessera-test",
    "KEYS_SECRET": "tessera-test/keys",
    "ARCHIVE_BUCKET": "tessera-test-archive",
    "ANALYTICS_BUCKET": "tessera-test-analytics",
    "ISSUER": "tessera-test",
    "AUDIENCE": "tessera",
    "LOG_SALT": "salt",
}


def test_what_need_not_be_said_has_its_default() -> None:
    assert Settings.of(WHOLE).model_dump() == {
        "table_name": "tessera-test",
        "keys_secret": "tessera-test/keys",
        "archive_bucket": "tessera-test-archive",
        "analytics_bucket": "tessera-test-analytics",
        "issuer": "tessera-test",
        "audience": "tessera",
        "allowed_origins": (),
        "path_prefix": "",
        "rate_limits": "on",
        "creations_per_minute": 100,
        "requests_per_minute": 600,
        "kinds": {},
        "log_salt": "salt",
        "tracing": "off",
        "metrics_flush_seconds": 10,
        "store_timeout_seconds": 1,
        "cleanup_shards": 16,
        "experiments": {},
        "bitrix24": "off",
        "payment_provider": "",
        "bitrix_webhook_secret": "",
        "bitrix_deal_stage_id": "NEW",
        "bitrix_assigned_by_id": 1,
        "dead_letters_url": "",
        "events_source": "",
        "athena_workgroup": "",
        "glue_database": "",
        "facts_stream": "",
        "realtime_table": "",
        "push_contact": "",
        "push_hosts": (),
        "push_keys_secret": "",
        "callback_url": "",
        "history_messages": 1000,
        "history_seconds": 86400,
        "app_topics": ("*",),
        "frames_per_minute": 600,
        "posts_per_second": 1000,
    }


def test_each_setting_is_the_variable_of_its_name() -> None:
    said = {
        "ALLOWED_ORIGINS": " https://a.example , http://localhost:* ,",
        "PATH_PREFIX": "/api",
        "RATE_LIMITS": "off",
        "CREATIONS_PER_MINUTE": "5",
        "REQUESTS_PER_MINUTE": "6",
        "KINDS": '{"chat": {"cacheSeconds": 2}}',
        "TRACING": "on",
        "METRICS_FLUSH_SECONDS": "0",
        "CLEANUP_SHARDS": "2",
        "EXPERIMENTS": '{"button": {}}',
        "BITRIX24": "on",
        "BITRIX_WEBHOOK_SECRET": "webhook",
        "BITRIX_DEAL_STAGE_ID": "C5:NEW",
        "BITRIX_ASSIGNED_BY_ID": "7",
        "DEAD_LETTERS_URL": "https://queue.example/letters",
        "EVENTS_SOURCE": "tessera-test",
        "ATHENA_WORKGROUP": "tessera-test",
        "GLUE_DATABASE": "tessera_test",
        "FACTS_STREAM": "tessera-test-facts",
        "PATH": "/usr/bin",
    }
    settings = Settings.of(WHOLE | said)
    assert settings.allowed_origins == ("https://a.example", "http://localhost:*")
    assert settings.kinds == {"chat": {"cacheSeconds": 2}}
    assert (settings.creations_per_minute, settings.requests_per_minute) == (5, 6)
    assert (settings.rate_limits, settings.tracing, settings.path_prefix) == ("off", "on", "/api")
    assert (settings.metrics_flush_seconds, settings.cleanup_shards) == (0, 2)
    assert (settings.athena_workgroup, settings.glue_database) == ("tessera-test", "tessera_test")
    assert settings.facts_stream == "tessera-test-facts"
    assert settings.experiments == {"button": {}}
    assert (settings.bitrix24, settings.bitrix_webhook_secret) == ("on", "webhook")
    assert (settings.bitrix_deal_stage_id, settings.bitrix_assigned_by_id) == ("C5:NEW", 7)
    assert (settings.dead_letters_url, settings.events_source) == ("https://queue.example/letters", "tessera-test")


@pytest.mark.parametrize("missing", WHOLE)
@pytest.mark.parametrize("how", ["absent", "empty"])
def test_a_missing_variable_is_named(missing: str, how: str) -> None:
    environment = {name: value for name, value in WHOLE.items() if name != missing}
    if how == "empty":
        environment |= {missing: ""}
    with pytest.raises(Misconfigured) as refused:
        Settings.of(environment)
    assert str(refused.value) == f"missing or wrong in the environment: {missing}"


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("RATE_LIMITS", "s3cret"),
        ("TRACING", "s3cret"),
        ("CREATIONS_PER_MINUTE", "s3cret"),
        ("REQUESTS_PER_MINUTE", "0"),
        ("METRICS_FLUSH_SECONDS", "-1"),
        ("CLEANUP_SHARDS", "101"),
        ("KINDS", "s3cret"),
        ("KINDS", '["s3cret"]'),
        ("KINDS", '{"chat": "s3cret"}'),
        ("KINDS", ""),
    ],
)
def test_a_wrong_one_is_named_and_its_value_is_not(name: str, wrong: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        Settings.of(WHOLE | {name: wrong})
    assert name in str(refused.value)
    assert "s3cret" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_several_are_all_named() -> None:
    with pytest.raises(Misconfigured, match=", ".join(WHOLE)):
        Settings.of({})


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.of(WHOLE).table_name = "other"  # pyright: ignore[reportAttributeAccessIssue]
