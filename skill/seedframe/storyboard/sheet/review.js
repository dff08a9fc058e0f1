// What people decide on the sheet: picks, notes, filters. Kept in the browser, handed over as a command or as JSON.
const one = (selector, from = document) => from.querySelector(selector);
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const root = document.documentElement;
const words = JSON.parse(document.body.dataset.words);
const live = one("[role=status]");
const bar = one(".bar");
const command = one("code", bar);
const takes = all(".take");
const articles = all("article");
const figures = new Map(takes.map((take) => [take.closest("figure").dataset.key, take.closest("figure")]));
const slots = Map.groupBy ? Map.groupBy(figures.values(), (figure) => figure.dataset.slot)
  : [...figures.values()].reduce((map, figure) => map.set(figure.dataset.slot, [...(map.get(figure.dataset.slot) || []), figure]), new Map());
const isPicked = (figure) => figure.classList.contains("picked");
const pickedIn = (slot) => slots.get(slot).find(isPicked);
const atFirst = new Map([...slots.keys()].map((slot) => [slot, pickedIn(slot)?.dataset.key ?? null]));

const sentence = (key, values = {}) =>
  words[root.dataset.language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
const announce = (key, values) => { live.textContent = sentence(key, values); };
const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

const noteOf = (article) => one("textarea", article).value.trim();
const noted = () => articles.filter(noteOf);
const changes = () => [...slots.keys()]
  .map((slot) => ({ slot, key: pickedIn(slot)?.dataset.key ?? null }))
  .filter(({ slot, key }) => key !== atFirst.get(slot));

// Decisions outlive a reload, but not a sheet drawn anew after other picks: those are newer.
const storage = {
  name: "seedframe-review:" + document.body.dataset.project,
  begun: JSON.stringify([...atFirst]),
  read() {
    try {
      const found = JSON.parse(localStorage.getItem(this.name)) || {};
      return { notes: found.notes || {}, changes: found.begun === this.begun ? found.changes || [] : [] };
    } catch { return { notes: {}, changes: [] }; }
  },
  write() {
    const notes = Object.fromEntries(noted().map((article) => [article.id, noteOf(article)]));
    try { localStorage.setItem(this.name, JSON.stringify({ begun: this.begun, notes, changes: changes() })); }
    catch { /* a browser that keeps nothing for pages on disk */ }
  },
};

const mark = (figure, on) => {
  figure.classList.toggle("picked", on);
  one(".take", figure).setAttribute("aria-pressed", String(on));
};
const choose = (slot, key) => slots.get(slot).forEach((figure) => mark(figure, figure.dataset.key === key));

const pick = (figure) => {
  if (!figure.classList.contains("done")) return;
  const on = !isPicked(figure);
  choose(figure.dataset.slot, on ? figure.dataset.key : null);
  announce(on ? "picked" : "unpicked", { key: figure.dataset.key });
  refresh();
};

const approvals = () => ({
  schema: "seedframe/picks/1",
  project: document.body.dataset.project.split("#")[0],
  picks: Object.fromEntries([...slots.keys()].map((slot) => [slot, pickedIn(slot)?.dataset.key ?? null])),
  notes: Object.fromEntries(noted().map((article) => [article.id, noteOf(article)])),
});

const marks = {
  failed: (article) => one("figure.failed, figure.unknown", article),
  warned: (article) => one("li.warning, li.error", article),
  unpicked: (article) => all(".slot", article).some((slot) => one("figure.done", slot) && !one("figure.picked", slot)),
  stale: (article) => one("figure.stale", article),
  noted: noteOf,
};
const filters = all("[data-filter]");
const count = () => filters.forEach((filter) => {
  const test = marks[filter.dataset.filter];
  one("b", filter).textContent = test ? String(articles.filter(test).length) : "";
});
const filter = (name) => {
  const pressed = (button) => button.getAttribute("aria-pressed") === "true";
  filters.forEach((button) => {
    const same = button.dataset.filter === name;
    const on = name === "all" ? same : same ? !pressed(button) : pressed(button) && button.dataset.filter !== "all";
    button.setAttribute("aria-pressed", String(on));
  });
  const wanted = filters.filter(pressed).map((button) => marks[button.dataset.filter]).filter(Boolean);
  if (!wanted.length) filters[0].setAttribute("aria-pressed", "true");
  articles.forEach((article) => { article.hidden = wanted.length > 0 && !wanted.some((test) => test(article)); });
  all("section").forEach((section) => { section.hidden = !one("article:not([hidden])", section); });
  const shown = articles.filter((article) => !article.hidden).length;
  one(".nothing").hidden = shown > 0;
  announce("shown", { count: shown, total: articles.length });
};

const refresh = () => {
  const changed = changes();
  const notes = noted().length;
  bar.hidden = changed.length + notes === 0;
  one(".count b", bar).textContent = String(changed.length + notes);
  command.textContent = [bar.dataset.command, ...changed.map(({ slot, key }) => key ?? `${slot} none`)].join(" ");
  all("article").forEach((article) => article.classList.toggle("has-note", noteOf(article) !== ""));
  one("[data-count=picked]").textContent = `${[...slots.keys()].filter(pickedIn).length}/${slots.size}`;
  count();
  storage.write();
};

const download = () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(approvals(), null, 2) + "\n"], { type: "application/json" }));
  link.download = `${approvals().project}-picks.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  announce("saved", { name: link.download });
};

const copy = async () => {
  try { await navigator.clipboard.writeText(command.textContent); announce("copied"); }
  catch { getSelection().selectAllChildren(command); }
};

const reset = () => {
  atFirst.forEach((key, slot) => choose(slot, key));
  articles.forEach((article) => { one("textarea", article).value = ""; });
  refresh();
};

const speak = (language) => { root.dataset.language = language; root.lang = language; };
const toggleLanguage = () => speak(root.dataset.language === "en" ? "zh" : "en");

const onDo = (name, act) => all(`body > :not(dialog) [data-do=${name}]`).forEach((button) => button.addEventListener("click", act));
onDo("copy", copy);
onDo("download", download);
onDo("reset", reset);
onDo("language", toggleLanguage);
onDo("prompts", () => {
  const closed = all("figure details").some((detail) => !detail.open);
  all("figure details").forEach((detail) => { detail.open = closed; });
});
filters.forEach((button) => button.addEventListener("click", () => filter(button.dataset.filter)));
all("textarea").forEach((area) => area.addEventListener("input", refresh));
all(".index a").forEach((link) => { link.style.flexGrow = link.dataset.seconds; });

const kept = storage.read();
kept.changes.forEach(({ slot, key }) => { if (slots.has(slot)) choose(slot, key); });
articles.forEach((article) => {
  one("textarea", article).value = kept.notes[article.id] || "";
  one(".note", article).open = noteOf(article) !== "";
});
refresh();
