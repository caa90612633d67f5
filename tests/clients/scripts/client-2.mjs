// npm @modelcontextprotocol/client 2.x: both eras.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { report, settings } from './report.mjs';

const { url, revision, headers } = settings();
const mode = revision === '2026-07-28' ? { pin: revision } : 'legacy';
const client = new Client(
  { name: 'mcpg-test-client-2', version: '1.0.0' },
  { capabilities: {}, versionNegotiation: { mode } },
);
const transport = new StreamableHTTPClientTransport(url, { requestInit: { headers } });
await report(client, () => client.connect(transport), () => client.getNegotiatedProtocolVersion());
