// What every TypeScript client here does: it follows a plan (JSON on standard input) and prints what came of it (JSON on
// standard output). A plan is a list of endpoints, each with a `url` or a `command`, and the steps to take there.

import { readFileSync } from 'node:fs';

const ROOT = { uri: 'file:///matrix', name: 'matrix' };
const SAMPLED = { model: 'matrix-model', role: 'assistant', content: { type: 'text', text: 'sampled by the client' } };
/** How long a call runs before the client cancels it. */
const CANCEL_AFTER_MS = 300;

/** What the client declares: everything that a server may ask of it. */
export const CAPABILITIES = { sampling: {}, elicitation: { form: {}, url: {} }, roots: {} };

/** Answers to what a server may ask, by method. */
export const ANSWERS = {
  'sampling/createMessage': () => SAMPLED,
  'elicitation/create': (params) =>
    params.mode === 'url' ? { action: 'accept' } : { action: 'accept', content: filled(params.requestedSchema) },
  'roots/list': () => ({ roots: [ROOT] }),
};

/** Follows the plan. `open` connects a client to an endpoint; `call` calls a tool with progress and a signal. */
export async function follow(open, call) {
  const plan = JSON.parse(readFileSync(0, 'utf8'));
  const said = {};
  for (const endpoint of plan.endpoints) {
    said[endpoint.id] = await visit(endpoint, plan, open, call);
  }
  process.stdout.write(JSON.stringify(said) + '\n', () => process.exit(0));
}

async function visit(endpoint, plan, open, call) {
  const said = {};
  let client;
  try {
    const opened = await open(endpoint, plan);
    client = opened.client;
    said.revision = opened.revision();
    for (const step of endpoint.steps) {
      said[step.as] = await take(step, client, call);
    }
  } catch (error) {
    said.failed = describe(error);
  } finally {
    await client?.close().catch(() => {});
  }
  return said;
}

async function take(step, client, call) {
  const abort = new AbortController();
  let progress = 0;
  const timer = step.cancel ? setTimeout(() => abort.abort('matrix'), CANCEL_AFTER_MS) : undefined;
  try {
    const options = { signal: abort.signal, timeout: 60_000 };
    if (step.progress) options.onprogress = () => (progress += 1);
    const result = await perform(step, client, call, options);
    return step.progress ? { result, progress } : { result };
  } catch (error) {
    return { error: describe(error) };
  } finally {
    clearTimeout(timer);
  }
}

async function perform(step, client, call, options) {
  switch (step.op) {
    case 'tools': return (await all(client, 'listTools', 'tools')).map((tool) => tool.name);
    case 'prompts': return (await all(client, 'listPrompts', 'prompts')).map((prompt) => prompt.name);
    case 'resources': return (await all(client, 'listResources', 'resources')).map((resource) => resource.uri);
    case 'templates':
      return (await all(client, 'listResourceTemplates', 'resourceTemplates')).map((template) => template.uriTemplate);
    case 'call': return call(client, { name: step.name, arguments: step.arguments ?? {} }, options);
    case 'prompt': return client.getPrompt({ name: step.name, arguments: step.arguments ?? {} });
    case 'read': return client.readResource({ uri: step.uri });
    case 'complete':
      return client.complete({ ref: { type: 'ref/prompt', name: step.name }, argument: step.argument, context: step.context });
    default: throw new Error(`no operation ${step.op}`);
  }
}

async function all(client, method, field) {
  const items = [];
  let cursor;
  do {
    const page = await client[method](cursor ? { cursor } : undefined);
    items.push(...page[field]);
    cursor = page.nextCursor;
  } while (cursor);
  return items;
}

/** The smallest form that a schema takes. */
function filled(schema) {
  const content = {};
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    if (!(schema.required ?? []).includes(name)) continue;
    content[name] = { boolean: true, number: 1, integer: 1 }[property.type] ?? property.enum?.[0] ?? 'matrix';
  }
  return content;
}

function describe(error) {
  return { name: error?.name, code: error?.code, message: String(error?.message ?? error), data: error?.data };
}
