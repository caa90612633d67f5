// npm @modelcontextprotocol/client 2.x: both eras.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { ANSWERS, CAPABILITIES, follow } from './plan.mjs';

async function open({ url, command }, { revision }) {
  const mode = revision === '2026-07-28' ? { pin: revision } : 'legacy';
  const client = new Client(
    { name: 'mcpg-matrix-client-2', version: '1.0.0' },
    { capabilities: CAPABILITIES, versionNegotiation: { mode } },
  );
  for (const [method, answer] of Object.entries(ANSWERS)) {
    client.setRequestHandler(method, async (request) => answer(request.params));
  }
  const transport = url
    ? new StreamableHTTPClientTransport(new URL(url))
    : new StdioClientTransport({ command: command[0], args: command.slice(1), stderr: 'ignore' });
  await client.connect(transport);
  return { client, revision: () => client.getNegotiatedProtocolVersion() };
}

await follow(open, (client, params, options) => client.callTool(params, options));
