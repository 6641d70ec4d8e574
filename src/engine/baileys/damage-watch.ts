import { isParleyError } from '../../kernel/errors.ts'
import type { SignalKeyRepository } from '../../storage/index.ts'

/**
 * The key repository of one device, watched: `onDamaged` is told when something that is stored does not open. Then
 * nothing that this device says or hears can be trusted, whoever happened to ask for the key and whatever they make of
 * the error.
 */
export const watchDamage = (
  repository: SignalKeyRepository,
  onDamaged: (error: Error) => void,
): SignalKeyRepository => {
  const watched = async <T>(answer: Promise<T>): Promise<T> => {
    try {
      return await answer
    } catch (error) {
      if (isParleyError(error, 'data_damaged')) onDamaged(error)
      throw error
    }
  }
  return {
    credentials: (deviceId) => watched(repository.credentials(deviceId)),
    get: (deviceId, type, ids) => watched(repository.get(deviceId, type, ids)),
    journal: (deviceId, hash) => watched(repository.journal(deviceId, hash)),
    commit: (deviceId, commit) => repository.commit(deviceId, commit),
    pruneJournal: (before) => repository.pruneJournal(before),
    devicesWithCredentials: () => repository.devicesWithCredentials(),
    forget: (deviceId) => repository.forget(deviceId),
  }
}
