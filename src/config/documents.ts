/** The two documents that are written from the table of settings. */
import { NO_EFFECT } from './no-effect.ts'
import type { Setting } from './setting.ts'
import { GROUP_TITLES, type GroupName, SETTINGS } from './table.ts'

const REQUIRED_NOTE = 'required, unless none of the three required ones is set'
const REQUIRED_NAMES = new Set(['ADMIN_SECRET_KEY', 'JWT_SECRET_KEY', 'WHATSAPP_DATASTORE_URI'])

const listGroups = (): readonly [GroupName, readonly Setting<unknown>[]][] =>
  Object.entries(SETTINGS).map(([group, settings]) => [group as GroupName, Object.values(settings)])

/** `.env.example`: every setting with its default, commented out, so that a copy of it changes nothing. */
export const renderEnvExample = (): string => {
  const head = [
    '# Settings of Parley with their defaults. Copy to .env and uncomment what you change; the environment wins over .env.',
    '# Written by `npm run docs` from src/config/table; the same as a page: docs/reference/configuration.md',
  ]
  const groups = listGroups().map(([group, settings]) => {
    const lines = settings.flatMap((setting) => [
      `# ${plain(setting.meaning)} (${setting.allowed})`,
      `#${assignment(setting)}`,
    ])
    return [`# --- ${GROUP_TITLES[group]} ---`, ...lines].join('\n')
  })
  return `${[head.join('\n'), ...groups].join('\n\n')}\n`
}

const assignment = ({ name, default: value = '' }: Setting<unknown>): string =>
  /[\s#]/.test(value) ? `${name}="${value}"` : `${name}=${value}`

const plain = (markdown: string): string => markdown.replaceAll('`', '')

/** `docs/reference/configuration.md` */
export const renderConfigurationPage = (): string => {
  const intro = `# Configuration

<!-- Written by \`npm run docs\` from src/config/table. Do not edit. -->

Settings are environment variables. A \`.env\` file in the folder Parley runs in is read as well; the environment wins over it.
An empty variable counts as unset, except that an empty required one stops the start. A value that cannot be read or is out of its range stops the start with one line that names the variable, unless the table says otherwise.

Durations are written \`500ms\`, \`1s\`, \`10m\`, \`24h\`, \`7d\` or chained (\`1h30m\`); sizes \`512K\`, \`8M\`, \`10G\` (1024 based) or plain bytes; switches \`true\` or \`false\`.

## Two ways to start

- **Embedded**: none of \`ADMIN_SECRET_KEY\`, \`JWT_SECRET_KEY\` and \`WHATSAPP_DATASTORE_URI\` is set. Parley keeps everything in \`./data\`: an SQLite database and a file \`secrets.json\` with generated secrets, which only its owner may read. The admin secret is printed at the first start and never again.
- **Configured**: one of them is set, or Parley runs in its Docker image (\`PARLEY_IMAGE=1\`). Then all three are required. Secrets under 16 characters stop the start; under 32 they bring a warning.
`
  const groups = listGroups().map(([group, settings]) => {
    const rows = settings.map(
      (setting) => `| \`${setting.name}\` | ${defaultOf(setting)} | ${cell(setting.allowed)} | ${meaningOf(setting)} |`,
    )
    return [
      `## ${GROUP_TITLES[group]}\n`,
      '| variable | default | allowed | meaning |',
      '|---|---|---|---|',
      ...rows,
    ].join('\n')
  })
  return `${[intro, ...groups].join('\n\n').replaceAll('\n\n\n', '\n\n')}\n`
}

const defaultOf = ({ name, default: value }: Setting<unknown>): string => {
  if (REQUIRED_NAMES.has(name)) return REQUIRED_NOTE
  return value === undefined || value === '' ? '' : `\`${value}\``
}

const meaningOf = ({ name, meaning, fallback }: Setting<unknown>): string => {
  const later = NO_EFFECT[name] === undefined ? '' : ` *${NO_EFFECT[name]}.*`
  return `${cell(meaning)}${fallback === undefined ? '' : ` Otherwise: ${cell(fallback)}.`}${later}`
}

const cell = (text: string): string => text.replaceAll('|', '\\|')
