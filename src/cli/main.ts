#!/usr/bin/env node
import { runCommand } from './command.js'

// A reader such as `head` may have gone: the server goes on without it.
process.stdout.on('error', () => undefined)

void runCommand(process.argv.slice(2)).then((exitCode) => {
  process.exitCode = exitCode
})
