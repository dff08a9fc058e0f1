// The board as a film: each shot's chosen frames for its duration, with its dialogue.
const film = one("dialog.animatic");
const screen = one("img", film);
const subtitle = one(".subtitle", film);
const scrub = one("input", film);
const playing = { scenes: [], at: 0, on: false, shown: null, last: 0 };

const chosen = (slot) => one("figure.picked img", slot) || one("figure.done img", slot);
const picturesOf = (article) => all(".slot", article).map(chosen).filter(Boolean);
const cuts = () => articles.filter((article) => !article.hidden).reduce((list, article) => {
  const seconds = Number(article.dataset.seconds);
  const pictures = picturesOf(article);
  const start = list.length ? list.at(-1).end : 0;
  const share = seconds / Math.max(1, pictures.length);
  const every = pictures.length ? pictures : [null];
  every.forEach((picture, n) => list.push({ article, picture, start: start + n * share, end: start + (n + 1) * share }));
  return list;
}, []);

const draw = () => {
  const { scenes, at } = playing;
  const cut = scenes.find(({ end }) => at < end) || scenes.at(-1);
  scrub.value = String(at);
  one("output", film).textContent = `${clock(at)} / ${clock(scenes.at(-1).end)}`;
  if (cut === playing.shown) return;
  playing.shown = cut;
  screen.hidden = !cut.picture;
  if (cut.picture) { screen.src = cut.picture.src; screen.alt = cut.picture.alt; }
  const action = one(".action", cut.article);
  one(".words", film).textContent = cut.picture || !action ? "" : action.innerText;
  subtitle.textContent = one(".dialogue", cut.article)?.innerText ?? "";
  one("#animatic-title .id").textContent = cut.article.id;
};

const setPlaying = (on) => {
  playing.on = on;
  one("[data-do=play]", film).setAttribute("aria-pressed", String(on));
  if (on) { playing.last = performance.now(); requestAnimationFrame(advance); }
};
const advance = (now) => {
  if (!playing.on || !film.open) return;
  const end = playing.scenes.at(-1).end;
  playing.at = Math.min(end, playing.at + ((now - playing.last) / 1000) * Number(one("select", film).value));
  playing.last = now;
  draw();
  if (playing.at >= end) setPlaying(false); else requestAnimationFrame(advance);
};

const seek = (at) => { playing.at = Math.max(0, Math.min(at, playing.scenes.at(-1).end - 0.01)); draw(); };
const skip = (by) => {
  const here = playing.scenes.indexOf(playing.shown);
  seek(playing.scenes[Math.max(0, Math.min(here + by, playing.scenes.length - 1))].start);
};
const togglePlaying = () => {
  if (!playing.on && playing.at >= playing.scenes.at(-1).end - 0.05) playing.at = 0;
  setPlaying(!playing.on);
};

const play = () => {
  const scenes = cuts();
  if (!scenes.length) return;
  const from = document.activeElement.closest("article");
  Object.assign(playing, { scenes, shown: null, at: scenes.find(({ article }) => article === from)?.start ?? 0 });
  scrub.max = String(scenes.at(-1).end);
  film.showModal();
  one("[data-do=play]", film).focus();
  draw();
  setPlaying(true);
};

const inAnimatic = (key) => {
  if (key === "ArrowLeft") skip(-1);
  else if (key === "ArrowRight") skip(1);
  else return false;
  return true;
};

onDo("animatic", play);
one("[data-do=play]", film).addEventListener("click", togglePlaying);
one("[data-do=previous]", film).addEventListener("click", () => skip(-1));
one("[data-do=next]", film).addEventListener("click", () => skip(1));
scrub.addEventListener("input", () => seek(Number(scrub.value)));
film.addEventListener("close", () => {
  setPlaying(false);
  one(".take", playing.shown.article)?.focus();
});
