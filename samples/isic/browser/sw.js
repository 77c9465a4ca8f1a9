// Keeps the files of the page, so that it opens without a network.
// build.py writes above this: VERSION, and FILES, {name: integrity}.

const OWN = `mrcnn_skin ${registration.scope} `; // caches belong to a whole origin
const CACHE = OWN + VERSION;

async function install() {
  const cache = await caches.open(CACHE);
  const requests = Object.entries(FILES).map(
    ([name, integrity]) => new Request(name, { integrity, cache: "no-cache" }),
  );
  await cache.addAll(requests); // all or none
}

async function activate() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(OWN) && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
  await clients.claim();
}

async function respond(request) {
  const cache = await caches.open(CACHE);
  const found = await cache.match(request, { ignoreSearch: true });
  if (!found) return fetch(request);
  const headers = new Headers(found.headers);
  // For the worker, which the policy in the page does not bind
  headers.set("Content-Security-Policy", "connect-src 'self'");
  return new Response(found.body, { status: found.status, headers });
}

addEventListener("install", (event) => event.waitUntil(install()));
addEventListener("activate", (event) => event.waitUntil(activate()));
addEventListener("fetch", (event) => event.respondWith(respond(event.request)));
