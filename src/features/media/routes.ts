import type { Route } from '../../http/route.ts'
import { type DownloadDeps, downloadRoutes } from './download-routes.ts'
import { type LinkPreviewDeps, linkPreviewRoutes } from './link-preview-routes.ts'
import { type SendMediaDeps, sendMediaRoutes } from './send-routes.ts'

export type MediaDeps = SendMediaDeps & DownloadDeps & LinkPreviewDeps

export const mediaRoutes = (deps: MediaDeps): Route[] => [
  ...sendMediaRoutes(deps),
  ...linkPreviewRoutes(deps),
  ...downloadRoutes(deps),
]
