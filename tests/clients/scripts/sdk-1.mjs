// npm @modelcontextprotocol/sdk 1.x: sessions only.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { report, settings } from './report.mjs';

const { url, headers } = settings();
const client = new Client({ name: 'mcpg-test-sdk-1', version: '1.0.0' }, { capabilities: {} });
const transport = new StreamableHTTPClientTransport(url, { requestInit: { headers } });
await report(client, () => client.connect(transport), () => transport.protocolVersion);
