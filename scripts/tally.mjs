// Adds up the reports in the folder given, which vitest writes as JSON and others in its shape, and prints each test
// that failed and why, then `tests: N passed, N failed`; exits with 1 when a test failed or there is no report.
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

const directory = process.argv[2]
const reports = readdirSync(directory).map((name) => JSON.parse(readFileSync(join(directory, name), 'utf8')))
const sum = (count) => reports.reduce((total, report) => total + count(report), 0)

// A file that broke before its first test holds no test that failed.
const brokenFiles = (report) =>
  report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0).length

const passed = sum((report) => report.numPassedTests)
const failed = sum((report) => report.numFailedTests + brokenFiles(report))
const skipped = sum((report) => report.numPendingTests + report.numTodoTests)

for (const file of reports.flatMap((report) => report.testResults)) {
  const failures = file.assertionResults
    .filter(({ status }) => status === 'failed')
    .map(({ fullName, failureMessages }) => ({ title: fullName, why: failureMessages.join('\n') }))
  if (file.status === 'failed' && failures.length === 0) failures.push({ title: 'the file broke', why: file.message })
  for (const { title, why } of failures) {
    console.log(`failed: ${relative(process.cwd(), file.name)}: ${title}`)
    console.log(why.split('\n').slice(0, 12).join('\n').replace(/^/gm, '    '))
  }
}
console.log(`tests: ${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
process.exitCode = failed > 0 || reports.length === 0 ? 1 : 0
