// What every part of the page needs: finding elements, words in two languages, light and dark.
const one = (selector, from = document) => from.querySelector(selector);
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const root = document.documentElement;
const words = JSON.parse(document.body.dataset.words);
const live = one("[role=status]");

const sentence = (key, values = {}) => words[root.dataset.language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
const announce = (key, values) => { live.textContent = sentence(key, values); };

const remember = (name, value) => { try { localStorage.setItem(`seedframe-${name}`, value); } catch { /* nothing is kept here */ } };
const recall = (name) => { try { return localStorage.getItem(`seedframe-${name}`); } catch { return null; } };

const speak = (language) => {
  root.dataset.language = language;
  root.lang = language;
  all("option[data-en]").forEach((option) => { option.textContent = option.dataset[language]; });
};
const dress = (theme) => { if (theme === "light" || theme === "dark") root.dataset.theme = theme; };
const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

const copy = async (text, shown) => {
  try { await navigator.clipboard.writeText(text); announce("copied"); }
  catch { getSelection().selectAllChildren(shown); }
};

const price = (record) => (record.price === null || record.price === undefined ? null : Number(record.price));
const money = (amount, currency) => `${Number(amount.toFixed(4))} ${currency ?? ""}`.trim();

one("[data-do=language]").addEventListener("click", () => {
  const language = root.dataset.language === "en" ? "zh" : "en";
  speak(language);
  remember("language", language);
});
one("[data-do=theme]").addEventListener("click", () => {
  dress(isDark() ? "light" : "dark");
  remember("theme", root.dataset.theme);
});
speak(recall("language") in words ? recall("language") : root.dataset.language);
dress(recall("theme"));
