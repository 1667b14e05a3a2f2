/** Says on stderr how far a run is: one line that changes, or without a terminal one line for each step. */
export class Progress {
  #stepStartedAt = 0
  #label = ''

  step(label) {
    this.#stepStartedAt = performance.now()
    this.#label = label
    if (process.stderr.isTTY) this.#show('')
  }

  part(done, total) {
    if (process.stderr.isTTY) this.#show(`${done}/${total}`)
  }

  done(outcome = '') {
    const seconds = ((performance.now() - this.#stepStartedAt) / 1000).toFixed(1)
    const text = `${this.#label}: ${outcome === '' ? '' : `${outcome}, `}${seconds} s`
    if (process.stderr.isTTY) this.#show(text.slice(this.#label.length + 2))
    else process.stderr.write(`${text}\n`)
  }

  end() {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
  }

  #show(text) {
    process.stderr.write(`\r\x1b[K${this.#label}: ${text}`.slice(0, (process.stderr.columns ?? 80) + 4))
  }
}
