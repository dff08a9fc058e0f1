// One picture with everything known about it; its takes side by side; before and after an edit.
const detail = one("dialog");
const stage = one(".stage", detail);
const looking = { record: null, mode: "single", full: false, as: "call" };

const imageOf = (record, side = "full") => {
  const image = new Image();
  image.alt = record.prompt ?? record.name;
  image.dataset.id = record.id;
  const load = side === "full" ? source.full(record) : source.preview(record, side);
  load.then((address) => { image.src = address; }, () => undefined);
  return image;
};

const element = (name, className, ...children) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
};

const held = (record, caption) => {
  const image = imageOf(record);
  image.addEventListener("click", () => setLooking({ full: !looking.full }));
  const part = element("div", record === looking.record && caption ? "here" : "", element("div", "hold", image));
  if (caption) part.append(element("p", "caption", caption));
  return part;
};

const beforeOf = (record) => record.references.map(({ id }) => wallState.byId.get(id)).find(Boolean);
const comparing = (before, after) => {
  const top = imageOf(after);
  const slider = Object.assign(document.createElement("input"), { type: "range", min: 0, max: 100, value: 50 });
  slider.setAttribute("aria-label", one("[data-do=before]", detail).innerText);
  const cut = () => { top.style.clipPath = `inset(0 0 0 ${slider.value}%)`; };
  slider.addEventListener("input", cut);
  cut();
  return element("div", "comparing", element("div", "both", imageOf(before), top), slider);
};

const toldOf = ({ seed, created }) => [seed === null ? null : `seed ${seed}`, created && new Date(created).toLocaleString(root.lang)].filter(Boolean).join(" · ");
const stageOf = (record) => {
  if (looking.mode === "before") return [comparing(beforeOf(record), record)];
  if (looking.mode === "takes") return takesOf(record).slice(0, 8).map((take) => held(take, toldOf(take)));
  return [held(record)];
};

