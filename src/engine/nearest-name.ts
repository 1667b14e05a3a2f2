/** The one of `allowed` that `name` may have meant, whichever of its spellings, listed together in `spelledAlike`, it is near to. */
export function nearestName(
  name: string,
  allowed: readonly string[],
  spelledAlike: readonly (readonly string[])[],
): string | undefined {
  let nearest: string | undefined
  let smallest = name.length / 2
  for (const spellings of spelledAlike) {
    const candidate = spellings.find((spelling) => allowed.includes(spelling))
    if (candidate === undefined) continue
    for (const spelling of spellings) {
      const distance = editDistance(lettersOf(name), lettersOf(spelling))
      if (distance < smallest) [smallest, nearest] = [distance, candidate]
    }
  }
  return nearest ?? allowed.find((other) => editDistance(name, other) < 3)
}

function lettersOf(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z]/g, '')
    .slice(0, 100)
}

/** Levenshtein's: how many letters to add, to remove or to change. */
function editDistance(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (const letter of a) {
    let left = (above[0] ?? 0) + 1
    const row = [left]
    for (let column = 0; column < b.length; column++) {
      const changed = (above[column] ?? 0) + (letter === b[column] ? 0 : 1)
      left = Math.min(left + 1, (above[column + 1] ?? 0) + 1, changed)
      row.push(left)
    }
    above = row
  }
  return above[b.length] ?? 0
}
