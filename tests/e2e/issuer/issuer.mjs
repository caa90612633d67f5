// An OAuth authorization server: npm oidc-provider, with the client credentials grant (RFC 6749, section 4.4) as it comes.
// It has no token exchange (RFC 8693), and answers such a request with an error.
// Arguments: the client's id and its secret. It prints its port, then a JSON line for every answer of the token endpoint.

import http from 'node:http';
import Provider from 'oidc-provider';

const [clientId, clientSecret, lifetime] = process.argv.slice(2);

const server = http.createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [{
    client_id: clientId,
    client_secret: clientSecret,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
  }],
  scopes: ['tools:read'],
  ttl: { ClientCredentials: Number(lifetime) },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({ scope: 'tools:read', accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } }),
    },
  },
});

provider.use(async (ctx, next) => {
  await next();
  if (ctx.path === '/token') {
    const { client_secret: _, ...params } = ctx.oidc?.params ?? {};
    const basic = (ctx.headers.authorization ?? '').startsWith('Basic ');
    console.log(JSON.stringify({ params, basic, status: ctx.status, token: ctx.body?.access_token }));
  }
});

server.on('request', provider.callback());
console.log(`listening on ${issuer}`);
