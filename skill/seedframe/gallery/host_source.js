// Records and pictures from the MCP host around this page: JSON-RPC 2.0 over postMessage (MCP Apps, 2026-01-26).
const host = { id: 0, waiting: new Map(), handlers: {}, abilities: {} };
const post = (message) => parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
const notify = (method, params = {}) => post({ method, params });
const request = (method, params) => new Promise((resolve, reject) => {
  host.id += 1;
  host.waiting.set(host.id, { resolve, reject });
  post({ id: host.id, method, params });
});

addEventListener("message", ({ source: from, data }) => {
  if (from !== parent || data?.jsonrpc !== "2.0") return;
  if (data.method && data.id !== undefined) {
    const known = data.method === "ping" || data.method === "ui/resource-teardown";
    post({ id: data.id, ...(known ? { result: {} } : { error: { code: -32601, message: "Method not found" } }) });
  } else if (data.method) host.handlers[data.method]?.(data.params ?? {});
  else if (host.waiting.has(data.id)) {
    const { resolve, reject } = host.waiting.get(data.id);
    host.waiting.delete(data.id);
    if (data.error) reject(new Error(data.error.message)); else resolve(data.result);
  }
});

const dataAddress = ({ blob, data, mimeType }) => `data:${mimeType};base64,${blob ?? data}`;
const read = async (uri) => (await request("resources/read", { uri })).contents[0];

// The result of a picture tool: a sentence, a line of JSON, a preview for each picture.
const factsIn = (text) => {
  const at = text.indexOf("\n{");
  try { return JSON.parse(text.slice(at + 1)); } catch { return null; }
};
const ofResult = (result) => {
  const text = (result.content ?? []).filter(({ type }) => type === "text").map((block) => block.text).join("\n");
  const facts = result.isError ? null : factsIn(text);
  const previews = (result.content ?? []).filter(({ type }) => type === "image");
  if (!facts?.pictures?.length) return { text, pictures: [] };
  const each = previews.length === facts.pictures.length;
  const amount = facts.cost?.amount;
  const pictures = facts.pictures.map((picture, at) => ({
    id: picture.id ?? picture.path, name: String(picture.path).split(/[/\\]/).pop(), path: picture.path, folder: "",
    width: picture.width, height: picture.height, bytes: picture.bytes, ratio: picture.ratio, handle: picture.id,
    call: facts.id, tool: facts.tool, model: facts.model, backend: facts.backend, emulated: facts.emulated === true,
    created: facts.created, prompt: facts.prompt, negative: facts.negative_prompt ?? null, seed: facts.seed ?? null,
    price: amount == null ? null : String(Number(amount) / Math.max(1, facts.cost.pictures)), currency: facts.cost?.currency ?? null,
    notices: [...(facts.warnings ?? []), ...(facts.findings ?? []).map(({ message }) => message)],
    references: (facts.references ?? []).map((path) => ({ path, id: null })),
    variation: { tool: facts.tool, arguments: { prompt: facts.prompt, ...(facts.references ? { images: facts.references } : {}), model: facts.model, as_is: true } },
    held: previews.length ? dataAddress(each ? previews[at] : previews[0]) : null, facts,
  }));
  return { text, pictures };
};

const source = {
  made: [],
  kept: new Map(),
  async preview(record) {
    if (record.held) return record.held;
    if (!this.kept.has(record.id)) this.kept.set(record.id, read(`seedframe://gallery/${record.id}`).then(dataAddress));
    return this.kept.get(record.id);
  },
  full(record) { return this.preview(record); },
  sidecar: async (record) => record.facts ?? record,
  async list() {
    const earlier = host.abilities.serverResources ? JSON.parse((await read("seedframe://gallery")).text).pictures : [];
    const handles = new Set(this.made.map(({ handle }) => handle));
    return { folder: "", pictures: [...this.made, ...earlier.filter(({ handle }) => !handles.has(handle))] };
  },
  start(arrived) {
    const load = () => this.list().then(arrived, () => arrived({ folder: "", pictures: this.made }));
    const show = (text) => { one(".text").textContent = text; one(".text").hidden = !text; };
    host.handlers["ui/notifications/tool-input"] = () => { one(".waiting").hidden = false; };
    host.handlers["ui/notifications/tool-cancelled"] = () => { one(".waiting").hidden = true; };
    host.handlers["ui/notifications/tool-result"] = (result) => {
      const { text, pictures } = ofResult(result);
      one(".waiting").hidden = true;
      show(pictures.length ? "" : text);
      this.made = [...pictures, ...this.made];
      load();
    };
    const adapt = ({ theme, locale }) => { dress(theme); if (locale) speak(locale.startsWith("zh") ? "zh" : "en"); };
    host.handlers["ui/notifications/host-context-changed"] = adapt;
    let pending = 0;
    new ResizeObserver(() => {
      cancelAnimationFrame(pending);
      pending = requestAnimationFrame(() => notify("ui/notifications/size-changed", { width: root.scrollWidth, height: document.body.offsetHeight }));
    }).observe(document.body);
    request("ui/initialize", {
      protocolVersion: "2026-01-26",
      appInfo: { name: "seedframe-gallery", version: "1" },
      appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
    }).then((answer) => {
      host.abilities = answer.hostCapabilities ?? {};
      adapt(answer.hostContext ?? {});
      notify("ui/notifications/initialized");
      if (host.abilities.serverResources) load();
    }, () => announce("failed"));
  },
};
