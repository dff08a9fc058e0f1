// Printed storyboards: 6 or 12 panels a page, each with the chosen frame, its time and its words.
const panels = one(".panels");

const panel = (article) => {
  const made = document.createElement("div");
  made.className = "panel";
  const picture = document.createElement(chosen(article) ? "img" : "div");
  picture.className = "picture";
  if (chosen(article)) { picture.src = chosen(article).src; picture.alt = chosen(article).alt; }
  const head = document.createElement("h3");
  head.append(article.id, ...all("h3 .time", article).map((time) => time.cloneNode(true)));
  const text = document.createElement("div");
  text.className = "text";
  text.append(head, ...[".action", ".dialogue", ".motion"].map((kind) => one(kind, article)?.cloneNode(true)).filter(Boolean));
  if (noteOf(article)) text.append(Object.assign(document.createElement("p"), { className: "more", textContent: noteOf(article) }));
  made.append(picture, text);
  return made;
};

const layOut = (perPage) => {
  const shots = articles.filter((article) => !article.hidden);
  const sheets = Array.from({ length: Math.ceil(shots.length / perPage) }, (_, at) => {
    const sheet = document.createElement("div");
    sheet.className = `sheet of-${perPage}`;
    const foot = document.createElement("p");
    foot.textContent = `${one("h1").innerText} · ${at + 1}/${Math.ceil(shots.length / perPage)}`;
    sheet.append(...shots.slice(at * perPage, (at + 1) * perPage).map(panel), foot);
    return sheet;
  });
  panels.replaceChildren(...sheets);
};

const print = async (what) => {
  if (what !== "all") {
    layOut(Number(what));
    panels.hidden = false;
    document.body.classList.add("as-panels");
    await Promise.all(all("img", panels).map((image) => image.decode().catch(() => undefined)));
  }
  window.print();
};
addEventListener("afterprint", () => {
  document.body.classList.remove("as-panels");
  panels.hidden = true;
  panels.replaceChildren();
});
all("[data-print]").forEach((button) => button.addEventListener("click", () => print(button.dataset.print)));
