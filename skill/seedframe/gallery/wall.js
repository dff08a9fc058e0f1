// All pictures as rows that fill the width; search, filters and order. Only rows near the window are in the document:
// with every picture in it, Chromium needs 150 ms a frame for a thousand of them, with these 17.
const GAP = 8;
const NEAR = 1200;
const SETTLED = 90;
const wall = one(".wall");
const form = one("form");
const wallState = { records: [], shown: [], rows: [], there: new Map() };

const wordsOf = (record) => [record.prompt, record.name, record.model, record.backend, record.folder, record.created].join(" ").toLowerCase();
const takesOf = (record) => wallState.byWords.get(`${record.model}\n${record.prompt}`) ?? [record];

const index = () => {
  wallState.byWords = new Map();
  wallState.byId = new Map(wallState.records.map((record) => [record.id, record]));
  wallState.records.forEach((record) => {
    record.words = wordsOf(record);
    const key = `${record.model}\n${record.prompt}`;
    wallState.byWords.set(key, [...(wallState.byWords.get(key) ?? []), record]);
  });
};

const ratioOf = ({ width, height }) => Math.min(4, Math.max(0.3, width && height ? width / height : 1));

const rowsOf = (records, width, wantedHeight) => {
  const rows = [];
  let from = 0, ratios = 0, top = 0;
  records.forEach((record, at) => {
    ratios += ratioOf(record);
    const free = width - GAP * (at - from);
    const last = at === records.length - 1;
    if (free / ratios > wantedHeight && !last) return;
    const height = Math.min(free / ratios, wantedHeight * 1.25);
    rows.push({ from, to: at + 1, top, height });
    top += height + GAP;
    from = at + 1;
    ratios = 0;
  });
  return rows;
};

const load = (figure, record) => {
  const image = one("img", figure);
  image.addEventListener("load", () => image.classList.add("ready"), { once: true });
  // What only flies past is not asked for.
  setTimeout(() => {
    if (figure.isConnected) source.preview(record, 480).then((address) => { image.src = address; }, () => undefined);
  }, SETTLED);
};

const tile = (record, at, height) => {
  const figure = one("#tile").content.firstElementChild.cloneNode(true);
  figure.dataset.id = record.id;
  figure.style.width = `${ratioOf(record) * height}px`;
  figure.setAttribute("aria-posinset", String(at + 1));
  figure.setAttribute("aria-setsize", String(wallState.shown.length));
  one("img", figure).alt = record.prompt ?? record.name;
  one(".words", figure).textContent = record.prompt ?? record.name;
  one(".meta", figure).textContent = [record.model, price(record) === null ? null : money(price(record), record.currency)].filter(Boolean).join(" · ");
  const takes = takesOf(record).length;
  one(".badge", figure).hidden = takes < 2;
  one(".badge", figure).textContent = `×${takes}`;
  load(figure, record);
  return figure;
};

const rowElement = ({ from, to, top, height }) => {
  const row = document.createElement("div");
  row.className = "row";
  row.setAttribute("role", "presentation");
  row.style.transform = `translateY(${top}px)`;
  row.style.height = `${height}px`;
  row.append(...wallState.shown.slice(from, to).map((record, n) => tile(record, from + n, height)));
  return row;
};

const drawNear = () => {
  const { rows, there } = wallState;
  const offset = -wall.getBoundingClientRect().top;
  const isNear = ({ top, height }) => top + height > offset - NEAR && top < offset + innerHeight + NEAR;
  there.forEach((element, row) => {
    if (!isNear(row) && !element.contains(document.activeElement)) { element.remove(); there.delete(row); }
  });
  rows.filter((row) => isNear(row) && !there.has(row)).forEach((row) => {
    const element = rowElement(row);
    const next = [...there].filter(([other]) => other.top > row.top).sort(([a], [b]) => a.top - b.top)[0];
    wall.insertBefore(element, next ? next[1] : null);
    there.set(row, element);
  });
};

const layOut = () => {
  wallState.there.clear();
  wall.replaceChildren();
  wallState.rows = rowsOf(wallState.shown, wall.clientWidth, parseFloat(getComputedStyle(wall).getPropertyValue("--row")));
  const last = wallState.rows.at(-1);
  wall.style.height = last ? `${last.top + last.height}px` : "0";
  drawNear();
};

