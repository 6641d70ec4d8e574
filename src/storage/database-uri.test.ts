import assert from 'node:assert/strict'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { isParleyError } from '../kernel/errors.ts'
import { parseDatabaseUri } from './database-uri.ts'

const parse = (uri: string) => parseDatabaseUri(uri, 'WHATSAPP_DATASTORE_URI')

test('SQLite files in every usual notation', () => {
  const local = resolve('data/parley.sqlite')
  const cases: Record<string, string> = {
    'sqlite:./data/parley.sqlite': local,
    'sqlite://./data/parley.sqlite': local,
    'sqlite3:data/parley.sqlite': local,
    'file:data/parley.sqlite?cache=shared&_foreign_keys=on': local,
    './data/parley.sqlite': local,
    ' data/parley.sqlite ': local,
    'sqlite:///var/lib/parley.sqlite': '/var/lib/parley.sqlite',
    'sqlite:/var/lib/parley.sqlite': '/var/lib/parley.sqlite',
    'file:///var/my%20lib/parley.sqlite': '/var/my lib/parley.sqlite',
    '/var/lib/parley.sqlite': '/var/lib/parley.sqlite',
    'sqlite:/var/100%25/%zz.sqlite': '/var/100%25/%zz.sqlite',
    ':memory:': ':memory:',
    'sqlite::memory:': ':memory:',
  }
  for (const [uri, path] of Object.entries(cases)) {
    const parsed = parse(uri)
    assert.deepEqual([parsed.kind, parsed.target, parsed.label], ['sqlite', path, path], uri)
  }
})

test('PostgreSQL: named without credentials; the same database in two notations is one', () => {
  const one = parse('postgres://user:pass%2Fword@db.example.com/parley?sslmode=require')
  assert.equal(one.kind, 'postgres')
  assert.equal(one.label, 'db.example.com:5432/parley')
  assert.equal(one.identity, parse('postgresql://other:secret@db.example.com:5432/parley').identity)
  assert.notEqual(one.identity, parse('postgres://user:pass@db.example.com/keys').identity)
})

test('anything else is refused in one line that names the variable and shows no credentials', () => {
  for (const uri of [
    '',
    '  ',
    'sqlite:',
    'mysql://u:secret@h/d',
    'host=localhost password=secret',
    'postgres://u:secret@[h/d',
  ])
    assert.throws(
      () => parse(uri),
      (error) =>
        isParleyError(error, 'bad_request') &&
        error.field === 'WHATSAPP_DATASTORE_URI' &&
        /^WHATSAPP_DATASTORE_URI /.test(error.message) &&
        !/secret|\n/.test(error.message),
      uri,
    )
})