const shellWord = (text) => (/^[\w.,:/@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
const commandOf = ({ tool, arguments: given }) => {
  const options = { images: "--image", model: "--model", ratio: "--ratio", negative_prompt: "--negative-prompt" };
  const parts = Object.entries(options).flatMap(([name, option]) => [given[name] ?? []].flat().flatMap((value) => [option, shellWord(value)]));
  return ["seedframe", tool === "edit_image" ? "edit" : "generate", shellWord(given.prompt), ...parts, "--as-is"].join(" ");
};
const variations = {
  call: (record) => record.variation && `${record.variation.tool} ${JSON.stringify(record.variation.arguments, null, 2)}`,
  edit: (record) => `edit_image ${JSON.stringify({ prompt: sentence("edit-prompt"), images: [record.path], model: record.model ?? undefined }, null, 2)}`,
  command: (record) => record.variation && commandOf(record.variation),
};

const setSection = (name, filled, fill) => {
  const section = one(`aside .${name}`, detail);
  section.hidden = !filled;
  if (filled) fill(section);
};

const facts = (record) => ({
  model: record.model,
  backend: record.backend,
  size: record.width && [`${record.width}×${record.height}`, record.ratio, record.bytes && `${(record.bytes / 1e6).toFixed(2)} MB`].filter(Boolean).join(" · "),
  price: price(record) === null ? sentence("unknown") : money(price(record), record.currency),
  created: record.created && new Date(record.created).toLocaleString(root.lang),
  seed: record.seed,
  file: record.path,
});

const reference = ({ path, id }) => {
  const record = wallState.byId.get(id);
  if (!record) return element("li", "", String(path).split(/[/\\]/).pop());
  const open = element("button", "", imageOf(record, 480));
  open.type = "button";
  open.addEventListener("click", () => setLooking({ record, mode: "single" }));
  return element("li", "", open);
};

const drawVariation = (record) => {
  all("[data-as]", detail).forEach((button) => {
    button.setAttribute("aria-pressed", String(button.dataset.as === looking.as));
    button.disabled = !variations[button.dataset.as](record);
  });
  one(".variation pre", detail).textContent = variations[looking.as](record) ?? variations.edit(record);
};

const drawAside = (record) => {
  setSection("prompt", record.prompt, (section) => { one("p", section).textContent = record.prompt; });
  setSection("negative", record.negative, (section) => { one("p", section).textContent = record.negative; });
  setSection("notices", record.notices.length, (section) => one("ul", section).replaceChildren(...record.notices.map((notice) => element("li", "", notice))));
  setSection("references", record.references.length, (section) => one("ul", section).replaceChildren(...record.references.map(reference)));
  Object.entries(facts(record)).forEach(([name, value]) => {
    const row = one(`[data-fact=${name}]`, detail);
    row.hidden = value === null || value === undefined || value === "";
    one("dd", row).textContent = value ?? "";
  });
  one(".emulated", detail).hidden = !record.emulated;
  one(".sidecar details", detail).open = false;
  drawVariation(record);
};

const setLooking = (change) => {
  Object.assign(looking, change);
  const { record } = looking;
  const before = beforeOf(record);
  const takes = takesOf(record).length > 1;
  if ((looking.mode === "before" && !before) || (looking.mode === "takes" && !takes)) looking.mode = "single";
  one("[data-do=before]", detail).disabled = !before;
  one("[data-do=takes]", detail).disabled = !takes;
  ["before", "takes"].forEach((mode) => one(`[data-do=${mode}]`, detail).setAttribute("aria-pressed", String(looking.mode === mode)));
  one("[data-do=full]", detail).setAttribute("aria-pressed", String(looking.full));
  one("#detail-title .id").textContent = record.name;
  stage.className = `stage${looking.full && looking.mode !== "before" ? " full" : ""}`;
  stage.replaceChildren(...stageOf(record));
  if (change.record) drawAside(record);
};

const openDetail = (record) => {
  setLooking({ record, mode: "single", full: false });
  detail.showModal();
  stage.focus();
};
const step = (by) => {
  const next = wallState.shown[wallState.shown.indexOf(looking.record) + by];
  if (next) setLooking({ record: next, full: false });
};
const toggle = (mode) => setLooking({ mode: looking.mode === mode ? "single" : mode, full: false });

const acts = {
  previous: () => step(-1),
  next: () => step(1),
  full: () => setLooking({ full: !looking.full }),
  takes: () => toggle("takes"),
  before: () => toggle("before"),
  close: () => detail.close(),
};
Object.entries(acts).forEach(([name, act]) => one(`[data-do=${name}]`, detail).addEventListener("click", act));
all("[data-as]", detail).forEach((button) => button.addEventListener("click", () => { looking.as = button.dataset.as; drawVariation(looking.record); }));
one("[data-copy=prompt]").addEventListener("click", () => copy(looking.record.prompt, one("aside .prompt p")));
one("[data-copy=variation]").addEventListener("click", () => copy(one(".variation pre").textContent, one(".variation pre")));
one(".sidecar details").addEventListener("toggle", async ({ target }) => {
  if (target.open) one("pre", target).textContent = JSON.stringify(await source.sidecar(looking.record), null, 2);
});
wall.addEventListener("click", ({ target }) => {
  const figure = target.closest("figure");
  if (figure) openDetail(wallState.byId.get(figure.dataset.id));
});
detail.addEventListener("close", () => {
  stage.replaceChildren();
  tileOf(looking.record)?.focus();
});

const keys = { ArrowLeft: acts.previous, ArrowRight: acts.next, z: acts.full, c: acts.takes, b: acts.before };
document.addEventListener("keydown", (event) => {
  const active = document.activeElement;
  if (event.ctrlKey || event.metaKey || event.altKey || active.matches("input, select")) return;
  if (detail.open) {
    const act = keys[event.key];
    if (act && !(looking.full && event.key.startsWith("Arrow"))) { act(); event.preventDefault(); }
  } else if (event.key.startsWith("Arrow") && (active.matches(".open") || active === document.body)) {
    const next = moveOnWall(active, event.key);
    if (next) { next.focus(); next.scrollIntoView({ block: "nearest" }); event.preventDefault(); }
  } else if (event.key === "/") { form.elements.search.focus(); event.preventDefault(); }
});
source.start(arrived);
