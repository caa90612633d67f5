// npm @modelcontextprotocol/sdk 1.x finds out by itself where to get a token, and gets one as a client without a person.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { ClientCredentialsProvider } from '@modelcontextprotocol/sdk/client/auth-extensions.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const [url, clientId, clientSecret] = process.argv.slice(2);
const authProvider = new ClientCredentialsProvider({ clientId, clientSecret, clientName: 'mcpg-test', scope: 'mcp' });
const client = new Client({ name: 'mcpg-test-oauth-1', version: '1.0.0' }, { capabilities: {} });
const said = {};
try {
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { authProvider }));
  said.echo = await client.callTool({ name: 'echo', arguments: { text: 'hello' } });
} catch (error) {
  said.failed = `${error.name}: ${error.message}`;
} finally {
  await client.close().catch(() => {});
}
console.log(JSON.stringify(said));
