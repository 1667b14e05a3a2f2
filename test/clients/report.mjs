/**
 * The outcome in the shape of vitest's JSON report, as far as it is counted: a file is a client, a test is a scenario. A
 * client that broke off, or is required and could not be had, has one test that failed; one left out has one skipped.
 */
export function testReport(columns, { isRequired }) {
  const testResults = columns.map((column) => resultOf(column, isRequired && column.isOptional !== true))
  const count = (status) =>
    testResults.reduce(
      (sum, { assertionResults }) => sum + assertionResults.filter((each) => each.status === status).length,
      0,
    )
  return {
    numPassedTests: count('passed'),
    numFailedTests: count('failed'),
    numPendingTests: count('pending'),
    numTodoTests: 0,
    testResults,
  }
}

function resultOf({ title, cells, skipped, broken }, isRequired) {
  const name = `clients: ${title}`
  if (skipped !== undefined) {
    return {
      name,
      status: isRequired ? 'failed' : 'passed',
      message: skipped,
      assertionResults: [assertion('can be had', isRequired ? 'failed' : 'pending', skipped)],
    }
  }
  const assertionResults = [...cells].flatMap(([scenario, { outcome, error }]) =>
    outcome === 'none' ? [] : [assertion(scenario, outcome, error?.stack)],
  )
  if (broken !== undefined) assertionResults.push(assertion('is done', 'failed', broken.stack))
  const isFailed = assertionResults.some(({ status }) => status === 'failed')
  return { name, status: isFailed ? 'failed' : 'passed', message: '', assertionResults }
}

function assertion(title, status, message) {
  return { title, fullName: title, status, failureMessages: message === undefined ? [] : [message] }
}
