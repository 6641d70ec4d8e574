import { readFileSync } from 'node:fs'

export interface LoginPage {
  /** Absolute, for a page that was saved to a file; undefined when the caller sent no usable Host. */
  readonly origin: string | undefined
  readonly baseUrl: string
  /** The `Authorization` header that the page was asked for with: the page polls with the same. */
  readonly authorization: string
  /** Fresh for each page: only what we wrote runs (Content Security Policy level 3, nonce-source). */
  readonly nonce: string
}

const read = (name: string): string => readFileSync(new URL(`./page/${name}`, import.meta.url), 'utf8')

let files: { readonly style: string; readonly script: string } | undefined

/** Read once, when the first page is asked for. */
const load = () => {
  files ??= { style: read('login.css'), script: read('login.js') }
  return files
}

/** JSON that may stand in a script element: no `<` can end it (HTML standard, section 4.12.1.3). */
const scriptJson = (value: unknown): string =>
  JSON.stringify(value).replaceAll('<', '\\u003c').replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')

/** The page that links a device: it polls the state, shows each new code, and walks through the passkey steps. */
export const loginPage = ({ origin, baseUrl, authorization, nonce }: LoginPage): string => {
  const { style, script } = load()
  const config = scriptJson({ origin: origin ?? '', baseUrl, authorization })
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Link a device - Parley</title>
<style nonce="${nonce}">
${style}</style>
</head>
<body>
<main>
  <h1>Link a device</h1>
  <p id="status" role="status" aria-live="polite">Connecting...</p>
  <section id="scan" hidden>
    <img id="qr" alt="QR code to scan with WhatsApp" width="256" height="256">
    <p id="left"></p>
    <p>On the phone: WhatsApp, Settings, Linked devices, Link a device.</p>
  </section>
  <section id="type" hidden>
    <p class="code" id="pair-code"></p>
    <p>On the phone: WhatsApp, Settings, Linked devices, Link with phone number.</p>
  </section>
  <section id="passkey" hidden>
    <h2>This account asks for its passkey</h2>
    <ol>
      <li>Open <b>web.whatsapp.com</b> in a browser that holds your passkey, and its developer console.</li>
      <li>Paste and run this: <button id="copy" type="button">Copy</button>
        <textarea id="snippet" rows="6" readonly spellcheck="false"></textarea></li>
      <li>Paste what it gives you here:
        <textarea id="assertion" rows="4" spellcheck="false"></textarea>
        <button id="submit" type="button">Send</button></li>
    </ol>
  </section>
  <section id="confirm" hidden>
    <h2>Compare the codes</h2>
    <p class="code" id="confirmation-code"></p>
    <p>The phone shows a code. Go on only when it is the same.</p>
    <button id="same" type="button">It is the same</button>
  </section>
  <p id="problem" role="alert" hidden></p>
  <button id="again" type="button" hidden>Get a new code</button>
</main>
<script type="application/json" id="config">${config}</script>
<script nonce="${nonce}">
${script}</script>
</body>
</html>
`
}

export const pagePolicy = (nonce: string, origin: string | undefined): string =>
  `default-src 'none'; img-src data:; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'; ` +
  `connect-src 'self'${origin === undefined ? '' : ` ${origin}`}; base-uri 'none'; form-action 'none'`
