const words = JSON.parse(document.body.dataset.words);
const drop = document.querySelector(".drop");
const input = document.querySelector("input");
const state = document.querySelector(".state");
const say = (key, more = "") => {
  const [first, second] = document.documentElement.lang === "zh" ? ["zh", "en"] : ["en", "zh"];
  state.textContent = `${words[first][key]}\n${words[second][key]}${more && `\n${more}`}`;
};
const send = async (file) => {
  if (!file) return;
  input.disabled = true;
  say("sending");
  try {
    const answer = await fetch(location.href, { method: "POST", body: file });
    if (answer.ok) {
      drop.hidden = true;
      say("done");
      return;
    }
    say("refused", (await answer.json()).message);
  } catch {
    say("failed");
  }
  input.disabled = false;
};
input.addEventListener("change", () => send(input.files[0]));
for (const name of ["dragover", "dragleave", "drop"]) {
  addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", name === "dragover");
    if (name === "drop" && !input.disabled) send(event.dataTransfer.files[0]);
  });
}
addEventListener("paste", (event) => {
  if (!input.disabled) send(event.clipboardData.files[0]);
});
