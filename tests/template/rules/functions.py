"""Rules of every function: limits, logs, traces, versions, and a place for what fails."""

from collections.abc import Callable, Iterable

from tests.template.breaking import Breaks, drop, drop_resource, put
from tests.template.reading import Function, Template, text

_GATEWAY_SECONDS = 29
_STREAM_SECONDS = 86_400
_ASYNCHRONOUS = ("Schedule", "ScheduleV2", "EventBridgeRule", "CloudWatchEvent", "S3", "SNS", "IoTRule")
_SCHEDULES = ("Schedule", "ScheduleV2")
STREAMS = ("DynamoDB", "Kinesis")
_PATIENT = {
    "FunctionResponseTypes": ["ReportBatchItemFailures"],
    "BisectBatchOnFunctionError": True,
    "StartingPosition": "TRIM_HORIZON",
}
"""One bad record fails alone, and what was written before the function came is read too."""

type Problems = Callable[[Function], Iterable[str]]


def functions_have_limits(template: Template) -> list[str]:
    """Memory and time are set; behind the API the time ends before the gateway's."""
    return _each(template, _limits)


def functions_are_described(template: Template) -> list[str]:
    """Each has a description of its own."""
    described = [(f.logical_id, f.properties.get("Description")) for f in template.functions()]
    words = [description for _, description in described]
    return [
        f"{name} has no description of its own"
        for name, description in described
        if not description or words.count(description) > 1
    ]


def functions_are_traced(template: Template) -> list[str]:
    """X-Ray is active."""
    return _each(template, lambda f: () if f.properties.get("Tracing") == "Active" else ("is not traced",))


def functions_publish_an_alias(template: Template) -> list[str]:
    """A version is published for every change, also of a layer or of a variable alone."""
    wanted = {"AutoPublishAlias": "live", "AutoPublishAliasAllProperties": True}
    layers = template.of_type("AWS::Serverless::LayerVersion")
    return [
        *_each(template, lambda f: (f"lacks {name}" for name in wanted if f.properties.get(name) != wanted[name])),
        *(
            f"{name} publishes nothing"
            for name, layer in layers
            if not layer["Properties"].get("PublishLambdaVersion")
        ),
    ]


def functions_keep_logs_for_a_time(template: Template) -> list[str]:
    """Each writes into a log group of its own, of its own name, that forgets."""
    groups = {name: found["Properties"] for name, found in template.of_type("AWS::Logs::LogGroup")}

    def problems(function: Function) -> Iterable[str]:
        group = groups.get(function.properties.get("LoggingConfig", {}).get("LogGroup", {}).get("Ref"), {})
        wanted = f"/aws/lambda/{text(function.properties['FunctionName'])}"
        if not group.get("RetentionInDays"):
            yield "has no log group with a retention"
        elif text(group.get("LogGroupName")) != wanted:
            yield f"does not log into {wanted}"

    return _each(template, problems)


def functions_log_from_the_chosen_level(template: Template) -> list[str]:
    """The parameter reaches Lambda, whose level counts as soon as the log is JSON, and Powertools."""
    chosen = {"Ref": "LogLevel"}

    def problems(function: Function) -> Iterable[str]:
        logging = function.properties.get("LoggingConfig", {})
        if logging.get("LogFormat") != "JSON" or logging.get("ApplicationLogLevel") != chosen:
            yield "leaves the level to Lambda"
        if function.properties["Environment"]["Variables"].get("POWERTOOLS_LOG_LEVEL") != chosen:
            yield "leaves the level to Powertools"

    return _each(template, problems)


def functions_follow_their_files(template: Template) -> list[str]:
    """Logical id, function name, code and handler all say context and operation."""
    return _each(template, lambda f: () if _actual_names(f) == _names(f) else (f"should be {_names(f)}",))


def asynchronous_functions_have_a_dead_letter_destination(template: Template) -> list[str]:
    """What fails for good is kept, both what could not be delivered and what could not be done."""
    return _each(template, _lost)


