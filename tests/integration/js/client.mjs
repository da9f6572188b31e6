// Runs a scenario against an agent with @grpc/grpc-js and prints what it saw as one line of JSON.
//     node client.mjs API_DIRECTORY HOST:PORT
import grpc from '@grpc/grpc-js'
import loader from '@grpc/proto-loader'

const [api, target] = process.argv.slice(2)
const load = (file) => grpc.loadPackageDefinition(loader.loadSync(`${api}/${file}`, { longs: String, defaults: true, keepCase: true })).grpc
const { Election } = load('election_agent.proto').election_agent.v1
const { Health } = load('health.proto').health.v1
const { ServerReflection } = load('reflection.proto').reflection.v1

const credentials = grpc.credentials.createInsecure()
const client = new Election(target, credentials)
const call = (method, request, options = { deadline: Date.now() + 10000 }) =>
  new Promise((resolve) => client[method](request, options, (error, answer) => resolve(error ? { code: error.code, details: error.details } : answer)))

const seen = {}
seen.won = await call('Campaign', { election: 'job', candidate: 'a', term: 10000 })
seen.lost = await call('Campaign', { election: 'job', candidate: 'b', term: 10000 })
seen.held = await call('ExtendElectedTerm', { election: 'job', leader: 'b', term: 10000 })
seen.invalid = await call('Campaign', { election: 'jöb\n', candidate: 'a', term: 10000 })
seen.leader = await call('GetLeader', { election: 'job' })
seen.late = await call('Campaign', { election: 'job', candidate: 'a', term: 10000 }, { deadline: Date.now() - 1 })
seen.resigned = await call('Resign', { election: 'job', leader: 'a', token: seen.won.token })
seen.none = await call('GetLeader', { election: 'job' })
seen.many = (await Promise.all(Array.from({ length: 200 }, (_, i) => call('Campaign', { election: `e${i}`, candidate: 'a', term: 60000 })))).filter(
  (answer) => answer.elected,
).length

// Server streaming, and cancelling it.
const health = new Health(target, credentials)
seen.watch = await new Promise((resolve) => {
  const stream = health.Watch({ service: '' })
  let first
  stream.on('data', (answer) => {
    first = answer.status
    stream.cancel()
  })
  stream.on('error', (error) => resolve({ first, code: error.code }))
})

// Both directions.
seen.services = await new Promise((resolve, reject) => {
  const stream = new ServerReflection(target, credentials).ServerReflectionInfo()
  stream.on('data', (answer) => {
    resolve(answer.list_services_response.service.map((service) => service.name).sort())
    stream.end()
  })
  stream.on('error', reject)
  stream.write({ list_services: '' })
})

console.log(JSON.stringify(seen))
process.exit(0)
