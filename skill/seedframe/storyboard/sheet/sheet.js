"use strict";
(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const takes = all(".take");
  const bar = document.querySelector(".bar");
  const command = bar.querySelector("code");
  const begun = all("figure.picked").map((figure) => figure.dataset.key);
  const shelf = "seedframe-picks:" + document.body.dataset.project;

  // Picks made here outlive a reload, but not a sheet drawn anew after other picks: those are newer.
  const kept = {
    read() {
      try {
        const found = JSON.parse(localStorage.getItem(shelf));
        return String(found.begun) === String(begun) ? found.picked : null;
      } catch { return null; }
    },
    write(picked) {
      try { localStorage.setItem(shelf, JSON.stringify({ begun, picked })); } catch { /* no shelf for pages on disk */ }
    },
  };

  const mark = (figure, on) => {
    figure.classList.toggle("picked", on);
    figure.querySelector(".take").setAttribute("aria-pressed", String(on));
  };

  const show = () => {
    const picked = all("figure.picked").map((figure) => figure.dataset.key);
    const fresh = picked.filter((key) => !begun.includes(key));
    bar.hidden = fresh.length === 0;
    bar.querySelectorAll(".count b").forEach((number) => { number.textContent = String(fresh.length); });
    command.textContent = [bar.dataset.command, ...fresh].join(" ");
    kept.write(picked);
  };

  const pick = (figure) => {
    if (!figure.classList.contains("done")) return;
    const on = !figure.classList.contains("picked");
    all("figure").filter((other) => other.dataset.slot === figure.dataset.slot).forEach((other) => mark(other, false));
    mark(figure, on);
    show();
  };

  const zoom = document.querySelector("dialog");
  const enlarge = (take) => {
    const picture = take.querySelector("img");
    if (!picture) return;
    zoom.querySelector("img").src = picture.src;
    zoom.querySelector("img").alt = picture.alt;
    zoom.querySelector("p").textContent = take.closest("figure").dataset.key;
    zoom.showModal();
  };

  const move = (from, key) => {
    const at = takes.indexOf(from);
    if (key === "ArrowLeft" || key === "ArrowRight") return takes[at + (key === "ArrowRight" ? 1 : -1)];
    const here = from.getBoundingClientRect();
    const down = key === "ArrowDown" ? 1 : -1;
    const score = (take) => {
      const there = take.getBoundingClientRect();
      const gap = (there.top - here.top) * down;
      return gap < 20 ? Infinity : gap * 4 + Math.abs(there.left - here.left);
    };
    const best = takes.reduce((a, b) => (score(b) < score(a) ? b : a));
    return score(best) === Infinity ? undefined : best;
  };

  const speak = (language) => {
    document.documentElement.dataset.language = language;
    document.documentElement.lang = language;
  };
  const toggle = () => speak(document.documentElement.dataset.language === "en" ? "zh" : "en");

  const press = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const take = document.activeElement.closest(".take");
    if (event.key.startsWith("Arrow") && !zoom.open) {
      const next = take ? move(take, event.key) : takes[0];
      if (next) { next.focus(); next.scrollIntoView({ block: "nearest" }); event.preventDefault(); }
    } else if (event.key === "p" && take) {
      pick(take.closest("figure"));
    } else if (event.key === "l") {
      toggle();
    }
  };

  takes.forEach((take) => {
    take.addEventListener("click", (event) => (event.detail === 0 ? enlarge(take) : pick(take.closest("figure"))));
    take.addEventListener("dblclick", () => enlarge(take));
  });
  document.addEventListener("keydown", press);
  zoom.addEventListener("click", () => zoom.close());
  document.querySelector("[data-do=language]").addEventListener("click", toggle);
  document.querySelector("[data-do=print]").addEventListener("click", () => window.print());
  document.querySelector("[data-do=prompts]").addEventListener("click", () => {
    const closed = all("details").some((detail) => !detail.open);
    all("details").forEach((detail) => { detail.open = closed; });
  });
  document.querySelector("[data-do=copy]").addEventListener("click", async (event) => {
    const button = event.currentTarget;
    try { await navigator.clipboard.writeText(command.textContent); button.classList.add("copied"); }
    catch { getSelection().selectAllChildren(command); }
  });

  const remembered = kept.read();
  if (remembered) all("figure.done").forEach((figure) => mark(figure, remembered.includes(figure.dataset.key)));
  show();
})();
