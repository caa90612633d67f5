// An issuer of access tokens: npm oidc-provider, with grants of its own that stand for what takes a person and a browser.
// Arguments: the gateway's client id and secret there. It prints its address, then a JSON line for every token exchange.
//
//   client_credentials             as it comes
//   urn:mcpg:test:person           an access token (`kind=access`) or an ID token (`kind=id`) of the person `login`
//   …:grant-type:token-exchange    RFC 8693: what is exchanged must be an access token of this issuer
//
//   POST /control/rotate           new keys; the old ones are not published any more
//   POST /control/outage           nothing is answered but 503, until it is asked for again

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import http from 'node:http';
import Provider, { errors } from 'oidc-provider';

const [clientId, clientSecret] = process.argv.slice(2);
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const PERSON = 'urn:mcpg:test:person';

const server = http.createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

let down = false;
let serve = start();

function start() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'ES256' };
  const provider = new Provider(issuer, {
    jwks: { keys: [key] },
    clients: [{
      client_id: clientId,
      client_secret: clientSecret,
      grant_types: ['client_credentials', EXCHANGE, PERSON],
      redirect_uris: [],
      response_types: [],
      id_token_signed_response_alg: 'ES256',
    }],
    scopes: ['openid', 'mcp', 'tools:call'],
    claims: { openid: ['sub', 'email', 'email_verified'] },
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, email: `${sub}@acme.com`, email_verified: true }) }),
    extraTokenClaims: (_, token) => (token.accountId ? { groups: ['engineers'] } : {}),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => resourceServer(resource),
        useGrantedResource: () => true,
      },
    },
  });
  provider.registerGrantType(PERSON, person, ['login', 'kind', 'resource', 'scope'], []);
  provider.registerGrantType(EXCHANGE, exchange, ['subject_token', 'subject_token_type', 'audience', 'scope', 'resource'], []);
  return provider.callback();
}

function resourceServer(resource) {
  return { scope: 'mcp tools:call', audience: resource, accessTokenTTL: 600, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } };
}

async function person(ctx) {
  const { client, params, provider } = ctx.oidc;
  if (params.kind === 'id') {
    const token = new provider.IdToken({ sub: params.login }, { ctx });
    token.scope = 'openid';
    token.set('nonce', 'n');
    ctx.body = { id_token: await token.issue({ use: 'idtoken' }) };
    return;
  }
  const token = new provider.AccessToken({ accountId: params.login, client, grantId: randomUUID(), gty: 'person', scope: params.scope });
  if (params.resource) {
    token.resourceServer = new provider.ResourceServer(params.resource, resourceServer(params.resource));
  }
  ctx.body = { access_token: await token.save(), token_type: 'Bearer' };
}

async function exchange(ctx) {
  const { client, params, provider } = ctx.oidc;
  const subject = JSON.parse(Buffer.from(params.subject_token.split('.')[1] ?? '', 'base64url') || '{}');
  if (subject.iss !== issuer) throw new errors.InvalidGrant('no token of this issuer');
  console.log(JSON.stringify({ exchanged: subject.sub, audience: params.audience }));
  const token = new provider.AccessToken({ accountId: subject.sub, client, grantId: randomUUID(), gty: 'exchange' });
  token.resourceServer = new provider.ResourceServer('urn:upstream', resourceServer('urn:upstream'));
  const value = await token.save();
  ctx.body = { access_token: value, issued_token_type: 'urn:ietf:params:oauth:token-type:access_token', token_type: 'Bearer', expires_in: 600 };
}

server.on('request', (request, response) => {
  if (request.method === 'POST' && request.url === '/control/rotate') serve = start();
  else if (request.method === 'POST' && request.url === '/control/outage') down = !down;
  else if (down) response.statusCode = 503;
  else return serve(request, response);
  response.end();
});
console.log(`listening on ${issuer}`);
