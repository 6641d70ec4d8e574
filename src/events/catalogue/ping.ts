import { Type } from 'typebox'
import { event } from '../event.ts'
import { text } from './fields.ts'

export const testPing = event({
  name: 'test.ping',
  category: 'Test',
  description:
    'Asked for with `POST /webhooks/{webhook_id}/test`; goes to that webhook only, whatever it subscribes to.',
  payload: Type.Object({ message: text('A greeting') }),
  example: { message: 'Hello from Parley: this webhook works.' },
})
