// Loads a page in headless Chromium over HTTP/3 and prints, as JSON, what the
// browser itself says of it: node browser.mjs URL SPKI-HASH
import { chromium } from 'playwright-core';

const [url, hash] = process.argv.slice(2);
const { host } = new URL(url);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    `--origin-to-force-quic-on=${host}`,
    // QUIC takes no private CA, so the key is allowed by its hash.
    `--ignore-certificate-errors-spki-list=${hash}`,
  ],
});
try {
  const page = await browser.newPage();
  const errors = [];
  page.on('pageerror', (e) => errors.push(String(e)));
  page.on('requestfailed', (r) => errors.push(`${r.url()}: ${r.failure()?.errorText}`));
  const response = await page.goto(url, { waitUntil: 'load', timeout: 30_000 });
  const result = await page.evaluate(() => ({
    title: document.title,
    protocol: performance.getEntriesByType('navigation')[0].nextHopProtocol,
    resources: performance.getEntriesByType('resource').map((r) => [r.name, r.nextHopProtocol]),
    images: [...document.images].filter((i) => !(i.complete && i.naturalWidth > 0)).map((i) => i.src),
  }));
  console.log(JSON.stringify({ status: response.status(), errors, ...result }));
} finally {
  await browser.close();
}