let drawing = 0;
const drawSoon = () => { cancelAnimationFrame(drawing); drawing = requestAnimationFrame(drawNear); };
addEventListener("scroll", drawSoon, { passive: true });
addEventListener("resize", drawSoon);
let laidOutFor = 0;
new ResizeObserver(() => {
  if (wall.clientWidth !== laidOutFor) { laidOutFor = wall.clientWidth; layOut(); }
}).observe(wall);

// The tile of a picture, brought into the document where it was not.
const tileOf = (record) => {
  const at = wallState.shown.indexOf(record);
  const row = wallState.rows.find(({ from, to }) => from <= at && at < to);
  if (!row) return undefined;
  if (!wallState.there.has(row)) {
    scrollTo(0, row.top + wall.getBoundingClientRect().top + scrollY - innerHeight / 2);
    drawNear();
  }
  return all(".open", wallState.there.get(row))[at - row.from];
};

const orders = {
  newest: () => 0,
  oldest: (a, b) => String(a.created).localeCompare(String(b.created)),
  dearest: (a, b) => (price(b) ?? -1) - (price(a) ?? -1),
};
const wanted = () => {
  const { search, model, tool, order, several, noticed } = form.elements;
  const parts = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  return wallState.records.filter((record) => parts.every((part) => record.words.includes(part))
    && (!model.value || record.model === model.value) && (!tool.value || record.tool === tool.value)
    && (!several.checked || takesOf(record).length > 1) && (!noticed.checked || record.notices.length)).sort(orders[order.value]);
};

const sums = (records) => {
  const byCurrency = new Map();
  records.filter((record) => price(record) !== null).forEach((record) => byCurrency.set(record.currency, (byCurrency.get(record.currency) ?? 0) + price(record)));
  return [...byCurrency].map(([currency, amount]) => money(amount, currency)).join(" + ") || "–";
};

const drawWall = () => {
  one(".search").classList.toggle("filled", form.elements.search.value !== "");
  wallState.shown = wanted();
  layOut();
  one(".nothing").hidden = wallState.shown.length > 0 || !wallState.records.length;
  one("[data-fact=pictures]").textContent = wallState.shown.length === wallState.records.length ? String(wallState.records.length) : `${wallState.shown.length}/${wallState.records.length}`;
  one("[data-fact=spent]").textContent = sums(wallState.shown);
  announce("shown", { count: wallState.shown.length, total: wallState.records.length });
};

const arrived = ({ folder, pictures }) => {
  wallState.records = pictures;
  index();
  one(".where").textContent = folder;
  one(".empty").hidden = pictures.length > 0 || !one(".text").hidden || root.dataset.where === "host";
  form.hidden = root.dataset.where === "host" && pictures.length < 5;
  const models = [...new Set(pictures.map(({ model }) => model).filter(Boolean))].sort();
  const select = form.elements.model;
  const chosenModel = select.value;
  select.replaceChildren(select.firstElementChild, ...models.map((name) => new Option(name, name)));
  select.value = models.includes(chosenModel) ? chosenModel : "";
  drawWall();
};

form.addEventListener("submit", (event) => event.preventDefault());
let typing = 0;
form.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(drawWall, 80); });

const moveOnWall = (from, key) => {
  const at = wallState.shown.findIndex(({ id }) => id === from.closest("figure")?.dataset.id);
  if (at < 0) return tileOf(wallState.shown[0]);
  if (key === "ArrowLeft" || key === "ArrowRight") return tileOf(wallState.shown[at + (key === "ArrowRight" ? 1 : -1)]);
  const row = wallState.rows[wallState.rows.findIndex(({ from: first, to }) => first <= at && at < to) + (key === "ArrowDown" ? 1 : -1)];
  if (!row) return undefined;
  const middle = from.getBoundingClientRect().left + from.offsetWidth / 2;
  tileOf(wallState.shown[row.from]);
  const tiles = all(".open", wallState.there.get(row));
  return tiles.find((open) => open.getBoundingClientRect().right + GAP >= middle) ?? tiles.at(-1);
};
