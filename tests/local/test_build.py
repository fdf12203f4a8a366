"""What functions run on is what was built, and only what changed is built."""

from pathlib import Path

import pytest

from local import ports, process
from local.deploy import deploy
from local.paths import FUNCTIONS
from local.stack import Stack
from local.trouble import Trouble


def test_a_second_build_does_nothing(stack: Stack) -> None:
    assert not stack.build.make()


def test_functions_and_layers_are_compiled(stack: Stack) -> None:
    """Every module has its .pyc, since Lambda's file system is read-only."""
    for source in stack.build.folder.rglob("*.py"):
        assert (source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc").exists(), source


def test_sources_are_those_of_the_tree(stack: Stack) -> None:
    assert stack.build.sources()["SessionsGetFunction"] == FUNCTIONS / "sessions"


def test_what_is_deployed_is_not_deployed_again(stack: Stack) -> None:
    before = stack.clients.cloudformation.describe_stack_events(StackName="tessera-local")["StackEvents"]
    assert deploy(stack.build, stack.clients, stack.engine.folder, {}) == []
    after = stack.clients.cloudformation.describe_stack_events(StackName="tessera-local")["StackEvents"]
    assert len(after) == len(before)


def test_state_survives_a_restart_and_reset_forgets_it(tmp_path: Path) -> None:
    """And the table's stream is read on: what is written afterwards becomes a fact."""
    item = {"pk": {"S": "SESSION#restart"}, "sk": {"S": "CORE"}}
    session = {"id": {"S": "after"}, "kind": {"S": "chat"}, "createdAt": {"N": "1795168800000"}}
    stack = Stack(tmp_path, ports.free())
    try:
        table = stack.up().table
        stack.clients.dynamodb.put_item(TableName=table, Item=item)
        stack.down()
        stack.up()
        assert stack.clients.dynamodb.get_item(TableName=table, Key=item).get("Item") == item
        after = {"pk": {"S": "SESSION#after"}, "sk": {"S": "CORE"}, **session}
        stack.clients.dynamodb.put_item(TableName=table, Item=after)
        assert process.wait_until(lambda: _facts(stack) > 0, 20)
    finally:
        stack.reset()
    assert [file.name for file in tmp_path.iterdir()] == []


def _facts(stack: Stack) -> int:
    """Count the objects that the delivery stream has written."""
    bucket = stack.deployed().outputs["AnalyticsBucketName"]
    return stack.clients.s3.list_objects_v2(Bucket=bucket, Prefix="facts/")["KeyCount"]


def test_a_taken_port_is_named(stack: Stack, tmp_path: Path) -> None:
    with pytest.raises(Trouble, match=f"port {stack.engine.port} is taken"):
        Stack(tmp_path, stack.engine.port).up()
