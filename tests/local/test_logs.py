"""Log records as lines for people."""

import json

import pytest

from local.logs import readable


@pytest.mark.parametrize("line", ["START RequestId: 1 Version: 3", "REPORT RequestId: 1\tDuration: 6 ms", " \n"])
def test_lines_of_the_runtime_are_left_out(line: str) -> None:
    assert readable(line) is None


def test_a_record_shows_level_message_and_what_is_its_own() -> None:
    record = {"level": "INFO", "location": "x:1", "message": "request", "timestamp": "t", "status": 200}
    assert readable(json.dumps(record)) == "INFO    request status=200"


def test_metrics_show_names_and_values() -> None:
    metrics = [{"Metrics": [{"Name": "Requests"}, {"Name": "L2Latency"}]}]
    record = {"_aws": {"CloudWatchMetrics": metrics}, "Requests": [1.0], "L2Latency": [7.4], "service": "x"}
    assert readable(json.dumps(record)) == "metrics Requests=[1.0] L2Latency=[7.4]"


@pytest.mark.parametrize("line", ["plain text", "17", "{broken"])
def test_anything_else_stays_as_it_is(line: str) -> None:
    assert readable(line) == line
