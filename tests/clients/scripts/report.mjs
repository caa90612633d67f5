// What every TypeScript client here does and prints: one JSON object on standard output.

/** The arguments of a script: the endpoint, the revision to speak, and the API key (from the environment). */
export function settings() {
  const [url, revision] = process.argv.slice(2);
  const key = process.env.MCPG_KEY;
  return { url: new URL(url), revision, headers: key ? { Authorization: `Bearer ${key}` } : {} };
}

/** Lists the tools, calls one that is permitted and one that is not, and prints what came of it. */
export async function report(client, connect, revisionOf) {
  const said = {};
  try {
    await connect();
    said.revision = revisionOf();
    said.tools = (await client.listTools()).tools.map((tool) => tool.name).sort();
    said.echo = await outcome(() => client.callTool({ name: 'echo', arguments: { text: 'grüß dich' } }));
    said.customer = await outcome(() => client.callTool({ name: 'lookup_customer', arguments: { id: 'c1' } }));
    said.denied = await outcome(() => client.callTool({ name: 'delete_repo', arguments: { name: 'mcpg' } }));
  } catch (error) {
    said.failed = describe(error);
  } finally {
    await client.close().catch(() => {});
  }
  console.log(JSON.stringify(said));
}

async function outcome(call) {
  try {
    return { result: await call() };
  } catch (error) {
    return { error: describe(error) };
  }
}

function describe(error) {
  return { name: error.name, code: error.code, status: error.data?.status, message: error.message, data: error.data };
}
