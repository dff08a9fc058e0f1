// All pictures as rows of equal height; search, filters and order. Tiles are made by the hundred, pictures when near.
const CHUNK = 120;
const wall = one(".wall");
const form = one("form");
const wallState = { records: [], shown: [], drawn: 0 };

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

const near = new IntersectionObserver((entries) => entries.filter(({ isIntersecting }) => isIntersecting).forEach(({ target }) => {
  near.unobserve(target);
  const image = one("img", target);
  image.addEventListener("load", () => image.classList.add("ready"), { once: true });
  source.preview(wallState.byId.get(target.dataset.id), 480).then((address) => { image.src = address; }, () => undefined);
}), { rootMargin: "900px 0px" });

const tile = (record) => {
  const figure = one("#tile").content.firstElementChild.cloneNode(true);
  const ratio = record.width && record.height ? record.width / record.height : 1;
  figure.dataset.id = record.id;
  figure.style.aspectRatio = String(ratio);
  figure.style.flex = `${ratio} 1 calc(var(--row) * ${ratio})`;
  one("img", figure).alt = record.prompt ?? record.name;
  one(".words", figure).textContent = record.prompt ?? record.name;
  one(".meta", figure).textContent = [record.model, price(record) === null ? null : money(price(record), record.currency)].filter(Boolean).join(" · ");
  const takes = takesOf(record).length;
  one(".badge", figure).hidden = takes < 2;
  one(".badge", figure).textContent = `×${takes}`;
  near.observe(figure);
  return figure;
};

const drawMore = () => {
  const next = wallState.shown.slice(wallState.drawn, wallState.drawn + CHUNK);
  wall.append(...next.map(tile));
  wallState.drawn += next.length;
  one(".more").hidden = wallState.drawn >= wallState.shown.length;
};
new IntersectionObserver((entries) => { if (entries.some(({ isIntersecting }) => isIntersecting)) drawMore(); }, { rootMargin: "1600px 0px" }).observe(one(".more"));

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
  Object.assign(wallState, { shown: wanted(), drawn: 0 });
  wall.replaceChildren();
  drawMore();
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
one("[data-do=more]").addEventListener("click", drawMore);

const moveOnWall = (from, key) => {
  const tiles = all(".open", wall);
  const at = tiles.indexOf(from);
  if (at < 0) return tiles[0];
  if (key === "ArrowLeft" || key === "ArrowRight") return tiles[at + (key === "ArrowRight" ? 1 : -1)];
  const down = key === "ArrowDown" ? 1 : -1;
  const here = from.getBoundingClientRect();
  const middle = here.left + here.width / 2;
  for (let n = at + down; tiles[n]; n += down) {
    const there = tiles[n].getBoundingClientRect();
    if ((there.top - here.top) * down > 20 && there.left <= middle && there.right + 8 >= middle) return tiles[n];
  }
  return undefined;
};
