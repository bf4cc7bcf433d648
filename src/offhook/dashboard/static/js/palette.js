// Ctrl K: a page, a contact or a call by a few letters. /search.json answers with [{title, detail, url, kind}].
import { $, $$, make } from "./dom.js";

const dialog = $("#palette");
const input = dialog && $("input", dialog);
const list = dialog && $("[role=listbox]", dialog);
let found = [];
let current = 0;
let underWay;

/** The pages are those of the sidebar, so nobody is offered what their role does not open. */
const pages = () =>
  $$(".side .nav a").map((link) => ({ title: link.dataset.name, url: link.href, detail: "", kind: "Page" }));

function draw() {
  list.replaceChildren(...found.map(option));
  if (!found.length) list.append(make("p", { textContent: "Nothing found" }));
  input.setAttribute("aria-activedescendant", found.length ? `palette-${current}` : "");
}

function option(one, place) {
  const title = make("b", { className: "nowrap", textContent: one.title });
  const detail = make("span", { className: "truncate dim", textContent: one.detail });
  const row = make("div", { id: `palette-${place}` }, title, detail, make("span", { className: "k", textContent: one.kind }));
  row.role = "option";
  row.ariaSelected = String(place === current);
  row.onclick = () => location.assign(one.url);
  return row;
}

async function find() {
  const words = input.value.trim();
  current = 0;
  found = pages().filter((page) => page.title.toLowerCase().includes(words.toLowerCase()));
  draw();
  underWay?.abort();
  if (!words) return;
  underWay = new AbortController();
  try {
    const answer = await fetch(`/search.json?q=${encodeURIComponent(words)}`, { signal: underWay.signal });
    if (!answer.ok) return;
    found = [...found, ...(await answer.json())];
    draw();
  } catch (error) {
    if (error.name !== "AbortError") draw();
  }
}

function step(by) {
  if (!found.length) return;
  current = (current + by + found.length) % found.length;
  draw();
  $$("[role=option]", list)[current].scrollIntoView({ block: "nearest" });
}

/** Emptied before it is shown: the dialog's own events come late and would eat fast typing. */
export function openPalette() {
  input.value = "";
  find();
  dialog.showModal();
}

export function startPalette() {
  if (!dialog) return;
  input.addEventListener("input", find);
  dialog.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by) {
      event.preventDefault();
      step(by);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (found[current]) location.assign(found[current].url);
    }
  });
}
