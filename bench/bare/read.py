"""The bare handler to compare with: what a Lambda that reads one item cannot do without."""

import json
import os
from typing import Any

import boto3

client = boto3.client("dynamodb")
TABLE = os.environ["TABLE_NAME"]


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Read the item of a session; answer with it as DynamoDB gives it."""
    key = {"pk": {"S": f"SESSION#{event['pathParameters']['sessionId']}"}, "sk": {"S": "CORE"}}
    answer: Any = client.get_item(TableName=TABLE, Key=key, ConsistentRead=True)
    return {"statusCode": 200, "body": json.dumps(answer["Item"])}
