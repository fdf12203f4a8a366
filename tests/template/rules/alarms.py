"""Rules of the alarms."""

from collections.abc import Iterable

from tests.template.breaking import Breaks, drop, drop_resource, put
from tests.template.reading import Json, Template, strings
from tests.template.rules.functions import STREAMS

_WATCHED = {
    "AWS/ApiGateway 5xx",
    "AWS/ApiGateway Latency p99",
    "AWS/Lambda Throttles",
    "AWS/DynamoDB ReadThrottleEvents",
    "AWS/DynamoDB WriteThrottleEvents",
    "AWS/SQS ApproximateNumberOfMessagesVisible",
    "AWS/Firehose DeliveryToS3.DataFreshness",
    "Tessera CircuitsOpened",
    "Tessera CleanupLagSeconds",
    "Tessera ArchiveLagSeconds",
    "Tessera CompactionLagSeconds",
    "Tessera PaymentLagSeconds",
    "Tessera PaymentsFlagged",
    "Tessera CrmLagSeconds",
}


def alarms_watch_what_matters(template: Template) -> list[str]:
    """Errors, throttles, latency, dead letters, lags; the iterator age of each function that reads a stream."""
    readers = [function.logical_id for function in template.functions() if function.events(*STREAMS)]
    watched = {metric for _, alarm in _alarms(template) for metric in _metrics(alarm)}
    wanted = _WATCHED | {f"AWS/Lambda IteratorAge of {reader}" for reader in readers}
    return [f"no alarm watches {metric}" for metric in sorted(wanted - watched)]


def alarms_notify(template: Template) -> list[str]:
    """Each tells the topic, when there is one."""
    return [
        f"{name} tells nobody"
        for name, alarm in _alarms(template)
        if "AlarmTopicArn" not in strings(alarm.get("AlarmActions"))
    ]


BREAKS: Breaks = {
    alarms_watch_what_matters: (
        *(
            (drop_resource(name), f"no alarm watches {metric}")
            for name, metric in {
                "ErrorsAlarm": "AWS/ApiGateway 5xx",
                "FunctionThrottlesAlarm": "AWS/Lambda Throttles",
                "TableThrottlesAlarm": "AWS/DynamoDB ReadThrottleEvents",
                "DeadLettersAlarm": "AWS/SQS ApproximateNumberOfMessagesVisible",
                "CircuitsAlarm": "Tessera CircuitsOpened",
                "CleanupLagAlarm": "Tessera CleanupLagSeconds",
                "ArchiveLagAlarm": "Tessera ArchiveLagSeconds",
                "CompactionLagAlarm": "Tessera CompactionLagSeconds",
                "PaymentLagAlarm": "Tessera PaymentLagSeconds",
                "PaymentsFlaggedAlarm": "Tessera PaymentsFlagged",
                "CrmLagAlarm": "Tessera CrmLagSeconds",
                "FactsAlarm": "AWS/Firehose DeliveryToS3.DataFreshness",
                "FanoutAlarm": "AWS/Lambda IteratorAge of RealtimeFanoutFunction",
                "IteratorAgeAlarm": "AWS/Lambda IteratorAge of ConversationsArchiveFunction",
            }.items()
        ),
        (put("LatencyAlarm.ExtendedStatistic", "p50"), "no alarm watches AWS/ApiGateway Latency p99"),
        (
            put("LifecycleCleanupFunction.Events.Changes", {"Type": "DynamoDB", "Properties": {}}),
            "no alarm watches AWS/Lambda IteratorAge of LifecycleCleanupFunction",
        ),
    ),
    alarms_notify: (
        (drop("ErrorsAlarm.AlarmActions"), "ErrorsAlarm tells nobody"),
        (put("LatencyAlarm.AlarmActions", []), "LatencyAlarm tells nobody"),
    ),
}


def _alarms(template: Template) -> Iterable[tuple[str, Json]]:
    return ((name, alarm["Properties"]) for name, alarm in template.of_type("AWS::CloudWatch::Alarm"))


def _metrics(alarm: Json) -> Iterable[str]:
    """Yield namespace, metric, and percentile or function of each metric that an alarm watches."""
    for query in alarm.get("Metrics", ()):
        if "MetricStat" in query:
            metric = query["MetricStat"]["Metric"]
            functions = [d["Value"]["Ref"] for d in metric["Dimensions"] if d["Name"] == "FunctionName"]
            yield " of ".join([f"{metric['Namespace']} {metric['MetricName']}", *functions])
    if "MetricName" in alarm:
        name = f"{alarm['Namespace']} {alarm['MetricName']} {alarm.get('ExtendedStatistic', '')}".strip()
        functions = [d["Value"]["Ref"] for d in alarm.get("Dimensions", ()) if d["Name"] == "FunctionName"]
        yield " of ".join([name, *functions])
