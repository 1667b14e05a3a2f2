// Gets clients with the ordinary package managers into .cache/clients, once for each recipe.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from './processes.mjs'

const cache = fileURLToPath(new URL('../../.cache/clients', import.meta.url))
/** A download that hangs is begun again sooner than a run would be given up. */
const LIMIT_MS = 240_000
const ATTEMPTS = 3
const PAUSE_MS = 3000

const building = new Map()

/** Runs a command that downloads: what failed is tried again, since registries are far and now and then busy. */
async function fetching(command, args, options) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run(command, args, { limitMs: LIMIT_MS, ...options })
    } catch (error) {
      if (error.code === 'ENOENT' || attempt === ATTEMPTS) throw error
      console.log(`again   ${command} ${args[0]}: ${error.message.split('\n')[0]}`)
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * attempt))
    }
  }
}

/**
 * Runs `build(folder)` in an empty folder, unless it once ran there to its end for the same recipe. Two clients may need
 * the same folder at once.
 */
function once(name, recipe, build) {
  const folder = building.get(name) ?? built(name, recipe, build)
  building.set(name, folder)
  return folder
}

async function built(name, recipe, build) {
  const folder = join(cache, name)
  const mark = join(folder, '.installed')
  const fingerprint = createHash('sha256').update(recipe).digest('hex')
  if (existsSync(mark) && readFileSync(mark, 'utf8') === fingerprint) return folder
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  await build(folder)
  writeFileSync(mark, fingerprint)
  return folder
}

/** Resolves to the folder that has node_modules. */
export function npmPackages(name, packages) {
  return once(name, packages.join(' '), async (folder) => {
    writeFileSync(join(folder, 'package.json'), '{"private":true}\n')
    await fetching('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', ...packages], { cwd: folder })
  })
}

/** Resolves to the Python that has the packages. */
export async function pipPackages(name, packages) {
  const folder = await once(name, packages.join(' '), async (folder) => {
    await debianCommand('python3', 'python3-venv')
    await run('python3', ['-m', 'venv', folder], { limitMs: LIMIT_MS }).catch(async (error) => {
      // Debian has Python without it, until it is asked for.
      if (!/ensurepip/.test(error.message)) throw error
      await debianPackage('python3-venv')
      await run('python3', ['-m', 'venv', '--clear', folder], { limitMs: LIMIT_MS })
    })
    await fetching(join(folder, 'bin', 'python'), ['-m', 'pip', 'install', '--quiet', ...packages])
  })
  return join(folder, 'bin', 'python')
}

/** Resolves to the class path of the artifacts, given as group:artifact:version, and what they need. */
export async function mavenArtifacts(name, coordinates) {
  const folder = await once(name, coordinates.join(' '), async (folder) => {
    await debianCommand('javac', 'default-jdk-headless')
    await debianCommand('mvn', 'maven')
    writeFileSync(join(folder, 'pom.xml'), pom(coordinates))
    await fetching('mvn', ['-q', '-B', 'dependency:copy-dependencies', '-DoutputDirectory=lib'], { cwd: folder })
  })
  return join(folder, 'lib', '*')
}

/** Resolves to the class path of Apache Kafka 4.2, with its tools. */
export function kafkaClassPath() {
  return mavenArtifacts('kafka-4.2.0', [...kafkaArtifacts('4.2.0'), 'org.apache.kafka:kafka-tools:4.2.0'])
}

/** What a Kafka of that version is made of, save for its tools. */
export function kafkaArtifacts(version) {
  return [`org.apache.kafka:kafka_2.13:${version}`, 'org.slf4j:slf4j-simple:1.7.36']
}

function pom(coordinates) {
  const dependencies = coordinates.map((coordinate) => {
    const [group, artifact, version] = coordinate.split(':')
    return `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`
  })
  return `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>clients</groupId><artifactId>clients</artifactId><version>1</version>
<dependencies>${dependencies.join('')}</dependencies></project>
`
}

/** Compiles one Java file against a class path. Resolves to the class path that has both. */
export async function javaProgram(name, source, classPath) {
  const folder = await once(name, readFileSync(source, 'utf8') + classPath, (folder) =>
    run('javac', ['-d', folder, '-cp', classPath, source], { limitMs: LIMIT_MS }),
  )
  return `${folder}:${classPath}`
}

/** Builds one Go file with the modules it needs. Resolves to the program. */
export async function goProgram(name, source, modules) {
  const text = readFileSync(source, 'utf8')
  const folder = await once(name, text + modules.join(' '), async (folder) => {
    writeFileSync(join(folder, 'main.go'), text)
    const options = { cwd: folder }
    await run('go', ['mod', 'init', 'client'], options)
    await fetching('go', ['get', ...modules], options)
    await fetching('go', ['mod', 'tidy'], options)
    await run('go', ['build', '-o', 'client', '.'], { ...options, limitMs: LIMIT_MS })
  })
  return join(folder, 'client')
}

/** Resolves to the name of a command that a package of Debian brings, which is installed if it is not there. */
export async function debianCommand(command, packageName = command) {
  const isThere = async () => (await run('sh', ['-c', `command -v ${command}`], { exitCode: 'any' })).code === 0
  if (!(await isThere())) await debianPackage(packageName)
  return command
}

const packages = new Map()
let lastPackage = Promise.resolve()

/** Debian installs one package at a time, and several clients may need the same. */
function debianPackage(packageName) {
  const installed = packages.get(packageName) ?? lastPackage.then(() => installPackage(packageName))
  packages.set(packageName, installed)
  lastPackage = installed.catch(() => undefined)
  return installed
}

async function installPackage(packageName) {
  await fetching('apt-get', ['update'])
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const options = ['-o', 'DPkg::Lock::Timeout=120', '--no-install-recommends']
  await fetching('apt-get', ['install', '-y', ...options, packageName], { env })
}
