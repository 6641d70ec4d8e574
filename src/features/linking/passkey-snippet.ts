/**
 * JavaScript for the console of web.whatsapp.com. The assertion must be made under WhatsApp's own origin, so the user
 * runs this there and brings the printed JSON back; the gateway never holds a passkey.
 */
export const passkeySnippet = (options: Readonly<Record<string, unknown>>): string => `(async () => {
  const bytes = (t) => Uint8Array.from(atob(t.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
  const text = (b) => btoa(String.fromCharCode(...new Uint8Array(b))).replace(/\\+/g, '-').replace(/\\//g, '_').replace(/=+$/, '');
  const options = ${JSON.stringify(options, null, 2).replaceAll('\n', '\n  ')};
  options.challenge = bytes(options.challenge);
  for (const c of options.allowCredentials ?? []) c.id = bytes(c.id);
  const made = await navigator.credentials.get({ publicKey: options });
  const r = made.response;
  const assertion = JSON.stringify({
    id: made.id,
    rawId: text(made.rawId),
    type: made.type,
    response: {
      clientDataJSON: text(r.clientDataJSON),
      authenticatorData: text(r.authenticatorData),
      signature: text(r.signature),
      userHandle: r.userHandle ? text(r.userHandle) : null,
    },
  });
  console.log(assertion);
  prompt('Copy this and paste it where you are linking the device', assertion);
})();
`
