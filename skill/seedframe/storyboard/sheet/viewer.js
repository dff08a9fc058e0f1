// One picture as large as the window or pixel by pixel, or all takes of a keyframe side by side.
const viewer = one("dialog.viewer");
const stage = one(".stage", viewer);
const looking = { figure: null, compare: false, full: false };
const missing = new Set();

const isOpen = (dialog) => dialog.open;
const drawn = () => takes.map((take) => take.closest("figure")).filter((figure) => one("img", figure) && !figure.closest("[hidden]"));

// The file beside the page is sharper than what the page holds; where it is missing, what the page holds stays.
const sharpen = (image, figure) => {
  const link = one("figcaption a", figure);
  if (!link || missing.has(link.href)) { one(".missing", viewer).hidden = !link; return; }
  const file = new Image();
  file.onload = () => { if (image.dataset.key === figure.dataset.key) image.src = file.src; };
  file.onerror = () => { missing.add(link.href); one(".missing", viewer).hidden = false; };
  file.src = link.href;
};

const shown = (figure) => {
  const copyOf = one("#shown").content.firstElementChild.cloneNode(true);
  const small = one("img", figure);
  const image = one("img", copyOf);
  image.dataset.key = figure.dataset.key;
  image.src = small.src;
  image.alt = small.alt;
  one("b", copyOf).textContent = figure.dataset.key;
  one(".size", copyOf).textContent = one(".size", figure).textContent;
  copyOf.classList.toggle("picked", isPicked(figure));
  one("[data-do=pick]", copyOf).setAttribute("aria-pressed", String(isPicked(figure)));
  one("[data-do=pick]", copyOf).addEventListener("click", () => { pick(figure); show(); });
  image.addEventListener("click", () => setFull(!looking.full));
  sharpen(image, figure);
  return copyOf;
};

const show = (figure = looking.figure) => {
  looking.figure = figure;
  one(".missing", viewer).hidden = true;
  const side = looking.compare ? slots.get(figure.dataset.slot).filter((other) => one("img", other)) : [figure];
  stage.replaceChildren(...side.map(shown));
  one("#viewer-title").textContent = looking.compare ? figure.dataset.slot : figure.dataset.key;
  const article = figure.closest("article");
  const texts = [one(".action", figure.closest(".slot")), one(".dialogue", article), one(".prompt", figure)];
  one(".texts", viewer).replaceChildren(...texts.filter(Boolean).map((part) => part.cloneNode(true)));
  one("[data-do=compare]", viewer).setAttribute("aria-pressed", String(looking.compare));
};
const setFull = (on) => {
  looking.full = on;
  stage.classList.toggle("full", on);
  one("[data-do=full]", viewer).setAttribute("aria-pressed", String(on));
};
const setCompare = (on) => { looking.compare = on; show(); };

const enlarge = (take, compare = false) => {
  const figure = take.closest("figure");
  if (!one("img", figure)) { announce("missing"); return; }
  looking.compare = compare;
  setFull(false);
  show(figure);
  viewer.showModal();
  stage.focus();
};

const step = (by) => {
  const list = looking.compare ? drawn().filter((figure, at, every) => figure.dataset.slot !== every[at - 1]?.dataset.slot) : drawn();
  const same = (figure) => (looking.compare ? figure.dataset.slot === looking.figure.dataset.slot : figure === looking.figure);
  const next = list[list.findIndex(same) + by];
  if (next) show(next);
};

const inViewer = (key) => {
  const number = Number(key);
  if (key === "ArrowLeft") step(-1);
  else if (key === "ArrowRight") step(1);
  else if (key === "z") setFull(!looking.full);
  else if (key === "c") setCompare(!looking.compare);
  else if (key === "p") { pick(looking.figure); show(); }
  else if (number >= 1) {
    const wanted = slots.get(looking.figure.dataset.slot)[number - 1];
    if (wanted) { pick(wanted); show(); }
  } else return false;
  return true;
};

one("[data-do=previous]", viewer).addEventListener("click", () => step(-1));
one("[data-do=next]", viewer).addEventListener("click", () => step(1));
one("[data-do=full]", viewer).addEventListener("click", () => setFull(!looking.full));
one("[data-do=compare]", viewer).addEventListener("click", () => setCompare(!looking.compare));
all("dialog [data-do=close]").forEach((button) => button.addEventListener("click", () => button.closest("dialog").close()));
viewer.addEventListener("close", () => { stage.replaceChildren(); one(".take", looking.figure).focus(); });
