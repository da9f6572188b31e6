#!/usr/bin/env node
// A candidate: stands for election until it leads, leads until Ctrl-C, and then gives the election back.
//
//     npm install @grpc/grpc-js @grpc/proto-loader
//     leader.mjs NAME [ELECTION] [HOST:PORT]
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import grpc from '@grpc/grpc-js'
import loader from '@grpc/proto-loader'

const TERM_MS = 3000
const proto = fileURLToPath(new URL('../../api/election_agent.proto', import.meta.url))
// Tokens are below 2^53 and would fit a number; as strings they survive any JSON on their way, too.
const packages = grpc.loadPackageDefinition(loader.loadSync(proto, { longs: String, defaults: true, keepCase: true }))
const [candidate, election = 'tour', target = 'localhost:50051'] = process.argv.slice(2)
const client = new packages.grpc.election_agent.v1.Election(target, grpc.credentials.createInsecure())

const call = (method, request, timeout = 5000) =>
  new Promise((resolve, reject) =>
    client[method](request, { deadline: Date.now() + timeout }, (error, answer) => (error ? reject(error) : resolve(answer))))
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
// Milliseconds, in steps of ten, that never go back and count a suspended machine's time, which performance.now() does not.
const now = () => Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1000
const validUntil = (sent, answer) => sent + Number(answer.expires_in) - 10

let token = '0'

// Campaigns until elected; resolves to the time until which the leadership may be believed in.
async function stand() {
  let told
  for (;;) {
    const sent = now() // before sending: validity counts from here
    const result = await call('Campaign', { election, candidate, term: TERM_MS })
    if (result.elected) {
      token = result.token
      return validUntil(sent, result)
    }
    if (result.leader !== told) console.log(`${(told = result.leader)} leads`)
    await sleep(500)
  }
}

// Extends every third of the term; resolves when the leadership is lost.
async function lead(until) {
  while (now() < until) {
    await sleep(TERM_MS / 3)
    const sent = now()
    try {
      const extended = await call('ExtendElectedTerm', { election, leader: candidate, term: TERM_MS, token }, Math.max(100, until - sent))
      until = validUntil(sent, extended)
    } catch (error) {
      if (error.code === grpc.status.NOT_FOUND || error.code === grpc.status.ALREADY_EXISTS) return // it is over
      // No answer, or no decision: try again as long as the validity lasts.
    }
  }
}

process.once('SIGINT', async () => {
  if (token !== '0') {
    await call('Resign', { election, leader: candidate, token })
    console.log('resigned')
  }
  process.exit(0)
})

for (;;) {
  const until = await stand()
  console.log(`I, ${candidate}, lead, with token ${token}`)
  await lead(until)
  token = '0'
  console.log('I lead no more')
}
