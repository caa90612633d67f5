// npm @modelcontextprotocol/sdk 1.x: sessions only.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema, ElicitRequestSchema, ListRootsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { ANSWERS, CAPABILITIES, follow } from './plan.mjs';

const SCHEMAS = {
  'sampling/createMessage': CreateMessageRequestSchema,
  'elicitation/create': ElicitRequestSchema,
  'roots/list': ListRootsRequestSchema,
};

async function open({ url, command }) {
  const client = new Client({ name: 'mcpg-matrix-sdk-1', version: '1.0.0' }, { capabilities: CAPABILITIES });
  for (const [method, answer] of Object.entries(ANSWERS)) {
    client.setRequestHandler(SCHEMAS[method], async (request) => answer(request.params));
  }
  const transport = url
    ? new StreamableHTTPClientTransport(new URL(url))
    : new StdioClientTransport({ command: command[0], args: command.slice(1), stderr: 'ignore' });
  let revision = null;
  const set = transport.setProtocolVersion?.bind(transport);
  transport.setProtocolVersion = (version) => { revision = version; set?.(version); };
  await client.connect(transport);
  return { client, revision: () => revision };
}

await follow(open, (client, params, options) => client.callTool(params, undefined, options));
