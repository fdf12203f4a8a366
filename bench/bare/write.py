"""The bare handler to compare a save with: what a Lambda that writes one item cannot do without."""

import json
import os
from typing import Any

import boto3

client = boto3.client("dynamodb")
TABLE = os.environ["TABLE_NAME"]


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Put the body as an item of a session, over whatever is there, without a look at the session."""
    named = event["pathParameters"]
    item = {"pk": {"S": f"SESSION#{named['sessionId']}"}, "sk": {"S": "BARE"}, "data": {"S": event["body"]}}
    client.put_item(TableName=TABLE, Item=item)
    return {"statusCode": 200, "body": json.dumps({"bucket": named["bucket"]})}
