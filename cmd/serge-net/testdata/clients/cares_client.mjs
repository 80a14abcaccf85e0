// Prints what c-ares has for each TYPE:NAME of its arguments, or the error.
import { resolve } from 'node:dns/promises'

for (const question of process.argv.slice(2)) {
  const [type, name] = question.split(':')
  try {
    console.log(question, JSON.stringify(await resolve(name, type)))
  } catch (e) {
    console.log(question, 'error:', e.code)
  }
}
