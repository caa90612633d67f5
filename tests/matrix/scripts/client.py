"""PyPI mcp: both eras. Follows a plan (JSON on standard input) as plan.mjs does, and prints what came of it."""

import asyncio
import json
import sys

import mcp_types as types
from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

# How long a call runs before the client cancels it, in seconds.
CANCEL_AFTER = 0.3


async def sample(_context, _params):
    text = types.TextContent(type="text", text="sampled by the client")
    return types.CreateMessageResult(role="assistant", content=text, model="matrix-model")


async def elicit(_context, params):
    if getattr(params, "mode", "form") == "url":
        return types.ElicitResult(action="accept")
    return types.ElicitResult(action="accept", content=filled(params.requested_schema))


async def roots(_context):
    return types.ListRootsResult(roots=[types.Root(uri="file:///matrix", name="matrix")])


def filled(schema: dict) -> dict:
    """The smallest form that a schema takes."""
    simple = {"boolean": True, "number": 1, "integer": 1}
    content = {}
    for name, property in schema.get("properties", {}).items():
        if name in schema.get("required", []):
            content[name] = simple.get(property.get("type")) or property.get("enum", ["matrix"])[0]
    return content


async def visit(endpoint: dict, revision: str) -> dict:
    said: dict = {}
    if "url" in endpoint:
        transport = streamable_http_client(endpoint["url"])
    else:
        command, *arguments = endpoint["command"]
        transport = stdio_client(StdioServerParameters(command=command, args=arguments))
    mode = revision if revision == "2026-07-28" else "legacy"
    try:
        async with Client(
            transport,
            mode=mode,
            sampling_callback=sample,
            elicitation_callback=elicit,
            list_roots_callback=roots,
        ) as client:
            said["revision"] = client.protocol_version
            for step in endpoint["steps"]:
                said[step["as"]] = await take(step, client)
    except BaseException as error:  # The report is the point, so that the test shows it.
        causes = getattr(error, "exceptions", [error])
        said["failed"] = {"message": "; ".join(repr(cause) for cause in causes)}
    return said


async def take(step: dict, client: Client) -> dict:
    progress = 0

    async def count(*_):
        nonlocal progress
        progress += 1

    try:
        work = perform(step, client, count if step.get("progress") else None)
        if step.get("cancel"):
            try:
                await asyncio.wait_for(work, CANCEL_AFTER)
            except TimeoutError:
                return {"error": {"message": "cancelled by the client"}}
            return {"result": "not cancelled"}
        result = await work
        return {"result": result, "progress": progress} if step.get("progress") else {"result": result}
    except MCPError as error:
        return {"error": {"name": "MCPError", "code": error.code, "message": error.message, "data": error.data}}


async def perform(step: dict, client: Client, progress):
    match step["op"]:
        case "tools":
            return [tool.name for tool in await everything(client.list_tools, "tools")]
        case "prompts":
            return [prompt.name for prompt in await everything(client.list_prompts, "prompts")]
        case "resources":
            return [str(resource.uri) for resource in await everything(client.list_resources, "resources")]
        case "templates":
            listed = await everything(client.list_resource_templates, "resource_templates")
            return [template.uri_template for template in listed]
        case "call":
            called = await client.call_tool(step["name"], step.get("arguments", {}), progress_callback=progress)
            return dump(called)
        case "prompt":
            return dump(await client.get_prompt(step["name"], step.get("arguments", {})))
        case "read":
            return dump(await client.read_resource(step["uri"]))
        case "complete":
            reference = types.PromptReference(type="ref/prompt", name=step["name"])
            context = (step.get("context") or {}).get("arguments")
            return dump(await client.complete(reference, step["argument"], context))
    raise ValueError(f"no operation {step['op']}")


async def everything(method, field: str) -> list:
    items: list = []
    cursor = None
    while True:
        page = await method(cursor=cursor)
        items += getattr(page, field)
        cursor = page.next_cursor
        if not cursor:
            return items


def dump(result):
    return result.model_dump(by_alias=True, mode="json", exclude_none=True)


async def main() -> None:
    plan = json.load(sys.stdin)
    print(json.dumps({each["id"]: await visit(each, plan["revision"]) for each in plan["endpoints"]}))


asyncio.run(main())
