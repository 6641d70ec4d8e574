/** The gateway's envelope. */
export interface Reply<T = Record<string, unknown>> {
  readonly status: boolean
  readonly code: number
  readonly message: string
  readonly data: T
}

export class ApiError extends Error {
  readonly code: number
  readonly reply: unknown

  constructor(what: string, code: number, reply: unknown) {
    super(`${what} answered ${code}: ${JSON.stringify(reply)}`)
    this.code = code
    this.reply = reply
  }
}

/** Calls the gateway. @throws ApiError on anything but 2xx */
export const call = async <T = Record<string, unknown>>(
  base: string,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body?: unknown,
): Promise<Reply<T>> => {
  const response = await fetch(`${base}${path}`, {
    method,
    headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const reply = (await response.json()) as Reply<T>
  if (!response.ok) throw new ApiError(`${method} ${path}`, response.status, reply)
  return reply
}

/** A device as its owner drives it. */
export class DeviceApi {
  readonly deviceId: string
  readonly token: string
  readonly #base: string

  constructor(base: string, deviceId: string, token: string) {
    this.#base = base
    this.deviceId = deviceId
    this.token = token
  }

  call<T = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<Reply<T>> {
    return call<T>(this.#base, method, path, { authorization: `Bearer ${this.token}` }, body)
  }

  /** The text of the QR code to scan now. */
  async qrText(): Promise<string> {
    await this.call('POST', '/devices/me/login', { output: 'json' })
    const { data } = await this.call<{ code: string | null }>('GET', '/devices/me/login/state')
    if (!data.code) throw new Error('the gateway shows no code')
    return data.code
  }

  /** Resolves when the device is connected. */
  async untilConnected(timeoutMs = 20_000): Promise<void> {
    const until = performance.now() + timeoutMs
    for (;;) {
      const { data } = await this.call<{ connected: boolean; error: string }>('GET', '/devices/me/status')
      if (data.connected) return
      if (performance.now() > until) throw new Error(`the device did not connect: ${data.error}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

/** An API key and devices under it, made over HTTP. */
export const createDevices = async (
  base: string,
  adminSecret: string,
  names: readonly string[],
): Promise<{ apiKey: string; devices: DeviceApi[] }> => {
  const key = await call<{ api_key: string }>(
    base,
    'POST',
    '/admin/api-keys',
    { 'x-admin-secret': adminSecret },
    {
      customer_name: 'Acme Corp',
      max_devices: names.length,
    },
  )
  const devices: DeviceApi[] = []
  for (const device_name of names) {
    const { data } = await call<{ device_id: string; token: string }>(
      base,
      'POST',
      '/devices',
      { 'x-api-key': key.data.api_key },
      { device_name },
    )
    devices.push(new DeviceApi(base, data.device_id, data.token))
  }
  return { apiKey: key.data.api_key, devices }
}
