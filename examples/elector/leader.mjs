#!/usr/bin/env node
// Says whether this pod leads, at once and at each change, until Ctrl-C. Node 18 and later, no packages.
//
// ELECTOR_SSE_URL names the elector (http://localhost:6060/sse), POD_NAME this pod (the host name).
import { hostname } from 'node:os'

const url = process.env.ELECTOR_SSE_URL ?? 'http://localhost:6060/sse'
const me = process.env.POD_NAME || hostname()
const SILENCE_MS = 40_000 // the elector says something every 15 s
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

// The lines of one subscription. Ends or throws when the elector cannot be heard any more.
async function* lines() {
  const hangUp = new AbortController()
  let silence = setTimeout(() => hangUp.abort(), SILENCE_MS)
  try {
    const answer = await fetch(url, { signal: hangUp.signal })
    if (!answer.ok) throw new Error(`${url}: ${answer.status}`)
    let rest = ''
    for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
      clearTimeout(silence)
      silence = setTimeout(() => hangUp.abort(), SILENCE_MS)
      const whole = (rest + piece).split('\n')
      rest = whole.pop()
      yield* whole
    }
  } finally {
    clearTimeout(silence)
    hangUp.abort()
  }
}

// Yields who leads, '' for nobody; null when it is not known.
async function* leaders() {
  for (;;) {
    try {
      for await (const line of lines()) {
        if (line.startsWith('data:')) yield JSON.parse(line.slice(5)).name
      }
    } catch (error) {
      console.error(`${error.message}; trying again`)
    }
    yield null
    await sleep(1000)
  }
}

process.once('SIGINT', () => process.exit(0))

let leads = false
for await (const leader of leaders()) {
  const was = leads
  leads = leader === me
  if (leads && !was) console.log(`I, ${me}, lead`) // begin the work here
  else if (was && !leads) console.log('I lead no more') // end it here, at once
  if (leader && !leads) console.log(`${leader} leads`)
}
