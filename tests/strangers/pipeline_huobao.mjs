// huobao-drama's own image adapter, from its source, makes one picture: `BASE ADAPTER OUT` → JSON.
import { writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const [base, adapterFile, out] = process.argv.slice(2)
const { VolcEngineImageAdapter } = await import(pathToFileURL(adapterFile))
const adapter = new VolcEngineImageAdapter()
const config = { provider: 'volcengine', baseUrl: base, apiKey: 'test-key', model: '' }
const record = { id: 1, prompt: '黄昏的海边灯塔，暖色调，海浪拍打礁石。', size: '1080x1920' }
const { url, method, headers, body } = adapter.buildGenerateRequest(config, record)
const answer = await fetch(url, { method, headers, body: JSON.stringify(body) })
const made = adapter.parseGenerateResponse(await answer.json())
const picture = await fetch(made.imageUrl)
writeFileSync(out, Buffer.from(await picture.arrayBuffer()))
console.log(JSON.stringify({ isAsync: made.isAsync, status: answer.status }))
