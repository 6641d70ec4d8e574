// Runs in the browser, inside the login page. Everything it shows goes in as text, never as markup.
const config = JSON.parse(document.getElementById('config').textContent)
const byId = (id) => document.getElementById(id)
const POLL_MS = 2000
// Saved to a file or shown in a frame without an address, the page needs the gateway's absolute one.
const home = location.protocol.startsWith('http') ? '' : config.origin
const root = `${home}${config.baseUrl}/devices/me/login`
let over = false
let leftSeconds = 0
let leftSince = 0

const call = async (method, path, body) => {
  const headers = { authorization: config.authorization, accept: 'application/json' }
  if (body !== undefined) headers['content-type'] = 'application/json'
  const reply = await fetch(root + path, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    cache: 'no-store',
  })
  const envelope = await reply.json()
  if (!envelope.status) throw Object.assign(new Error(envelope.message), { code: envelope.code })
  return envelope.data
}

const only = (id) => {
  for (const name of ['scan', 'type', 'passkey', 'confirm']) byId(name).hidden = name !== id
}

const say = (text) => {
  byId('status').textContent = text
}

const complain = (text) => {
  byId('problem').hidden = text === ''
  byId('problem').textContent = text
}

const showPasskey = (passkey) => {
  switch (passkey.state) {
    case 'waiting_for_assertion':
      only('passkey')
      if (byId('snippet').value !== passkey.snippet) byId('snippet').value = passkey.snippet ?? ''
      return say('WhatsApp asks for a passkey before it links this device.')
    case 'confirm':
      only('confirm')
      byId('confirmation-code').textContent = passkey.confirmation_code ?? ''
      return say('Almost there.')
    case 'expired':
      only('')
      byId('again').hidden = false
      return say('The passkey request has expired.')
    default:
      only('')
      return say('Waiting for the phone...')
  }
}

const show = (data) => {
  byId('again').hidden = true
  switch (data.state) {
    case 'waiting_for_scan':
      only('scan')
      if (byId('qr').src !== data.qr_code) byId('qr').src = data.qr_code
      leftSeconds = data.timeout
      leftSince = Date.now()
      return say('Scan this code with WhatsApp.')
    case 'waiting_for_code':
      only('type')
      byId('pair-code').textContent = data.pair_code
      return say('Type this code on the phone.')
    case 'passkey_required':
      return showPasskey(data.passkey)
    case 'finishing':
      only('')
      return say('The phone agreed. Finishing...')
    case 'linked':
      only('')
      over = true
      return say(`Linked: ${data.jid}. You may close this page.`)
    case 'failed':
      only('')
      byId('again').hidden = false
      return say(data.message)
    case 'idle':
      only('')
      byId('again').hidden = false
      return say('No linking is under way.')
    default:
      only('')
      return say('Connecting...')
  }
}

const poll = async () => {
  try {
    show(await call('GET', '/state'))
    complain('')
  } catch (error) {
    if (error.code === 401) {
      over = true
      only('')
    }
    complain(error.code ? error.message : 'The gateway does not answer; trying again.')
  }
  if (!over) setTimeout(poll, POLL_MS)
}

const onClick = (id, action) => {
  byId(id).addEventListener('click', async () => {
    byId(id).disabled = true
    try {
      await action()
      complain('')
    } catch (error) {
      complain(error.message)
    } finally {
      byId(id).disabled = false
    }
  })
}

onClick('again', () => call('POST', '?output=json'))
onClick('same', () => call('POST', '/passkey/confirm'))
onClick('submit', async () => {
  let assertion
  try {
    assertion = JSON.parse(byId('assertion').value)
  } catch {
    throw new Error('That is not what the snippet gives: it must be JSON.')
  }
  await call('POST', '/passkey', { assertion })
})
onClick('copy', () => navigator.clipboard.writeText(byId('snippet').value))

setInterval(() => {
  const left = Math.max(0, Math.round(leftSeconds - (Date.now() - leftSince) / 1000))
  byId('left').textContent = left > 0 ? `A new code follows in ${left} s.` : 'A new code follows...'
}, 1000)
poll()
