// An identity provider for people: npm oidc-provider with the code flow, PKCE and a public client, as an organization would have one.
// Argument: the client's id. It prints its address.
//
//   POST /control/browse   { "url", "sub", "email_verified" }: what a browser does in which that person signs in at the URL. The answer is
//                          where the browser was sent at the end: { "location" }.

import http from 'node:http';
import Provider from 'oidc-provider';

const [clientId] = process.argv.slice(2);
const people = new Map();

const server = http.createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [{
    client_id: clientId,
    token_endpoint_auth_method: 'none',
    application_type: 'native',
    grant_types: ['authorization_code'],
    response_types: ['code'],
    redirect_uris: ['http://127.0.0.1/callback'],
  }],
  claims: { openid: ['sub'], email: ['email', 'email_verified'] },
  pkce: { required: () => true },
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, email: `${sub}@acme.com`, email_verified: people.get(sub) ?? false }) }),
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope('openid email');
    await grant.save();
    return grant;
  },
});
const serve = provider.callback();

async function browse({ url, sub, email_verified: verified }) {
  people.set(sub, verified);
  const cookies = new Map();
  let location = url;
  for (let hops = 0; hops < 10 && location.startsWith(issuer); hops += 1) {
    const headers = { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '), 'x-sub': sub };
    const response = await fetch(location, { redirect: 'manual', headers });
    for (const cookie of response.headers.getSetCookie()) {
      const [pair] = cookie.split(';');
      cookies.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1));
    }
    const next = response.headers.get('location');
    if (!next) return { error: `${response.status} ${await response.text()}` };
    location = new URL(next, location).href;
  }
  return { location };
}

server.on('request', async (request, response) => {
  if (request.url.startsWith('/interaction/')) {
    await provider.interactionFinished(request, response, { login: { accountId: request.headers['x-sub'] }, consent: {} });
  } else if (request.method === 'POST' && request.url === '/control/browse') {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    response.end(JSON.stringify(await browse(JSON.parse(Buffer.concat(chunks)))));
  } else {
    serve(request, response);
  }
});
console.log(`listening on ${issuer}`);
