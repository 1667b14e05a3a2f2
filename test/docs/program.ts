import { join } from 'node:path'
import ts from 'typescript'
import type { Snippet } from './snippets.js'

/** One program for the snippets and the entry points: it takes seconds to make. */
export function createProgram(root: string, files: readonly string[]): ts.Program {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  return ts.createProgram(files, options)
}

/** What the compiler says about a snippet, at the lines of its page. */
export function typeErrors(program: ts.Program, snippet: Snippet): string[] {
  const source = program.getSourceFile(snippet.file)
  if (source === undefined) throw new Error(`${snippet.file} is not in the program`)
  const diagnostics = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
  return diagnostics.map(({ start = 0, messageText }) => {
    const line = source.getLineAndCharacterOfPosition(start).line - snippet.linesBefore + snippet.line
    return `${snippet.page}:${line}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`
  })
}

/**
 * The exported names of an entry point, and the members of exported classes and interfaces, that lack a docstring. Those
 * that come from outside `directory` are somebody else's.
 */
export function undocumented(program: ts.Program, entry: string, directory: string): string[] {
  const checker = program.getTypeChecker()
  const source = program.getSourceFile(entry)
  const module = source && checker.getSymbolAtLocation(source)
  if (module === undefined) throw new Error(`${entry} is no module of the program`)
  const missing = new Set<string>()
  const look = (symbol: ts.Symbol, name: string): void => {
    const [declaration] = symbol.declarations ?? []
    if (declaration === undefined || isHidden(symbol, declaration, checker)) return
    if (symbol.getDocumentationComment(checker).length > 0) return
    const file = declaration.getSourceFile().fileName
    if (file.startsWith(directory)) missing.add(`${file.slice(directory.length + 1)}: ${name}`)
  }
  for (const exported of checker.getExportsOfModule(module)) {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported
    look(symbol, symbol.name)
    if ((symbol.flags & (ts.SymbolFlags.Class | ts.SymbolFlags.Interface)) === 0) continue
    const members = [...(symbol.members?.values() ?? []), ...(symbol.exports?.values() ?? [])]
    for (const member of members) look(member, `${symbol.name}.${member.name}`)
  }
  return [...missing]
}

/** What users do not see, what the type's own docstring covers (calls), and members named by a well-known symbol. */
function isHidden(symbol: ts.Symbol, declaration: ts.Declaration, checker: ts.TypeChecker): boolean {
  if (ts.isConstructorDeclaration(declaration) || ts.isCallSignatureDeclaration(declaration)) return true
  if (ts.isTypeParameterDeclaration(declaration)) return true
  const name = ts.getNameOfDeclaration(declaration)
  if (name !== undefined && (ts.isPrivateIdentifier(name) || ts.isComputedPropertyName(name))) return true
  return symbol.getJsDocTags(checker).some((tag) => tag.name === 'internal')
}
