"""PyPI mcp: both eras. Prints one JSON object on standard output, as the TypeScript clients do."""

import asyncio
import json
import os
import sys

from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client


async def outcome(call):
    try:
        result = await call
        return {"result": result.model_dump(by_alias=True, mode="json", exclude_none=True)}
    except MCPError as error:
        return {"error": {"name": "MCPError", "code": error.code, "message": error.message, "data": error.data}}


async def main(url: str, revision: str) -> None:
    key = os.environ.get("MCPG_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    mode = revision if revision == "2026-07-28" else "legacy"
    said: dict = {}
    try:
        async with create_mcp_http_client(headers=headers) as http:
            async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
                said["revision"] = client.protocol_version
                said["tools"] = sorted(tool.name for tool in (await client.list_tools()).tools)
                said["echo"] = await outcome(client.call_tool("echo", {"text": "grüß dich"}))
                said["customer"] = await outcome(client.call_tool("lookup_customer", {"id": "c1"}))
                said["denied"] = await outcome(client.call_tool("delete_repo", {"name": "mcpg"}))
    except Exception as error:  # The report is the point, so that the test shows it.
        causes = getattr(error, "exceptions", [error])
        said["failed"] = {"message": "; ".join(repr(cause) for cause in causes)}
    print(json.dumps(said))


asyncio.run(main(sys.argv[1], sys.argv[2]))
