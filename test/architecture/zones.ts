import type { Import } from './imports.ts'

/**
 * Who may import whom inside `src`. A zone is told by the first pattern that fits; a zone may always import itself.
 * A request goes down, an event comes up; only compose.ts knows every concrete class.
 */
const ZONES: readonly { readonly zone: string; readonly files: RegExp; readonly mayImport: readonly string[] }[] = [
  { zone: 'kernel', files: /^src\/kernel\//, mayImport: [] },
  { zone: 'config', files: /^src\/config\//, mayImport: ['kernel'] },
  { zone: 'observability', files: /^src\/observability\//, mayImport: ['kernel'] },

  // Ports.
  { zone: 'engine port', files: /^src\/engine\/[^/]+\.ts$/, mayImport: ['kernel'] },
  { zone: 'storage port', files: /^src\/storage\/(?:index\.ts|port\/)/, mayImport: ['kernel'] },
  { zone: 'cluster port', files: /^src\/cluster\/[^/]+\.ts$/, mayImport: ['kernel'] },
  { zone: 'sessions port', files: /^src\/sessions\/index\.ts$/, mayImport: ['kernel', 'engine port'] },
  { zone: 'http/route', files: /^src\/http\/route\.ts$/, mayImport: ['kernel', 'storage port'] },

  // Adapters: their port and the kernel. The engine keeps its keys through the storage port.
  { zone: 'engine adapter', files: /^src\/engine\/[^/]+\//, mayImport: ['kernel', 'engine port', 'storage port'] },
  {
    zone: 'sqlite',
    files: /^src\/storage\/sqlite\//,
    mayImport: ['kernel', 'storage port', 'storage'],
  },
  {
    zone: 'postgres',
    files: /^src\/storage\/postgres\//,
    mayImport: ['kernel', 'storage port', 'storage'],
  },
  // The door through which compose.ts gets one of the two, and what both share.
  {
    zone: 'storage door',
    files: /^src\/storage\/open\.ts$/,
    mayImport: ['kernel', 'storage port', 'storage', 'sqlite', 'postgres'],
  },
  { zone: 'storage', files: /^src\/storage\//, mayImport: ['kernel', 'storage port'] },
  { zone: 'cluster adapter', files: /^src\/cluster\/[^/]+\//, mayImport: ['kernel', 'cluster port', 'storage port'] },

  // The middle.
  { zone: 'events', files: /^src\/events\//, mayImport: ['kernel', 'engine port', 'storage port'] },
  {
    zone: 'sessions',
    files: /^src\/sessions\//,
    mayImport: ['kernel', 'sessions port', 'engine port', 'storage port', 'cluster port'],
  },
  { zone: 'webhooks', files: /^src\/webhooks\//, mayImport: ['kernel', 'storage port', 'events'] },
  { zone: 'media', files: /^src\/media\//, mayImport: ['kernel', 'storage port', 'engine port'] },

  // The top.
  { zone: 'http', files: /^src\/http\//, mayImport: ['kernel', 'storage port', 'http/route'] },
  { zone: 'feature list', files: /^src\/features\/all-routes\.ts$/, mayImport: ['http/route', 'feature'] },
  {
    zone: 'feature tools',
    files: /^src\/features\/[^/]+\.ts$/,
    mayImport: ['kernel', 'storage port', 'sessions port', 'http/route'],
  },
  {
    zone: 'feature',
    files: /^src\/features\/[^/]+\//,
    mayImport: [
      'kernel',
      'engine port',
      'storage port',
      'sessions port',
      'cluster port',
      'http/route',
      'events',
      'webhooks',
      'media',
      'feature tools',
    ],
  },
  { zone: 'housekeeping', files: /^src\/housekeeping\.ts$/, mayImport: ['kernel'] },
  { zone: 'main', files: /^src\/main\.ts$/, mayImport: ['kernel', 'config', 'observability', 'compose'] },
]

/** These packages are spoken to in one place, so that they can be changed there. */
const PACKAGE_HOMES: Readonly<Record<string, RegExp>> = {
  baileys: /^src\/engine\/baileys\//,
  'whatsapp-rust-bridge': /^src\/engine\/baileys\//,
  libsignal: /^src\/engine\/baileys\//,
  'better-sqlite3': /^src\/storage\/sqlite\//,
  pg: /^src\/storage\/postgres\//,
  kysely: /^src\/storage\//,
  fastify: /^src\/http\//,
  'fast-jwt': /^src\/http\//,
  ws: /^src\/http\//,
  undici: /^src\/(webhooks\/|engine\/baileys\/blob-dispatcher\.ts$)/,
  pino: /^src\/observability\//,
  croner: /^src\/(?:config\/|compose\.ts$|sessions\/)/,
}

/** The kernel does no I/O; random ids and hashes are all it takes from Node. */
const KERNEL_MAY_USE = new Set(['node:crypto'])

const zoneOf = (path: string) => ZONES.find(({ files }) => files.test(path))
const areaOf = (path: string): string | undefined => /^src\/features\/([^/]+)\//.exec(path)?.[1]
const isTest = (path: string): boolean => /\.test\.ts$|\/testing\//.test(path)

/** What is wrong with an import inside the product, in words; undefined when nothing is. Tests may import anything but the other side. */
export const judgeImport = ({ from, to, isPackage }: Import): string | undefined => {
  const crosses = (a: string, b: string) => from.startsWith(a) && to.startsWith(b)
  if (crosses('src/', 'sandbox/') || crosses('sandbox/', 'src/')) {
    return `${from} imports ${to}: gateway and sandbox must not share a misunderstanding`
  }
  if (!from.startsWith('src/') || isTest(from)) return undefined
  return isPackage ? judgePackage(from, to) : judgeFile(from, to)
}

const judgePackage = (from: string, name: string): string | undefined => {
  if (from.startsWith('src/kernel/') && !KERNEL_MAY_USE.has(name))
    return `${from} imports ${name}: the kernel imports nothing`
  const home = PACKAGE_HOMES[name]
  return home && !home.test(from) ? `${from} imports ${name}, which belongs to ${home.source}` : undefined
}

const judgeFile = (from: string, to: string): string | undefined => {
  if (from === 'src/compose.ts') return undefined
  if (!to.startsWith('src/')) return `${from} imports ${to}, which is not in src`
  const here = zoneOf(from)
  if (!here) return `${from} is in no zone: add its folder to test/architecture/zones.ts`
  const there = to === 'src/compose.ts' ? { zone: 'compose' } : zoneOf(to)
  if (!there) return `${from} imports ${to}, which is in no zone`
  if (here.zone === 'feature' && there.zone === 'feature' && areaOf(from) !== areaOf(to)) {
    return `${from} imports ${to}: a feature never imports another`
  }
  if (here.zone === there.zone || here.mayImport.includes(there.zone)) return undefined
  return `${from} imports ${to}: ${here.zone} may not import ${there.zone}`
}