BREAKS: Breaks = {
    functions_have_limits: (
        (drop("Globals.Timeout"), "SessionsGetFunction has no timeout"),
        (drop("Globals.MemorySize"), "SessionsGetFunction has no memory size"),
        (
            put("SessionsGetFunction.Timeout", 60),
            "SessionsGetFunction may take 60 s, longer than the gateway waits",
        ),
    ),
    functions_are_described: (
        (drop("SessionsGetFunction.Description"), "SessionsGetFunction has no description of its own"),
        (
            put("SessionsGetFunction.Description", "List a customer's sessions"),
            "SessionsListFunction has no description of its own",
        ),
    ),
    functions_are_traced: (
        (drop("Globals.Tracing"), "SessionsGetFunction is not traced"),
        (put("SessionsGetFunction.Tracing", "PassThrough"), "SessionsGetFunction is not traced"),
    ),
    functions_publish_an_alias: (
        (drop("Globals.AutoPublishAlias"), "SessionsGetFunction lacks AutoPublishAlias"),
        (
            drop("Globals.AutoPublishAliasAllProperties"),
            "SessionsGetFunction lacks AutoPublishAliasAllProperties",
        ),
        (drop("TesseraLayer.PublishLambdaVersion"), "TesseraLayer publishes nothing"),
    ),
    functions_keep_logs_for_a_time: (
        (drop_resource("SessionsGetLogs"), "SessionsGetFunction has no log group with a retention"),
        (drop("SessionsGetLogs.RetentionInDays"), "SessionsGetFunction has no log group with a retention"),
        (
            put("SessionsGetFunction.LoggingConfig.LogGroup", {"Ref": "SessionsListLogs"}),
            "SessionsGetFunction does not log into /aws/lambda/tessera-${Stage}-sessions-get",
        ),
    ),
    functions_log_from_the_chosen_level: (
        (drop("Globals.LoggingConfig.ApplicationLogLevel"), "SessionsGetFunction leaves the level to Lambda"),
        (put("Globals.LoggingConfig.LogFormat", "Text"), "SessionsGetFunction leaves the level to Lambda"),
        (
            drop("Globals.Environment.Variables.POWERTOOLS_LOG_LEVEL"),
            "SessionsGetFunction leaves the level to Powertools",
        ),
    ),
    functions_follow_their_files: (
        (put("SessionsGetFunction.Handler", "read.handler"), "SessionsGetFunction should be"),
        (put("SessionsGetFunction.FunctionName", "get"), "SessionsGetFunction should be"),
        (put("SessionsGetFunction.CodeUri", "functions/tokens/"), "SessionsGetFunction should be"),
    ),
    asynchronous_functions_have_a_dead_letter_destination: (
        (drop("LifecycleCleanupFunction.EventInvokeConfig"), "has no on-failure destination"),
        (
            drop("LifecycleCleanupFunction.Events.EveryFiveMinutes.Properties.DeadLetterConfig"),
            "has a schedule without",
        ),
        (
            drop("LifecycleCleanupFunction.Events.EveryFiveMinutes.Properties.RetryPolicy"),
            "has a schedule without",
        ),
        (
            put("LifecycleCleanupFunction.Events.Changes", {"Type": "DynamoDB", "Properties": {}}),
            "has a stream without an on-failure destination",
        ),
        (
            drop("ConversationsArchiveFunction.Events.Changes.Properties.FunctionResponseTypes"),
            "has a stream with FunctionResponseTypes None",
        ),
        (
            put("InsightsRecordFunction.Events.Changes.Properties.StartingPosition", "LATEST"),
            "has a stream with StartingPosition 'LATEST'",
        ),
        (
            put("InsightsRecordFunction.Events.Changes.Properties.MaximumRecordAgeInSeconds", -1),
            "retries for longer than the stream keeps records",
        ),
    ),
}


def _each(template: Template, problems: Problems) -> list[str]:
    return [f"{function.logical_id} {said}" for function in template.functions() for said in problems(function)]


def _limits(function: Function) -> Iterable[str]:
    timeout = function.properties.get("Timeout")
    if not timeout:
        yield "has no timeout"
    elif timeout > _GATEWAY_SECONDS and function.events("HttpApi"):
        yield f"may take {timeout} s, longer than the gateway waits"
    if not function.properties.get("MemorySize"):
        yield "has no memory size"


def _names(function: Function) -> tuple[str, ...]:
    context, operation = function.context, function.operation
    return (
        f"{context.title()}{operation.title()}Function",
        f"tessera-${{Stage}}-{context}-{operation}",
        f"functions/{context}/",
        f"{operation}.handler",
    )


def _actual_names(function: Function) -> tuple[str | None, ...]:
    own = function.properties
    return function.logical_id, text(own["FunctionName"]), own["CodeUri"], own["Handler"]


def _lost(function: Function) -> Iterable[str]:
    on_failure = function.properties.get("EventInvokeConfig", {}).get("DestinationConfig", {}).get("OnFailure")
    if function.events(*_ASYNCHRONOUS) and not on_failure:
        yield "has no on-failure destination"
    for schedule in function.events(*_SCHEDULES):
        if not schedule.get("DeadLetterConfig") or not schedule.get("RetryPolicy"):
            yield "has a schedule without dead-letter queue and retry policy"
    for stream in function.events(*STREAMS):
        if not stream.get("DestinationConfig", {}).get("OnFailure"):
            yield "has a stream without an on-failure destination"
        for name, value in _PATIENT.items():
            if stream.get(name) != value:
                yield f"has a stream with {name} {stream.get(name)!r}"
        if not 0 < stream.get("MaximumRecordAgeInSeconds", -1) < _STREAM_SECONDS:
            yield "retries for longer than the stream keeps records"
