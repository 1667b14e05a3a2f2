// The licences of what is bundled go where the bundle goes.
import { copyFile } from 'node:fs/promises'

const root = new URL('..', import.meta.url)
for (const name of ['msgpackr']) {
  await copyFile(new URL(`node_modules/${name}/LICENSE`, root), new URL(`dist/LICENSE-${name}`, root))
}
