// The keyboard and the mouse on the sheet itself.
const move = (from, key) => {
  const visible = takes.filter((take) => !take.closest("[hidden]"));
  const at = visible.indexOf(from);
  if (key === "ArrowLeft" || key === "ArrowRight") return visible[at + (key === "ArrowRight" ? 1 : -1)];
  const here = from.getBoundingClientRect();
  const down = key === "ArrowDown" ? 1 : -1;
  // Rows are in order: the nearest row has the first take that lies clear of this one, and it ends where the next begins.
  let best, least = Infinity;
  for (let n = at + down; visible[n]; n += down) {
    const there = visible[n].getBoundingClientRect();
    const gap = (there.top - here.top) * down;
    if (gap < 20) continue;
    const score = gap * 4 + Math.abs(there.left - here.left);
    if (score < least) { least = score; best = visible[n]; }
    if (gap * 4 > least) break;
  }
  return best;
};

const onSheet = (key, take) => {
  if (key.startsWith("Arrow")) {
    const next = take ? move(take, key) : takes.find((one) => !one.closest("[hidden]"));
    if (!next) return false;
    next.focus();
    next.scrollIntoView({ block: "nearest" });
    return true;
  }
  if (key === "p" && take) pick(take.closest("figure"));
  else if (key === "c" && take) enlarge(take, true);
  else if (key === "n" && document.activeElement.closest("article")) {
    const note = one(".note", document.activeElement.closest("article"));
    note.open = true;
    one("textarea", note).focus();
  } else if (key === "a") play();
  else if (key === "l") toggleLanguage();
  else return false;
  return true;
};

document.addEventListener("keydown", (event) => {
  const active = document.activeElement;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (active.matches("textarea, select, input") && !isOpen(film)) return;
  const known = isOpen(viewer) ? inViewer(event.key)
    : isOpen(film) ? active !== scrub && inAnimatic(event.key)
      : onSheet(event.key, active.closest(".take"));
  if (known) event.preventDefault();
});
takes.forEach((take) => {
  const figure = take.closest("figure");
  take.addEventListener("click", (event) => (event.detail === 0 ? enlarge(take) : pick(figure)));
  take.addEventListener("dblclick", () => enlarge(take));
  one(".enlarge", figure)?.addEventListener("click", () => enlarge(take));
});
